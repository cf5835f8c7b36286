//! The KMS's errors about dbt.

use kms_emulator::{CONNECTIONS, Credentials, DbtRefusal, Emulator, Options, ROTATIONS};
use serde_json::{Value, json};

use crate::client::{Client, valid_rotation, with};

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

// H dbt-connection-fns.ts @ 8040b54e (`getDbtUrl`): a text without `://` gets `https://`, and only the host name of what
// comes out is used.
#[tokio::test]
async fn the_host_is_taken_from_whatever_passes_for_a_url() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    let unable = "Unable to validate connection - verify credentials".to_owned();
    for (number, (url, message)) in [
        ("javascript:alert(1)", None),
        ("data:text/plain,x", None),
        ("urn:isbn:0451450523", None),
        ("https:cloud.getdbt.com", None),
        ("https:/cloud.getdbt.com", Some(unable.clone())),
        ("file:///etc/hosts", Some(unable.clone())),
        ("urn:443", Some(unable)),
        ("mailto:x@cloud.getdbt.com", Some(String::new())),
        ("https://cloud.getdbt.com:8443/some/path?x#y", Some(String::new())),
        ("http://CLOUD.getdbt.com", Some(String::new())),
        ("ftp://cloud.getdbt.com", Some(String::new())),
        ("foo://CLOUD.getdbt.com", Some(String::new())),
        ("https://user:password@cloud.getdbt.com", Some(String::new())),
    ]
    .into_iter()
    .enumerate()
    {
        let body = with(|body| {
            body["name"] = json!(format!("c-{number}"));
            body["credentials"]["instanceUrl"] = json!(url);
        });
        let answer = client.create(&body).await;
        let message = message.unwrap_or_else(|| format!("Invalid DBT instance URL: {url}"));
        if message.is_empty() {
            assert_eq!(answer.status, 200, "{url}: {}", answer.text);
            assert_eq!(answer.body["appConnection"]["credentials"]["instanceUrl"], json!(url));
        } else {
            assert_eq!(answer.refusal(), (400, "BadRequest", message.as_str()), "{url}");
        }
    }
    let stored = emulator.create("by-hand", None, &Credentials::new("urn:a", "1", "dbtc_x"));
    let listed = client.get(&format!("{CONNECTIONS}/{stored}/projects")).await;
    assert_eq!(listed.refusal(), (400, "BadRequest", "Invalid DBT instance URL: urn:a"));
}

// H dbt-connection-fns.ts @ 8040b54e: of dbt's answer, a create shows the status, and a list of projects the reason.
#[tokio::test]
async fn what_dbt_answers_is_told_by_its_status() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    let id = emulator.create("by-hand", None, &Credentials::new("https://au.dbt.com", "1", "dbtc_x"));
    for status in [403, 409, 429, 500, 503] {
        let reason = "Try again later.".to_owned();
        emulator.state().dbt.answers = Some(DbtRefusal { status, reason });
        let message = format!("Failed to validate credentials: Request failed with status code {status}");
        assert_eq!(client.create(&with(|_| ())).await.refusal(), (400, "BadRequest", message.as_str()));
        let listed = client.get(&format!("{CONNECTIONS}/{id}/projects")).await;
        assert_eq!(listed.refusal(), (400, "BadRequest", "Failed to list projects: Try again later."));
    }
}

// I lib/config/request.ts @ 37540f6c (`isRetryableRequestError`, three repeats of any method) and
// dbt-service-token-rotation-fns.ts @ 0082b3dd, which makes tokens with that client.
#[tokio::test]
async fn a_call_for_a_service_token_is_made_up_to_four_times() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    let id = emulator.create("by-hand", None, &Credentials::new("https://au.dbt.com", "1", "dbtc_x"));
    let post = async || client.post(ROTATIONS, valid_rotation(&id)).await;
    for (status, calls) in [(403, 1), (404, 1), (409, 1), (429, 4), (500, 4), (503, 4)] {
        emulator.state().dbt.asked_for_tokens = 0;
        emulator.refuse_service_tokens(Some(DbtRefusal { status, reason: String::new() }));
        let message = format!("Failed to create service token: Request failed with status code {status}");
        assert_eq!(post().await.refusal(), (400, "BadRequest", message.as_str()));
        assert_eq!(emulator.state().dbt.asked_for_tokens, calls, "{status}");
    }
    emulator.refuse_service_tokens(None);
    for (reason, calls) in [("getaddrinfo ENOTFOUND au.dbt.com", 1), ("socket hang up", 4)] {
        emulator.state().dbt.asked_for_tokens = 0;
        emulator.state().dbt.unreachable = Some(reason.into());
        let message = format!("Failed to create service token: {reason}");
        assert_eq!(post().await.refusal(), (400, "BadRequest", message.as_str()));
        assert_eq!(emulator.state().dbt.asked_for_tokens, calls, "{reason}");
    }
    emulator.state().dbt.unreachable = None;
    assert!(emulator.live_service_tokens().is_empty());

    // dbt makes each token, and the KMS learns of none.
    emulator.state().dbt.creates_then_answers = Some(504);
    let lost = "Failed to create service token: Request failed with status code 504";
    assert_eq!(post().await.refusal(), (400, "BadRequest", lost));
    assert_eq!(emulator.live_service_tokens().len(), 4);
    assert!(emulator.rotations().is_empty());
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
