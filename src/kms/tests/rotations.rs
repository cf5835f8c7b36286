//! Tests of what is special about rotations: creates aren't repeated, deletions have options, and they rotate.

use crate::kms::{
    ApiErrorKind, ListScope, NewServiceTokenRotation, Object as _, PermissionGrant, Reason, RotationDeletion,
    RotationPlace, ServiceTokenRotation, ServiceTokenRotationPatch, TimeOfDay, TokenParameters,
    test_server::{Reply, Seen, Server, is_login},
};
use serde_json::{Value, json};

const ROUTE: &str = "/api/v2/secret-rotations/dbt-service-token";
const NAMED: &str = "/api/v2/secret-rotations/dbt-service-token/rotation-name/orders?projectId=p&environment=prod&secretPath=%2F";

fn new() -> NewServiceTokenRotation {
    NewServiceTokenRotation {
        place: RotationPlace {
            name: "orders".into(),
            project_id: "p".into(),
            environment: "prod".into(),
            secret_path: "/".into(),
        },
        description: None,
        connection_id: "c".into(),
        is_auto_rotation_enabled: true,
        rotation_interval: 30,
        rotate_at_utc: TimeOfDay::default(),
        parameters: parameters(&["job_admin", "developer"]),
        secret_name: "DBT_TOKEN".into(),
    }
}

fn parameters(sets: &[&str]) -> TokenParameters {
    let grant = |set: &&str| PermissionGrant { permission_set: (*set).to_owned(), project_id: None };
    TokenParameters { token_name: "orders".into(), permission_grants: sets.iter().map(grant).collect() }
}

fn shown(rotated_at: &str) -> Value {
    json!({
        "id": "r-1", "name": "orders", "projectId": "p", "description": null, "type": "dbt-service-token",
        "connectionId": "c", "environment": {"slug": "prod", "name": "Prod"}, "folder": {"id": "f", "path": "/"},
        "isAutoRotationEnabled": true, "rotationInterval": 30, "rotateAtUtc": {"hours": 0, "minutes": 0},
        "parameters": {"tokenName": "orders", "permissionGrants": [{"permissionSet": "developer"}, {"permissionSet": "job_admin"}]},
        "secretsMapping": {"serviceToken": "DBT_TOKEN"}, "rotationStatus": "success", "lastRotationMessage": null,
        "lastRotatedAt": rotated_at, "nextRotationAt": null, "createdAt": rotated_at, "updatedAt": rotated_at,
    })
}

fn one(rotation: Value) -> Reply {
    Reply::json(200, json!({"secretRotation": rotation}))
}

#[tokio::test(start_paused = true)]
async fn the_message_of_a_rotation_has_no_secrets_and_is_on_one_line() {
    let server = Server::start(|seen, _| {
        let mut rotation = shown("2026-01-01T00:00:00.000Z");
        rotation["lastRotationMessage"] = json!("\u{1b}[31mdbt refused client-secret-1");
        let is_list = seen.target.starts_with(&format!("{ROUTE}?"));
        let all = json!({ "secretRotations": [rotation] });
        if is_list { Reply::json(200, all) } else { one(rotation) }
    })
    .await;
    let read = server.operation().get::<ServiceTokenRotation>("r-1").await.unwrap();
    let mut listed = server.operation().list::<ServiceTokenRotation>(ListScope::Project("p")).await.unwrap();
    let expected = Some(r"\u{1b}[31mdbt refused (redacted)".to_owned());
    assert_eq!(read.last_rotation_message, expected);
    assert_eq!(listed.objects.remove(0).last_rotation_message, expected);
}

#[tokio::test(start_paused = true)]
async fn no_text_of_a_rotation_keeps_a_secret() {
    for field in [
        "/name",
        "/description",
        "/projectId",
        "/connectionId",
        "/environment/slug",
        "/folder/path",
        "/parameters/tokenName",
        "/parameters/permissionGrants/1/permissionSet",
        "/secretsMapping/serviceToken",
        "/rotationStatus",
        "/lastRotationMessage",
        "/lastRotatedAt",
        "/nextRotationAt",
        "/createdAt",
        "/updatedAt",
    ] {
        let server = Server::start(move |seen, _| {
            let mut rotation = shown("2026-01-01T00:00:00.000Z");
            *rotation.pointer_mut(field).unwrap() = json!("x-client-secret-1");
            let is_list = seen.target.starts_with(&format!("{ROUTE}?"));
            let all = json!({ "secretRotations": [rotation] });
            if is_list { Reply::json(200, all) } else { one(rotation) }
        })
        .await;
        let read = server.operation().get::<ServiceTokenRotation>("r-1").await.unwrap();
        let listed = server.operation().list::<ServiceTokenRotation>(ListScope::Project("p")).await.unwrap();
        for rotation in [format!("{read:?}"), format!("{:?}", listed.objects[0])] {
            let is_redacted = !rotation.contains("client-secret-1") && rotation.contains("(redacted");
            assert!(is_redacted, "{field}: {rotation}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_in_the_name_does_not_make_a_create_look_like_another_one() {
    let server = Server::start(|_, _| {
        let mut rotation = shown("2026-01-01T00:00:00.000Z");
        rotation["name"] = json!("client-secret-1");
        one(rotation)
    })
    .await;
    let mut new = new();
    new.place.name = "client-secret-1".to_owned();
    let created = server.operation().create::<ServiceTokenRotation>(&new, None).await.unwrap();
    assert_eq!(created.id, "r-1");
    assert_eq!((server.count("POST"), server.count("GET")), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn an_entry_of_a_list_whose_id_has_a_secret_is_left_out() {
    let server = Server::start(|_, _| {
        let mut rotation = shown("2026-01-01T00:00:00.000Z");
        rotation["id"] = json!("client-secret-1");
        Reply::json(200, json!({"secretRotations": [rotation, shown("2026-01-01T00:00:00.000Z")]}))
    })
    .await;
    let listed = server.operation().list::<ServiceTokenRotation>(ListScope::Project("p")).await.unwrap();
    assert_eq!((listed.objects.len(), listed.unreadable), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_create_that_may_have_left_a_token_at_dbt_is_looked_up_and_not_repeated() {
    let replies: [fn() -> Reply; 3] = [
        || Reply::error(500, "InternalServerError", "Something went wrong"),
        || Reply::html(504),
        Reply::close,
    ];
    for reply in replies {
        let server = Server::start(move |seen: &Seen, _| match seen.method.as_str() {
            "POST" => reply(),
            _ => Reply::error(
                404,
                "NotFound",
                "Could not find DBT Service Token Rotation with name \"orders\"",
            ),
        })
        .await;
        let failed = server.operation().create::<ServiceTokenRotation>(&new(), None).await.unwrap_err();
        assert!(failed.error().may_have_changed_something(), "{failed:?}");
        assert_eq!(server.count("POST"), 1, "{failed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_create_is_recognized_whatever_the_order_of_its_grants() {
    let server = Server::start(move |seen: &Seen, clock| match seen.method.as_str() {
        "POST" => Reply::close(),
        _ if seen.is("GET", NAMED) => one(shown(&clock.stamp())),
        _ => panic!("{seen:?}"),
    })
    .await;
    let created = server.operation().create::<ServiceTokenRotation>(&new(), None).await.unwrap();
    assert_eq!(created.id(), "r-1");
}

#[tokio::test(start_paused = true)]
async fn a_server_without_rotations_is_recognized_at_once() {
    let message = "Route POST:/api/v2/secret-rotations/dbt-service-token not found";
    let body = json!({"statusCode": 404, "error": "Not Found", "message": message});
    let server = Server::start(move |_, _| Reply::json(404, body.clone())).await;
    let failed = server.operation().create::<ServiceTokenRotation>(&new(), None).await.unwrap_err();
    assert!(matches!(failed.error().reason(), Some(Reason::NoRoute)), "{failed:?}");
    assert!(!failed.error().may_have_changed_something());
    assert_eq!(server.seen().iter().filter(|seen| !is_login(seen)).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_deletion_says_what_becomes_of_tokens_and_secret() {
    for (deletion, query) in [
        (
            RotationDeletion { revoke_tokens: true, delete_secret: true },
            "deleteSecrets=true&revokeGeneratedCredentials=true",
        ),
        (RotationDeletion::default(), "deleteSecrets=false&revokeGeneratedCredentials=false"),
    ] {
        let server = Server::start(move |seen: &Seen, _| {
            assert!(seen.is("DELETE", &format!("{ROUTE}/r-1?{query}")), "{seen:?}");
            one(shown("2026-01-01T00:00:00.000Z"))
        })
        .await;
        server.operation().delete::<ServiceTokenRotation>("r-1", deletion).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_sends_only_what_changes() {
    let server = Server::start(|seen: &Seen, _| {
        assert_eq!(seen.json(), json!({"description": null, "rotationInterval": 7}));
        one(shown("2026-01-01T00:00:00.000Z"))
    })
    .await;
    let patch = ServiceTokenRotationPatch {
        description: Some(None),
        rotation_interval: Some(7),
        ..ServiceTokenRotationPatch::default()
    };
    server.operation().update::<ServiceTokenRotation>("r-1", &patch).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn rotating_now_is_sent_once_and_looked_up_if_its_response_is_lost() {
    for is_found in [true, false] {
        let server = Server::start(move |seen: &Seen, _| match seen.method.as_str() {
            "POST" => Reply::close(),
            _ if is_found && seen.earlier > 0 => one(shown("2026-01-02T00:00:00.000Z")),
            _ => one(shown("2026-01-01T00:00:00.000Z")),
        })
        .await;
        let result = server.operation().rotate_service_token("r-1").await;
        assert_eq!(result.is_ok(), is_found);
        assert_eq!(server.count("POST"), 1);
        if let Err(failed) = result {
            assert!(failed.may_have_changed_something());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_rotation_is_told_apart_from_other_faults_and_never_repeated() {
    let message = "Hanzo KMS encountered an issue while generating credentials with the configured inputs: Invalid token.";
    let server = Server::start(move |seen: &Seen, _| match seen.method.as_str() {
        "POST" => Reply::error(500, "InternalServerError", message),
        _ => one(shown("2026-01-01T00:00:00.000Z")),
    })
    .await;
    let failed = server.operation().rotate_service_token("r-1").await.unwrap_err();
    assert_eq!(failed.api_kind(), Some(ApiErrorKind::RotationFailed));
    assert_eq!((server.count("POST"), server.count("GET")), (1, 1));
}
