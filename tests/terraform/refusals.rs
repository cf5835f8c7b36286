//! What only the server can refuse.

use kms_emulator::{
    CLIENT_ID, CLIENT_SECRET, CONNECTIONS, DbtRefusal, Emulator, Fault, IDENTITY_ID, LOGIN, Options,
    PROJECT_ID, Target,
    identities::{Action, Identity, Scope},
    options::NameRule,
};
use serde_json::json;

use crate::harness::{
    plans::{Change, MOVED_BY_CREDENTIALS},
    workspace::{Workspace, address, configuration, connection, under_each_terraform},
};

const TOKEN: &str = "dbtu_r3fus3dC4llsZ1x2c3";

#[test]
fn credentials_that_dbt_refuses_are_an_error_on_the_token() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        workspace.emulator.state().dbt.revoked.push(TOKEN.into());
        workspace.write("main.tf", &configuration(&[connection("orders", &[])]));
        let outcome = workspace.apply();
        assert_eq!(outcome.error().attribute, "api_token");
        assert!(outcome.error().says(&["dbt"]), "{outcome:#?}");
        assert!(workspace.emulator.connections().is_empty());

        let good = "dbtu_4cc3pt3dC4llsV4b5n";
        workspace.set_token(good);
        workspace.apply().succeeded();
        workspace.set_token(TOKEN);
        let outcome = workspace.apply();
        assert_eq!(outcome.error().attribute, "api_token");
        let id = workspace.state(&address("orders"))["id"].as_str().unwrap().to_owned();
        assert_eq!(workspace.emulator.stored_credentials(&id).api_token, good);
        assert_eq!(workspace.plan().change(&address("orders")), Change::update(&[&MOVED_BY_CREDENTIALS]));
        workspace.set_token(good);
        workspace.assert_clean();
    });
}

#[test]
fn each_cause_of_a_failed_validation_has_its_own_error_on_its_attribute() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        workspace.set("KMS_MAX_RETRIES", "1");
        let answers = |status: u16| Some(DbtRefusal { status, reason: String::new() });
        let apply = |arguments: &[(&str, &str)], expected: (&str, &str, usize)| {
            let (attribute, summary, sent) = expected;
            workspace.emulator.clear_requests();
            workspace.write("main.tf", &configuration(&[connection("orders", arguments)]));
            let outcome = workspace.apply();
            assert_eq!(outcome.error().attribute, attribute, "{outcome:#?}");
            assert!(outcome.error().says(&[summary, "req-"]), "{outcome:#?}");
            let is_refusal = summary == "dbt refused the credentials";
            assert_eq!(outcome.error().says(&["expired or revoked"]), is_refusal, "{outcome:#?}");
            assert_eq!(workspace.emulator.writes().len(), sent, "{summary}");
        };
        for (status, expected) in [
            (401, ("api_token", "dbt refused the credentials", 1)),
            (403, ("api_token", "dbt refused the credentials", 1)),
            (404, ("account_id", "dbt does not find the account", 1)),
            (429, ("instance_url", "dbt is not available", 2)),
            (503, ("instance_url", "dbt is not available", 2)),
        ] {
            workspace.emulator.state().dbt.answers = answers(status);
            apply(&[], expected);
        }
        workspace.emulator.state().dbt.answers = None;
        workspace.emulator.state().dbt.unreachable = Some("getaddrinfo ENOTFOUND cloud.getdbt.com".into());
        apply(&[], ("instance_url", "dbt is not available", 2));
        workspace.emulator.state().dbt.unreachable = None;
        let not_allowed = ("instance_url", "Instance URL not allowed by the KMS", 1);
        apply(&[("instance_url", "\"https://10.0.0.1\"")], not_allowed);
        assert!(workspace.emulator.connections().is_empty());

        // A busy dbt is asked again, at a create and at an update.
        let busy = json!({
            "reqId": "req-1", "statusCode": 400, "error": "BadRequest",
            "message": "Failed to validate credentials: Request failed with status code 429",
        });
        let busy = || Fault::Answer { status: 400, body: busy.clone() };
        workspace.emulator.fault(Target::once("POST", CONNECTIONS), busy());
        workspace.write("main.tf", &configuration(&[connection("orders", &[])]));
        workspace.apply().succeeded();
        workspace.emulator.fault(Target::once("PATCH", &format!("{CONNECTIONS}/*")), busy());
        workspace.set_token("dbtu_4n0th3rT0k3nZ1x2c3");
        workspace.apply().succeeded();
        workspace.assert_clean();
    });
}

#[test]
fn a_project_that_is_not_there_is_an_error_on_the_project() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        let missing = "3f0c5c1e-9d0f-4d43-8c6e-6a8f7f4f1aff";
        let of_slug =
            ["Unknown project", "with the ID \"analytics\"", "not its slug", "data.kms_project.NAME.id"];
        let of_id = ["Unknown project", missing, "data source kms_project"];
        for (project, expected) in [(missing, &of_id[..]), ("analytics", &of_slug)] {
            let arguments = [("project_id", &*format!("{project:?}"))];
            workspace.write("main.tf", &configuration(&[connection("orders", &arguments)]));
            let outcome = workspace.apply();
            let error = outcome.error();
            assert_eq!(error.attribute, "project_id", "{error:#?}");
            assert!(error.says(expected), "{error:#?}");
        }
    });
}

#[test]
fn deleting_what_is_gone_succeeds_and_what_is_in_use_does_not() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        workspace.write("main.tf", &configuration(&[connection("gone", &[]), connection("busy", &[])]));
        workspace.apply().succeeded();
        let kms = &workspace.emulator;
        kms.delete(&kms.connection("gone").id);
        let busy = kms.connection("busy").id;
        kms.edit(&busy, |connection| connection.in_use = true);

        let outcome = workspace.run(&["destroy", "-json", "-auto-approve", "-refresh=false"]);
        let error = outcome.error();
        // Terraform adds no address to the errors of a destruction, so the text has to tell which one it was.
        assert!(error.says(&["\"busy\"", "use"]), "{error:#?}");
        assert!(workspace.state(&address("gone")).is_null());
        assert_eq!(workspace.state(&address("busy"))["id"], busy.as_str());

        kms.edit(&busy, |connection| connection.in_use = false);
        workspace.destroy().succeeded();
        assert!(kms.connections().is_empty());
    });
}

#[test]
fn a_token_in_the_words_of_a_server_is_not_passed_on() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        let message = format!(
            "Failed to validate credentials: Request failed with status code 401: {TOKEN} is unknown"
        );
        let body = json!({"reqId": "req-1", "statusCode": 400, "message": message, "error": "BadRequest"});
        workspace.emulator.fault(Target::every("POST", CONNECTIONS), Fault::Answer { status: 400, body });
        workspace.write("main.tf", &configuration(&[connection("orders", &[])]));
        // The search at the end of the scenario looks at the output too.
        let outcome = workspace.apply();
        assert_eq!(outcome.error().attribute, "api_token");
        assert!(outcome.error().says(&["Failed to validate credentials", "is unknown"]), "{outcome:#?}");
    });
}

#[test]
fn a_rule_of_an_older_server_is_an_error_on_its_attribute() {
    under_each_terraform(|version| {
        let options = Options { name_rule: NameRule::Older, ..Options::default() };
        let workspace = Workspace::with(version, options);
        workspace.set_token(TOKEN);
        let name = format!("\"{}\"", "a".repeat(33));
        workspace.write("main.tf", &configuration(&[connection("orders", &[("name", &name)])]));
        let outcome = workspace.apply();
        assert_eq!(outcome.error().attribute, "name");
        assert!(outcome.error().says(&["32", "req-"]), "{outcome:#?}");
    });
}

#[test]
fn a_server_that_cannot_be_reached_is_named() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        workspace.set("KMS_HOST", "http://127.0.0.1:1");
        workspace.set("KMS_MAX_RETRIES", "1");
        workspace.write("main.tf", &configuration(&[connection("orders", &[])]));
        let outcome = workspace.apply();
        assert!(outcome.error().says(&["127.0.0.1:1"]), "{outcome:#?}");
    });
}

#[test]
fn a_redirect_to_another_host_gets_no_token() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        let other = Emulator::start_on_thread(Options::default());
        for path in [LOGIN, CONNECTIONS] {
            for status in [307, 302] {
                other.clear_requests();
                workspace.emulator.clear_faults();
                let location = format!("{}{path}", other.url().replace("127.0.0.1", "localhost"));
                workspace.emulator.fault(Target::every("POST", path), Fault::Redirect { status, location });
                workspace.write("main.tf", &configuration(&[connection("orders", &[])]));
                workspace.apply().failed();
                let leaks = |secret| other.requests_containing(secret);
                assert!(leaks(TOKEN).is_empty() && leaks(CLIENT_SECRET).is_empty(), "{status} from {path}");
                assert!(other.requests().iter().all(|request| request.header("authorization").is_none()));
            }
        }
        assert!(workspace.emulator.connections().is_empty());
    });
}

#[test]
fn a_missing_right_is_named() {
    under_each_terraform(|version| {
        let identity = Identity::new(IDENTITY_ID, CLIENT_ID, CLIENT_SECRET)
            .without(Action::Create, Scope::Organization)
            .without(Action::Read, Scope::Project(PROJECT_ID.into()));
        let workspace =
            Workspace::with(version, Options { identities: vec![identity], ..Options::default() });
        workspace.set_token(TOKEN);
        let in_project = format!("\"{PROJECT_ID}\"");
        let connections = [connection("barred", &[]), connection("unseen", &[("project_id", &in_project)])];
        workspace.write("main.tf", &configuration(&connections));
        let outcome = workspace.apply().failed();
        let barred: Vec<_> =
            outcome.errors().into_iter().filter(|error| error.address == address("barred")).collect();
        assert_eq!(barred.len(), 1, "{outcome:#?}");
        let expected = ["create", "a permission in the organization", "app-connections", "req-"];
        assert!(barred[0].says(&expected), "{barred:#?}");

        // What was created stays in state although it can't be read.
        assert_eq!(workspace.state(&address("unseen"))["name"], "unseen");
        workspace.write("main.tf", &configuration(&connections[1..]));
        let outcome = workspace.failing_plan();
        let expected = ["read", "a permission in the project", PROJECT_ID, "app-connections"];
        assert!(outcome.errors()[0].says(&expected), "{outcome:#?}");
    });
}
