//! What was applied is not planned again.

use kms_emulator::PROJECT_ID;

use crate::harness::workspace::{Workspace, address, configuration, connection, under_each_terraform};

#[test]
fn applying_leaves_nothing_to_change_for_any_set_of_arguments() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token("dbtu_4kQm1zXvN0aBsEtAr6");
        let every_combination = format!(
            r#"
locals {{
  combinations = setproduct([null, "about the orders"], [null, "{PROJECT_ID}"], [null, "1"], [null, false, true])
}}
"#
        );
        let combined = connection(
            "each",
            &[
                ("for_each", "{ for number, values in local.combinations : tostring(number) => values }"),
                ("name", "\"orders-${each.key}\""),
                ("description", "each.value[0]"),
                ("project_id", "each.value[1]"),
                ("api_token_version", "each.value[2]"),
                ("adopt_existing", "each.value[3]"),
            ],
        );
        workspace.write("main.tf", &configuration(&[every_combination, combined]));
        workspace.apply().succeeded();
        assert_eq!(workspace.emulator.connections().len(), 24);
        assert_eq!(workspace.emulator.writes().len(), 24);

        workspace.emulator.clear_requests();
        workspace.assert_clean();
        workspace.apply().succeeded();
        workspace.assert_clean();
        assert!(workspace.emulator.writes().is_empty());
    });
}

#[test]
fn what_is_stored_is_what_was_configured() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token("dbtc_9sTdW3fYb7oRd3r5Qe");
        let arguments =
            [("description", "\"about the orders\""), ("project_id", &format!("\"{PROJECT_ID}\""))];
        workspace.write("main.tf", &configuration(&[connection("orders", &arguments)]));
        workspace.apply().succeeded();

        let stored = workspace.emulator.connection("orders");
        assert_eq!(stored.description.as_deref(), Some("about the orders"));
        assert_eq!(stored.project_id.as_deref(), Some(PROJECT_ID));
        let credentials = workspace.emulator.stored_credentials(&stored.id);
        assert_eq!(credentials.instance_url, "https://cloud.getdbt.com");
        assert_eq!(credentials.account_id, "12345");
        assert_eq!(credentials.api_token, "dbtc_9sTdW3fYb7oRd3r5Qe");

        let state = workspace.state(&address("orders"));
        assert_eq!(state["id"], stored.id.as_str());
        assert_eq!(state["org_id"], stored.org_id.as_str());
        assert_eq!(state["method"], "api-token");
        assert_eq!(state["is_platform_managed_credentials"], false);
        assert_eq!(state["credentials_hash"], stored.credentials.hash());
        assert!(state["api_token"].is_null());

        workspace.destroy().succeeded();
        assert!(workspace.emulator.connections().is_empty());
    });
}

#[test]
fn a_plan_without_refresh_asks_the_server_nothing() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token("dbtu_n0R3fr3shH5g6f7d8");
        workspace.write("main.tf", &configuration(&[connection("orders", &[])]));
        workspace.apply().succeeded();
        workspace.emulator.clear_requests();
        workspace.run(&["plan", "-json", "-detailed-exitcode", "-refresh=false"]).succeeded();
        workspace.validate().succeeded();
        assert!(workspace.emulator.requests().is_empty());
    });
}

#[test]
fn many_connections_cost_one_list_and_one_login() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token("dbtu_aXc8LmZq1WdRf5vTgB");
        let many = connection(
            "many",
            &[
                ("for_each", "toset([for number in range(30) : tostring(number)])"),
                ("name", "\"orders-${each.key}\""),
                ("project_id", &format!("\"{PROJECT_ID}\"")),
            ],
        );
        workspace.write("main.tf", &configuration(&[many]));
        workspace.apply().succeeded();

        workspace.emulator.clear_requests();
        workspace.assert_clean();
        let requests = workspace.emulator.requests();
        let reads: Vec<_> = requests.iter().filter(|request| request.method == "GET").collect();
        let logins = requests.iter().filter(|request| request.path.contains("/auth/")).count();
        assert_eq!((reads.len(), logins), (1, 1), "{reads:#?}");
    });
}
