//! The test of a connection as an action.

use serde_json::Value;

use crate::harness::{
    capabilities::{Capability, under_each_terraform_with},
    events,
    workspace::{Outcome, Workspace, configuration, connection},
};

const TOKEN: &str = "dbtu_t3st3dByAct10nU7i8";
const INVOKE: &[&str] = &["apply", "-json", "-auto-approve", "-invoke=action.kms_dbt_connection_test.orders"];
const ACTION: &str = r#"
action "kms_dbt_connection_test" "orders" {
  config {
    connection_id = kms_dbt_connection.orders.id
  }
}
"#;

/// What the action said while it ran.
fn progress(outcome: &Outcome) -> Vec<String> {
    let said = events::of_type(outcome, "action_progress").into_iter();
    said.map(|line| line["hook"]["message"].as_str().unwrap().to_owned()).collect()
}

/// The events that started the action.
fn triggers(outcome: &Outcome) -> Vec<Value> {
    let started = events::of_type(outcome, "action_start").into_iter();
    started.map(|line| line["hook"]["lifecycle"]["trigger_event"].clone()).collect()
}

#[test]
fn the_test_reports_its_progress_and_what_dbt_says() {
    under_each_terraform_with(Capability::Actions, |version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        workspace.write("main.tf", &configuration(&[connection("orders", &[]), ACTION.into()]));
        let outcome = workspace.apply().succeeded();
        assert!(triggers(&outcome).is_empty(), "nothing asks for it yet");
        let id = workspace.emulator.connection("orders").id;

        workspace.emulator.clear_requests();
        let outcome = workspace.run(INVOKE).succeeded();
        let asking = format!("Testing the dbt connection {id} ...");
        let accepted = "dbt accepts the token. Projects: Analytics, Marketing.";
        assert_eq!(progress(&outcome), [asking.as_str(), accepted]);
        assert_eq!(events::of_type(&outcome, "action_complete").len(), 1);
        assert!(workspace.emulator.writes().is_empty());

        workspace.emulator.state().dbt.revoked.push(TOKEN.into());
        let outcome = workspace.run(INVOKE).failed();
        assert_eq!(progress(&outcome), [asking.as_str()]);
        // Terraform before 1.16 drops the attribute of an action's error.
        let error = outcome.error();
        assert!(
            error.says(&["dbt refused the credentials", "Failed to list projects: Invalid token."]),
            "{error:#?}"
        );
        assert_eq!(events::of_type(&outcome, "action_errored").len(), 1);
        // It changed nothing, in the KMS or in state.
        workspace.assert_clean();
    });
}

#[test]
fn a_test_of_what_is_not_there_says_what_is_missing() {
    under_each_terraform_with(Capability::Actions, |version| {
        let workspace = Workspace::new(version);
        let missing = "3f0c5c1e-9d0f-4d43-8c6e-6a8f7f4f1aff";
        let write = |id: &str| {
            workspace.write("main.tf", &ACTION.replace("kms_dbt_connection.orders.id", &format!("{id:?}")));
        };
        write(missing);
        let outcome = workspace.run(INVOKE);
        assert!(outcome.error().says(&["doesn't exist", missing]), "{outcome:#?}");

        workspace.emulator.clear_requests();
        write("orders");
        let outcome = workspace.run(INVOKE);
        assert!(outcome.error().says(&["must be a UUID"]), "{outcome:#?}");
        assert!(workspace.emulator.requests().is_empty());
    });
}

#[test]
fn a_trigger_tests_each_connection_that_was_made_or_changed() {
    under_each_terraform_with(Capability::Actions, |version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        let lifecycle = "{\n    action_trigger {\n      events  = [after_create, after_update]\n      actions = [action.kms_dbt_connection_test.orders]\n    }\n  }";
        let write = |description: &str| {
            let orders = connection("orders", &[("description", description), ("lifecycle", lifecycle)]);
            workspace.write("main.tf", &configuration(&[orders, ACTION.into()]));
        };
        write("null");
        let outcome = workspace.apply().succeeded();
        assert_eq!(triggers(&outcome), ["AfterCreate"]);
        assert_eq!(progress(&outcome).len(), 2);
        workspace.assert_clean();
        assert!(triggers(&workspace.apply().succeeded()).is_empty(), "nothing changed");

        write("\"changed\"");
        let outcome = workspace.apply().succeeded();
        assert_eq!(triggers(&outcome), ["AfterUpdate"]);
        workspace.set_token("dbtu_r0tat3dAndT3st3dK1j2");
        let outcome = workspace.apply().succeeded();
        assert_eq!(triggers(&outcome), ["AfterUpdate"]);
        assert_eq!(progress(&outcome)[1], "dbt accepts the token. Projects: Analytics, Marketing.");

        // A refusal fails the run. What was changed before stays, and is recorded.
        workspace.emulator.state().dbt.revoked.push("dbtu_r0tat3dAndT3st3dK1j2".into());
        write("\"changed again\"");
        let outcome = workspace.apply();
        assert!(outcome.error().says(&["Invalid token."]), "{outcome:#?}");
        assert_eq!(workspace.emulator.connection("orders").description.as_deref(), Some("changed again"));
        workspace.assert_clean();
    });
}
