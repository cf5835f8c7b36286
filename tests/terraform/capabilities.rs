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

pub use crate::releases::Capability;
use crate::{
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
