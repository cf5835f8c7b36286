//! Tests of what plans ask about the places of creates.

use std::time::Duration;

use serde_json::{Value, json};

use crate::kms::{
    ApiErrorKind, CancellationToken, Client, ConnectionPlace, DbtConnection, Error, Forecast, Scope,
    test_server::{Reply, Server},
};

const ROUTE: &str = "/api/v1/app-connections/dbt";

fn shown(id: &str, project_id: &str) -> Value {
    json!({
        "id": id, "name": format!("name-{id}"), "projectId": project_id, "description": null, "version": 1,
        "orgId": "org-1", "createdAt": "2026-01-01T00:00:00.000Z", "updatedAt": "2026-01-01T00:00:00.000Z",
        "credentialsHash": "aa", "app": "dbt", "method": "api-token",
        "credentials": {"instanceUrl": "https://x", "accountId": "1"},
    })
}

/// A KMS with the connection `id-P` in each project P, named `name-id-P`.
async fn server() -> Server {
    Server::start(|seen, _| {
        let (path, query) = seen.target.split_once('?').unwrap_or((&seen.target, ""));
        match (seen.method.as_str(), path) {
            ("GET", ROUTE) => {
                let projects = match query.strip_prefix("projectId=") {
                    Some(project) => vec![project.to_owned()],
                    None => (0..9).map(|number| format!("p{number}")).collect(),
                };
                let objects: Vec<_> =
                    projects.iter().map(|project| shown(&format!("id-{project}"), project)).collect();
                Reply::json(200, json!({"appConnections": objects})).after(Duration::from_millis(50))
            }
            ("DELETE", _) => Reply::json(200, json!({"appConnection": shown("id-p0", "p0")})),
            _ => Reply::not_found(),
        }
    })
    .await
}

async fn check(client: &Client, project: &str, name: &str) -> Result<Forecast<DbtConnection>, Error> {
    let place = ConnectionPlace::new(name, Some(project));
    client.operation(CancellationToken::new()).forecast(Scope::Project(project), Some(&place)).await
}

/// The queries of the lists.
fn lists(server: &Server) -> Vec<String> {
    let seen = server.seen().into_iter().filter(|seen| seen.method == "GET");
    seen.map(|seen| seen.target.replace(ROUTE, "")).collect()
}

#[tokio::test(start_paused = true)]
async fn checks_in_one_project_share_one_list() {
    let server = server().await;
    let client = server.client();
    let checks = (0..40).map(|number| {
        let client = client.clone();
        tokio::spawn(async move { check(&client, "p0", &format!("new-{number}")).await })
    });
    for check in checks.collect::<Vec<_>>() {
        assert_eq!(check.await.unwrap().unwrap(), Forecast::Free);
    }
    // Long after, too.
    tokio::time::sleep(Duration::from_secs(300)).await;
    let Forecast::Taken(existing) = check(&client, "p0", "name-id-p0").await.unwrap() else {
        panic!("the name is taken")
    };
    assert_eq!((existing.id.as_str(), lists(&server)), ("id-p0", vec!["?projectId=p0".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn checks_in_many_projects_share_the_list_of_all() {
    let server = server().await;
    let client = server.client();
    for number in 0..8 {
        let project = format!("p{number}");
        let name = format!("name-id-{project}");
        assert!(matches!(check(&client, &project, &name).await.unwrap(), Forecast::Taken(_)), "{project}");
    }
    let expected: Vec<_> = (0..5).map(|number| format!("?projectId=p{number}")).collect();
    assert_eq!(lists(&server), [&expected[..], &[String::new()]].concat());
}

#[tokio::test(start_paused = true)]
async fn a_failed_list_is_requested_once_for_all_checks() {
    let server = Server::start(|_, _| Reply::error(404, "NotFound", "Project with p0 not found")).await;
    let client = server.client();
    for _ in 0..20 {
        let error = check(&client, "p0", "new").await.unwrap_err();
        assert_eq!(error.api_kind(), Some(ApiErrorKind::UnknownProject));
    }
    assert_eq!(lists(&server).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_permission_to_list_nothing_is_known() {
    let server =
        Server::start(|_, _| Reply::error(403, "PermissionDenied", "You are not allowed to read")).await;
    let client = server.client();
    for _ in 0..20 {
        assert_eq!(check(&client, "p0", "new").await.unwrap(), Forecast::Unknown);
    }
    assert_eq!(lists(&server).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_object_leaves_its_place_free() {
    let server = server().await;
    let client = server.client();
    assert!(matches!(check(&client, "p0", "name-id-p0").await.unwrap(), Forecast::Taken(_)));
    client.operation(CancellationToken::new()).delete::<DbtConnection>("id-p0", ()).await.unwrap();
    assert_eq!(check(&client, "p0", "name-id-p0").await.unwrap(), Forecast::Free);
}
