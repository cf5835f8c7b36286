//! Releases of Terraform before write-only attributes.

use crate::workspace::{Workspace, connection};

#[test]
fn a_terraform_before_1_11_gets_one_clear_error() {
    let workspace = Workspace::new("1.10.5");
    workspace.set("TF_VAR_token", "dbtu_t00OldF0rThisA1s2d3");
    workspace.secret("dbtu_t00OldF0rThisA1s2d3");
    // An ephemeral variable would be refused by this Terraform itself, before the provider is asked.
    let variable = "variable \"token\" {\n  type      = string\n  sensitive = true\n}\n";
    workspace.write("main.tf", &format!("{variable}{}", connection("orders", &[])));
    let outcome = workspace.failing_plan();
    let error = outcome.error();
    assert_eq!(error.attribute, "api_token");
    assert!(error.says(&["write-only", "1.11"]), "{error:#?}");
    assert!(workspace.emulator.writes().is_empty());
}
