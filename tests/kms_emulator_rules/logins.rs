//! Logins, and what each method says of a refused one.

use base64::{Engine, engine::general_purpose::STANDARD};
use kms_emulator::{
    AWS_LOGIN, CLIENT_ID, CLIENT_SECRET, CONNECTIONS, Credentials, Emulator, IDENTITY_ID, JWT, LOGIN,
    Options,
    aws_login::{AwsLogin, check},
    identities::Identity,
};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime, macros::datetime};

use crate::client::Client;

const OIDC: &str = "/api/v1/auth/oidc-auth/login";
const KUBERNETES: &str = "/api/v1/auth/kubernetes-auth/login";
const UNKNOWN: &str = "b7b9a3f2-2c64-4f0d-8e1b-7c3f5d9e6aff";

// H server/routes/v1/identity-universal-auth-router.ts @ 8040b54e.
#[tokio::test]
async fn a_login_trims_what_it_is_given_and_grants_a_bearer_token() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::without_token(&emulator);
    let body = json!({"clientId": format!(" {CLIENT_ID}"), "clientSecret": format!("{CLIENT_SECRET}\n")});
    let granted = client.post(LOGIN, body).await;
    assert_eq!((granted.status, &granted.body["tokenType"]), (200, &json!("Bearer")));
    assert_eq!(granted.body["expiresIn"], json!(2_592_000));
    assert_eq!(client.post(LOGIN, json!({"clientId": CLIENT_ID})).await.issues(), ["clientSecret: Required"]);
    let nothing = client.send("POST", LOGIN, None, None).await.unwrap();
    assert_eq!(nothing.issues(), [": Expected object, received null"]);
}

// H services/identity-ua/identity-ua-service.ts @ 8fca3735; the numbers are the router's defaults (@ 8040b54e).
#[tokio::test(start_paused = true)]
async fn three_wrong_secrets_lock_for_five_minutes_and_are_forgotten_after_half_a_minute() {
    let mut identities = identities();
    let mut log_in = |secret: &str| {
        identities.universal_login(Some(&json!({"clientId": CLIENT_ID, "clientSecret": secret})))
    };
    let seconds = |seconds| tokio::time::advance(std::time::Duration::from_secs(seconds));
    let message = |outcome: Result<Value, _>| -> Value {
        let refusal: kms_emulator::answer::Refusal = outcome.unwrap_err();
        assert_eq!((refusal.status, refusal.error), (401, "UnauthorizedError"));
        refusal.message
    };
    let invalid = json!("Invalid credentials");
    let locked = json!("This identity auth method is temporarily locked, please try again later");
    for _ in 0..2 {
        assert_eq!(message(log_in("wrong")), invalid);
    }
    seconds(31).await;
    for _ in 0..3 {
        assert_eq!(message(log_in("wrong")), invalid);
    }
    assert_eq!(message(log_in(CLIENT_SECRET)), locked);
    seconds(299).await;
    assert_eq!(message(log_in(CLIENT_SECRET)), locked);
    seconds(2).await;
    assert!(log_in(CLIENT_SECRET).is_ok());
    // A right secret clears the count.
    for _ in 0..2 {
        assert_eq!(message(log_in("wrong")), invalid);
        assert_eq!(message(log_in("wrong")), invalid);
        assert!(log_in(CLIENT_SECRET).is_ok());
    }
}

fn identities() -> kms_emulator::identities::Identities {
    let options = Options::default();
    kms_emulator::identities::Identities::new(options.identities, options.organizations)
}

// H services/identity-ua/identity-ua-service.ts @ 8fca3735: an unknown client looks like a wrong secret.
#[tokio::test]
async fn an_unknown_client_is_refused_like_a_wrong_secret() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::without_token(&emulator);
    for _ in 0..4 {
        let refused = client.post(LOGIN, json!({"clientId": "nobody", "clientSecret": "x"})).await;
        assert_eq!(refused.refusal(), (401, "UnauthorizedError", "Invalid credentials"));
    }
}

// The four login services of H (identity-ua @ 8fca3735, identity-oidc-auth @ 4f216be5, identity-kubernetes-auth @ 5eeee227,
// identity-aws-auth @ 4f216be5): the slug is of a sub-organization, looked up after the credentials were found good.
#[tokio::test]
async fn an_organization_slug_names_a_sub_organization() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::without_token(&emulator);
    let universal =
        |slug: &str| json!({"clientId": CLIENT_ID, "clientSecret": CLIENT_SECRET, "organizationSlug": slug});
    let oidc = |slug: &str| json!({"identityId": IDENTITY_ID, "jwt": JWT, "organizationSlug": slug});
    assert_eq!(client.post(LOGIN, universal("branch")).await.status, 200);
    // The root organization is none of its own sub-organizations.
    for slug in ["nope", "main"] {
        let name = format!("Sub organization with name {slug} not found");
        assert_eq!(client.post(LOGIN, universal(slug)).await.refusal(), (404, "NotFound", name.as_str()));
        let text = format!("Sub organization with slug {slug} not found");
        assert_eq!(client.post(OIDC, oidc(slug)).await.refusal(), (404, "NotFound", text.as_str()));
        assert_eq!(client.post(KUBERNETES, oidc(slug)).await.refusal(), (404, "NotFound", text.as_str()));
    }
    let wrong = json!({"clientId": CLIENT_ID, "clientSecret": "x", "organizationSlug": "nope"});
    assert_eq!(client.post(LOGIN, wrong).await.status, 401);
    assert_eq!(
        client.post(LOGIN, universal("No Slug")).await.issues(),
        ["organizationSlug: Slug field can only contain lowercase letters, numbers, and hyphens"]
    );

    emulator.create("orders", None, &Credentials::new("https://au.dbt.com", "1", "dbtc_x"));
    let granted = client.post(LOGIN, universal("branch")).await;
    let branch = client.with_token(granted.body["accessToken"].as_str().unwrap());
    assert_eq!(branch.get(CONNECTIONS).await.names(), [""; 0]);
}

// H services/identity-oidc-auth/identity-oidc-auth-service.ts @ 4f216be5.
#[tokio::test]
async fn an_oidc_login_takes_the_jwts_of_the_identity_only() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::without_token(&emulator);
    let log_in = async |id: &str, jwt: &str| client.post(OIDC, json!({"identityId": id, "jwt": jwt})).await;
    assert_eq!(log_in(IDENTITY_ID, JWT).await.status, 200);
    assert_eq!(
        log_in(IDENTITY_ID, "a.b.c").await.refusal(),
        (401, "UnauthorizedError", "Access denied: invalid signature")
    );
    assert_eq!(log_in(IDENTITY_ID, "x").await.refusal(), (401, "UnauthorizedError", "Invalid JWT"));
    // The 404 of a login is a refusal by the KMS itself.
    assert_eq!(
        log_in(UNKNOWN, JWT).await.refusal(),
        (404, "NotFound", "OIDC auth method not found for identity, did you configure OIDC auth?")
    );
    // The id goes into a query of a UUID column as it is.
    assert_eq!(log_in("nobody", JWT).await.refusal(), (500, "Find one", "Something went wrong"));
    assert_eq!(client.post(OIDC, json!({"jwt": "a.b.c"})).await.issues(), ["identityId: Required"]);
}

// H services/identity-kubernetes-auth/identity-kubernetes-auth-service.ts @ 5eeee227.
#[tokio::test]
async fn a_kubernetes_login_is_refused_in_kubernetes_own_words() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::without_token(&emulator);
    let log_in =
        async |id: &str, jwt: &str| client.post(KUBERNETES, json!({"identityId": id, "jwt": jwt})).await;
    assert_eq!(log_in(IDENTITY_ID, JWT).await.status, 200);
    assert_eq!(
        log_in(IDENTITY_ID, "a.b.c").await.refusal(),
        (401, "KubernetesTokenReviewError", "[invalid bearer token, token lookup failed]")
    );
    let unknown = "Kubernetes auth method not found for identity, did you configure Kubernetes auth?";
    assert_eq!(log_in(UNKNOWN, JWT).await.refusal(), (404, "NotFound", unknown));
}

// H services/identity-aws-auth/identity-aws-auth-service.ts @ 4f216be5 and the router @ 5a78334c: nothing catches the HTTP
// library's error when AWS refuses the call, so it is an internal one.
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
    assert_eq!(status("POST", &good, signed_at + Duration::seconds(299)), 200);
    assert_eq!(status("POST", &good, signed_at + Duration::seconds(301)), 500);
    assert_eq!(status("POST", &good, signed_at - Duration::seconds(301)), 500);
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
    let client = Client::without_token(&emulator);
    let login = |identity_id: &str| {
        json!({
            "identityId": identity_id,
            "iamRequestBody": STANDARD.encode("Action=GetCallerIdentity&Version=2011-06-15"),
            "iamRequestHeaders": STANDARD.encode(signed_by_the_aws_sdk().to_string()),
        })
    };
    let expired = client.post(AWS_LOGIN, login(IDENTITY_ID)).await;
    assert_eq!(expired.refusal(), (500, "InternalServerError", "Something went wrong"));
    let unknown = client.post(AWS_LOGIN, login("b7b9a3f2-0000-4f0d-8e1b-7c3f5d9e6a01")).await;
    assert_eq!(
        unknown.refusal(),
        (404, "NotFound", "AWS auth method not found for identity, did you configure AWS auth?")
    );
    let incomplete = client.post(AWS_LOGIN, json!({"identityId": IDENTITY_ID})).await;
    assert_eq!(incomplete.status, 422);
}
