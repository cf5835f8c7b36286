//! States that older releases of the provider stored.

use serde_json::{Value, json};

use crate::kitchen_sink::workspace::{Workspace, under_each_terraform};

const CONFIGURATION: &str =
    "resource \"sink_thing\" \"it\" {\n  name = \"a\"\n  disks = [{ size = 1 }, { size = 2 }]\n}\n";

fn applied(workspace: &Workspace) {
    workspace.configure(CONFIGURATION);
    workspace.apply().succeeded();
    workspace.assert_clean();
}

/// The attributes as version 1 stored them.
fn as_version_1(instance: &mut Value) {
    instance["schema_version"] = json!(1);
    let attributes = instance["attributes"].as_object_mut().unwrap();
    attributes.remove("disks");
    attributes.insert("disk_sizes".into(), json!([1, 2]));
    attributes.remove("home");
}

#[test]
fn a_state_of_each_older_version_is_upgraded_and_needs_no_change() {
    under_each_terraform(|workspace| {
        applied(workspace);
        workspace.rewrite_state(as_version_1);
        workspace.assert_clean();
        workspace.rewrite_state(|instance| {
            as_version_1(instance);
            instance["schema_version"] = json!(0);
            let attributes = instance["attributes"].as_object_mut().unwrap();
            let name = attributes.remove("name").unwrap();
            attributes.insert("title".into(), name);
        });
        workspace.assert_clean();
        workspace.run(&["apply", "-json", "-auto-approve", "-refresh-only"]).succeeded();
        let instance = workspace.instance("sink_thing");
        assert_eq!(instance["schema_version"], json!(2));
        assert_eq!(instance["attributes"]["disks"][1]["id"], json!("disk-1"));
    });
}

#[test]
fn an_upgrade_that_fails_says_why() {
    under_each_terraform(|workspace| {
        applied(workspace);
        workspace.rewrite_state(|instance| {
            as_version_1(instance);
            instance["schema_version"] = json!(0);
        });
        let failed = workspace.run(&["plan", "-json"]);
        assert_eq!(failed.error().summary, "Stored state can't be upgraded");
        assert!(
            failed.error().detail.ends_with("from schema version 0 to 1: it has no title."),
            "{failed:#?}"
        );
    });
}

#[test]
fn a_state_of_the_same_version_loses_what_the_schema_does_not_have_and_what_is_write_only_now() {
    under_each_terraform(|workspace| {
        applied(workspace);
        workspace.rewrite_state(|instance| {
            let attributes = instance["attributes"].as_object_mut().unwrap();
            attributes.insert("gone".into(), json!("x"));
            attributes.insert("password".into(), json!("once-stored"));
            attributes.remove("label");
        });
        workspace.assert_clean();
        workspace.write("main.tf", &CONFIGURATION.replace("\"a\"", "\"b\""));
        workspace.apply().succeeded();
        assert_eq!(workspace.state("sink_thing")["password"], json!(null));
        assert_eq!(workspace.state("sink_thing").get("gone"), None);
    });
}

#[test]
fn a_state_of_another_shape_names_the_value() {
    under_each_terraform(|workspace| {
        applied(workspace);
        workspace.rewrite_state(|instance| instance["attributes"]["disks"][1]["size"] = json!("many"));
        let failed = workspace.run(&["plan", "-json"]);
        assert_eq!(failed.error().summary, "Stored state can't be read");
        assert!(failed.error().detail.contains("the value of \"disks[1].size\" is not"), "{failed:#?}");
    });
}
