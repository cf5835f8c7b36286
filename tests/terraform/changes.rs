//! Each kind of change: what the plan shows, and what is sent.

use std::collections::BTreeMap;

use kms_emulator::{OTHER_PROJECT_ID, fingerprint};
use serde_json::json;

use crate::harness::{
    plans::{Change, MOVED_BY_ANY_WRITE, MOVED_BY_CREDENTIALS, assert_plan_snapshot},
    workspace::{Workspace, address, configuration, connection, under_each_terraform},
};

const OLD_TOKEN: &str = "dbtu_0ldR3t1r3dJ6hN2cV8";
const NEW_TOKEN: &str = "dbtu_n3wF00tL1ghtP5kM1x";

/// Arguments of a connection that differ from the usual ones.
type Arguments = &'static [(&'static str, &'static str)];

/// One connection per kind of change, so that a single plan shows all of them side by side: its label, its arguments
/// before and after. Connections whose token changes take it from a variable of its own.
const CHANGES: &[(&str, Arguments, Arguments)] = &[
    ("untouched", &[], &[]),
    ("renamed", &[("name", "\"before\"")], &[("name", "\"after\"")]),
    (
        "renamed_but_versioned",
        &[("name", "\"earlier\""), ("api_token_version", "\"1\"")],
        &[("name", "\"later\""), ("api_token_version", "\"1\"")],
    ),
    ("described", &[], &[("description", "\"about the orders\"")]),
    ("described_otherwise", &[("description", "\"old\"")], &[("description", "\"new\"")]),
    ("undescribed", &[("description", "\"old\"")], &[]),
    ("moved", &[], &[("instance_url", "\"https://emea.dbt.com\"")]),
    ("other_account", &[], &[("account_id", "\"67890\"")]),
    ("renamed_and_moved", &[], &[("name", "\"moved-too\""), ("instance_url", "\"https://au.dbt.com\"")]),
    ("rotated", &[("api_token", "var.rotating")], &[("api_token", "var.rotating")]),
    (
        "rotated_but_versioned",
        &[("api_token", "var.rotating"), ("api_token_version", "\"1\"")],
        &[("api_token", "var.rotating"), ("api_token_version", "\"1\"")],
    ),
    (
        "version_bumped",
        &[("api_token", "var.rotating"), ("api_token_version", "\"1\"")],
        &[("api_token", "var.rotating"), ("api_token_version", "\"2\"")],
    ),
    (
        "version_bumped_with_the_same_token",
        &[("api_token_version", "\"1\"")],
        &[("api_token_version", "\"2\"")],
    ),
    ("adopting", &[], &[("adopt_existing", "true")]),
    (
        "adopting_but_versioned",
        &[("api_token_version", "\"1\"")],
        &[("adopt_existing", "true"), ("api_token_version", "\"1\"")],
    ),
];

#[test]
fn a_plan_shows_exactly_what_changes_and_the_least_is_sent() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.log_everything();
        workspace.set_token("dbtu_un7ouch3dQ4wE5rT6y");
        workspace.set_secret("rotating", OLD_TOKEN);
        let configure = |after: bool| {
            let mut parts =
                vec!["variable \"rotating\" {\n  type      = string\n  ephemeral = true\n}\n".to_owned()];
            parts.extend(
                CHANGES.iter().map(|(label, old, new)| connection(label, if after { new } else { old })),
            );
            workspace.write("main.tf", &configuration(&parts));
        };
        configure(false);
        workspace.apply().succeeded();

        configure(true);
        workspace.set_secret("rotating", NEW_TOKEN);
        let plan = workspace.plan();
        let any_write = &MOVED_BY_ANY_WRITE[..];
        let credentials = &MOVED_BY_CREDENTIALS[..];
        let expected = [
            // Without a version, another token may be there in the apply: whatever follows from it is unknown.
            ("renamed", Change::update(&[&["name"], credentials])),
            ("renamed_but_versioned", Change::update(&[&["name"], any_write])),
            ("described", Change::update(&[&["description"], credentials])),
            ("described_otherwise", Change::update(&[&["description"], credentials])),
            ("undescribed", Change::update(&[&["description"], credentials])),
            ("moved", Change::update(&[&["instance_url"], credentials])),
            ("other_account", Change::update(&[&["account_id"], credentials])),
            ("renamed_and_moved", Change::update(&[&["name", "instance_url"], credentials])),
            ("rotated", Change::update(&[credentials])),
            ("version_bumped", Change::update(&[&["api_token_version"], credentials])),
            ("version_bumped_with_the_same_token", Change::update(&[&["api_token_version"], credentials])),
            ("adopting", Change::update(&[&["adopt_existing"], credentials])),
            ("adopting_but_versioned", Change::update(&[&["adopt_existing"]])),
        ];
        let expected: BTreeMap<_, _> =
            expected.into_iter().map(|(label, change)| (address(label), change)).collect();
        assert_eq!(plan.changes(), expected);
        assert_eq!(plan.warned(), [""; 0]);
        assert_plan_snapshot!("plan_of_each_kind_of_change", workspace, plan);

        workspace.emulator.clear_requests();
        workspace.apply_plan(&plan).succeeded();
        let id = |label: &str| workspace.state(&address(label))["id"].as_str().unwrap().to_owned();
        let sent = |label: &str| {
            let path = format!("/{}", id(label));
            let writes = workspace.emulator.writes();
            let bodies: Vec<_> = writes.into_iter().filter(|write| write.path.ends_with(&path)).collect();
            assert!(bodies.len() <= 1 && bodies.iter().all(|write| write.method == "PATCH"), "{bodies:#?}");
            bodies.into_iter().next().and_then(|write| write.body).unwrap_or_default()
        };
        let credentials = |instance_url: &str, account_id: &str, token: &str| json!({"instanceUrl": instance_url, "accountId": account_id, "apiToken": fingerprint(token)});
        let (cloud, token) = ("https://cloud.getdbt.com", "dbtu_un7ouch3dQ4wE5rT6y");
        assert_eq!(sent("untouched"), json!(null));
        assert_eq!(sent("renamed"), json!({"name": "after"}));
        assert_eq!(sent("renamed_but_versioned"), json!({"name": "later"}));
        assert_eq!(sent("described"), json!({"description": "about the orders"}));
        assert_eq!(sent("described_otherwise"), json!({"description": "new"}));
        assert_eq!(sent("undescribed"), json!({"description": null}));
        assert_eq!(
            sent("moved"),
            json!({"credentials": credentials("https://emea.dbt.com", "12345", token)})
        );
        assert_eq!(sent("other_account"), json!({"credentials": credentials(cloud, "67890", token)}));
        assert_eq!(
            sent("renamed_and_moved"),
            json!({"name": "moved-too", "credentials": credentials("https://au.dbt.com", "12345", token)})
        );
        assert_eq!(sent("rotated"), json!({"credentials": credentials(cloud, "12345", NEW_TOKEN)}));
        assert_eq!(sent("rotated_but_versioned"), json!(null));
        assert_eq!(sent("version_bumped"), json!({"credentials": credentials(cloud, "12345", NEW_TOKEN)}));
        assert_eq!(
            sent("version_bumped_with_the_same_token"),
            json!({"credentials": credentials(cloud, "12345", token)})
        );
        assert_eq!(sent("adopting"), json!(null));
        assert_eq!(sent("adopting_but_versioned"), json!(null));
        workspace.assert_clean();

        // The version takes over from the digest, and gives way to it again.
        let versioned = |version: &str| {
            workspace.write(
                "main.tf",
                &configuration(&[connection("untouched", &[("api_token_version", version)])]),
            );
        };
        for version in ["\"1\"", ""] {
            versioned(version);
            let changes = workspace.plan().changes();
            let change = &changes[&address("untouched")];
            assert!(change.attributes.contains(&"api_token_version".to_owned()), "{change:#?}");
            workspace.apply().succeeded();
            workspace.assert_clean();
        }
    });
}

#[test]
fn another_project_means_another_connection() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token("dbtu_pr0j3ctM0veR7tY8u9");
        workspace.write("main.tf", &configuration(&[connection("orders", &[])]));
        workspace.apply().succeeded();
        let old = workspace.emulator.connection("orders").id;

        let project_id = format!("\"{OTHER_PROJECT_ID}\"");
        workspace.write("main.tf", &configuration(&[connection("orders", &[("project_id", &project_id)])]));
        let plan = workspace.plan();
        let change = plan.change(&address("orders"));
        assert_eq!(change.actions(), ["delete", "create"]);
        let replacing = &plan.json["resource_changes"][0]["change"]["replace_paths"];
        assert_eq!(*replacing, json!([["project_id"]]));
        assert_plan_snapshot!("plan_of_a_replacement", workspace, plan);
        workspace.apply_plan(&plan).succeeded();
        let new = workspace.emulator.connection("orders");
        assert_eq!(new.project_id.as_deref(), Some(OTHER_PROJECT_ID));
        assert_ne!(new.id, old);
        workspace.assert_clean();
    });
}

#[test]
fn people_read_that_only_the_hash_is_known_after_apply() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(OLD_TOKEN);
        workspace.write("main.tf", &configuration(&[connection("orders", &[])]));
        workspace.apply().succeeded();
        workspace.set_token(NEW_TOKEN);
        let plan = workspace.run(&["plan", "-no-color"]).succeeded();
        let lines = plan.stdout.lines().map(str::trim);
        let changed: Vec<_> = lines.filter(|line| line.starts_with("~ ") && line.contains(" = ")).collect();
        let mut expected = MOVED_BY_CREDENTIALS.map(|name| (name, " -> (known after apply)")).to_vec();
        if workspace.is_tofu() {
            // It shows a write-only attribute as one that changes, in each update.
            expected.insert(0, ("api_token", " = (write-only attribute)"));
        }
        assert_eq!(changed.len(), expected.len(), "{}", plan.stdout);
        for (line, (name, end)) in changed.iter().zip(expected) {
            assert!(line.starts_with(&format!("~ {name} ")) && line.ends_with(end), "{line}");
        }
    });
}

#[test]
fn a_saved_plan_can_be_applied_with_another_token_than_it_was_made_with() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        let write = |description: &str| {
            let orders = connection("orders", &[("description", description)]);
            let adopting = connection("sales", &[("adopt_existing", description)]);
            let versioned = [("api_token_version", "\"1\""), ("description", description)];
            workspace.write(
                "main.tf",
                &configuration(&[orders, adopting, connection("versioned", &versioned)])
                    .replace("adopt_existing = \"old\"", "adopt_existing = false")
                    .replace("adopt_existing = \"new\"", "adopt_existing = true"),
            );
        };
        workspace.set_token(OLD_TOKEN);
        write("\"old\"");
        workspace.apply().succeeded();
        let kms = &workspace.emulator;
        let token = |name: &str| kms.stored_credentials(&kms.connection(name).id).api_token;

        // The plan is made with the token that was sent last, and applied with another one.
        write("\"new\"");
        let plan = workspace.plan();
        workspace.set_token(NEW_TOKEN);
        workspace.apply_plan(&plan).succeeded();
        assert_eq!([token("orders"), token("sales")], [NEW_TOKEN, NEW_TOKEN]);
        assert_eq!(token("versioned"), OLD_TOKEN);
        workspace.assert_clean();

        // The plan is made with another token, and applied with the one that was sent last.
        write("\"old\"");
        workspace.set_token(OLD_TOKEN);
        let plan = workspace.plan();
        workspace.set_token(NEW_TOKEN);
        kms.clear_requests();
        workspace.apply_plan(&plan).succeeded();
        let mut bodies: Vec<_> = kms.writes().iter().map(|write| write.body_keys()).collect();
        bodies.sort();
        assert_eq!(bodies, [["description"], ["description"]]);
        workspace.assert_clean();
    });
}
