//! Names that somebody else took first.

use crate::{
    kms_emulator::{Credentials, PROJECT_ID},
    workspace::{Workspace, address, configuration, connection, under_each_terraform},
};

const TOKEN: &str = "dbtu_t4k3nN4m3sB6n7m8qw";

#[test]
fn a_taken_name_names_its_owner_and_the_ways_out() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        let id = workspace.emulator.create(
            "orders",
            Some(PROJECT_ID),
            &Credentials::new("https://cloud.getdbt.com", "12345", "dbtu_by_hand"),
        );
        let before = workspace.emulator.connection("orders").credentials.hash();
        let in_project = format!("\"{PROJECT_ID}\"");
        let arguments = [("project_id", in_project.as_str()), ("description", "\"ours\"")];
        workspace.write("main.tf", &configuration(&[connection("orders", &arguments)]));
        let outcome = workspace.apply();
        let error = outcome.error();
        assert_eq!((error.address.as_str(), error.attribute.as_str()), (address("orders").as_str(), "name"));
        assert!(error.says(&["orders", &id, "terraform import", "adopt_existing"]), "{error:#?}");
        assert_eq!(workspace.emulator.connection("orders").credentials.hash(), before);
        assert!(workspace.state(&address("orders")).is_null());

        let adopting = [arguments[0], arguments[1], ("adopt_existing", "true")];
        workspace.write("main.tf", &configuration(&[connection("orders", &adopting)]));
        workspace.apply().succeeded();
        assert_eq!(workspace.state(&address("orders"))["id"], id.as_str());
        assert_eq!(workspace.emulator.connection("orders").description.as_deref(), Some("ours"));
        assert_eq!(workspace.emulator.stored_credentials(&id).api_token, TOKEN);
        workspace.assert_clean();
    });
}

#[test]
fn another_account_is_never_taken_over() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        let kms = &workspace.emulator;
        kms.create(
            "other-account",
            None,
            &Credentials::new("https://cloud.getdbt.com", "99999", "dbtu_by_hand"),
        );
        kms.create(
            "other-instance",
            None,
            &Credentials::new("https://emea.dbt.com", "12345", "dbtu_by_hand"),
        );
        let snowflake =
            kms.create("other-app", None, &Credentials::new("https://emea.dbt.com", "12345", "dbtu_x"));
        kms.edit(&snowflake, |connection| connection.app = "snowflake".into());
        let hashes = || kms.connections().into_iter().map(|connection| connection.credentials.hash());
        let before: Vec<_> = hashes().collect();

        let labels = ["other_account", "other_instance", "other_app"];
        let connections = labels.map(|label| connection(label, &[("adopt_existing", "true")]));
        workspace.write("main.tf", &configuration(&connections));
        let outcome = workspace.apply().failed();
        let mut blamed: Vec<_> = outcome.errors().iter().map(|error| error.address.clone()).collect();
        blamed.sort();
        assert_eq!(blamed, ["other_account", "other_app", "other_instance"].map(address), "{outcome:#?}");
        assert_eq!(hashes().collect::<Vec<_>>(), before);
        assert_eq!(kms.connections().len(), 3);
        assert!(labels.iter().all(|label| workspace.state(&address(label)).is_null()));
    });
}

#[test]
fn two_resources_do_not_adopt_one_connection() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        let twin = |label: &str| connection(label, &[("name", "\"orders\""), ("adopt_existing", "true")]);
        workspace.write("main.tf", &configuration(&[twin("one"), twin("two")]));
        let outcome = workspace.apply();
        assert_eq!(outcome.error().attribute, "name", "{outcome:#?}");
        let in_state =
            ["one", "two"].iter().filter(|label| !workspace.state(&address(label)).is_null()).count();
        assert_eq!(in_state, 1);
    });
}

#[test]
fn a_replacement_created_first_does_not_adopt_what_is_then_destroyed() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        let lifecycle = ("lifecycle", "{\n    create_before_destroy = true\n  }");
        let arguments = [("adopt_existing", "true"), lifecycle];
        workspace.write("main.tf", &configuration(&[connection("orders", &arguments)]));
        workspace.apply().succeeded();
        workspace.run(&["apply", "-json", "-auto-approve", "-replace=kms_dbt_connection.orders"]);
        let connections = workspace.emulator.connections();
        assert_eq!(connections.len(), 1, "the connection is lost");
        assert_eq!(workspace.state(&address("orders"))["id"], connections[0].id.as_str());
    });
}

#[test]
fn a_rename_to_a_taken_name_is_an_error_on_the_name() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        workspace.write("main.tf", &configuration(&[connection("orders", &[])]));
        workspace.apply().succeeded();
        let credentials = Credentials::new("https://cloud.getdbt.com", "12345", "dbtu_by_hand");
        let id = workspace.emulator.create("taken", None, &credentials);
        workspace.write("main.tf", &configuration(&[connection("orders", &[("name", "\"taken\"")])]));
        let outcome = workspace.apply();
        assert_eq!(outcome.error().attribute, "name");
        assert!(outcome.error().says(&["\"taken\"", &id, "terraform import"]), "{outcome:#?}");
        assert_eq!(workspace.state(&address("orders"))["name"], "orders");
    });
}
