//! Values that become known only during the apply, and values that never show at all.

use kms_emulator::{Credentials, PROJECT_ID};

use crate::harness::{
    plans::{Change, MOVED_BY_CREDENTIALS},
    workspace::{Workspace, address, configuration, connection, under_each_terraform},
};

const TOKEN: &str = "dbtu_unkn0wnYetL6k5j4h3";

/// Something whose output is unknown while its replacement is planned.
fn later(trigger: &str, value: &str) -> String {
    format!(
        "\nresource \"terraform_data\" \"later\" {{\n  input            = \"{value}\"\n  triggers_replace = \"{trigger}\"\n}}\n"
    )
}

#[test]
fn an_instance_url_known_after_apply_is_sent_only_when_it_differs() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        let write = |trigger: &str, url: &str| {
            let connection = connection("orders", &[("instance_url", "terraform_data.later.output")]);
            workspace.write("main.tf", &configuration(&[later(trigger, url), connection]));
        };
        write("1", "https://cloud.getdbt.com");
        workspace.apply().succeeded();
        workspace.assert_clean();

        workspace.emulator.clear_requests();
        write("2", "https://cloud.getdbt.com");
        let plan = workspace.plan();
        assert_eq!(
            plan.change(&address("orders")),
            Change::update(&[&["instance_url"], &MOVED_BY_CREDENTIALS])
        );
        workspace.apply_plan(&plan).succeeded();
        assert!(workspace.emulator.writes().is_empty(), "it was the same after all");
        workspace.assert_clean();

        write("3", "https://au.dbt.com");
        workspace.apply().succeeded();
        let [write] = &workspace.emulator.writes()[..] else { panic!("one write") };
        assert_eq!(write.body_keys(), ["credentials"]);
        workspace.assert_clean();
    });
}

#[test]
fn everything_may_be_unknown_in_validation_and_in_the_plan() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        let arguments = [
            ("name", "\"orders-${terraform_data.later.output}\""),
            ("description", "terraform_data.later.output"),
            ("account_id", "terraform_data.later.output"),
            ("api_token_version", "terraform_data.later.output"),
            ("adopt_existing", "terraform_data.later.output == \"12345\""),
            ("project_id", &format!("replace(terraform_data.later.output, \"12345\", \"{PROJECT_ID}\")")),
        ];
        workspace.write("main.tf", &configuration(&[later("1", "12345"), connection("orders", &arguments)]));
        workspace.validate().succeeded();
        workspace.apply().succeeded();
        assert_eq!(workspace.emulator.connection("orders-12345").project_id.as_deref(), Some(PROJECT_ID));
        workspace.assert_clean();
    });
}

/// In validation all variables are unknown, also those that stay null.
#[test]
fn alternatives_that_variables_choose_from_contradict_nothing() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.secret("dbtu_ch053nByV4r14bl3");
        let credentials = Credentials::new("https://emea.dbt.com", "67890", "dbtu_ch053nByV4r14bl3");
        workspace.emulator.create("orders", Some(PROJECT_ID), &credentials);
        let variables: String = ["id", "client", "token", "file", "pem"]
            .map(|name| format!("variable \"{name}\" {{\n  type    = string\n  default = null\n}}\n"))
            .concat();
        let rest = format!(
            r#"
variable "name" {{ default = "orders" }}
variable "project" {{ default = "{PROJECT_ID}" }}

data "kms_dbt_connection" "chosen" {{
  id         = var.id
  name       = var.name
  project_id = var.project
}}
"#
        );
        workspace.write("main.tf", &(variables + &rest));
        workspace.write_provider(
            r#"
  client_id           = var.client
  ca_certificate_file = var.file
  ca_certificate_pem  = var.pem
  auth = {
    token = var.token
    oidc  = var.token == "" ? { identity_id = "x" } : null
  }"#,
        );
        workspace.run(&["plan"]).succeeded();
    });
}

#[test]
fn a_value_that_turns_out_bad_is_refused_before_it_is_sent() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        let connection = connection("orders", &[("name", "terraform_data.later.output")]);
        workspace.write("main.tf", &configuration(&[later("1", "Not A Name"), connection]));
        let outcome = workspace.apply();
        assert_eq!(outcome.error().attribute, "name");
        assert!(workspace.emulator.writes().is_empty());
    });
}

#[test]
fn a_token_that_opens_during_the_apply_is_sent_only_when_it_differs() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        let secret = format!(
            r#"
ephemeral "kms_secret" "token" {{
  name         = "DBT_TOKEN"
  workspace_id = "{PROJECT_ID}"
  env_slug     = "prod"
  folder_path  = terraform_data.later.output
}}
"#
        );
        let write = |trigger: &str| {
            let connection = connection("orders", &[("api_token", "ephemeral.kms_secret.token.value")]);
            workspace.write("main.tf", &configuration(&[later(trigger, "/dbt"), secret.clone(), connection]));
        };
        workspace.store_secret("/dbt", TOKEN);
        write("1");
        workspace.apply().succeeded();
        let id = workspace.emulator.connection("orders").id;
        assert_eq!(workspace.emulator.stored_credentials(&id).api_token, TOKEN);
        workspace.assert_clean();

        workspace.emulator.clear_requests();
        write("2");
        let plan = workspace.plan();
        assert_eq!(plan.change(&address("orders")), Change::update(&[&MOVED_BY_CREDENTIALS]));
        workspace.apply_plan(&plan).succeeded();
        assert!(workspace.emulator.writes().is_empty(), "it was the same after all");
        workspace.assert_clean();

        workspace.store_secret("/dbt", "dbtu_0th3rT0k3nQ9w8e7r6");
        write("3");
        workspace.apply().succeeded();
        assert_eq!(workspace.emulator.stored_credentials(&id).api_token, "dbtu_0th3rT0k3nQ9w8e7r6");
        workspace.assert_clean();
    });
}

#[test]
fn a_token_passes_through_a_module_and_a_missing_one_is_named() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        workspace.write_provider("  host = terraform_data.later.output");
        let url = workspace.emulator.url();
        workspace.write("main.tf", &configuration(&[later("1", &url), connection("orders", &[])]));
        let plan = workspace.plan();
        assert_eq!(plan.change(&address("orders")).actions(), ["create"]);
        assert!(workspace.emulator.requests().is_empty());
        workspace.apply_plan(&plan).succeeded();
        workspace.emulator.connection("orders");
        workspace.assert_clean();
    });
}
