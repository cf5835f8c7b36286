//! Projects.

use kms_emulator::{
    CLIENT_ID, CLIENT_SECRET, Emulator, IDENTITY_ID, OTHER_PROJECT_ID, Options, PROJECT_ID, Routes, Server,
    identities::Identity,
};
use serde_json::{Value, json};

use crate::client::Client;

fn identity() -> Identity {
    Identity::new(IDENTITY_ID, CLIENT_ID, CLIENT_SECRET)
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
        for path in [
            "/api/v1/projects/slug/analytics".to_owned(),
            "/api/v2/workspace/analytics".to_owned(),
            format!("/api/v1/projects/{PROJECT_ID}"),
        ] {
            let answer = client.get(&path).await;
            assert_eq!((answer.status, &answer.body["error"]), (status, &error), "{path}");
        }
        let list = client.get("/api/v1/projects").await;
        assert_eq!(list.body["projects"][0]["name"], json!("platform"));
        assert_eq!(list.body["projects"].as_array().unwrap().len(), 1);
    }
}

// H server/routes/v2/deprecated-project-router.ts @ 45957ac8 ("moved to GET /v1/projects/slug/:slug"): the same answer, over both
// routes. Before the newer ones, there were the older ones only. By ID: I server/routes/v1/deprecated-project-router.ts (id
// 1244411798 of the stored text).
#[tokio::test]
async fn a_project_is_found_over_the_routes_that_the_server_has() {
    let older = "/api/v2/workspace/analytics";
    let newer = "/api/v1/projects/slug/analytics";
    for (project_routes, has_older, has_newer) in
        [(Routes::Both, true, true), (Routes::Older, true, false), (Routes::Newer, false, true)]
    {
        let emulator = Emulator::start(Options { project_routes, ..Options::default() }).await;
        let client = Client::new(&emulator);
        for (path, there) in [
            (older, has_older),
            (newer, has_newer),
            ("/api/v1/projects", has_newer),
            (&*format!("/api/v1/projects/{PROJECT_ID}"), has_newer),
            (&*format!("/api/v1/workspace/{PROJECT_ID}"), has_older),
        ] {
            let answer = client.get(path).await;
            assert_eq!(answer.status, if there { 200 } else { 404 }, "{project_routes:?} {path}");
            let message = format!("Route GET:{path} not found");
            assert_eq!(answer.body["message"] == json!(message), !there, "{project_routes:?} {path}");
        }
        if project_routes == Routes::Both {
            assert_eq!(client.get(older).await.body, client.get(newer).await.body);
            let of_older = client.get(&format!("/api/v1/workspace/{PROJECT_ID}")).await;
            let of_newer = client.get(&format!("/api/v1/projects/{PROJECT_ID}")).await;
            assert_eq!(of_older.body["workspace"], of_newer.body["project"]);
        }
        if has_older {
            assert_eq!(
                client.get("/api/v2/workspace/nope").await.refusal(),
                (404, "NotFound", "Project with slug 'nope' not found")
            );
            assert_eq!(
                client.get("/api/v1/workspace/nope").await.refusal(),
                (404, "NotFound", "Project with ID 'nope' not found")
            );
            assert_eq!(
                client.get("/api/v2/workspace/No%20Slug").await.issues(),
                ["slug: Slug field can only contain lowercase letters, numbers, and hyphens"]
            );
            assert_eq!(client.get(older).await.header("x-ratelimit-limit"), Some("60"));
        }
    }
}
