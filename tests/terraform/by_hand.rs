//! Connections made by hand come under Terraform without a token, and get one or lose it later.

use std::fs;

use kms_emulator::{Credentials, OTHER_PROJECT_ID, Options, PROJECT_ID};

use crate::{
    harness::{
        capabilities::{Capability, under_each_terraform_with},
        plans::{self, Change, MOVED_BY_CREDENTIALS, assert_plan_snapshot},
        workspace::{Workspace, address, configuration, connection, under_each_terraform},
    },
    queries::list,
};

const TOKEN: &str = "dbtu_g1venL4terV5b6n7m8";
const OTHER_TOKEN: &str = "dbtu_0th3rL4terW2e3r4t5";
const BY_HAND: &str = "dbtu_made_by_hand";

/// Arguments of a connection without a token.
const NO_TOKEN: (&str, &str) = ("api_token", "");

fn made_by_hand() -> Credentials {
    Credentials::new("https://cloud.getdbt.com", "12345", BY_HAND)
}

/// A workspace that manages one connection made by hand, without a token.
fn taken_over(version: &str) -> Workspace {
    let workspace = Workspace::new(version);
    workspace.set_token(TOKEN);
    workspace.emulator.create("orders", None, &made_by_hand());
    write(&workspace, &[NO_TOKEN]);
    workspace.run(&["import", "-no-color", &address("orders"), "orders"]).succeeded();
    workspace
}

fn write(workspace: &Workspace, arguments: &[(&str, &str)]) {
    workspace.write("main.tf", &configuration(&[connection("orders", arguments)]));
}

fn stored_token(workspace: &Workspace) -> String {
    workspace.emulator.stored_credentials(&workspace.emulator.connection("orders").id).api_token
}

/// The fields that the only write sent.
fn sent(workspace: &Workspace) -> Vec<String> {
    let [write] = &workspace.emulator.writes()[..] else {
        panic!("one write: {:#?}", workspace.emulator.writes())
    };
    workspace.emulator.clear_requests();
    write.body_keys()
}

#[test]
fn two_hundred_are_found_and_taken_over_as_generated_with_nothing_written() {
    const COUNT: usize = 200;
    under_each_terraform_with(Capability::Queries, |version| {
        let workspace = Workspace::with(version, Options::default());
        for number in 0..COUNT {
            let id =
                workspace.emulator.create(&format!("orders-{number:03}"), Some(PROJECT_ID), &made_by_hand());
            let description =
                [None, Some(String::new()), Some("${made} \"by hand\"".to_owned())][number % 3].clone();
            workspace.emulator.edit(&id, |connection| connection.description = description);
        }
        let list = list("all", &format!("limit = {COUNT}"), &format!("project_id = \"{PROJECT_ID}\""));
        workspace.write("find.tfquery.hcl", &list);
        workspace.run(&["query", "-json", "-generate-config-out=found.tf"]).succeeded();
        let generated = fs::read_to_string(workspace.path("found.tf")).unwrap();
        assert_eq!(generated.matches("import {").count(), COUNT);

        let plan = workspace.plan();
        assert!(plan.changes().is_empty() && plan.outcome.warnings().is_empty(), "{:#?}", plan.outcome);
        let imports = plan.json["resource_changes"].as_array().unwrap().iter();
        assert_eq!(imports.filter(|change| change["change"]["importing"].is_object()).count(), COUNT);
        let outcome = workspace.run(&["apply", "-no-color", &plan.file]).succeeded();
        assert!(outcome.stdout.contains("200 imported, 0 added, 0 changed, 0 destroyed"), "{outcome:#?}");
        assert!(workspace.assert_clean().warnings().is_empty());
        assert!(workspace.emulator.writes().is_empty());
    });
}

#[test]
fn without_a_token_name_and_description_are_managed_and_credentials_left_alone() {
    under_each_terraform(|version| {
        let workspace = taken_over(version);
        let kms = &workspace.emulator;
        assert!(workspace.assert_clean().warnings().is_empty());

        write(&workspace, &[NO_TOKEN, ("description", "\"ours\"")]);
        let plan = workspace.plan();
        assert_eq!(
            plan.change(&address("orders")),
            Change::update(&[&["description"], &MOVED_BY_CREDENTIALS])
        );
        workspace.apply_plan(&plan).succeeded();
        assert_eq!(sent(&workspace), ["description"]);

        // Another spelling of the same URL concerns Terraform only.
        let respelled = ("instance_url", "\"https://cloud.getdbt.com/\"");
        write(&workspace, &[NO_TOKEN, ("description", "\"ours\""), respelled]);
        workspace.apply().succeeded();
        assert!(kms.writes().is_empty());
        assert!(workspace.assert_clean().warnings().is_empty());

        // Credentials written elsewhere are nobody's business here.
        kms.write_credentials(&kms.connection("orders").id, |stored| stored.api_token = "dbtu_newer".into());
        let outcome = workspace.assert_clean();
        assert!(outcome.warnings().is_empty(), "{outcome:#?}");
        assert_eq!(stored_token(&workspace), "dbtu_newer");
    });
}

#[test]
fn without_a_token_the_plan_refuses_what_needs_one() {
    under_each_terraform(|version| {
        let workspace = taken_over(version);
        let project_id = format!("\"{OTHER_PROJECT_ID}\"");
        let cases = [
            ("account", ("account_id", "\"67890\""), "The KMS has account_id = \"12345\""),
            ("instance", ("instance_url", "\"https://emea.dbt.com\""), "only together"),
            ("replacement", ("project_id", project_id.as_str()), "Creating a dbt connection needs"),
        ];
        for (case, argument, reason) in cases {
            write(&workspace, &[NO_TOKEN, argument]);
            let outcome = workspace.failing_plan();
            let error = outcome.error();
            assert_eq!(error.address, address("orders"), "{case}");
            assert!(error.says(&["api_token", reason]), "{case}: {error:#?}");
        }
        let new = connection("new", &[NO_TOKEN]);
        let adopting = connection("adopting", &[NO_TOKEN, ("name", "\"x\""), ("adopt_existing", "true")]);
        workspace.write("main.tf", &configuration(&[connection("orders", &[NO_TOKEN]), new, adopting]));
        let outcome = workspace.failing_plan();
        insta::assert_snapshot!("refused_without_a_token", plans::diagnostics(&outcome));
        assert_eq!(outcome.errors().len(), 2, "{outcome:#?}");
        for error in outcome.errors() {
            assert!(error.says(&["api_token", "Creating a dbt connection needs"]), "{error:#?}");
        }

        write(&workspace, &[NO_TOKEN, ("api_token_version", "\"1\"")]);
        let outcome = workspace.failing_plan();
        assert_eq!(outcome.error().attribute, "api_token_version");
        assert!(outcome.error().says(&["only controls when", "\"api_token\""]), "{outcome:#?}");
        assert!(workspace.emulator.writes().is_empty());
    });
}

#[test]
fn a_token_given_later_is_sent_once_and_one_taken_away_sends_nothing() {
    under_each_terraform(|version| {
        let workspace = taken_over(version);
        write(&workspace, &[]);
        let plan = workspace.plan();
        assert_eq!(plan.change(&address("orders")), Change::update(&[&MOVED_BY_CREDENTIALS]));
        assert_eq!(plan.warned(), [address("orders")]);
        assert_plan_snapshot!("plan_of_a_token_given_later", workspace, plan);
        workspace.apply_plan(&plan).succeeded();
        assert_eq!(sent(&workspace), ["credentials"]);
        assert_eq!(stored_token(&workspace), TOKEN);
        workspace.assert_clean();

        write(&workspace, &[NO_TOKEN]);
        let plan = workspace.plan();
        assert_plan_snapshot!("plan_of_a_token_taken_away", workspace, plan);
        assert!(plan.changes().is_empty());
        write(&workspace, &[NO_TOKEN, ("description", "\"ours\"")]);
        workspace.apply().succeeded();
        assert_eq!(sent(&workspace), ["description"]);
        let kms = &workspace.emulator;
        kms.write_credentials(&kms.connection("orders").id, |stored| stored.api_token = BY_HAND.into());
        let outcome = workspace.assert_clean();
        assert!(outcome.warnings().is_empty(), "{outcome:#?}");

        // The same token again: what is stored was written elsewhere meanwhile.
        write(&workspace, &[("description", "\"ours\"")]);
        let plan = workspace.plan();
        assert_eq!(plan.change(&address("orders")), Change::update(&[&MOVED_BY_CREDENTIALS]));
        assert!(plan.outcome.warnings()[0].says(&["changed outside of Terraform"]), "{:#?}", plan.outcome);
        workspace.apply_plan(&plan).succeeded();
        assert_eq!(
            (sent(&workspace), stored_token(&workspace)),
            (vec!["credentials".to_owned()], TOKEN.to_owned())
        );

        // Taken away and given back, with nothing else happening.
        write(&workspace, &[NO_TOKEN, ("description", "\"ours\"")]);
        workspace.assert_clean();
        write(&workspace, &[("description", "\"ours\"")]);
        workspace.assert_clean();
        assert!(workspace.emulator.writes().is_empty());
    });
}

#[test]
fn with_a_version_a_token_comes_and_goes_as_the_version_says() {
    under_each_terraform(|version| {
        let workspace = taken_over(version);
        write(&workspace, &[("api_token_version", "\"1\"")]);
        let plan = workspace.plan();
        let change = Change::update(&[&["api_token_version"], &MOVED_BY_CREDENTIALS]);
        assert_eq!(plan.change(&address("orders")), change);
        workspace.apply_plan(&plan).succeeded();
        assert_eq!(sent(&workspace), ["credentials"]);

        // Both go: only Terraform's state changes.
        write(&workspace, &[NO_TOKEN]);
        let plan = workspace.plan();
        assert_plan_snapshot!("plan_of_a_token_and_its_version_taken_away", workspace, plan);
        assert_eq!(plan.change(&address("orders")), change);
        workspace.apply_plan(&plan).succeeded();
        workspace.assert_clean();
        assert!(workspace.emulator.writes().is_empty());

        // Without a version, no digest says that the token is the same.
        workspace.set_token(OTHER_TOKEN);
        write(&workspace, &[]);
        workspace.apply().succeeded();
        assert_eq!(
            (sent(&workspace), stored_token(&workspace)),
            (vec!["credentials".to_owned()], OTHER_TOKEN.to_owned())
        );
        workspace.assert_clean();
    });
}

#[test]
fn another_account_takes_the_token_along() {
    under_each_terraform(|version| {
        let workspace = taken_over(version);
        write(&workspace, &[("account_id", "\"67890\"")]);
        let plan = workspace.plan();
        assert_eq!(
            plan.change(&address("orders")),
            Change::update(&[&["account_id"], &MOVED_BY_CREDENTIALS])
        );
        workspace.apply_plan(&plan).succeeded();
        assert_eq!(
            (sent(&workspace), stored_token(&workspace)),
            (vec!["credentials".to_owned()], TOKEN.to_owned())
        );
        workspace.assert_clean();
    });
}
