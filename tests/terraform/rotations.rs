//! Rotations of dbt service tokens, from create to destroy.

use std::collections::BTreeMap;

use kms_emulator::{
    Credentials, DbtRefusal, Fault, OTHER_PROJECT_ID, Options, PROJECT_ID, Performed, ROTATIONS, Reply,
    Rotations, Target,
};
use serde_json::{Value, json};

use crate::harness::{
    capabilities::{Capability, under_each_terraform_with},
    clients, events,
    plans::{Change, assert_plan_snapshot},
    workspace::{Workspace, resource, under_each_terraform},
};

const TOKEN: &str = "dbtu_m4kesS3rv1ceT0k3ns";

/// What any update of a rotation may change besides.
const MOVED: [&str; 5] =
    ["last_rotated_at", "last_rotation_message", "next_rotation_at", "status", "updated_at"];

/// A rotation called as its label is, with some arguments set to other expressions, or left out with an empty one.
fn rotation(label: &str, connection: &str, arguments: &[(&str, &str)]) -> String {
    let usual = BTreeMap::from([
        ("name", format!("\"{}\"", label.replace('_', "-"))),
        ("project_id", format!("\"{PROJECT_ID}\"")),
        ("connection_id", format!("\"{connection}\"")),
        ("environment", "\"prod\"".to_owned()),
        ("secret_name", format!("\"{}\"", label.to_uppercase())),
        ("token_name", format!("\"{label}\"")),
        ("permission_grants", "[{ permission_set = \"job_admin\" }]".to_owned()),
    ]);
    resource("kms_dbt_service_token_rotation", label, usual, arguments)
}

fn address(label: &str) -> String {
    format!("kms_dbt_service_token_rotation.{label}")
}

/// A workspace and the ID of a connection whose token may make service tokens.
fn workspace(version: &str, options: Options) -> (Workspace, String) {
    let workspace = Workspace::with(version, options);
    workspace.secret(TOKEN);
    let credentials = Credentials::new("https://cloud.getdbt.com", "12345", TOKEN);
    let connection = workspace.emulator.create("orders", None, &credentials);
    (workspace, connection)
}

fn start(version: &str) -> (Workspace, String) {
    workspace(version, Options::default())
}

/// The tokens that are live at dbt, by name. All that were ever made are searched for in the end.
fn live(workspace: &Workspace) -> Vec<String> {
    for token in workspace.emulator.service_tokens() {
        workspace.secret(&token.token);
    }
    workspace.emulator.live_service_tokens().into_iter().map(|token| token.name).collect()
}

/// The bodies of the writes about rotations since the last look.
fn sent(workspace: &Workspace) -> Vec<Value> {
    let writes = workspace.emulator.rotation_writes();
    workspace.emulator.clear_requests();
    writes.into_iter().map(|write| write.body.unwrap_or_default()).collect()
}

#[test]
fn a_rotation_lives_from_create_to_destroy_and_leaves_nothing_behind() {
    under_each_terraform(|version| {
        let (workspace, connection) = start(version);
        workspace.log_everything();
        workspace.write("main.tf", &rotation("orders", &connection, &[]));
        let plan = workspace.plan();
        assert_plan_snapshot!("plan_of_a_rotation", workspace, plan);
        workspace.apply_plan(&plan).succeeded();
        let body = sent(&workspace).remove(0);
        let expected = json!({
            "name": "orders", "projectId": PROJECT_ID, "connectionId": connection, "environment": "prod",
            "secretPath": "/", "isAutoRotationEnabled": true, "rotationInterval": 30,
            "rotateAtUtc": {"hours": 0, "minutes": 0},
            "parameters": {"tokenName": "orders", "permissionGrants": [{"permissionSet": "job_admin"}]},
            "secretsMapping": {"serviceToken": "ORDERS"},
        });
        assert_eq!(body, expected);
        let state = workspace.state(&address("orders"));
        assert_eq!((&state["status"], &state["last_rotation_message"]), (&json!("success"), &Value::Null));
        assert!(state["next_rotation_at"].is_string());
        assert_eq!(live(&workspace), ["orders"]);
        assert!(workspace.assert_clean().warnings().is_empty());

        // What the server changes by itself is no change.
        let id = workspace.emulator.rotation("orders").id;
        for _ in 0..30 {
            assert!(workspace.emulator.rotate_by_clock(&id));
        }
        assert!(workspace.assert_clean().warnings().is_empty());
        assert_eq!(live(&workspace), ["orders", "orders"]);

        workspace.destroy().succeeded();
        assert_eq!(live(&workspace), [""; 0]);
        assert!(workspace.emulator.rotations().is_empty());
        assert_eq!(workspace.emulator.secret_value(PROJECT_ID, "prod", "/", "ORDERS"), None);
    });
}

/// One rotation for each kind of change: its label, what differs before and after, and what is sent.
type Changes =
    Vec<(&'static str, Vec<(&'static str, &'static str)>, Vec<(&'static str, &'static str)>, Value)>;

fn changes() -> Changes {
    let two = "[{ permission_set = \"job_admin\" }, { permission_set = \"developer\", project_id = 7 }]";
    let turned = "[{ permission_set = \"developer\", project_id = 7 }, { permission_set = \"job_admin\" }]";
    let granted = json!([{"permissionSet": "developer", "projectId": 7}, {"permissionSet": "job_admin"}]);
    vec![
        ("untouched", vec![], vec![], json!(null)),
        (
            "grants_in_another_order",
            vec![("permission_grants", two)],
            vec![("permission_grants", turned)],
            json!(null),
        ),
        (
            "defaults_spelled_out",
            vec![],
            vec![("rotation_interval", "30"), ("secret_path", "\"/\""), ("rotate_at_utc", "{}")],
            json!(null),
        ),
        ("renamed", vec![], vec![("name", "\"after\"")], json!({"name": "after"})),
        ("described", vec![], vec![("description", "\"new\"")], json!({"description": "new"})),
        ("undescribed", vec![("description", "\"old\"")], vec![], json!({"description": null})),
        ("slower", vec![], vec![("rotation_interval", "60")], json!({"rotationInterval": 60})),
        (
            "later",
            vec![],
            vec![("rotate_at_utc", "{ hours = 3 }")],
            json!({"rotateAtUtc": {"hours": 3, "minutes": 0}}),
        ),
        (
            "stopped",
            vec![],
            vec![("auto_rotation_enabled", "false")],
            json!({"isAutoRotationEnabled": false}),
        ),
        (
            "secret_renamed",
            vec![],
            vec![("secret_name", "\"OTHER\"")],
            json!({"secretsMapping": {"serviceToken": "OTHER"}}),
        ),
        (
            "token_renamed",
            vec![],
            vec![("token_name", "\"other\"")],
            json!({"parameters": {"tokenName": "other", "permissionGrants": [{"permissionSet": "job_admin"}]}}),
        ),
        (
            "granted",
            vec![],
            vec![("permission_grants", turned)],
            json!({"parameters": {"tokenName": "granted", "permissionGrants": granted}}),
        ),
        ("kept_on_destroy", vec![], vec![("revoke_tokens_on_destroy", "false")], json!(null)),
    ]
}

#[test]
fn each_change_is_planned_and_sent_as_what_it_is() {
    under_each_terraform(|version| {
        let (workspace, connection) = start(version);
        let write = |after: bool| {
            let parts = changes()
                .into_iter()
                .map(|(label, old, new, _)| rotation(label, &connection, if after { &new } else { &old }));
            workspace.write("main.tf", &parts.collect::<String>());
        };
        write(false);
        workspace.apply().succeeded();
        let ids: BTreeMap<&str, String> = changes()
            .into_iter()
            .map(|(label, ..)| (label, workspace.state(&address(label))["id"].as_str().unwrap().to_owned()))
            .collect();

        write(true);
        let plan = workspace.plan();
        assert_plan_snapshot!("plan_of_each_change_of_a_rotation", workspace, plan);
        let planned = plan.changes();
        assert_eq!(planned[&address("renamed")], Change::update(&[&["name"], &MOVED]));
        assert_eq!(planned[&address("kept_on_destroy")], Change::update(&[&["revoke_tokens_on_destroy"]]));
        let still = ["untouched", "grants_in_another_order", "defaults_spelled_out"];
        assert!(still.iter().all(|label| !planned.contains_key(&address(label))), "{planned:#?}");
        assert_eq!(planned.len(), changes().len() - still.len());
        assert_eq!(plan.warned(), ["granted", "token_renamed"].map(address));
        let action = "kms_dbt_service_token_rotate";
        assert!(plan.outcome.warnings().iter().all(|warning| warning.says(&["next rotation", action])));

        workspace.emulator.clear_requests();
        workspace.apply_plan(&plan).succeeded();
        let writes = workspace.emulator.rotation_writes();
        for (label, _, _, expected) in changes() {
            let own = writes.iter().filter(|write| write.path.ends_with(&ids[label]));
            let bodies: Vec<_> = own.map(|write| write.body.clone().unwrap_or_default()).collect();
            let expected = if expected.is_null() { vec![] } else { vec![expected] };
            assert_eq!(without_order(bodies), without_order(expected), "{label}");
        }
        live(&workspace);
        workspace.assert_clean();
    });
}

/// Grants come in any order.
fn without_order(mut bodies: Vec<Value>) -> Vec<Value> {
    for body in &mut bodies {
        if let Some(grants) = body.pointer_mut("/parameters/permissionGrants").and_then(Value::as_array_mut) {
            grants.sort_by_key(Value::to_string);
        }
    }
    bodies
}

#[test]
fn a_failed_rotation_is_a_warning_in_each_plan() {
    under_each_terraform(|version| {
        let (workspace, connection) = start(version);
        workspace.write("main.tf", &rotation("orders", &connection, &[]));
        workspace.apply().succeeded();
        let id = workspace.emulator.rotation("orders").id;
        workspace
            .emulator
            .refuse_service_tokens(Some(DbtRefusal { status: 403, reason: "Not an owner.".into() }));
        workspace.emulator.rotate_by_clock(&id);
        for _ in 0..2 {
            let outcome = workspace.assert_clean();
            let warnings = outcome.warnings();
            assert_eq!(warnings.len(), 1, "{warnings:#?}");
            assert_eq!(warnings[0].address, address("orders"));
            assert!(
                warnings[0].says(&["The last rotation failed", "Not an owner.", "tries again at"]),
                "{warnings:#?}"
            );
            workspace.apply().succeeded();
        }
        assert_eq!(workspace.state(&address("orders"))["status"], "failed");
        live(&workspace);
    });
}

#[test]
fn imports_by_id_and_place_change_nothing() {
    under_each_terraform(|version| {
        let (workspace, connection) = start(version);
        workspace.emulator.make_folder(PROJECT_ID, "prod", "/teams/airflow");
        let deep = ("secret_path", "\"/teams/airflow\"");
        let parts = [
            rotation("by_id", &connection, &[]),
            rotation("by_place", &connection, &[]),
            rotation("deep", &connection, &[deep]),
        ];
        workspace.write("main.tf", &parts.concat());
        workspace.apply().succeeded();
        let id = workspace.emulator.rotation("by-id").id;
        for (label, key) in [
            ("by_id", id.clone()),
            ("by_place", format!("{PROJECT_ID}/prod/by-place")),
            ("deep", format!("{PROJECT_ID}/prod/teams/airflow/deep")),
        ] {
            workspace.run(&["state", "rm", &address(label)]).succeeded();
            workspace.run(&["import", "-no-color", &address(label), &key]).succeeded();
        }
        assert!(workspace.assert_clean().warnings().is_empty());
        for (key, expected) in [
            (
                format!("{PROJECT_ID}/prod/missing"),
                "There is no dbt service token rotation named \"missing\"",
            ),
            ("by-id".to_owned(), "does not identify a dbt service token rotation"),
        ] {
            workspace.run(&["state", "rm", &address("by_id")]).succeeded();
            let outcome = workspace.run(&["import", "-no-color", &address("by_id"), &key]).failed();
            assert!(events::words(&outcome.stderr).contains(expected), "{outcome:#?}");
            workspace.run(&["import", "-no-color", &address("by_id"), &id]).succeeded();
        }
        if clients::has(version, Capability::Identities) {
            workspace.run(&["state", "rm", &address("by_id")]).succeeded();
            let import =
                format!("import {{\n  to = {}\n  identity = {{ id = {id:?} }}\n}}\n", address("by_id"));
            workspace.write("import.tf", &import);
            let plan = workspace.plan();
            assert!(plan.changes().is_empty(), "{:#?}", plan.changes());
            workspace.apply_plan(&plan).succeeded();
        }
        live(&workspace);
    });
}

#[test]
fn a_replacement_deletes_the_secret_first() {
    under_each_terraform(|version| {
        let (workspace, connection) = start(version);
        let credentials = Credentials::new("https://cloud.getdbt.com", "12345", TOKEN);
        let other = workspace.emulator.create("other", None, &credentials);
        // Even where a destroy would leave the secret.
        let keeping = ("delete_secret_on_destroy", "false");
        workspace.write("main.tf", &rotation("orders", &connection, &[keeping]));
        workspace.apply().succeeded();
        workspace.write("main.tf", &rotation("orders", &other, &[keeping]));
        let plan = workspace.plan();
        assert_eq!(plan.change(&address("orders")).actions(), ["delete", "create"]);
        let warnings = plan.outcome.warnings();
        assert!(
            warnings[0].says(&["secret is deleted before its replacement", "create_before_destroy"]),
            "{warnings:#?}"
        );
        workspace.apply_plan(&plan).succeeded();
        assert_eq!(workspace.emulator.rotation("orders").connection_id, other);
        assert_eq!(live(&workspace), ["orders"]);

        // The other order can't work, and the plan has said why.
        let lifecycle = ("lifecycle", "{\n    create_before_destroy = true\n  }");
        workspace
            .write("main.tf", &rotation("orders", &connection, &[keeping, lifecycle, ("name", "\"new\"")]));
        let outcome = workspace.apply();
        assert_eq!(outcome.error().attribute, "secret_name");
        assert!(outcome.error().says(&["Secret already exists", "ORDERS"]), "{outcome:#?}");
        assert_eq!(workspace.emulator.rotation("orders").connection_id, other);
        live(&workspace);
    });
}

#[test]
fn a_destroy_leaves_only_what_it_was_told_to() {
    under_each_terraform(|version| {
        let (workspace, connection) = start(version);
        let arguments = [("revoke_tokens_on_destroy", "false"), ("delete_secret_on_destroy", "false")];
        workspace.write("main.tf", &rotation("orders", &connection, &arguments));
        workspace.apply().succeeded();
        workspace.write("main.tf", "");
        let plan = workspace.plan();
        assert_plan_snapshot!("plan_of_a_destroy_that_leaves_tokens", workspace, plan);
        workspace.apply_plan(&plan).succeeded();
        assert_eq!(live(&workspace), ["orders"]);
        assert!(workspace.emulator.secret_value(PROJECT_ID, "prod", "/", "ORDERS").is_some());
        assert!(workspace.emulator.rotations().is_empty());
    });
}

#[test]
fn a_destroy_without_a_good_token_says_how_to_go_on() {
    under_each_terraform(|version| {
        let (workspace, connection) = start(version);
        workspace.write("main.tf", &rotation("orders", &connection, &[]));
        workspace.apply().succeeded();
        workspace.emulator.revoke_at_dbt(TOKEN);
        let outcome = workspace.destroy();
        // The KMS doesn't say why dbt didn't confirm the credentials.
        let expected =
            ["Validation with dbt failed", "expired or revoked", "revoke_tokens_on_destroy = false"];
        assert!(outcome.error().says(&expected), "{outcome:#?}");
        assert!(!workspace.state(&address("orders")).is_null());
        live(&workspace);
    });
}

#[test]
fn bad_input_is_refused_in_validation() {
    under_each_terraform(|version| {
        let (workspace, connection) = start(version);
        let cases = [
            ("name", "\"Not A Name\"", "slug"),
            ("project_id", "\"\"", "must not be empty"),
            ("connection_id", "\"orders\"", "UUID"),
            ("environment", "\"Prod\"", "slug"),
            ("secret_path", "\"airflow\"", "must begin with \"/\""),
            ("secret_path", "\"/airflow/\"", "must not end with"),
            ("secret_name", "\"A B\"", "spaces"),
            ("secret_name", "\"a:b\"", "colons"),
            ("token_name", "\" a\"", "trimspace()"),
            ("token_name", "\"a\\u0000b\"", "U+0000"),
            ("description", "join(\"\", [for number in range(256) : \"a\"])", "at most 255 characters"),
            ("description", "\"a\\u0000b\"", "U+0000"),
            ("permission_grants", "[]", "at least one"),
            ("permission_grants", "[{ permission_set = \"job_admin\" }, null]", "null"),
            ("connection_id", "\"3F0C5C1E-9d0f-4d43-8c6e-6a8f7f4f1aff\"", "lower case"),
            ("permission_grants", "[{ permission_set = \"\" }]", "must not be empty"),
            ("rotation_interval", "0", "whole number from 1"),
            ("rotation_interval", "1.5", "whole number"),
            ("rotate_at_utc", "{ hours = 24 }", "from 0 to 23"),
            ("rotate_at_utc", "{ minutes = 60 }", "from 0 to 59"),
        ];
        for (attribute, expression, expected) in cases {
            workspace.write("main.tf", &rotation("orders", &connection, &[(attribute, expression)]));
            let outcome = workspace.validate();
            let errors = outcome.errors();
            assert_eq!(errors.len(), 1, "{attribute} = {expression}: {outcome:#?}");
            // Older releases don't point into an object.
            if !expression.starts_with('{') {
                assert_eq!(errors[0].attribute, attribute, "{expression}: {errors:#?}");
            }
            assert!(errors[0].says(&[expected]), "{attribute} = {expression}: {errors:#?}");
        }
        let unknown = "[{ permission_set = \"moon_admin\" }]";
        workspace.write("main.tf", &rotation("orders", &connection, &[("permission_grants", unknown)]));
        let outcome = workspace.validate().succeeded();
        assert!(
            outcome.warnings()[0].says(&["Unknown permission set", "moon_admin", "job_admin"]),
            "{outcome:#?}"
        );
        assert!(workspace.emulator.requests().is_empty());
    });
}

#[test]
fn what_the_server_refuses_is_named_on_its_attribute() {
    under_each_terraform(|version| {
        let (workspace, connection) = start(version);
        let missing = "3f0c5c1e-9d0f-4d43-8c6e-6a8f7f4f1aff";
        workspace.store_secret("/", "a-value-by-hand");
        let credentials = Credentials::new("https://cloud.getdbt.com", "12345", TOKEN);
        let elsewhere = workspace.emulator.create("elsewhere", Some(OTHER_PROJECT_ID), &credentials);
        let github = workspace.emulator.create("github", None, &credentials);
        workspace.emulator.edit(&github, |connection| connection.app = "github".into());
        let environments = "It has \"dev\", \"staging\", \"prod\"";
        let moon = ["Unknown environment", "no environment \"moon\"", environments];
        type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a [&'a str]);
        let cases: [Case<'_>; 8] = [
            (&[("secret_path", "\"/missing\"")], "secret_path", &["Unknown folder or environment"]),
            (&[("environment", "\"moon\"")], "environment", &moon),
            (&[("environment", "\"moon\""), ("secret_path", "\"/dbt\"")], "environment", &moon),
            (&[("secret_name", "\"DBT_TOKEN\"")], "secret_name", &["Secret already exists"]),
            (
                &[("connection_id", &format!("{missing:?}"))],
                "connection_id",
                &["Unknown connection", "the connection doesn't exist", missing, "kms_dbt_connection"],
            ),
            (
                &[("connection_id", &format!("{elsewhere:?}"))],
                "connection_id",
                &["Connection of another project", &elsewhere, OTHER_PROJECT_ID, PROJECT_ID],
            ),
            (
                &[("connection_id", &format!("{github:?}"))],
                "connection_id",
                &["Connection of another app", "not one to dbt", &github],
            ),
            (
                &[("project_id", "\"analytics\"")],
                "project_id",
                &["Unknown project", "no project with the ID \"analytics\"", "data source kms_project"],
            ),
        ];
        for (arguments, blamed, expected) in cases {
            workspace.write("main.tf", &rotation("orders", &connection, arguments));
            let outcome = workspace.apply();
            let error = outcome.error();
            assert_eq!(error.attribute, blamed, "{arguments:?}: {error:#?}");
            assert!(error.says(expected), "{arguments:?}: {error:#?}");
        }
        workspace
            .emulator
            .refuse_service_tokens(Some(DbtRefusal { status: 403, reason: "Not an owner.".into() }));
        workspace.write("main.tf", &rotation("orders", &connection, &[]));
        let outcome = workspace.apply();
        assert_eq!(outcome.error().attribute, "connection_id");
        assert!(
            outcome.error().says(&["dbt refused", "Not an owner.", "manage service tokens"]),
            "{outcome:#?}"
        );
        assert!(workspace.emulator.rotations().is_empty());
        live(&workspace);
    });
}

#[test]
fn a_server_without_rotations_and_one_without_the_license_are_told_apart() {
    under_each_terraform(|version| {
        for (rotations, expected) in [
            (Rotations::Absent, ["Not supported by this KMS", "This KMS has no secret rotations"]),
            (Rotations::Unlicensed, ["Not included in the license of the KMS", "plan restriction"]),
        ] {
            let (workspace, connection) = workspace(version, Options { rotations, ..Options::default() });
            workspace.write("main.tf", &rotation("orders", &connection, &[]));
            let outcome = workspace.apply();
            assert!(outcome.error().says(&expected), "{outcome:#?}");
            assert!(workspace.emulator.rotation_writes().is_empty(), "the plan fails");
        }
    });
}

#[test]
fn a_lost_create_is_found_and_one_that_failed_halfway_says_what_it_may_have_left() {
    under_each_terraform(|version| {
        let (workspace, connection) = start(version);
        workspace.write("main.tf", &rotation("orders", &connection, &[]));
        workspace.emulator.fault(Target::once("POST", ROTATIONS), Fault::ResetAfter);
        workspace.apply().succeeded();
        assert_eq!(workspace.emulator.rotations().len(), 1);
        assert_eq!(live(&workspace), ["orders"]);
        workspace.destroy().succeeded();

        workspace.emulator.clear_requests();
        workspace
            .emulator
            .fault(Target::once("POST", ROTATIONS), Fault::respond(500, Reply::Kms, Performed::Never));
        let outcome = workspace.apply().failed();
        assert_eq!(
            workspace.emulator.rotation_writes().len(),
            1,
            "each try may make a token, so there is one"
        );
        let warnings = outcome.warnings();
        assert!(
            warnings.iter().any(|warning| warning.says(&["left over", "named \"orders\"", "revoke them"])),
            "{outcome:#?}"
        );
        assert!(outcome.error().says(&["check dbt for service tokens"]), "{outcome:#?}");
        assert!(!outcome.error().says(&["applying again is safe"]), "{outcome:#?}");

        // dbt makes the tokens, and its answers are errors.
        workspace.emulator.clear_requests();
        workspace.emulator.state().dbt.creates_then_answers = Some(504);
        let outcome = workspace.apply().failed();
        assert_eq!(workspace.emulator.rotation_writes().len(), 1);
        assert_eq!(workspace.emulator.live_service_tokens().len(), 4, "the KMS itself repeats it");
        assert!(
            outcome.error().says(&["dbt is not available", "status code 504", "left over"]),
            "{outcome:#?}"
        );
        assert_eq!(outcome.error().attribute, "connection_id");
        assert!(outcome.warnings().iter().any(|warning| warning.says(&["named \"orders\""])), "{outcome:#?}");

        // What dbt has refused has left nothing.
        workspace.emulator.state().dbt.creates_then_answers = None;
        workspace.emulator.refuse_service_tokens(Some(DbtRefusal { status: 403, reason: String::new() }));
        let outcome = workspace.apply().failed();
        assert!(outcome.error().says(&["dbt refused the credentials"]), "{outcome:#?}");
        assert!(outcome.warnings().is_empty(), "{outcome:#?}");
    });
}

#[test]
fn an_existing_rotation_is_adopted_as_the_plan_says() {
    under_each_terraform(|version| {
        let (workspace, connection) = start(version);
        workspace.write("main.tf", &rotation("orders", &connection, &[]));
        workspace.apply().succeeded();
        let id = workspace.emulator.rotation("orders").id;
        let adopting = |label: &str| {
            rotation(
                label,
                &connection,
                &[
                    ("name", "\"orders\""),
                    ("secret_name", "\"ORDERS\""),
                    ("adopt_existing", "true"),
                    ("rotation_interval", "7"),
                ],
            )
        };
        workspace.write("main.tf", &[rotation("orders", &connection, &[]), adopting("twin")].concat());
        let outcome = workspace.failing_plan();
        assert!(outcome.error().says(&[&id]), "{outcome:#?}");

        workspace.run(&["state", "rm", &address("orders")]).succeeded();
        workspace.write("main.tf", &adopting("twin"));
        let plan = workspace.plan();
        assert!(plan.outcome.warnings()[0].says(&["will be adopted", &id]), "{:#?}", plan.outcome);
        workspace.apply_plan(&plan).succeeded();
        assert_eq!(workspace.state(&address("twin"))["id"], id.as_str());
        assert_eq!(workspace.emulator.rotation("orders").interval, 7);
        live(&workspace);
        workspace.assert_clean();
    });
}

#[test]
fn a_data_source_looks_a_rotation_up() {
    under_each_terraform(|version| {
        let (workspace, connection) = start(version);
        workspace.write("main.tf", &rotation("orders", &connection, &[]));
        workspace.apply().succeeded();
        let id = workspace.emulator.rotation("orders").id;
        let data = |label: &str, arguments: &str| {
            format!(
                "data \"kms_dbt_service_token_rotation\" \"{label}\" {{\n{arguments}\n}}\noutput \"{label}\" {{\n  value = data.kms_dbt_service_token_rotation.{label}\n}}\n"
            )
        };
        let place = format!("  name = \"orders\"\n  project_id = \"{PROJECT_ID}\"\n  environment = \"prod\"");
        workspace
            .write("look.tf", &[data("by_id", &format!("  id = {id:?}")), data("by_name", &place)].concat());
        workspace.apply().succeeded();
        let shown = workspace.run(&["output", "-json"]).succeeded();
        let outputs: Value = serde_json::from_str(&shown.stdout).unwrap();
        for label in ["by_id", "by_name"] {
            let found = &outputs[label]["value"];
            assert_eq!((&found["id"], &found["secret_name"]), (&json!(id), &json!("ORDERS")), "{label}");
            assert_eq!(
                found["permission_grants"],
                json!([{"permission_set": "job_admin", "project_id": null}])
            );
        }
        workspace.write("look.tf", &data("by_name", "  name = \"orders\""));
        let outcome = workspace.failing_plan();
        assert!(
            outcome.errors().iter().all(|error| error.says(&["A look-up by name needs"])),
            "{outcome:#?}"
        );
        live(&workspace);
    });
}

#[test]
fn a_query_finds_rotations_and_imports_them_unchanged() {
    under_each_terraform_with(Capability::Queries, |version| {
        let (workspace, connection) = start(version);
        workspace.write(
            "main.tf",
            &[rotation("one", &connection, &[]), rotation("two", &connection, &[])].concat(),
        );
        workspace.apply().succeeded();
        for label in ["one", "two"] {
            workspace.run(&["state", "rm", &address(label)]).succeeded();
        }
        workspace.write("main.tf", "");
        let list = format!(
            "list \"kms_dbt_service_token_rotation\" \"all\" {{\n  provider = kms\n  config {{\n    project_id = \"{PROJECT_ID}\"\n  }}\n}}\n"
        );
        workspace.write("find.tfquery.hcl", &list);
        workspace.run(&["query", "-json", "-generate-config-out=found.tf"]).succeeded();
        let plan = workspace.plan();
        assert!(plan.changes().is_empty(), "{:#?}", plan.changes());
        workspace.apply_plan(&plan).succeeded();
        live(&workspace);
        workspace.assert_clean();
    });
}

#[test]
fn an_action_rotates_once_and_says_which_token_is_current() {
    under_each_terraform_with(Capability::Actions, |version| {
        let (workspace, connection) = start(version);
        let action = format!(
            "action \"kms_dbt_service_token_rotate\" \"now\" {{\n  config {{\n    rotation_id = {}.id\n  }}\n}}\n",
            address("orders")
        );
        workspace.write("main.tf", &[rotation("orders", &connection, &[]), action].concat());
        workspace.apply().succeeded();
        let before = workspace.emulator.secret_value(PROJECT_ID, "prod", "/", "ORDERS").unwrap();
        let invoke: &[&str] =
            &["apply", "-json", "-auto-approve", "-invoke=action.kms_dbt_service_token_rotate.now"];
        let outcome = workspace.run(invoke).succeeded();
        let after = workspace.emulator.secret_value(PROJECT_ID, "prod", "/", "ORDERS").unwrap();
        assert_ne!(before, after);
        assert!(
            outcome.stdout.contains("has a new token since") && outcome.stdout.contains("read it again"),
            "{outcome:#?}"
        );
        assert_eq!(live(&workspace).len(), 2);

        workspace
            .emulator
            .refuse_service_tokens(Some(DbtRefusal { status: 403, reason: "Not an owner.".into() }));
        workspace.emulator.clear_requests();
        let outcome = workspace.run(invoke);
        assert!(
            outcome.error().says(&["Rotation failed", "Not an owner.", "stays in the secret"]),
            "{outcome:#?}"
        );
        assert_eq!(workspace.emulator.rotation_writes().len(), 1, "it is never repeated");
        live(&workspace);
    });
}

#[test]
fn three_hundred_rotations_over_twenty_projects_cost_one_list_each() {
    const PROJECTS: usize = 20;
    const EACH: usize = 15;
    under_each_terraform(|version| {
        let ids: Vec<String> =
            (0..PROJECTS).map(|number| format!("3f0c5c1e-9d0f-4d43-8c6e-{number:012}")).collect();
        let mut options = Options::default();
        options.projects.extend(ids.iter().map(|id| (id.clone(), format!("project-{}", &id[34..]))));
        let limits = options.rate_limits.take();
        let (workspace, connection) = workspace(version, options);
        let block = ids.iter().enumerate().map(|(number, id)| {
            let arguments = [
                ("count", EACH.to_string()),
                ("project_id", format!("{id:?}")),
                ("name", format!("\"r-{number}-${{count.index}}\"")),
                ("secret_name", "\"R_${count.index}\"".to_owned()),
            ];
            let arguments: Vec<_> = arguments.iter().map(|(name, value)| (*name, value.as_str())).collect();
            rotation(&format!("of_{number}"), &connection, &arguments)
        });
        workspace.write("main.tf", &block.collect::<String>());
        workspace.apply().succeeded();
        workspace.emulator.state().limiter.set(limits);
        workspace.emulator.clear_requests();
        workspace.assert_clean();
        let requests = workspace.emulator.requests();
        let lists = requests.iter().filter(|request| request.route == Some("list rotations")).count();
        let reads = requests.iter().filter(|request| request.method == "GET").count();
        assert!(lists <= PROJECTS && reads <= PROJECTS + 2, "{lists} lists of {reads} reads");
        assert!(requests.iter().all(|request| request.status != Some(429)));
    });
}

#[test]
fn a_replacement_says_that_tokens_stay_if_it_does_not_revoke_them() {
    under_each_terraform(|version| {
        let (workspace, connection) = start(version);
        let credentials = Credentials::new("https://cloud.getdbt.com", "12345", TOKEN);
        let other = workspace.emulator.create("other", None, &credentials);
        let keeping = ("revoke_tokens_on_destroy", "false");
        workspace.write("main.tf", &rotation("orders", &connection, &[keeping]));
        workspace.apply().succeeded();
        workspace.write("main.tf", &rotation("orders", &other, &[]));
        let plan = workspace.plan();
        let warnings = plan.outcome.warnings();
        assert!(warnings.iter().any(|warning| warning.says(&["Live tokens stay at dbt"])), "{warnings:#?}");
        workspace.apply_plan(&plan).succeeded();
        assert_eq!(live(&workspace), ["orders", "orders"]);
    });
}

#[test]
fn a_secret_whose_name_turns_out_the_same_is_deleted_before_its_replacement() {
    under_each_terraform(|version| {
        let (workspace, connection) = start(version);
        let credentials = Credentials::new("https://cloud.getdbt.com", "12345", TOKEN);
        let other = workspace.emulator.create("other", None, &credentials);
        let write = |trigger: &str, connection: &str| {
            let later = format!(
                "resource \"terraform_data\" \"later\" {{\n  input = \"ORDERS\"\n  triggers_replace = \"{trigger}\"\n}}\n"
            );
            let arguments =
                [("secret_name", "terraform_data.later.output"), ("delete_secret_on_destroy", "false")];
            workspace.write("main.tf", &(later + &rotation("orders", connection, &arguments)));
        };
        write("1", &connection);
        workspace.apply().succeeded();
        write("2", &other);
        workspace.apply().succeeded();
        assert_eq!(workspace.emulator.rotation("orders").connection_id, other);
        live(&workspace);
    });
}
