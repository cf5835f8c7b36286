//! What the framework and its parsers make of requests before the server's own rules begin.

use kms_emulator::{
    CONNECTIONS, Credentials, Emulator, LOGIN, ORG_ID, Options, PROJECT_ID, ROTATIONS, Server,
    rate_limit::RateLimits,
};
use serde_json::{Value, json};

use crate::client::{Answer, Client, valid, with};

const INTERNAL: (u16, &str, &str) = (500, "InternalServerError", "Something went wrong");

async fn send(client: &Client<'_>, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let url = format!("{}{path}", client.emulator.url());
    let mut request = client.http.request(method.parse().unwrap(), url);
    if let Some(token) = &client.token {
        request = request.bearer_auth(token);
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.unwrap();
    Answer { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::Null), text }
}

fn make(emulator: &Emulator, name: &str) -> String {
    emulator.create(name, None, &Credentials::new("https://au.dbt.com", "1", "dbtc_x"))
}

// `lib/handleRequest.js` of fastify/fastify @ 016228af: only without a type does DELETE pass over the body.
#[tokio::test]
async fn a_deletion_that_announces_json_needs_a_body() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    let path = format!("{CONNECTIONS}/{}", make(&emulator, "orders"));
    let announced = client.send("DELETE", &path, Some("application/json"), None).await.unwrap();
    assert_eq!(announced.refusal(), INTERNAL);
    let with_body =
        client.send("DELETE", &path, Some("application/json"), Some(b"{}".to_vec())).await.unwrap();
    assert_eq!(with_body.status, 200);
    let path = format!("{CONNECTIONS}/{}", make(&emulator, "orders"));
    assert_eq!(client.call("DELETE", &path, None).await.status, 200);
}

// H server/app.ts @ 8fca3735 (`addContentTypeParser`, `fastifyFormBody`), `lib/contentTypeParser.js` of fastify/fastify;
// probe.
#[tokio::test]
async fn bodies_are_read_by_their_type() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    let named = |name: &str| with(|body| body["name"] = json!(name)).to_string().into_bytes();
    for (content_type, name) in
        [("Application/JSON", "a"), ("application/json; charset=utf-8", "b"), ("application/scim+json", "c")]
    {
        let sent = client.send("POST", CONNECTIONS, Some(content_type), Some(named(name))).await.unwrap();
        assert_eq!(sent.status, 200, "{content_type}: {}", sent.text);
    }
    let expected = ": Expected object, received string";
    let plain = client.send("POST", CONNECTIONS, Some("text/plain"), Some(named("d"))).await.unwrap();
    assert_eq!(plain.issues(), [expected, expected]);
    let form = "application/x-www-form-urlencoded";
    let form = client.send("POST", CONNECTIONS, Some(form), Some(b"name=e&method=x".to_vec())).await.unwrap();
    assert_eq!(form.issues(), ["method: Invalid discriminator value. Expected 'api-token'"]);
    for content_type in ["text/weird", "application/xml", "multipart/form-data"] {
        let sent = client.send("POST", CONNECTIONS, Some(content_type), Some(named("f"))).await.unwrap();
        assert_eq!(sent.refusal(), INTERNAL, "{content_type}");
    }
    let empty = client.send("POST", CONNECTIONS, Some("application/json"), Some(Vec::new())).await.unwrap();
    assert_eq!(empty.refusal(), INTERNAL);
}

// `index.js` of fastify/secure-json-parse @ 06c9a059; JSON.parse of JavaScript; probe.
#[tokio::test]
async fn json_is_read_as_javascript_reads_it() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    let post = async |text: String| {
        client.send("POST", CONNECTIONS, Some("application/json"), Some(text.into_bytes())).await.unwrap()
    };
    let described = |name: &str, description: &str| {
        let body = with(|body| {
            body["name"] = json!(name);
            body["description"] = json!("HERE");
        });
        body.to_string().replace("HERE", description)
    };
    let marked = post(format!("\u{feff}{}", described("marked", "x"))).await;
    assert_eq!(marked.status, 200, "{}", marked.text);
    for (name, escaped, stored) in [
        ("lone", r"a\ud800b", "a\u{fffd}b"),
        ("two", r"\ud800\ud800", "\u{fffd}\u{fffd}"),
        ("low", r"\udc00\ud83d\ude00", "\u{fffd}\u{1f600}"),
        ("backslash", r"\\ud800", r"\ud800"),
    ] {
        let sent = post(described(name, escaped)).await;
        assert_eq!(sent.body["appConnection"]["description"], json!(stored), "{name}: {}", sent.text);
    }
    let scim = format!("\u{feff}{}", described("scim", "x")).into_bytes();
    let scim = client.send("POST", CONNECTIONS, Some("application/scim+json"), Some(scim)).await.unwrap();
    assert_eq!(scim.refusal(), INTERNAL, "that parser knows no byte-order mark");

    let text = valid().to_string();
    let with_key = |key: &str| text.replacen('{', &format!("{{{key},"), 1);
    for poisoned in
        [r#""__proto__": {}"#, r#""x": [{"__proto__": 1}]"#, r#""constructor": {"prototype": {}}"#]
    {
        assert_eq!(post(with_key(poisoned)).await.refusal(), INTERNAL, "{poisoned}");
    }
    assert_eq!(post(with_key(r#""constructor": "x""#)).await.status, 200, "one more unknown field");
}

// `maxParamLength` of delvedor/find-my-way, which is 100 where nobody sets it.
#[tokio::test]
async fn a_parameter_of_more_than_100_characters_has_no_route() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    for (path, longest) in [
        (format!("{CONNECTIONS}/connection-name/{}", "a".repeat(100)), true),
        (format!("{CONNECTIONS}/connection-name/{}", "a".repeat(101)), false),
        (format!("{CONNECTIONS}/{}/projects", "a".repeat(101)), false),
        (format!("{CONNECTIONS}/connection-name/{}", "%F0%9F%98%80".repeat(51)), false),
        (format!("{CONNECTIONS}/connection-name/{}", "%F0%9F%98%80".repeat(50)), true),
        (format!("/api/v3/secrets/raw/{}?environment=dev&workspaceId={PROJECT_ID}", "a".repeat(101)), false),
        (format!("/api/v1/projects/slug/{}", "a".repeat(101)), false),
    ] {
        let answer = client.get(&path).await;
        let message = format!("Route GET:{path} not found");
        let of_router = json!({"message": message, "error": "Not Found", "statusCode": 404});
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.body == of_router, !longest, "{path}: {}", answer.text);
    }
}

// `exposeHeadRoutes` of fastify/fastify, on where nobody turns it off.
#[tokio::test]
async fn every_route_of_get_has_one_of_head() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    let id = make(&emulator, "orders");
    for path in [
        CONNECTIONS.to_owned(),
        format!("{CONNECTIONS}/available"),
        format!("{CONNECTIONS}/{id}"),
        format!("{CONNECTIONS}/{id}/projects"),
        format!("{CONNECTIONS}/connection-name/orders"),
        format!("{ROTATIONS}?projectId={PROJECT_ID}"),
        "/api/v1/projects/slug/analytics".to_owned(),
        "/".to_owned(),
    ] {
        let head = client.call("HEAD", &path, None).await;
        assert_eq!((head.status, head.text.as_str()), (200, ""), "{path}");
    }
    assert_eq!(client.call("HEAD", "/api/nope", None).await.status, 404);
    assert_eq!(client.call("HEAD", &format!("{CONNECTIONS}/x"), None).await.status, 422);
    assert_eq!(Client::without_token(&emulator).call("HEAD", CONNECTIONS, None).await.status, 401);
}

// `sanitizeUrlPath` of delvedor/find-my-way (`useSemicolonDelimiter`).
#[tokio::test]
async fn a_semicolon_begins_the_query() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    emulator.create("sales", Some(PROJECT_ID), &Credentials::new("https://au.dbt.com", "1", "dbtc_x"));
    make(&emulator, "orders");
    let of_project = client.get(&format!("{CONNECTIONS};projectId={PROJECT_ID}")).await;
    assert_eq!(of_project.names(), ["sales"]);
    let by_name = client.get(&format!("{CONNECTIONS}/connection-name/orders;x")).await;
    assert_eq!(by_name.body["appConnection"]["name"], "orders");
    let encoded = client.get(&format!("{CONNECTIONS}/connection-name/orders%3Bx")).await;
    assert_eq!(encoded.status, 404);
    let unknown = client.get("/api/nope;x?y").await;
    assert_eq!(unknown.body["message"], "Route GET:/api/nope;x?y not found");
}

// I server/plugins/auth/inject-identity.ts (id 1341797774 of the stored text): before it looks at `Authorization`.
#[tokio::test]
async fn an_api_key_is_refused_whatever_else_is_sent() {
    let emulator = Emulator::start(Options::default()).await;
    let message =
        "API key authentication is not supported anymore. Please switch to identity authentication.";
    for client in [Client::new(&emulator), Client::without_token(&emulator)] {
        for (method, path) in [("GET", CONNECTIONS), ("POST", LOGIN), ("GET", "/api/v1/nope")] {
            let refused = send(&client, method, path, &[("x-api-key", "x")]).await;
            assert_eq!(refused.refusal(), (400, "BadRequest", message), "{method} {path}");
        }
    }
    let empty = send(&Client::new(&emulator), "GET", CONNECTIONS, &[("x-api-key", "")]).await;
    assert_eq!(empty.status, 200);
}

// I server/plugins/ip.ts @ 29aae831 and server/config/rateLimiter.ts @ 076e8b01 (`keyGenerator`).
#[tokio::test]
async fn limits_count_for_the_address_that_a_proxy_names() {
    let limits = RateLimits { reads: 1, ..RateLimits::default() };
    let emulator = Emulator::start(Options { rate_limits: Some(limits), ..Options::default() }).await;
    let client = Client::new(&emulator);
    let status = async |headers: &[(&str, &str)]| send(&client, "GET", CONNECTIONS, headers).await.status;
    assert_eq!(status(&[]).await, 200);
    assert_eq!(status(&[]).await, 429);
    assert_eq!(status(&[("x-forwarded-for", "192.0.2.1, 10.0.0.1")]).await, 200);
    assert_eq!(status(&[("x-forwarded-for", "192.0.2.1")]).await, 429);
    assert_eq!(status(&[("x-forwarded-for", "192.0.2.2, 192.0.2.1")]).await, 200);
    assert_eq!(status(&[("x-real-ip", "192.0.2.1")]).await, 429, "the same address by another header");
    assert_eq!(status(&[("cf-connecting-ip", "192.0.2.3"), ("x-forwarded-for", "192.0.2.1")]).await, 200);
}

// I lib/knex/index.ts @ 02b28519: PostgreSQL has no U+0000 in texts, and refuses to look for one.
#[tokio::test]
async fn a_name_with_a_zero_character_fails_in_the_database() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    let place = format!("projectId={PROJECT_ID}&environment=prod&secretPath=%2F");
    for path in [
        format!("{CONNECTIONS}/connection-name/a%00b"),
        format!("{CONNECTIONS}/connection-name/a?projectId=%00"),
        format!("{CONNECTIONS}?projectId=%00"),
        format!("{ROTATIONS}/rotation-name/a%00b?{place}"),
        format!("/api/v3/secrets/raw/a%00b?workspaceId={PROJECT_ID}&environment=prod"),
    ] {
        let answer = client.get(&path).await;
        assert_eq!(answer.refusal(), (500, "Find one", "Something went wrong"), "{path}");
    }
}

// As `bodies.rs`: an enumeration names its values also where it finds an array.
#[tokio::test]
async fn a_flag_that_is_given_twice_names_its_values() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    let path = format!("{ROTATIONS}/{ORG_ID}?deleteSecrets=true&deleteSecrets=true");
    let twice = client.call("DELETE", &path, None).await;
    assert_eq!(twice.issues(), ["deleteSecrets: Expected 'true' | 'false', received array"]);
    let secret = format!("/api/v3/secrets/raw/X?workspaceId={PROJECT_ID}&environment=prod");
    let kind = client.get(&format!("{secret}&type=shared&type=shared")).await;
    assert_eq!(kind.issues(), ["type: Expected 'shared' | 'personal', received array"]);
    let version = client.get(&format!("{secret}&version=1&version=2")).await;
    assert_eq!(version.issues(), ["version: Expected number, received nan"]);
}

// I app-connection-schemas.ts @ 24aafe23 (`isAutoRotationEnabled`, `rotation`), app-connection-endpoints.ts (id 68848420399
// of the stored text) and services/app-connection/credential-rotation/app-connection-credential-rotation-service.ts
// (`triggerRotation`): newer than Hanzo's tree.
#[tokio::test]
async fn a_newer_server_rotates_credentials_but_none_of_dbt() {
    let emulator = Emulator::start(Options { server: Server::Infisical, ..Options::default() }).await;
    let client = Client::new(&emulator);
    for (issue, field, value) in [
        ("isAutoRotationEnabled: Not supported for DBT Connections", "isAutoRotationEnabled", json!(true)),
        ("rotation: Invalid input", "rotation", json!({"rotationInterval": 30})),
    ] {
        let refused = client.create(&with(|body| body[field] = value)).await;
        assert_eq!(refused.issues(), [issue]);
    }
    let allowed = with(|body| {
        body["isAutoRotationEnabled"] = json!(false);
        body["rotation"] = Value::Null;
    });
    let made = client.create(&allowed).await.body["appConnection"].take();
    assert_eq!(made["isAutoRotationEnabled"], json!(false));
    assert_eq!(made["gatewayPoolId"], Value::Null);
    let rotate =
        async |id: &str| client.call("POST", &format!("{CONNECTIONS}/{id}/rotate-credentials"), None).await;
    let id = made["id"].as_str().unwrap();
    assert_eq!(
        rotate(id).await.refusal(),
        (404, "NotFound", "Credential rotation is not configured for this connection")
    );
    assert_eq!(rotate("x").await.issues(), ["connectionId: Invalid uuid"]);
    assert_eq!(rotate(ORG_ID).await.status, 404);

    let older = Emulator::start(Options { server: Server::Hanzo, ..Options::default() }).await;
    let client = Client::new(&older);
    let path = format!("{CONNECTIONS}/{ORG_ID}/rotate-credentials");
    let missing = client.call("POST", &path, None).await;
    assert_eq!(missing.body["message"], json!(format!("Route POST:{path} not found")));
    let dropped = with(|body| body["isAutoRotationEnabled"] = json!(true));
    assert_eq!(client.create(&dropped).await.status, 200);
}
