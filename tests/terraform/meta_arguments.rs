//! Terraform's own arguments of a resource do what people expect of them.

use kms_emulator::{OTHER_PROJECT_ID, PROJECT_ID};

use crate::harness::workspace::{Workspace, address, configuration, connection, under_each_terraform};

const TOKEN: &str = "dbtu_m3t4Argum3ntsF1g2h3";

#[test]
fn ignored_changes_are_neither_planned_nor_sent() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        let write = |name: &str| {
            let ignoring = |what: &str| format!("{{\n    ignore_changes = [{what}]\n  }}");
            let described = connection("described", &[("lifecycle", &ignoring("description"))]);
            let rotated = connection("rotated", &[("name", name), ("lifecycle", &ignoring("api_token"))]);
            workspace.write("main.tf", &configuration(&[described, rotated]));
        };
        write("\"rotated\"");
        workspace.apply().succeeded();
        let kms = &workspace.emulator;
        kms.edit(&kms.connection("described").id, |connection| {
            connection.description = Some("by hand".into())
        });
        workspace.assert_clean();

        workspace.set_token("dbtu_1gn0r3dT0k3nJ4k5l6");
        kms.clear_requests();
        workspace
            .run(&["plan", "-json", "-detailed-exitcode", "-target=kms_dbt_connection.rotated"])
            .succeeded();
        write("\"renamed\"");
        workspace.run(&["apply", "-json", "-auto-approve", "-target=kms_dbt_connection.rotated"]).succeeded();
        let [write] = &kms.writes()[..] else { panic!("one write") };
        assert_eq!(write.body_keys(), ["name"]);
    });
}

#[test]
fn an_ignored_account_is_not_sent_with_a_new_token() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        let ignoring = "{\n    ignore_changes = [account_id, api_token_version]\n  }";
        let write = |arguments: &[(&str, &str)]| {
            workspace.write("main.tf", &configuration(&[connection("orders", arguments)]));
        };
        write(&[("lifecycle", ignoring)]);
        workspace.apply().succeeded();
        let kms = &workspace.emulator;
        let id = kms.connection("orders").id;
        let before = kms.stored_credentials(&id).account_id;

        workspace.set_token("dbtu_1gn0r3dAcc0untM7n8");
        write(&[("account_id", "\"67890\""), ("api_token_version", "\"2\""), ("lifecycle", ignoring)]);
        workspace.apply().succeeded();
        let stored = kms.stored_credentials(&id);
        assert_eq!(stored.account_id, before);
        assert_eq!(stored.api_token, "dbtu_1gn0r3dAcc0untM7n8");
        workspace.assert_clean();
    });
}

#[test]
fn a_replacement_can_be_created_first_and_destruction_prevented() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        let write = |project_id: &str| {
            let project_id = format!("\"{project_id}\"");
            let lifecycle = |rule: &str| format!("{{\n    {rule} = true\n  }}");
            let created_first =
                [("project_id", project_id.as_str()), ("lifecycle", &lifecycle("create_before_destroy"))];
            workspace.write("main.tf", &configuration(&[connection("created_first", &created_first)]));
            let kept = [("project_id", project_id.as_str()), ("lifecycle", &lifecycle("prevent_destroy"))];
            workspace.write("kept.tf", &connection("kept", &kept));
        };
        write(PROJECT_ID);
        workspace.apply().succeeded();
        let kms = &workspace.emulator;

        kms.clear_requests();
        write(OTHER_PROJECT_ID);
        let outcome = workspace.failing_plan();
        assert!(outcome.error().says(&["prevent_destroy", "kept"]), "{outcome:#?}");
        assert!(kms.writes().is_empty());

        let target = "-target=kms_dbt_connection.created_first";
        workspace.run(&["apply", "-json", "-auto-approve", target]).succeeded();
        let methods: Vec<_> = kms.writes().into_iter().map(|write| write.method).collect();
        assert_eq!(methods, ["POST", "DELETE"]);
        assert_eq!(kms.connection("created-first").project_id.as_deref(), Some(OTHER_PROJECT_ID));
        assert_eq!(workspace.state(&address("created_first"))["project_id"], OTHER_PROJECT_ID);
    });
}

#[test]
fn a_moved_resource_and_a_forgotten_one_send_nothing() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        workspace.write("main.tf", &configuration(&[connection("old", &[]), connection("forgotten", &[])]));
        workspace.apply().succeeded();
        workspace.emulator.clear_requests();
        let moved = "moved {\n  from = kms_dbt_connection.old\n  to   = kms_dbt_connection.new\n}\n";
        let removed =
            "removed {\n  from = kms_dbt_connection.forgotten\n  lifecycle {\n    destroy = false\n  }\n}\n";
        let new = connection("new", &[("name", "\"old\"")]);
        workspace.write("main.tf", &configuration(&[new, moved.into(), removed.into()]));
        workspace.apply().succeeded();
        assert!(workspace.emulator.writes().is_empty());
        assert_eq!(workspace.emulator.connections().len(), 2);
        workspace.assert_clean();
    });
}
