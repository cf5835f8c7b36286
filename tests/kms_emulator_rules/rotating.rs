//! What rotations do at dbt, on request and by the clock.

use kms_emulator::{Credentials, DbtRefusal, Emulator, Options, PROJECT_ID, ROTATIONS, Server};
use serde_json::{Value, json};
use time::{Date, Month, OffsetDateTime, Time};

use crate::client::{Answer, Client, valid_rotation};

const TOKEN: &str = "dbtc_connection";

/// An emulator with a rotation, and its path.
async fn start(server: Server) -> (Emulator, String) {
    start_with(Options { server, ..Options::default() }, |_| ()).await
}

async fn start_with(options: Options, change: impl FnOnce(&mut Value)) -> (Emulator, String) {
    let emulator = Emulator::start(options).await;
    let connection = emulator.create("orders", None, &Credentials::new("https://au.dbt.com", "1", TOKEN));
    let mut body = valid_rotation(&connection);
    change(&mut body);
    let id = emulator.create_rotation(&body);
    (emulator, format!("{ROTATIONS}/{id}"))
}

fn vendor(server: Server) -> &'static str {
    match server {
        Server::Hanzo => "Hanzo KMS",
        Server::Infisical => "Infisical",
    }
}

fn failure(server: Server, reason: &str) -> String {
    let vendor = vendor(server);
    format!("{vendor} encountered an issue while generating credentials with the configured inputs: {reason}")
}

fn live_ids(emulator: &Emulator) -> Vec<u64> {
    emulator.live_service_tokens().iter().map(|token| token.id).collect()
}

fn secret(emulator: &Emulator) -> String {
    emulator.secret_value(PROJECT_ID, "prod", "/", "DBT_TOKEN").unwrap()
}

fn token(emulator: &Emulator, id: u64) -> String {
    emulator.service_tokens().into_iter().find(|token| token.id == id).unwrap().token
}

fn rotation(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.body["secretRotation"].clone()
}

async fn rotate(client: &Client<'_>, path: &str) -> Answer {
    client.call("POST", &format!("{path}/rotate-secrets"), None).await
}

// I ee/services/secret-rotation-v2/dbt-service-token/dbt-service-token-rotation-fns.ts @ 0082b3dd: a token is made with the name and the
// grants of the parameters.
#[tokio::test]
async fn the_token_at_dbt_has_the_name_and_the_grants_of_the_parameters() {
    let (emulator, path) = start(Server::Hanzo).await;
    let [made] = &emulator.live_service_tokens()[..] else { panic!("one token") };
    assert_eq!(
        (made.host.as_str(), made.account_id.as_str(), made.name.as_str()),
        ("au.dbt.com", "1", "orders")
    );
    let grants: Vec<_> = made.grants.iter().map(|grant| grant.to_json()).collect();
    assert_eq!(json!(grants), json!([{"permissionSet": "job_admin", "projectId": 70_471}]));
    assert_eq!(secret(&emulator), made.token);
    // It is a token like any other.
    let credentials = Credentials::new("https://au.dbt.com", "1", &made.token);
    assert!(emulator.state().dbt.check(&credentials).is_ok());

    // Changed parameters are for the next one.
    let parameters = json!({"tokenName": "other", "permissionGrants": [{"permissionSet": "owner"}]});
    let client = Client::new(&emulator);
    client.call("PATCH", &path, Some(&json!({"parameters": parameters}))).await;
    assert_eq!(emulator.live_service_tokens(), std::slice::from_ref(made));
    rotate(&client, &path).await;
    let [_, second] = &emulator.live_service_tokens()[..] else { panic!("two tokens") };
    assert_eq!((second.name.as_str(), second.grants.len()), ("other", 1));
    assert_eq!(second.grants[0].to_json(), json!({"permissionSet": "owner"}));
}

// I secret-rotation-v2-service.ts @ 01ecde91 (`rotateGeneratedCredentials`): the inactive one of two is revoked and replaced.
#[tokio::test]
async fn two_tokens_live_and_the_inactive_one_is_revoked_from_the_third_on() {
    let (emulator, path) = start(Server::Hanzo).await;
    let client = Client::new(&emulator);
    let credentials = async || client.get(&format!("{path}/generated-credentials")).await.body;
    let first = credentials().await;
    assert_eq!(first["generatedCredentials"].as_array().unwrap().len(), 1);
    assert_eq!(first["activeIndex"], json!(0));
    for (active, live) in [(1, [1001, 1002]), (0, [1002, 1003]), (1, [1003, 1004])] {
        let rotated = rotation(&rotate(&client, &path).await);
        assert_eq!(rotated["activeIndex"], json!(active));
        assert_eq!(live_ids(&emulator), live);
        assert_eq!(secret(&emulator), token(&emulator, live[1]), "the newest");
        let shown = credentials().await;
        let newest = &shown["generatedCredentials"][active];
        assert_eq!(
            *newest,
            json!({"serviceToken": token(&emulator, live[1]), "tokenId": live[1], "tokenName": "orders"})
        );
        assert_eq!(shown["activeIndex"], json!(active));
        assert_eq!(shown["type"], "dbt-service-token");
        assert_eq!(shown["rotationId"].as_str(), path.rsplit('/').next());
    }
    let deleted = client.call("DELETE", &format!("{path}?revokeGeneratedCredentials=true"), None).await;
    assert_eq!(deleted.status, 200);
    assert!(live_ids(&emulator).is_empty(), "all of them");
}

// I dbt-service-token-rotation-fns.ts @ 0082b3dd: what dbt doesn't show counts as revoked.
#[tokio::test]
async fn a_token_that_is_gone_at_dbt_is_no_obstacle() {
    let (emulator, path) = start(Server::Hanzo).await;
    let client = Client::new(&emulator);
    rotate(&client, &path).await;
    emulator.state().dbt.service_tokens[0].revoked = true;
    emulator.state().dbt.refuses_to_delete = Some(DbtRefusal { status: 404, reason: String::new() });
    rotation(&rotate(&client, &path).await);
    assert_eq!(live_ids(&emulator), [1002, 1003]);
}

// H services/app-connection/dbt/dbt-connection-fns.ts @ 8040b54e (`createDbtError`, `getDbtUrl`) and I dbt-service-token-rotation-fns.ts @
// 0082b3dd. At a creation, an error that has words already keeps them.
#[tokio::test]
async fn a_creation_that_dbt_refuses_is_a_bad_request_with_dbts_words() {
    for server in [Server::Hanzo, Server::Infisical] {
        let emulator = Emulator::start(Options { server, ..Options::default() }).await;
        let client = Client::new(&emulator);
        let attempt = async |url: &str| {
            let connection = emulator.create("orders", None, &Credentials::new(url, "1", TOKEN));
            let answer = client.post(ROTATIONS, valid_rotation(&connection)).await;
            emulator.delete(&connection);
            let (status, error, message) = answer.refusal();
            assert_eq!((status, error), (400, "BadRequest"));
            message.to_owned()
        };
        let unknown_host = failure(server, "queryA ENOTFOUND dbt.example.com");
        assert_eq!(attempt("https://dbt.example.com").await, unknown_host);
        assert_eq!(attempt("https://10.0.0.1").await, "Local IPs not allowed as URL");
        emulator.refuse_service_tokens(Some(DbtRefusal { status: 403, reason: "Not for you.".into() }));
        assert_eq!(attempt("https://au.dbt.com").await, "Failed to create service token: Not for you.");
        emulator.refuse_service_tokens(Some(DbtRefusal { status: 502, reason: String::new() }));
        let bare = "Failed to create service token: Request failed with status code 502";
        assert_eq!(attempt("https://au.dbt.com").await, bare);
        emulator.revoke_at_dbt(TOKEN);
        assert_eq!(attempt("https://au.dbt.com").await, "Failed to create service token: Invalid token.");
        emulator.state().dbt.unreachable = Some("socket hang up".into());
        assert_eq!(attempt("https://au.dbt.com").await, "Failed to create service token: socket hang up");
        assert!(emulator.live_service_tokens().is_empty() && emulator.rotations().is_empty());
    }
}

// I secret-rotation-v2-service.ts @ 01ecde91 (`rotateSecretRotation`), H ee/services/secret-rotation-v2/secret-rotation-v2-fns.ts @
// b3714c0c (`parseRotationErrorMessage`), H server/plugins/error-handler.ts @ 5a78334c (`InternalServerError`).
#[tokio::test]
async fn a_failed_rotation_is_an_internal_error_and_is_recorded() {
    for server in [Server::Hanzo, Server::Infisical] {
        let (emulator, path) = start(server).await;
        let client = Client::new(&emulator);
        let id = path.rsplit('/').next().unwrap();
        emulator.edit_rotation(id, |rotation| rotation.last_attempted_at -= time::Duration::HOUR);
        let before = rotation(&client.get(&path).await);
        let value = secret(&emulator);
        emulator.refuse_service_tokens(Some(DbtRefusal { status: 403, reason: "Not for you.".into() }));
        let message = failure(server, "Failed to create service token: Not for you.");
        let failed = rotate(&client, &path).await;
        assert_eq!(failed.refusal(), (500, "InternalServerError", message.as_str()));
        let after = rotation(&client.get(&path).await);
        assert_eq!(after["rotationStatus"], "failed");
        assert_eq!(after["lastRotationMessage"], message.as_str());
        assert!(after["lastRotationAttemptedAt"].as_str() > before["lastRotationAttemptedAt"].as_str());
        for field in ["lastRotatedAt", "activeIndex", "isLastRotationManual", "lastRotationJobId"] {
            assert_eq!(after[field], before[field], "{field}");
        }
        assert_eq!(secret(&emulator), value);

        emulator.refuse_service_tokens(None);
        let healed = rotation(&rotate(&client, &path).await);
        assert_eq!(
            (&healed["rotationStatus"], &healed["lastRotationMessage"]),
            (&json!("success"), &Value::Null)
        );
        emulator.refuse_service_tokens(Some(DbtRefusal { status: 403, reason: "x".repeat(2000) }));
        let long = rotate(&client, &path).await;
        assert_eq!(long.refusal().2.len(), 1024);
        assert!(long.refusal().2.ends_with("xxx..."));
    }
}

// As above: the revocation comes first, so a failure after it leaves one token.
#[tokio::test]
async fn a_rotation_that_fails_late_has_revoked_or_made_a_token_already() {
    let (emulator, path) = start(Server::Hanzo).await;
    let client = Client::new(&emulator);
    rotate(&client, &path).await;
    emulator.refuse_service_tokens(Some(DbtRefusal { status: 403, reason: "No.".into() }));
    assert_eq!(rotate(&client, &path).await.status, 500);
    assert_eq!(live_ids(&emulator), [1002], "the inactive one is gone");
    emulator.refuse_service_tokens(None);

    let secrets = std::mem::take(&mut emulator.state().versioned_secrets);
    let failed = rotate(&client, &path).await;
    assert_eq!(failed.refusal().2, failure(Server::Hanzo, "Failed to update document"));
    assert_eq!(live_ids(&emulator), [1002, 1003], "the new one is nobody's");
    emulator.state().versioned_secrets = secrets;
    rotation(&rotate(&client, &path).await);
    assert_eq!(live_ids(&emulator), [1002, 1003, 1004]);

    emulator.revoke_at_dbt(TOKEN);
    let reason = "Failed to validate connection credentials. Are you sure your configured DBT app connection credentials are valid?";
    assert_eq!(rotate(&client, &path).await.refusal().2, failure(Server::Hanzo, reason));
}

// I secret-rotation-v2-service.ts @ 01ecde91 (`rotateSecretRotation`): the lock is looked at before anything is done.
#[tokio::test]
async fn while_one_rotation_is_under_way_another_is_a_bad_request() {
    let (emulator, path) = start(Server::Hanzo).await;
    let client = Client::new(&emulator);
    let id = path.rsplit('/').next().unwrap().to_owned();
    emulator.edit_rotation(&id, |rotation| rotation.in_progress = true);
    let refused = rotate(&client, &path).await;
    let message = "A rotation is already in progress. Please try again shortly.";
    assert_eq!(refused.refusal(), (400, "BadRequest", message));
    assert_eq!(live_ids(&emulator), [1001]);
    emulator.edit_rotation(&id, |rotation| rotation.in_progress = false);
    rotation(&rotate(&client, &path).await);
}

fn days_after(last: &str, days: i64, time: &str) -> String {
    let date = Date::parse(&last[..10], &time::macros::format_description!("[year]-[month]-[day]")).unwrap();
    format!("{}T{time}:00.000Z", date + time::Duration::days(days))
}

// H secret-rotation-v2-fns.ts @ b3714c0c (`calculateNextRotationAt`, `getNextUtcRotationInterval`).
#[tokio::test]
async fn the_next_rotation_is_a_whole_interval_away() {
    let options = || {
        // Noon of the day, whatever the machine's clock says.
        let now = OffsetDateTime::now_utc();
        Options {
            clock_ahead: now.replace_time(Time::from_hms(12, 0, 0).unwrap()) - now,
            ..Options::default()
        }
    };
    for (hours, days, by_clock) in [(11, 31, 30), (12, 31, 30), (13, 30, 30)] {
        let at = json!({"hours": hours, "minutes": 0});
        let (emulator, path) = start_with(options(), |body| body["rotateAtUtc"] = at.clone()).await;
        let client = Client::new(&emulator);
        let time = format!("{hours}:00");
        let made = rotation(&client.get(&path).await);
        let last = made["lastRotatedAt"].as_str().unwrap().to_owned();
        assert_eq!(made["nextRotationAt"], days_after(&last, days, &time), "a creation counts as manual");
        let id = path.rsplit('/').next().unwrap();
        assert!(emulator.rotate_by_clock(id));
        let rotated = rotation(&client.get(&path).await);
        assert_eq!(rotated["nextRotationAt"], days_after(&last, by_clock, &time));
        assert_eq!(rotated["isLastRotationManual"], json!(false));
        assert_eq!(rotated["lastRotationJobId"], json!(format!("secret-rotation-v2-rotate-{id}")));
        let manual = rotation(&rotate(&client, &path).await);
        assert_eq!(manual["nextRotationAt"], days_after(&last, days, &time));
        assert_eq!(manual["isLastRotationManual"], json!(true));
        assert_eq!(manual["lastRotationJobId"], rotated["lastRotationJobId"], "nothing overwrites it");
        emulator.refuse_service_tokens(Some(DbtRefusal { status: 500, reason: String::new() }));
        assert!(emulator.rotate_by_clock(id));
        let failed = rotation(&client.get(&path).await);
        assert_eq!(failed["rotationStatus"], "failed");
        assert_eq!(failed["nextRotationAt"], days_after(&last, 1, &time), "tomorrow");
    }
}

// As above: a failure sets the next time without a look at whether the rotation goes by the clock.
#[tokio::test]
async fn without_automatic_rotation_only_a_failure_has_a_next_time() {
    let (emulator, path) =
        start_with(Options::default(), |body| body["isAutoRotationEnabled"] = json!(false)).await;
    let client = Client::new(&emulator);
    let id = path.rsplit('/').next().unwrap();
    assert!(!emulator.rotate_by_clock(id));
    assert_eq!(live_ids(&emulator), [1001]);
    assert_eq!(rotation(&rotate(&client, &path).await)["nextRotationAt"], Value::Null);
    emulator.refuse_service_tokens(Some(DbtRefusal { status: 500, reason: String::new() }));
    rotate(&client, &path).await;
    assert!(rotation(&client.get(&path).await)["nextRotationAt"].is_string());
}

// I secret-rotation-v2-service.ts @ 01ecde91 (`updateSecretRotation`): a job is queued when the new time comes before midnight,
// and a time that is over is now.
#[tokio::test]
async fn a_shorter_interval_can_rotate_at_once() {
    let (emulator, path) = start(Server::Hanzo).await;
    let client = Client::new(&emulator);
    let id = path.rsplit('/').next().unwrap();
    let past = Date::from_calendar_date(2026, Month::January, 1).unwrap().midnight().assume_utc();
    emulator.edit_rotation(id, |rotation| rotation.last_rotated_at = past);
    let updated = rotation(&client.call("PATCH", &path, Some(&json!({"rotationInterval": 7}))).await);
    assert_eq!(updated["nextRotationAt"], "2026-01-09T00:00:00.000Z");
    assert_eq!(updated["lastRotatedAt"], "2026-01-01T00:00:00.000Z", "the answer is of before");
    let rotated = rotation(&client.get(&path).await);
    assert!(rotated["lastRotatedAt"].as_str().unwrap() > "2026-01-09");
    assert_eq!(live_ids(&emulator), [1001, 1002]);
    // Without one, nothing happens.
    client.call("PATCH", &path, Some(&json!({"description": "x"}))).await;
    assert_eq!(live_ids(&emulator), [1001, 1002]);
}
