//! The KMS's errors about dbt.

use kms_emulator::{CONNECTIONS, Credentials, Emulator, Options};
use serde_json::{Value, json};

use crate::client::{Client, with};

// H services/app-connection/dbt/dbt-connection-fns.ts @ 8040b54e, I lib/validator/validate-url.ts @ 0b22effc. At a create,
// only the message of the HTTP library's errors is returned. A host without an address fails earlier, with an error of
// another kind (probe: `resolve4` of an unknown host, and of an IPv6 address).
#[tokio::test]
async fn credentials_are_checked_before_they_are_stored_and_dbts_own_reason_is_hidden() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    let unable = "Unable to validate connection - verify credentials";
    let private = "Local IPs not allowed as URL";
    let invalid = "Failed to validate credentials: Request failed with status code 401";
    for (url, account, token, message) in [
        ("https://cloud.getdbt.com", "1", "secret-but-no-dbt-token", invalid),
        (
            "https://cloud.getdbt.com",
            "abc",
            "dbtu_x",
            "Failed to validate credentials: Request failed with status code 404",
        ),
        ("https://dbt.example.com", "1", "dbtu_x", unable),
        ("https://[::1]/", "1", "dbtu_x", unable),
        ("http://localhost:1", "1", "dbtu_x", private),
        ("https://10.0.0.1", "1", "dbtu_x", private),
        ("https://dbt.internal", "1", "dbtu_x", private),
    ] {
        let credentials = json!({"instanceUrl": url, "accountId": account, "apiToken": token});
        let refused = client.create(&with(|body| body["credentials"] = credentials)).await;
        assert_eq!(refused.refusal(), (400, "BadRequest", message), "{url}");
    }
    emulator.state().dbt.unreachable = Some("socket hang up".into());
    let refused = client.create(&with(|_| ())).await;
    assert_eq!(refused.refusal(), (400, "BadRequest", "Failed to validate credentials: socket hang up"));
    assert!(emulator.connections().is_empty());
}

// H dbt-connection-fns.ts @ 8040b54e (`listDbtProjects`, `createDbtError`).
#[tokio::test]
async fn projects_are_refused_with_dbts_own_reason() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    let create = |url, account| {
        emulator.create(&format!("c-{account}"), None, &Credentials::new(url, account, "dbtc_x"))
    };
    let projects = async |id: &str| client.get(&format!("{CONNECTIONS}/{id}/projects")).await;
    let good = create("https://au.dbt.com", "1");
    let listed = projects(&good).await;
    assert_eq!(listed.body["projects"][0]["id"], json!(70_471));
    assert_eq!(listed.body["projects"][0]["description"], json!(""));
    let wrong_account = projects(&create("https://au.dbt.com", "abc")).await;
    assert_eq!(
        wrong_account.refusal(),
        (400, "BadRequest", "Failed to list projects: The requested resource was not found.")
    );
    let no_host = projects(&create("https://dbt.example.com", "2")).await;
    assert_eq!(no_host.refusal(), (400, "BadRequest", "Unable to list projects"));
    let private = projects(&create("https://10.0.0.1", "3")).await;
    assert_eq!(private.refusal(), (400, "BadRequest", "Local IPs not allowed as URL"));
    emulator.state().dbt.unreachable = Some("connect ECONNREFUSED 192.0.2.1:443".into());
    let unreachable = projects(&good).await;
    assert_eq!(
        unreachable.refusal(),
        (400, "BadRequest", "Failed to list projects: connect ECONNREFUSED 192.0.2.1:443")
    );
    emulator.state().dbt.unreachable = None;
    emulator.state().dbt.revoked.push("dbtc_x".into());
    assert_eq!(
        projects(&good).await.refusal(),
        (400, "BadRequest", "Failed to list projects: Invalid token.")
    );
}

// H app-connection-service.ts @ 8fca3735 (`createAppConnection`): dbt is asked before the name is inserted, and after the
// rights are looked at.
#[tokio::test]
async fn dbt_is_asked_before_the_name_is_found_to_be_taken() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    client.create(&with(|_| ())).await;
    let both = client.create(&with(|body| body["credentials"]["apiToken"] = json!("wrong"))).await;
    assert!(both.refusal().2.starts_with("Failed to validate credentials"), "{:?}", both.refusal());
    let unknown = with(|body| {
        body["credentials"]["apiToken"] = json!("wrong");
        body["projectId"] = json!("nope");
    });
    assert_eq!(client.create(&unknown).await.status, 404);
    assert_eq!(client.create(&with(|body| body["description"] = Value::Null)).await.status, 400);
}
