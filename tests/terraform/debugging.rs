//! The provider started by hand for a debugger, and what Terraform knows of its schema.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::harness::workspace::{Workspace, configuration, connection, under_each_terraform};

#[test]
fn terraform_attaches_to_a_provider_started_by_hand() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token("dbtu_d3bugg1ngN1m2b3v4c5");
        workspace.write("cli.tfrc", "");
        workspace.write("main.tf", &configuration(&[connection("orders", &[])]));
        let mut provider = Command::new(env!("CARGO_BIN_EXE_terraform-provider-kms"))
            .arg("--debug")
            .env_clear()
            .env("KMS_HOST", workspace.emulator.url())
            .env("KMS_UNIVERSAL_AUTH_CLIENT_ID", kms_emulator::CLIENT_ID)
            .env("KMS_UNIVERSAL_AUTH_CLIENT_SECRET", kms_emulator::CLIENT_SECRET)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(provider.stdout.take().unwrap()).lines();
        let export = lines.find_map(|line| {
            let line = line.unwrap();
            Some(line.split_once("TF_REATTACH_PROVIDERS=")?.1.trim_matches('\'').to_owned())
        });
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            workspace.set("TF_REATTACH_PROVIDERS", &export.expect("it prints what to export"));
            workspace.apply().succeeded();
            workspace.assert_clean();
            assert!(provider.try_wait().unwrap().is_none(), "it serves one Terraform after the other");
        }));
        provider.kill().unwrap();
        provider.wait().unwrap();
        outcome.unwrap();
    });
}

#[test]
fn the_schema_says_that_the_token_is_write_only() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        let shown = workspace.run(&["providers", "schema", "-json"]).succeeded();
        let schemas: Value = serde_json::from_str(&shown.stdout).unwrap();
        let all = schemas["provider_schemas"].as_object().unwrap();
        let (_, provider) = all.iter().find(|(address, _)| address.ends_with("/hanzoai/kms")).unwrap();
        let attributes = &provider["resource_schemas"]["kms_dbt_connection"]["block"]["attributes"];
        let token = &attributes["api_token"];
        for flag in ["optional", "sensitive", "write_only"] {
            assert_eq!(token[flag], true, "{flag} of {token}");
        }
        let block = &provider["provider"]["block"]["attributes"];
        assert_eq!(block["client_secret"]["sensitive"], true);
        assert_eq!(block["client_secret"]["deprecated"], true);
        let universal = &block["auth"]["nested_type"]["attributes"]["universal"]["nested_type"]["attributes"];
        assert_eq!(universal["client_secret"]["sensitive"], true);
    });
}
