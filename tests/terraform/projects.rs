//! Projects, looked up by slug or ID.

use kms_emulator::{
    CLIENT_ID, CLIENT_SECRET, IDENTITY_ID, ORG_ID, OTHER_PROJECT_ID, Options, PROJECT_ID, Routes, Server,
    identities::Identity,
};
use serde_json::{Value, json};

use crate::harness::{
    plans::Change,
    workspace::{Workspace, address, configuration, connection, under_each_terraform},
};

const TOKEN: &str = "dbtu_0fAPr0j3ctB5SlugN7m8";
const MISSING_ID: &str = "3f0c5c1e-9d0f-4d43-8c6e-6a8f7f4f1aff";

fn project(label: &str, arguments: &[&str]) -> String {
    let arguments: String = arguments.iter().map(|argument| format!("  {argument}\n")).collect();
    format!("data \"kms_project\" \"{label}\" {{\n{arguments}}}\n")
}

/// The values of all outputs, by name.
fn outputs(workspace: &Workspace) -> Value {
    let outcome = workspace.run(&["output", "-json"]).succeeded();
    let outputs: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let values = outputs.as_object().unwrap().iter();
    values.map(|(name, output)| (name.clone(), output["value"].clone())).collect()
}

/// The paths of all requests but logins.
fn asked(workspace: &Workspace) -> Vec<String> {
    let requests = workspace.emulator.requests().into_iter();
    requests.filter(|request| request.method == "GET").map(|request| request.path).collect()
}

#[test]
fn a_project_is_found_by_slug_and_by_id_over_the_routes_that_the_server_has() {
    under_each_terraform(|version| {
        for project_routes in [Routes::Both, Routes::Newer, Routes::Older] {
            let workspace = Workspace::with(version, Options { project_routes, ..Options::default() });
            let parts = [
                project("by_slug", &["slug = \"analytics\""]),
                project("by_id", &[&format!("id = {OTHER_PROJECT_ID:?}")]),
                "output \"by_slug\" {\n  value = data.kms_project.by_slug\n}\n".into(),
                "output \"by_id\" {\n  value = data.kms_project.by_id\n}\n".into(),
            ];
            workspace.write("main.tf", &parts.concat());
            workspace.apply().succeeded();
            let expected = |id: &str, slug: &str| {
                json!({
                    "id": id, "slug": slug, "name": slug, "description": null, "type": "secret-manager", "org_id": ORG_ID,
                    "environments": {"dev": "dev", "staging": "staging", "prod": "prod"},
                })
            };
            let given = outputs(&workspace);
            assert_eq!(given["by_slug"], expected(PROJECT_ID, "analytics"), "{project_routes:?}");
            assert_eq!(given["by_id"], expected(OTHER_PROJECT_ID, "platform"), "{project_routes:?}");
            workspace.assert_clean();
        }
    });
}

#[test]
fn one_request_serves_all_that_name_a_project() {
    under_each_terraform(|version| {
        for (project_routes, expected) in [
            (Routes::Both, &["/api/v1/projects/slug/analytics"][..]),
            (Routes::Older, &["/api/v1/projects/slug/analytics", "/api/v2/workspace/analytics"]),
        ] {
            let workspace = Workspace::with(version, Options { project_routes, ..Options::default() });
            // More than the KMS allows in a minute.
            let many = project("many", &["count = 80", "slug = \"analytics\""]);
            let by_id = project("again", &["count = 5", "id = data.kms_project.many[7].id"]);
            let output = "output \"ids\" {\n  value = distinct(concat(data.kms_project.many, data.kms_project.again)[*].id)\n}\n";
            workspace.write("main.tf", &[&many, &by_id, output].concat());
            let plan = workspace.plan();
            assert_eq!(asked(&workspace), expected, "{project_routes:?}");
            workspace.apply_plan(&plan).succeeded();
            assert_eq!(outputs(&workspace)["ids"], json!([PROJECT_ID]));
        }
    });
}

#[test]
fn a_connection_takes_its_project_by_slug() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        let parts = [
            "resource \"terraform_data\" \"later\" {\n  input = \"platform\"\n}\n".into(),
            project("known", &["slug = \"analytics\""]),
            project("later", &["slug = terraform_data.later.output"]),
            connection("orders", &[("project_id", "data.kms_project.known.id")]),
            connection("sales", &[("project_id", "data.kms_project.later.id")]),
        ];
        workspace.write("main.tf", &configuration(&parts));
        workspace.validate().succeeded();
        let plan = workspace.plan();
        let changes = plan.changes();
        assert_eq!(changes.get("data.kms_project.later").map(Change::actions), Some(vec!["read"]));
        assert_eq!(changes.get("data.kms_project.known"), None, "it is read in the plan");
        workspace.apply_plan(&plan).succeeded();
        for (label, id) in [("orders", PROJECT_ID), ("sales", OTHER_PROJECT_ID)] {
            assert_eq!(workspace.emulator.connection(label).project_id.as_deref(), Some(id));
            assert_eq!(workspace.state(&address(label))["project_id"], id);
        }
        workspace.assert_clean();
    });
}

#[test]
fn a_project_that_is_not_there_is_an_error_on_the_attribute_that_names_it() {
    under_each_terraform(|version| {
        let missing_id = format!("id = {MISSING_ID:?}");
        let cases: [(&[&str], &str, &[&str]); 7] = [
            (&["slug = \"nope\""], "slug", &["Unknown project", "find the project \"nope\""]),
            (&[&missing_id], "id", &["Unknown project", MISSING_ID]),
            (&["slug = \"No Slug\""], "slug", &["must be a slug"]),
            (&["id = \" x\""], "id", &["must not begin or end with white space"]),
            (&[&missing_id, "slug = \"analytics\""], "slug", &["Conflicting arguments", "both set"]),
            (&[], "", &["Missing argument", "Set \"slug\" or \"id\""]),
            (&["slug = \"\""], "slug", &["must not be empty"]),
        ];
        for project_routes in [Routes::Newer, Routes::Older] {
            let workspace = Workspace::with(version, Options { project_routes, ..Options::default() });
            for (arguments, attribute, expected) in cases {
                workspace.write("main.tf", &project("it", arguments));
                let outcome = workspace.failing_plan();
                let error = outcome.error();
                assert!(error.says(expected), "{arguments:?}: {error:#?}");
                assert_eq!(error.attribute, attribute, "{arguments:?}: {error:#?}");
            }
        }

        // Both are known only in the apply.
        let workspace = Workspace::new(version);
        let later = "resource \"terraform_data\" \"later\" {\n  input = \"analytics\"\n}\n";
        let arguments = ["slug = terraform_data.later.output", "id = terraform_data.later.id"];
        workspace.write("main.tf", &[later, &project("it", &arguments)].concat());
        let outcome = workspace.apply();
        let error = outcome.error();
        assert!(error.says(&["Conflicting arguments"]), "{error:#?}");
        assert!(asked(&workspace).is_empty());

        let identities =
            vec![Identity::new(IDENTITY_ID, CLIENT_ID, CLIENT_SECRET).only_in(&[OTHER_PROJECT_ID])];
        let options = Options { identities, server: Server::Infisical, ..Options::default() };
        let workspace = Workspace::with(version, options);
        workspace.write("main.tf", &project("it", &["slug = \"analytics\""]));
        let outcome = workspace.failing_plan();
        let error = outcome.error();
        assert!(
            error.says(&[
                "Not allowed",
                "find the project \"analytics\"",
                "You are not member of this project"
            ]),
            "{error:#?}"
        );
    });
}
