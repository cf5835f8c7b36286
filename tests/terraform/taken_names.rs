//! Names that somebody else took first.

use kms_emulator::{Credentials, PROJECT_ID};

use crate::harness::{
    capabilities::Capability,
    clients,
    plans::assert_plan_snapshot,
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
        let plan = workspace.plan();
        let warnings = plan.outcome.warnings();
        assert_eq!(warnings.len(), 1, "{warnings:#?}");
        assert_eq!(warnings[0].attribute, "adopt_existing");
        let created = warnings[0].text().contains(&format!("{id}, created at 2"));
        assert!(
            created && warnings[0].says(&["will be adopted", "the apply takes it over"]),
            "{warnings:#?}"
        );
        assert_plan_snapshot!("plan_of_an_adoption", workspace, plan);
        workspace.apply_plan(&plan).succeeded();
        assert_eq!(workspace.state(&address("orders"))["id"], id.as_str());
        assert_eq!(workspace.emulator.connection("orders").description.as_deref(), Some("ours"));
        assert_eq!(workspace.emulator.stored_credentials(&id).api_token, TOKEN);
        workspace.assert_clean();
    });
}

#[test]
fn what_appears_after_the_plan_is_adopted_only_where_the_apply_plans_anew() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        workspace.write("main.tf", &configuration(&[connection("orders", &[("adopt_existing", "true")])]));
        let plan = workspace.plan();
        let by_hand = Credentials::new("https://cloud.getdbt.com", "12345", "dbtu_by_hand");
        let id = workspace.emulator.create("orders", None, &by_hand);
        let applied = workspace.apply_plan(&plan);
        if clients::has(version, Capability::PlannedPrivate) {
            assert!(applied.error().says(&["orders", &id]), "{applied:#?}");
            assert_eq!(workspace.emulator.stored_credentials(&id).api_token, "dbtu_by_hand");
            workspace.apply().succeeded();
        } else {
            applied.succeeded();
        }
        assert_eq!(workspace.state(&address("orders"))["id"], id.as_str());
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
        let adopting = |label: &str| connection(label, &[("adopt_existing", "true")]);
        for (label, reason) in [
            ("other_account", "different account_id (it has \"99999\")"),
            ("other_instance", "different instance_url (it has \"https://emea.dbt.com\")"),
            ("other_app", "a connection of another app has the name \"other-app\""),
        ] {
            workspace.write("main.tf", &configuration(&[adopting(label)]));
            let plan = workspace.plan();
            let warnings = plan.outcome.warnings();
            assert_eq!(warnings.len(), 1, "{label}: {warnings:#?}");
            assert!(
                warnings[0].attribute == "adopt_existing" && warnings[0].says(&[reason]),
                "{warnings:#?}"
            );
        }
        workspace.write("main.tf", &configuration(&labels.map(adopting)));
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

        // If it exists already, the plan knows.
        workspace.write("main.tf", &configuration(&[]));
        workspace.apply().succeeded();
        workspace.write("main.tf", &configuration(&[twin("one"), twin("two")]));
        let id = workspace.emulator.create(
            "orders",
            None,
            &Credentials::new("https://cloud.getdbt.com", "12345", "dbtu_by_hand"),
        );
        workspace.emulator.clear_requests();
        let outcome = workspace.run(&["plan", "-json"]).failed();
        assert!(
            outcome.error().says(&["Two resources for one dbt connection", &id, "only one can take it over"]),
            "{outcome:#?}"
        );
        assert!(workspace.emulator.writes().is_empty());
    });
}

#[test]
fn the_plan_refuses_to_adopt_what_another_resource_manages() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        // One label that Terraform walks before the other, and one after.
        let owner = |arguments: &[(&str, &str)]| {
            connection("owner", &[&[("name", "\"orders\"")], arguments].concat())
        };
        let wanting = |label: &str| connection(label, &[("name", "\"orders\""), ("adopt_existing", "true")]);
        workspace.write("main.tf", &configuration(&[owner(&[])]));
        workspace.apply().succeeded();
        let id = workspace.emulator.connection("orders").id;
        workspace.emulator.clear_requests();

        let imported = format!("import {{\n  to = kms_dbt_connection.owner\n  id = {id:?}\n}}\n");
        let described = owner(&[("description", "\"changed\"")]);
        let without_refresh: &[&str] = &["plan", "-json", "-refresh=false"];
        let one_by_one: &[&str] = &["plan", "-json", "-parallelism=1"];
        let refused = |case: &str, parts: &[String], command: &[&str]| {
            for label in ["adopting", "wanting"] {
                workspace.write("main.tf", &configuration(&[parts, &[wanting(label)]].concat()));
                let outcome = workspace.run(command).failed();
                let error = outcome.error();
                assert!(error.says(&[&id]), "{case}, {label}: {error:#?}");
                let expected: &[&str] = match error.address == address(label) {
                    true => &["Another resource of this configuration manages it", "Choose another name"],
                    false => &["Two resources for one dbt connection", "named \"orders\"", "adopt_existing"],
                };
                assert!(error.says(expected), "{case}, {label}: {error:#?}");
            }
        };
        refused("untouched", &[owner(&[])], one_by_one);
        refused("untouched, not read", &[owner(&[])], without_refresh);
        refused("changed", &[described], one_by_one);
        refused("destroyed", &[], one_by_one);
        workspace.run(&["state", "rm", &address("owner")]).succeeded();
        refused("imported", &[owner(&[]), imported], one_by_one);
        assert!(workspace.emulator.writes().is_empty());
    });
}

#[test]
fn a_name_known_only_in_the_apply_is_adopted_there() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        let id = workspace.emulator.create(
            "orders",
            None,
            &Credentials::new("https://cloud.getdbt.com", "12345", "dbtu_by_hand"),
        );
        let later = "\nresource \"terraform_data\" \"later\" {\n  input = \"orders\"\n}\n".to_owned();
        let name = ("name", "terraform_data.later.output");
        let adopting = connection("orders", &[name, ("adopt_existing", "true")]);
        workspace.write("main.tf", &configuration(&[later, adopting]));
        let plan = workspace.plan();
        assert!(plan.outcome.warnings().is_empty(), "{:#?}", plan.outcome);
        workspace.apply_plan(&plan).succeeded();
        assert_eq!(workspace.state(&address("orders"))["id"], id.as_str());
    });
}

#[test]
fn what_is_replaced_in_the_usual_order_is_not_adopted() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        workspace.write("main.tf", &configuration(&[connection("orders", &[("adopt_existing", "true")])]));
        workspace.apply().succeeded();
        let old = workspace.emulator.connection("orders").id;
        let outcome =
            workspace.run(&["apply", "-json", "-auto-approve", "-replace=kms_dbt_connection.orders"]);
        assert!(outcome.succeeded().warnings().is_empty());
        let new = workspace.emulator.connection("orders").id;
        assert_ne!(new, old);
        workspace.run(&["taint", &address("orders")]).succeeded();
        let outcome = workspace.apply().succeeded();
        assert!(outcome.warnings().is_empty(), "{outcome:#?}");
        assert_ne!(workspace.emulator.connection("orders").id, new);
        workspace.assert_clean();
    });
}

/// Terraform drops the warnings of the new object's own plan.
#[test]
fn the_plan_of_a_replacement_says_what_the_apply_takes_over() {
    under_each_terraform(|version| {
        for (account, is_adopted) in [("12345", true), ("67890", false)] {
            let workspace = Workspace::new(version);
            workspace.set_token(TOKEN);
            let in_project = format!("\"{PROJECT_ID}\"");
            let adopting = ("adopt_existing", "true");
            let arguments = [adopting, ("project_id", in_project.as_str())];
            workspace.write("main.tf", &configuration(&[connection("orders", &arguments)]));
            workspace.apply().succeeded();
            let by_hand = Credentials::new("https://cloud.getdbt.com", account, "dbtu_by_hand");
            let id = workspace.emulator.create("orders", None, &by_hand);

            workspace.write("main.tf", &configuration(&[connection("orders", &[adopting])]));
            let plan = workspace.plan();
            let warnings = plan.outcome.warnings();
            assert_eq!(warnings.len(), 1, "{warnings:#?}");
            let expected = match is_adopted {
                true => ["will be adopted", "the apply takes it over"],
                false => ["will not be adopted", "the create fails"],
            };
            assert!(warnings[0].says(&expected) && warnings[0].says(&[&id]), "{warnings:#?}");
            if is_adopted {
                workspace.apply_plan(&plan).succeeded();
                assert_eq!(workspace.state(&address("orders"))["id"], id.as_str());
                assert_eq!(workspace.emulator.stored_credentials(&id).api_token, TOKEN);
                workspace.assert_clean();
            }
        }
    });
}

#[test]
fn a_replacement_created_first_is_told_who_has_its_name() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        let lifecycle = ("lifecycle", "{\n    create_before_destroy = true\n  }");
        workspace.write("main.tf", &configuration(&[connection("orders", &[lifecycle])]));
        workspace.apply().succeeded();
        let id = workspace.emulator.connection("orders").id;
        let outcome =
            workspace.run(&["apply", "-json", "-auto-approve", "-replace=kms_dbt_connection.orders"]);
        let error = outcome.error();
        assert_eq!(error.attribute, "name");
        // Only where the plan's private state comes to the apply, the provider knows which connection is replaced.
        let said = match clients::has(version, Capability::PlannedPrivate) {
            false => "choose another name, or remove create_before_destroy",
            true => "is the one that this resource replaces",
        };
        assert!(error.says(&[&id, "create_before_destroy", said]), "{error:#?}");
        assert_eq!(workspace.state(&address("orders"))["id"], id.as_str());
        assert_eq!(workspace.emulator.connections().len(), 1);
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

#[test]
fn a_tainted_replacement_created_first_keeps_its_connection() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        let lifecycle = ("lifecycle", "{\n    create_before_destroy = true\n  }");
        let arguments = [("adopt_existing", "true"), lifecycle];
        workspace.write("main.tf", &configuration(&[connection("orders", &arguments)]));
        workspace.apply().succeeded();
        let id = workspace.emulator.connection("orders").id;
        workspace.run(&["taint", &address("orders")]).succeeded();
        let outcome = workspace.apply().succeeded();
        assert!(outcome.warnings().iter().any(|warning| warning.says(&["kept", &id])), "{outcome:#?}");
        assert_eq!(workspace.state(&address("orders"))["id"], id.as_str());
        workspace.assert_clean();
        assert_eq!(workspace.emulator.connections().len(), 1);
    });
}
