//! Projects, and the one secret that the provider reads.

use serde_json::{Value, json};

use crate::{
    client::Client,
    kms_emulator::{
        CLIENT_ID, CLIENT_SECRET, Emulator, IDENTITY_ID, OTHER_PROJECT_ID, Options, PROJECT_ID, Server,
        StoredSecret,
        identities::{Action, Identity, Scope},
    },
};

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

// H server/routes/v1/project-router.ts @ 06916e71, services/project/project-service.ts @ 06916e71 (`getAProject`), I
// services/project/project-dal.ts @ 4af40163.
#[tokio::test]
async fn a_project_is_found_by_slug_and_by_id() {
    let emulator = Emulator::start(Options::default()).await;
    let client = Client::new(&emulator);
    let by_slug = client.get("/api/v1/projects/slug/analytics").await;
    assert_eq!(by_slug.body["id"], json!(PROJECT_ID));
    assert_eq!(by_slug.body["_id"], json!(PROJECT_ID));
    let by_id = client.get(&format!("/api/v1/projects/{PROJECT_ID}")).await;
    assert_eq!(by_id.body["project"], by_slug.body);
    assert_eq!(
        client.get("/api/v1/projects/slug/nope").await.refusal(),
        (404, "NotFound", "Project with slug 'nope' not found")
    );
    assert_eq!(
        client.get("/api/v1/projects/nope").await.refusal(),
        (404, "NotFound", "Project with ID 'nope' not found")
    );
    let no_slug = client.get("/api/v1/projects/slug/No%20Slug").await;
    assert_eq!(
        no_slug.issues(),
        ["slug: Slug field can only contain lowercase letters, numbers, and hyphens"]
    );
    let list = client.get("/api/v1/projects").await;
    assert_eq!(list.body["projects"].as_array().unwrap().len(), 2);
}

// `getAProject` asks for the rights and looks at none: at Hanzo that never fails, at Infisical it does for who isn't a
// member (H and I permission-service.ts, as in `rights`).
#[tokio::test]
async fn a_project_is_shown_to_who_is_not_a_member_at_hanzo_only() {
    for (server, status, error) in [
        (Server::Hanzo, 200, Value::Null),
        (Server::Infisical, 403, json!("You are not member of this project")),
    ] {
        let identities = vec![identity().only_in(&[OTHER_PROJECT_ID])];
        let emulator = Emulator::start(Options { server, identities, ..Options::default() }).await;
        let client = Client::new(&emulator);
        for path in ["/api/v1/projects/slug/analytics".to_owned(), format!("/api/v1/projects/{PROJECT_ID}")] {
            let answer = client.get(&path).await;
            assert_eq!((answer.status, &answer.body["error"]), (status, &error), "{path}");
        }
        let list = client.get("/api/v1/projects").await;
        assert_eq!(list.body["projects"][0]["name"], json!("platform"));
        assert_eq!(list.body["projects"].as_array().unwrap().len(), 1);
    }
}
