//! Tests of requests: repeats, limits, redirects, stops, logs, TLS.

use std::{fmt, sync::Mutex, time::Duration};

use http::Method;
use serde_json::{Value, json};
use tokio::time::Instant;
use tracing::{Level, field::Visit, span};

use super::{is_lost, is_unreadable, is_unsent};
use crate::{
    kms::{
        Auth, CaCertificates, CancellationToken, Error, Host, Reason, RedirectKind, report,
        request::{MAX_OBJECT, Request},
        test_server::{Reply, Server, is_login, new_client, tls_server},
    },
    secret::Secret,
};

const THING: &str = "/api/v1/thing";

fn get() -> Request {
    Request::get(THING, &[]).unwrap()
}

fn post() -> Request {
    Request::write(Method::POST, THING, &[], &json!({"token": "dbtu_hidden"})).unwrap()
}

fn delete() -> Request {
    Request::delete(THING, &[]).unwrap()
}

async fn send(server: &Server, request: &Request) -> Result<Value, Error> {
    server.operation().send(request).await
}

fn is_redirected(result: &Result<Value, Error>) -> bool {
    let reason = result.as_ref().err().and_then(Error::reason);
    matches!(reason, Some(Reason::Redirected { .. }))
}

fn ok() -> Reply {
    Reply::json(200, json!({"done": true}))
}

fn server_fault() -> Reply {
    Reply::error(503, "ServiceUnavailable", "Come back later")
}

/// Responses that leave the fate of a write unknown.
const FAULTS: [fn() -> Reply; 6] =
    [server_fault, Reply::close, Reply::truncated, || Reply::html(200), || Reply::html(502), Reply::never];

fn limited(seconds: u64) -> Reply {
    let message = format!("Rate limit exceeded. Please try again in {seconds} seconds");
    Reply::error(429, "RateLimitExceeded", &message).with("retry-after", seconds)
}

/// One fault, then success.
async fn faulty_once(fault: impl Fn() -> Reply + Send + Sync + 'static) -> Server {
    Server::start(move |seen, _| if seen.earlier == 0 { fault() } else { ok() }).await
}

#[tokio::test(start_paused = true)]
async fn reads_and_deletions_are_repeated_after_every_fault() {
    for (number, fault) in FAULTS.into_iter().enumerate() {
        let server = faulty_once(fault).await;
        assert_eq!(send(&server, &get()).await.unwrap(), json!({"done": true}), "fault {number}");
        assert_eq!(server.count("GET"), 2, "fault {number}");
        let server = faulty_once(fault).await;
        assert_eq!(send(&server, &delete()).await.unwrap(), json!({"done": true}), "fault {number}");
        assert_eq!(server.count("DELETE"), 2, "fault {number}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_may_have_been_performed_is_not_repeated() {
    for (number, fault) in FAULTS.into_iter().enumerate() {
        let server = faulty_once(fault).await;
        let error = send(&server, &post()).await.unwrap_err();
        assert!(error.may_have_changed_something(), "fault {number}: {error:?}");
        assert_eq!(server.count("POST"), 1, "fault {number}");
    }
}

#[tokio::test(start_paused = true)]
async fn repeats_come_to_an_end() {
    let server = Server::start(|_, _| server_fault()).await;
    let error = send(&server, &get()).await.unwrap_err();
    assert!(error.api().unwrap().status == 503);
    assert_eq!(server.count("GET"), 4);
}

#[tokio::test(start_paused = true)]
async fn what_was_never_sent_is_repeated_and_told_apart() {
    let server = Server::start(|_, _| ok()).await;
    let mut config = server.config();
    // A free port without listener.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    config.host = Host::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    drop(listener);
    config.auth = Auth::Token(Secret::new("st.1"));
    let operation = new_client(config).operation(CancellationToken::new());
    let error = operation.send::<Value>(&post()).await.unwrap_err();
    assert!(is_unsent(&error), "{error:?}");
    assert!(!error.may_have_changed_something());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_finishes_the_tls_handshake_was_never_sent_anything() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server::start(|_, _| ok()).await;
    let mut config = server.config();
    config.host = Host::parse(&format!("https://{}", listener.local_addr().unwrap())).unwrap();
    config.auth = Auth::Token(Secret::new("st.1"));
    config.request_timeout = Duration::from_secs(5);
    config.max_retries = 0;
    let (_, pem) = tls_server(&["localhost"]).await;
    config.ca_certificates = CaCertificates::from_pem(&pem).unwrap();
    let operation = new_client(config).operation(CancellationToken::new());
    let error = operation.send::<Value>(&post()).await.unwrap_err();
    assert!(is_unsent(&error), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_is_waited_out_whatever_the_method() {
    for request in [get(), post(), delete()] {
        let server = faulty_once(|| limited(20)).await;
        let started = Instant::now();
        let operation = server.operation();
        operation.send::<Value>(&request).await.unwrap();
        let waited = started.elapsed();
        assert!((20..22).contains(&waited.as_secs()), "{waited:?}");
        assert_eq!(operation.waited().as_secs(), waited.as_secs());
    }
}

#[tokio::test(start_paused = true)]
async fn rate_limits_beyond_the_budget_fail_in_the_servers_words() {
    let server = Server::start(|_, _| limited(50)).await;
    let mut config = server.config();
    config.max_retry_wait = Duration::from_secs(120);
    let operation = new_client(config).operation(CancellationToken::new());
    let error = operation.send::<Value>(&get()).await.unwrap_err();
    let Error::RateLimited { waited, asked, message, .. } = &error else { panic!("{error:?}") };
    assert!((100..103).contains(&waited.as_secs()));
    assert!((50..51).contains(&asked.as_secs()));
    assert!(message.as_ref().unwrap().contains("try again in 50 seconds"));
    assert_eq!(server.count("GET"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_used_up_window_pauses_before_anything_is_refused() {
    let server = Server::start(|seen, _| {
        let remaining = 2_u32.saturating_sub(u32::try_from(seen.earlier).unwrap());
        ok().with("x-ratelimit-limit", 3)
            .with("x-ratelimit-remaining", remaining)
            .with("x-ratelimit-reset", 30)
    })
    .await;
    let client = server.client();
    let started = Instant::now();
    for _ in 0..4 {
        let operation = client.operation(CancellationToken::new());
        operation.send::<Value>(&get()).await.unwrap();
    }
    assert!((30..32).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
    // Each route has its own count.
    let operation = client.operation(CancellationToken::new());
    operation.send::<Value>(&post()).await.unwrap();
    assert_eq!(operation.waited(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn reads_follow_redirects_within_the_host() {
    for status in [301, 302, 303, 307, 308] {
        let server = Server::start(move |seen, _| match seen.target.as_str() {
            THING => Reply::text(status, "text/plain", "").with("location", "/moved?a=b"),
            _ => ok(),
        })
        .await;
        send(&server, &get()).await.unwrap();
        let last = server.seen().pop().unwrap();
        assert_eq!(last.target, "/moved?a=b");
        assert_eq!(last.header("authorization"), Some("Bearer access-1"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_redirect_to_a_login_page_is_not_followed() {
    let server = Server::start(|_, _| Reply::html(302).with("location", "/login?next=thing")).await;
    let error = send(&server, &get()).await.unwrap_err();
    let kind = match error.reason() {
        Some(Reason::Redirected { redirect, .. }) => redirect.kind.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(kind, RedirectKind::Login { is_elsewhere: false });
    assert_eq!(server.count("GET"), 1);
}

#[tokio::test(start_paused = true)]
async fn the_token_never_goes_to_another_host() {
    let other = Server::start(|_, _| ok()).await;
    let elsewhere = format!("{}/api/v1/thing", other.url());
    let server = Server::start(move |_, _| Reply::html(307).with("location", &elsewhere)).await;
    for request in [get(), post(), delete()] {
        let error = send(&server, &request).await.unwrap_err();
        assert!(
            matches!(error.reason(), Some(Reason::Redirected { redirect, .. })
                if redirect.to.as_deref() == Some(&*other.url())),
            "{error:?}"
        );
    }
    assert!(other.seen().is_empty());
}

#[tokio::test(start_paused = true)]
async fn only_reads_follow_redirects_and_only_so_many() {
    let server = Server::start(|_, _| Reply::html(302).with("location", THING)).await;
    assert!(is_redirected(&send(&server, &post()).await));
    assert_eq!(server.count("POST"), 1);
    assert!(is_redirected(&send(&server, &get()).await));
    assert_eq!(server.count("GET"), 6);
    let server = Server::start(|_, _| Reply::html(302)).await;
    assert!(is_redirected(&send(&server, &get()).await));
}

#[tokio::test(start_paused = true)]
async fn an_answer_beyond_the_limit_is_given_up() {
    let padded = |size: usize| [b"{}", vec![b' '; size - 2].as_slice()].concat();
    let server = Server::start(move |_, _| Reply::text(200, "application/json", padded(MAX_OBJECT))).await;
    send(&server, &get()).await.unwrap();
    let server =
        Server::start(move |_, _| Reply::text(200, "application/json", padded(MAX_OBJECT + 1))).await;
    let error = send(&server, &get()).await.unwrap_err();
    assert!(error.to_string().ends_with("it is larger than 1 MiB"), "{error}");
    assert_eq!(server.count("GET"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_page_of_any_size_is_repeated_like_a_small_one() {
    let page = || Reply::text(503, "text/html", vec![b'x'; MAX_OBJECT + 1]);
    let server = faulty_once(page).await;
    assert_eq!(send(&server, &get()).await.unwrap(), json!({"done": true}));
    assert_eq!(server.count("GET"), 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_lacks_a_field_is_neither_repeated_nor_quoted() {
    #[derive(Debug, serde::Deserialize)]
    struct Expected {
        #[serde(rename = "value")]
        _value: i64,
    }
    let server = Server::start(|_, _| Reply::json(200, json!({"value": "hunter2"}))).await;
    let error = server.operation().send::<Expected>(&get()).await.unwrap_err();
    assert!(is_unreadable(&error));
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    assert_eq!(server.count("GET"), 1);
}

#[tokio::test(start_paused = true)]
async fn stopping_ends_all_waits_and_reads_but_no_write_under_way() {
    let nap = Duration::from_secs(5);
    let slow = || Server::start(move |_, _| ok().after(nap * 2));
    let paused = || faulty_once(|| limited(60));
    let failing = || Server::start(|_, _| Reply::close());
    for (case, server, request, ends_in_time) in [
        ("a read under way", slow().await, get(), true),
        ("a write under way", slow().await, post(), false),
        ("a deletion under way", slow().await, delete(), false),
        ("a read that waits for the limit", paused().await, get(), true),
        ("a write that waits for the limit", paused().await, post(), true),
        ("a read between repeats", failing().await, get(), true),
    ] {
        let stop = CancellationToken::new();
        let mut config = server.config();
        config.max_retries = 100;
        let operation = new_client(config).operation(stop.clone());
        let call = tokio::spawn(async move { operation.send::<Value>(&request).await });
        tokio::time::sleep(nap).await;
        stop.cancel();
        let stopped_at = Instant::now();
        let result = call.await.unwrap();
        if ends_in_time {
            assert!(matches!(result, Err(Error::Cancelled)), "{case}: {result:?}");
            assert!(stopped_at.elapsed() < Duration::from_secs(1), "{case}");
        } else {
            assert!(result.is_ok(), "{case}: {result:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stopped_deletion_that_may_have_been_performed_does_not_pass_for_nothing() {
    let server = Server::start(|_, _| Reply::close()).await;
    let mut config = server.config();
    config.max_retries = 100;
    let stop = CancellationToken::new();
    let operation = new_client(config).operation(stop.clone());
    let call = tokio::spawn(async move { operation.send::<Value>(&delete()).await });
    tokio::time::sleep(Duration::from_secs(5)).await;
    stop.cancel();
    let error = call.await.unwrap().unwrap_err();
    assert!(is_lost(&error), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn the_limits_of_a_proxy_are_not_those_of_the_kms() {
    let server = Server::start(|seen, _| match seen.earlier {
        0 => Reply::html(503).with("x-ratelimit-remaining", 0).with("x-ratelimit-reset", 3600),
        _ => ok(),
    })
    .await;
    let started = Instant::now();
    send(&server, &get()).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_lost_deletion_that_the_limit_keeps_from_being_repeated_does_not_pass_for_nothing() {
    let used_up = || server_fault().with("x-ratelimit-remaining", 0).with("x-ratelimit-reset", 60);
    let server = Server::start(move |_, _| used_up()).await;
    let mut config = server.config();
    config.max_retry_wait = Duration::from_secs(5);
    let operation = new_client(config).operation(CancellationToken::new());
    let error = operation.send::<Value>(&delete()).await.unwrap_err();
    assert!(error.may_have_changed_something(), "{error:?}");
    let error = operation.send::<Value>(&delete()).await.unwrap_err();
    assert!(matches!(error, Error::RateLimited { .. }), "{error:?}");
    assert_eq!(server.count("DELETE"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lost_deletion_whose_repeat_finds_no_login_does_not_pass_for_nothing() {
    let server = Server::start_raw(|seen, _| match (is_login(seen), seen.earlier) {
        (true, 0) => Reply::json(200, json!({"accessToken": "access-1", "expiresIn": 900})),
        (true, _) => Reply::error(401, "Unauthorized", "Invalid credentials"),
        (false, 0) => Reply::close(),
        (false, _) => Reply::error(403, "TokenError", "Your token has expired"),
    })
    .await;
    let error = send(&server, &delete()).await.unwrap_err();
    assert!(error.may_have_changed_something(), "{error:?}");
    assert_eq!((server.count("DELETE"), server.logins()), (2, 2));
}

#[tokio::test]
async fn nothing_is_sent_after_the_stop() {
    let server = Server::start(|_, _| ok()).await;
    let stop = CancellationToken::new();
    stop.cancel();
    let result = server.client().operation(stop).send::<Value>(&post()).await;
    assert!(matches!(result, Err(Error::Cancelled)));
    assert!(server.seen().is_empty());
}

/// Keeps the fields of every event of the target `kms`, with the level.
#[derive(Default)]
struct Lines(Mutex<Vec<String>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn fmt::Debug) {
        self.0.push_str(&format!(" {}={value:?}", field.name()));
    }
}

impl tracing::Subscriber for &'static Lines {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        if event.metadata().target().contains("::kms::") {
            let mut line = Line(event.metadata().level().to_string());
            event.record(&mut line);
            self.0.lock().unwrap().push(line.0);
        }
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[tokio::test(start_paused = true)]
async fn each_attempt_is_one_debug_line_without_secrets() {
    // With a single subscriber in the process, the library caches the interest of the thread that first reaches a log
    // statement, which may be another test's. With two it checks both.
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::new());
    let lines: &'static Lines = Box::leak(Box::default());
    let guard = tracing::subscriber::set_default(lines);
    let server = Server::start(|seen, _| match (seen.method.as_str(), seen.earlier) {
        ("GET", _) => ok().with("x-request-id", "of client-secret-1"),
        (_, 0) => limited(9).with("x-request-id", "req-0"),
        _ => Reply::error(503, "Fault", "token dbtu_hidden is odd"),
    })
    .await;
    let mut request = post();
    request.query.push(("q", "asked".to_owned()));
    send(&server, &request).await.unwrap_err();
    send(&server, &get()).await.unwrap();
    drop(guard);
    let lines = lines.0.lock().unwrap();
    let debug: Vec<&String> = lines.iter().filter(|line| line.starts_with(Level::DEBUG.as_str())).collect();
    assert_eq!(debug.len(), 5, "{lines:#?}");
    let login = "method=\"POST\" path=\"/api/v1/auth/universal-auth/login\" status=200";
    assert!(debug[0].contains(login), "{}", debug[0]);
    assert!(debug[1].contains("status=429 duration_ms=0 attempt=1 req_id=\"req-1\""), "{}", debug[1]);
    assert!(debug[2].contains("method=\"POST\" path=\"/api/v1/thing\" status=503"), "{}", debug[2]);
    assert!(debug[2].contains("attempt=2"), "{}", debug[2]);
    assert!(debug[4].contains("req_id=\"of (redacted)\""), "{}", debug[4]);
    let info: Vec<&String> = lines.iter().filter(|line| line.starts_with("INFO")).collect();
    assert_eq!(info.len(), 1);
    assert!(
        info[0].contains("request=\"POST /api/v1/thing\"") && info[0].contains("seconds="),
        "{}",
        info[0]
    );
    let all = lines.join("\n");
    for hidden in ["dbtu_hidden", "client-secret-1", "access-1", "asked"] {
        assert!(!all.contains(hidden), "{hidden}");
    }
}

#[tokio::test]
async fn a_private_certificate_must_be_configured() {
    let (host, pem) = tls_server(&["localhost"]).await;
    let mut config = Server::start(|_, _| ok()).await.config();
    config.host = Host::parse(&host).unwrap();
    config.auth = Auth::Token(Secret::new("st.1"));
    config.max_retries = 0;
    let (_, other) = tls_server(&["localhost"]).await;
    config.ca_certificates = CaCertificates::from_pem(&other).unwrap();
    let operation = new_client(config.clone()).operation(CancellationToken::new());
    let error = operation.send::<Value>(&get()).await.unwrap_err();
    assert!(is_unsent(&error), "{error:?}");
    assert!(report(&error).contains("certificate"), "{}", report(&error));

    config.ca_certificates = CaCertificates::from_pem(&pem).unwrap();
    let operation = new_client(config).operation(CancellationToken::new());
    operation.send::<Value>(&get()).await.unwrap();
}
