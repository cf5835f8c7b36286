//! All tests on the real Terraform. Most run the provider against the emulator; `kitchen_sink` runs the plugin runtime alone, on
//! a provider that uses all of it; `examples` and `install` hold for what users copy and run.
//!
//! Every scenario runs under each Terraform of `KMS_TEST_TERRAFORM_VERSIONS` (a comma list; by default the oldest
//! supported release and the newest), which `scripts/terraform-cli` installs. Every scenario ends with a search for
//! its secrets in all that was written: state, backups, plans, logs and output.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "tests: a panic is a failure, and what they print explains it"
)]

#[path = "../pages/blocks.rs"]
mod blocks;
mod harness;

mod actions;
mod airflow;
mod authentication;
mod bad_input;
mod by_hand;
mod changes;
mod commands;
mod data_sources;
mod debugging;
mod dist;
mod drift;
mod ephemeral_secrets;
mod examples;
mod from_dbt_to_airflow;
mod functions;
mod gateways;
mod imports;
mod install;
mod interruptions;
mod kitchen_sink;
mod live;
mod load;
mod lost_answers;
mod meta_arguments;
mod modules;
mod no_credentials;
mod old_terraform;
mod plan_checks;
mod projects;
mod queries;
mod rate_limits;
mod refusals;
mod repeated_plans;
mod rotations;
mod states;
mod taken_names;
mod unknown_values;
