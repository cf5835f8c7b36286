//! Connections made elsewhere come under Terraform.

use crate::{
    kms_emulator::{Credentials, PROJECT_ID},
    plans::{Change, MOVED_BY_CREDENTIALS},
    workspace::{Workspace, address, configuration, connection, under_each_terraform},
};

const TOKEN: &str = "dbtu_1mp0rt3dG00dsX4c5v";

fn made_by_hand() -> Credentials {
    Credentials::new("https://cloud.getdbt.com", "12345", "dbtu_made_by_hand")
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
        let import =
            |label: &str, how: String| format!("import {{\n  to = {}\n  {how}\n}}\n", address(label));
        parts.push(import("by_id", format!("id = {by_id:?}")));
        parts.push(import("by_name", "id = \"by-name\"".into()));
        parts.push(import("by_project_and_name", format!("id = \"{PROJECT_ID}/by-project-and-name\"")));
        let knows_identities = !version.starts_with("1.11.");
        if knows_identities {
            parts.push(connection("by_identity", &[]));
            parts.push(import("by_identity", format!("identity = {{ id = {by_identity:?} }}")));
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
fn an_import_of_what_is_not_there_says_so() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        workspace.write("main.tf", &configuration(&[connection("orders", &[])]));
        workspace.emulator.create("in-a-project", Some(PROJECT_ID), &made_by_hand());
        for id in
            ["3f0c5c1e-9d0f-4d43-8c6e-6a8f7f4f1aff", "in-a-project", "no-such-project/orders", "Not A Name"]
        {
            let outcome = workspace.run(&["import", "-no-color", &address("orders"), id]).failed();
            assert!(outcome.stderr.contains("Error"), "{outcome:#?}");
            assert!(workspace.state(&address("orders")).is_null());
        }
    });
}
