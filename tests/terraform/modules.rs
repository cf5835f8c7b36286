//! The modules of `examples/`, applied as they are.

use std::{fs, path::Path};

use kms_emulator::{PROJECT_ID, fingerprint};
use serde_json::Value;

use crate::{
    examples::files_under,
    harness::{
        events,
        plans::MOVED_BY_CREDENTIALS,
        workspace::{Outcome, Workspace, configuration, under_each_terraform},
    },
};

const TOKEN: &str = "dbtu_g1v3nT0AM0dul3B4v5";
const KEPT: &str = "dbtc_k3ptF0rAM0dul3C8x7";

/// Puts the modules, and an example that uses one, where they lie in the project.
fn copy_examples(workspace: &Workspace) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in ["examples/modules", "examples/many-accounts"] {
        for path in files_under(&root.join(folder)) {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap();
            workspace.write(name, &fs::read_to_string(&path).unwrap());
        }
    }
}

/// A call of a module, with some more arguments.
fn call(module: &str, label: &str, arguments: &str) -> String {
    let name = label.replace('_', "-");
    format!(
        "\nmodule \"{label}\" {{\n  source     = \"./examples/modules/{module}\"\n  name       = \"{name}\"\n  account_id = \"12345\"\n{arguments}}}\n"
    )
}

/// Writes a configuration with these calls, and has Terraform find the modules.
fn write_calls(workspace: &Workspace, calls: &[String]) {
    workspace.write("main.tf", &configuration(calls));
    workspace.run(&["get", "-no-color"]).succeeded();
}

const PLAIN: &str = "dbt-connection";
const FROM_SECRET: &str = "dbt-connection-from-secret";

/// The secret, with the project that it is in.
const SECRET: &str =
    "  secret     = { name = \"DBT_TOKEN\", project_slug = \"analytics\", env_slug = \"prod\" }\n";

fn token_of(workspace: &Workspace, name: &str) -> String {
    let id = workspace.emulator.connection(name).id;
    workspace.emulator.stored_credentials(&id).api_token
}

/// What is nested in a check block is read again in each apply, which Terraform plans as a change. OpenTofu 1.11 also lists
/// the ephemeral resources that it opens.
fn only_reads(plan: &Outcome) {
    assert_ne!(plan.code, Some(1), "{plan:#?}");
    let planned = events::of_type(plan, "planned_change");
    let reads = planned.iter().all(|line| {
        let (action, resource) = (&line["change"]["action"], line["change"]["resource"]["resource"].as_str());
        *action == "read" || *action == "open" && resource.unwrap().starts_with("ephemeral.")
    });
    assert!(reads, "{planned:#?}");
}

#[test]
fn one_connection_for_each_account_is_made_and_kept() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        copy_examples(&workspace);
        workspace.secret(TOKEN);
        workspace.set("TF_VAR_tokens", &format!("{{\"marketing\": \"{TOKEN}\"}}"));
        workspace.store_secret("/", KEPT);
        let folder = "examples/many-accounts";
        let accounts = fs::read_to_string(workspace.path(&format!("{folder}/terraform.tfvars.example")));
        workspace.write(&format!("{folder}/terraform.tfvars"), &accounts.unwrap());
        let run = |arguments: &[&str]| workspace.run(&[&[&*format!("-chdir={folder}")], arguments].concat());
        let plan = || run(&["plan", "-json", "-detailed-exitcode"]);
        run(&["get", "-no-color"]).succeeded();
        let outcome = run(&["apply", "-json", "-auto-approve"]).succeeded();
        assert!(outcome.warnings().is_empty(), "{outcome:#?}");

        let kms = &workspace.emulator;
        assert_eq!(kms.connections().len(), 2);
        let (marketing, analytics) = (kms.connection("marketing"), kms.connection("analytics-prod"));
        assert_eq!(marketing.description.as_deref(), Some("dbt account of the marketing team"));
        assert_eq!((marketing.project_id, analytics.project_id), (None, Some(PROJECT_ID.into())));
        assert_eq!(kms.stored_credentials(&analytics.id).instance_url, "https://emea.dbt.com");
        assert_eq!(kms.stored_credentials(&analytics.id).api_token, KEPT);
        assert_eq!(token_of(&workspace, "marketing"), TOKEN);
        let shown = run(&["output", "-json", "connection_ids"]).succeeded();
        let ids: Value = serde_json::from_str(&shown.stdout).unwrap();
        assert_eq!(ids["analytics-prod"], analytics.id);

        kms.clear_requests();
        let outcome = plan();
        only_reads(&outcome);
        assert!(outcome.warnings().is_empty(), "{outcome:#?}");
        assert!(kms.writes().is_empty());

        // A token that dbt no longer takes shows in the plan, and where.
        kms.state().dbt.revoked.push(KEPT.into());
        let outcome = plan();
        only_reads(&outcome);
        let warned: Vec<_> = outcome.warnings().iter().map(|warning| warning.address.clone()).collect();
        let health =
            "module.dbt_connection_from_secret[\"analytics-prod\"].module.connection.module.token_health[0]";
        assert_eq!(warned, [format!("{health}.data.kms_dbt_projects.this")]);
        run(&["destroy", "-json", "-auto-approve"]).succeeded();
        assert!(kms.connections().is_empty());
    });
}

#[test]
fn a_connection_has_the_token_that_is_given_or_that_of_a_secret() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        copy_examples(&workspace);
        workspace.set_token(TOKEN);
        workspace.store_secret("/", KEPT);
        let of_secret = call(
            FROM_SECRET,
            "of_secret",
            &format!("{SECRET}  description = \"of a secret\"\n  check_token = true\n"),
        );
        let of_token = call(
            PLAIN,
            "of_token",
            "  api_token    = var.token\n  project_slug = \"analytics\"\n  description  = \"of a token\"\n",
        );
        let by_id =
            call(PLAIN, "by_id", &format!("  api_token  = var.token\n  project_id = \"{PROJECT_ID}\"\n"));
        write_calls(&workspace, &[of_secret, of_token, by_id]);
        workspace.apply().succeeded();
        let project = Some(PROJECT_ID);
        for (name, token, project) in
            [("of-secret", KEPT, None), ("of-token", TOKEN, project), ("by-id", TOKEN, project)]
        {
            assert_eq!(token_of(&workspace, name), token, "{name}");
            assert_eq!(workspace.emulator.connection(name).project_id.as_deref(), project, "{name}");
        }

        let from_secret = workspace.emulator.connection("of-secret");
        assert_eq!(from_secret.description.as_deref(), Some("of a secret"));
        assert_eq!(workspace.emulator.stored_credentials(&from_secret.id).account_id, "12345");

        workspace.emulator.clear_requests();
        only_reads(&workspace.plan().outcome);
        let asked: Vec<_> = workspace.emulator.requests();
        let asked: Vec<_> = asked.iter().filter(|request| request.path.ends_with("/projects")).collect();
        let checked = workspace.emulator.connection("of-secret").id;
        assert!(asked.len() == 1 && asked[0].path.contains(&checked), "only one is checked: {asked:#?}");

        workspace.store_secret("/", "dbtc_r0tat3dInAM0dul3V2b3");
        let plan = workspace.plan();
        let change = plan.change("module.of_secret.module.connection.kms_dbt_connection.this");
        assert_eq!(change.attributes, MOVED_BY_CREDENTIALS);
        workspace.apply_plan(&plan).succeeded();
        assert_eq!(token_of(&workspace, "of-secret"), "dbtc_r0tat3dInAM0dul3V2b3");
        only_reads(&workspace.plan().outcome);
    });
}

#[test]
fn each_token_is_handed_to_airflow_once() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        copy_examples(&workspace);
        workspace.set_token(TOKEN);
        let airflow = r#"
variable "command" {
  type = string
}

module "airflow" {
  source     = "./examples/modules/airflow-connection"
  account_id = "12345"
  api_token  = var.token
  revision   = module.analytics.credentials_hash
  command    = var.command
}
"#;
        let analytics = call(PLAIN, "analytics", "  api_token  = var.token\n");
        write_calls(&workspace, &[analytics, airflow.into()]);
        // Terraform shows what a failed command has printed.
        workspace.set("TF_VAR_command", "printenv; exit 1");
        let outcome = workspace.apply().failed();
        assert!(outcome.error().says(&["exit status 1"]), "{outcome:#?}");
        workspace.set(
            "TF_VAR_command",
            "printf %s \"$AIRFLOW_CONNECTION_ID $AIRFLOW_CONNECTION_URI\" | sha256sum | cut -c 1-12 >> handed-over",
        );
        let expected = |token: &str| {
            let given = format!("dbt_cloud_default dbt-cloud://12345:{token}@cloud.getdbt.com");
            fingerprint(&given).strip_prefix("sha256:").unwrap().to_owned()
        };
        let handed_over = || {
            let text = fs::read_to_string(workspace.path("handed-over")).unwrap();
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        };
        workspace.apply().succeeded();
        assert_eq!(handed_over(), [expected(TOKEN)]);
        workspace.assert_clean();

        let next = "dbtu_n3xtT0k3nF0rA1rfl0wZ9";
        workspace.set_token(next);
        let plan = workspace.plan();
        workspace.apply_plan(&plan).succeeded();
        assert_eq!(handed_over(), [expected(TOKEN), expected(next)]);
        workspace.assert_clean();
    });
}

#[test]
fn a_module_without_a_token_or_a_project_for_it_says_so() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        copy_examples(&workspace);
        workspace.set_token(TOKEN);
        workspace.store_secret("/", KEPT);
        let refused = |call: String| {
            write_calls(&workspace, &[call]);
            workspace.failing_plan()
        };
        let outcome = refused(call(PLAIN, "without_token", ""));
        assert_eq!(outcome.error().address, "module.without_token.kms_dbt_connection.this", "{outcome:#?}");
        assert!(outcome.error().says(&["api_token"]), "{outcome:#?}");
        let homeless = "  secret = { name = \"DBT_TOKEN\", env_slug = \"prod\" }\n";
        let outcome = refused(call(FROM_SECRET, "homeless", homeless));
        assert!(outcome.error().says(&["Set project_slug of the secret"]), "{outcome:#?}");
        assert!(workspace.emulator.writes().is_empty());
    });
}

/// Terraform can't mock what opens a secret, so these tests of the module need a KMS.
#[test]
fn the_module_that_opens_a_secret_passes_its_tests_against_a_kms() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        copy_examples(&workspace);
        workspace.store_secret("/", KEPT);
        let folder = format!("-chdir=examples/modules/{FROM_SECRET}");
        workspace.run(&[&folder, "get", "-no-color"]).succeeded();
        let tests = "-test-directory=tests/integration";
        let outcome = workspace.run(&[&folder, "test", "-no-color", tests]).succeeded();
        assert!(outcome.stdout.contains("Success! 3 passed, 0 failed."), "{outcome:#?}");
        let writes = workspace.emulator.writes();
        let created = writes.iter().filter(|request| request.method == "POST").count();
        assert_eq!(created, 2, "one in the project, one in the organization: {writes:#?}");
        assert!(workspace.emulator.connections().is_empty());
    });
}

#[test]
fn a_rotation_comes_with_the_connection_if_it_is_asked_for() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        copy_examples(&workspace);
        workspace.set_token(TOKEN);
        let rotation = "  api_token = var.token\n  project_slug = \"analytics\"\n  rotation = {\n    environment = \"prod\"\n    secret_name = \"ROTATED\"\n    permission_grants = [{ permission_set = \"job_admin\" }]\n  }\n";
        let output = "output \"rotated\" {\n  value = module.orders.last_rotated_at\n}\n";
        write_calls(&workspace, &[call(PLAIN, "orders", rotation), output.into()]);
        workspace.apply().succeeded();
        for token in workspace.emulator.service_tokens() {
            workspace.secret(&token.token);
        }
        assert_eq!(workspace.emulator.rotation("orders").secret_name, "ROTATED");
        workspace.assert_clean();

        let without_project = rotation.replace("  project_slug = \"analytics\"\n", "");
        write_calls(&workspace, &[call(PLAIN, "orders", &without_project)]);
        let outcome = workspace.failing_plan();
        assert!(outcome.error().says(&["A rotation requires project_slug"]), "{outcome:#?}");
    });
}
