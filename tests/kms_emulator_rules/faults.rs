//! Bad days on demand.

use std::time::Duration;

use kms_emulator::{CONNECTIONS, Credentials, Emulator, Fault, Options, Performed, ROTATIONS, Reply, Target};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};

use crate::client::{Client, valid, valid_rotation, with};

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

    // The client gives up after 300 ms; the server performs the request nevertheless.
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
        statuses.push(client.get(CONNECTIONS).await.status);
    }
    assert_eq!(statuses, [200, 403, 200]);
}

/// Calls `method` under a fault and returns what came back, and whether the request was performed by then.
async fn attempt(client: &Client<'_>, method: &str, fault: Fault) -> (Result<(u16, String), String>, bool) {
    let emulator = client.emulator;
    let hangs = matches!(fault, Fault::Respond { reply: Reply::Hang, .. });
    let patience = Duration::from_millis(if hangs { 200 } else { 10_000 });
    emulator.state().connections.clear();
    let id = match method {
        "POST" => String::new(),
        _ => format!(
            "/{}",
            emulator.create("orders", None, &Credentials::new("https://au.dbt.com", "1", "dbtc_x"))
        ),
    };
    let path = format!("{CONNECTIONS}{id}");
    emulator.fault(Target::once(method, &path), fault);
    let body = match method {
        "POST" => Some(valid()),
        "PATCH" => Some(json!({"name": "renamed"})),
        _ => None,
    };
    let call = client.try_call(method, &path, body.as_ref());
    let outcome = match tokio::time::timeout(patience, call).await {
        Err(_) => Err("nothing".to_owned()),
        Ok(Err(error)) if error.status().is_some() || error.is_decode() || error.is_body() => {
            Err("cut".into())
        }
        Ok(Err(_)) => Err("broken".into()),
        Ok(Ok(answer)) => Ok((answer.status, answer.text)),
    };
    (outcome, performed(emulator, method))
}

fn performed(emulator: &Emulator, method: &str) -> bool {
    let connections = emulator.connections();
    match method {
        "POST" => connections.len() == 1,
        "PATCH" => connections[0].name == "renamed",
        "DELETE" => connections.is_empty(),
        _ => false,
    }
}

#[tokio::test]
async fn any_status_can_come_with_any_body_before_or_after_the_commit() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    for method in ["GET", "POST", "PATCH", "DELETE"] {
        for status in [200, 400, 401, 403, 404, 408, 413, 422, 429, 499, 500, 502, 503, 504] {
            for reply in Reply::WITH_STATUS {
                for performs in [Performed::Never, Performed::Before] {
                    let fault = Fault::respond(status, reply, performs);
                    let (outcome, performed) = attempt(&client, method, fault.clone()).await;
                    let named = format!("{method} {fault:?}: {outcome:?}");
                    assert_eq!(performed, performs == Performed::Before && method != "GET", "{named}");
                    if reply == Reply::Cut {
                        assert!(outcome.is_err(), "{named}");
                        continue;
                    }
                    let (came, text) = outcome.expect(&named);
                    assert_eq!(came, status, "{named}");
                    let json: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
                    match reply {
                        Reply::Kms if status == 200 => {
                            let shown = json.get("appConnection").is_some();
                            assert_eq!(shown, performs == Performed::Before, "{named}");
                        }
                        Reply::Kms => assert!(
                            json["reqId"].is_string() && json["statusCode"] == json!(status),
                            "{named}"
                        ),
                        Reply::Gateway => assert!(json.is_object() && json.get("reqId").is_none(), "{named}"),
                        Reply::Empty => assert!(text.is_empty(), "{named}"),
                        Reply::Oversized => assert!(text.len() > 1 << 20, "{}", text.len()),
                        _ => assert!(text.starts_with("<html>"), "{named}"),
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn no_answer_comes_in_three_ways_before_or_after_the_commit() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    for method in ["POST", "PATCH", "DELETE"] {
        for (reply, expected) in
            [(Reply::Reset, "broken"), (Reply::Close, "broken"), (Reply::Hang, "nothing")]
        {
            for performs in [Performed::Never, Performed::Before] {
                let (outcome, performed) = attempt(&client, method, Fault::respond(0, reply, performs)).await;
                assert_eq!(outcome, Err(expected.into()), "{method} {reply:?}");
                assert_eq!(performed, performs == Performed::Before, "{method} {reply:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_request_can_be_performed_after_its_reply() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    for reply in [Reply::Html, Reply::Close] {
        for method in ["POST", "PATCH", "DELETE"] {
            let fault = Fault::respond(502, reply, Performed::Later { ms: 100 });
            let (_, early) = attempt(&client, method, fault).await;
            assert!(!early, "{method} {reply:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
            assert!(performed(&emulator, method), "{method} {reply:?}");
        }
    }
}

#[tokio::test]
async fn a_list_can_be_slow_or_cut_or_hold_an_odd_entry() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    let ids: Vec<_> = ["a", "b"]
        .map(|name| emulator.create(name, None, &Credentials::new("https://au.dbt.com", "1", "x")))
        .into();
    let list = || Target::once("GET", CONNECTIONS);

    emulator.fault(list(), Fault::slow(Duration::from_millis(80), Duration::ZERO));
    let began = Instant::now();
    assert_eq!(client.get(CONNECTIONS).await.names(), ["a", "b"]);
    assert!(began.elapsed() >= Duration::from_millis(80));
    emulator.fault(list(), Fault::Truncate { keep: 300 });
    assert!(client.try_call("GET", CONNECTIONS, None).await.is_err());

    emulator.edit(&ids[1], |connection| {
        connection.shown_as = Some(json!({"isPlatformManagedCredentials": null, "id": 7}))
    });
    let odd = client.get(CONNECTIONS).await;
    assert_eq!(odd.body["appConnections"][1]["id"], json!(7));
    assert_eq!(odd.body["appConnections"][1]["isPlatformManagedCredentials"], Value::Null);
    assert_eq!(odd.body["appConnections"][1]["name"], json!("b"));
    emulator.edit(&ids[1], |connection| connection.shown_as = Some(json!("no connection")));
    assert_eq!(client.get(CONNECTIONS).await.body["appConnections"][1], json!("no connection"));
    assert_eq!(client.get(&format!("{CONNECTIONS}/{}", ids[0])).await.status, 200);
}

/// Sends raw bytes and returns the first line that comes back, and how long the connection stayed open.
async fn raw(emulator: &Emulator, bytes: &str) -> (String, Duration) {
    let address = emulator.url().trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let began = Instant::now();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut received = Vec::new();
    let _ = stream.read_to_end(&mut received).await;
    let text = String::from_utf8_lossy(&received).into_owned();
    (text.lines().next().unwrap_or_default().to_owned(), began.elapsed())
}

// H server/app.ts @ 8fca3735 (`connectionTimeout: 30_000`; Fastify's own `keepAliveTimeout` is 72 s), `lib/server.js` of
// fastify/fastify @ 01ca0e7a; probe. The times are shortened here.
#[tokio::test]
async fn idle_connections_are_closed_sooner_before_a_request_than_after_one() {
    let (idle_timeout, request_timeout) = (Duration::from_millis(400), Duration::from_millis(150));
    let emulator = Emulator::start(Options { idle_timeout, request_timeout, ..Options::default() }).await;
    let (nothing, open) = raw(&emulator, "").await;
    assert_eq!(nothing, "");
    assert!(open >= request_timeout && open < idle_timeout, "{open:?}");
    let (line, open) = raw(&emulator, "GET /api/v1/nope HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(line, "HTTP/1.1 404 Not Found");
    assert!(open >= idle_timeout && open < 3 * idle_timeout, "{open:?}");
    let defaults = Options::default();
    assert_eq!(
        (defaults.idle_timeout, defaults.request_timeout),
        (Duration::from_secs(72), Duration::from_secs(30))
    );
}

// As above; probe: the connection closes without a byte, and the handler goes on. A client of dbt that never gives up
// (`dbt-connection-fns.ts` sets no timeout) makes this happen.
#[tokio::test]
async fn a_request_that_takes_too_long_is_performed_after_its_connection_was_closed() {
    let request_timeout = Duration::from_millis(100);
    let emulator = Emulator::start(Options { request_timeout, ..Options::default() }).await;
    let client = Client::new(&emulator);
    emulator
        .fault(Target::once("POST", CONNECTIONS), Fault::slow(Duration::from_millis(300), Duration::ZERO));
    let began = Instant::now();
    assert!(client.try_call("POST", CONNECTIONS, Some(&valid())).await.is_err());
    assert!(began.elapsed() < Duration::from_millis(300));
    assert!(emulator.connections().is_empty());
    tokio::time::sleep(Duration::from_millis(350)).await;
    emulator.connection("orders");
}

#[tokio::test]
async fn a_dropped_emulator_refuses_connections_and_another_can_take_its_port() {
    let emulator = Emulator::start(Options::default()).await;
    let url = emulator.url();
    let port = url.rsplit(':').next().unwrap().parse().unwrap();
    drop(emulator);
    tokio::task::yield_now().await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(reqwest::get(format!("{url}{CONNECTIONS}")).await.unwrap_err().is_connect());
    let again = Emulator::start(Options { port, ..Options::default() }).await;
    assert_eq!(Client::new(&again).get(CONNECTIONS).await.status, 200);
}

/// Calls a rotation's route under a fault; what came back, if anything, and whether the request was performed by then.
async fn attempt_rotation(client: &Client<'_>, verb: &str, fault: Fault) -> (Option<(u16, Value)>, bool) {
    let emulator = client.emulator;
    {
        let mut state = emulator.state();
        state.rotations.clear();
        state.versioned_secrets.clear();
        state.dbt.service_tokens.clear();
        state.connections.clear();
    }
    let connection = emulator.create("orders", None, &Credentials::new("https://au.dbt.com", "1", "dbtc_x"));
    let (method, path, body) = if verb == "create" {
        ("POST", ROTATIONS.to_owned(), Some(valid_rotation(&connection)))
    } else {
        let id = emulator.create_rotation(&valid_rotation(&connection));
        match verb {
            "update" => ("PATCH", format!("{ROTATIONS}/{id}"), Some(json!({"name": "renamed"}))),
            "rotate" => ("POST", format!("{ROTATIONS}/{id}/rotate-secrets"), None),
            _ => ("DELETE", format!("{ROTATIONS}/{id}"), None),
        }
    };
    let patience = Duration::from_millis(if fault == Fault::HangAfter { 300 } else { 10_000 });
    emulator.fault(Target::once(method, &path), fault);
    let call = client.try_call(method, &path, body.as_ref());
    let outcome = tokio::time::timeout(patience, call).await;
    let answer = outcome.ok().and_then(Result::ok).map(|answer| (answer.status, answer.body));
    (answer, rotation_performed(emulator, verb))
}

fn rotation_performed(emulator: &Emulator, verb: &str) -> bool {
    let tokens = emulator.live_service_tokens().len();
    match (verb, &emulator.rotations()[..]) {
        ("create", [_]) => tokens == 1,
        ("update", [rotation]) => rotation.name == "renamed",
        ("rotate", [_]) => tokens == 2,
        ("delete", rotations) => rotations.is_empty(),
        _ => false,
    }
}

#[tokio::test]
async fn rotations_have_their_bad_days_too() {
    let emulator = Emulator::start(Options::default().without_rate_limits()).await;
    let client = Client::new(&emulator);
    for verb in ["create", "update", "rotate", "delete"] {
        for (fault, status, performed) in [
            (Fault::ResetBefore, None, false),
            (Fault::ResetAfter, None, true),
            (Fault::HangAfter, None, true),
            (Fault::Truncate { keep: 20 }, None, true),
            (Fault::respond(504, Reply::Html, Performed::Never), Some(504), false),
            (Fault::respond(504, Reply::Html, Performed::Before), Some(504), true),
            (Fault::respond(403, Reply::Gateway, Performed::Before), Some(403), true),
            (Fault::respond(500, Reply::Kms, Performed::Before), Some(500), true),
            (Fault::TokenExpired, Some(403), false),
        ] {
            let (answer, done) = attempt_rotation(&client, verb, fault.clone()).await;
            assert_eq!(answer.map(|(status, _)| status), status, "{verb} {fault:?}");
            assert_eq!(done, performed, "{verb} {fault:?}");
        }
        let late = Fault::respond(502, Reply::Html, Performed::Later { ms: 300 });
        let (answer, early) = attempt_rotation(&client, verb, late).await;
        assert_eq!((answer.map(|(status, _)| status), early), (Some(502), false), "{verb}");
        let done = async {
            while !rotation_performed(&emulator, verb) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), done).await.expect(verb);
    }
}

#[tokio::test]
async fn secrets_and_projects_have_their_bad_days_too() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    for path in ["/api/v4/secrets/X", "/api/v2/workspace/analytics", "/api/v2/secret-rotations/options"] {
        emulator.fault(Target::once("GET", path), Fault::respond(503, Reply::Html, Performed::Never));
        emulator.fault(Target::once("GET", path), Fault::ResetAfter);
        assert_eq!(client.get(path).await.status, 503, "{path}");
        assert!(client.try_call("GET", path, None).await.is_err(), "{path}");
        assert_ne!(client.get(path).await.status, 503, "{path}");
    }
}
