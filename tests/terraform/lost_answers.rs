//! Answers that never arrive: what the server did is not lost, and nothing is done twice.

use kms_emulator::{CONNECTIONS, Credentials, Fault, Target};
use serde_json::json;

use crate::harness::workspace::{Workspace, address, configuration, connection, under_each_terraform};

const TOKEN: &str = "dbtu_l0stL3tt3rsK7j8h9g";

#[test]
fn what_the_server_made_is_in_state_whatever_became_of_the_answer() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        workspace.set("KMS_REQUEST_TIMEOUT", "1s");
        let kms = &workspace.emulator;
        let faults = [
            Fault::ResetAfter,
            Fault::AnswerAfter {
                status: 500,
                body: json!({"statusCode": 500, "error": "InternalServerError"}),
            },
            Fault::AnswerAfter { status: 502, body: json!("<html>Bad Gateway</html>") },
            Fault::Truncate { keep: 30 },
            Fault::NotJson,
            Fault::HangAfter,
        ];
        let labels = ["one", "two", "three", "four", "five", "six"];
        for (number, fault) in (0..).zip(faults) {
            kms.fault(Target::once("POST", CONNECTIONS).after(number), fault);
        }
        workspace.write("main.tf", &configuration(&labels.map(|label| connection(label, &[]))));
        workspace.apply().succeeded();
        assert_eq!(kms.connections().len(), 6);
        for label in labels {
            assert_eq!(workspace.state(&address(label))["id"], kms.connection(label).id.as_str());
        }
        let creations = kms.requests().iter().filter(|request| request.is("POST", CONNECTIONS)).count();
        assert_eq!(creations, 6, "no creation is sent twice");
        workspace.assert_clean();
    });
}

#[test]
fn what_the_server_never_made_is_not_in_state() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        workspace.set("KMS_REQUEST_TIMEOUT", "1s");
        let kms = &workspace.emulator;
        let faults = [
            Fault::ResetBefore,
            Fault::HangBefore,
            Fault::Answer { status: 502, body: json!("<html>Bad Gateway</html>") },
        ];
        let labels = ["one", "two", "three"];
        for (number, fault) in (0..).zip(faults) {
            kms.fault(Target::once("POST", CONNECTIONS).after(number), fault);
        }
        workspace.write("main.tf", &configuration(&labels.map(|label| connection(label, &[]))));
        workspace.apply();
        for label in labels {
            let made = kms.connections().iter().any(|connection| connection.name == label);
            assert_eq!(workspace.state(&address(label)).is_null(), !made, "{label}");
        }
        workspace.apply().succeeded();
        assert_eq!(kms.connections().len(), 3);
        workspace.assert_clean();
    });
}

#[test]
fn a_namesake_that_was_there_before_is_not_mistaken_for_ours() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        let kms = &workspace.emulator;
        let same = Credentials::new("https://cloud.getdbt.com", "12345", "dbtu_by_hand");
        let id = kms.create("orders", None, &same);
        kms.edit(&id, |connection| connection.created_at -= time::Duration::minutes(5));
        let hash = kms.connection("orders").credentials.hash();
        kms.fault(Target::once("POST", CONNECTIONS), Fault::ResetBefore);
        workspace.write("main.tf", &configuration(&[connection("orders", &[])]));
        let outcome = workspace.apply();
        assert!(outcome.error().says(&[&id]), "{outcome:#?}");
        assert!(workspace.state(&address("orders")).is_null());
        assert_eq!(kms.connection("orders").credentials.hash(), hash);

        kms.fault(Target::once("POST", CONNECTIONS), Fault::ResetBefore);
        workspace.write("main.tf", &configuration(&[connection("orders", &[("adopt_existing", "true")])]));
        workspace.apply().succeeded();
        assert_eq!(workspace.state(&address("orders"))["id"], id.as_str());
        assert_ne!(kms.connection("orders").credentials.hash(), hash);
        workspace.assert_clean();

        // However new it is, the plan saw it before the create.
        let id = kms.create("recent", None, &same);
        kms.edit(&id, |connection| connection.created_at += time::Duration::minutes(5));
        kms.fault(Target::once("POST", CONNECTIONS), Fault::ResetBefore);
        let adopting = ["orders", "recent"].map(|label| connection(label, &[("adopt_existing", "true")]));
        workspace.write("main.tf", &configuration(&adopting));
        workspace.apply().succeeded();
        assert_eq!(workspace.state(&address("recent"))["id"], id.as_str());
        assert_eq!(kms.stored_credentials(&id).api_token, TOKEN);
    });
}

#[test]
fn updates_and_deletions_settle_after_lost_answers() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        let kms = &workspace.emulator;
        workspace.write("main.tf", &configuration(&[connection("orders", &[]), connection("going", &[])]));
        workspace.apply().succeeded();

        kms.fault(Target::once("PATCH", &format!("{CONNECTIONS}/*")), Fault::ResetAfter);
        kms.fault(Target::once("DELETE", &format!("{CONNECTIONS}/*")), Fault::ResetAfter);
        workspace.set_token("dbtu_s3c0ndTryM4n5b6v7c");
        workspace.write("main.tf", &configuration(&[connection("orders", &[("description", "\"new\"")])]));
        workspace.apply();
        workspace.apply().succeeded();
        assert!(workspace.state(&address("going")).is_null());
        let stored = kms.connection("orders");
        assert_eq!(stored.description.as_deref(), Some("new"));
        assert_eq!(kms.stored_credentials(&stored.id).api_token, "dbtu_s3c0ndTryM4n5b6v7c");
        assert_eq!(kms.connections().len(), 1);
        workspace.assert_clean();
    });
}

#[test]
fn reads_are_repeated_after_faults_and_rate_limits() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        let kms = &workspace.emulator;
        workspace.write("main.tf", &configuration(&[connection("orders", &[])]));
        kms.fault(Target::once("POST", CONNECTIONS), Fault::RateLimited { seconds: 1 });
        workspace.apply().succeeded();

        let faults = [
            Fault::Answer { status: 503, body: json!("<html>Service Unavailable</html>") },
            Fault::ResetBefore,
            Fault::RateLimited { seconds: 1 },
        ];
        for (number, fault) in (0..).zip(faults) {
            kms.fault(Target::once("GET", CONNECTIONS).after(number), fault);
        }
        workspace.assert_clean();
    });
}
