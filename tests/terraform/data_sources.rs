//! Looking connections up, and watching the health of their tokens.

use kms_emulator::{
    CLIENT_ID, CLIENT_SECRET, CONNECTIONS, Credentials, Emulator, IDENTITY_ID, LoggedRequest,
    OTHER_PROJECT_ID, Options, PROJECT_ID, Server, dbt_cloud, identities::Identity,
};
use serde_json::{Value, json};

use crate::harness::{
    plans::{Change, Plan},
    workspace::{Outcome, Workspace, address, configuration, connection, under_each_terraform},
};

const TOKEN: &str = "dbtu_l00k3dUpH3r3V4b5n6";
const MISSING_ID: &str = "3f0c5c1e-9d0f-4d43-8c6e-6a8f7f4f1aff";

fn made_by_hand() -> Credentials {
    Credentials::new("https://emea.dbt.com", "67890", "dbtu_made_by_hand")
}

/// A data source, with its arguments.
fn data(kind: &str, label: &str, arguments: &[&str]) -> String {
    let arguments: String = arguments.iter().map(|argument| format!("  {argument}\n")).collect();
    format!("data \"kms_{kind}\" \"{label}\" {{\n{arguments}}}\n")
}

fn output(name: &str, value: &str) -> String {
    format!("output \"{name}\" {{\n  value = {value}\n}}\n")
}

/// The values of all outputs, by name.
fn outputs(workspace: &Workspace) -> Value {
    let outcome = workspace.run(&["output", "-json"]).succeeded();
    let outputs: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let values = outputs.as_object().unwrap().iter();
    values.map(|(name, output)| (name.clone(), output["value"].clone())).collect()
}

/// What is to be seen of a stored connection, but for its times.
fn shown(kms: &Emulator, name: &str) -> Value {
    let stored = kms.connection(name);
    let credentials = kms.stored_credentials(&stored.id);
    json!({
        "id": stored.id,
        "name": stored.name,
        "description": stored.description,
        "project_id": stored.project_id,
        "instance_url": credentials.instance_url,
        "account_id": credentials.account_id,
        "org_id": stored.org_id,
        "method": "api-token",
        "is_platform_managed_credentials": false,
        "version": stored.version,
        "credentials_hash": stored.credentials.hash(),
    })
}

/// Takes the times out of what a data source gave, and holds them to be some.
fn without_times(mut given: Value) -> Value {
    for name in ["created_at", "updated_at"] {
        let time = given.as_object_mut().unwrap().remove(name).unwrap();
        assert!(time.as_str().unwrap().ends_with('Z'), "{name}: {time}");
    }
    given
}

#[test]
fn one_connection_is_looked_up_by_each_of_its_arguments() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.secret("dbtu_made_by_hand");
        let kms = &workspace.emulator;
        let id = kms.create("orders", None, &made_by_hand());
        kms.edit(&id, |connection| connection.description = Some("of the organization".into()));
        kms.create("sales", Some(PROJECT_ID), &made_by_hand());
        let project = format!("project_id = \"{PROJECT_ID}\"");
        let parts = [
            data("dbt_connection", "by_id", &[&format!("id = {id:?}")]),
            data("dbt_connection", "by_name", &["name = \"orders\""]),
            data("dbt_connection", "in_project", &["name = \"sales\"", &project]),
            output("by_id", "data.kms_dbt_connection.by_id"),
            output("by_name", "data.kms_dbt_connection.by_name"),
            output("in_project", "data.kms_dbt_connection.in_project"),
        ];
        workspace.write("main.tf", &parts.concat());
        workspace.apply().succeeded();
        let given = outputs(&workspace);
        for (label, name) in [("by_id", "orders"), ("by_name", "orders"), ("in_project", "sales")] {
            assert_eq!(without_times(given[label].clone()), shown(kms, name), "{label}");
        }
        assert_eq!(given["by_id"], given["by_name"]);
        workspace.assert_clean();
        assert!(kms.writes().is_empty());
    });
}

#[test]
fn lists_are_of_one_scope_sorted_and_stable() {
    under_each_terraform(|version| {
        let options = Options { lists_ignore_hyphens: true, ..Options::default() };
        let workspace = Workspace::with(version, options);
        workspace.secret("dbtu_made_by_hand");
        let kms = &workspace.emulator;
        for name in ["sales-b", "salesa", "orders", "sales-a"] {
            kms.create(name, None, &made_by_hand());
        }
        kms.create("marketing", Some(PROJECT_ID), &made_by_hand());
        let project = |id: &str| format!("project_id = {id:?}");
        let parts = [
            data("dbt_connections", "organization", &[]),
            data("dbt_connections", "project", &[&project(PROJECT_ID)]),
            data("dbt_connections", "empty", &[&project(OTHER_PROJECT_ID)]),
            output("organization", "data.kms_dbt_connections.organization.connections"),
            output("project", "data.kms_dbt_connections.project.connections"),
            output("empty", "data.kms_dbt_connections.empty.connections"),
        ];
        workspace.write("main.tf", &parts.concat());
        workspace.apply().succeeded();
        let given = outputs(&workspace);
        let expected = |names: &[&str]| names.iter().map(|name| shown(kms, name)).collect::<Vec<_>>();
        let without_times = |label: &str| {
            let listed = given[label].as_array().unwrap().iter();
            listed.map(|connection| without_times(connection.clone())).collect::<Vec<_>>()
        };
        assert_eq!(without_times("organization"), expected(&["orders", "sales-a", "sales-b", "salesa"]));
        assert_eq!(without_times("project"), expected(&["marketing"]));
        assert_eq!(given["empty"], json!([]));
        workspace.assert_clean();

        // The server's order is nobody's business, so a change of it is no change.
        kms.state().options.lists_ignore_hyphens = false;
        workspace.assert_clean();
        kms.create("sales-0", None, &made_by_hand());
        workspace.apply().succeeded();
        let names = outputs(&workspace)["organization"].as_array().unwrap().clone();
        let names: Vec<_> = names.iter().map(|listed| listed["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["orders", "sales-0", "sales-a", "sales-b", "salesa"]);
    });
}

#[test]
fn all_projects_lists_the_organization_and_its_projects() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.secret("dbtu_made_by_hand");
        let kms = &workspace.emulator;
        kms.create("sales", None, &made_by_hand());
        kms.create("orders", Some(PROJECT_ID), &made_by_hand());
        kms.create("marketing", Some(OTHER_PROJECT_ID), &made_by_hand());
        let of_other_app = kms.create("aws", Some(PROJECT_ID), &made_by_hand());
        kms.edit(&of_other_app, |connection| connection.app = "aws".into());
        let parts = [
            data("dbt_connections", "all", &["all_projects = true"]),
            data("dbt_connections", "organization", &["all_projects = false"]),
            output("all", "data.kms_dbt_connections.all.connections"),
            output("organization", "data.kms_dbt_connections.organization.connections"),
        ];
        workspace.write("main.tf", &parts.concat());
        workspace.apply().succeeded();
        let given = outputs(&workspace);
        let listed = |label: &str| {
            let listed = given[label].as_array().unwrap().iter();
            listed.map(|connection| without_times(connection.clone())).collect::<Vec<_>>()
        };
        let expected = |names: &[&str]| names.iter().map(|name| shown(kms, name)).collect::<Vec<_>>();
        assert_eq!(listed("all"), expected(&["marketing", "orders", "sales"]));
        assert_eq!(listed("organization"), expected(&["sales"]));
        let is_read = |request: &&LoggedRequest| request.method == "GET";
        assert!(kms.requests().iter().filter(is_read).all(|request| request.is("GET", CONNECTIONS)));
        workspace.assert_clean();
    });
}

#[test]
fn all_projects_needs_the_right_to_read_the_organization() {
    under_each_terraform(|version| {
        let identity = Identity::new(IDENTITY_ID, CLIENT_ID, CLIENT_SECRET).only_in(&[PROJECT_ID]);
        let workspace =
            Workspace::with(version, Options { identities: vec![identity], ..Options::default() });
        workspace.emulator.create("orders", Some(PROJECT_ID), &made_by_hand());
        let of_project = data("dbt_connections", "it", &[&format!("project_id = {PROJECT_ID:?}")]);
        workspace.write("main.tf", &of_project);
        workspace.apply().succeeded();

        workspace.write("main.tf", &data("dbt_connections", "it", &["all_projects = true"]));
        let outcome = workspace.failing_plan();
        let error = outcome.error();
        assert_eq!(error.address, "data.kms_dbt_connections.it");
        assert!(
            error.says(&[
                "Not allowed",
                "list the dbt connections",
                "a permission in the organization",
                "read on app-connections"
            ]),
            "{error:#?}"
        );
    });
}

#[test]
fn projects_are_those_that_the_stored_token_sees() {
    under_each_terraform(|version| {
        let project = |id, name: &str| dbt_cloud::DbtProject { id, name: name.into() };
        let account = dbt_cloud::DbtAccount {
            host: "emea.dbt.com".into(),
            account_id: "67890".into(),
            tokens: vec!["dbtu_made_by_hand".into()],
            projects: vec![project(3, "Sales"), project(20, "Orders"), project(1, "Sales")],
        };
        let dbt = dbt_cloud::DbtCloud { accounts: vec![account], ..Default::default() };
        let workspace = Workspace::with(version, Options { dbt, ..Options::default() });
        workspace.secret("dbtu_made_by_hand");
        let id = workspace.emulator.create("orders", None, &made_by_hand());
        let parts = [
            data("dbt_projects", "seen", &[&format!("connection_id = {id:?}")]),
            output(
                "seen",
                "[for project in data.kms_dbt_projects.seen.projects : [project.name, project.id]]",
            ),
        ];
        workspace.write("main.tf", &parts.concat());
        workspace.apply().succeeded();
        assert_eq!(outputs(&workspace)["seen"], json!([["Orders", 20], ["Sales", 1], ["Sales", 3]]));
        workspace.assert_clean();
    });
}

#[test]
fn what_is_known_only_after_apply_is_looked_up_then() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        let of_new = "kms_dbt_connection.orders";
        let parts = [
            connection("orders", &[("project_id", &format!("{PROJECT_ID:?}"))]),
            data("dbt_connection", "by_id", &[&format!("id = {of_new}.id")]),
            "resource \"terraform_data\" \"later\" {\n  input = \"orders\"\n}\n".into(),
            data(
                "dbt_connection",
                "by_name",
                &["name = terraform_data.later.output", &format!("project_id = {of_new}.project_id")],
            ),
            data(
                "dbt_connections",
                "all",
                &[&format!("project_id = {of_new}.id == null ? null : {of_new}.project_id")],
            ),
            data("dbt_projects", "seen", &[&format!("connection_id = {of_new}.id")]),
            output("ids", "[data.kms_dbt_connection.by_id.id, data.kms_dbt_connection.by_name.id]"),
            output("listed", "data.kms_dbt_connections.all.connections[*].name"),
            output("seen", "data.kms_dbt_projects.seen.projects[*].name"),
        ];
        workspace.write("main.tf", &configuration(&parts));
        workspace.validate().succeeded();
        let plan = workspace.plan();
        let changes = plan.changes();
        for label in ["connection.by_id", "connection.by_name", "connections.all", "projects.seen"] {
            let read = changes.get(&format!("data.kms_dbt_{label}")).map(Change::actions);
            assert_eq!(read, Some(vec!["read"]), "{label}: {changes:#?}");
        }
        // The plan of the create reads the list of its project, and nothing else is read.
        let reads = workspace.emulator.requests().into_iter().filter(|request| request.method == "GET");
        assert_eq!(reads.map(|read| read.path).collect::<Vec<_>>(), [kms_emulator::CONNECTIONS]);
        workspace.apply_plan(&plan).succeeded();
        let id = workspace.emulator.connection("orders").id;
        let expected = json!({ "ids": [id, id], "listed": ["orders"], "seen": ["Analytics", "Marketing"] });
        assert_eq!(outputs(&workspace), expected);
        workspace.assert_clean();
    });
}

#[test]
fn what_is_not_there_is_an_error_on_the_attribute_that_names_it() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.emulator.create("in-a-project", Some(PROJECT_ID), &made_by_hand());
        let missing_id = format!("id = {MISSING_ID:?}");
        let missing_project = format!("project_id = {MISSING_ID:?}");
        let missing_connection = format!("connection_id = {MISSING_ID:?}");
        let by_name = ["name = \"in-a-project\"", &missing_project];
        let in_missing_project = [missing_project.as_str()];
        let of_two_scopes = [missing_project.as_str(), "all_projects = true"];
        let unknown_project: (&str, &[&str], &str, &[&str]) = match workspace.emulator.state().options.server
        {
            // Hanzo's server looks no project up, so an unknown one is as one without rights.
            Server::Hanzo => (
                "dbt_connections",
                &in_missing_project,
                "",
                &["Not allowed", "in the project", MISSING_ID, "check \"project_id\""],
            ),
            Server::Infisical => (
                "dbt_connections",
                &in_missing_project,
                "project_id",
                &["Unknown project", MISSING_ID, "the data source kms_project"],
            ),
        };
        // Both servers' responses lead to the ID.
        let (summary, place) = match workspace.emulator.state().options.server {
            Server::Hanzo => ("Not allowed", "in the project \"analytics\""),
            Server::Infisical => ("Unknown project", "no project with the ID \"analytics\""),
        };
        let of_slug = [summary, place, "not its slug", "data.kms_project.NAME.id"];
        let in_slug = ["project_id = \"analytics\""];
        let cases: [(&str, &[&str], &str, &[&str]); 12] = [
            ("dbt_connections", &in_slug, "project_id", &of_slug),
            ("dbt_connection", &[&missing_id], "id", &["doesn't exist", MISSING_ID]),
            (
                "dbt_connection",
                &["name = \"in-a-project\""],
                "name",
                &["\"in-a-project\" in the organization"],
            ),
            ("dbt_connection", &by_name, "name", &["in the project", MISSING_ID]),
            unknown_project,
            ("dbt_projects", &[&missing_connection], "connection_id", &["doesn't exist", MISSING_ID]),
            ("dbt_connection", &["id = \"orders\""], "id", &["must be a UUID"]),
            ("dbt_connection", &["name = \"Not A Name\""], "name", &["must be a slug"]),
            ("dbt_connection", &[&missing_id, "name = \"orders\""], "name", &["both set"]),
            (
                "dbt_connection",
                &[&missing_id, &missing_project],
                "project_id",
                &["only for a look-up by name"],
            ),
            ("dbt_connection", &[], "", &["Missing argument", "Set \"id\", or \"name\""]),
            (
                "dbt_connections",
                &of_two_scopes,
                "all_projects",
                &["Conflicting arguments", "\"project_id\" and \"all_projects\" are both set"],
            ),
        ];
        for (kind, arguments, attribute, expected) in cases {
            workspace.write("main.tf", &data(kind, "it", arguments));
            let outcome = workspace.failing_plan();
            let error = outcome.error();
            assert!(error.says(expected), "{kind} {arguments:?}: {error:#?}");
            assert_eq!(error.attribute, attribute, "{kind} {arguments:?}: {error:#?}");
        }
    });
}

/// Terraform plans to read what is nested in a check block again in the apply, and counts that as a change.
fn only_reads(plan: &Plan) {
    let changes = plan.changes();
    assert!(changes.values().all(|change| change.actions() == ["read"]), "{changes:#?}");
}

/// What a run reports of a check block.
fn check_status(workspace: &Workspace, plan: &str) -> Value {
    let shown = workspace.run(&["show", "-json", plan]).succeeded();
    let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
    shown["checks"][0]["status"].clone()
}

#[test]
fn a_check_block_watches_the_token_without_failing_anything() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        let check = r#"
check "dbt_accepts_the_token" {
  data "kms_dbt_projects" "seen" {
    connection_id = kms_dbt_connection.orders.id
  }

  assert {
    condition     = length(data.kms_dbt_projects.seen.projects) > 0
    error_message = "The token sees no project."
  }
}
"#;
        let write = |description: &str| {
            let orders = connection("orders", &[("description", description)]);
            workspace.write("main.tf", &configuration(&[orders, check.into()]));
        };
        write("null");
        let outcome = workspace.apply().succeeded();
        assert!(outcome.warnings().is_empty(), "{outcome:#?}");
        let plan = workspace.plan();
        only_reads(&plan);
        assert!(plan.outcome.warnings().is_empty(), "{plan:#?}");

        workspace.emulator.state().dbt.revoked.push(TOKEN.into());
        let refused = |outcome: &Outcome| {
            let warnings = outcome.warnings();
            let [warning] = &warnings[..] else { panic!("one warning: {outcome:#?}") };
            assert_eq!(warning.address, "data.kms_dbt_projects.seen");
            assert_eq!(warning.attribute, "connection_id");
            assert!(warning.says(&["dbt refused the credentials", "Invalid token."]), "{warning:#?}");
        };
        // In every plan, and nothing to change in any.
        for _ in 0..2 {
            let plan = workspace.plan();
            only_reads(&plan);
            refused(&plan.outcome);
            assert_eq!(check_status(&workspace, &plan.file), "fail");
        }
        refused(&workspace.apply().succeeded());
        write("\"changed anyway\"");
        refused(&workspace.apply().succeeded());
        assert_eq!(workspace.emulator.connection("orders").description.as_deref(), Some("changed anyway"));

        // A new token puts it right, in the run that sends it.
        workspace.set_token("dbtu_r0tat3dT0H3althM9n8b");
        let plan = workspace.plan();
        assert_eq!(plan.change(&address("orders")).actions(), ["update"]);
        let outcome = workspace.apply_plan(&plan).succeeded();
        assert!(outcome.warnings().is_empty(), "{outcome:#?}");
        let plan = workspace.plan();
        only_reads(&plan);
        assert!(plan.outcome.warnings().is_empty(), "{plan:#?}");
        assert_eq!(check_status(&workspace, &plan.file), "pass");
    });
}
