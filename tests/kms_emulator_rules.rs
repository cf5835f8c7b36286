//! The emulator is held to the server's rules, for every other test believes it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is a failed test")]

mod kms_emulator;

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use kms_emulator::{
    AWS_LOGIN, CLIENT_ID, CLIENT_SECRET, CONNECTIONS, Credentials, Emulator, Fault, IDENTITY_ID, LOGIN,
    OTHER_PROJECT_ID, Options, PROJECT_ID, Part, STATIC_TOKEN, StoredSecret, Target,
    aws_login::{AwsLogin, check},
    identities::{Action, Identity, Scope},
    rate_limit::RateLimits,
    validation::NameRule,
};
use serde_json::{Value, json};
use time::{OffsetDateTime, macros::datetime};

struct Answer {
    status: u16,
    headers: reqwest::header::HeaderMap,
    body: Value,
}

struct Client<'e> {
    emulator: &'e Emulator,
    http: reqwest::Client,
    token: Option<String>,
}

impl<'e> Client<'e> {
    fn new(emulator: &'e Emulator) -> Self {
        Self { emulator, http: reqwest::Client::new(), token: Some(STATIC_TOKEN.into()) }
    }

    async fn try_call(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, reqwest::Error> {
        let url = format!("{}{path}", self.emulator.url());
        let mut request = self.http.request(method.parse().unwrap(), url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        Ok(Answer { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::Null) })
    }

    async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.try_call(method, path, body).await.unwrap()
    }

    async fn create(&self, body: &Value) -> Answer {
        self.call("POST", CONNECTIONS, Some(body)).await
    }
}

fn valid() -> Value {
    json!({
        "name": "orders",
        "method": "api-token",
        "credentials": {"instanceUrl": "https://cloud.getdbt.com", "accountId": "1", "apiToken": "dbtu_x"},
    })
}

fn with(change: impl FnOnce(&mut Value)) -> Value {
    let mut body = valid();
    change(&mut body);
    body
}

fn issue_paths(answer: &Answer) -> Vec<String> {
    let issues = answer.body["message"].as_array().expect("a list of issues");
    let path = |issue: &Value| {
        let parts = issue["path"].as_array().unwrap().iter().map(|part| part.as_str().unwrap().to_owned());
        parts.collect::<Vec<_>>().join(".")
    };
    issues.iter().map(path).collect()
}

#[tokio::test]
async fn every_broken_rule_of_a_body_is_an_issue_on_its_path() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    let long = |count: usize| "a".repeat(count);
    let table: Vec<(&str, Value)> = vec![
        ("name", with(|body| body["name"] = json!(7))),
        ("name", with(|body| body["name"] = Value::Null)),
        ("name", with(|body| body["name"] = json!("Orders"))),
        ("name", with(|body| body["name"] = json!("a--b"))),
        ("name", with(|body| body["name"] = json!("-a"))),
        ("name", with(|body| body["name"] = json!("a_b"))),
        ("name", with(|body| body["name"] = json!(long(65)))),
        ("description", with(|body| body["description"] = json!(long(257)))),
        ("description", with(|body| body["description"] = json!(1))),
        ("projectId", with(|body| body["projectId"] = Value::Null)),
        ("method", with(|body| body["method"] = json!("oauth"))),
        ("credentials", with(|body| body["credentials"] = json!("x"))),
        (
            "credentials.instanceUrl",
            with(|body| body["credentials"]["instanceUrl"] = json!("cloud.getdbt.com")),
        ),
        ("credentials.accountId", with(|body| body["credentials"]["accountId"] = json!("  "))),
        ("credentials.accountId", with(|body| body["credentials"]["accountId"] = json!(12))),
        ("credentials.accountId", with(|body| body["credentials"]["accountId"] = json!(long(256)))),
        ("credentials.apiToken", with(|body| body["credentials"]["apiToken"] = json!("\u{feff}"))),
        ("credentials.apiToken", with(|body| body["credentials"]["apiToken"] = json!(long(256)))),
        ("isPlatformManagedCredentials", with(|body| body["isPlatformManagedCredentials"] = json!(true))),
        ("gatewayId", with(|body| body["gatewayId"] = json!("x"))),
    ];
    for (path, body) in table {
        let answer = client.create(&body).await;
        assert_eq!(answer.status, 422, "{body}");
        assert_eq!(answer.body["error"], "ValidationFailure");
        assert!(answer.body["reqId"].as_str().unwrap().starts_with("req-"));
        assert_eq!(issue_paths(&answer), [path], "{body}");
    }
    assert!(emulator.connections().is_empty());
}

#[tokio::test]
async fn values_are_trimmed_and_measured_as_javascript_does() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    let at_limit = "\u{1f600}".repeat(128);
    let body = with(|body| {
        body["name"] = json!(" orders ");
        body["description"] = json!(format!(" {at_limit}\u{feff}"));
        body["unknownField"] = json!(1);
    });
    let answer = client.create(&body).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body["appConnection"]["name"], "orders");
    assert_eq!(answer.body["appConnection"]["description"], json!(at_limit));

    let over = with(|body| {
        body["name"] = json!("other");
        body["description"] = json!(format!("{at_limit}a"));
    });
    assert_eq!(client.create(&over).await.status, 422);
}

#[tokio::test]
async fn an_older_server_folds_case_and_stops_at_32() {
    let emulator = Emulator::start(Options { name_rule: NameRule::Older, ..Options::default() }).await;
    let client = Client::new(&emulator);
    let folded = client.create(&with(|body| body["name"] = json!("Orders"))).await;
    assert_eq!(folded.body["appConnection"]["name"], "orders");
    assert_eq!(client.create(&with(|body| body["name"] = json!("a".repeat(33)))).await.status, 422);
}

#[tokio::test]
async fn the_hash_moves_with_each_write_of_credentials_and_with_nothing_else() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    let created = client.create(&valid()).await.body["appConnection"].take();
    let path = format!("{CONNECTIONS}/{}", created["id"].as_str().unwrap());

    let renamed = client.call("PATCH", &path, Some(&json!({"name": "renamed", "method": "x"}))).await;
    let renamed = &renamed.body["appConnection"];
    assert_eq!(renamed["credentialsHash"], created["credentialsHash"]);
    assert_eq!(renamed["version"], json!(2));
    assert!(renamed["updatedAt"].as_str() > created["updatedAt"].as_str());
    assert!(renamed["credentials"].get("apiToken").is_none());

    let again = json!({"credentials": valid()["credentials"]});
    let rewritten = client.call("PATCH", &path, Some(&again)).await;
    assert_ne!(rewritten.body["appConnection"]["credentialsHash"], created["credentialsHash"]);

    let partial = json!({"credentials": {"apiToken": "dbtu_y"}});
    let partial = client.call("PATCH", &path, Some(&partial)).await;
    assert_eq!(issue_paths(&partial), ["credentials.instanceUrl", "credentials.accountId"]);
}

#[tokio::test]
async fn names_scopes_and_ids_are_looked_up_as_the_server_does() {
    let emulator = Emulator::start(Options { projects_in_lists: true, ..Options::default() }).await;
    let client = Client::new(&emulator);
    let in_project = with(|body| body["projectId"] = json!(PROJECT_ID));
    assert_eq!(client.create(&valid()).await.status, 200);
    assert_eq!(client.create(&in_project).await.status, 200);
    let taken = client.create(&valid()).await;
    assert_eq!(taken.status, 400);
    assert_eq!(taken.body["message"], r#"An App Connection with the name "orders" already exists"#);
    let unknown = client.create(&with(|body| body["projectId"] = json!("nope"))).await;
    assert_eq!((unknown.status, &unknown.body["error"]), (400, &json!("BadRequest")));

    let list = client.call("GET", &format!("{CONNECTIONS}?projectId={PROJECT_ID}"), None).await;
    assert_eq!(list.body["appConnections"].as_array().unwrap().len(), 1);
    assert_eq!(list.body["appConnections"][0]["project"]["name"], "analytics");
    for (status, path) in [
        (404, "?projectId=nope".to_owned()),
        (422, "/not-a-uuid".to_owned()),
        (404, "/8a1c39a5-6d0b-4c49-9f0a-51d0a4c7be01".to_owned()),
        (200, "/connection-name/orders".to_owned()),
        (200, format!("/connection-name/orders?projectId={PROJECT_ID}")),
        (404, format!("/connection-name/orders?projectId={OTHER_PROJECT_ID}")),
        (404, "/a/b/c".to_owned()),
    ] {
        assert_eq!(client.call("GET", &format!("{CONNECTIONS}{path}"), None).await.status, status, "{path}");
    }

    let id = emulator.create("busy", None, &Credentials::new("https://au.dbt.com", "1", "dbtc_x"));
    emulator.edit(&id, |connection| connection.in_use = true);
    assert_eq!(client.call("DELETE", &format!("{CONNECTIONS}/{id}"), None).await.status, 400);
    emulator.edit(&id, |connection| connection.app = "snowflake".into());
    assert_eq!(client.call("GET", &format!("{CONNECTIONS}/{id}"), None).await.status, 400);
}

#[tokio::test]
async fn dbt_refuses_wrong_credentials_without_an_echo() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    for (url, account, token) in [
        ("https://cloud.getdbt.com", "1", "secret-but-no-dbt-token"),
        ("https://cloud.getdbt.com", "abc", "dbtu_x"),
        ("https://dbt.example.com", "1", "dbtu_x"),
    ] {
        let credentials = json!({"instanceUrl": url, "accountId": account, "apiToken": token});
        let refused = client.create(&with(|body| body["credentials"] = credentials)).await;
        assert_eq!(refused.status, 400);
        let message = refused.body["message"].as_str().unwrap();
        assert!(
            message.starts_with("Failed to validate credentials:") && !message.contains(token),
            "{message}"
        );
    }
    for url in ["http://localhost:1", "https://10.0.0.1", "https://[::1]/", "https://dbt.internal"] {
        let refused = client.create(&with(|body| body["credentials"]["instanceUrl"] = json!(url))).await;
        assert_eq!((refused.status, &refused.body["message"]), (400, &json!("Local IPs not allowed as URL")));
    }
    let id = emulator.create("gone", None, &Credentials::new("https://au.dbt.com", "1", "dbtc_x"));
    let projects = format!("{CONNECTIONS}/{id}/projects");
    assert_eq!(client.call("GET", &projects, None).await.body["projects"][0]["id"], json!(70_471));
    emulator.state().dbt.revoked.push("dbtc_x".into());
    assert_eq!(client.call("GET", &projects, None).await.status, 400);
}

#[tokio::test]
async fn logins_and_tokens_are_refused_as_the_server_refuses_them() {
    let emulator = Emulator::start(Options::default()).await;
    let mut client = Client::new(&emulator);
    client.token = None;
    let body = |secret: &str| json!({"clientId": CLIENT_ID, "clientSecret": secret});
    let granted = client.call("POST", LOGIN, Some(&body(CLIENT_SECRET))).await;
    let token = granted.body["accessToken"].as_str().unwrap().to_owned();
    assert_eq!(granted.body["tokenType"], "Bearer");
    let slug = json!({"clientId": CLIENT_ID, "clientSecret": CLIENT_SECRET, "organizationSlug": "nope"});
    assert_eq!(client.call("POST", LOGIN, Some(&slug)).await.status, 404);
    assert_eq!(client.call("GET", CONNECTIONS, None).await.status, 401);

    client.token = Some(token.clone());
    assert_eq!(client.call("GET", CONNECTIONS, None).await.status, 200);
    emulator.expire_tokens();
    let expired = client.call("GET", CONNECTIONS, None).await;
    assert_eq!((expired.status, &expired.body["error"]), (403, &json!("TokenError")));
    // A stale header spoils even the login that would have cured it.
    assert_eq!(client.call("POST", LOGIN, Some(&body(CLIENT_SECRET))).await.status, 403);
    client.token = Some("garbage".into());
    assert_eq!(client.call("GET", CONNECTIONS, None).await.status, 403);
    client.token = Some("YQ.YQ.YQ".into());
    assert_eq!(client.call("GET", CONNECTIONS, None).await.status, 401);

    client.token = None;
    for _ in 0..3 {
        assert_eq!(client.call("POST", LOGIN, Some(&body("wrong"))).await.status, 401);
    }
    assert_eq!(client.call("POST", LOGIN, Some(&body(CLIENT_SECRET))).await.status, 401, "locked out");
}

/// Headers that AWS's own SDK for another language signed with the emulator's key.
fn signed_by_the_aws_sdk() -> Value {
    json!({
        "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
        "Host": "sts.eu-west-1.amazonaws.com",
        "X-Amz-Date": "20261121T214107Z",
        "Authorization": "AWS4-HMAC-SHA256 Credential=AKIAEMULATOR00000001/20261121/eu-west-1/sts/aws4_request, \
            SignedHeaders=content-type;host;x-amz-date, \
            Signature=5cc4538a498ab2dbd361c4aacc6242948b93f533d6a88102c14fbf99638f4c19",
    })
}

#[test]
fn an_aws_login_needs_a_signature_that_sts_would_accept() {
    let keys = &Identity::new(IDENTITY_ID, CLIENT_ID, CLIENT_SECRET).aws_keys;
    let signed_at = datetime!(2026-11-21 21:41:07 UTC);
    let status = |method: &str, headers: &Value, now: OffsetDateTime| {
        let body = STANDARD.encode("Action=GetCallerIdentity&Version=2011-06-15");
        let headers = STANDARD.encode(headers.to_string());
        let checked = check(AwsLogin { method, body: &body, headers: &headers }, keys, now);
        checked.map_or_else(|refusal| refusal.status, |()| 200)
    };
    let good = signed_by_the_aws_sdk();
    assert_eq!(status("POST", &good, signed_at), 200);
    assert_eq!(status("POST", &good, signed_at + Duration::from_secs(299)), 200);
    assert_eq!(status("POST", &good, signed_at + Duration::from_secs(301)), 500);
    assert_eq!(status("POST", &good, signed_at - Duration::from_secs(301)), 500);
    assert_eq!(status("GET", &good, signed_at), 500);
    let with = |name: &str, value: &str| {
        let mut headers = good.clone();
        headers[name] = json!(value);
        status("POST", &headers, signed_at)
    };
    assert_eq!(with("X-Amz-Date", "20261121T214108Z"), 500);
    assert_eq!(with("x-amz-security-token", "of-nobody"), 500);
    assert_eq!(with("Accept", "text/xml"), 500, "the server reads JSON");
    assert_eq!(with("X-Other", "unsigned"), 200);
    let authorization = good["Authorization"].as_str().unwrap();
    let mut global = good.clone();
    global["Host"] = json!("sts.amazonaws.com");
    let (fields, _) = authorization.split_once("Signature=").unwrap();
    let signature = "cb3960a7062476264318e7e4ff70a7d18c09d9ea138fb70bd50e03122a9b7e10";
    global["Authorization"] = json!(format!("{fields}Signature={signature}"));
    assert_eq!(status("POST", &global, signed_at), 500, "the server calls the regional endpoint");
    for (region, expected) in
        [("eu-central-1", 500), ("eu.west", 400), ("", 400), ("a-region-far-too-long", 400)]
    {
        assert_eq!(with("Authorization", &authorization.replace("eu-west-1", region)), expected, "{region}");
    }
}

#[tokio::test]
async fn a_refused_aws_login_has_no_reason_but_an_unknown_identity_has() {
    let emulator = Emulator::start(Options::default()).await;
    let mut client = Client::new(&emulator);
    client.token = None;
    let login = |identity_id: &str| {
        json!({
            "identityId": identity_id,
            "iamRequestBody": STANDARD.encode("Action=GetCallerIdentity&Version=2011-06-15"),
            "iamRequestHeaders": STANDARD.encode(signed_by_the_aws_sdk().to_string()),
        })
    };
    let expired = client.call("POST", AWS_LOGIN, Some(&login(IDENTITY_ID))).await;
    assert_eq!((expired.status, &expired.body["message"]), (500, &json!("Something went wrong")));
    let unknown = client.call("POST", AWS_LOGIN, Some(&login("b7b9a3f2-0000-4f0d-8e1b-7c3f5d9e6a01"))).await;
    assert_eq!((unknown.status, &unknown.body["error"]), (404, &json!("NotFound")));
    let incomplete = client.call("POST", AWS_LOGIN, Some(&json!({"identityId": IDENTITY_ID}))).await;
    assert_eq!(incomplete.status, 422);
}

#[tokio::test]
async fn a_jwt_login_takes_the_jwts_of_the_identity_only() {
    let emulator = Emulator::start(Options::default()).await;
    let mut client = Client::new(&emulator);
    client.token = None;
    for method in ["oidc-auth", "kubernetes-auth"] {
        let path = format!("/api/v1/auth/{method}/login");
        let good = json!({"identityId": IDENTITY_ID, "jwt": kms_emulator::JWT});
        assert_eq!(client.call("POST", &path, Some(&good)).await.status, 200);
        let bad = json!({"identityId": IDENTITY_ID, "jwt": "a.b.c"});
        assert_eq!(client.call("POST", &path, Some(&bad)).await.status, 401);
        assert_eq!(client.call("POST", &path, Some(&json!({"jwt": "a.b.c"}))).await.status, 422);
    }
}

#[tokio::test]
async fn a_token_has_as_many_uses_as_it_was_given() {
    let emulator = Emulator::start(Options { access_token_uses: Some(1), ..Options::default() }).await;
    let mut client = Client::new(&emulator);
    client.token = None;
    let body = json!({"clientId": CLIENT_ID, "clientSecret": CLIENT_SECRET});
    let granted = client.call("POST", LOGIN, Some(&body)).await;
    client.token = granted.body["accessToken"].as_str().map(Into::into);
    assert_eq!(client.call("GET", CONNECTIONS, None).await.status, 200);
    assert_eq!(client.call("GET", CONNECTIONS, None).await.body["error"], "TokenError");
}

#[tokio::test]
async fn a_missing_right_is_named_with_action_and_subject() {
    let identity = Identity::new("b7b9a3f2-2c64-4f0d-8e1b-7c3f5d9e6a02", CLIENT_ID, CLIENT_SECRET)
        .without(Action::Create, Scope::Organization)
        .without(Action::Read, Scope::Project(PROJECT_ID.into()));
    let emulator = Emulator::start(Options { identities: vec![identity], ..Options::default() }).await;
    let client = Client::new(&emulator);
    let refused = client.create(&valid()).await;
    assert_eq!((refused.status, &refused.body["error"]), (403, &json!("PermissionDenied")));
    assert_eq!(refused.body["message"], "You are not allowed to create on app-connections");
    assert_eq!(client.call("GET", &format!("{CONNECTIONS}?projectId={PROJECT_ID}"), None).await.status, 403);
    assert_eq!(
        client.call("GET", &format!("{CONNECTIONS}?projectId={OTHER_PROJECT_ID}"), None).await.status,
        200
    );
}

#[tokio::test]
async fn limits_hold_for_a_fixed_window_and_per_route() {
    let limits = RateLimits { reads: 2, window_seconds: 1, ..RateLimits::default() };
    let emulator = Emulator::start(Options { rate_limits: Some(limits), ..Options::default() }).await;
    let client = Client::new(&emulator);
    let first = client.call("GET", CONNECTIONS, None).await;
    assert_eq!(first.headers["x-ratelimit-limit"], "2");
    assert_eq!(first.headers["x-ratelimit-remaining"], "1");
    client.call("GET", CONNECTIONS, None).await;
    let refused = client.call("GET", CONNECTIONS, None).await;
    assert_eq!((refused.status, &refused.headers["retry-after"]), (429, &"1".parse().unwrap()));
    assert!(refused.body["message"].as_str().unwrap().ends_with("try again in 1 seconds"));
    assert_eq!(client.call("GET", &format!("{CONNECTIONS}/available"), None).await.status, 200);
    tokio::time::sleep(Duration::from_millis(1050)).await;
    assert_eq!(client.call("GET", CONNECTIONS, None).await.status, 200);
}

#[tokio::test]
async fn a_secret_needs_all_four_parameters() {
    let emulator = Emulator::start(Options::default()).await;
    emulator.state().secrets.push(StoredSecret {
        workspace_id: PROJECT_ID.into(),
        environment: "prod".into(),
        path: "/".into(),
        name: "DBT TOKEN".into(),
        value: "dbtu_kept".into(),
        metadata: Vec::new(),
    });
    let client = Client::new(&emulator);
    let path =
        format!("/api/v3/secrets/raw/DBT%20TOKEN?workspaceId={PROJECT_ID}&environment=prod&secretPath=%2F");
    assert_eq!(client.call("GET", &path, None).await.status, 422);
    let found = client.call("GET", &format!("{path}&type=shared"), None).await;
    assert_eq!(found.body["secret"]["secretValue"], "dbtu_kept");
    assert_eq!(found.headers["x-ratelimit-limit"], "40");
    let missing = path.replace("prod", "dev");
    assert_eq!(client.call("GET", &format!("{missing}&type=shared"), None).await.status, 404);
}

#[tokio::test]
async fn faults_strike_before_or_after_the_server_has_acted() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    let post = || Target::once("POST", CONNECTIONS);
    let attempt = async |fault, name: &str| {
        emulator.fault(post(), fault);
        let body = with(|body| body["name"] = json!(name));
        let call = client.try_call("POST", CONNECTIONS, Some(&body));
        let outcome = tokio::time::timeout(Duration::from_millis(300), call).await;
        (outcome, emulator.connections().iter().any(|connection| connection.name == name))
    };
    let (outcome, made) = attempt(Fault::ResetBefore, "reset-before").await;
    assert!(outcome.unwrap().is_err() && !made);
    let (outcome, made) = attempt(Fault::ResetAfter, "reset-after").await;
    assert!(outcome.unwrap().is_err() && made);
    let (outcome, made) = attempt(Fault::HangBefore, "hang-before").await;
    assert!(outcome.is_err() && !made);
    let (outcome, made) = attempt(Fault::HangAfter, "hang-after").await;
    assert!(outcome.is_err() && made);
    let (outcome, made) = attempt(Fault::Truncate { keep: 20 }, "truncated").await;
    assert!(outcome.unwrap().is_err() && made);
    let (outcome, made) = attempt(Fault::NotJson, "not-json").await;
    assert!(outcome.unwrap().unwrap().body.is_null() && made);
    let (outcome, made) = attempt(Fault::Answer { status: 502, body: json!("<html>") }, "bad-gateway").await;
    assert!(outcome.unwrap().unwrap().status == 502 && !made);
    let (outcome, made) = attempt(Fault::AnswerAfter { status: 500, body: json!({}) }, "error-after").await;
    assert!(outcome.unwrap().unwrap().status == 500 && made);
    let (outcome, _) = attempt(Fault::Oversized { bytes: 1 << 20 }, "oversized").await;
    assert_eq!(outcome.unwrap().unwrap().status, 200);

    // The client gives up after 300 ms; the server acts all the same.
    let slow = Fault::slow(Duration::from_millis(400), Duration::ZERO);
    let (outcome, made) = attempt(slow, "slow").await;
    assert!(outcome.is_err() && !made);
    tokio::time::sleep(Duration::from_millis(200)).await;
    emulator.connection("slow");
}

#[tokio::test]
async fn a_fault_skips_and_stops_as_told() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    emulator.fault(Target::every("GET", "/api/v1/app-*").after(1).times(1), Fault::TokenExpired);
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(client.call("GET", CONNECTIONS, None).await.status);
    }
    assert_eq!(statuses, [200, 403, 200]);
}

#[tokio::test]
async fn the_log_shows_bodies_without_secrets_and_finds_texts() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    client.create(&with(|body| body["credentials"]["apiToken"] = json!("dbtu_findme"))).await;
    let [request] = &emulator.writes()[..] else { panic!("one write") };
    assert_eq!(request.body_keys(), ["credentials", "method", "name"]);
    assert_eq!(request.status, Some(200));
    let shown = serde_json::to_string(request).unwrap();
    assert!(!shown.contains("dbtu_findme") && !shown.contains(STATIC_TOKEN));
    assert_eq!(
        request.body.as_ref().unwrap()["credentials"]["apiToken"],
        json!(kms_emulator::fingerprint("dbtu_findme"))
    );
    let parts =
        |text| emulator.requests_containing(text).into_iter().map(|(_, part)| part).collect::<Vec<_>>();
    assert_eq!(parts("dbtu_findme"), [Part::Body]);
    assert_eq!(parts(STATIC_TOKEN), [Part::Header("authorization".into())]);
}

#[tokio::test]
async fn everything_can_be_driven_over_the_admin_paths() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    let admin = async |method: &str, path: &str, body: Value| {
        let answer = client.call(method, &format!("/__admin/{path}"), Some(&body)).await;
        assert_eq!(answer.status, 200, "{method} {path}: {}", answer.body);
        answer.body
    };
    let ids = admin("POST", "connections", json!({"count": 3, "projectId": PROJECT_ID})).await;
    assert_eq!(ids["ids"].as_array().unwrap().len(), 3);
    let before = admin("GET", "connections", Value::Null).await;
    let id = before[0]["id"].as_str().unwrap();
    admin("PATCH", &format!("connections/{id}"), json!({"description": "by hand"})).await;
    admin("PATCH", &format!("connections/{id}"), json!({"apiToken": "dbtu_other"})).await;
    let after = admin("GET", "connections", Value::Null).await;
    assert_eq!(after[0]["description"], "by hand");
    assert_ne!(after[0]["credentialsHash"], before[0]["credentialsHash"]);
    assert_ne!(after[0]["apiTokenFingerprint"], before[0]["apiTokenFingerprint"]);

    admin("POST", "faults", json!({"method": "GET", "times": 1, "fault": {"rate-limited": {"seconds": 3}}}))
        .await;
    admin("POST", "faults", json!({"fault": "reset-before", "times": 0})).await;
    assert_eq!(client.call("GET", CONNECTIONS, None).await.status, 429);
    assert_eq!(client.call("GET", CONNECTIONS, None).await.status, 200);
    assert_eq!(admin("GET", "faults", Value::Null).await.as_array().unwrap().len(), 2);
    admin("PUT", "limits", json!({"reads": 1})).await;
    assert_eq!(client.call("GET", CONNECTIONS, None).await.status, 200);
    assert_eq!(client.call("GET", CONNECTIONS, None).await.status, 429);
    admin("PUT", "limits", Value::Null).await;
    assert_eq!(client.call("GET", CONNECTIONS, None).await.status, 200);

    assert_eq!(admin("GET", "requests", Value::Null).await.as_array().unwrap().len(), 5);
    let found = admin("POST", "requests/search", json!({"text": STATIC_TOKEN})).await;
    assert_eq!(found[0]["part"], json!({"header": "authorization"}));
    admin("DELETE", "requests", Value::Null).await;
    admin("DELETE", &format!("connections/{id}"), Value::Null).await;
    assert_eq!(emulator.connections().len(), 2);
    assert!(emulator.requests().is_empty());
}

#[tokio::test]
async fn tls_is_served_with_a_certificate_of_the_given_authority() {
    let emulator = Emulator::start_tls(Options::default()).await;
    assert!(Client::new(&emulator).try_call("GET", CONNECTIONS, None).await.is_err(), "not trusted as it is");
    let authority = reqwest::Certificate::from_pem(emulator.ca_pem().unwrap().as_bytes()).unwrap();
    let http = reqwest::Client::builder().tls_certs_merge([authority]).build().unwrap();
    let client = Client { http, ..Client::new(&emulator) };
    assert_eq!(client.call("GET", CONNECTIONS, None).await.status, 200);
}

#[test]
fn an_emulator_on_a_thread_serves_callers_that_block() {
    let emulator = Emulator::start_on_thread(Options::default());
    let address = emulator.url().trim_start_matches("http://").to_owned();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    std::io::Write::write_all(&mut stream, b"GET /nope HTTP/1.0\r\n\r\n").unwrap();
    let answer = std::io::read_to_string(stream).unwrap();
    assert!(answer.contains("404") && answer.contains("reqId"), "{answer}");
}
