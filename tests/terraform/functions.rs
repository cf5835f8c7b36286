//! The functions, in a life with connections. What they make of their arguments is the matter of `airflow.rs`.

use kms_emulator::PROJECT_ID;
use serde_json::{Value, json};

use crate::harness::{
    capabilities::{Capability, under_each_terraform_with},
    workspace::{Workspace, configuration, connection},
};

const TOKEN: &str = "dbtc_w3ntThr0ughAF1owQ9p0";

#[test]
fn a_connection_of_airflow_becomes_one_of_the_kms() {
    under_each_terraform_with(Capability::EphemeralValues, |version| {
        let workspace = Workspace::new(version);
        // Terraform takes the text of an ephemeral variable; what is made of it is ephemeral.
        workspace.set_secret("token", &format!("dbt-cloud://12345:{TOKEN}@emea.dbt.com"));
        workspace.set_token(TOKEN);
        workspace.set("TF_VAR_token", &format!("dbt-cloud://12345:{TOKEN}@emea.dbt.com"));
        let parsed = "provider::kms::parse_airflow_connection(var.token)";
        let orders = connection(
            "orders",
            &[("api_token", &format!("{parsed}.api_token")), ("instance_url", "\"https://emea.dbt.com\"")],
        );
        workspace.write("main.tf", &configuration(&[orders]));
        workspace.apply().succeeded();
        let id = workspace.emulator.connection("orders").id;
        assert_eq!(workspace.emulator.stored_credentials(&id).api_token, TOKEN);
        workspace.assert_clean();

        // The token in it decides, and not how it is written.
        let as_json =
            json!({ "conn_type": "dbt_cloud", "login": "12345", "password": TOKEN, "host": "emea.dbt.com" });
        workspace.set("TF_VAR_token", &as_json.to_string());
        workspace.assert_clean();
    });
}

#[test]
fn a_secret_of_the_kms_goes_through_functions_and_stays_ephemeral() {
    under_each_terraform_with(Capability::EphemeralValues, |version| {
        let workspace = Workspace::new(version);
        workspace.store_secret("/", TOKEN);
        let main = format!(
            r#"
ephemeral "kms_secret" "token" {{
  name         = "DBT_TOKEN"
  workspace_id = "{PROJECT_ID}"
  env_slug     = "prod"
}}

locals {{
  uri = provider::kms::airflow_connection_uri("https://emea.dbt.com", "12345", ephemeral.kms_secret.token.value)
}}

output "gone" {{
  value = nonsensitive(ephemeralasnull(local.uri) == null)
}}
"#
        );
        let orders = connection(
            "orders",
            &[("api_token", "provider::kms::parse_airflow_connection(local.uri).api_token")],
        );
        workspace.write("main.tf", &configuration(&[main, orders]));
        workspace.apply().succeeded();
        let id = workspace.emulator.connection("orders").id;
        assert_eq!(workspace.emulator.stored_credentials(&id).api_token, TOKEN);
        let gone = workspace.run(&["output", "-json", "gone"]).succeeded();
        assert_eq!(gone.stdout.trim(), "true");
        workspace.assert_clean();

        // What is ephemeral can't be stored by mistake.
        workspace.write("leak.tf", "output \"leak\" {\n  value = local.uri\n}\n");
        let refused = match workspace.is_tofu() {
            false => "Ephemeral value not allowed",
            true => "Output does not allow ephemeral value",
        };
        assert_eq!(workspace.failing_plan().error().summary, refused);
    });
}

#[test]
fn arguments_known_only_after_apply_give_results_known_only_after_apply() {
    under_each_terraform_with(Capability::Functions, |version| {
        let workspace = Workspace::new(version);
        let main = r#"
resource "terraform_data" "later" {
  input = "12345"
}

output "uri" {
  value = provider::kms::airflow_connection_uri("https://emea.dbt.com", terraform_data.later.output, "no secret")
}

output "parsed" {
  value = provider::kms::parse_airflow_connection(provider::kms::airflow_connection_json("https://cloud.getdbt.com/", "1", "no secret"))
}
"#;
        workspace.write("main.tf", main);
        let plan = workspace.plan();
        assert_eq!(plan.json["output_changes"]["uri"]["after_unknown"], true);
        assert_eq!(plan.json["output_changes"]["parsed"]["after_unknown"], false);
        workspace.apply_plan(&plan).succeeded();
        let outcome = workspace.run(&["output", "-json"]).succeeded();
        let outputs: Value = serde_json::from_str(&outcome.stdout).unwrap();
        assert_eq!(outputs["uri"]["value"], "dbt-cloud://12345:no%20secret@emea.dbt.com");
        let expected = json!({ "instance_url": "https://cloud.getdbt.com", "account_id": "1", "api_token": "no secret" });
        assert_eq!(outputs["parsed"]["value"], expected);
        workspace.assert_clean();
        assert!(workspace.emulator.requests().is_empty(), "functions need no KMS");
    });
}
