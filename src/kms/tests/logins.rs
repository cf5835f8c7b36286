//! Tests of logins, renewals and refusals.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tokio::time::Instant;

use crate::{
    kms::{
        Auth, AuthError, CancellationToken, Client, ConnectionPlace, DbtConnection, DbtCredentials, Error,
        ListScope, NewDbtConnection, Reason, ServiceAccountToken,
        test_server::{Reply, Seen, Server, is_login, new_client},
    },
    secret::Secret,
};

fn list() -> Reply {
    Reply::json(200, json!({"appConnections": []}))
}

async fn call(client: &Client) -> Result<(), Error> {
    let operation = client.operation(CancellationToken::new());
    operation.list::<DbtConnection>(ListScope::All).await.map(drop)
}

/// Twenty concurrent calls.
async fn calls(client: &Client) -> Vec<Result<(), Error>> {
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { call(&client).await })
        })
        .collect();
    let mut results = Vec::new();
    for call in calls {
        results.push(call.await.unwrap());
    }
    results
}

fn token_error() -> Reply {
    Reply::error(403, "TokenError", "Your token has expired")
}

fn login_answer(seen: &Seen, expires_in: u64) -> Reply {
    let token = format!("access-{}", seen.earlier + 1);
    Reply::json(200, json!({"accessToken": token, "expiresIn": expires_in}))
}

#[tokio::test(start_paused = true)]
async fn many_calls_share_one_login_that_carries_no_token() {
    let server = Server::start_raw(|seen, _| {
        if is_login(seen) { login_answer(seen, 900).after(Duration::from_secs(2)) } else { list() }
    })
    .await;
    let mut config = server.config();
    config.organization_slug = Some("sub-1".to_owned());
    let client = new_client(config);
    assert!(calls(&client).await.iter().all(Result::is_ok));
    assert_eq!(server.logins(), 1);
    assert_eq!(server.count("GET"), 20);
    let seen = server.seen();
    assert_eq!(seen[0].target, "/api/v1/auth/universal-auth/login");
    assert_eq!(seen[0].header("authorization"), None);
    assert_eq!(seen[0].header("user-agent"), Some("tests/1"));
    assert_eq!(
        seen[0].json(),
        json!({"clientId": "client-1", "clientSecret": "client-secret-1", "organizationSlug": "sub-1"})
    );
    assert!(seen[1..].iter().all(|seen| seen.header("authorization") == Some("Bearer access-1")));
}

#[tokio::test(start_paused = true)]
async fn a_refused_login_is_never_tried_again() {
    for status in [400, 401, 403, 404, 422] {
        let server = Server::start_raw(move |_, _| {
            Reply::error(status, "UnauthorizedError", "Invalid credentials").after(Duration::from_secs(1))
        })
        .await;
        let client = server.client();
        let results = calls(&client).await;
        let refused = |result: &Result<(), Error>| {
            matches!(result, Err(Error::Auth(AuthError::LoginRefused { method: "Universal Auth", .. })))
        };
        assert!(results.iter().all(refused), "{status}");
        assert!(refused(&call(&client).await));
        assert_eq!(server.logins(), 1, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_locked_identity_is_told_from_wrong_credentials() {
    let message = "This identity auth method is temporarily locked, please try again later";
    let server = Server::start_raw(|_, _| Reply::error(401, "UnauthorizedError", message)).await;
    let client = server.client();
    for _ in 0..2 {
        let result = call(&client).await;
        assert!(matches!(result, Err(Error::Auth(AuthError::LockedOut { .. }))), "{result:?}");
    }
    assert_eq!(server.logins(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_login_whose_answer_is_lost_is_repeated_a_few_times_for_all() {
    let server = Server::start_raw(|_, _| Reply::close()).await;
    let client = server.client();
    let results = calls(&client).await;
    assert!(results.iter().all(|result| matches!(result, Err(Error::Request(_)))));
    assert_eq!(server.logins(), 3);
    // A fault isn't a refusal: the next call logs in again, but only once.
    assert!(call(&client).await.is_err());
    assert_eq!(server.logins(), 4);
}

#[tokio::test(start_paused = true)]
async fn an_expired_token_is_renewed_once_for_all_and_requests_are_repeated() {
    let expired = Arc::new(AtomicBool::new(false));
    let is_expired = expired.clone();
    let server = Server::start(move |seen, _| {
        let token = seen.header("authorization").unwrap();
        if token == "Bearer access-1" && is_expired.load(Ordering::Relaxed) { token_error() } else { list() }
    })
    .await;
    let client = server.client();
    call(&client).await.unwrap();
    expired.store(true, Ordering::Relaxed);
    assert!(calls(&client).await.iter().all(Result::is_ok));
    assert_eq!(server.logins(), 2);
    assert_eq!(server.count("GET"), 1 + 20 + 20);
}

#[tokio::test(start_paused = true)]
async fn a_create_refused_for_its_token_is_sent_again() {
    let server = Server::start(|seen, _| match seen.earlier {
        0 => Reply::error(401, "UnauthorizedError", "Unknown token"),
        _ => Reply::error(422, "ValidationFailure", "enough"),
    })
    .await;
    let credentials = DbtCredentials {
        instance_url: "https://cloud.getdbt.com".to_owned(),
        account_id: "1".to_owned(),
        api_token: Secret::new("dbtu_1"),
    };
    let place = ConnectionPlace::new("a", None);
    let new = NewDbtConnection { place, description: None, credentials };
    server.operation().create::<DbtConnection>(&new, None).await.unwrap_err();
    let tokens: Vec<_> = server.seen().into_iter().filter(|seen| !is_login(seen)).collect();
    assert_eq!(tokens.len(), 2);
    assert_eq!(tokens[1].header("authorization"), Some("Bearer access-2"));
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_before_it_expires() {
    for (life, still_good, renewed) in [(900, 839, 841), (10, 8, 10)] {
        let server =
            Server::start_raw(move |seen, _| if is_login(seen) { login_answer(seen, life) } else { list() })
                .await;
        let client = server.client();
        call(&client).await.unwrap();
        tokio::time::sleep(Duration::from_secs(still_good)).await;
        call(&client).await.unwrap();
        assert_eq!(server.logins(), 1, "{life}");
        tokio::time::sleep(Duration::from_secs(renewed - still_good)).await;
        call(&client).await.unwrap();
        assert_eq!(server.logins(), 2, "{life}");
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_of_no_limited_life_are_kept() {
    let server =
        Server::start_raw(|seen, _| if is_login(seen) { login_answer(seen, 0) } else { list() }).await;
    assert!(calls(&server.client()).await.iter().all(Result::is_ok));
    assert_eq!(server.logins(), 1);
}

#[tokio::test(start_paused = true)]
async fn tokens_good_for_one_use_still_serve() {
    let used = Mutex::new(std::collections::HashSet::new());
    let server = Server::start(move |seen, _| {
        let is_new = used.lock().unwrap().insert(seen.header("authorization").unwrap().to_owned());
        if is_new { list() } else { Reply::error(401, "UnauthorizedError", "Used up") }
    })
    .await;
    assert!(calls(&server.client()).await.iter().all(Result::is_ok));
    assert_eq!(server.logins(), 20);
}

#[tokio::test(start_paused = true)]
async fn tokens_that_are_all_refused_end_in_an_error() {
    let server = Server::start(|_, _| token_error()).await;
    let client = server.client();
    let error = call(&client).await.unwrap_err();
    assert!(matches!(error, Error::Auth(AuthError::FreshTokensRefused { .. })), "{error:?}");
    assert_eq!(server.logins(), 2);
    for _ in 0..20 {
        call(&client).await.unwrap_err();
    }
    assert_eq!(server.logins(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_always_refused_while_others_succeed_causes_few_logins() {
    let server = Server::start(|seen, _| {
        if seen.target.ends_with("/id-1") {
            Reply::error(401, "UnauthorizedError", "Token missing")
        } else {
            list()
        }
    })
    .await;
    let client = server.client();
    for _ in 0..200 {
        call(&client).await.unwrap();
        let refused = client.operation(CancellationToken::new()).get::<DbtConnection>("id-1").await;
        assert!(matches!(refused, Err(Error::Auth(AuthError::FreshTokensRefused { .. }))), "{refused:?}");
    }
    assert!(server.logins() <= 5, "{} logins", server.logins());
}

#[tokio::test(start_paused = true)]
async fn slow_responses_to_tokens_good_for_one_use_do_not_fail_others() {
    let used = Mutex::new(std::collections::HashSet::new());
    let server = Server::start(move |seen, _| {
        let is_new = used.lock().unwrap().insert(seen.header("authorization").unwrap().to_owned());
        if is_new {
            list().after(Duration::from_secs(3))
        } else {
            Reply::error(401, "UnauthorizedError", "Used up")
        }
    })
    .await;
    let results = calls(&server.client()).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_fails_while_the_token_is_good_fails_no_call() {
    for fault in [|| Reply::error(503, "Fault", "x"), || Reply::error(401, "UnauthorizedError", "no")] {
        let server = Server::start_raw(move |seen, _| match (is_login(seen), seen.earlier) {
            (true, 0) => login_answer(seen, 900),
            (true, _) => fault(),
            _ => list(),
        })
        .await;
        let client = server.client();
        call(&client).await.unwrap();
        tokio::time::sleep(Duration::from_secs(845)).await;
        assert!(calls(&client).await.iter().all(Result::is_ok));
        let logins = server.logins();
        assert!(calls(&client).await.iter().all(Result::is_ok));
        assert_eq!(server.logins(), logins, "not tried again at each call");
        tokio::time::sleep(Duration::from_secs(60)).await;
        call(&client).await.unwrap_err();
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_expires_during_the_wait_for_the_limit_is_not_sent() {
    let expired = Arc::new(AtomicBool::new(false));
    let is_expired = expired.clone();
    let server = Server::start_raw(move |seen, _| match (is_login(seen), seen.earlier) {
        (true, _) => login_answer(seen, 10),
        (_, 0) => Reply::error(429, "RateLimitExceeded", "x").with("retry-after", 30),
        _ if seen.header("authorization") == Some("Bearer access-1") => {
            is_expired.store(true, Ordering::Relaxed);
            token_error()
        }
        _ => list(),
    })
    .await;
    call(&server.client()).await.unwrap();
    assert!(!expired.load(Ordering::Relaxed), "the expired token was sent");
}

#[tokio::test(start_paused = true)]
async fn the_page_of_a_proxy_refuses_no_login() {
    for status in [400, 403, 404, 413] {
        let server = Server::start_raw(move |seen, _| match (is_login(seen), seen.earlier) {
            (true, 0) => Reply::html(status),
            (true, _) => login_answer(seen, 900),
            _ => list(),
        })
        .await;
        call(&server.client()).await.unwrap();
        assert_eq!(server.logins(), 2, "{status}");
        let server = Server::start_raw(move |_, _| Reply::html(status)).await;
        let client = server.client();
        for logins in [3, 6] {
            let error = call(&client).await.unwrap_err();
            assert!(matches!(error.reason(), Some(Reason::Page { .. })), "{error:?}");
            assert_eq!(server.logins(), logins, "{status}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_configured_token_is_sent_as_it_is_and_not_renewed() {
    let server = Server::start(|seen, _| if seen.earlier == 0 { list() } else { token_error() }).await;
    let mut config = server.config();
    config.auth = Auth::Token(Secret::new("st.1\n"));
    let client = new_client(config);
    call(&client).await.unwrap();
    assert_eq!(server.seen()[0].header("authorization"), Some("Bearer st.1"));
    let error = call(&client).await.unwrap_err();
    assert!(matches!(error, Error::Auth(AuthError::TokenRefused { .. })));
    assert_eq!(error.to_string(), "the KMS refused the configured access token");
    assert_eq!(server.logins(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_unusable_token_is_an_error_of_the_login() {
    for token in ["", " \n", "to\nken-hunter2"] {
        let server = Server::start_raw(move |seen, _| {
            assert!(is_login(seen), "{}", seen.target);
            Reply::json(200, json!({"accessToken": token, "expiresIn": 900}))
        })
        .await;
        let error = call(&server.client()).await.unwrap_err();
        let Some(Reason::Unreadable { problem }) = error.reason() else { panic!("{error:?}") };
        assert!(problem.starts_with("its access token"), "{problem}");
        let text = error.to_string();
        assert!(
            text.contains("POST /api/v1/auth/universal-auth/login") && !text.contains("hunter2"),
            "{text}"
        );
        // The KMS accepted the credentials, so nothing is locked. The request itself isn't repeated.
        assert_eq!(server.logins(), 1);
    }
}

#[tokio::test]
async fn a_configured_token_without_content_is_not_sent() {
    let server = Server::start(|_, _| list()).await;
    let mut config = server.config();
    config.auth = Auth::Token(Secret::new(" \n"));
    let error = call(&new_client(config)).await.unwrap_err();
    assert!(matches!(error, Error::Auth(AuthError::TokenMalformed)));
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_token_that_fits_no_header_is_refused_without_being_shown() {
    let server = Server::start(|_, _| list()).await;
    let mut config = server.config();
    config.auth = Auth::Token(Secret::new("st.1\nX-Evil: hunter2"));
    let error = call(&new_client(config)).await.unwrap_err();
    assert!(matches!(error, Error::Auth(AuthError::TokenMalformed)));
    assert!(!format!("{error:?}").contains("hunter2"));
    assert!(server.seen().is_empty());
}

#[tokio::test(start_paused = true)]
async fn when_the_one_that_logs_in_is_stopped_the_next_takes_over() {
    let server = Server::start_raw(|seen, _| match (is_login(seen), seen.earlier) {
        (true, 0) => Reply::never(),
        (true, _) => login_answer(seen, 900),
        _ => list(),
    })
    .await;
    let client = server.client();
    let stop = CancellationToken::new();
    let first = client.operation(stop.clone());
    let first = tokio::spawn(async move { first.list::<DbtConnection>(ListScope::All).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let second = tokio::spawn(async move { call(&client).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(server.logins(), 1);
    stop.cancel();
    assert!(matches!(first.await.unwrap(), Err(Error::Cancelled)));
    second.await.unwrap().unwrap();
    assert_eq!(server.logins(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_follower_can_be_stopped_while_another_logs_in() {
    let server = Server::start_raw(|seen, _| {
        if is_login(seen) { login_answer(seen, 900).after(Duration::from_secs(9)) } else { list() }
    })
    .await;
    let client = server.client();
    let leader = client.clone();
    let leader = tokio::spawn(async move { call(&leader).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let stop = CancellationToken::new();
    stop.cancel();
    let stopped = client.operation(stop).list::<DbtConnection>(ListScope::All).await;
    assert!(matches!(stopped, Err(Error::Cancelled)));
    leader.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_service_account_token_is_read_again_at_each_login() {
    let server =
        Server::start_raw(|seen, _| if is_login(seen) { login_answer(seen, 1) } else { list() }).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "jwt-1\n").unwrap();
    let mut config = server.config();
    config.auth = Auth::Kubernetes {
        identity_id: "id-1".to_owned(),
        service_account_token: ServiceAccountToken::File(path.clone()),
    };
    let client = new_client(config);
    call(&client).await.unwrap();
    std::fs::write(&path, "jwt-2\n").unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    call(&client).await.unwrap();
    let logins: Vec<_> = server.seen().into_iter().filter(is_login).collect();
    assert_eq!(logins[0].target, "/api/v1/auth/kubernetes-auth/login");
    assert_eq!(logins[0].json(), json!({"identityId": "id-1", "jwt": "jwt-1"}));
    assert_eq!(logins[1].json()["jwt"], "jwt-2");
    std::fs::remove_file(&path).unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let error = call(&client).await.unwrap_err();
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
}

#[tokio::test]
async fn oidc_presents_its_jwt() {
    let server = Server::start(|_, _| list()).await;
    let mut config = server.config();
    config.auth = Auth::Oidc { identity_id: "id-1".to_owned(), jwt: Secret::new("jwt-1") };
    call(&new_client(config)).await.unwrap();
    let login = &server.seen()[0];
    assert_eq!(login.target, "/api/v1/auth/oidc-auth/login");
    assert_eq!(login.json(), json!({"identityId": "id-1", "jwt": "jwt-1"}));
}

#[tokio::test(start_paused = true)]
async fn a_rate_limited_login_waits_once_for_all_within_each_budget() {
    let attempts = AtomicUsize::new(0);
    let server = Server::start_raw(move |seen, _| {
        if !is_login(seen) {
            list()
        } else if attempts.fetch_add(1, Ordering::Relaxed) == 0 {
            Reply::error(429, "RateLimitExceeded", "try again in 30 seconds")
        } else {
            login_answer(seen, 900)
        }
    })
    .await;
    let client = server.client();
    let started = Instant::now();
    assert!(calls(&client).await.iter().all(Result::is_ok));
    assert_eq!(server.logins(), 2);
    assert!((30..32).contains(&started.elapsed().as_secs()));
}

#[tokio::test(start_paused = true)]
async fn a_login_that_can_not_wait_long_enough_fails_all_in_the_same_time() {
    let server =
        Server::start_raw(|_, _| Reply::error(429, "RateLimitExceeded", "try again in 40 seconds")).await;
    let mut config = server.config();
    config.max_retry_wait = Duration::from_secs(60);
    let client = new_client(config);
    let started = Instant::now();
    let results = calls(&client).await;
    assert!(results.iter().all(|result| matches!(result, Err(Error::RateLimited { .. }))));
    assert!(started.elapsed() < Duration::from_secs(65), "{:?}", started.elapsed());
}
