//! A thousand connections made by hand come under Terraform at once. Run by `make bench`, because it takes minutes.

use std::{fs, time::Instant};

use kms_emulator::{Credentials, Options, PROJECT_ID, rate_limit::RateLimits};
use serde_json::{Value, json};

use crate::{
    harness::{
        capabilities::{Capability, under_each_terraform_with},
        workspace::{Workspace, configuration},
    },
    queries::list,
};

const COUNT: usize = 1_000;

#[test]
#[ignore = "a load test: make bench"]
fn a_thousand_are_found_and_adopted_within_the_limits() {
    under_each_terraform_with(Capability::Queries, |version| {
        // The server's own numbers, in a window that doesn't take a minute.
        let limits = RateLimits { reads: 60, writes: 200, window_seconds: 2, ..RateLimits::default() };
        let workspace = Workspace::with(version, Options { rate_limits: Some(limits), ..Options::default() });
        workspace.set_token("dbtu_aTh0us4ndT1m3sQ2w3e");
        let kms = &workspace.emulator;
        let by_hand = Credentials::new("https://cloud.getdbt.com", "12345", "dbtu_made_by_hand");
        for number in 0..COUNT {
            kms.create(&format!("orders-{number:04}"), Some(PROJECT_ID), &by_hand);
        }
        let list = list("all", &format!("limit = {COUNT}"), &format!("project_id = \"{PROJECT_ID}\""));
        workspace.write("find.tfquery.hcl", &list);
        workspace.run(&["query", "-json", "-generate-config-out=adopted.tf"]).succeeded();
        let generated = fs::read_to_string(workspace.path("adopted.tf")).unwrap();
        assert_eq!(generated.matches("import {").count(), COUNT);
        workspace.write("adopted.tf", &generated.replace("= null # sensitive", "= var.token"));
        workspace.write("main.tf", &configuration(&[]));

        // Not with -json: it shows each warning of an import with its lines of code, for which Terraform parses the
        // file of 20,000 lines a thousand times. Without, it tells one and counts the others.
        let start = Instant::now();
        workspace.run(&["plan", "-no-color", "-out=1.tfplan"]).succeeded();
        let planned = start.elapsed();
        assert!(kms.writes().is_empty());
        let shown = workspace.run(&["show", "-json", "1.tfplan"]).succeeded();
        let plan: Value = serde_json::from_str(&shown.stdout).unwrap();
        let changes = plan["resource_changes"].as_array().unwrap();
        let adopted = |change: &&Value| {
            change["change"]["actions"] == json!(["update"]) && change["change"]["importing"].is_object()
        };
        assert_eq!((changes.len(), changes.iter().filter(adopted).count()), (COUNT, COUNT));
        let start = Instant::now();
        let outcome = workspace.run(&["apply", "-no-color", "1.tfplan"]).succeeded();
        let applied = start.elapsed();
        assert!(outcome.stdout.contains("1000 imported, 0 added, 1000 changed, 0 destroyed"), "{outcome:#?}");

        // The refused ones did nothing: they were sent again.
        let (refused, writes): (Vec<_>, Vec<_>) =
            kms.writes().into_iter().partition(|write| write.status == Some(429));
        assert_eq!(writes.len(), COUNT);
        assert!(writes.iter().all(|write| write.method == "PATCH" && write.body_keys() == ["credentials"]));
        let requests = kms.requests();
        let reads = requests.iter().filter(|request| request.method == "GET").count();
        println!(
            "Terraform {version}: {COUNT} planned in {planned:.1?}, adopted in {applied:.1?}, {reads} reads, {} writes refused for the limit",
            refused.len()
        );

        kms.clear_requests();
        workspace.assert_clean();
        assert!(kms.writes().is_empty());
        let again = kms.requests().iter().filter(|request| request.method == "GET").count();
        assert!(reads <= 4, "{reads} reads: the query and the plan need a list each");
        assert!(again <= 2, "{again} reads: a plan needs one list");
    });
}
