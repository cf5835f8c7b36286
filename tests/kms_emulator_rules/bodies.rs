//! What bodies may hold, and what the server says of those that hold something else.

use kms_emulator::{CONNECTIONS, Emulator, Options, options::NameRule};
use serde_json::{Value, json};

use crate::client::{Client, valid, with};

// I services/app-connection/dbt/dbt-connection-schemas.ts @ 773db693, services/app-connection/app-connection-schemas.ts
// @ f3a8e305, server/lib/schemas.ts @ 98d4103a; H server/plugins/error-handler.ts @ 5a78334c. Texts and order: probe.
#[tokio::test]
async fn every_broken_rule_of_a_body_is_an_issue_on_its_path() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    let long = |count: usize| "a".repeat(count);
    let no_slug = "name: name field can only contain lowercase letters, numbers, and hyphens";
    let table: Vec<(&str, Value)> = vec![
        ("name: Expected string, received number", with(|body| body["name"] = json!(7))),
        ("name: Expected string, received null", with(|body| body["name"] = Value::Null)),
        ("name: name field must be at least 1 lowercase character", with(|body| body["name"] = json!(" "))),
        (no_slug, with(|body| body["name"] = json!("Orders"))),
        (no_slug, with(|body| body["name"] = json!("a--b"))),
        (no_slug, with(|body| body["name"] = json!("-a"))),
        (no_slug, with(|body| body["name"] = json!("a_b"))),
        (no_slug, with(|body| body["name"] = json!("é"))),
        (
            "name: name field must be at most 64 lowercase characters",
            with(|body| body["name"] = json!(long(65))),
        ),
        (
            "description: Description cannot exceed 256 characters",
            with(|body| body["description"] = json!(long(257))),
        ),
        ("description: Expected string, received number", with(|body| body["description"] = json!(1))),
        ("projectId: Expected string, received null", with(|body| body["projectId"] = Value::Null)),
        (
            "method: Invalid discriminator value. Expected 'api-token'",
            with(|body| body["method"] = json!("oauth")),
        ),
        ("credentials: Expected object, received string", with(|body| body["credentials"] = json!("x"))),
        (
            "credentials.instanceUrl: Invalid Instance URL",
            with(|body| body["credentials"]["instanceUrl"] = json!("cloud.getdbt.com")),
        ),
        (
            "credentials.accountId: Account ID required",
            with(|body| body["credentials"]["accountId"] = json!("  ")),
        ),
        (
            "credentials.accountId: Expected string, received number",
            with(|body| body["credentials"]["accountId"] = json!(12)),
        ),
        (
            "credentials.accountId: String must contain at most 255 character(s)",
            with(|body| body["credentials"]["accountId"] = json!(long(256))),
        ),
        (
            "credentials.apiToken: API Token required",
            with(|body| body["credentials"]["apiToken"] = json!("\u{feff}")),
        ),
        (
            "credentials.apiToken: String must contain at most 255 character(s)",
            with(|body| body["credentials"]["apiToken"] = json!(long(256))),
        ),
        (
            "isPlatformManagedCredentials: Not supported for DBT Connections",
            with(|body| body["isPlatformManagedCredentials"] = json!(true)),
        ),
        ("gatewayId: Invalid input", with(|body| body["gatewayId"] = json!("x"))),
    ];
    for (issue, body) in table {
        let answer = client.create(&body).await;
        assert_eq!(answer.issues(), [issue], "{body}");
        let id = answer.body["reqId"].as_str().unwrap();
        assert!(id.len() == 18 && id.starts_with("req-"), "{id}");
        assert_eq!(answer.body["statusCode"], json!(422));
    }
    assert!(emulator.connections().is_empty());

    let gateway = client.create(&with(|body| body["gatewayId"] = json!("x"))).await;
    let unions = &gateway.body["message"][0]["unionErrors"];
    assert_eq!(unions[1]["issues"][0]["message"], json!("Not supported for DBT Connections"));
}

// Probe: the schema of a create is an intersection, whose first half is chosen by the method.
#[tokio::test]
async fn issues_come_in_the_order_of_the_schema_and_without_a_method_credentials_are_not_looked_at() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    let nothing = client.create(&json!({})).await;
    assert_eq!(
        nothing.issues(),
        ["method: Invalid discriminator value. Expected 'api-token'", "name: Required"]
    );
    let empty =
        json!({"method": "api-token", "name": "", "credentials": {"instanceUrl": "", "accountId": " "}});
    assert_eq!(
        client.create(&empty).await.issues(),
        [
            "credentials.apiToken: Required",
            "credentials.instanceUrl: Instance URL required",
            "credentials.instanceUrl: Invalid Instance URL",
            "credentials.accountId: Account ID required",
            "name: name field must be at least 1 lowercase character",
        ]
    );
    let list = client.create(&json!([])).await;
    assert_eq!(list.issues(), [": Expected object, received array", ": Expected object, received array"]);
    let none = client.send("POST", CONNECTIONS, None, None).await.unwrap();
    assert_eq!(none.issues(), [": Expected object, received null", ": Expected object, received null"]);
}

// I server/lib/schemas.ts @ 98d4103a, dbt-connection-schemas.ts @ 773db693 (`trim`), zod.
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

// I db/migrations (id 1903233073 of the stored text): the column of a description is a `string` of 255 characters of
// Unicode. It is written after dbt was asked.
#[tokio::test]
async fn a_description_can_fit_the_rules_and_not_the_column() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    let described = |name: &str, description: String| {
        with(|body| {
            body["name"] = json!(name);
            body["description"] = json!(description);
        })
    };
    let broken = (500, "Create", "Something went wrong");
    for description in ["a".repeat(256), "é".repeat(256), "a\u{0}b".to_owned()] {
        assert_eq!(client.create(&described("orders", description)).await.refusal(), broken);
    }
    let mut refused = described("orders", "a".repeat(256));
    refused["credentials"]["apiToken"] = json!("wrong");
    assert_eq!(client.create(&refused).await.status, 400, "dbt is asked first");
    assert!(emulator.connections().is_empty());
    let fitting = client.create(&described("orders", "a".repeat(255))).await;
    assert_eq!(fitting.status, 200);
    let path = format!("{CONNECTIONS}/{}", fitting.body["appConnection"]["id"].as_str().unwrap());
    for description in ["a".repeat(256), "\u{0}".to_owned()] {
        let changed = client.call("PATCH", &path, Some(&json!({"description": description}))).await;
        assert_eq!(changed.refusal(), (500, "Update by id", "Something went wrong"));
    }
}

// I server/lib/schemas.ts: `max` was 32 and `toLowerCase` part of it before 98d4103a.
#[tokio::test]
async fn an_older_server_folds_case_and_stops_at_32() {
    let emulator = Emulator::start(Options { name_rule: NameRule::Older, ..Options::default() }).await;
    let client = Client::new(&emulator);
    let folded = client.create(&with(|body| body["name"] = json!("Orders"))).await;
    assert_eq!(folded.body["appConnection"]["name"], "orders");
    let long = client.create(&with(|body| body["name"] = json!("a".repeat(33)))).await;
    assert_eq!(long.issues(), ["name: name field must be at most 32 lowercase characters"]);
}

// I dbt-connection-schemas.ts @ 773db693 (`UpdateDbtConnectionSchema`), H app-connection-endpoints.ts @ 4f216be5.
#[tokio::test]
async fn an_update_takes_whole_credentials_or_none() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    let created = client.create(&valid()).await.body["appConnection"].take();
    let path = format!("{CONNECTIONS}/{}", created["id"].as_str().unwrap());
    let patch = async |body: Value| client.call("PATCH", &path, Some(&body)).await;
    assert_eq!(
        patch(json!({"credentials": {"apiToken": "dbtu_y"}})).await.issues(),
        ["credentials.instanceUrl: Required", "credentials.accountId: Required",]
    );
    let null = patch(json!({"credentials": null})).await;
    assert_eq!(null.issues(), ["credentials: Expected object, received null"]);
    let ignored =
        json!({"method": "x", "projectId": "x", "gatewayId": null, "isPlatformManagedCredentials": false});
    assert_eq!(patch(ignored).await.status, 200);
    assert_eq!(patch(json!({"description": null})).await.body["appConnection"]["description"], Value::Null);
}

// Probe: parameters of the path are checked before the body, and alone.
#[tokio::test]
async fn an_id_that_is_no_uuid_is_refused_before_the_body_is_looked_at() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    for (method, path) in [
        ("GET", format!("{CONNECTIONS}/not-a-uuid")),
        ("GET", format!("{CONNECTIONS}/not-a-uuid/projects")),
        ("DELETE", format!("{CONNECTIONS}/00000000-0000-0000-0000-00000000000g")),
        ("PATCH", format!("{CONNECTIONS}/not-a-uuid")),
        // The name is missing, so this is the path of an id.
        ("GET", format!("{CONNECTIONS}/connection-name/")),
        // One trailing slash is ignored, the other one begins an empty id.
        ("GET", format!("{CONNECTIONS}//")),
    ] {
        let body = (method == "PATCH").then(|| json!({"name": 7}));
        let answer = client.call(method, &path, body.as_ref()).await;
        assert_eq!(answer.issues(), ["connectionId: Invalid uuid"], "{method} {path}");
    }
    let blank = client.get(&format!("{CONNECTIONS}/connection-name/%20")).await;
    assert_eq!(blank.issues(), ["connectionName: Connection name required"]);
}
