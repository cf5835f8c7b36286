//! Access tokens that are no good any more, or never were.

use std::time::Duration;

use kms_emulator::{
    CLIENT_ID, CLIENT_SECRET, CONNECTIONS, Emulator, LOGIN, Options, Server, options::NameRule,
};
use serde_json::json;

use crate::client::Client;

async fn logged_in(emulator: &Emulator) -> Client<'_> {
    let client = Client::without_token(emulator);
    let granted = client.post(LOGIN, json!({"clientId": CLIENT_ID, "clientSecret": CLIENT_SECRET})).await;
    assert_eq!(granted.status, 200);
    client.with_token(granted.body["accessToken"].as_str().unwrap())
}

// H server/plugins/error-handler.ts @ 5a78334c (the texts of `JWTErrors`), jsonwebtoken 9.0.3 `verify.js` (the others);
// probe. A payload that is no JSON is an error that the handler doesn't know.
#[tokio::test]
async fn each_kind_of_bad_token_has_its_own_text() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    let malformed = "The provided access token is malformed. \
        Please use a valid token or generate a new one and try again.";
    let algorithm = "The access token is signed with an invalid algorithm. \
        Please provide a valid token and try again.";
    for (token, message) in [
        ("garbage", malformed),
        ("a.b", malformed),
        ("YQ.YQ.YQ", "invalid token"),
        ("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJhIjoxfQ.YQ", "invalid signature"),
        ("eyJhbGciOiJub25lIn0.eyJhIjoxfQ.", "jwt signature is required"),
        ("eyJhbGciOiJub25lIn0.eyJhIjoxfQ.YQ", algorithm),
    ] {
        let refused = client.with_token(token).get(CONNECTIONS).await;
        assert_eq!(refused.refusal(), (403, "TokenError", message), "{token}");
        assert!(refused.body["reqId"].is_string());
    }
    let payload = client.with_token("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.YQ.YQ").get(CONNECTIONS).await;
    assert_eq!(payload.refusal(), (500, "InternalServerError", "Something went wrong"));
    let older = Emulator::start(Options { name_rule: NameRule::Older, ..Options::default() }).await;
    let refused = Client::new(&older).with_token("garbage").get(CONNECTIONS).await;
    assert_eq!(refused.refusal(), (403, "TokenError", "jwt malformed"));
}

// H server/plugins/error-handler.ts @ 5a78334c.
#[tokio::test]
async fn an_expired_token_is_forbidden_and_not_unauthorized() {
    let emulator = Emulator::start(Options::default()).await;
    let client = logged_in(&emulator).await;
    assert_eq!(client.get(CONNECTIONS).await.status, 200);
    emulator.expire_tokens();
    let expired = client.get(CONNECTIONS).await;
    assert_eq!(expired.refusal(), (403, "TokenError", "Your token has expired. Please re-authenticate."));
    // The signature and the claims are checked first.
    emulator.revoke_tokens();
    assert_eq!(client.get(CONNECTIONS).await.status, 403);
}

// I services/identity-access-token/identity-access-token-service.ts @ 4af40163, and the newer one of
// stnxo2023/infisical @ 0d5ac034.
#[tokio::test]
async fn a_revoked_token_is_unauthorized() {
    for (server, message) in [
        (Server::Hanzo, "No identity access token found"),
        (Server::Infisical, "Failed to authorize: token has been revoked"),
    ] {
        let emulator = Emulator::start(Options { server, ..Options::default() }).await;
        let client = logged_in(&emulator).await;
        emulator.revoke_tokens();
        let revoked = client.get(CONNECTIONS).await;
        assert_eq!(revoked.refusal(), (401, "UnauthorizedError", message));
    }
}

// As above: the row of a token that is used up is deleted when it is found so, and then there is no such token. Before
// that it was a 400 (I @ 04d961b8), and in the newest tree the counter is kept.
#[tokio::test]
async fn a_token_has_as_many_uses_as_it_was_given() {
    let limit = "Unable to renew because access token number of uses limit reached";
    let gone = (401, "UnauthorizedError", "No identity access token found");
    let kept = (401, "UnauthorizedError", "Failed to authorize: token usage limit reached");
    for (server, name_rule, first, second) in [
        (Server::Hanzo, NameRule::Current, (401, "UnauthorizedError", limit), gone),
        (Server::Hanzo, NameRule::Older, (400, "BadRequest", limit), gone),
        (Server::Infisical, NameRule::Current, kept, kept),
    ] {
        let options = Options { access_token_uses: Some(2), server, name_rule, ..Options::default() };
        let emulator = Emulator::start(options).await;
        let client = logged_in(&emulator).await;
        assert_eq!(client.get(CONNECTIONS).await.status, 200);
        // Every request is a use, an unknown route too.
        assert_eq!(client.get("/api/v1/nope").await.status, 404);
        assert_eq!(client.get(CONNECTIONS).await.refusal(), first, "{server:?} {name_rule:?}");
        assert_eq!(client.get(CONNECTIONS).await.refusal(), second, "{server:?} {name_rule:?}");
    }
}

// H services/identity-ua/identity-ua-service.ts @ 8fca3735: a lifetime of 0 is signed without an expiry.
#[tokio::test]
async fn a_lifetime_of_zero_never_ends() {
    let emulator = Emulator::start(Options { access_token_ttl: Duration::ZERO, ..Options::default() }).await;
    let client = Client::without_token(&emulator);
    let granted = client.post(LOGIN, json!({"clientId": CLIENT_ID, "clientSecret": CLIENT_SECRET})).await;
    assert_eq!(granted.body["expiresIn"], json!(0));
    let token = granted.body["accessToken"].as_str().unwrap();
    assert_eq!(client.with_token(token).get(CONNECTIONS).await.status, 200);
}
