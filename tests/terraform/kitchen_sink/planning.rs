//! What the runtime plans by itself, and what a type adds.

use serde_json::json;

use crate::{harness::releases::Capability, kitchen_sink::workspace::under_each_terraform};

const THING: &str = "sink_thing.it";

fn thing(body: &str) -> String {
    format!("resource \"sink_thing\" \"it\" {{\n  {}\n}}\n", body.replace('\n', "\n  "))
}

#[test]
fn a_thing_with_only_a_name_gets_its_defaults_and_what_the_provider_sets() {
    under_each_terraform(|workspace| {
        workspace.configure(&thing("name = \"a\""));
        let plan = workspace.plan();
        assert_eq!(plan.actions(THING), ["create"]);
        for (pointer, value) in [("/type", json!("plain")), ("/size", json!(1)), ("/enabled", json!(true))] {
            assert_eq!(plan.after(THING, pointer), &value, "{pointer}");
        }
        for pointer in ["/id", "/revision", "/note", "/found", "/network", "/home"] {
            assert!(plan.is_unknown(THING, pointer), "{pointer}");
        }
        for pointer in ["/ratio", "/owner", "/disks", "/tags", "/rules", "/pin"] {
            assert!(!plan.is_unknown(THING, pointer) && plan.after(THING, pointer).is_null(), "{pointer}");
        }
        workspace.apply_plan(&plan).succeeded();
        let state = workspace.state("sink_thing");
        assert_eq!(state["network"], json!({"cidr": "10.0.0.0/8", "gateway": "10.0.0.1"}));
        assert_eq!(state["found"], json!([{"name": "bolt", "size": 7}, {"name": "dust", "size": null}]));
        workspace.assert_clean();
        workspace.destroy().succeeded();
        assert!(workspace.state("sink_thing").is_null());
    });
}

#[test]
fn an_update_keeps_what_is_stable_and_a_computed_value_may_end_null() {
    under_each_terraform(|workspace| {
        workspace.configure(&thing("name = \"a\""));
        workspace.apply().succeeded();
        workspace.configure(&thing("name = \"a\"\nenabled = false\nsize = 2"));
        let plan = workspace.plan();
        assert_eq!(plan.actions(THING), ["update"]);
        assert_eq!(plan.after(THING, "/id"), &json!("t-1"));
        assert_eq!(plan.after(THING, "/home"), &json!("home-of-a"));
        for pointer in ["/revision", "/note", "/found", "/network"] {
            assert!(plan.is_unknown(THING, pointer), "{pointer}");
        }
        workspace.apply_plan(&plan).succeeded();
        assert_eq!(workspace.state("sink_thing")["note"], json!(null));
        workspace.assert_clean();
        // Back to the defaults.
        workspace.configure(&thing("name = \"a\""));
        let plan = workspace.plan();
        assert_eq!((plan.after(THING, "/size"), plan.after(THING, "/enabled")), (&json!(1), &json!(true)));
        workspace.apply_plan(&plan).succeeded();
        assert_eq!(workspace.state("sink_thing")["note"], json!("note 3"));
        workspace.assert_clean();
    });
}

#[test]
fn a_type_that_knows_more_plans_less() {
    under_each_terraform(|workspace| {
        workspace.configure(&thing("name = \"a\"\nlabels = [\"x\"]"));
        workspace.apply().succeeded();
        workspace.configure(&thing("name = \"a\"\nlabels = [\"x\", \"y\"]"));
        let plan = workspace.plan();
        assert_eq!(plan.actions(THING), ["update"]);
        assert_eq!(plan.after(THING, "/revision"), &json!(1));
        assert_eq!(plan.after(THING, "/note"), &json!("note 1"));
        workspace.apply_plan(&plan).succeeded();
        workspace.assert_clean();
    });
}

#[test]
fn a_plan_of_a_create_can_set_values_warn_and_refuse() {
    under_each_terraform(|workspace| {
        workspace.configure(&thing("name = \"foreseen\""));
        let plan = workspace.plan();
        assert_eq!(plan.after(THING, "/note"), &json!("foreseen"));
        workspace.apply_plan(&plan).succeeded();
        assert_eq!(workspace.state("sink_thing")["note"], json!("foreseen"));
        workspace.configure(&thing("name = \"forbidden\"\ntype = \"other\""));
        let refused = workspace.run(&["plan", "-json"]);
        assert_eq!(refused.error().summary, "Forbidden name");
        assert_eq!(refused.error().line, "name = \"forbidden\"");
    });
}

#[test]
fn a_replacement_is_planned_by_path() {
    under_each_terraform(|workspace| {
        workspace.configure(&thing("name = \"a\""));
        workspace.apply().succeeded();
        workspace.configure(&thing("name = \"a\"\ntype = \"other\""));
        let plan = workspace.plan();
        assert_eq!(plan.actions(THING), ["delete", "create"]);
        assert_eq!(plan.replaced_by(THING), "[[\"type\"]]");
        assert!(plan.is_unknown(THING, "/id"), "a new object has a new ID");
        workspace.apply_plan(&plan).succeeded();
        assert_eq!(workspace.state("sink_thing")["type"], json!("other"));
        workspace.assert_clean();
    });
}

#[test]
fn a_plan_of_a_create_knows_what_it_replaces() {
    under_each_terraform(|workspace| {
        workspace.configure(&thing("name = \"irreplaceable\""));
        workspace.apply().succeeded();
        workspace.configure(&thing("name = \"irreplaceable\"\ntype = \"other\""));
        let refused = workspace.run(&["plan", "-json"]);
        let replaced = if workspace.has(Capability::ReplacedIdentities) { "t-1" } else { "an unknown one" };
        assert_eq!(refused.error().detail, format!("It would replace {replaced}."));
        assert_eq!(refused.error().line, "type = \"other\"");
    });
}

#[test]
fn a_plan_of_a_destroy_can_refuse() {
    under_each_terraform(|workspace| {
        workspace.configure(&thing("name = \"protected\""));
        workspace.apply().succeeded();
        assert_eq!(workspace.run(&["plan", "-destroy", "-json"]).error().summary, "Protected thing");
        workspace.configure("");
        assert_eq!(workspace.run(&["plan", "-json"]).error().summary, "Protected thing");
    });
}

#[test]
fn a_create_that_fails_half_way_is_stored_as_tainted_and_then_replaced() {
    under_each_terraform(|workspace| {
        workspace.configure(&thing("name = \"half\""));
        let failed = workspace.apply();
        assert_eq!(failed.error().summary, "Half created");
        assert_eq!(failed.error().line, "name = \"half\"");
        let instance = workspace.instance("sink_thing");
        assert_eq!(instance["status"], json!("tainted"));
        assert_eq!(instance["attributes"]["id"], json!("t-1"));
        assert_eq!(instance["attributes"]["revision"], json!(null), "it was not found out");
        workspace.configure(&thing("name = \"whole\""));
        let plan = workspace.plan();
        assert_eq!(plan.actions(THING), ["delete", "create"]);
        workspace.apply_plan(&plan).succeeded();
        workspace.assert_clean();
    });
}

#[test]
fn unknown_values_are_planned_as_unknown_and_known_in_apply() {
    under_each_terraform(|workspace| {
        let unknown = "resource \"terraform_data\" \"u\" {\n  input = \"x\"\n}\n";
        let body = "name = terraform_data.u.output\nsize = length(terraform_data.u.output)\n\
                    labels = [\"a\", terraform_data.u.output, null]\ngroups = [terraform_data.u.output]\n\
                    tags = { a = terraform_data.u.output, b = null }\n\
                    owner = { name = terraform_data.u.output }\n\
                    disks = [for s in [1, 2] : { size = s, zone = terraform_data.u.output }]\n\
                    ports = { for k in [\"a\"] : k => { number = length(terraform_data.u.output) } }\n\
                    rules = [{ value = terraform_data.u.output }]\n\
                    anything = { of = terraform_data.u.output }";
        workspace.configure(&format!("{unknown}{}", thing(body)));
        let plan = workspace.plan();
        for pointer in [
            "/name",
            "/size",
            "/labels/1",
            "/tags/a",
            "/owner/name",
            "/owner/id",
            "/disks/1/zone",
            "/disks/1/id",
            "/ports/a/number",
            "/anything/of",
        ] {
            assert!(plan.is_unknown(THING, pointer), "{pointer}");
        }
        assert_eq!(plan.after(THING, "/labels/0"), &json!("a"));
        assert_eq!(plan.after(THING, "/labels/2"), &json!(null));
        assert_eq!(plan.after(THING, "/ports/a/protocol"), &json!("tcp"));
        workspace.apply_plan(&plan).succeeded();
        assert_eq!(workspace.state("sink_thing")["labels"], json!(["a", "x", null]));
        workspace.assert_clean();
    });
}

#[test]
fn collections_that_are_unknown_as_a_whole_are_planned_so() {
    under_each_terraform(|workspace| {
        let unknown = "resource \"terraform_data\" \"u\" {\n  input = [\"x\"]\n}\n\
                       locals {\n  texts = tolist([for t in terraform_data.u.output : t])\n}\n";
        let body = "name = \"a\"\nlabels = local.texts\ngroups = toset(local.texts)\n\
                    tags = { for t in local.texts : t => t }\n\
                    disks = [for t in local.texts : { size = 1 }]\n\
                    ports = { for t in local.texts : t => { number = 1 } }\n\
                    rules = [for t in local.texts : { value = t }]";
        workspace.configure(&format!("{unknown}{}", thing(body)));
        let plan = workspace.plan();
        for pointer in ["/labels", "/groups", "/tags", "/disks", "/ports", "/rules"] {
            assert!(plan.is_unknown(THING, pointer), "{pointer}");
        }
        workspace.apply_plan(&plan).succeeded();
        assert_eq!(workspace.state("sink_thing")["disks"][0]["id"], json!("disk-0"));
        workspace.assert_clean();
    });
}

#[test]
fn values_of_every_type_come_back_as_they_were() {
    under_each_terraform(|workspace| {
        let empty = "tags = {}\nlabels = []\ngroups = []\ndisks = []\nports = {}\nrules = []";
        let values = [
            ("0.1", "\"text\""),
            ("123456789012345678901234567890.5", "{ a = [1, \"x\", true], b = null }"),
            ("-9223372036854775809", "toset([1, 2])"),
            ("1e3", "tostring(null)"),
            ("0.5", "[]"),
            ("null", "null"),
        ];
        let things = values.iter().enumerate().map(|(number, (ratio, anything))| {
            let body = format!("name = \"a\"\nratio = {ratio}\nanything = {anything}\n{empty}");
            thing(&body).replace("\"it\"", &format!("\"t{number}\""))
        });
        workspace.configure(&things.collect::<String>());
        workspace.apply().succeeded();
        let state = workspace.state("sink_thing");
        assert_eq!((&state["labels"], &state["tags"]), (&json!([]), &json!({})));
        workspace.assert_clean();
        // Null isn't empty.
        workspace.configure(&thing("name = \"a\"").replace("\"it\"", "\"t0\""));
        workspace.apply().succeeded();
        assert_eq!(workspace.state("sink_thing")["labels"], json!(null));
        workspace.assert_clean();
    });
}

#[test]
fn drift_of_a_computed_value_is_shown_and_not_fought() {
    under_each_terraform(|workspace| {
        workspace.configure(&thing("name = \"a\""));
        workspace.apply().succeeded();
        workspace.write("things/t-1.note", "changed elsewhere");
        workspace.assert_clean();
        workspace.run(&["apply", "-refresh-only", "-json", "-auto-approve"]).succeeded();
        assert_eq!(workspace.state("sink_thing")["note"], json!("changed elsewhere"));
        std::fs::remove_file(workspace.path("things/t-1")).unwrap();
        assert_eq!(workspace.plan().actions(THING), ["create"]);
    });
}

#[test]
fn ignored_changes_stay_as_they_were() {
    under_each_terraform(|workspace| {
        let ignoring = |size: u32, name: &str| {
            let lifecycle = "lifecycle {\n  ignore_changes = [size, note, owner]\n}";
            thing(&format!("name = \"{name}\"\nsize = {size}\nowner = {{ name = \"o{size}\" }}\n{lifecycle}"))
        };
        workspace.configure(&ignoring(1, "a"));
        workspace.apply().succeeded();
        workspace.configure(&ignoring(2, "a"));
        workspace.assert_clean();
        workspace.configure(&ignoring(3, "b"));
        workspace.apply().succeeded();
        assert_eq!(workspace.state("sink_thing")["size"], json!(1));
        assert_eq!(workspace.state("sink_thing")["owner"]["name"], json!("o1"));
    });
}
