//! Which right an operation on rotations needs.

use kms_emulator::{
    CLIENT_ID, CLIENT_SECRET, Credentials, Emulator, IDENTITY_ID, OTHER_PROJECT_ID, Options, PROJECT_ID,
    ROTATIONS, Server,
    identities::{Action, Denial, Identity, Scope},
};
use serde_json::{Value, json};

use crate::client::{Client, valid_rotation};

const ACTIONS: [(Action, &str); 6] = [
    (Action::ReadRotation, "read"),
    (Action::CreateRotation, "create"),
    (Action::EditRotation, "edit"),
    (Action::DeleteRotation, "delete"),
    (Action::RotateSecrets, "rotate-secrets"),
    (Action::ReadGeneratedCredentials, "read-generated-credentials"),
];

fn identity() -> Identity {
    Identity::new(IDENTITY_ID, CLIENT_ID, CLIENT_SECRET)
}

/// An emulator with a rotation, its connection and its id.
async fn start(server: Server, identity: Identity) -> (Emulator, String, String) {
    let emulator =
        Emulator::start(Options { server, identities: vec![identity], ..Options::default() }).await;
    let credentials = Credentials::new("https://au.dbt.com", "1", "dbtc_connection");
    let connection = emulator.create("orders", None, &credentials);
    let id = emulator.create_rotation(&valid_rotation(&connection));
    (emulator, connection, id)
}

fn by_name() -> String {
    format!("{ROTATIONS}/rotation-name/orders-token?projectId={PROJECT_ID}&environment=prod&secretPath=%2F")
}

/// Every call, with the right that it needs.
fn calls(connection: &str, id: &str) -> Vec<(&'static str, String, Option<Value>, &'static str)> {
    let path = format!("{ROTATIONS}/{id}");
    let mut other = valid_rotation(connection);
    other["name"] = json!("other");
    other["secretsMapping"]["serviceToken"] = json!("OTHER");
    vec![
        ("GET", format!("{ROTATIONS}?projectId={PROJECT_ID}"), None, "read"),
        ("GET", path.clone(), None, "read"),
        ("GET", by_name(), None, "read"),
        ("POST", ROTATIONS.into(), Some(other), "create"),
        ("PATCH", path.clone(), Some(json!({})), "edit"),
        ("GET", format!("{path}/generated-credentials"), None, "read-generated-credentials"),
        ("POST", format!("{path}/rotate-secrets"), None, "rotate-secrets"),
        ("DELETE", path, None, "delete"),
    ]
}

// I ee/services/secret-rotation-v2/secret-rotation-v2-service.ts @ 01ecde91, ee/services/permission/project-permission.ts (id
// 1291834098 of the stored text: the subject is `secret-rotation`).
#[tokio::test]
async fn each_operation_on_rotations_has_a_right_of_its_own() {
    for server in [Server::Hanzo, Server::Infisical] {
        for (action, verb) in ACTIONS {
            let lacking = identity().without(action, Scope::Everywhere);
            let (emulator, connection, id) = start(server, lacking).await;
            let client = Client::new(&emulator);
            for (method, path, body, needed) in calls(&connection, &id) {
                let answer = client.call(method, &path, body.as_ref()).await;
                if needed == verb {
                    let message = format!("You are not allowed to {verb} on secret-rotation");
                    assert_eq!(
                        answer.refusal(),
                        (403, "PermissionDenied", message.as_str()),
                        "{method} {path}"
                    );
                    assert!(answer.body["details"].is_array());
                } else {
                    assert_eq!(answer.status, 200, "{method} {path} without {verb}: {}", answer.text);
                }
            }
        }
    }
}

// As above: `getSecretRotationSubject` has the connection, the environment and the path. A list asks for the right to any
// rotation first, and leaves out what a rule of its own forbids.
#[tokio::test]
async fn rules_can_be_about_the_connection_the_environment_or_the_path() {
    let (emulator, connection, id) = start(Server::Hanzo, identity()).await;
    let client = Client::new(&emulator);
    let list = format!("{ROTATIONS}?projectId={PROJECT_ID}");
    for (scope, covers) in [
        (Scope::Connection(connection.clone()), true),
        (Scope::Environment("prod".into()), true),
        (Scope::Path("/".into()), true),
        (Scope::Connection(id.clone()), false),
        (Scope::Environment("dev".into()), false),
        (Scope::Path("/other".into()), false),
        (Scope::Project(OTHER_PROJECT_ID.into()), false),
        (Scope::Organization, false),
    ] {
        let denied = ACTIONS.map(|(action, _)| Denial { action, scope: scope.clone() });
        emulator.state().identities.identities[0].denied = denied.into();
        let expected = if covers { 403 } else { 200 };
        assert_eq!(client.get(&format!("{ROTATIONS}/{id}")).await.status, expected, "{scope:?}");
        assert_eq!(client.get(&by_name()).await.status, expected, "{scope:?}");
        assert_eq!(client.get(&list).await.names().is_empty(), covers, "{scope:?}");
        let taken = client.post(ROTATIONS, valid_rotation(&connection)).await;
        assert_eq!(taken.status, if covers { 403 } else { 400 }, "{scope:?}");
    }
}

// I services/app-connection/app-connection-service.ts (id 52457927046 of the stored text: `connectAppConnectionById`).
#[tokio::test]
async fn a_creation_needs_the_right_to_connect_too() {
    let lacking = identity().without(Action::Connect, Scope::Everywhere);
    let (emulator, connection, id) = start(Server::Hanzo, lacking).await;
    let client = Client::new(&emulator);
    let refused = client.post(ROTATIONS, valid_rotation(&connection)).await;
    assert_eq!(
        refused.refusal(),
        (403, "PermissionDenied", "You are not allowed to connect on app-connections")
    );
    // Nothing else does, not even a rotation.
    let path = format!("{ROTATIONS}/{id}");
    assert_eq!(client.call("POST", &format!("{path}/rotate-secrets"), None).await.status, 200);
    assert_eq!(
        client.call("DELETE", &format!("{path}?revokeGeneratedCredentials=true"), None).await.status,
        200
    );
    emulator.state().options.connect_known = false;
    let refused = client.post(ROTATIONS, valid_rotation(&connection)).await;
    assert_eq!(refused.refusal().2, "You are not allowed to undefined on app-connections");
}

// I secret-rotation-v2-service.ts @ 01ecde91 (`findSecretRotationByName`): the right comes after the folder and the name.
#[tokio::test]
async fn by_name_the_folder_and_the_name_are_looked_at_before_the_right() {
    let lacking = identity().without(Action::ReadRotation, Scope::Everywhere);
    let (emulator, ..) = start(Server::Hanzo, lacking).await;
    let client = Client::new(&emulator);
    assert_eq!(client.get(&by_name()).await.status, 403);
    assert_eq!(client.get(&by_name().replace("orders-token", "none")).await.status, 404);
    assert_eq!(client.get(&by_name().replace("%2F", "%2Fnone")).await.status, 400);
    assert_eq!(client.get(&by_name().replace(PROJECT_ID, "nope")).await.status, 400);
    // By id, there is nothing to look at but the rotation.
    let unknown = format!("{ROTATIONS}/00000000-0000-4000-8000-000000000000");
    assert_eq!(client.get(&unknown).await.status, 404);
}

// As in `rights`: who isn't a member, and projects that don't exist. I services/project-bot/project-bot-fns.ts (id 1973759392 of
// the stored text): the project is looked up a second time, before the right.
#[tokio::test]
async fn who_is_not_a_member_is_refused_as_for_connections() {
    for (server, status, error) in [
        (Server::Hanzo, 403, "PermissionDenied"),
        (Server::Infisical, 403, "You are not member of this project"),
    ] {
        let (emulator, connection, id) = start(server, identity().only_in(&[OTHER_PROJECT_ID])).await;
        let client = Client::new(&emulator);
        for (method, path, body, _) in calls(&connection, &id) {
            let answer = client.call(method, &path, body.as_ref()).await;
            assert_eq!((answer.status, answer.refusal().1), (status, error), "{server:?} {method} {path}");
        }
        let mut nowhere = valid_rotation(&connection);
        nowhere["projectId"] = json!("nope");
        let refused = client.post(ROTATIONS, nowhere).await;
        let message = match server {
            Server::Hanzo => {
                "Project with ID 'nope' not found during bot lookup. Are you sure you are using the correct project ID?"
            }
            Server::Infisical => "Project with nope not found",
        };
        assert_eq!(refused.refusal(), (404, "NotFound", message));
        let list = client.get(&format!("{ROTATIONS}?projectId=nope")).await;
        assert_eq!(list.status, if server == Server::Hanzo { 403 } else { 404 });
    }
}
