//! Changes behind Terraform's back.

use std::collections::BTreeMap;

use crate::harness::{
    plans::assert_plan_snapshot,
    plans::{Change, MOVED_BY_CREDENTIALS},
    workspace::{Workspace, address, configuration, connection, under_each_terraform},
};

const TOKEN: &str = "dbtu_dr1ft1ngS4ndD7uN3s";

#[test]
fn every_kind_of_drift_is_seen_and_put_right() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        let labels = [
            "untouched",
            "renamed",
            "described",
            "moved",
            "other_account",
            "rewritten",
            "versioned",
            "deleted",
        ];
        let connections = labels.map(|label| {
            let versioned: &[_] = &[("api_token_version", "\"1\"")];
            connection(label, if label == "versioned" { versioned } else { &[] })
        });
        workspace.write("main.tf", &configuration(&connections));
        workspace.apply().succeeded();

        let kms = &workspace.emulator;
        let id = |label: &str| kms.connection(&label.replace('_', "-")).id;
        let deleted = id("deleted");
        kms.edit(&id("renamed"), |connection| connection.name = "renamed-by-hand".into());
        kms.edit(&id("described"), |connection| connection.description = Some("by hand".into()));
        kms.write_credentials(&id("moved"), |credentials| {
            credentials.instance_url = "https://au.dbt.com".into()
        });
        kms.write_credentials(&id("other_account"), |credentials| credentials.account_id = "999".into());
        kms.write_credentials(&id("rewritten"), |credentials| credentials.api_token = "dbtu_by_hand".into());
        kms.write_credentials(&id("versioned"), |credentials| credentials.api_token = "dbtu_by_hand".into());
        kms.delete(&deleted);

        let plan = workspace.plan();
        let mut changes = plan.changes();
        let created = changes.remove(&address("deleted")).expect("the deleted one is planned");
        assert_eq!(created.actions(), ["create"]);
        let credentials = &MOVED_BY_CREDENTIALS[..];
        let expected = [
            ("renamed", Change::update(&[&["name"], credentials])),
            ("described", Change::update(&[&["description"], credentials])),
            ("moved", Change::update(&[&["instance_url"], credentials])),
            ("other_account", Change::update(&[&["account_id"], credentials])),
            ("rewritten", Change::update(&[credentials])),
        ];
        let expected: BTreeMap<_, _> =
            expected.into_iter().map(|(label, change)| (address(label), change)).collect();
        assert_eq!(changes, expected);
        let warned = ["moved", "other_account", "rewritten", "versioned"].map(address);
        assert_eq!(plan.warned(), warned, "{:#?}", plan.outcome.warnings());
        let when = workspace.emulator.connection("rewritten").updated_at;
        let day = format!("{}-{:02}-{:02}", when.year(), u8::from(when.month()), when.day());
        assert!(
            plan.outcome.warnings().iter().all(|warning| warning.says(&[&day])),
            "it says when it happened"
        );
        assert_plan_snapshot!("plan_of_each_kind_of_drift", workspace, plan);

        workspace.apply_plan(&plan).succeeded();
        for label in ["untouched", "renamed", "described", "moved", "other_account", "rewritten", "deleted"] {
            let stored = kms.connection(&label.replace('_', "-"));
            let credentials = kms.stored_credentials(&stored.id);
            assert_eq!(stored.description, None);
            assert_eq!(credentials.api_token, TOKEN, "{label}");
            assert_eq!(credentials.account_id, "12345", "{label}");
        }
        assert_eq!(kms.stored_credentials(&id("versioned")).api_token, "dbtu_by_hand");
        assert_ne!(id("deleted"), deleted);
        workspace.assert_clean();
    });
}

#[test]
fn a_refresh_alone_does_not_make_drift_forgotten() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        workspace.write("main.tf", &configuration(&[connection("orders", &[])]));
        workspace.apply().succeeded();
        let id = workspace.emulator.connection("orders").id;
        workspace
            .emulator
            .write_credentials(&id, |credentials| credentials.api_token = "dbtu_by_hand".into());

        workspace.run(&["apply", "-json", "-refresh-only", "-auto-approve"]).succeeded();
        let plan = workspace.plan();
        assert_eq!(plan.change(&address("orders")), Change::update(&[&MOVED_BY_CREDENTIALS]));
        workspace.apply_plan(&plan).succeeded();
        assert_eq!(workspace.emulator.stored_credentials(&id).api_token, TOKEN);
        workspace.assert_clean();
    });
}

#[test]
fn a_write_that_only_touches_the_time_changes_nothing() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        workspace.write("main.tf", &configuration(&[connection("orders", &[])]));
        workspace.apply().succeeded();
        let id = workspace.emulator.connection("orders").id;
        workspace.emulator.edit(&id, |_| ());
        let outcome = workspace.assert_clean();
        assert!(outcome.warnings().is_empty(), "{outcome:#?}");
    });
}
