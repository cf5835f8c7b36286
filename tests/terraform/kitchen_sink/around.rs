//! The other kinds of types, and the smallest resource.

use std::fs;

use serde_json::{Value, json};

use crate::{
    harness::releases::Capability,
    kitchen_sink::workspace::{Workspace, under_each_terraform},
};

const THING: &str = "resource \"sink_thing\" \"it\" {\n  name = \"a\"\n  disks = [{ size = 4 }]\n}\n";

fn output(workspace: &Workspace, name: &str) -> Value {
    workspace.state_file()["outputs"][name]["value"].clone()
}

#[test]
fn a_data_source_reads_after_the_thing_is_there() {
    under_each_terraform(|workspace| {
        let data = "data \"sink_thing\" \"it\" {\n  name = sink_thing.it.name\n  depends_on = [sink_thing.it]\n}\n\
                    output \"found\" {\n  value = data.sink_thing.it\n}\n";
        workspace.configure(&format!("{THING}{data}"));
        workspace.apply().succeeded();
        assert_eq!(output(workspace, "found"), json!({"name": "a", "id": "t-1", "disks": [{"size": 4}]}));
        workspace.configure("data \"sink_thing\" \"it\" {\n  name = \"nobody\"\n}\n");
        let failed = workspace.run(&["plan", "-json"]);
        assert_eq!(
            (failed.error().summary.as_str(), failed.error().line.as_str()),
            ("No such thing", "name = \"nobody\"")
        );
    });
}

#[test]
fn an_ephemeral_value_reaches_a_write_only_attribute() {
    under_each_terraform(|workspace| {
        let token = |name: &str| {
            format!(
                "ephemeral \"sink_token\" \"it\" {{\n  name = \"{name}\"\n}}\nresource \"sink_thing\" \"it\" {{\n  \
                 name     = \"a\"\n  password = ephemeral.sink_token.it.token\n}}\n"
            )
        };
        workspace.configure(&token("first"));
        workspace.apply().succeeded();
        workspace.assert_clean();
        workspace.configure(&token("second"));
        workspace.apply().succeeded();
        assert_eq!(workspace.state("sink_thing")["revision"], json!(2));
        assert!(!workspace.stores("token-for-"));
        workspace.configure(&token("nothing"));
        assert_eq!(workspace.validate().error().summary, "No token");
    });
}

#[test]
fn functions_take_and_give_values_of_every_type() {
    under_each_terraform(|workspace| {
        let calls = [
            ("join([\"a\", \"b\"])", json!("a+b")),
            ("join([])", json!("")),
            ("total({ a = 1, b = 41 })", json!(42)),
            ("swap({ a = \"x\", b = true })", json!({"a": true, "b": "x"})),
            ("kind([1, \"x\"])", json!("[\"tuple\",[\"number\",\"string\"]]")),
            ("kind(\"x\")", json!("\"string\"")),
            ("kind(0.1)", json!("0.1")),
            ("join([terraform_data.u.output])", json!("x")),
        ];
        let mut text = "resource \"terraform_data\" \"u\" {\n  input = \"x\"\n}\n".to_owned();
        for (number, (call, _)) in calls.iter().enumerate() {
            text += &format!("output \"o{number}\" {{\n  value = provider::sink::{call}\n}}\n");
        }
        workspace.configure(&text);
        workspace.apply().succeeded();
        for (number, (call, result)) in calls.iter().enumerate() {
            assert_eq!(output(workspace, &format!("o{number}")), *result, "{call}");
        }
        workspace.configure("output \"it\" {\n  value = provider::sink::join([\"a\", null])\n}\n");
        let failed = workspace.run(&["plan", "-json"]);
        assert!(failed.error().detail.contains("has a text that is null."), "{failed:#?}");
    });
}

#[test]
fn listed_things_have_identities_and_nothing_that_is_write_only() {
    under_each_terraform(|workspace| {
        if !workspace.has(Capability::Queries) {
            return;
        }
        workspace.configure(THING);
        workspace.apply().succeeded();
        let query = "list \"sink_thing\" \"all\" {\n  provider         = sink\n  include_resource = true\n  config {\n    \
                     prefix = \"a\"\n  }\n}\n";
        workspace.write("all.tfquery.hcl", query);
        let outcome = workspace.run(&["query", "-json"]).succeeded();
        assert!(!outcome.stdout.contains("listed-password"), "{outcome:#?}");
        let found = outcome.stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let found: Vec<Value> = found.filter(|line| line["type"] == "list_resource_found").collect();
        assert_eq!(found.len(), 1, "{outcome:#?}");
        let found = &found[0]["list_resource_found"];
        assert_eq!(found["identity"], json!({"id": "t-1", "realm": "sink"}));
        assert_eq!(found["resource_object"]["password"], json!(null));
        assert_eq!(found["resource_object"]["disks"][0]["size"], json!(4));
    });
}

#[test]
fn an_action_runs_and_reports() {
    under_each_terraform(|workspace| {
        if !workspace.has(Capability::Actions) {
            return;
        }
        let action = |id: &str| {
            format!("{THING}action \"sink_touch\" \"it\" {{\n  config {{\n    id = \"{id}\"\n  }}\n}}\n")
        };
        workspace.configure(&action("t-1"));
        workspace.apply().succeeded();
        let invoke = ["apply", "-json", "-auto-approve", "-invoke=action.sink_touch.it"];
        let outcome = workspace.run(&invoke).succeeded();
        assert!(outcome.stdout.contains("Touched a."), "{outcome:#?}");
        workspace.configure(&action("t-9"));
        let failed = workspace.run(&invoke);
        let error = failed.error();
        if workspace.release.version >= (1, 16) {
            assert_eq!(error.text(), "No such thing There is nothing to touch.");
        } else {
            // As a part of an error of Terraform's own.
            assert!(error.detail.contains("No such thing: There is nothing to touch."), "{failed:#?}");
        }
    });
}

#[test]
fn the_smallest_resource_lives_a_whole_life() {
    under_each_terraform(|workspace| {
        let path = workspace.path("greeting");
        let file = |text: &str| {
            workspace.configure(&format!(
                "resource \"sink_file\" \"it\" {{\n  path = {path:?}\n  text = \"{text}\"\n}}\n"
            ));
        };
        file("Hello, world!");
        workspace.apply().succeeded();
        workspace.assert_clean();
        assert_eq!(fs::read_to_string(&path).unwrap(), "Hello, world!");
        file("Good bye!");
        let plan = workspace.plan();
        assert_eq!(plan.actions("sink_file.it"), ["delete", "create"]);
        workspace.apply_plan(&plan).succeeded();
        assert_eq!(fs::read_to_string(&path).unwrap(), "Good bye!");
        workspace.run(&["state", "rm", "sink_file.it"]).succeeded();
        workspace.run(&["import", "sink_file.it", path.to_str().unwrap()]).succeeded();
        workspace.assert_clean();
        fs::write(&path, "changed elsewhere").unwrap();
        assert_eq!(workspace.plan().actions("sink_file.it"), ["delete", "create"]);
        workspace.destroy().succeeded();
        assert!(!path.exists());
    });
}
