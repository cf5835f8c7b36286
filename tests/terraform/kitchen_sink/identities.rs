//! Imports and identities.

use serde_json::json;

use crate::{
    harness::releases::Capability,
    kitchen_sink::workspace::{Workspace, under_each_terraform},
};

const THING: &str = "resource \"sink_thing\" \"it\" {\n  name = \"a\"\n}\n";

/// Makes a thing, and lets Terraform forget it.
fn leave_a_thing(workspace: &Workspace) {
    workspace.configure(THING);
    workspace.apply().succeeded();
    workspace.run(&["state", "rm", "sink_thing.it"]).succeeded();
}

#[test]
fn a_thing_is_imported_by_command_and_by_block() {
    under_each_terraform(|workspace| {
        leave_a_thing(workspace);
        workspace.run(&["import", "sink_thing.it", "t-1"]).succeeded();
        assert_eq!(workspace.state("sink_thing")["home"], json!("home-of-a"));
        workspace.assert_clean();
        workspace.run(&["state", "rm", "sink_thing.it"]).succeeded();
        workspace.configure(&format!("{THING}import {{\n  to = sink_thing.it\n  id = \"t-1\"\n}}\n"));
        workspace.apply().succeeded();
        assert_eq!(workspace.state("sink_thing")["id"], json!("t-1"));
        workspace.assert_clean();
        let private = workspace.instance("sink_thing")["private"].clone();
        assert_eq!(private.as_str().unwrap_or_default(), "", "nothing remains of the import");
    });
}

#[test]
fn what_does_not_exist_cannot_be_imported() {
    under_each_terraform(|workspace| {
        workspace.configure(&format!("{THING}import {{\n  to = sink_thing.it\n  id = \"t-9\"\n}}\n"));
        assert_eq!(workspace.run(&["plan", "-json"]).error().summary, "No such thing");
    });
}

#[test]
fn a_thing_is_imported_by_identity_whose_rules_hold() {
    under_each_terraform(|workspace| {
        if !workspace.has(Capability::Identities) {
            return;
        }
        leave_a_thing(workspace);
        let import = |identity: &str| {
            workspace
                .configure(&format!("{THING}import {{\n  to = sink_thing.it\n  identity = {identity}\n}}\n"));
        };
        import("{ id = \"x-1\" }");
        let refused = workspace.run(&["plan", "-json"]);
        assert_eq!(refused.error().summary, "Invalid identity");
        assert!(
            refused.error().detail.contains("In the identity, \"id\" must begin with \"t-\"."),
            "{refused:#?}"
        );
        import("{ id = \"t-1\" }");
        workspace.apply().succeeded();
        let instance = workspace.instance("sink_thing");
        assert_eq!(instance["identity"], json!({"id": "t-1", "realm": "sink"}), "the rest was filled in");
        workspace.assert_clean();
    });
}

#[test]
fn an_identity_that_changes_is_an_error_and_the_state_stays() {
    under_each_terraform(|workspace| {
        workspace.configure(THING);
        workspace.apply().succeeded();
        workspace.write("things/t-1.realm", "elsewhere");
        let outcome = workspace.run(&["plan", "-json"]);
        if workspace.has(Capability::Identities) {
            assert_eq!(outcome.error().summary, "Resource identity changed");
            assert!(outcome.error().detail.contains("\"realm\" in its identity differs"), "{outcome:#?}");
            assert_eq!(workspace.instance("sink_thing")["identity"]["realm"], json!("sink"));
        } else {
            outcome.succeeded();
        }
    });
}

#[test]
fn a_generated_configuration_holds_only_what_a_user_would_write() {
    under_each_terraform(|workspace| {
        workspace.configure(
            "resource \"sink_thing\" \"it\" {\n  name = \"a\"\n  size = 3\n  owner = { name = \"o\" }\n}\n",
        );
        workspace.apply().succeeded();
        workspace.run(&["state", "rm", "sink_thing.it"]).succeeded();
        // Only by the provider does Terraform 1.16 generate, and none takes that line beside what was generated.
        workspace.configure("import {\n  to = sink_thing.it\n  id = \"t-1\"\n  provider = sink\n}\n");
        workspace.run(&["plan", "-json", "-generate-config-out=generated.tf"]);
        workspace.configure("import {\n  to = sink_thing.it\n  id = \"t-1\"\n}\n");
        let generated = std::fs::read_to_string(workspace.path("generated.tf")).unwrap();
        let words: Vec<&str> = generated.split_whitespace().collect();
        let generated = words.join(" ");
        for expected in ["name = \"a\"", "size = 3", "name = \"o\""] {
            assert!(generated.contains(expected), "{expected}: {generated}");
        }
        if workspace.has(Capability::LeanGeneratedConfiguration) {
            for absent in ["revision", "found", "plain", "nobody@example.com", "owner-of-a"] {
                assert!(!generated.contains(absent), "{absent}: {generated}");
            }
        }
        workspace.apply().succeeded();
        workspace.assert_clean();
    });
}
