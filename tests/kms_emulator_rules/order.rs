//! The order in which the server looks at a request, and what it says at each step.

use std::time::Duration;

use kms_emulator::{CONNECTIONS, Emulator, LOGIN, Options, STATIC_TOKEN, rate_limit::RateLimits};
use serde_json::{Value, json};

use crate::client::{Client, valid, with};

const INTERNAL: (u16, &str, &str) = (500, "InternalServerError", "Something went wrong");

// I `lib/fourOhFour.js` of fastify/fastify @ 02623411, H server/plugins/serve-ui.ts @ 04899c5e; probe.
#[tokio::test]
async fn the_frameworks_own_errors_have_no_request_id() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    for (method, path) in [
        ("GET", "/api/v1/nope?x=1".to_owned()),
        ("POST", "/nope".to_owned()),
        ("PUT", CONNECTIONS.to_owned()),
        ("GET", format!("{CONNECTIONS}/a/b/c")),
    ] {
        let answer = client.call(method, &path, None).await;
        let message = format!("Route {method}:{path} not found");
        assert_eq!(answer.status, 404);
        assert_eq!(answer.body, json!({"message": message, "error": "Not Found", "statusCode": 404}));
    }
    let url = format!("{CONNECTIONS}/connection-name/%zz");
    let bad = client.get(&url).await;
    assert_eq!(bad.status, 400);
    assert_eq!(
        bad.body,
        json!({
            "error": "Bad Request",
            "code": "FST_ERR_BAD_URL",
            "message": format!("'{url}' is not a valid url component"),
            "statusCode": 400,
        })
    );
}

// H server/plugins/serve-ui.ts @ 04899c5e: the user interface is served on every other path.
#[tokio::test]
async fn outside_of_the_api_every_page_is_the_user_interface() {
    let emulator = Emulator::start(Options::default()).await;
    let page = Client::new(&emulator).get("/kms/api/v1/app-connections/dbt").await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html")));
    assert!(page.body.is_null() && page.text.starts_with("<!DOCTYPE html>"));
}

// H server/routes/index.ts @ 5a78334c (`injectIdentity` is a hook of the whole server) and
// server/plugins/auth/inject-identity.ts @ 8fca3735.
#[tokio::test]
async fn a_token_that_is_no_good_spoils_logins_and_unknown_routes_too() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator).with_token("garbage");
    for (method, path) in [("POST", LOGIN), ("GET", "/api/v1/nope"), ("GET", "/"), ("GET", CONNECTIONS)] {
        let answer = client.call(method, path, None).await;
        assert_eq!((answer.status, &answer.body["error"]), (403, &json!("TokenError")), "{method} {path}");
    }
    let good = Client::new(&emulator);
    let body = json!({"clientId": "nobody", "clientSecret": "x"});
    assert_eq!(good.post(LOGIN, body).await.status, 401, "a good token doesn't help a login either");
}

// I server/plugins/auth/verify-auth.ts @ 035156bc: an `onRequest` hook, so bodies aren't read yet.
#[tokio::test]
async fn without_a_token_the_body_is_not_looked_at() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::without_token(&emulator);
    let missing = (401, "UnauthorizedError", "Token missing");
    let json = Some("application/json");
    let bad = client.send("POST", CONNECTIONS, json, Some(b"{bad".to_vec())).await.unwrap();
    assert_eq!(bad.refusal(), missing);
    assert_eq!(client.get(&format!("{CONNECTIONS}/not-a-uuid")).await.refusal(), missing);
}

// H server/plugins/error-handler.ts @ 5a78334c knows none of the framework's errors of reading a body; probe.
#[tokio::test]
async fn a_body_that_cannot_be_read_is_an_internal_error() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    let json = Some("application/json");
    let large = vec![b' '; (1 << 20) + 1];
    for (content_type, body) in
        [(json, b"{bad".to_vec()), (json, Vec::new()), (Some("text/weird"), b"{}".to_vec()), (json, large)]
    {
        let large = body.len() > 1 << 20;
        let answer = client.send("POST", CONNECTIONS, content_type, Some(body)).await.unwrap();
        assert_eq!(answer.refusal(), INTERNAL, "{content_type:?}");
        assert!(answer.body["reqId"].is_string());
        assert_eq!(answer.header("x-ratelimit-limit"), None, "it counts for no limit");
        assert_eq!(answer.header("connection"), large.then_some("close"));
    }
}

// I server/config/rateLimiter.ts @ 69acdd0d (`hook: "preValidation"`), H server/plugins/inject-rate-limits.ts @ 8fca3735
// (the numbers), @fastify/rate-limit 9.1.0 `index.js`; probe.
#[tokio::test]
async fn limits_hold_for_a_fixed_window_and_per_route() {
    let limits = RateLimits { reads: 2, window_seconds: 1, ..RateLimits::default() };
    let emulator = Emulator::start(Options { rate_limits: Some(limits), ..Options::default() }).await;
    let client = Client::new(&emulator);
    let first = client.get(CONNECTIONS).await;
    assert_eq!(first.header("x-ratelimit-limit"), Some("2"));
    assert_eq!(first.header("x-ratelimit-remaining"), Some("1"));
    assert_eq!(first.header("x-ratelimit-reset"), Some("1"));
    assert_eq!(first.header("retry-after"), None);
    client.get(CONNECTIONS).await;
    let refused = client.get(CONNECTIONS).await;
    assert_eq!(
        refused.refusal(),
        (429, "RateLimitExceeded", "Rate limit exceeded. Please try again in 1 seconds")
    );
    assert!(refused.body["reqId"].is_string());
    assert_eq!(refused.body["statusCode"], json!(429));
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.header("x-ratelimit-remaining"), Some("0"));
    // Each route has a window of its own: by name, by id, what is available.
    for path in ["/available", "/connection-name/x", "/8a1c39a5-6d0b-4c49-9f0a-51d0a4c7be01"] {
        let other = client.get(&format!("{CONNECTIONS}{path}")).await;
        assert_eq!(other.header("x-ratelimit-remaining"), Some("1"), "{path}");
    }
    tokio::time::sleep(Duration::from_millis(1050)).await;
    assert_eq!(client.get(CONNECTIONS).await.status, 200);
}

// As above: what comes before the limit doesn't count, what comes after it does.
#[tokio::test]
async fn refused_tokens_count_for_no_limit_and_broken_rules_do() {
    let limits = RateLimits { writes: 2, reads: 2, ..RateLimits::default() };
    let emulator = Emulator::start(Options { rate_limits: Some(limits), ..Options::default() }).await;
    let client = Client::new(&emulator);
    for token in ["garbage", "YQ.YQ.YQ"] {
        let refused = client.with_token(token).get(CONNECTIONS).await;
        assert_eq!((refused.status, refused.header("x-ratelimit-limit")), (403, None));
    }
    assert_eq!(Client::without_token(&emulator).get(CONNECTIONS).await.header("x-ratelimit-limit"), None);
    assert_eq!(client.get(CONNECTIONS).await.header("x-ratelimit-remaining"), Some("1"));

    let broken = client.create(&json!({})).await;
    assert_eq!((broken.status, broken.header("x-ratelimit-remaining")), (422, Some("1")));
    assert_eq!(client.create(&valid()).await.status, 200);
    let refused = client.create(&with(|body| body["name"] = json!("other"))).await;
    assert_eq!(refused.status, 429);
    assert_eq!(emulator.connections().len(), 1);
    let login = json!({"clientId": "x", "clientSecret": "y"});
    let other = Client::without_token(&emulator).post(LOGIN, login).await;
    assert_eq!((other.status, other.header("x-ratelimit-remaining")), (401, Some("1")));
}

// H server/app.ts @ 8fca3735: the limiter is registered for the vendor's cloud alone.
#[tokio::test]
async fn a_server_without_limits_sends_none_of_their_headers() {
    let emulator = Emulator::start(Options::default().without_rate_limits()).await;
    let answer = Client::new(&emulator).get(CONNECTIONS).await;
    assert_eq!(answer.status, 200);
    assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("x-ratelimit")));
}

// H server/app.ts @ 8fca3735 (`ignoreTrailingSlash`).
#[tokio::test]
async fn a_trailing_slash_is_ignored() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    assert_eq!(client.call("POST", &format!("{CONNECTIONS}/"), Some(&valid())).await.status, 200);
    assert_eq!(client.get(&format!("{CONNECTIONS}/")).await.names(), ["orders"]);
    assert_eq!(client.get(&format!("{CONNECTIONS}/connection-name/orders/")).await.status, 200);
    assert_eq!(
        Client::new(&emulator).with_token(STATIC_TOKEN).get("/api").await.body["error"],
        json!("Not Found")
    );
    assert_eq!(client.get("/api/v1").await.body.get("reqId"), None::<&Value>);
}
