//! Releases of Terraform before write-only attributes: those of `KMS_TEST_OLD_TERRAFORM_VERSIONS` (a comma list; by
//! default the newest of them).

use crate::harness::workspace::{Workspace, connection};

#[test]
fn a_terraform_before_1_11_gets_one_clear_error() {
    let versions = std::env::var("KMS_TEST_OLD_TERRAFORM_VERSIONS").unwrap_or_else(|_| "1.10.5".into());
    versions.split(',').map(str::trim).filter(|version| !version.is_empty()).for_each(is_refused);
}

fn is_refused(version: &str) {
    let workspace = Workspace::new(version);
    workspace.set("TF_VAR_token", "dbtu_t00OldF0rThisA1s2d3");
    workspace.secret("dbtu_t00OldF0rThisA1s2d3");
    // An ephemeral variable would be refused by this Terraform itself, before the provider is asked.
    let variable = "variable \"token\" {\n  type      = string\n  sensitive = true\n}\n";
    workspace.write("main.tf", &format!("{variable}{}", connection("orders", &[])));
    let outcome = workspace.failing_plan();
    let error = outcome.error();
    assert_eq!(error.attribute, "api_token", "{version}");
    assert!(error.says(&["write-only", "1.11"]), "{version}: {error:#?}");
    assert!(workspace.emulator.writes().is_empty());
}
