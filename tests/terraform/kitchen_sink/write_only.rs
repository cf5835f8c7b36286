//! Values that are stored nowhere.

use serde_json::json;

use crate::{
    harness::releases::Program,
    kitchen_sink::workspace::{Workspace, under_each_terraform},
};

const THING: &str = "sink_thing.it";

fn configure(workspace: &Workspace, body: &str) {
    let variable = "variable \"password\" {\n  type      = string\n  ephemeral = true\n}\n";
    workspace
        .configure(&format!("{variable}resource \"sink_thing\" \"it\" {{\n  name = \"a\"\n  {body}\n}}\n"));
}

#[test]
fn a_write_only_value_reaches_the_provider_and_nothing_else() {
    under_each_terraform(|workspace| {
        configure(
            workspace,
            "password = var.password\n  ports = { a = { number = 1, token = var.password } }",
        );
        let with = |password: &'static str| [("TF_VAR_password", password)];
        let plan = ["plan", "-json", "-out=saved.tfplan"];
        workspace.run_with(&with("p4ssw0rd-one"), &plan).succeeded();
        assert!(!workspace.stores("p4ssw0rd"), "in the plan");
        let apply = ["apply", "-json", "-auto-approve"];
        workspace.run_with(&with("p4ssw0rd-one"), &apply).succeeded();
        assert!(!workspace.stores("p4ssw0rd"), "in the state");
        let state = workspace.state("sink_thing");
        assert_eq!((&state["password"], &state["ports"]["a"]["token"]), (&json!(null), &json!(null)));
        assert_eq!(state["revision"], json!(1));

        // The same one changes nothing; another one is an update, though no attribute shows it.
        let clean = ["plan", "-json", "-detailed-exitcode"];
        assert_eq!(workspace.run_with(&with("p4ssw0rd-one"), &clean).code, Some(0));
        assert_eq!(workspace.run_with(&with("p4ssw0rd-two"), &clean).code, Some(2));
        workspace.run_with(&with("p4ssw0rd-two"), &plan).succeeded();
        let shown = workspace.run(&["show", "-json", "saved.tfplan"]).succeeded().stdout;
        let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
        let change = &shown["resource_changes"][0]["change"];
        assert_eq!(change["actions"], json!(["update"]));
        assert_eq!(change["after_unknown"]["revision"], json!(true));
        workspace.run_with(&with("p4ssw0rd-two"), &apply).succeeded();
        assert_eq!(workspace.state("sink_thing")["revision"], json!(2));
        assert_eq!(workspace.run_with(&with("p4ssw0rd-two"), &clean).code, Some(0));
        assert!(!workspace.stores("p4ssw0rd"));
    });
}

#[test]
fn a_value_is_sensitive_by_its_type() {
    under_each_terraform(|workspace| {
        configure(workspace, "pin = \"pin-12345\"\n  ports = { a = { number = 1 } }");
        let shown = workspace.run_with(&[("TF_VAR_password", "x")], &["plan"]).succeeded().stdout;
        assert!(shown.contains("(sensitive value)") && !shown.contains("pin-12345"), "{shown}");
        let schema = workspace.run(&["providers", "schema", "-json"]).succeeded().stdout;
        let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
        let registry = match workspace.release.program {
            Program::Terraform => "registry.terraform.io",
            Program::OpenTofu => "registry.opentofu.org",
        };
        let provider = &schema["provider_schemas"][format!("{registry}/example/sink")];
        let attributes = &provider["resource_schemas"]["sink_thing"]["block"]["attributes"];
        for attribute in [
            &attributes["pin"],
            &attributes["password"],
            &attributes["ports"]["nested_type"]["attributes"]["token"],
        ] {
            assert_eq!(attribute["sensitive"], json!(true), "{attribute}");
        }
        let ephemeral = &provider["ephemeral_resource_schemas"]["sink_token"]["block"]["attributes"];
        assert_eq!(ephemeral["token"]["sensitive"], json!(true));
        let defaulted = &attributes["ports"]["nested_type"]["attributes"]["protocol"];
        assert_eq!((&defaulted["optional"], &defaulted["computed"]), (&json!(true), &json!(true)));
        assert_eq!(provider["resource_schemas"]["sink_thing"]["version"], json!(2));
        let _ = THING;
    });
}
