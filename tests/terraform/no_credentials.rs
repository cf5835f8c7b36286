//! A provider block without a login: no error until something needs the KMS.

use kms_emulator::PROJECT_ID;

use crate::harness::workspace::{Workspace, configuration, connection, under_each_terraform};

const TOKEN: &str = "dbtu_w1th0utL0g1nQ7w6e5";
const SUMMARY: &str = "No credentials configured";

fn without_credentials(version: &str) -> Workspace {
    let workspace = Workspace::new(version);
    workspace.unset("KMS_UNIVERSAL_AUTH_CLIENT_ID");
    workspace.unset("KMS_UNIVERSAL_AUTH_CLIENT_SECRET");
    workspace.set_token(TOKEN);
    workspace
}

/// A module with everything, of which there is as much as `is_on` says.
fn module(is_on: bool) -> String {
    let count = if is_on { "1" } else { "0" };
    let connection = connection("orders", &[("count", count)]);
    let rest = format!(
        r#"
resource "kms_dbt_service_token_rotation" "orders" {{
  count         = {count}
  name          = "orders"
  project_id    = "{PROJECT_ID}"
  connection_id = kms_dbt_connection.orders[0].id
  environment   = "prod"
  secret_name   = "DBT_TOKEN"
  token_name    = "orders"
  permission_grants = [{{ permission_set = "job_runner" }}]
}}

data "kms_dbt_connections" "all" {{
  count = {count}
}}

ephemeral "kms_secret" "token" {{
  count        = {count}
  name         = "DBT_TOKEN"
  workspace_id = "{PROJECT_ID}"
  env_slug     = "prod"
}}

output "uri" {{
  value = provider::kms::airflow_connection_uri("https://cloud.getdbt.com", "12345", "example")
}}
"#
    );
    configuration(&[connection, rest])
}

#[test]
fn a_module_that_is_off_plans_and_applies_without_credentials() {
    under_each_terraform(|version| {
        let workspace = without_credentials(version);
        workspace.write("main.tf", &module(false));
        workspace.validate().succeeded();
        workspace.apply().succeeded();
        workspace.assert_clean();
        // As in a pipeline that has one of two variables, or the path of a file that isn't mounted here.
        workspace.set("KMS_UNIVERSAL_AUTH_CLIENT_ID", "only-one-of-two");
        workspace.assert_clean();
        workspace.unset("KMS_UNIVERSAL_AUTH_CLIENT_ID");
        workspace.set("KMS_MACHINE_IDENTITY_ID", "some-identity");
        workspace.set("KMS_KUBERNETES_SERVICE_ACCOUNT_TOKEN_PATH", "/no/such/token");
        workspace.assert_clean();
        workspace.destroy().succeeded();
        assert!(workspace.emulator.requests().is_empty());
    });
}

#[test]
fn each_use_of_the_kms_without_credentials_fails_in_the_plan() {
    under_each_terraform(|version| {
        let workspace = without_credentials(version);
        let data = "data \"kms_dbt_connections\" \"all\" {}\n".to_owned();
        let secret = format!(
            "ephemeral \"kms_secret\" \"token\" {{\n  name         = \"DBT_TOKEN\"\n  \
             workspace_id = \"{PROJECT_ID}\"\n  env_slug     = \"prod\"\n}}\n"
        );
        let import = "import {\n  to = kms_dbt_connection.orders\n  id = \"orders\"\n}\n".to_owned();
        for parts in [
            vec![connection("orders", &[])],
            vec![data],
            vec![secret],
            vec![import, connection("orders", &[])],
        ] {
            workspace.write("main.tf", &configuration(&parts));
            let outcome = workspace.failing_plan();
            let error = outcome.error();
            assert_eq!(error.summary, SUMMARY, "{parts:?}");
            assert!(error.detail.contains("auth.token, or KMS_TOKEN"), "{}", error.detail);
        }
        assert!(workspace.emulator.requests().is_empty());
    });
}

#[test]
fn what_exists_is_not_refreshed_without_credentials_and_stays_in_state() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        workspace.write("main.tf", &configuration(&[connection("orders", &[])]));
        workspace.apply().succeeded();
        workspace.unset("KMS_UNIVERSAL_AUTH_CLIENT_ID");
        workspace.unset("KMS_UNIVERSAL_AUTH_CLIENT_SECRET");
        assert_eq!(workspace.failing_plan().error().summary, SUMMARY);
        workspace.run(&["plan", "-json", "-refresh=false", "-detailed-exitcode"]).succeeded();

        let changed = connection("orders", &[("description", "\"new\"")]);
        workspace.write("main.tf", &configuration(&[changed]));
        let outcome = workspace.run(&["plan", "-json", "-refresh=false"]).failed();
        assert_eq!(outcome.error().summary, SUMMARY);
        let outcome = workspace.run(&["plan", "-json", "-refresh=false", "-destroy"]).failed();
        assert_eq!(outcome.error().summary, SUMMARY);
        assert!(!workspace.state("kms_dbt_connection.orders").is_null());
    });
}
