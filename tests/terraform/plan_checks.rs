//! What the plan of a create asks the KMS: it fails where the apply would, and raises no false alarm.

use kms_emulator::{
    CLIENT_ID, CLIENT_SECRET, CONNECTIONS, Credentials, IDENTITY_ID, LOGIN, OTHER_PROJECT_ID, Options,
    PROJECT_ID, ROTATIONS, Rotations, Server,
    identities::Identity,
    rights::{Action, Denial, Scope},
};

use crate::harness::{
    diagnostics::Diagnostic,
    workspace::{Outcome, Workspace, address, configuration, connection, under_each_terraform},
};

const TOKEN: &str = "dbtu_pl4nCh3cksN4m3sQw8";

fn workspace(version: &str, options: Options) -> Workspace {
    let workspace = Workspace::with(version, options);
    workspace.set_token(TOKEN);
    workspace
}

fn by_hand() -> Credentials {
    Credentials::new("https://cloud.getdbt.com", "12345", "dbtu_by_hand")
}

fn in_project(id: &str) -> String {
    format!("{id:?}")
}

/// A connection of the first project.
fn project_connection(label: &str, arguments: &[(&str, &str)]) -> String {
    let id = in_project(PROJECT_ID);
    connection(label, &[&[("project_id", id.as_str())], arguments].concat())
}

/// Connections with the names `c-0`, `c-1` and so on, in a project.
fn many(label: &str, count: usize, project: &str) -> String {
    format!(
        "\nresource \"kms_dbt_connection\" \"{label}\" {{\n  count = {count}\n  name = \"c-${{count.index}}\"\n  \
         project_id = {project:?}\n  instance_url = \"https://cloud.getdbt.com\"\n  account_id = \"12345\"\n  \
         api_token = var.token\n}}\n"
    )
}

/// The requests so far, without query and host.
fn routes(workspace: &Workspace) -> Vec<String> {
    let mut routes: Vec<_> = workspace
        .emulator
        .requests()
        .into_iter()
        .map(|request| format!("{} {}", request.method, request.path))
        .collect();
    routes.sort();
    routes
}

fn assert_quiet(case: &str, outcome: &Outcome) {
    let warnings: Vec<&Diagnostic> = outcome.warnings();
    assert!(warnings.is_empty(), "{case}: {warnings:#?}");
}

#[test]
fn a_plan_of_many_creates_costs_one_list_for_each_project() {
    under_each_terraform(|version| {
        let workspace = workspace(version, Options::default());
        workspace.write("main.tf", &configuration(&[many("one", 40, PROJECT_ID)]));
        assert_quiet("one project", &workspace.plan().outcome);
        let list = format!("GET {CONNECTIONS}");
        let login = format!("POST {LOGIN}");
        assert_eq!(routes(&workspace), [list.clone(), login.clone()]);

        workspace.emulator.clear_requests();
        let parts = [many("one", 20, PROJECT_ID), many("other", 20, OTHER_PROJECT_ID)];
        workspace.write("main.tf", &configuration(&parts));
        assert_quiet("two projects", &workspace.plan().outcome);
        assert_eq!(routes(&workspace), [list.clone(), list, login]);
        assert!(workspace.emulator.writes().is_empty());
    });
}

#[test]
fn a_refused_login_fails_the_plan_after_one_attempt() {
    under_each_terraform(|version| {
        let workspace = workspace(version, Options::default());
        workspace.write("main.tf", &configuration(&[many("one", 3, PROJECT_ID)]));
        workspace.set("KMS_UNIVERSAL_AUTH_CLIENT_SECRET", "wrong-client-secret");
        let outcome = workspace.failing_plan();
        let errors = outcome.errors();
        assert!(errors.iter().all(|error| error.summary == "Login to the KMS failed"), "{outcome:#?}");
        assert_eq!(routes(&workspace), [format!("POST {LOGIN}")]);

        // The third failed login locks the identity.
        workspace.failing_plan();
        workspace.failing_plan();
        workspace.set("KMS_UNIVERSAL_AUTH_CLIENT_SECRET", CLIENT_SECRET);
        let outcome = workspace.failing_plan();
        let error = &outcome.errors()[0];
        assert_eq!(error.summary, "Machine identity locked");
        assert!(error.says(&["The credentials may be right", "5 minutes"]), "{error:#?}");
    });
}

#[test]
fn an_unknown_project_fails_the_plan() {
    under_each_terraform(|version| {
        for server in [Server::Hanzo, Server::Infisical] {
            let workspace = workspace(version, Options { server, ..Options::default() });
            let id = in_project("99999999-0000-4000-8000-000000000009");
            let parts = [connection("orders", &[("project_id", id.as_str())])];
            workspace.write("main.tf", &configuration(&parts));
            let outcome = workspace.failing_plan();
            let error = outcome.error();
            assert_eq!((error.attribute.as_str(), error.summary.as_str()), ("project_id", "Unknown project"));
        }
    });
}

#[test]
fn a_name_that_is_taken_by_hand_is_a_warning() {
    under_each_terraform(|version| {
        let workspace = workspace(version, Options::default());
        let id = workspace.emulator.create("orders", Some(PROJECT_ID), &by_hand());
        // The same name in another scope is free.
        workspace.emulator.create("billing", None, &by_hand());
        let parts = [project_connection("orders", &[]), project_connection("billing", &[])];
        workspace.write("main.tf", &configuration(&parts));
        let plan = workspace.plan();
        let warnings = plan.outcome.warnings();
        assert_eq!(warnings.len(), 1, "{warnings:#?}");
        let warning = &warnings[0];
        assert_eq!((warning.summary.as_str(), warning.attribute.as_str()), ("Name already taken", "name"));
        let import = format!("terraform import kms_dbt_connection.NAME {id}");
        assert!(warning.says(&["\"orders\"", &import, "adopt_existing = true"]), "{warning:#?}");
        // Somebody frees it before the apply.
        workspace.emulator.delete(&id);
        workspace.apply_plan(&plan).succeeded();
        workspace.assert_clean();
    });
}

#[test]
fn a_replacement_in_a_scope_where_the_name_is_taken_is_a_warning() {
    under_each_terraform(|version| {
        let workspace = workspace(version, Options::default());
        workspace.write("main.tf", &configuration(&[project_connection("orders", &[])]));
        workspace.apply().succeeded();
        let id = workspace.emulator.create("orders", None, &by_hand());
        workspace.write("main.tf", &configuration(&[connection("orders", &[])]));
        let plan = workspace.plan();
        let warnings = plan.outcome.warnings();
        assert_eq!(warnings.len(), 1, "{:#?}", plan.outcome);
        assert!(warnings[0].says(&["Name already taken", &id]), "{warnings:#?}");
    });
}

/// Terraform plans as usual before it destroys, unless it doesn't refresh.
#[test]
fn a_destroy_without_refresh_plans_no_create() {
    under_each_terraform(|version| {
        let workspace = workspace(version, Options::default());
        workspace.write("main.tf", &configuration(&[project_connection("orders", &[])]));
        workspace.apply().succeeded();
        let unknown = in_project("99999999-0000-4000-8000-000000000009");
        let parts = [project_connection("orders", &[]), connection("n", &[("project_id", unknown.as_str())])];
        workspace.write("main.tf", &configuration(&parts));
        let outcome = workspace.destroy().failed();
        assert!(
            outcome.error().says(&["Unknown project", "terraform destroy -refresh=false"]),
            "{outcome:#?}"
        );
        workspace.run(&["destroy", "-json", "-auto-approve", "-refresh=false"]).succeeded();
        assert!(workspace.emulator.connections().is_empty());
    });
}

#[test]
fn an_identity_that_may_not_list_can_plan_and_apply() {
    under_each_terraform(|version| {
        for server in [Server::Hanzo, Server::Infisical] {
            let mut identity = Identity::new(IDENTITY_ID, CLIENT_ID, CLIENT_SECRET);
            identity.denied = vec![Denial { action: Action::Read, scope: Scope::Everywhere }];
            let identities = vec![identity];
            let workspace = workspace(version, Options { server, identities, ..Options::default() });
            workspace.emulator.create("orders", Some(PROJECT_ID), &by_hand());
            let parts = [project_connection("billing", &[]), connection("billing_2", &[])];
            workspace.write("main.tf", &configuration(&parts));
            let plan = workspace.plan();
            assert_quiet("may not list", &plan.outcome);
            workspace.apply_plan(&plan).succeeded();
        }
    });
}

#[test]
fn rotations_are_checked_by_the_same_rules() {
    under_each_terraform(|version| {
        let workspace = workspace(version, Options::default());
        let parts = |project: &str| {
            format!(
                "resource \"kms_dbt_service_token_rotation\" \"r\" {{\n  count = 15\n  name = \"r-${{count.index}}\"\n  \
                 project_id = {project:?}\n  connection_id = \"6f1f7c0e-6a5b-4d0e-9c3a-0123456789ab\"\n  environment = \
                 \"prod\"\n  secret_name = \"S${{count.index}}\"\n  token_name = \"t\"\n  permission_grants = [{{ \
                 permission_set = \"job_admin\" }}]\n}}\n"
            )
        };
        workspace.write("main.tf", &parts(PROJECT_ID));
        assert_quiet("rotations", &workspace.plan().outcome);
        let expected = [format!("GET {ROTATIONS}"), format!("POST {LOGIN}")];
        assert_eq!(routes(&workspace), expected);
        workspace.write("main.tf", &parts("99999999-0000-4000-8000-000000000009"));
        assert_eq!(workspace.failing_plan().errors()[0].attribute, "project_id");

        for (rotations, summary) in [
            (Rotations::Absent, "Not supported by this KMS"),
            (Rotations::Unlicensed, "Not included in the license of the KMS"),
        ] {
            let workspace = self::workspace(version, Options { rotations, ..Options::default() });
            workspace.write("main.tf", &parts(PROJECT_ID));
            let outcome = workspace.failing_plan();
            assert_eq!(outcome.errors()[0].summary, summary, "{outcome:#?}");
        }
    });
}

#[test]
fn two_resources_with_one_name_are_refused() {
    under_each_terraform(|version| {
        let workspace = workspace(version, Options::default());
        let twin = |label: &str| project_connection(label, &[("name", "\"orders\"")]);
        workspace.write("main.tf", &configuration(&[twin("one"), twin("two")]));
        let plan = workspace.plan();
        let warnings = plan.outcome.warnings();
        assert_eq!(warnings.len(), 1, "{warnings:#?}");
        assert!(
            warnings[0].says(&["Two resources with one name", "fails for the other one"]),
            "{warnings:#?}"
        );
        let outcome = workspace.apply_plan(&plan);
        let error = outcome.error();
        assert!(
            error.attribute == "name" && error.says(&["Another resource of this configuration"]),
            "{error:#?}"
        );
        workspace.write("main.tf", &configuration(&[]));
        workspace.apply().succeeded();
        // Beside one that exists, and for a rename.
        workspace.write("main.tf", &configuration(&[twin("one")]));
        workspace.apply().succeeded();
        workspace.write("main.tf", &configuration(&[twin("one"), twin("two")]));
        assert_eq!(workspace.failing_plan().error().summary, "Two resources with one name");
        let other = |arguments: &[(&str, &str)]| project_connection("other", arguments);
        workspace.write("main.tf", &configuration(&[twin("one"), other(&[])]));
        workspace.apply().succeeded();
        workspace.write("main.tf", &configuration(&[twin("one"), other(&[("name", "\"orders\"")])]));
        assert_eq!(workspace.failing_plan().error().summary, "Two resources with one name");
        // The same name in another scope is another name.
        workspace.write("main.tf", &configuration(&[twin("one"), connection("orders", &[])]));
        workspace.apply().succeeded();
    });
}

/// Names that become free in the same apply, or stay with the resource that has them.
#[test]
fn names_of_managed_connections_raise_no_alarm() {
    under_each_terraform(|version| {
        let workspace = workspace(version, Options::default());
        let named = |label: &str, name: &str| project_connection(label, &[("name", &format!("{name:?}"))]);
        workspace.write("main.tf", &configuration(&[named("m", "first"), named("n", "second")]));
        workspace.apply().succeeded();
        let assert_quiet_plan = |case: &str, parts: &[String]| {
            workspace.write("main.tf", &configuration(parts));
            for arguments in [&["plan", "-json"][..], &["plan", "-json", "-refresh=false"]] {
                assert_quiet(case, &workspace.run(arguments).succeeded());
            }
        };
        let swapped = [named("m", "second"), named("n", "first")];
        assert_quiet_plan("swap", &swapped);
        workspace.write("main.tf", &configuration(&swapped));
        assert_quiet("swap, one by one", &workspace.run(&["plan", "-json", "-parallelism=1"]).succeeded());
        assert_quiet_plan("rename", &[named("m", "third"), named("n", "second"), named("a", "first")]);
        assert_quiet_plan("rename", &[named("m", "third"), named("n", "second"), named("z", "first")]);
        // Addresses that were changed without a moved block.
        assert_quiet_plan("addresses", &[named("a", "first"), named("z", "second")]);
        let moved = "\nmoved {\n  from = kms_dbt_connection.m\n  to   = kms_dbt_connection.z\n}\n";
        assert_quiet_plan("moved", &[named("z", "first"), named("n", "second"), moved.to_owned()]);
        let adopting = project_connection("z", &[("adopt_existing", "true")]);
        assert_quiet_plan("adoption", &[named("m", "first"), named("n", "second"), adopting]);

        // The name that one resource frees goes to a new one in the same apply.
        let after = [("name", "\"first\""), ("depends_on", "[kms_dbt_connection.m]")];
        let parts = [named("m", "third"), named("n", "second"), project_connection("z", &after)];
        workspace.write("main.tf", &configuration(&parts));
        assert_quiet("rename, then create", &workspace.apply().succeeded());
        workspace.assert_clean();
    });
}

#[test]
fn replacements_raise_no_alarm() {
    under_each_terraform(|version| {
        let replace = ["-replace=kms_dbt_connection.orders"];
        let run = |workspace: &Workspace, command: &str, more: &[&str]| {
            let approved: &[&str] = if command == "apply" { &["-auto-approve"] } else { &[] };
            workspace.run(&[&[command, "-json"], approved, more].concat())
        };
        let workspace = workspace(version, Options::default());
        workspace.write("main.tf", &configuration(&[project_connection("orders", &[])]));
        workspace.apply().succeeded();
        for more in [&[][..], &["-refresh=false"]] {
            assert_quiet("-replace", &run(&workspace, "plan", &[&replace, more].concat()).succeeded());
        }
        assert_quiet("-replace", &run(&workspace, "apply", &replace).succeeded());
        workspace.run(&["taint", &address("orders")]).succeeded();
        assert_quiet("taint", &run(&workspace, "plan", &["-refresh=false"]).succeeded());
        assert_quiet("taint", &workspace.apply().succeeded());
        workspace.write("main.tf", &configuration(&[connection("orders", &[])]));
        assert_quiet("another scope", &workspace.apply().succeeded());

        // Created first, under another name.
        let lifecycle = ("lifecycle", "{\n    create_before_destroy = true\n  }");
        let renamed = project_connection("orders", &[("name", "\"orders-2\""), lifecycle]);
        workspace.write("main.tf", &configuration(&[renamed]));
        assert_quiet("created first", &workspace.apply().succeeded());
        workspace.assert_clean();
        assert_eq!(workspace.emulator.connections().len(), 1);
    });
}

#[test]
fn one_connection_at_two_addresses_is_refused() {
    under_each_terraform(|version| {
        let workspace = workspace(version, Options::default());
        let named = |label: &str| project_connection(label, &[("name", "\"orders\"")]);
        workspace.write("main.tf", &configuration(&[named("one")]));
        workspace.apply().succeeded();
        let id = workspace.emulator.connection("orders").id;
        workspace.write("main.tf", &configuration(&[named("one"), named("two")]));
        let import = format!("import {{\n  to = kms_dbt_connection.two\n  id = {id:?}\n}}\n");
        workspace.write("import.tf", &import);
        let twice = |outcome: Outcome| {
            let error = outcome.failed();
            let error = error.error();
            assert_eq!(error.summary, "Two resources for one dbt connection");
            assert!(error.says(&[&id, "terraform state rm"]), "{error:#?}");
        };
        twice(workspace.run(&["plan", "-json"]));
        std::fs::remove_file(workspace.path("import.tf")).unwrap();
        // The command imports without a plan.
        workspace.run(&["import", &address("two"), &id]).succeeded();
        twice(workspace.run(&["plan", "-json"]));
        workspace.write("main.tf", &configuration(&[named("one")]));
        twice(workspace.run(&["plan", "-json"]));
        // The way out that the error names.
        let removed =
            "\nremoved {\n  from = kms_dbt_connection.two\n  lifecycle {\n    destroy = false\n  }\n}\n";
        workspace.write("main.tf", &configuration(&[named("one"), removed.to_owned()]));
        workspace.apply().succeeded();
        workspace.write("main.tf", &configuration(&[named("one")]));
        workspace.assert_clean();
        assert_eq!(workspace.emulator.connection("orders").id, id);
    });
}

#[test]
fn a_connection_moves_to_another_address_by_removal_and_import() {
    under_each_terraform(|version| {
        let workspace = workspace(version, Options::default());
        let named = |label: &str| project_connection(label, &[("name", "\"orders\"")]);
        workspace.write("main.tf", &configuration(&[named("one")]));
        workspace.apply().succeeded();
        let id = workspace.emulator.connection("orders").id;
        let moving = format!(
            "removed {{\n  from = kms_dbt_connection.one\n  lifecycle {{\n    destroy = false\n  }}\n}}\n\nimport {{\n  to \
             = kms_dbt_connection.two\n  id = {id:?}\n}}\n"
        );
        workspace.write("main.tf", &configuration(&[named("two"), moving]));
        workspace.apply().succeeded();
        workspace.write("main.tf", &configuration(&[named("two")]));
        workspace.assert_clean();
        assert_eq!(workspace.state(&address("two"))["id"], id.as_str());
    });
}

/// Each run of a test is a plan, most with an apply, and shares the state of the runs before it.
#[test]
fn runs_of_terraform_test_raise_no_alarm() {
    under_each_terraform(|version| {
        let workspace = workspace(version, Options::default());
        let name = "\nvariable \"name\" {\n  default = \"first\"\n}\n".to_owned();
        let parts = [name, project_connection("orders", &[("name", "var.name")])];
        workspace.write("main.tf", &configuration(&parts));
        let run = |label: &str, command: &str, name: &str| {
            format!(
                "run \"{label}\" {{\n  command = {command}\n  variables {{\n    name = {name:?}\n  }}\n}}\n\n"
            )
        };
        let runs = [
            run("create", "apply", "first"),
            run("plan_again", "plan", "first"),
            run("rename", "apply", "second"),
            run("rename_back", "plan", "first"),
        ];
        workspace.write("main.tftest.hcl", &runs.concat());
        let outcome = workspace.run(&["test", "-json"]).succeeded();
        assert!(outcome.stdout.contains("4 passed"), "{outcome:#?}");
        assert_quiet("terraform test", &outcome);
        assert!(workspace.emulator.connections().is_empty());
    });
}
