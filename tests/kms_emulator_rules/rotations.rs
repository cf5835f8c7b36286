//! Rotations as they are made, shown, listed, changed and deleted.

use kms_emulator::{
    CONNECTIONS, Credentials, EmptyFields, Emulator, OTHER_PROJECT_ID, Options, PROJECT_ID, ROTATIONS,
    Rotations, Server, rate_limit::RateLimits,
};
use serde_json::{Value, json};

use crate::client::{Answer, Client, valid_rotation};

const TOKEN: &str = "dbtc_connection";

async fn start(options: Options) -> (Emulator, String) {
    let emulator = Emulator::start(options).await;
    let connection = emulator.create("orders", None, &Credentials::new("https://au.dbt.com", "1", TOKEN));
    (emulator, connection)
}

fn changed(connection: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut body = valid_rotation(connection);
    change(&mut body);
    body
}

fn rotation(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.body["secretRotation"].clone()
}

fn path_of(rotation: &Value) -> String {
    format!("{ROTATIONS}/{}", rotation["id"].as_str().unwrap())
}

fn by_name(name: &str) -> String {
    format!("{ROTATIONS}/rotation-name/{name}?projectId={PROJECT_ID}&environment=prod&secretPath=%2F")
}

// I ee/services/secret-rotation-v2/secret-rotation-v2-schemas.ts (id 5719273609 of the stored text: `BaseSecretRotationSchema`),
// secret-rotation-v2-service.ts @ 01ecde91 (`createSecretRotation`) and the migration that makes the table (id 1516335973).
#[tokio::test]
async fn a_rotation_is_shown_with_its_place_and_its_state_and_without_any_token() {
    let (emulator, connection) = start(Options::default()).await;
    let client = Client::new(&emulator);
    let answer = client.post(ROTATIONS, valid_rotation(&connection)).await;
    let mut shown = rotation(&answer);
    let [token] = &emulator.live_service_tokens()[..] else { panic!("one token") };
    assert!(!answer.text.contains(&token.token));
    let environment = shown["environment"]["id"].as_str().unwrap().to_owned();
    for id in [&shown["id"], &shown["folderId"], &shown["environment"]["id"]] {
        assert!(uuid::Uuid::try_parse(id.as_str().unwrap()).is_ok(), "{id}");
    }
    assert_eq!(shown["folder"], json!({"id": shown["folderId"], "path": "/"}));
    assert_eq!(shown["environment"], json!({"id": environment, "slug": "prod", "name": "prod"}));
    assert_eq!(shown["connection"], json!({"app": "dbt", "name": "orders", "id": connection}));
    let sent = valid_rotation(&connection);
    for field in ["name", "projectId", "connectionId", "rotationInterval", "parameters", "secretsMapping"] {
        assert_eq!(shown[field], sent[field], "{field}");
    }
    for (field, value) in [
        ("description", Value::Null),
        ("type", json!("dbt-service-token")),
        ("isAutoRotationEnabled", json!(true)),
        ("rotateAtUtc", json!({"hours": 0, "minutes": 0})),
        ("activeIndex", json!(0)),
        ("rotationStatus", json!("success")),
        ("lastRotationMessage", Value::Null),
        ("lastRotationJobId", Value::Null),
        ("isLastRotationManual", json!(true)),
    ] {
        assert_eq!(shown[field], value, "{field}");
    }
    for field in ["createdAt", "updatedAt", "lastRotatedAt", "lastRotationAttemptedAt", "nextRotationAt"] {
        assert!(shown[field].as_str().unwrap().ends_with('Z'), "{field}");
    }
    // A client has to read it everywhere in the same form.
    let single = rotation(&client.get(&path_of(&shown)).await);
    let named = rotation(&client.get(&by_name("orders-token")).await);
    let list = client.get(&format!("{ROTATIONS}?projectId={PROJECT_ID}")).await;
    shown["nextRotationAt"] = single["nextRotationAt"].clone();
    assert_eq!((&single, &named, &list.body["secretRotations"]), (&shown, &shown, &json!([shown])));
    assert_eq!(list.header("x-ratelimit-limit"), Some("60"));
    assert_eq!(answer.header("x-ratelimit-limit"), Some("200"));
    let environments = client.get(&format!("/api/v1/projects/{PROJECT_ID}")).await;
    let project = environments.body["project"]["environments"].clone();
    assert!(project.as_array().unwrap().contains(&shown["environment"]), "{project}");
}

// As above: `description`, `lastRotationJobId` and `nextRotationAt` are `nullable().optional()` and `lastRotationMessage` is
// `nullish()`.
#[tokio::test]
async fn fields_of_a_rotation_without_a_value_may_be_absent() {
    let (emulator, connection) =
        start(Options { empty_fields: EmptyFields::Absent, ..Options::default() }).await;
    let body = changed(&connection, |body| body["isAutoRotationEnabled"] = json!(false));
    let shown = rotation(&Client::new(&emulator).post(ROTATIONS, body).await);
    for field in ["description", "lastRotationMessage", "lastRotationJobId", "nextRotationAt"] {
        assert_eq!(shown.get(field), None, "{field}");
    }
}

// I db/migrations (id 1516335973 of the stored text): a description has a column of 255 characters, and the token is made
// before anything is stored.
#[tokio::test]
async fn a_description_that_its_column_has_no_room_for_leaves_a_token_at_dbt() {
    let (emulator, connection) = start(Options::default()).await;
    let client = Client::new(&emulator);
    let mut body = valid_rotation(&connection);
    for (number, description) in ["a".repeat(256), "a\u{0}".to_owned()].into_iter().enumerate() {
        body["description"] = json!(description);
        let refused = client.post(ROTATIONS, body.clone()).await;
        assert_eq!(refused.refusal(), (500, "Create", "Something went wrong"));
        assert_eq!(emulator.live_service_tokens().len(), number + 1);
    }
    assert!(emulator.rotations().is_empty());
    body["description"] = json!("a".repeat(255));
    let made = rotation(&client.post(ROTATIONS, body).await);
    let path = format!("{ROTATIONS}/{}", made["id"].as_str().unwrap());
    let change = json!({"description": "a".repeat(256)});
    let changed = client.call("PATCH", &path, Some(&change)).await;
    assert_eq!(changed.refusal(), (500, "Update by id", "Something went wrong"));
}

// The dates of JavaScript reach 100,000,000 days beyond 1970, and write years of more than four digits with a sign.
#[tokio::test]
async fn an_interval_of_millennia_is_stored_as_it_is() {
    let (emulator, connection) = start(Options::default()).await;
    let client = Client::new(&emulator);
    for (number, days, year) in [(0, 4_000_000, "+01"), (1, 10_000_000, "+029"), (2, 95_000_000, "+262")] {
        let mut body = valid_rotation(&connection);
        body["name"] = json!(format!("rotation-{number}"));
        body["secretsMapping"] = json!({"serviceToken": format!("SECRET_{number}")});
        body["rotationInterval"] = json!(days);
        let made = rotation(&client.post(ROTATIONS, body).await);
        assert_eq!(made["rotationInterval"], json!(days));
        let next = made["nextRotationAt"].as_str().unwrap();
        assert!(next.starts_with(year) && next.ends_with("T00:00:00.000Z"), "{next}");
    }
    let mut body = valid_rotation(&connection);
    body["rotationInterval"] = json!(100_000_000);
    assert_eq!(client.post(ROTATIONS, body).await.refusal().0, 500);
}

// I secret-rotation-v2-service.ts @ 01ecde91 (`createSecretRotation`): folder, connection, name, secret, dbt.
#[tokio::test]
async fn a_creation_is_refused_in_the_order_of_its_checks() {
    let (emulator, connection) = start(Options::default()).await;
    let client = Client::new(&emulator);
    client.post(ROTATIONS, valid_rotation(&connection)).await;
    emulator
        .refuse_service_tokens(Some(kms_emulator::DbtRefusal { status: 403, reason: "You may not.".into() }));
    let project = PROJECT_ID;
    let unknown = "00000000-0000-4000-8000-000000000000";
    // Each body breaks one rule more than the one after it.
    let mut body = valid_rotation(unknown);
    body["secretPath"] = json!("/none");
    let refused = async |body: &Value| {
        let answer = client.post(ROTATIONS, body.clone()).await;
        let (status, error, message) = answer.refusal();
        assert_eq!(error, if status == 404 { "NotFound" } else { "BadRequest" });
        (status, message.to_owned())
    };
    let no_folder = |path: &str, environment: &str| {
        format!(
            "Could not find folder with path \"{path}\" in environment \"{environment}\" for project with ID \"{project}\""
        )
    };
    assert_eq!(refused(&body).await, (400, no_folder("/none", "prod")));
    body["secretPath"] = json!("/a b");
    let bad_path = "Invalid secret path. Only alphanumeric characters, dashes, and underscores are allowed.";
    assert_eq!(refused(&body).await, (400, bad_path.into()));
    body["secretPath"] = json!("/");
    body["environment"] = json!("qa");
    assert_eq!(refused(&body).await, (400, no_folder("/", "qa")));
    body["environment"] = json!("prod");
    let no_connection = format!("Could not find App Connection with ID {unknown}");
    assert_eq!(refused(&body).await, (404, no_connection));
    body["connectionId"] = json!(connection);
    let name = "A Secret Rotation with the name \"orders-token\" already exists at the secret path \"/\"";
    assert_eq!(refused(&body).await, (400, name.into()));
    body["name"] = json!("other");
    let secret = "The following secrets already exist at the path \"/\": DBT_TOKEN";
    assert_eq!(refused(&body).await, (400, secret.into()));
    body["secretsMapping"]["serviceToken"] = json!("OTHER");
    assert_eq!(refused(&body).await, (400, "Failed to create service token: You may not.".into()));
    assert_eq!(emulator.live_service_tokens().len(), 1);
    emulator.refuse_service_tokens(None);
    assert_eq!(client.post(ROTATIONS, body).await.status, 200);
}

// As above: names and secrets are taken in one folder, not in a project.
#[tokio::test]
async fn another_folder_has_names_and_secrets_of_its_own() {
    let (emulator, connection) = start(Options::default()).await;
    emulator.make_folder(PROJECT_ID, "prod", "/a/b");
    let client = Client::new(&emulator);
    for (environment, path) in [("prod", "/"), ("dev", "/"), ("prod", "/a"), ("prod", "/a/b/")] {
        let body = changed(&connection, |body| {
            body["environment"] = json!(environment);
            body["secretPath"] = json!(path);
        });
        assert_eq!(client.post(ROTATIONS, body).await.status, 200, "{environment} {path}");
    }
    let list = client.get(&format!("{ROTATIONS}?projectId={PROJECT_ID}")).await;
    assert_eq!(list.names().len(), 4);
    assert!(client.get(&format!("{ROTATIONS}?projectId={OTHER_PROJECT_ID}")).await.names().is_empty());
    let all = client.get(&format!("/api/v2/secret-rotations?projectId={PROJECT_ID}")).await;
    assert_eq!(all.names().len(), 4);
    let deep = format!(
        "{ROTATIONS}/rotation-name/orders-token?projectId={PROJECT_ID}&environment=prod&secretPath=%2Fa%2Fb"
    );
    assert_eq!(rotation(&client.get(&deep).await)["folder"]["path"], "/a/b");
}

// I services/app-connection/app-connection-service.ts (id 52457927046 of the stored text: `connectAppConnectionById`,
// `validateAppConnectionUsageById`).
#[tokio::test]
async fn the_connection_is_of_dbt_and_of_the_organization_or_of_the_same_project() {
    let (emulator, connection) = start(Options::default()).await;
    let client = Client::new(&emulator);
    let credentials = Credentials::new("https://au.dbt.com", "1", TOKEN);
    let elsewhere = emulator.create("elsewhere", Some(OTHER_PROJECT_ID), &credentials);
    let message = format!(
        "You cannot connect project App Connection with ID \"{elsewhere}\" from project with ID \"{OTHER_PROJECT_ID}\" to project with ID \"{PROJECT_ID}\""
    );
    let refused = client.post(ROTATIONS, valid_rotation(&elsewhere)).await;
    assert_eq!(refused.refusal(), (400, "BadRequest", message.as_str()));
    emulator.edit(&connection, |connection| connection.app = "github".into());
    let message = format!("github Connection with ID {connection} cannot be used to connect to DBT");
    let refused = client.post(ROTATIONS, valid_rotation(&connection)).await;
    assert_eq!(refused.refusal(), (400, "BadRequest", message.as_str()));
    let own = emulator.create("own", Some(PROJECT_ID), &credentials);
    assert_eq!(client.post(ROTATIONS, valid_rotation(&own)).await.status, 200);
}

// I secret-rotation-v2-service.ts @ 01ecde91 and the table (id 1516335973: `rotationInterval` is an integer): the token is
// made before the row, and nothing takes it back. H server/plugins/error-handler.ts @ 5a78334c (`DatabaseError`).
#[tokio::test]
async fn what_the_database_refuses_leaves_a_token_behind() {
    let (emulator, connection) = start(Options::default()).await;
    let client = Client::new(&emulator);
    for (number, body) in [
        changed(&connection, |body| body["rotationInterval"] = json!(1.5)),
        changed(&connection, |body| body["rotationInterval"] = json!(3_000_000_000_u64)),
        changed(&connection, |body| body["description"] = json!("a\u{0}b")),
    ]
    .into_iter()
    .enumerate()
    {
        let failed = client.post(ROTATIONS, body).await;
        assert_eq!(failed.refusal(), (500, "Create", "Something went wrong"));
        assert_eq!(emulator.live_service_tokens().len(), number + 1);
    }
    emulator.state().options.fails_to_store_rotations = true;
    let failed = client.post(ROTATIONS, valid_rotation(&connection)).await;
    assert_eq!(failed.refusal(), (500, "Create", "Something went wrong"));
    assert_eq!(emulator.live_service_tokens().len(), 4);
    emulator.state().options.fails_to_store_rotations = false;
    assert!(emulator.rotations().is_empty());
    assert_eq!(emulator.secret_value(PROJECT_ID, "prod", "/", "DBT_TOKEN"), None);

    let made = rotation(&client.post(ROTATIONS, valid_rotation(&connection)).await);
    let update =
        client.call("PATCH", &path_of(&made), Some(&json!({"rotationInterval": 1.5, "name": "x"}))).await;
    assert_eq!(update.refusal(), (500, "Update by id", "Something went wrong"));
    assert_eq!(rotation(&client.get(&path_of(&made)).await), made);
}

// I secret-rotation-v2-service.ts @ 01ecde91; of the two texts for an unknown id, that of an update has no quotes.
#[tokio::test]
async fn what_is_not_there_is_not_found_and_a_folder_is_a_bad_request() {
    let (emulator, _) = start(Options::default()).await;
    let client = Client::new(&emulator);
    let id = "00000000-0000-4000-8000-000000000000";
    let quoted = format!("Could not find DBT Service Token Rotation with ID \"{id}\"");
    let plain = format!("Could not find DBT Service Token Rotation with ID {id}");
    for (method, path, message) in [
        ("GET", "", &quoted),
        ("PATCH", "", &plain),
        ("DELETE", "", &quoted),
        ("GET", "/generated-credentials", &quoted),
        ("POST", "/rotate-secrets", &quoted),
    ] {
        let body = (method == "PATCH").then(|| json!({}));
        let answer = client.call(method, &format!("{ROTATIONS}/{id}{path}"), body.as_ref()).await;
        assert_eq!(answer.refusal(), (404, "NotFound", message.as_str()), "{method} {path}");
    }
    let named = client.get(&by_name("none")).await;
    assert_eq!(
        named.refusal(),
        (404, "NotFound", "Could not find DBT Service Token Rotation with name \"none\"")
    );
    let elsewhere = client.get(&by_name("none").replace("%2F", "%2Fnone%2F")).await;
    let message = format!(
        "Could not find folder with path \"/none/\" in environment \"prod\" for project with ID \"{PROJECT_ID}\""
    );
    assert_eq!(elsewhere.refusal(), (400, "BadRequest", message.as_str()));
}

// As above: the app of the connection is compared, and the type in a list.
#[tokio::test]
async fn a_rotation_of_another_type_is_a_bad_request_by_its_id() {
    let (emulator, connection) = start(Options::default()).await;
    let client = Client::new(&emulator);
    let made = rotation(&client.post(ROTATIONS, valid_rotation(&connection)).await);
    emulator.edit(&connection, |connection| connection.app = "auth0".into());
    let id = made["id"].as_str().unwrap();
    emulator.edit_rotation(id, |rotation| rotation.kind = "auth0-client-secret".into());
    let message = format!("Secret Rotation with ID \"{id}\" is not configured for DBT Service Token");
    for (method, path) in [
        ("GET", path_of(&made)),
        ("GET", by_name("orders-token")),
        ("PATCH", path_of(&made)),
        ("DELETE", path_of(&made)),
        ("GET", format!("{}/generated-credentials", path_of(&made))),
        ("POST", format!("{}/rotate-secrets", path_of(&made))),
    ] {
        let body = (method == "PATCH").then(|| json!({}));
        let answer = client.call(method, &path, body.as_ref()).await;
        assert_eq!(answer.refusal(), (400, "BadRequest", message.as_str()), "{method} {path}");
    }
    assert!(client.get(&format!("{ROTATIONS}?projectId={PROJECT_ID}")).await.names().is_empty());
    let all = client.get(&format!("/api/v2/secret-rotations?projectId={PROJECT_ID}")).await;
    assert_eq!(all.names(), ["orders-token"]);
}

// I secret-rotation-v2-service.ts @ 01ecde91 (`updateSecretRotation`), secret-v2-bridge-dal.ts (id 54632897105 of the stored text:
// `bulkUpdate`).
#[tokio::test]
async fn an_update_renames_the_rotation_and_its_secret() {
    let (emulator, connection) = start(Options::default()).await;
    let client = Client::new(&emulator);
    let made = rotation(&client.post(ROTATIONS, valid_rotation(&connection)).await);
    let patch = async |body: Value| client.call("PATCH", &path_of(&made), Some(&body)).await;
    let value = emulator.secret_value(PROJECT_ID, "prod", "/", "DBT_TOKEN").unwrap();
    let renamed = rotation(
        &patch(json!({
            "name": "renamed",
            "description": "text",
            "rotationInterval": "7",
            "rotateAtUtc": {"hours": 5, "minutes": 6},
            "secretsMapping": {"serviceToken": "RENAMED"},
        }))
        .await,
    );
    assert_eq!((&renamed["name"], &renamed["description"]), (&json!("renamed"), &json!("text")));
    assert_eq!(renamed["rotationInterval"], json!(7));
    assert_eq!(renamed["secretsMapping"], json!({"serviceToken": "RENAMED"}));
    assert!(renamed["nextRotationAt"].as_str().unwrap().ends_with("T05:06:00.000Z"));
    assert!(renamed["updatedAt"].as_str() > made["updatedAt"].as_str());
    assert_eq!(emulator.secret_value(PROJECT_ID, "prod", "/", "DBT_TOKEN"), None);
    assert_eq!(emulator.secret_value(PROJECT_ID, "prod", "/", "RENAMED"), Some(value));
    assert_eq!(emulator.live_service_tokens().len(), 1, "an update makes no token");

    let off = rotation(&patch(json!({"description": null, "isAutoRotationEnabled": false})).await);
    assert_eq!((&off["description"], &off["nextRotationAt"]), (&Value::Null, &Value::Null));
    let untouched = rotation(&patch(json!({})).await);
    assert_eq!(untouched["name"], "renamed");

    let other = changed(&connection, |body| {
        body["name"] = json!("taken");
        body["secretsMapping"]["serviceToken"] = json!("TAKEN");
    });
    client.post(ROTATIONS, other).await;
    let both = json!({"name": "taken", "secretsMapping": {"serviceToken": "TAKEN"}});
    assert_eq!(
        patch(both).await.refusal(),
        (400, "BadRequest", "The following secrets already exist at the path \"/\": TAKEN")
    );
    assert_eq!(
        patch(json!({"name": "taken", "secretsMapping": {"serviceToken": "FREE"}})).await.refusal(),
        (
            400,
            "BadRequest",
            "A Secret Rotation with the name \"taken\" already exists at the secret path \"/\""
        )
    );
    assert_eq!(emulator.secret_value(PROJECT_ID, "prod", "/", "FREE"), None, "all of it or nothing");
    emulator.state().versioned_secrets.retain(|secret| secret.latest().name != "RENAMED");
    assert_eq!(
        patch(json!({"secretsMapping": {"serviceToken": "FREE"}})).await.refusal(),
        (500, "bulk update secret", "Something went wrong")
    );
}

// I secret-rotation-v2-service.ts @ 01ecde91 (`deleteSecretRotation`): both parameters are off unless they are given.
#[tokio::test]
async fn a_deletion_leaves_tokens_and_secret_unless_it_is_asked_for_more() {
    let (emulator, connection) = start(Options::default()).await;
    let client = Client::new(&emulator);
    for (query, tokens, secret) in [
        ("", 1, true),
        ("?deleteSecrets=false&revokeGeneratedCredentials=false", 1, true),
        ("?deleteSecrets=true", 1, false),
        ("?revokeGeneratedCredentials=true", 0, true),
        ("?deleteSecrets=true&revokeGeneratedCredentials=true", 0, false),
    ] {
        emulator.state().dbt.service_tokens.clear();
        emulator.state().versioned_secrets.clear();
        let made = rotation(&client.post(ROTATIONS, valid_rotation(&connection)).await);
        let deleted = client.call("DELETE", &format!("{}{query}", path_of(&made)), None).await;
        assert_eq!(rotation(&deleted), made, "{query}");
        assert!(emulator.rotations().is_empty(), "{query}");
        assert_eq!(emulator.live_service_tokens().len(), tokens, "{query}");
        let kept = emulator.secret_value(PROJECT_ID, "prod", "/", "DBT_TOKEN").is_some();
        assert_eq!(kept, secret, "{query}");
    }
}

// I dbt-service-token/dbt-service-token-rotation-fns.ts @ 0082b3dd (`revokeCredential`): nothing is deleted when a revocation fails.
#[tokio::test]
async fn a_deletion_with_a_revocation_that_fails_deletes_nothing() {
    let (emulator, connection) = start(Options::default()).await;
    let client = Client::new(&emulator);
    let made = rotation(&client.post(ROTATIONS, valid_rotation(&connection)).await);
    let path = format!("{}?deleteSecrets=true&revokeGeneratedCredentials=true", path_of(&made));
    emulator.state().dbt.refuses_to_delete =
        Some(kms_emulator::DbtRefusal { status: 500, reason: String::new() });
    let refused = client.call("DELETE", &path, None).await;
    assert_eq!(
        refused.refusal(),
        (
            400,
            "BadRequest",
            "Failed to remove service token with tokenId 1001: Request failed with status code 500"
        )
    );
    emulator.revoke_at_dbt(TOKEN);
    let refused = client.call("DELETE", &path, None).await;
    assert_eq!(
        refused.refusal(),
        (
            400,
            "BadRequest",
            "Failed to validate connection credentials. Are you sure your configured DBT app connection credentials are valid?"
        )
    );
    assert_eq!(rotation(&client.get(&path_of(&made)).await), made);
    assert!(emulator.secret_value(PROJECT_ID, "prod", "/", "DBT_TOKEN").is_some());
    // Without the revocation, dbt isn't asked.
    assert_eq!(client.call("DELETE", &path_of(&made), None).await.status, 200);
}

// I app-connection-service.ts (id 52457927046 of the stored text: `deleteAppConnection`), the table (id 1516335973: the foreign key).
#[tokio::test]
async fn a_connection_that_a_rotation_uses_cannot_be_deleted() {
    let (emulator, connection) = start(Options::default()).await;
    let client = Client::new(&emulator);
    let made = rotation(&client.post(ROTATIONS, valid_rotation(&connection)).await);
    let path = format!("{CONNECTIONS}/{connection}");
    let refused = client.call("DELETE", &path, None).await;
    let message = "Cannot delete App Connection with existing connections. Remove all existing connections and try again.";
    assert_eq!(refused.refusal(), (400, "BadRequest", message));
    client.call("DELETE", &path_of(&made), None).await;
    assert_eq!(client.call("DELETE", &path, None).await.status, 200);
}

// I secret-rotation-v2-service.ts @ 01ecde91: each operation asks for the plan first, except for the deletion.
#[tokio::test]
async fn without_a_license_everything_but_a_deletion_is_a_bad_request() {
    let (emulator, connection) = start(Options::default()).await;
    let client = Client::new(&emulator);
    let made = rotation(&client.post(ROTATIONS, valid_rotation(&connection)).await);
    emulator.state().options.rotations = Rotations::Unlicensed;
    let unknown = format!("{ROTATIONS}/00000000-0000-4000-8000-000000000000");
    for (method, path, what, upgrade) in [
        ("GET", format!("{ROTATIONS}?projectId=x"), "access secret rotations", "access secret rotations"),
        ("GET", unknown.clone(), "access secret rotation", "access secret rotations"),
        ("GET", by_name("none"), "access secret rotation", "access secret rotations"),
        (
            "GET",
            format!("{unknown}/generated-credentials"),
            "access secret rotation credentials",
            "access secret rotations credentials",
        ),
        ("POST", ROTATIONS.into(), "create secret rotation", "create secret rotations"),
        ("PATCH", unknown.clone(), "update secret rotation", "update secret rotations"),
        (
            "POST",
            format!("{unknown}/rotate-secrets"),
            "rotate secret rotation secrets",
            "rotate secret rotation secrets",
        ),
    ] {
        let body = match (method, path.as_str()) {
            ("POST", ROTATIONS) => Some(valid_rotation(&connection)),
            ("PATCH", _) => Some(json!({})),
            _ => None,
        };
        let answer = client.call(method, &path, body.as_ref()).await;
        let message = format!("Failed to {what} due to plan restriction. Upgrade plan to {upgrade}.");
        assert_eq!(answer.refusal(), (400, "BadRequest", message.as_str()), "{method} {path}");
    }
    let options = client.get("/api/v2/secret-rotations/options").await;
    assert_eq!(options.status, 200);
    assert_eq!(client.call("DELETE", &path_of(&made), None).await.status, 200);
}

// H server/routes/v2/index.ts @ c0a284fa: no route of the rotations is registered.
#[tokio::test]
async fn a_server_without_rotations_has_none_of_their_routes() {
    let (emulator, connection) = start(Options { rotations: Rotations::Absent, ..Options::default() }).await;
    let client = Client::new(&emulator);
    for (method, path) in [
        ("GET", "/api/v2/secret-rotations/options".to_owned()),
        ("GET", format!("{ROTATIONS}?projectId={PROJECT_ID}")),
        ("POST", ROTATIONS.to_owned()),
        ("DELETE", format!("{ROTATIONS}/{connection}")),
    ] {
        let body = (method == "POST").then(|| valid_rotation(&connection));
        let answer = client.call(method, &path, body.as_ref()).await;
        let message = format!("Route {method}:{path} not found");
        assert_eq!(
            answer.body,
            json!({"message": message, "error": "Not Found", "statusCode": 404}),
            "{method} {path}"
        );
    }
}

// I secret-rotation-v2-router.ts @ 01ecde91 and dbt-service-token-rotation-constants.ts (id 1729405659 of the stored text).
#[tokio::test]
async fn the_options_name_the_types_that_the_server_has() {
    let (emulator, _) = start(Options::default()).await;
    let options = Client::new(&emulator).get("/api/v2/secret-rotations/options").await;
    let list = options.body["secretRotationOptions"].as_array().unwrap();
    assert!(list.contains(&json!({
        "name": "DBT Service Token",
        "connection": "dbt",
        "type": "dbt-service-token",
        "template": {"secretsMapping": {"serviceToken": "DBT_SERVICE_TOKEN"}},
    })));
    assert_eq!(options.header("x-ratelimit-limit"), Some("60"));
}

// I secret-rotation-v2-endpoints.ts @ 02fdd1de (`readLimit`, `writeLimit`): each route has a window of its own.
#[tokio::test]
async fn each_route_of_rotations_has_its_own_limit() {
    let limits = RateLimits { reads: 2, writes: 3, ..RateLimits::default() };
    let (emulator, connection) = start(Options { rate_limits: Some(limits), ..Options::default() }).await;
    let client = Client::new(&emulator);
    let made = rotation(&client.post(ROTATIONS, valid_rotation(&connection)).await);
    let path = path_of(&made);
    for (method, path, limit, left) in [
        ("GET", format!("{ROTATIONS}?projectId={PROJECT_ID}"), "2", "1"),
        ("GET", format!("/api/v2/secret-rotations?projectId={PROJECT_ID}"), "2", "1"),
        ("GET", "/api/v2/secret-rotations/options".into(), "2", "1"),
        ("GET", path.clone(), "2", "1"),
        ("GET", by_name("orders-token"), "2", "1"),
        ("GET", format!("{path}/generated-credentials"), "2", "1"),
        ("POST", ROTATIONS.into(), "3", "1"),
        ("PATCH", path.clone(), "3", "2"),
        ("POST", format!("{path}/rotate-secrets"), "3", "2"),
        ("DELETE", path.clone(), "3", "2"),
    ] {
        let body = ["POST", "PATCH"].contains(&method) && !path.ends_with("rotate-secrets");
        let answer = client.call(method, &path, body.then(|| json!({})).as_ref()).await;
        let headers = (answer.header("x-ratelimit-limit"), answer.header("x-ratelimit-remaining"));
        assert_eq!(headers, (Some(limit), Some(left)), "{method} {path}: {}", answer.text);
    }
}

// I secret-rotation-v2-dal.ts @ 041c1f7c (`db.replicaNode()` wherever there is no transaction).
#[tokio::test]
async fn reads_of_rotations_lag_behind_where_there_is_a_replica() {
    let lag = std::time::Duration::from_millis(500);
    let (emulator, connection) = start(Options { replica_lag: lag, ..Options::default() }).await;
    let client = Client::new(&emulator);
    client.get(CONNECTIONS).await;
    tokio::time::sleep(lag + lag / 5).await;
    let made = rotation(&client.post(ROTATIONS, valid_rotation(&connection)).await);
    assert_eq!(client.get(&path_of(&made)).await.status, 404);
    assert!(client.get(&format!("{ROTATIONS}?projectId={PROJECT_ID}")).await.names().is_empty());
    let twice = client.post(ROTATIONS, valid_rotation(&connection)).await;
    assert_eq!(
        twice.refusal().2,
        "The following secrets already exist at the path \"/\": DBT_TOKEN",
        "the transaction looks again"
    );
    assert_eq!(emulator.live_service_tokens().len(), 2, "which is too late for the token");
    tokio::time::sleep(lag + lag / 5).await;
    assert_eq!(client.get(&path_of(&made)).await.status, 200);
}

// I ee/services/permission/permission-service.ts (id 1238787516 of the stored text); only states of Hanzo's server that had that
// service had rotations.
#[tokio::test]
async fn a_project_of_another_type_has_no_rotations() {
    for server in [Server::Hanzo, Server::Infisical] {
        let (emulator, connection) = start(Options { server, ..Options::default() }).await;
        emulator.state().projects[0].kind = "kms".into();
        let client = Client::new(&emulator);
        let message = "The project is of type kms. Operations of type secret-manager are not allowed.";
        let list = client.get(&format!("{ROTATIONS}?projectId={PROJECT_ID}")).await;
        assert_eq!(list.refusal(), (400, "BadRequest", message));
        let refused = client.post(ROTATIONS, valid_rotation(&connection)).await;
        assert_eq!(refused.refusal(), (400, "BadRequest", message));
        // The type comes before the membership.
        emulator.state().identities.identities[0].member_of = Some(Vec::new());
        let list = client.get(&format!("{ROTATIONS}?projectId={PROJECT_ID}")).await;
        assert_eq!(list.refusal(), (400, "BadRequest", message));
    }
}
