//! Connections made elsewhere come under Terraform.

use std::fs;

use kms_emulator::{Credentials, OTHER_PROJECT_ID, PROJECT_ID};
use serde_json::{Value, json};

use crate::harness::{
    capabilities::{Capability, under_each_terraform_with},
    clients,
    events::words,
    plans::{Change, MOVED_BY_CREDENTIALS, assert_plan_snapshot},
    releases::{Program, Release},
    workspace::{Workspace, address, configuration, connection, under_each_terraform},
};

const TOKEN: &str = "dbtu_1mp0rt3dG00dsX4c5v";

fn made_by_hand() -> Credentials {
    Credentials::new("https://cloud.getdbt.com", "12345", "dbtu_made_by_hand")
}

fn import(label: &str, how: &str) -> String {
    format!("import {{\n  to = {}\n  {how}\n}}\n", address(label))
}

/// What state has as the identity of a connection.
fn identity(workspace: &Workspace, label: &str) -> Value {
    let state: Value =
        serde_json::from_str(&fs::read_to_string(workspace.path("terraform.tfstate")).unwrap()).unwrap();
    let mut resources = state["resources"].as_array().unwrap().iter();
    resources.find(|resource| resource["name"] == label).unwrap()["instances"][0]["identity"].clone()
}

#[test]
fn an_imported_connection_gets_the_token_once_with_a_warning() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        let in_project = format!("\"{PROJECT_ID}\"");
        let connections = [
            connection("by_id", &[]),
            connection("by_name", &[]),
            connection("by_project_and_name", &[("project_id", &in_project)]),
        ];
        workspace.write("main.tf", &configuration(&connections));
        let kms = &workspace.emulator;
        let by_id = kms.create("by-id", None, &made_by_hand());
        kms.create("by-name", None, &made_by_hand());
        kms.create("by-project-and-name", Some(PROJECT_ID), &made_by_hand());

        for (label, id) in [
            ("by_id", by_id.as_str()),
            ("by_name", "by-name"),
            ("by_project_and_name", &format!("{PROJECT_ID}/by-project-and-name")),
        ] {
            workspace.run(&["import", "-no-color", &address(label), id]).succeeded();
        }
        assert!(kms.writes().is_empty());

        let plan = workspace.plan();
        let changes = plan.changes();
        assert_eq!(changes.len(), 3);
        for (address, change) in &changes {
            assert_eq!(*change, Change::update(&[&MOVED_BY_CREDENTIALS]), "{address}");
        }
        assert_eq!(plan.warned(), ["by_id", "by_name", "by_project_and_name"].map(address));
        workspace.apply_plan(&plan).succeeded();
        let writes = kms.writes();
        assert_eq!(writes.len(), 3);
        assert!(writes.iter().all(|write| write.method == "PATCH" && write.body_keys() == ["credentials"]));
        let outcome = workspace.assert_clean();
        assert!(outcome.warnings().is_empty(), "{outcome:#?}");
    });
}

#[test]
fn import_blocks_take_every_form_of_id() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        let kms = &workspace.emulator;
        let by_id = kms.create("by-id", None, &made_by_hand());
        kms.create("by-name", None, &made_by_hand());
        kms.create("by-project-and-name", Some(PROJECT_ID), &made_by_hand());
        let by_identity = kms.create("by-identity", None, &made_by_hand());

        let in_project = format!("\"{PROJECT_ID}\"");
        let mut parts = vec![
            connection("by_id", &[]),
            connection("by_name", &[("api_token_version", "\"1\"")]),
            connection("by_project_and_name", &[("project_id", &in_project)]),
        ];
        parts.push(import("by_id", &format!("id = {by_id:?}")));
        parts.push(import("by_name", "id = \"by-name\""));
        parts.push(import("by_project_and_name", &format!("id = \"{PROJECT_ID}/by-project-and-name\"")));
        let knows_identities = clients::has(version, Capability::Identities);
        if knows_identities {
            parts.push(connection("by_identity", &[]));
            parts.push(import("by_identity", &format!("identity = {{ id = {by_identity:?} }}")));
        }
        workspace.write("main.tf", &configuration(&parts));

        let plan = workspace.plan();
        let changes = plan.changes();
        assert_eq!(changes.len(), if knows_identities { 4 } else { 3 });
        for (changed, change) in &changes {
            let versioned: &[&str] =
                if *changed == address("by_name") { &["api_token_version"] } else { &[] };
            assert_eq!(*change, Change::update(&[versioned, &MOVED_BY_CREDENTIALS]), "{changed}");
        }
        assert_eq!(plan.warned().len(), changes.len(), "{:#?}", plan.outcome.warnings());
        workspace.apply_plan(&plan).succeeded();
        assert_eq!(kms.stored_credentials(&by_id).api_token, TOKEN);
        workspace.assert_clean();
    });
}

#[test]
fn generated_configuration_is_applied_as_it_is_and_takes_a_token_later() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        let kms = &workspace.emulator;
        let described = kms.create("by-project-and-name", Some(PROJECT_ID), &made_by_hand());
        kms.edit(&described, |connection| connection.description = Some("${made} \"by hand\"".into()));
        kms.create("by-name", None, &made_by_hand());
        let by_id = kms.create("by-id", Some(OTHER_PROJECT_ID), &made_by_hand());
        let write = |more: &str| {
            let imports = [
                import("in_project", &format!("id = \"{PROJECT_ID}/by-project-and-name\"{more}")),
                import("in_organization", &format!("id = \"by-name\"{more}")),
                import("elsewhere", &format!("id = {by_id:?}{more}")),
            ];
            workspace.write("main.tf", &configuration(&imports));
        };
        // Only by this line does Terraform 1.16 find the provider of what is to be generated.
        write("\n  provider = kms");

        let outcome = workspace.run(&["plan", "-json", "-generate-config-out=generated.tf"]).succeeded();
        assert!(outcome.warnings().iter().all(|warning| !warning.says(&["sent once"])), "{outcome:#?}");
        // Beside the generated block, the line is refused.
        assert!(workspace.apply().error().says(&["Invalid import provider argument"]));
        write("");
        workspace.apply().succeeded();
        assert!(kms.writes().is_empty());
        assert!(workspace.assert_clean().warnings().is_empty());

        let generated = fs::read_to_string(workspace.path("generated.tf")).unwrap();
        let null = match workspace.is_tofu() {
            false => "= null # sensitive\n",
            true => "= null # sensitive write-only\n",
        };
        assert_eq!(generated.matches(null).count(), 3, "{generated}");
        workspace.write("generated.tf", &generated.replace(null, "= var.token\n"));

        let plan = workspace.plan();
        let labels = ["elsewhere", "in_organization", "in_project"];
        let changes = plan.changes();
        assert_eq!(changes.keys().cloned().collect::<Vec<_>>(), labels.map(address));
        for (address, change) in &changes {
            assert_eq!(*change, Change::update(&[&MOVED_BY_CREDENTIALS]), "{address}");
        }
        assert_eq!(plan.warned(), labels.map(address));
        assert!(plan.outcome.warnings().iter().all(|warning| warning.says(&["sent once"])));
        assert!(kms.writes().is_empty());

        workspace.apply_plan(&plan).succeeded();
        let writes = kms.writes();
        assert_eq!(writes.len(), 3);
        assert!(writes.iter().all(|write| write.method == "PATCH" && write.body_keys() == ["credentials"]));
        let stored = kms.connection("by-project-and-name");
        assert_eq!(stored.description.as_deref(), Some("${made} \"by hand\""));
        assert!(workspace.assert_clean().warnings().is_empty());
    });
}

#[test]
fn an_imported_connection_shows_in_the_plan_what_happens_to_its_token() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        workspace.emulator.create("with-token", None, &made_by_hand());
        workspace.emulator.create("without-token", None, &made_by_hand());
        let parts = [
            connection("with_token", &[]),
            connection("without_token", &[("api_token", "")]),
            import("with_token", "id = \"with-token\""),
            import("without_token", "id = \"without-token\""),
        ];
        workspace.write("main.tf", &configuration(&parts));
        let plan = workspace.plan();
        let of_1_11 = Release { program: Program::OpenTofu, version: (1, 11) };
        if clients::release(version) == of_1_11 {
            // Unlike later ones, it doesn't show the ID of an import that changes nothing.
            assert_plan_snapshot!("plan_of_an_import", workspace, plan, "plan_of_an_import_in_opentofu_1_11");
        } else {
            assert_plan_snapshot!("plan_of_an_import", workspace, plan);
        }
    });
}

const MISSING_ID: &str = "3f0c5c1e-9d0f-4d43-8c6e-6a8f7f4f1aff";

/// What can't be imported, and what is said of it.
fn unimportable() -> [(String, Vec<&'static str>); 8] {
    let in_project = |name: &str| format!("{PROJECT_ID}/{name}");
    [
        (MISSING_ID.into(), vec!["There is no dbt connection with the ID", MISSING_ID, "in any project"]),
        (
            "nowhere".into(),
            vec!["no dbt connection named \"nowhere\" in the organization", "PROJECT_ID/NAME"],
        ),
        // It is in a project, and looked for in the organization.
        ("in-a-project".into(), vec!["\"in-a-project\" in the organization", "PROJECT_ID/NAME"]),
        (in_project("by-hand"), vec!["no dbt connection named \"by-hand\" in the project", PROJECT_ID]),
        (format!("{MISSING_ID}/in-a-project"), vec!["\"in-a-project\" in the project", MISSING_ID]),
        (
            "Not A Name".into(),
            vec!["\"Not A Name\" does not identify a dbt connection", "UUID", "PROJECT_ID/NAME", "NAME"],
        ),
        (in_project("a/b"), vec!["does not identify a dbt connection", "PROJECT_ID/NAME"]),
        ("/by-hand".into(), vec!["\"/by-hand\" does not identify a dbt connection", "PROJECT_ID/NAME"]),
    ]
}

#[test]
fn an_import_of_what_is_not_there_says_what_was_looked_for_and_where() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        workspace.write("main.tf", &configuration(&[connection("orders", &[])]));
        workspace.emulator.create("in-a-project", Some(PROJECT_ID), &made_by_hand());
        workspace.emulator.create("by-hand", None, &made_by_hand());
        for (id, expected) in unimportable() {
            let outcome = workspace.run(&["import", "-no-color", &address("orders"), &id]).failed();
            let said = words(&outcome.stderr);
            assert!(expected.iter().all(|expected| said.contains(expected)), "{id}: {said}");
            assert!(workspace.state(&address("orders")).is_null());
        }
        for (id, expected) in unimportable() {
            let parts = [connection("orders", &[]), import("orders", &format!("id = {id:?}"))];
            workspace.write("main.tf", &configuration(&parts));
            let outcome = workspace.failing_plan();
            assert!(outcome.error().says(&expected), "{id}: {outcome:#?}");
        }
        assert!(workspace.emulator.writes().is_empty());
    });
}

#[test]
fn an_identity_that_names_nothing_is_refused() {
    under_each_terraform_with(Capability::Identities, |version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        for (id, expected) in [
            (MISSING_ID, ["There is no dbt connection with the ID", MISSING_ID]),
            ("orders", ["\"id\" must be a UUID", "identity"]),
        ] {
            let how = format!("identity = {{ id = {id:?} }}");
            workspace.write("main.tf", &configuration(&[connection("orders", &[]), import("orders", &how)]));
            let outcome = workspace.failing_plan();
            assert!(outcome.error().says(&expected), "{id}: {outcome:#?}");
        }
    });
}

#[test]
fn the_identity_is_in_state_after_create_read_update_and_import() {
    under_each_terraform_with(Capability::Identities, |version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        let by_hand = workspace.emulator.create("by-hand", None, &made_by_hand());
        let write = |description: &str| {
            let parts = [
                connection("orders", &[("description", description)]),
                connection("by_hand", &[]),
                import("by_hand", "id = \"by-hand\""),
            ];
            workspace.write("main.tf", &configuration(&parts));
        };
        write("null");
        workspace.apply().succeeded();
        let orders = json!({ "id": workspace.emulator.connection("orders").id });
        assert_eq!(identity(&workspace, "orders"), orders, "after create");
        assert_eq!(identity(&workspace, "by_hand"), json!({ "id": by_hand }), "after import");

        write("\"changed\"");
        let plan = workspace.plan();
        assert_eq!(
            plan.change(&address("orders")),
            Change::update(&[&["description"], &MOVED_BY_CREDENTIALS])
        );
        let planned = plan.json["resource_changes"].as_array().unwrap();
        let planned = planned.iter().find(|change| change["address"] == address("orders")).unwrap();
        assert_eq!(planned["change"]["before_identity"], orders);
        assert_eq!(planned["change"]["after_identity"], orders);
        workspace.apply_plan(&plan).succeeded();
        assert_eq!(identity(&workspace, "orders"), orders, "after update");

        // A state from a Terraform without identities gets them when it is read.
        let text = fs::read_to_string(workspace.path("terraform.tfstate")).unwrap();
        let mut state: Value = serde_json::from_str(&text).unwrap();
        for resource in state["resources"].as_array_mut().unwrap() {
            let instance = resource["instances"][0].as_object_mut().unwrap();
            instance.remove("identity").unwrap();
            instance.remove("identity_schema_version");
        }
        workspace.write("terraform.tfstate", &state.to_string());
        assert!(identity(&workspace, "orders").is_null());
        workspace.run(&["apply", "-json", "-refresh-only", "-auto-approve"]).succeeded();
        assert_eq!(identity(&workspace, "orders"), orders, "after read");
        workspace.assert_clean();
    });
}
