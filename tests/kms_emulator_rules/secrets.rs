//! One secret, over both of its routes.

use kms_emulator::{
    CLIENT_ID, CLIENT_SECRET, Credentials, Emulator, IDENTITY_ID, OTHER_PROJECT_ID, Options, PROJECT_ID,
    ROTATIONS, Routes, Server, StoredSecret,
    identities::{Action, Identity, Scope},
};
use serde_json::{Value, json};

use crate::client::{Answer, Client, valid_rotation};

fn secret() -> StoredSecret {
    StoredSecret {
        workspace_id: PROJECT_ID.into(),
        environment: "prod".into(),
        path: "/".into(),
        name: "DBT TOKEN".into(),
        value: "dbtu_kept".into(),
        metadata: vec![("owner".into(), "data".into())],
    }
}

fn identity() -> Identity {
    Identity::new(IDENTITY_ID, CLIENT_ID, CLIENT_SECRET)
}

// H server/routes/v3/deprecated-secret-router.ts @ 10f68057, I server/config/rateLimiter.ts @ 69acdd0d.
#[tokio::test]
async fn a_secret_needs_its_project_and_environment_and_has_defaults_for_the_rest() {
    let emulator = Emulator::start(Options::default()).await;
    emulator.state().secrets.push(secret());
    let client = Client::new(&emulator);
    let get = async |query: &str| client.get(&format!("/api/v3/secrets/raw/DBT%20TOKEN?{query}")).await;
    let whole = format!("workspaceId={PROJECT_ID}&environment=prod&secretPath=%2F&type=shared");
    let found = get(&whole).await;
    assert_eq!(found.body["secret"]["secretValue"], "dbtu_kept");
    assert_eq!(found.body["secret"]["secretValueHidden"], json!(false));
    assert_eq!(found.body["secret"]["secretMetadata"], json!([{"key": "owner", "value": "data"}]));
    assert_eq!(found.header("x-ratelimit-limit"), Some("40"));
    assert_eq!(get(&format!("workspaceId={PROJECT_ID}&environment=prod")).await.status, 200);
    let missing = get(&format!("workspaceId={PROJECT_ID}")).await;
    assert_eq!(missing.refusal(), (400, "BadRequest", "Missing environment"));
    assert_eq!(
        get("environment=prod").await.refusal(),
        (400, "BadRequest", "You must provide workspaceSlug or workspaceId")
    );
    let odd = get(&format!("{whole}x")).await;
    assert_eq!(
        odd.issues(),
        ["type: Invalid enum value. Expected 'shared' | 'personal', received 'sharedx'"]
    );
}

// I services/secret-v2-bridge/secret-v2-bridge-service.ts (id 1252749514 of the stored text) and
// services/project-bot/project-bot-fns.ts (id 1973759392).
#[tokio::test]
async fn a_secret_that_is_missing_or_may_not_be_seen_is_refused_in_its_own_words() {
    for server in [Server::Hanzo, Server::Infisical] {
        let start =
            |identity| Emulator::start(Options { server, identities: vec![identity], ..Options::default() });
        let path = |project: &str, name: &str| {
            format!("/api/v3/secrets/raw/{name}?workspaceId={project}&environment=prod")
        };
        let emulator = start(identity().without(Action::ReadSecret, Scope::Everywhere)).await;
        emulator.state().secrets.push(secret());
        let client = Client::new(&emulator);
        let unseen = "You do not have permission to view secret value on secret with name 'DBT TOKEN'";
        let refused = client.get(&path(PROJECT_ID, "DBT%20TOKEN")).await;
        assert_eq!(refused.refusal(), (403, "ForbiddenReadSecretError", unseen));
        let missing = client.get(&path(PROJECT_ID, "NONE")).await;
        assert_eq!(missing.refusal(), (404, "NotFound", "Secret with name 'NONE' not found"));
        let unknown = "Project with ID 'nope' not found during bot lookup. \
            Are you sure you are using the correct project ID?";
        assert_eq!(client.get(&path("nope", "NONE")).await.refusal(), (404, "NotFound", unknown));

        let emulator = start(identity().only_in(&[OTHER_PROJECT_ID])).await;
        let refused = Client::new(&emulator).get(&path(PROJECT_ID, "NONE")).await;
        let expected = match server {
            Server::Hanzo => (403, "PermissionDenied", "You are not allowed to describeSecret on secrets"),
            Server::Infisical => {
                (403, "You are not member of this project", "You are not allowed to access this resource")
            }
        };
        assert_eq!(refused.refusal(), expected);
    }
}

fn older(name: &str, query: &str) -> String {
    format!("/api/v3/secrets/raw/{name}?workspaceId={PROJECT_ID}&environment=prod{query}")
}

fn newer(name: &str, query: &str) -> String {
    format!("/api/v4/secrets/{name}?projectId={PROJECT_ID}&environment=prod{query}")
}

fn found(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.body["secret"].clone()
}

// H server/routes/v4/secret-router.ts @ 25fbc161 and I @ 03e75b25 (`projectId` is required by the schema, an empty one by the
// handler), H server/routes/v3/deprecated-secret-router.ts @ 10f68057.
#[tokio::test]
async fn the_newer_route_names_the_project_in_another_way() {
    let emulator = Emulator::start(Options::default()).await;
    emulator.state().secrets.push(secret());
    let client = Client::new(&emulator);
    let of_older = client.get(&older("DBT%20TOKEN", "")).await;
    let of_newer = client.get(&newer("DBT%20TOKEN", "&secretPath=%2F&type=shared")).await;
    assert_eq!(found(&of_older)["secretValue"], "dbtu_kept");
    for field in ["id", "secretKey", "secretValue", "version", "workspace", "environment", "secretPath"] {
        assert_eq!(found(&of_older)[field], found(&of_newer)[field], "{field}");
    }
    assert_eq!(of_newer.header("x-ratelimit-limit"), Some("40"));
    let get = async |query: &str| client.get(&format!("/api/v4/secrets/X?{query}")).await;
    assert_eq!(get(&format!("workspaceId={PROJECT_ID}")).await.issues(), ["projectId: Required"]);
    assert_eq!(
        get("viewSecretValue=no&type=own&version=v1").await.issues(),
        [
            "projectId: Required",
            "version: Expected number, received nan",
            "type: Invalid enum value. Expected 'shared' | 'personal', received 'own'",
            "viewSecretValue: Invalid enum value. Expected 'true' | 'false', received 'no'",
        ]
    );
    assert_eq!(
        get("projectId=&environment=prod").await.refusal(),
        (400, "BadRequest", "You must provide  workspaceId")
    );
    assert_eq!(
        get(&format!("projectId={PROJECT_ID}")).await.refusal(),
        (400, "BadRequest", "Missing environment")
    );
    assert_eq!(
        client.get(&older("X", "").replace("workspaceId", "projectId")).await.refusal(),
        (400, "BadRequest", "You must provide workspaceSlug or workspaceId")
    );
}

// I ee/services/permission/permission-service.ts (id 1238787516 of the stored text) compares the type of the project, H
// services/permission/permission-service.ts @ 154dfe38 doesn't.
#[tokio::test]
async fn at_infisical_only_a_project_of_another_type_has_no_secrets() {
    for (server, refusal) in [
        (Server::Hanzo, (404, "NotFound", "Secret with name 'X' not found")),
        (
            Server::Infisical,
            (
                400,
                "BadRequest",
                "The project is of type kms. Operations of type secret-manager are not allowed.",
            ),
        ),
    ] {
        let emulator = Emulator::start(Options { server, ..Options::default() }).await;
        emulator.state().projects[0].kind = "kms".into();
        let client = Client::new(&emulator);
        for path in [older("X", ""), newer("X", "")] {
            assert_eq!(client.get(&path).await.refusal(), refusal, "{path}");
        }
    }
}

// The routers above: both of the stored trees of Hanzo's have both, servers from before the newer one have the older one only.
#[tokio::test]
async fn a_secret_is_read_over_the_routes_that_the_server_has() {
    for (secret_routes, has_older, has_newer) in
        [(Routes::Both, true, true), (Routes::Older, true, false), (Routes::Newer, false, true)]
    {
        let emulator = Emulator::start(Options { secret_routes, ..Options::default() }).await;
        emulator.state().secrets.push(secret());
        let client = Client::new(&emulator);
        for (path, there) in [(older("DBT%20TOKEN", ""), has_older), (newer("DBT%20TOKEN", ""), has_newer)] {
            let answer = client.get(&path).await;
            assert_eq!(answer.status, if there { 200 } else { 404 }, "{secret_routes:?} {path}");
            let message = format!("Route GET:{path} not found");
            assert_eq!(answer.body["message"] == json!(message), !there, "{secret_routes:?} {path}");
        }
    }
}

// I services/secret-v2-bridge/secret-v2-bridge-service.ts (id 1252749514 of the stored text: `getSecretByName`): the folder is
// looked for first, and the name of its error is that of the operation.
#[tokio::test]
async fn a_folder_that_is_missing_is_told_from_a_secret_that_is() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    for path in [older("X", "&secretPath=%2Fnone%2F"), newer("X", "&secretPath=%2Fnone")] {
        let message = "Folder with path '/none' in environment with slug 'prod' not found";
        assert_eq!(client.get(&path).await.refusal(), (404, "GetSecretByName", message));
        let elsewhere = client.get(&path.replace("prod", "qa")).await;
        assert_eq!((elsewhere.status, elsewhere.refusal().1), (404, "GetSecretByName"));
        emulator.make_folder(PROJECT_ID, "prod", "/none");
        let message = "Secret with name 'X' not found";
        assert_eq!(client.get(&path).await.refusal(), (404, "NotFound", message));
        emulator.state().folders.clear();
    }
    let odd = client.get(&newer("X", "&secretPath=%2Fa.b")).await;
    assert_eq!(
        odd.refusal(),
        (
            400,
            "BadRequest",
            "Invalid secret path. Only alphanumeric characters, dashes, and underscores are allowed."
        )
    );
}

// As above, and secret-v2-bridge-fns.ts (id 1426530480 of the stored text: `reshapeBridgeSecret`, and the mask in secret-fns.ts, id
// 1707866049). The right to the value is asked for only by who wants to see it.
#[tokio::test]
async fn a_value_that_is_not_asked_for_is_hidden() {
    let identities = vec![identity().without(Action::ReadSecret, Scope::Everywhere)];
    let emulator = Emulator::start(Options { identities, ..Options::default() }).await;
    emulator.state().secrets.push(secret());
    let client = Client::new(&emulator);
    for path in [older("DBT%20TOKEN", "&viewSecretValue="), newer("DBT%20TOKEN", "&viewSecretValue=")] {
        let hidden = found(&client.get(&format!("{path}false")).await);
        assert_eq!(hidden["secretValue"], "<hidden-by-infisical>");
        assert_eq!(hidden["secretValueHidden"], json!(true));
        assert_eq!(client.get(&format!("{path}true")).await.refusal().1, "ForbiddenReadSecretError");
        assert_eq!(
            client.get(&format!("{path}0")).await.issues(),
            ["viewSecretValue: Invalid enum value. Expected 'true' | 'false', received '0'"]
        );
        let denied = emulator.state().identities.identities[0].denied.clone();
        emulator.state().identities.identities[0].denied.clear();
        assert_eq!(found(&client.get(&format!("{path}true")).await)["secretValueHidden"], json!(false));
        let describe =
            kms_emulator::identities::Denial { action: Action::DescribeSecret, scope: Scope::Everywhere };
        emulator.state().identities.identities[0].denied.push(describe);
        let refused = client.get(&format!("{path}false")).await;
        assert_eq!(
            refused.refusal(),
            (403, "PermissionDenied", "You are not allowed to describeSecret on secrets")
        );
        emulator.state().identities.identities[0].denied = denied;
    }
}

// As above: a pinned version is looked for by the name that it had. I ee/services/secret-rotation-v2/secret-rotation-v2-service.ts @
// 01ecde91: a rotation and a change of the name write a version each (`increment("version", 1)` in `bulkUpdate`, id 54632897105).
#[tokio::test]
async fn the_secret_of_a_rotation_has_a_version_for_each_write() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    let connection = emulator.create("orders", None, &Credentials::new("https://au.dbt.com", "1", "dbtc_x"));
    let id = emulator.create_rotation(&valid_rotation(&connection));
    let path = format!("{ROTATIONS}/{id}");
    let tokens = || emulator.service_tokens().into_iter().map(|token| token.token).collect::<Vec<_>>();
    client.call("POST", &format!("{path}/rotate-secrets"), None).await;
    let rename = json!({"secretsMapping": {"serviceToken": "RENAMED"}});
    client.call("PATCH", &path, Some(&rename)).await;
    client.call("POST", &format!("{path}/rotate-secrets"), None).await;
    let [first, second, third] = &tokens()[..] else { panic!("three tokens") };
    for route in [older, newer] {
        let current = found(&client.get(&route("RENAMED", "")).await);
        assert_eq!(current["secretValue"], third.as_str());
        assert_eq!(current["version"], json!(4));
        assert_eq!((&current["isRotatedSecret"], &current["rotationId"]), (&json!(true), &json!(id)));
        for (name, version, value) in [
            ("DBT_TOKEN", 1, Some(first)),
            ("DBT_TOKEN", 2, Some(second)),
            ("DBT_TOKEN", 3, None),
            ("RENAMED", 2, None),
            ("RENAMED", 3, Some(second)),
            ("RENAMED", 4, Some(third)),
            ("RENAMED", 5, None),
            ("RENAMED", 0, None),
        ] {
            let answer = client.get(&route(name, &format!("&version={version}"))).await;
            match value {
                None => assert_eq!(answer.status, 404, "{name} {version}"),
                Some(value) => {
                    assert_eq!(found(&answer)["secretValue"], value.as_str(), "{name} {version}");
                    assert_eq!(found(&answer)["version"], json!(version));
                }
            }
        }
        assert_eq!(client.get(&route("DBT_TOKEN", "")).await.status, 404);
        assert_eq!(
            client.get(&route("RENAMED", "&version=x")).await.issues(),
            ["version: Expected number, received nan"]
        );
        assert_eq!(
            client.get(&route("RENAMED", "&version=1.5")).await.refusal(),
            (500, "Find one", "Something went wrong")
        );
    }
    client.call("DELETE", &path, None).await;
    let plain = found(&client.get(&newer("RENAMED", "")).await);
    assert_eq!(plain["secretValue"], third.as_str(), "it stays as a plain secret");
    assert_eq!(plain.get("isRotatedSecret"), None);
    let again = client.post(ROTATIONS, {
        let mut body = valid_rotation(&connection);
        body["secretsMapping"] = rename["secretsMapping"].clone();
        body
    });
    assert_eq!(again.await.status, 400, "and is in the way of the next rotation");
}
