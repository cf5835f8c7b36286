//! The harness itself, tried on Terraform's own resource: a harness that sees nothing would pass everything.

use std::panic::{AssertUnwindSafe, catch_unwind};

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::harness::{
    leaks,
    plans::Change,
    workspace::{Workspace, under_each_terraform},
};

const SECRET: &str = "dbtu_h4rn3ssT3st1ngX1y2";

fn without_provider(version: &str) -> Workspace {
    let workspace = Workspace::new(version);
    workspace.write("provider.tf", "");
    workspace
}

#[test]
fn plans_state_and_errors_are_read_as_terraform_wrote_them() {
    under_each_terraform(|version| {
        let workspace = without_provider(version);
        let write = |input: &str| {
            let body = format!("  for_each = toset([\"a\"])\n  input    = {input}\n");
            workspace.write("main.tf", &format!("resource \"terraform_data\" \"it\" {{\n{body}}}\n"));
        };
        write("\"old\"");
        workspace.apply().succeeded();
        workspace.assert_clean();
        let address = "terraform_data.it[\"a\"]";
        assert_eq!(workspace.state(address)["input"]["value"], "old");
        write("\"new\"");
        let plan = workspace.plan();
        assert_eq!(plan.change(address), Change::update(&[&["input", "output"]]));
        workspace.apply_plan(&plan).succeeded();
        assert!(workspace.plan().changes().is_empty());

        write(
            "\"new\"\n  triggers_replace = 1\n\n  lifecycle {\n    precondition {\n      condition     = each.key == \"b\"\n      error_message = \"Not b.\"\n    }\n  }",
        );
        let outcome = workspace.failing_plan();
        assert_eq!(outcome.error().attribute, "condition");
        assert!(outcome.error().says(&["Not b."]), "{outcome:#?}");
    });
}

#[test]
fn a_secret_is_found_in_state_in_a_plan_and_in_the_output() {
    under_each_terraform(|version| {
        let variable = "variable \"secret\" {\n  type = string\n}\n";
        let resource = "resource \"terraform_data\" \"it\" {\n  input = var.secret\n}\n";
        let commands: [(&str, &[&str]); 2] =
            [("state", &["apply", "-auto-approve"]), ("plan", &["plan", "-out=1.tfplan"])];
        for (place, command) in commands {
            let workspace = without_provider(version);
            workspace.set("TF_VAR_secret", SECRET);
            workspace.write("main.tf", &format!("{variable}{resource}"));
            workspace.run(command).succeeded();
            let dir = workspace.path("");
            let searched = catch_unwind(AssertUnwindSafe(|| leaks::search(&dir, "", &[SECRET.into()])));
            assert!(searched.is_err(), "the secret in the {place} was not found");
        }
        let nowhere = tempfile::tempdir().unwrap();
        let said = catch_unwind(AssertUnwindSafe(|| leaks::search(nowhere.path(), SECRET, &[SECRET.into()])));
        assert!(said.is_err());
    });
}

#[test]
fn a_secret_is_found_in_base64_wherever_it_begins() {
    let nowhere = tempfile::tempdir().unwrap();
    for padding in ["", "a", "ab", "abc"] {
        let encoded = STANDARD.encode(format!("{{{padding}dbtu_0123456789}}"));
        let found = catch_unwind(|| leaks::search(nowhere.path(), &encoded, &["dbtu_0123456789".into()]));
        assert!(found.is_err(), "{encoded}");
    }
}
