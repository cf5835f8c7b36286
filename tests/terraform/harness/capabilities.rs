//! Scenarios that need what isn't in every client.
//!
//! A scenario that needs more than a client has is skipped under it. Each skip is counted and told, past the capture of
//! output; `scripts/test-matrix` counts these lines too.

use std::{
    io::{self, Write as _},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use serde_json::Value;

pub use crate::harness::releases::Capability;
use crate::harness::{
    clients,
    workspace::{Workspace, under_each_terraform},
};

/// Runs a scenario under every client that has what it needs, and tells which ones haven't.
pub fn under_each_terraform_with(needed: Capability, scenario: impl Fn(&str) + Sync) {
    static SKIPPED: AtomicUsize = AtomicUsize::new(0);
    let test = thread::current().name().unwrap_or("a scenario").to_owned();
    under_each_terraform(|client| {
        if clients::has(client, needed) {
            scenario(client);
            return;
        }
        let number = SKIPPED.fetch_add(1, Ordering::Relaxed) + 1;
        let release = clients::release(client);
        let line = format!("skipped: {test} needs {needed:?}, which {release} lacks (skip {number})\n");
        // Not by a macro, for what those print is hidden when the test passes.
        io::stderr().write_all(line.as_bytes()).unwrap();
    });
}

/// What a client makes of the provider's schema shows which parts of the protocol it knows.
#[test]
fn each_client_has_what_it_is_said_to_have_and_nothing_else() {
    under_each_terraform(|client| {
        let workspace = Workspace::new(client);
        let shown = workspace.run(&["providers", "schema", "-json"]).succeeded();
        let schemas: Value = serde_json::from_str(&shown.stdout).unwrap();
        let schema = schemas["provider_schemas"].as_object().unwrap().values().next().unwrap();
        let token = &schema["resource_schemas"]["kms_dbt_connection"]["block"]["attributes"]["api_token"];
        for (capability, shows) in [
            (Capability::Functions, schema["functions"].is_object()),
            (Capability::EphemeralValues, schema["ephemeral_resource_schemas"].is_object()),
            (Capability::WriteOnlyAttributes, token["write_only"] == true),
            (Capability::Identities, schema["resource_identity_schemas"].is_object()),
            (Capability::Queries, schema["list_resource_schemas"].is_object()),
            (Capability::Actions, schema["action_schemas"].is_object()),
        ] {
            assert_eq!(shows, clients::has(client, capability), "{capability:?} in {client}: {schema}");
        }
    });
}

const MOCKED: &str = r#"
variable "token" {
  type      = string
  ephemeral = true
}

data "kms_project" "analytics" {
  slug = "analytics"
}

resource "kms_dbt_connection" "orders" {
  name         = "orders"
  instance_url = "https://cloud.getdbt.com"
  account_id   = "12345"
  api_token    = var.token
  project_id   = data.kms_project.analytics.id
}
"#;

const MOCKED_EPHEMERAL: &str = r#"
ephemeral "kms_secret" "token" {
  name         = "DBT_TOKEN"
  workspace_id = data.kms_project.analytics.id
  env_slug     = "prod"
}
"#;

const MOCKING_TEST: &str = r#"
mock_provider "kms" {
  mock_data "kms_project" {
    defaults = {
      id = "3f0c5c1e-9d0f-4d43-8c6e-6a8f7f4f1a01"
    }
  }
}

run "creates" {
  variables {
    token = "any"
  }

  assert {
    condition     = kms_dbt_connection.orders.project_id == "3f0c5c1e-9d0f-4d43-8c6e-6a8f7f4f1a01"
    error_message = "The connection is in another project."
  }
}
"#;

#[test]
fn a_module_is_tested_with_a_mocked_provider_and_without_a_kms() {
    under_each_terraform(|client| {
        let workspace = Workspace::new(client);
        workspace.write_provider("");
        workspace.write("mocking.tftest.hcl", MOCKING_TEST);
        workspace.write("main.tf", MOCKED);
        let tested = workspace.run(&["test", "-no-color"]).succeeded();
        assert!(tested.stdout.contains("1 passed, 0 failed"), "{tested:#?}");

        workspace.write("main.tf", &format!("{MOCKED}{MOCKED_EPHEMERAL}"));
        let tested = workspace.run(&["test", "-no-color"]);
        if clients::has(client, Capability::MockedEphemerals) {
            assert!(tested.succeeded().stdout.contains("1 passed, 0 failed"));
        } else {
            let refused = "No ephemeral resource types in mock providers";
            assert!(tested.failed().stderr.contains(refused));
        }
        assert!(workspace.emulator.requests().is_empty());
    });
}
