//! Tests of the plugin runtime under the real Terraform, with the provider in `provider/`, which uses every feature of
//! the runtime and nothing of the KMS.
//!
//! Every scenario runs under each Terraform of `KMS_TEST_TERRAFORM_VERSIONS`, as in `tests/terraform`.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests: a panic is a failure")]

#[path = "../terraform/cli.rs"]
#[allow(dead_code, reason = "the other tests use the rest")]
mod cli;
#[path = "../terraform/clients.rs"]
#[allow(dead_code, reason = "the other tests use the rest")]
mod clients;
#[path = "../terraform/diagnostics.rs"]
#[allow(dead_code, reason = "the other tests use the rest")]
mod diagnostics;
#[path = "../terraform/releases.rs"]
#[allow(dead_code, reason = "the other tests use the rest")]
mod releases;

mod terraform;

mod around;
mod identities;
mod nesting;
mod planning;
mod states;
mod validation;
mod write_only;
