//! Connections as they are stored, shown, listed and looked up.

use std::time::Duration;

use kms_emulator::{
    CONNECTIONS, Credentials, EmptyFields, Emulator, ORG_ID, OTHER_PROJECT_ID, Options, PROJECT_ID, Server,
};
use serde_json::{Value, json};

use crate::client::{Client, valid, with};

fn of_hand() -> Credentials {
    Credentials::new("https://au.dbt.com", "1", "dbtc_x")
}

// H services/app-connection/app-connection-service.ts @ 8fca3735 and app-connection-fns.ts @ 30d09ec9
// (`credentialsHash`); the `UPDATE` always names `orgId`, so the database's trigger moves `updatedAt`; nothing writes
// `version`.
#[tokio::test]
async fn the_hash_moves_with_each_write_of_credentials_and_the_version_never() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    let created = client.create(&valid()).await.body["appConnection"].take();
    let path = format!("{CONNECTIONS}/{}", created["id"].as_str().unwrap());
    let patch =
        async |body: Value| client.call("PATCH", &path, Some(&body)).await.body["appConnection"].take();

    let renamed = patch(json!({"name": "renamed"})).await;
    assert_eq!(renamed["credentialsHash"], created["credentialsHash"]);
    assert_eq!((&created["version"], &renamed["version"]), (&json!(1), &json!(1)));
    assert!(renamed["updatedAt"].as_str() > created["updatedAt"].as_str());
    assert_eq!(renamed["createdAt"], created["createdAt"]);
    assert!(renamed["credentials"].get("apiToken").is_none());

    let untouched = patch(json!({})).await;
    assert!(untouched["updatedAt"].as_str() > renamed["updatedAt"].as_str());
    assert_eq!(untouched["credentialsHash"], created["credentialsHash"]);

    let rewritten = patch(json!({"credentials": valid()["credentials"]})).await;
    assert_ne!(rewritten["credentialsHash"], created["credentialsHash"]);
    assert_eq!(rewritten["version"], json!(1));
}

// I services/app-connection/app-connection-dal.ts (`findWithProjectDetails`, which the list alone uses) and
// app-connection-schemas.ts (`project` is `nullish`).
#[tokio::test]
async fn the_project_is_shown_in_lists_only() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    let created = client.create(&with(|body| body["projectId"] = json!(PROJECT_ID))).await;
    client.create(&valid()).await;
    assert!(created.body["appConnection"].get("project").is_none());
    let id = created.body["appConnection"]["id"].as_str().unwrap();
    let single = client.get(&format!("{CONNECTIONS}/{id}")).await;
    assert!(single.body["appConnection"].get("project").is_none());
    let list = client.get(CONNECTIONS).await;
    let projects: Vec<_> = list.body["appConnections"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["project"].clone())
        .collect();
    let shown = json!({"id": PROJECT_ID, "name": "analytics", "type": "secret-manager", "slug": "analytics"});
    assert!(projects.contains(&Value::Null) && projects.contains(&shown), "{projects:?}");
}

// I db/schemas/app-connections.ts @ 4af40163 and 05d5aa85: each of these is `nullable().optional()`.
#[tokio::test]
async fn fields_without_a_value_may_be_null_or_absent() {
    for (empty_fields, shown) in [
        (EmptyFields::AsStored, Some(json!(false))),
        (EmptyFields::Null, Some(Value::Null)),
        (EmptyFields::Absent, None),
    ] {
        let emulator = Emulator::start(Options { empty_fields, ..Options::default() }).await;
        let client = Client::new(&emulator);
        let created = client.create(&valid()).await.body["appConnection"].take();
        assert_eq!(created.get("isPlatformManagedCredentials"), shown.as_ref());
        for field in ["description", "gatewayId", "projectId"] {
            let null = (empty_fields != EmptyFields::Absent).then_some(&Value::Null);
            assert_eq!(created.get(field), null, "{field} of {empty_fields:?}");
        }
        let list = client.get(CONNECTIONS).await;
        assert_eq!(
            list.body["appConnections"][0].get("project").is_some(),
            empty_fields != EmptyFields::Absent
        );
    }
}

// I app-connection-schemas.ts @ 24aafe23 and db/schemas/app-connections.ts @ 05d5aa85, newer than Hanzo's tree.
#[tokio::test]
async fn a_newer_server_shows_more_fields() {
    for (server, more) in [(Server::Hanzo, false), (Server::Infisical, true)] {
        let emulator = Emulator::start(Options { server, ..Options::default() }).await;
        let created = Client::new(&emulator).create(&valid()).await;
        assert_eq!(created.body["appConnection"].get("isAutoRotationEnabled").is_some(), more);
    }
}

// H app-connection-service.ts @ 8fca3735 (`listAppConnections`): with a project, its connections; without one, all with
// the organization's id; in the order of lower-case names. An empty parameter is no project, as `""` is falsy.
#[tokio::test]
async fn a_list_without_a_project_is_of_the_whole_organization() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    for (name, project) in [
        ("sales", Some(PROJECT_ID)),
        ("b-1", None),
        ("orders", Some(OTHER_PROJECT_ID)),
        ("a", None),
        ("b", None),
    ] {
        emulator.create(name, project, &of_hand());
    }
    let other_app = emulator.create("other-app", None, &of_hand());
    emulator.edit(&other_app, |connection| connection.app = "github".into());
    let list = async |query: &str| client.get(&format!("{CONNECTIONS}{query}")).await;
    assert_eq!(list("").await.names(), ["a", "b", "b-1", "orders", "sales"]);
    assert_eq!(list("?projectId=").await.names(), ["a", "b", "b-1", "orders", "sales"]);
    assert_eq!(list(&format!("?projectId={PROJECT_ID}")).await.names(), ["sales"]);
    let twice = list("?projectId=a&projectId=b").await;
    assert_eq!(twice.issues(), ["projectId: Expected string, received array"]);
}

// H app-connection-service.ts @ 8fca3735 (`listAvailableAppConnectionsForUser`) and app-connection-endpoints.ts @ 4f216be5.
#[tokio::test]
async fn available_are_those_of_the_organization_and_those_of_a_project() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    emulator.create("sales", Some(PROJECT_ID), &of_hand());
    emulator.create("orders", Some(OTHER_PROJECT_ID), &of_hand());
    emulator.create("zebra", None, &of_hand());
    let available = async |query: &str| client.get(&format!("{CONNECTIONS}/available{query}")).await;
    assert_eq!(available("").await.names(), ["zebra"]);
    let of_project = available(&format!("?projectId={PROJECT_ID}")).await;
    assert_eq!(of_project.names(), ["sales", "zebra"]);
    let mut fields: Vec<_> = of_project.body["appConnections"][0].as_object().unwrap().keys().collect();
    fields.sort();
    assert_eq!(fields, ["app", "id", "name", "orgId", "projectId"]);
    let unknown = available("?projectId=nope").await;
    assert_eq!(unknown.refusal(), (404, "NotFound", "Project with ID 'nope' not found"));
}

// H app-connection-service.ts @ 8fca3735 (`findAppConnectionByName`): one scope alone, across all apps.
#[tokio::test]
async fn by_name_one_scope_is_searched_and_the_text_says_which() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    let of_organization = emulator.create("orders", None, &of_hand());
    let of_project = emulator.create("orders", Some(PROJECT_ID), &of_hand());
    emulator.create("sales", Some(PROJECT_ID), &of_hand());
    let by_name = async |rest: &str| client.get(&format!("{CONNECTIONS}/connection-name/{rest}")).await;
    assert_eq!(by_name("orders").await.body["appConnection"]["id"], json!(of_organization));
    assert_eq!(by_name("orders?projectId=").await.body["appConnection"]["id"], json!(of_organization));
    let padded = by_name(&format!("%20orders?projectId=%20{PROJECT_ID}")).await;
    assert_eq!(padded.body["appConnection"]["id"], json!(of_project));
    assert_eq!(
        by_name("sales").await.refusal(),
        (404, "NotFound", "Could not find App Connection with name sales in organization scope.")
    );
    assert_eq!(
        by_name(&format!("sales?projectId={OTHER_PROJECT_ID}")).await.refusal(),
        (404, "NotFound", "Could not find App Connection with name sales in project scope.")
    );
    emulator.edit(&of_organization, |connection| connection.app = "github".into());
    assert_eq!(
        by_name("orders").await.refusal(),
        (400, "BadRequest", "App Connection with name orders is not for App \"dbt\"")
    );
}

// H app-connection-service.ts @ 8fca3735: each operation compares the app at another place, `updateAppConnection` nowhere;
// what it returns then doesn't fit the response's schema (H server/plugins/fastify-zod.ts @ 8040b54e).
#[tokio::test]
async fn a_connection_of_another_app_is_refused_by_each_operation_in_its_own_way() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    let id = emulator.create("orders", None, &of_hand());
    emulator.edit(&id, |connection| connection.app = "github".into());
    let path = format!("{CONNECTIONS}/{id}");
    let not_for = format!("App Connection with ID {id} is not for App \"dbt\"");
    assert_eq!(client.get(&path).await.refusal(), (400, "BadRequest", not_for.as_str()));
    assert_eq!(client.call("DELETE", &path, None).await.refusal(), (400, "BadRequest", not_for.as_str()));
    let cannot = format!("github Connection with ID {id} cannot be used to connect to DBT");
    let projects = client.get(&format!("{path}/projects")).await;
    assert_eq!(projects.refusal(), (400, "BadRequest", cannot.as_str()));
    let credentials = json!({"credentials": valid()["credentials"]});
    let refused = client.call("PATCH", &path, Some(&credentials)).await;
    assert_eq!(
        refused.refusal(),
        (400, "BadRequest", "Invalid credential format for github Connection with method API Token")
    );
    let renamed = client.call("PATCH", &path, Some(&json!({"name": "renamed"}))).await;
    assert_eq!(renamed.refusal(), (500, "InternalServerError", "Something went wrong"));
    assert_eq!(emulator.connections()[0].name, "renamed", "the change was made");
}

// H app-connection-service.ts @ 8fca3735 (unique and foreign-key violations, platform managed credentials), I
// services/project/project-dal.ts @ 4af40163 (`findProjectById` throws, so the 400 after it is never reached).
#[tokio::test]
async fn the_obstacle_to_a_write_is_named() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    assert_eq!(client.create(&valid()).await.status, 200);
    assert_eq!(client.create(&with(|body| body["projectId"] = json!(PROJECT_ID))).await.status, 200);
    let taken = "An App Connection with the name \"orders\" already exists";
    assert_eq!(client.create(&valid()).await.refusal(), (400, "BadRequest", taken));
    let unknown = client.create(&with(|body| body["projectId"] = json!("nope"))).await;
    assert_eq!(unknown.refusal(), (404, "NotFound", "Project with ID 'nope' not found"));

    // An empty text is falsy to the checks, and no project to the database.
    let empty = with(|body| {
        body["name"] = json!("empty");
        body["projectId"] = json!("");
    });
    assert_eq!(client.create(&empty).await.refusal(), (500, "Create", "Something went wrong"));

    let id = emulator.create("busy", None, &of_hand());
    let path = format!("{CONNECTIONS}/{id}");
    let renamed = client.call("PATCH", &path, Some(&json!({"name": "orders"}))).await;
    assert_eq!(renamed.refusal(), (400, "BadRequest", taken));
    emulator.edit(&id, |connection| connection.in_use = true);
    assert_eq!(
        client.call("DELETE", &path, None).await.refusal(),
        (
            400,
            "BadRequest",
            "Cannot delete App Connection with existing connections. Remove all existing connections and try again."
        )
    );
    emulator.edit(&id, |connection| connection.platform_managed = true);
    let managed = "Cannot update credentials or management status for platform managed connections";
    for body in
        [json!({"credentials": valid()["credentials"]}), json!({"isPlatformManagedCredentials": false})]
    {
        let refused = client.call("PATCH", &path, Some(&body)).await;
        assert_eq!(refused.refusal(), (400, "BadRequest", managed));
    }
    assert_eq!(client.call("PATCH", &path, Some(&json!({"description": "x"}))).await.status, 200);

    let missing = format!("{CONNECTIONS}/{ORG_ID}");
    let text = format!("Could not find App Connection with ID {ORG_ID}");
    for (method, path) in
        [("GET", missing.clone()), ("DELETE", missing.clone()), ("GET", format!("{missing}/projects"))]
    {
        assert_eq!(client.call(method, &path, None).await.refusal(), (404, "NotFound", text.as_str()));
    }
    let null = with(|body| {
        body["name"] = json!("null");
        body["description"] = json!("a\u{0}b");
    });
    // I lib/knex/index.ts @ 02b28519: the error's name is the operation.
    assert_eq!(client.create(&null).await.refusal(), (500, "Create", "Something went wrong"));
}

// The column is a UUID, which the database compares without regard to case.
#[tokio::test]
async fn ids_are_compared_without_regard_to_case_and_names_with() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    let id = emulator.create("orders", None, &of_hand()).to_uppercase();
    assert_eq!(client.get(&format!("{CONNECTIONS}/{id}")).await.status, 200);
    assert_eq!(client.get(&format!("{CONNECTIONS}/connection-name/Orders")).await.status, 404);
}

// H lib/knex/index.ts @ 4f216be5: `findById`, `findOne` and `find` read from `replicaNode()`, writes and the unique index
// are of the primary database.
#[tokio::test]
async fn with_read_replicas_a_write_is_seen_later() {
    let replica_lag = Duration::from_millis(150);
    let emulator = Emulator::start(Options { replica_lag, ..Options::default() }).await;
    let client = Client::new(&emulator);
    let created = client.create(&valid()).await;
    let id = created.body["appConnection"]["id"].as_str().unwrap().to_owned();
    let path = format!("{CONNECTIONS}/{id}");
    let by_name = format!("{CONNECTIONS}/connection-name/orders");
    let rename = json!({"name": "renamed"});
    assert_eq!(client.get(CONNECTIONS).await.names(), [""; 0]);
    assert_eq!(client.get(&by_name).await.status, 404);
    assert_eq!(client.call("PATCH", &path, Some(&rename)).await.status, 404);
    assert_eq!(client.create(&valid()).await.status, 400, "the index knows the name at once");
    tokio::time::sleep(replica_lag).await;
    assert_eq!(client.get(CONNECTIONS).await.names(), ["orders"]);

    let renamed = client.call("PATCH", &path, Some(&rename)).await;
    assert_eq!(renamed.body["appConnection"]["name"], json!("renamed"));
    assert_eq!(client.get(&path).await.body["appConnection"]["name"], json!("orders"));
    tokio::time::sleep(replica_lag).await;
    assert_eq!(client.get(&path).await.body["appConnection"]["name"], json!("renamed"));

    assert_eq!(client.call("DELETE", &path, None).await.status, 200);
    assert_eq!(client.get(&path).await.status, 200);
    assert_eq!(client.call("DELETE", &path, None).await.status, 500);
    tokio::time::sleep(replica_lag).await;
    assert_eq!(client.get(&path).await.status, 404);
}
