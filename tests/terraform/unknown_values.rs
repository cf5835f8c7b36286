//! Values that become known only during the apply, and values that never show at all.

use crate::{
    kms_emulator::PROJECT_ID,
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
        let required =
            "terraform {\n  required_providers {\n    kms = { source = \"hanzoai/kms\" }\n  }\n}\n";
        let module = configuration(&[required.into(), connection("orders", &[])]);
        workspace.write("modules/warehouse/main.tf", &module);
        let caller =
            "\nmodule \"warehouse\" {\n  source = \"./modules/warehouse\"\n  token  = var.token\n}\n";
        workspace.write("main.tf", &configuration(&[caller.into()]));
        workspace.run(&["get", "-no-color"]).succeeded();
        workspace.apply().succeeded();
        workspace.assert_clean();
        assert_eq!(workspace.state("module.warehouse.kms_dbt_connection.orders")["name"], "orders");

        workspace.unset("TF_VAR_token");
        workspace.emulator.clear_requests();
        let outcome = workspace.failing_plan();
        assert_eq!(outcome.error().attribute, "api_token", "{outcome:#?}");
        assert!(workspace.emulator.writes().is_empty());
    });
}

#[test]
fn a_host_known_after_apply_is_no_error_in_the_plan() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        workspace.unset("KMS_HOST");
        let required =
            "terraform {\n  required_providers {\n    kms = { source = \"hanzoai/kms\" }\n  }\n}\n";
        let provider = "provider \"kms\" {\n  host = terraform_data.later.output\n}\n";
        workspace.write("provider.tf", &format!("{required}{provider}"));
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
