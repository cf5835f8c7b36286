//! The emulator as a tool: its log, its own paths, TLS and threads.

use kms_emulator::{
    self, CONNECTIONS, Emulator, Gateway, Options, PROJECT_ID, Part, ROTATIONS, Rotations, Routes,
    STATIC_TOKEN, Server,
};
use serde_json::{Value, json};

use crate::client::{Client, valid_rotation, with};

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
async fn rotations_and_tokens_at_dbt_can_be_driven_over_the_admin_paths() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    let admin = async |method: &str, path: &str, body: Value| {
        let answer = client.call(method, &format!("/__admin/{path}"), Some(&body)).await;
        assert_eq!(answer.status, 200, "{method} {path}: {}", answer.text);
        answer.body
    };
    admin("POST", "folders", json!({"projectId": PROJECT_ID, "environment": "prod", "path": "/a/b"})).await;
    let connection = admin("POST", "connections", json!({})).await["ids"][0].take();
    let mut body = valid_rotation(connection.as_str().unwrap());
    body["secretPath"] = json!("/a/b");
    let made = admin("POST", "rotations", body.clone()).await;
    let id = made["id"].as_str().unwrap();
    let path = format!("{ROTATIONS}/{id}");
    let twice = client.call("POST", "/__admin/rotations", Some(&body)).await;
    assert_eq!(twice.status, 400);

    let [live] = &emulator.live_service_tokens()[..] else { panic!("one token") };
    let tokens = admin("GET", "dbt/service-tokens", Value::Null).await;
    let shown = json!({
        "id": 1001,
        "host": "cloud.getdbt.com",
        "accountId": "12345",
        "name": "orders",
        "permissionGrants": body["parameters"]["permissionGrants"],
        "live": true,
        "tokenFingerprint": kms_emulator::fingerprint(&live.token),
    });
    assert_eq!(tokens, json!([shown]));
    let rotations = admin("GET", "rotations", Value::Null).await;
    assert_eq!(rotations[0]["tokenFingerprints"], json!([shown["tokenFingerprint"]]));
    assert_eq!(rotations[0]["folder"]["path"], "/a/b");

    let rotated = admin("POST", &format!("rotations/{id}/rotate"), Value::Null).await;
    assert_eq!(rotated, json!({"rotates": true, "failed": false}));
    assert_eq!(emulator.live_service_tokens().len(), 2);
    admin("PUT", "dbt/refusals", json!({"create": {"status": 403, "reason": "No."}})).await;
    let failed = admin("POST", &format!("rotations/{id}/rotate"), Value::Null).await;
    assert_eq!(failed, json!({"rotates": true, "failed": true}));
    admin("PUT", "dbt/refusals", json!({"delete": {"status": 500}})).await;
    let refused = client.call("DELETE", &format!("{path}?revokeGeneratedCredentials=true"), None).await;
    assert_eq!(refused.status, 400);
    admin("PUT", "dbt/refusals", json!({})).await;
    admin("PATCH", &format!("rotations/{id}"), json!({"inProgress": true, "name": "x"})).await;
    assert_eq!(client.call("POST", &format!("{path}/rotate-secrets"), None).await.status, 400);
    let odd = json!({"shownAs": {"rotationStatus": null}, "isAutoRotationEnabled": false});
    admin("PATCH", &format!("rotations/{id}"), odd).await;
    let got = client.get(&path).await.body["secretRotation"].take();
    assert_eq!((&got["name"], &got["rotationStatus"]), (&json!("x"), &Value::Null));
    let still = admin("POST", &format!("rotations/{id}/rotate"), Value::Null).await;
    assert_eq!(still["rotates"], json!(false));
    let unknown = client.call("PATCH", "/__admin/rotations/none", Some(&json!({}))).await;
    assert_eq!(unknown.status, 404);

    let options = json!({"rotations": "absent", "secretRoutes": "newer", "projectRoutes": "older"});
    admin("PUT", "options", options).await;
    let set = emulator.state().options.clone();
    assert_eq!(
        (set.rotations, set.secret_routes, set.project_routes),
        (Rotations::Absent, Routes::Newer, Routes::Older)
    );
    admin("POST", "projects", json!({"id": "other", "name": "other", "type": "kms"})).await;
    assert_eq!(client.get("/api/v2/workspace/other").await.body["type"], "kms");
    admin("DELETE", &format!("rotations/{id}"), Value::Null).await;
    assert!(emulator.rotations().is_empty());
    assert!(emulator.secret_value(PROJECT_ID, "prod", "/a/b", "DBT_TOKEN").is_some());
}

#[tokio::test]
async fn the_log_names_the_route_of_each_request() {
    let emulator = Emulator::start(Options { rotations: Rotations::Absent, ..Options::default() }).await;
    let client = Client::new(&emulator);
    let id = "00000000-0000-4000-8000-000000000000";
    for (method, path, route) in [
        ("GET", CONNECTIONS.to_owned(), Some("list")),
        ("POST", ROTATIONS.to_owned(), Some("create rotation")),
        ("PATCH", format!("{ROTATIONS}/{id}"), Some("update rotation")),
        ("POST", format!("{ROTATIONS}/{id}/rotate-secrets"), Some("rotate now")),
        ("GET", format!("{ROTATIONS}/rotation-name/x?projectId=x"), Some("rotation by name")),
        ("GET", "/api/v4/secrets/x".into(), Some("newer secret")),
        ("GET", "/api/v2/workspace/x".into(), Some("older project by slug")),
        ("GET", "/api/v2/nope".into(), None),
    ] {
        emulator.clear_requests();
        client.call(method, &path, None).await;
        let [request] = &emulator.requests()[..] else { panic!("one request") };
        assert_eq!(request.route, route, "{method} {path}");
        let writes = emulator.rotation_writes().len();
        assert_eq!(writes == 1, method != "GET", "{method} {path}");
    }
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

#[tokio::test]
async fn a_gateway_lets_through_only_what_has_its_headers() {
    let login_page = "https://login.example.com/start?next=kms";
    let gateway = Gateway::with_login_page(&[("X-Gateway", "open"), ("X-Tenant", "a")], login_page);
    let emulator = Emulator::start(Options { gateway: Some(gateway), ..Options::default() }).await;
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let ask = async |headers: &[(&str, &str)]| {
        let mut request = http.get(format!("{}{CONNECTIONS}", emulator.url())).bearer_auth(STATIC_TOKEN);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        let location = answer.headers().get("location").map(|value| value.to_str().unwrap().to_owned());
        (answer.status().as_u16(), location)
    };
    let refused = (302, Some(login_page.to_owned()));
    assert_eq!(ask(&[]).await, refused);
    assert_eq!(ask(&[("X-Gateway", "open")]).await, refused);
    assert_eq!(ask(&[("X-Gateway", "shut"), ("X-Tenant", "a")]).await, refused);
    assert_eq!(ask(&[("X-Gateway", "open"), ("X-Gateway", "open"), ("X-Tenant", "a")]).await, refused);
    assert_eq!(ask(&[("x-gateway", "open"), ("x-tenant", "a")]).await, (200, None));
    let statuses: Vec<_> = emulator.requests().iter().map(|request| request.status).collect();
    assert_eq!(statuses, [Some(302), Some(302), Some(302), Some(302), Some(200)]);
}
