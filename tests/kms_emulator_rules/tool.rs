//! The emulator as a tool: its log, its own paths, TLS and threads.

use serde_json::{Value, json};

use crate::{
    client::{Client, with},
    kms_emulator::{self, CONNECTIONS, Emulator, Options, PROJECT_ID, Part, STATIC_TOKEN, Server},
};

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
    let request = format!("GET {CONNECTIONS} HTTP/1.0\r\n\r\n");
    std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
    let answer = std::io::read_to_string(stream).unwrap();
    assert!(answer.contains("401") && answer.contains("reqId"), "{answer}");
}

#[tokio::test]
async fn every_oddity_can_be_set_over_the_admin_paths() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    let admin = async |method: &str, path: &str, body: Value| {
        let answer = client.call(method, &format!("/__admin/{path}"), Some(&body)).await;
        assert_eq!(answer.status, 200, "{method} {path}: {}", answer.text);
        answer.body
    };
    let options = json!({
        "server": "infisical", "nameRule": "older", "emptyFields": "absent", "connectKnown": false,
        "idleMs": 1000, "requestMs": 500,
    });
    admin("PUT", "options", options).await;
    assert_eq!(emulator.state().options.server, Server::Infisical);
    let misspelt = client.call("PUT", "/__admin/options", Some(&json!({"servr": "hanzo"}))).await;
    assert_eq!(misspelt.status, 400);

    let created = admin("POST", "connections", json!({"projectId": PROJECT_ID})).await;
    let id = created["ids"][0].as_str().unwrap();
    let path = format!("{CONNECTIONS}/{id}");
    assert_eq!(client.get(&path).await.body["appConnection"].get("gatewayId"), None);
    admin("PATCH", &format!("connections/{id}"), json!({"shownAs": {"version": null}})).await;
    assert_eq!(client.get(&path).await.body["appConnection"]["version"], Value::Null);
    admin("PATCH", &format!("connections/{id}"), json!({"platformManaged": true})).await;
    let body = with(|_| ())["credentials"].take();
    assert_eq!(client.call("PATCH", &path, Some(&json!({"credentials": body}))).await.status, 400);
    admin("PATCH", &format!("connections/{id}"), json!({"app": "github"})).await;
    assert_eq!(client.get(&path).await.status, 400);

    admin("POST", "denials", json!({"action": "read", "scope": {"connection": id}})).await;
    assert_eq!(client.get(&path).await.status, 403);
    admin("DELETE", "denials", Value::Null).await;
    assert_eq!(client.get(&path).await.status, 400);
    let fault = json!({"respond": {"status": 502, "reply": "html", "performed": {"later": {"ms": 1}}}});
    admin("POST", "faults", json!({"method": "DELETE", "times": 1, "fault": fault})).await;
    assert_eq!(client.call("DELETE", &path, None).await.status, 502);
    admin("POST", "tokens/revoke", Value::Null).await;
}

#[test]
fn the_environment_names_the_server() {
    let expected = match std::env::var("KMS_TEST_SERVER").as_deref() {
        Ok("infisical") => Server::Infisical,
        _ => Server::Hanzo,
    };
    assert_eq!(Options::default().server, expected);
}
