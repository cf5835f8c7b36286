//! The example that takes a dbt token to Airflow, applied as it is.

use std::{fs, path::Path};

use kms_emulator::{PROJECT_ID, fingerprint};
use serde_json::json;

use crate::harness::{
    plans::Plan,
    workspace::{Workspace, under_each_terraform},
};

const TOKEN: &str = "dbtu_m4kesT0k3nsF0rA1rfl0w";
const ROTATION: &str = "kms_dbt_service_token_rotation.airflow";
const HANDED_OVER: &str = "terraform_data.airflow";

/// Stands for where Airflow looks: it keeps a digest of what it was given.
const HAND_OVER: &str =
    "printf %s \"$AIRFLOW_CONN_DBT_CLOUD_DEFAULT\" | sha256sum | cut -c 1-12 >> handed-over";

/// A workspace with the example.
pub fn start(version: &str) -> Workspace {
    let workspace = Workspace::new(version);
    for name in ["main.tf", "airflow.tf"] {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/from-dbt-to-airflow").join(name);
        workspace.write(name, &fs::read_to_string(example).unwrap());
    }
    workspace.set_secret("dbt_token", TOKEN);
    workspace.set("TF_VAR_project_id", PROJECT_ID);
    workspace.set("TF_VAR_hand_over", HAND_OVER);
    workspace
}

/// How often a connection was handed over, and whether the last one has the token of this number at dbt.
fn handed_over(workspace: &Workspace, number: usize) -> (usize, bool) {
    let tokens = workspace.emulator.service_tokens();
    for token in &tokens {
        workspace.secret(&token.token);
    }
    let connection = format!("dbt-cloud://12345:{}@cloud.getdbt.com", tokens[number - 1].token);
    let text = fs::read_to_string(workspace.path("handed-over")).unwrap();
    let last = text.lines().last().unwrap();
    (text.lines().count(), fingerprint(&connection) == format!("sha256:{last}"))
}

/// Whether each token that was ever made is live.
fn live(workspace: &Workspace) -> Vec<bool> {
    workspace.emulator.service_tokens().iter().map(|token| !token.revoked).collect()
}

fn hands_over(plan: &Plan) -> bool {
    plan.changes().contains_key(HANDED_OVER)
}

#[test]
fn each_rotation_is_handed_over_once_while_its_token_is_valid() {
    under_each_terraform(|version| {
        let workspace = start(version);
        // The secret doesn't exist yet, and the plan must not ask for it.
        let plan = workspace.plan();
        workspace.apply_plan(&plan).succeeded();
        assert_eq!(handed_over(&workspace, 1), (1, true));
        workspace.assert_clean();

        let id = workspace.emulator.rotation("airflow").id;
        for (number, expected) in [(2, vec![true, true]), (3, vec![false, true, true])] {
            assert!(workspace.emulator.rotate_by_clock(&id));
            assert_eq!(live(&workspace), expected);
            // Airflow goes on with the token before, until the next run.
            assert_eq!(handed_over(&workspace, number - 1), (number - 1, true));
            let plan = workspace.plan();
            assert!(hands_over(&plan), "{:#?}", plan.changes());
            workspace.apply_plan(&plan).succeeded();
            assert_eq!(handed_over(&workspace, number), (number, true));
            workspace.assert_clean();
        }

        workspace.destroy().succeeded();
        assert_eq!(live(&workspace), [false; 3]);
        assert_eq!(workspace.emulator.secret_value(PROJECT_ID, "prod", "/", "AIRFLOW_DBT_TOKEN"), None);
        assert!(workspace.emulator.connections().is_empty());
    });
}

#[test]
fn a_renamed_secret_is_read_under_its_new_name_once_it_has_it() {
    under_each_terraform(|version| {
        let workspace = start(version);
        workspace.apply().succeeded();
        let example = fs::read_to_string(workspace.path("airflow.tf")).unwrap();
        workspace.write("airflow.tf", &example.replace("AIRFLOW_DBT_TOKEN", "RENAMED"));
        let plan = workspace.plan();
        assert!(plan.changes().contains_key(ROTATION), "{:#?}", plan.changes());
        workspace.apply_plan(&plan).succeeded();
        assert!(handed_over(&workspace, 1).1);
        assert_eq!(workspace.state(ROTATION)["secret_name"], json!("RENAMED"));
        workspace.assert_clean();
    });
}

#[test]
fn what_could_not_be_handed_over_is_handed_over_by_the_next_run() {
    under_each_terraform(|version| {
        let workspace = start(version);
        // Terraform shows what a failing command has printed.
        workspace.set("TF_VAR_hand_over", "printenv; exit 1");
        let outcome = workspace.apply().failed();
        assert!(outcome.error().says(&["exit status 1"]), "{outcome:#?}");
        workspace.set("TF_VAR_hand_over", HAND_OVER);
        workspace.apply().succeeded();
        assert_eq!(handed_over(&workspace, 1), (1, true));
        workspace.assert_clean();
    });
}
