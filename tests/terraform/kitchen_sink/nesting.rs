//! Nested attributes under the real Terraform.

use serde_json::{Value, json};

use crate::{
    harness::releases::Capability,
    kitchen_sink::workspace::{Plan, Workspace, under_each_terraform},
};

const THING: &str = "sink_thing.it";

fn configure(workspace: &Workspace, body: &str) {
    workspace.configure(&format!("resource \"sink_thing\" \"it\" {{\n  name = \"a\"\n  {body}\n}}\n"));
}

fn applied(workspace: &Workspace) -> Value {
    workspace.apply().succeeded();
    workspace.assert_clean();
    workspace.state("sink_thing")
}

fn actions(plan: &Plan) -> Vec<&str> {
    plan.actions(THING)
}

#[test]
fn computed_values_and_defaults_inside_are_planned_and_kept() {
    under_each_terraform(|workspace| {
        configure(
            workspace,
            "owner = { name = \"o\" }\n  ports = { a = { number = 1 }, b = { number = 2 } }",
        );
        let plan = workspace.plan();
        for pointer in ["/owner/id", "/owner/revision", "/ports/a/url", "/ports/b/url"] {
            assert!(plan.is_unknown(THING, pointer), "{pointer}");
        }
        assert_eq!(plan.after(THING, "/owner/email"), &json!("nobody@example.com"));
        let state = applied(workspace);
        assert_eq!(state["owner"]["id"], json!("owner-of-a"));
        assert_eq!(state["ports"]["b"]["url"], json!("b://2"));

        // One inside changes: what is stable is kept everywhere, all else is unknown.
        configure(
            workspace,
            "owner = { name = \"o\", email = \"o@example.com\" }\n  ports = { a = { number = 1 } }",
        );
        let plan = workspace.plan();
        assert_eq!(actions(&plan), ["update"]);
        assert_eq!(plan.after(THING, "/owner/id"), &json!("owner-of-a"));
        for pointer in ["/owner/revision", "/ports/a/url", "/revision"] {
            assert!(plan.is_unknown(THING, pointer), "{pointer}");
        }
        let state = applied(workspace);
        assert_eq!(state["owner"]["revision"], json!(2));

        configure(workspace, "");
        let state = applied(workspace);
        assert_eq!((&state["owner"], &state["ports"]), (&json!(null), &json!(null)));
    });
}

#[test]
fn a_changed_value_inside_replaces_and_is_named() {
    under_each_terraform(|workspace| {
        let disks = |zones: &[&str]| {
            let disks: Vec<String> =
                zones.iter().map(|zone| format!("{{ size = 1, zone = {zone} }}")).collect();
            format!("disks = [{}]", disks.join(", "))
        };
        configure(workspace, &disks(&["\"x\"", "\"y\""]));
        applied(workspace);
        configure(workspace, &disks(&["\"x\"", "\"z\""]));
        let plan = workspace.plan();
        assert_eq!(actions(&plan), ["delete", "create"]);
        assert_eq!(plan.replaced_by(THING), "[[\"disks\",1,\"zone\"]]");
        applied(workspace);
        // A list that grows or shrinks by one with a zone, and one without.
        configure(workspace, &disks(&["\"x\"", "\"z\"", "\"new\""]));
        assert_eq!(workspace.plan().replaced_by(THING), "[[\"disks\",2,\"zone\"]]");
        configure(workspace, &disks(&["\"x\""]));
        assert_eq!(workspace.plan().replaced_by(THING), "[[\"disks\",1,\"zone\"]]");
        configure(workspace, &disks(&["\"x\"", "\"z\"", "null"]));
        assert_eq!(actions(&workspace.plan()), ["update"]);
        let state = applied(workspace);
        assert_eq!(state["disks"][2]["id"], json!("disk-2"));
    });
}

#[test]
fn objects_in_maps_in_objects_in_lists_are_planned_too() {
    under_each_terraform(|workspace| {
        configure(workspace, "disks = [{ size = 1, partitions = { boot = {}, data = { size = 9 } } }]");
        let plan = workspace.plan();
        assert!(plan.is_unknown(THING, "/disks/0/partitions/boot/id"));
        assert_eq!(plan.after(THING, "/disks/0/partitions/boot/size"), &json!(1));
        let state = applied(workspace);
        assert_eq!(state["disks"][0]["partitions"]["data"], json!({"size": 9, "id": "partition-0-data"}));
        configure(workspace, "disks = [{ size = 1, partitions = { boot = { size = 2 }, more = {} } }]");
        let plan = workspace.plan();
        assert_eq!(plan.after(THING, "/disks/0/partitions/boot/id"), &json!("partition-0-boot"));
        assert!(plan.is_unknown(THING, "/disks/0/partitions/more/id"));
        applied(workspace);
    });
}

/// HashiCorp's framework mixes such elements up, because it looks them up by values that the defaults change.
#[test]
fn elements_of_a_set_keep_their_values_and_defaults() {
    under_each_terraform(|workspace| {
        configure(workspace, "rules = [{ value = \"one\" }, { value = \"two\" }, { value = \"three\" }]");
        let state = applied(workspace);
        let rules = state["rules"].as_array().unwrap();
        let mut values: Vec<_> = rules.iter().map(|rule| rule["value"].as_str().unwrap()).collect();
        values.sort_unstable();
        assert_eq!(values, ["one", "three", "two"]);
        assert!(rules.iter().all(|rule| rule["default_value"] == "this is a default"));

        // One changes: the others are known again by what they are.
        configure(
            workspace,
            "rules = [{ value = \"two\" }, {}, { value = \"one\", default_value = \"mine\" }]",
        );
        let plan = workspace.plan();
        let known: Vec<_> =
            plan.after(THING, "/rules").as_array().unwrap().iter().map(|rule| &rule["id"]).collect();
        assert!(known.contains(&&json!("rule-two")), "{known:?}");
        let state = applied(workspace);
        assert_eq!(state["rules"].as_array().unwrap().len(), 3);
    });
}

#[test]
fn elements_that_are_the_same_with_their_defaults_are_refused_where_they_are() {
    under_each_terraform(|workspace| {
        configure(workspace, "rules = [{ value = \"zero\" }, {}]");
        let refused = workspace.validate();
        assert_eq!(refused.error().summary, "Duplicate set element");
        assert!(refused.error().line.starts_with("rules = "), "{refused:?}");
    });
}

#[test]
fn an_object_that_the_provider_sets_can_be_configured_and_given_back() {
    under_each_terraform(|workspace| {
        configure(workspace, "");
        applied(workspace);
        configure(workspace, "network = { cidr = \"10.1.0.0/16\" }");
        let plan = workspace.plan();
        assert_eq!(plan.after(THING, "/network/cidr"), &json!("10.1.0.0/16"));
        assert!(plan.is_unknown(THING, "/network/gateway"));
        applied(workspace);
        configure(workspace, "");
        let state = applied(workspace);
        assert_eq!(
            state["network"]["cidr"],
            json!("10.1.0.0/16"),
            "it stays as long as nobody says otherwise"
        );
        configure(workspace, "network = {}");
        applied(workspace);
    });
}

#[test]
fn elements_that_are_null_stay_null() {
    under_each_terraform(|workspace| {
        if !workspace.has(Capability::NullElements) {
            return;
        }
        configure(workspace, "disks = [null, { size = 1 }]\n  tags = { a = null }\n  labels = [null]");
        let state = applied(workspace);
        assert_eq!(state["disks"][0], json!(null));
        assert_eq!(state["disks"][1]["id"], json!("disk-1"));
        assert_eq!((&state["tags"], &state["labels"]), (&json!({"a": null}), &json!([null])));
    });
}
