//! `terraform query` finds connections made by hand, and writes what adopts them.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    thread,
    time::Duration,
};

use kms_emulator::{
    CLIENT_ID, CLIENT_SECRET, CONNECTIONS, Credentials, IDENTITY_ID, OTHER_PROJECT_ID, Options, PROJECT_ID,
    Server, identities::Identity,
};
use serde_json::{Value, json};

use crate::harness::{
    capabilities::{Capability, under_each_terraform_with},
    events,
    workspace::{Outcome, Workspace},
};

const QUERY: &[&str] = &["query", "-json"];

fn made_by_hand() -> Credentials {
    Credentials::new("https://cloud.getdbt.com", "12345", "dbtu_made_by_hand")
}

/// A list block, with arguments of its own and those of its configuration.
pub fn list(label: &str, arguments: &str, config: &str) -> String {
    let arguments = if arguments.is_empty() { String::new() } else { format!("  {arguments}\n") };
    format!(
        "list \"kms_dbt_connection\" \"{label}\" {{\n  provider = kms\n{arguments}  config {{\n    {config}\n  }}\n}}\n"
    )
}

/// What a list block found, in the order in which Terraform says it.
fn found(outcome: &Outcome, label: &str) -> Vec<Value> {
    let address = format!("list.kms_dbt_connection.{label}");
    let found = events::of_type(outcome, "list_resource_found").into_iter();
    let mut found: Vec<Value> = found.map(|line| line["list_resource_found"].clone()).collect();
    found.retain(|found| found["address"] == address);
    found
}

fn names(found: &[Value]) -> Vec<&str> {
    found.iter().map(|found| found["display_name"].as_str().unwrap()).collect()
}

#[test]
fn a_query_finds_what_its_arguments_ask_for_in_an_order_of_its_own() {
    under_each_terraform_with(Capability::Queries, |version| {
        // As a database sorts whose collation passes over hyphens.
        let options = Options { lists_ignore_hyphens: true, ..Options::default() };
        let workspace = Workspace::with(version, options);
        let kms = &workspace.emulator;
        for name in ["orders-b", "ordersa", "sales", "orders-a"] {
            kms.create(name, None, &made_by_hand());
        }
        for name in ["orders-p", "orders-o", "other"] {
            kms.create(name, Some(PROJECT_ID), &made_by_hand());
        }
        let elsewhere = kms.create("orders-aws", None, &made_by_hand());
        kms.edit(&elsewhere, |connection| connection.app = "aws".into());
        let project = format!("project_id = \"{PROJECT_ID}\"");
        let lists = [
            list("organization", "", ""),
            list("prefixed", "", "name_prefix = \"orders-\""),
            list("project", "", &project),
            list("both", "", &format!("{project}\n    name_prefix = \"orders-\"")),
            list("none", "", "name_prefix = \"nothing\""),
        ];
        workspace.write("find.tfquery.hcl", &lists.concat());

        let outcome = workspace.run(QUERY).succeeded();
        let expected: [(&str, &[&str]); 5] = [
            ("organization", &["orders-a", "orders-b", "ordersa", "sales"]),
            ("prefixed", &["orders-a", "orders-b"]),
            ("project", &["orders-o", "orders-p", "other"]),
            ("both", &["orders-o", "orders-p"]),
            ("none", &[]),
        ];
        for (label, expected) in expected {
            let found = found(&outcome, label);
            assert_eq!(names(&found), expected, "{label}");
            for found in found {
                let id = kms.connection(found["display_name"].as_str().unwrap()).id;
                assert_eq!(found["identity"], json!({ "id": id }));
                assert!(found.get("resource_object").is_none(), "{found:#?}");
            }
        }
        assert_eq!(found(&workspace.run(QUERY).succeeded(), "project"), found(&outcome, "project"));
        assert!(outcome.warnings().is_empty() && kms.writes().is_empty(), "{outcome:#?}");
    });
}

#[test]
fn a_query_of_all_projects_finds_the_organization_s_and_theirs() {
    under_each_terraform_with(Capability::Queries, |version| {
        let workspace = Workspace::new(version);
        let kms = &workspace.emulator;
        let of_other_app = kms.create("orders-aws", Some(PROJECT_ID), &made_by_hand());
        kms.edit(&of_other_app, |connection| connection.app = "aws".into());
        kms.create("sales", None, &made_by_hand());
        kms.create("orders-a", Some(OTHER_PROJECT_ID), &made_by_hand());
        kms.create("orders-b", Some(PROJECT_ID), &made_by_hand());
        let lists = [
            list("all", "", "all_projects = true"),
            list("prefixed", "", "all_projects = true\n    name_prefix = \"orders-\""),
            list("organization", "", "all_projects = false"),
        ];
        workspace.write("find.tfquery.hcl", &lists.concat());
        let outcome = workspace.run(QUERY).succeeded();
        let expected: [(&str, &[&str]); 3] = [
            ("all", &["orders-a", "orders-b", "sales"]),
            ("prefixed", &["orders-a", "orders-b"]),
            ("organization", &["sales"]),
        ];
        for (label, expected) in expected {
            let found = found(&outcome, label);
            assert_eq!(names(&found), expected, "{label}");
            for found in found {
                let id = kms.connection(found["display_name"].as_str().unwrap()).id;
                assert_eq!(found["identity"], json!({ "id": id }));
            }
        }
        assert!(outcome.warnings().is_empty(), "{outcome:#?}");
    });
}

#[test]
fn a_query_of_all_projects_needs_the_right_to_read_the_organization() {
    under_each_terraform_with(Capability::Queries, |version| {
        let identity = Identity::new(IDENTITY_ID, CLIENT_ID, CLIENT_SECRET).only_in(&[PROJECT_ID]);
        let workspace =
            Workspace::with(version, Options { identities: vec![identity], ..Options::default() });
        workspace.emulator.create("orders", Some(PROJECT_ID), &made_by_hand());
        let of_project = list("it", "", &format!("project_id = \"{PROJECT_ID}\""));
        workspace.write("find.tfquery.hcl", &of_project);
        assert_eq!(names(&found(&workspace.run(QUERY).succeeded(), "it")), ["orders"]);

        workspace.write("find.tfquery.hcl", &list("it", "", "all_projects = true"));
        let outcome = workspace.run(QUERY);
        let error = outcome.error();
        assert_eq!(error.address, "list.kms_dbt_connection.it");
        assert!(
            error.says(&["Not allowed", "list the dbt connections", "read on app-connections"]),
            "{error:#?}"
        );
    });
}

#[test]
fn a_query_stops_at_its_limit() {
    under_each_terraform_with(Capability::Queries, |version| {
        let workspace = Workspace::new(version);
        for number in 0..130 {
            workspace.emulator.create(&format!("orders-{number:03}"), None, &made_by_hand());
        }
        let lists = [
            list("usual", "", ""),
            list("seven", "limit = 7", ""),
            list("all", "limit = 1000", ""),
            list("exact", "limit = 130", ""),
            list("of_found", "limit = 2", "name_prefix = \"orders-12\""),
        ];
        workspace.write("find.tfquery.hcl", &lists.concat());
        let outcome = workspace.run(QUERY).succeeded();
        let all = found(&outcome, "all");
        for (label, count) in [("usual", 100), ("seven", 7), ("all", 130), ("exact", 130)] {
            let found = found(&outcome, label);
            assert_eq!(names(&found), names(&all)[..count], "{label}");
        }
        assert_eq!(names(&found(&outcome, "of_found")), ["orders-120", "orders-121"]);
    });
}

#[test]
fn a_query_tells_the_whole_object_when_it_is_asked_to() {
    under_each_terraform_with(Capability::Queries, |version| {
        let workspace = Workspace::new(version);
        workspace.secret("dbtu_made_by_hand");
        let id = workspace.emulator.create("orders", Some(PROJECT_ID), &made_by_hand());
        workspace.emulator.edit(&id, |connection| connection.description = Some("by hand".into()));
        let list = list("it", "include_resource = true", &format!("project_id = \"{PROJECT_ID}\""));
        workspace.write("find.tfquery.hcl", &list);
        let outcome = workspace.run(QUERY).succeeded();
        let [found] = &found(&outcome, "it")[..] else { panic!("one connection: {outcome:#?}") };
        let stored = workspace.emulator.connection("orders");
        let object = &found["resource_object"];
        let time = object["created_at"].as_str().unwrap();
        assert!(time.ends_with('Z') && object["updated_at"].is_string());
        let expected = json!({
            "id": id,
            "name": "orders",
            "description": "by hand",
            "project_id": PROJECT_ID,
            "instance_url": "https://cloud.getdbt.com",
            "account_id": "12345",
            "api_token": null,
            "api_token_version": null,
            "adopt_existing": null,
            "org_id": stored.org_id,
            "method": "api-token",
            "version": 1,
            "is_platform_managed_credentials": false,
            "created_at": time,
            "updated_at": object["updated_at"],
            "credentials_hash": stored.credentials.hash(),
        });
        assert_eq!(*object, expected);
    });
}

#[test]
fn a_query_that_can_not_be_answered_says_why() {
    under_each_terraform_with(Capability::Queries, |version| {
        let workspace = Workspace::new(version);
        let unknown = "3f0c5c1e-9d0f-4d43-8c6e-6a8f7f4f1aff";
        workspace.write("find.tfquery.hcl", &list("it", "", &format!("project_id = \"{unknown}\"")));
        let outcome = workspace.run(QUERY);
        let error = outcome.error();
        assert_eq!(error.address, "list.kms_dbt_connection.it");
        let expected = match workspace.emulator.state().options.server {
            // Hanzo's server looks no project up, so an unknown one is as one without rights.
            Server::Hanzo => ["Not allowed", "list the dbt connections", "read on app-connections"],
            Server::Infisical => ["Unknown project", "list the dbt connections", unknown],
        };
        assert!(error.says(&expected), "{error:#?}");

        workspace.emulator.clear_requests();
        workspace.write("find.tfquery.hcl", &list("it", "", "project_id = \"\""));
        let outcome = workspace.run(QUERY);
        assert!(outcome.error().says(&["project_id", "must not be empty"]), "{outcome:#?}");

        let both = format!("project_id   = \"{PROJECT_ID}\"\n    all_projects = true");
        workspace.write("find.tfquery.hcl", &list("it", "", &both));
        let outcome = workspace.run(QUERY);
        let error = outcome.error();
        assert!(error.says(&["Conflicting arguments", "Remove one of them"]), "{error:#?}");
        // Terraform 1.15 leaves the attribute out, and points to the block.
        assert_eq!(error.address, "list.kms_dbt_connection.it");
        assert!(workspace.emulator.requests().is_empty());
    });
}

#[test]
fn results_stream_and_a_slow_reader_loses_none() {
    const COUNT: usize = 3_000;
    under_each_terraform_with(Capability::Queries, |version| {
        let workspace = Workspace::new(version);
        for number in 0..COUNT {
            workspace.emulator.create(&format!("orders-{number:05}"), None, &made_by_hand());
        }
        let list = list("all", "include_resource = true\n  limit = 5000", "");
        workspace.write("find.tfquery.hcl", &list);

        let mut child = workspace.start(QUERY);
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut lines = Vec::new();
        while !lines.last().is_some_and(|line: &String| line.contains("list_resource_found")) {
            let mut line = String::new();
            assert_ne!(output.read_line(&mut line).unwrap(), 0, "it ended: {lines:?}");
            lines.push(line);
        }
        // What has been found is told while the rest waits, in the provider, until there is room for it.
        thread::sleep(Duration::from_secs(1));
        let mut rest = String::new();
        output.read_to_string(&mut rest).unwrap();
        workspace.finish(child).succeeded();

        lines.extend(rest.lines().map(str::to_owned));
        let lines = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let found: Vec<Value> = lines.filter(|line| line["type"] == "list_resource_found").collect();
        assert_eq!(found.len(), COUNT);
        let ids = found.iter().map(|line| line["list_resource_found"]["identity"]["id"].to_string());
        let mut ids: Vec<String> = ids.collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), COUNT);
        let second = |line: &Value| line["@timestamp"].as_str().unwrap()[..19].to_owned();
        assert_ne!(
            second(&found[0]),
            second(&found[COUNT - 1]),
            "the pause is between the first and the last"
        );
        let reads = workspace.emulator.requests().iter().filter(|read| read.is("GET", CONNECTIONS)).count();
        assert_eq!(reads, 1, "one list");
    });
}
