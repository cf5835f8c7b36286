//! The modules of `examples/`, applied as they are.

use std::{fs, path::Path};

use kms_emulator::PROJECT_ID;

use crate::{
    events,
    plans::MOVED_BY_CREDENTIALS,
    workspace::{Outcome, Workspace, configuration, under_each_terraform},
};

const TOKEN: &str = "dbtu_g1v3nT0AM0dul3B4v5";
const KEPT: &str = "dbtc_k3ptF0rAM0dul3C8x7";

/// Puts the modules, and an example that uses one, where they lie in the project.
fn copy_examples(workspace: &Workspace) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("examples/modules"), root.join("examples/many-accounts")];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap();
                workspace.write(name, &fs::read_to_string(&path).unwrap());
            }
        }
    }
}

/// A call of the module, with some arguments more.
fn call(label: &str, arguments: &str) -> String {
    let name = label.replace('_', "-");
    format!(
        "\nmodule \"{label}\" {{\n  source     = \"./examples/modules/dbt-connection\"\n  name       = \"{name}\"\n  account_id = \"12345\"\n{arguments}}}\n"
    )
}

/// The secret, in a project of which the connection need not be.
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
        let ids: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
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
        let health = "module.dbt_connection[\"analytics-prod\"].module.token_health[0]";
        assert_eq!(warned, [format!("{health}.data.kms_dbt_projects.seen")]);
        run(&["destroy", "-json", "-auto-approve"]).succeeded();
        assert!(kms.connections().is_empty());
    });
}

#[test]
fn the_module_takes_a_token_or_a_secret_and_serves_airflow() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        copy_examples(&workspace);
        workspace.set_token(TOKEN);
        workspace.store_secret("/", KEPT);
        // What the module gives for Airflow ends in a write-only attribute, as it would in a secret store.
        let back = r#"
resource "kms_dbt_connection" "airflow" {
  name         = "airflow"
  instance_url = "https://cloud.getdbt.com"
  account_id   = "12345"
  api_token    = provider::kms::parse_airflow_connection(module.of_secret.airflow_connection_uri).api_token
}

output "gone" {
  value = nonsensitive(ephemeralasnull(module.of_secret.airflow_connection_uri) == null)
}
"#;
        let of_secret = call("of_secret", &format!("{SECRET}  airflow     = true\n  check_token = true\n"));
        let of_token = call(
            "of_token",
            "  api_token    = var.token\n  project_slug = \"analytics\"\n  description  = \"of a token\"\n",
        );
        workspace.write("main.tf", &configuration(&[of_secret, of_token, back.into()]));
        workspace.run(&["get", "-no-color"]).succeeded();
        workspace.apply().succeeded();
        for (name, token) in [("of-secret", KEPT), ("of-token", TOKEN), ("airflow", KEPT)] {
            assert_eq!(token_of(&workspace, name), token, "{name}");
        }
        assert_eq!(workspace.emulator.connection("of-token").project_id.as_deref(), Some(PROJECT_ID));

        workspace.emulator.clear_requests();
        only_reads(&workspace.plan().outcome);
        let asked: Vec<_> = workspace.emulator.requests();
        let asked: Vec<_> = asked.iter().filter(|request| request.path.ends_with("/projects")).collect();
        let checked = workspace.emulator.connection("of-secret").id;
        assert!(asked.len() == 1 && asked[0].path.contains(&checked), "only one is checked: {asked:#?}");

        workspace.store_secret("/", "dbtc_r0tat3dInAM0dul3V2b3");
        let plan = workspace.plan();
        let change = plan.change("module.of_secret.kms_dbt_connection.this");
        assert_eq!(change.attributes, MOVED_BY_CREDENTIALS);
        workspace.apply_plan(&plan).succeeded();
        assert_eq!(token_of(&workspace, "airflow"), "dbtc_r0tat3dInAM0dul3V2b3");
        only_reads(&workspace.plan().outcome);
    });
}

#[test]
fn a_module_without_a_token_or_a_project_for_it_or_with_two_tokens_says_so() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        copy_examples(&workspace);
        workspace.set_token(TOKEN);
        workspace.store_secret("/", KEPT);
        let names_the_problem = |outcome: &Outcome| {
            let errors = outcome.errors();
            assert!(errors.iter().any(|error| error.says(&["api_token", "one of the two"])), "{outcome:#?}");
        };
        workspace.write("main.tf", &configuration(&[call("neither", "")]));
        workspace.run(&["get", "-no-color"]).succeeded();
        names_the_problem(&workspace.failing_plan());
        let both = format!("{SECRET}  api_token  = var.token\n");
        workspace.write("main.tf", &configuration(&[call("both", &both)]));
        workspace.run(&["get", "-no-color"]).succeeded();
        names_the_problem(&workspace.failing_plan());
        let homeless = "  secret = { name = \"DBT_TOKEN\", env_slug = \"prod\" }\n";
        workspace.write("main.tf", &configuration(&[call("homeless", homeless)]));
        workspace.run(&["get", "-no-color"]).succeeded();
        let outcome = workspace.failing_plan();
        assert!(outcome.error().says(&["Give the project_slug of the secret"]), "{outcome:#?}");
        assert!(workspace.emulator.writes().is_empty());
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
        workspace.write("main.tf", &configuration(&[call("orders", rotation), output.into()]));
        workspace.run(&["get", "-no-color"]).succeeded();
        workspace.apply().succeeded();
        for token in workspace.emulator.service_tokens() {
            workspace.secret(&token.token);
        }
        assert_eq!(workspace.emulator.rotation("orders").secret_name, "ROTATED");
        workspace.assert_clean();

        let without_project = rotation.replace("  project_slug = \"analytics\"\n", "");
        workspace.write("main.tf", &configuration(&[call("orders", &without_project)]));
        workspace.run(&["get", "-no-color"]).succeeded();
        let outcome = workspace.failing_plan();
        assert!(outcome.error().says(&["A rotation needs project_slug"]), "{outcome:#?}");
    });
}
