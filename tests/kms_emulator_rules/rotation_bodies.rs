//! What bodies and queries of rotations may hold.

use kms_emulator::{Credentials, Emulator, Options, PROJECT_ID, ROTATIONS, options::NameRule};
use serde_json::{Value, json};

use crate::client::{Client, valid_rotation};

async fn start(options: Options) -> (Emulator, Value) {
    let emulator = Emulator::start(options).await;
    let credentials = Credentials::new("https://au.dbt.com", "1", "dbtc_connection");
    let connection = emulator.create("orders", None, &credentials);
    let body = valid_rotation(&connection);
    (emulator, body)
}

fn changed(body: &Value, change: impl FnOnce(&mut Value)) -> Value {
    let mut body = body.clone();
    change(&mut body);
    body
}

// I ee/services/secret-rotation-v2/secret-rotation-v2-schemas.ts (id 5719273609 of the stored text),
// dbt-service-token/dbt-service-token-rotation-schemas.ts @ 773db693, server/lib/schemas.ts (id 1405384826). The name of the
// token isn't in that schema, but in dbt-service-token-rotation-types.ts @ 120a9a13: its rule is taken from the others of
// its kind. Texts: zod 3.25.
#[tokio::test]
async fn every_broken_rule_of_a_rotation_is_an_issue_on_its_path() {
    let (emulator, good) = start(Options::default()).await;
    let client = Client::new(&emulator);
    let not_a_number = "rotationInterval: Expected number, received nan";
    let set = "parameters.permissionGrants.0.permissionSet";
    let table: Vec<(&str, Value)> = vec![
        (
            "name: name field can only contain lowercase letters, numbers, and hyphens",
            changed(&good, |body| body["name"] = json!("Orders")),
        ),
        (
            "name: name field must be at most 64 lowercase characters",
            changed(&good, |body| body["name"] = json!("a".repeat(65))),
        ),
        ("projectId: Project ID required", changed(&good, |body| body["projectId"] = json!(" "))),
        (
            "description: Description cannot exceed 256 characters",
            changed(&good, |body| body["description"] = json!("a".repeat(257))),
        ),
        ("connectionId: Invalid uuid", changed(&good, |body| body["connectionId"] = json!("orders"))),
        (
            "environment: environment field can only contain lowercase letters, numbers, and hyphens",
            changed(&good, |body| body["environment"] = json!("Prod")),
        ),
        ("secretPath: Secret path required", changed(&good, |body| body["secretPath"] = json!(" "))),
        (
            "isAutoRotationEnabled: Expected boolean, received string",
            changed(&good, |body| body["isAutoRotationEnabled"] = json!("true")),
        ),
        (not_a_number, changed(&good, |body| body["rotationInterval"] = json!("monthly"))),
        (not_a_number, changed(&good, |body| body["rotationInterval"] = json!({}))),
        (
            "rotationInterval: Number must be greater than or equal to 1",
            changed(&good, |body| body["rotationInterval"] = Value::Null),
        ),
        (
            "rotationInterval: Number must be greater than or equal to 1",
            changed(&good, |body| body["rotationInterval"] = json!(0.5)),
        ),
        (
            "rotateAtUtc: Expected object, received null",
            changed(&good, |body| body["rotateAtUtc"] = Value::Null),
        ),
        (
            "rotateAtUtc.hours: Number must be less than or equal to 23",
            changed(&good, |body| body["rotateAtUtc"] = json!({"hours": 24, "minutes": 0})),
        ),
        ("rotateAtUtc.minutes: Required", changed(&good, |body| body["rotateAtUtc"] = json!({"hours": 1}))),
        (
            "rotateAtUtc.minutes: Number must be greater than or equal to 0",
            changed(&good, |body| body["rotateAtUtc"] = json!({"hours": 1, "minutes": -1})),
        ),
        (
            "parameters.tokenName: String must contain at least 1 character(s)",
            changed(&good, |body| body["parameters"]["tokenName"] = json!(" ")),
        ),
        (
            "parameters.permissionGrants: Array must contain at least 1 element(s)",
            changed(&good, |body| body["parameters"]["permissionGrants"] = json!([])),
        ),
        (
            "parameters.permissionGrants.0.projectId: Expected number, received string",
            changed(&good, |body| {
                body["parameters"]["permissionGrants"][0]["projectId"] = json!("70471");
            }),
        ),
        (
            "parameters.permissionGrants.0: Expected object, received string",
            changed(&good, |body| body["parameters"]["permissionGrants"] = json!(["owner"])),
        ),
        (
            "secretsMapping.serviceToken: String must contain at least 1 character(s)",
            changed(&good, |body| body["secretsMapping"]["serviceToken"] = json!("")),
        ),
        (
            "secretsMapping.serviceToken: Secret name cannot contain colon or forward slash.",
            changed(&good, |body| body["secretsMapping"]["serviceToken"] = json!("a/b")),
        ),
    ];
    for (issue, body) in table {
        assert_eq!(client.post(ROTATIONS, body.clone()).await.issues(), [issue], "{body}");
    }
    let odd_set = changed(&good, |body| {
        body["parameters"]["permissionGrants"][0]["permissionSet"] = json!("root");
    });
    let answer = client.post(ROTATIONS, odd_set).await;
    let issue = answer.issues().remove(0);
    assert!(issue.starts_with(&format!("{set}: Invalid enum value. Expected 'account_admin' | ")), "{issue}");
    assert!(issue.ends_with("'webhooks_only', received 'root'"), "{issue}");
    assert_eq!(answer.body["message"][0]["options"].as_array().unwrap().len(), 28);
    assert!(emulator.rotations().is_empty());
    assert!(emulator.live_service_tokens().is_empty());
}

// As above: the order is that of the schema.
#[tokio::test]
async fn all_broken_rules_come_at_once_and_an_absent_interval_is_not_a_number() {
    let (emulator, _) = start(Options::default()).await;
    assert_eq!(
        Client::new(&emulator).post(ROTATIONS, json!({})).await.issues(),
        [
            "name: Required",
            "projectId: Required",
            "connectionId: Required",
            "environment: Required",
            "secretPath: Required",
            "rotationInterval: Expected number, received nan",
            "parameters: Required",
            "secretsMapping: Required",
        ]
    );
    let list = Client::new(&emulator).post(ROTATIONS, json!([])).await;
    assert_eq!(list.issues(), [": Expected object, received array"]);
}

// As above: `z.coerce.number()`, `trim`, `removeTrailingSlash`, and objects that drop what they don't know.
#[tokio::test]
async fn numbers_are_coerced_texts_trimmed_and_unknown_fields_dropped() {
    let (emulator, good) = start(Options::default()).await;
    emulator.make_folder(PROJECT_ID, "prod", "/dbt/tokens");
    let client = Client::new(&emulator);
    let body = changed(&good, |body| {
        body["name"] = json!(" orders ");
        body["description"] = json!(" text ");
        body["secretPath"] = json!(" /dbt/tokens/ ");
        body["rotationInterval"] = json!(" 7 ");
        body["parameters"]["tokenName"] = json!(" orders ");
        body["parameters"]["permissionGrants"] = json!([{"permissionSet": "owner", "x": 1}]);
        body["parameters"]["x"] = json!(1);
        body["secretsMapping"]["serviceToken"] = json!(" DBT TOKEN ");
        body["rotateAtUtc"] = json!({"hours": 4, "minutes": 30, "seconds": 1});
        body["x"] = json!(1);
    });
    let made = client.post(ROTATIONS, body).await.body["secretRotation"].take();
    assert_eq!(made["name"], "orders");
    assert_eq!(made["description"], "text");
    assert_eq!(made["folder"]["path"], "/dbt/tokens");
    assert_eq!(made["rotationInterval"], json!(7));
    assert_eq!(made["rotateAtUtc"], json!({"hours": 4, "minutes": 30}));
    assert_eq!(made["secretsMapping"], json!({"serviceToken": "DBT TOKEN"}));
    assert_eq!(
        made["parameters"],
        json!({"tokenName": "orders", "permissionGrants": [{"permissionSet": "owner"}]})
    );
    assert_eq!(made.get("x"), None);
}

// I server/lib/schemas.ts (id 2299651989 of the stored text): `SecretNameSchema` from before.
#[tokio::test]
async fn an_older_server_has_other_rules_for_names() {
    let (emulator, good) = start(Options { name_rule: NameRule::Older, ..Options::default() }).await;
    let client = Client::new(&emulator);
    let secret = |name: &str| changed(&good, |body| body["secretsMapping"]["serviceToken"] = json!(name));
    assert_eq!(
        client.post(ROTATIONS, secret("a b:c")).await.issues(),
        [
            "secretsMapping.serviceToken: Secret name cannot contain spaces.",
            "secretsMapping.serviceToken: Secret name cannot contain colon.",
        ]
    );
    let long = changed(&good, |body| body["name"] = json!("a".repeat(33)));
    assert_eq!(
        client.post(ROTATIONS, long).await.issues(),
        ["name: name field must be at most 32 lowercase characters"]
    );
    let capitals = changed(&good, |body| {
        body["name"] = json!("Orders");
        body["environment"] = json!("PROD");
    });
    let made = client.post(ROTATIONS, capitals).await;
    assert_eq!(made.body["secretRotation"]["name"], "orders", "{}", made.text);
    assert_eq!(made.body["secretRotation"]["environment"]["slug"], "prod");
}

// I secret-rotation-v2-schemas.ts (id 5719273609): `BaseUpdateSecretRotationSchema` has neither the project nor the
// connection, the environment or the path.
#[tokio::test]
async fn an_update_checks_what_it_has_and_drops_what_it_does_not_know() {
    let (emulator, good) = start(Options::default()).await;
    let client = Client::new(&emulator);
    let made = client.post(ROTATIONS, good).await.body["secretRotation"].take();
    let path = format!("{ROTATIONS}/{}", made["id"].as_str().unwrap());
    let patch = async |body: Value| client.call("PATCH", &path, Some(&body)).await;
    for (issue, body) in [
        ("name: Expected string, received null", json!({"name": null})),
        ("isAutoRotationEnabled: Expected boolean, received null", json!({"isAutoRotationEnabled": null})),
        ("rotationInterval: Number must be greater than or equal to 1", json!({"rotationInterval": null})),
        (
            "parameters.tokenName: Required",
            json!({"parameters": {"permissionGrants": [{"permissionSet": "owner"}]}}),
        ),
        ("secretsMapping.serviceToken: Required", json!({"secretsMapping": {}})),
    ] {
        assert_eq!(patch(body).await.issues(), [issue]);
    }
    let ignored = patch(json!({
        "projectId": 7, "connectionId": "x", "environment": null, "secretPath": [], "type": "x", "id": "x",
    }))
    .await;
    assert_eq!(ignored.status, 200, "{}", ignored.text);
    let shown = &ignored.body["secretRotation"];
    for field in ["id", "projectId", "connectionId", "environment", "folder", "type"] {
        assert_eq!(shown[field], made[field], "{field}");
    }
}

// I secret-rotation-v2-endpoints.ts @ 02fdd1de; Fastify checks the path, then the body, then the query.
#[tokio::test]
async fn paths_and_queries_have_rules_of_their_own() {
    let (emulator, good) = start(Options::default()).await;
    let client = Client::new(&emulator);
    for (method, path) in [
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", "?deleteSecrets=x"),
        ("GET", "/generated-credentials"),
        ("POST", "/rotate-secrets"),
    ] {
        let path = format!("{ROTATIONS}/no-uuid{path}");
        let body = (method == "PATCH").then(|| json!({"name": 7}));
        let answer = client.call(method, &path, body.as_ref()).await;
        assert_eq!(answer.issues(), ["rotationId: Invalid uuid"], "{method} {path}");
    }
    for path in [ROTATIONS, "/api/v2/secret-rotations"] {
        assert_eq!(client.get(path).await.issues(), ["projectId: Required"]);
        assert_eq!(
            client.get(&format!("{path}?projectId=%20")).await.issues(),
            ["projectId: Project ID required"]
        );
        let two = client.get(&format!("{path}?projectId=a&projectId=b")).await;
        assert_eq!(two.issues(), ["projectId: Expected string, received array"]);
    }
    let by_name = format!("{ROTATIONS}/rotation-name");
    assert_eq!(
        client.get(&format!("{by_name}/%20")).await.issues(),
        ["rotationName: Rotation name required"]
    );
    assert_eq!(
        client.get(&format!("{by_name}/x")).await.issues(),
        ["projectId: Required", "secretPath: Required", "environment: Required"]
    );
    let made = client.post(ROTATIONS, good).await;
    let path = format!("{ROTATIONS}/{}", made.body["secretRotation"]["id"].as_str().unwrap());
    let odd = format!("{path}?revokeGeneratedCredentials=yes&deleteSecrets=1");
    assert_eq!(
        client.call("DELETE", &odd, None).await.issues(),
        [
            "deleteSecrets: Invalid enum value. Expected 'true' | 'false', received '1'",
            "revokeGeneratedCredentials: Invalid enum value. Expected 'true' | 'false', received 'yes'",
        ]
    );
    assert_eq!(emulator.rotations().len(), 1);
}
