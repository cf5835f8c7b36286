//! Tests of creates, changes and deletions with lost responses.

use std::{sync::Mutex, time::Duration};

use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{is_lost, is_unreadable};
use crate::{
    kms::{
        AdoptError, ApiErrorKind, CancellationToken, ConnectionPlace, CreateError, DbtConnection,
        DbtConnectionPatch, DbtCredentials, Error, Existing, ListScope, NewDbtConnection,
        test_server::{Clock, Reply, Seen, Server, is_login, new_client},
    },
    secret::Secret,
};

const ROUTE: &str = "/api/v1/app-connections/dbt";
const BY_NAME: &str = "/api/v1/app-connections/dbt/connection-name/analytics?projectId=project-1";
const BY_ID: &str = "/api/v1/app-connections/dbt/id-1";

fn place(name: &str) -> ConnectionPlace {
    ConnectionPlace::new(name, Some("project-1"))
}

fn new() -> NewDbtConnection {
    NewDbtConnection {
        place: place("analytics"),
        description: Some("Nightly".to_owned()),
        credentials: credentials(),
    }
}

fn credentials() -> DbtCredentials {
    DbtCredentials {
        instance_url: "https://cloud.getdbt.com".to_owned(),
        account_id: "12345".to_owned(),
        api_token: Secret::new("dbtu_1"),
    }
}

/// The server's representation of the connection in `new`, created at `stamp`.
fn made(stamp: &str) -> Value {
    json!({
        "id": "id-1", "name": "analytics", "projectId": "project-1", "project": null,
        "description": "Nightly", "version": 1, "orgId": "org-1", "createdAt": stamp, "updatedAt": stamp,
        "isPlatformManagedCredentials": false, "gatewayId": null, "credentialsHash": "aa",
        "app": "dbt", "method": "api-token",
        "credentials": {"instanceUrl": "https://cloud.getdbt.com", "accountId": "12345"},
    })
}

fn with(mut connection: Value, pointer: &str, value: Value) -> Value {
    *connection.pointer_mut(pointer).unwrap() = value;
    connection
}

fn one(connection: Value) -> Reply {
    Reply::json(200, json!({"appConnection": connection}))
}

fn name_taken() -> Reply {
    Reply::error(400, "BadRequest", "An App Connection with the name \"analytics\" already exists")
}

async fn create(server: &Server) -> Result<DbtConnection, CreateError<DbtConnection>> {
    server.operation().create::<DbtConnection>(&new(), None).await
}

/// A server that responds to creates with `answer` and to lookups by name with `found`, which gets the moment of the
/// first create.
async fn losing(
    answer: impl Fn() -> Reply + Send + Sync + 'static,
    found: impl Fn(&str, Clock) -> Reply + Send + Sync + 'static,
) -> Server {
    let first = Mutex::new(None);
    Server::start(move |seen, clock| {
        if seen.is("POST", ROUTE) {
            first.lock().unwrap().get_or_insert_with(|| clock.stamp());
            answer()
        } else {
            assert!(seen.is("GET", BY_NAME), "{seen:?}");
            found(first.lock().unwrap().as_ref().unwrap(), clock)
        }
    })
    .await
}

#[tokio::test]
async fn a_create_sends_what_it_is_given_and_nothing_else() {
    let server = Server::start(|seen, clock| {
        let project_id = seen.json().get("projectId").cloned().unwrap_or_default();
        one(with(made(&clock.stamp()), "/projectId", project_id))
    })
    .await;
    let connection = create(&server).await.unwrap();
    assert_eq!((connection.id.as_str(), connection.version), ("id-1", 1));
    let whole = server.seen().pop().unwrap();
    assert!(whole.is("POST", ROUTE));
    assert_eq!(whole.header("content-type"), Some("application/json"));
    let credentials = json!(
        {"instanceUrl": "https://cloud.getdbt.com", "accountId": "12345", "apiToken": "dbtu_1"}
    );
    assert_eq!(
        whole.json(),
        json!({"name": "analytics", "description": "Nightly", "projectId": "project-1",
            "method": "api-token", "credentials": credentials})
    );
    let place = ConnectionPlace::new("analytics", None);
    let least = NewDbtConnection { place, description: None, ..new() };
    server.operation().create::<DbtConnection>(&least, None).await.unwrap();
    let least = server.seen().pop().unwrap().json();
    assert_eq!(least, json!({"name": "analytics", "method": "api-token", "credentials": credentials}));
}

#[tokio::test(start_paused = true)]
async fn a_response_to_a_create_that_describes_another_connection_is_not_believed() {
    let server = Server::start(|seen, clock| {
        let mine = with(made(&clock.stamp()), "/id", json!("id-2"));
        one(if seen.method == "POST" { with(made(&clock.stamp()), "/name", json!("other")) } else { mine })
    })
    .await;
    assert_eq!(create(&server).await.unwrap().id, "id-2");
    assert_eq!((server.count("POST"), server.count("GET")), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_id_that_could_be_a_command_is_none() {
    let server = Server::start(|_, clock| one(with(made(&clock.stamp()), "/id", json!("x; reboot #")))).await;
    let error = server.operation().get::<DbtConnection>("x; reboot #").await.unwrap_err();
    assert!(is_unreadable(&error), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn lost_post_answer_is_adopted_only_if_ours_mismatch() {
    type Other = fn(&str) -> Value;
    let minute = Duration::from_secs(60);
    let others: [(&str, Other); 6] = [
        ("account", |at| with(made(at), "/credentials/accountId", json!("999"))),
        ("instance", |at| with(made(at), "/credentials/instanceUrl", json!("https://emea.dbt.com"))),
        ("description", |at| with(made(at), "/description", json!(null))),
        ("method", |at| with(made(at), "/method", json!("oauth"))),
        ("name", |at| with(made(at), "/name", json!("Analytics"))),
        ("stamp", |at| with(made(at), "/createdAt", json!("soon"))),
    ];
    for (what, other) in others {
        let server = losing(Reply::close, move |at, _| one(other(at))).await;
        let result = create(&server).await;
        assert!(matches!(result, Err(CreateError::Unconfirmed { found: Some(_), .. })), "{what}: {result:?}");
        assert_eq!(server.count("POST"), 1, "{what}");
    }
    let server = losing(Reply::close, move |_, clock| one(made(&clock.stamp_ago(minute)))).await;
    let result = create(&server).await;
    assert!(matches!(result, Err(CreateError::Unconfirmed { found: Some(_), .. })), "older: {result:?}");
    // Without the server's clock it is unknown whether the object is older.
    let server = losing(Reply::close, |at, _| one(made(at)).with("date", "")).await;
    let result = create(&server).await;
    assert!(matches!(result, Err(CreateError::Unconfirmed { found: Some(_), .. })), "no date: {result:?}");
}

#[tokio::test(start_paused = true)]
async fn lost_post_answer_is_adopted_if_ours() {
    let losses: [fn() -> Reply; 7] = [
        Reply::close,
        Reply::truncated,
        Reply::never,
        || Reply::html(200),
        || Reply::html(504),
        || Reply::error(500, "InternalServerError", "Something went wrong"),
        || Reply::json(200, json!({"appConnection": {}})),
    ];
    for (number, loss) in losses.into_iter().enumerate() {
        let server = losing(loss, |at, _| one(made(at))).await;
        let connection = create(&server).await.unwrap();
        assert_eq!(connection.id, "id-1", "loss {number}");
        assert_eq!(server.count("POST"), 1, "loss {number}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_create_that_is_still_going_on_is_waited_for() {
    let server = losing(Reply::close, |at, clock| {
        let age = clock.now() - OffsetDateTime::parse(at, &Rfc3339).unwrap();
        if age < Duration::from_secs(3) { Reply::not_found() } else { one(made(&clock.stamp())) }
    })
    .await;
    create(&server).await.unwrap();
    assert_eq!(server.count("POST"), 1);
    assert_eq!(server.count("GET"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_lost_create_that_did_not_happen_is_sent_again() {
    let server = Server::start(|seen, clock| match (seen.method.as_str(), seen.earlier) {
        ("POST", 0) => Reply::close(),
        ("POST", _) => one(made(&clock.stamp())),
        _ => Reply::not_found(),
    })
    .await;
    create(&server).await.unwrap();
    assert_eq!(server.count("POST"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_create_that_an_earlier_try_may_still_follow_says_so() {
    type Response = fn(&str) -> Reply;
    /// Whether a create reports it, by the responses to its attempts and the first lookup that finds the connection.
    async fn says_so(tries: Vec<Response>, shown_at: usize) -> bool {
        let (first, count) = (Mutex::new(None), tries.len());
        let server = Server::start(move |seen, clock| {
            let mut first = first.lock().unwrap();
            let stamp = first.get_or_insert_with(|| clock.stamp());
            match seen.method.as_str() {
                "POST" => tries[seen.earlier](stamp),
                _ if seen.earlier < shown_at => Reply::not_found(),
                _ => one(made(stamp)),
            }
        })
        .await;
        let operation = server.operation();
        let result = operation.create::<DbtConnection>(&new(), None).await;
        assert!(matches!(result, Ok(_) | Err(CreateError::Failed(_))), "{result:?}");
        assert_eq!(server.count("POST"), count);
        operation.may_still_create()
    }
    let done: Response = |stamp| one(made(stamp));
    let lost: Response = |_| Reply::close();
    let page: Response = |_| Reply::html(504);
    let failed: Response = |_| Reply::error(500, "InternalServerError", "Something went wrong");
    let taken: Response = |_| name_taken();
    let refused: Response = |_| Reply::error(400, "BadRequest", "Failed to validate credentials: timeout");
    let limited: Response = |_| Reply::error(429, "RateLimitExceeded", "x").with("retry-after", 1);
    let never = usize::MAX;
    let cases = [
        (vec![done], never, false),
        (vec![lost, done], never, true),
        (vec![page, done], never, true),
        (vec![page, limited, done], never, true),
        // The KMS has finished with the first attempt.
        (vec![failed, done], never, false),
        (vec![limited, done], never, false),
        // The last attempt is refused, and then there is no object.
        (vec![page, refused], never, true),
        (vec![failed, refused], never, false),
        // The lookup finds the result of the only open attempt.
        (vec![page], 0, false),
        (vec![page, taken], 3, false),
        // The lookup finds the result of one of two open attempts.
        (vec![page, lost], 3, true),
    ];
    for (number, (tries, shown_at, expected)) in cases.into_iter().enumerate() {
        assert_eq!(says_so(tries, shown_at).await, expected, "case {number}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_first_try_made_is_judged_by_when_that_was_sent() {
    // The first create is performed after the lookup; the second finds the name taken, and that response may be lost.
    for second in [name_taken, Reply::close] {
        for (age, ours) in [(Duration::ZERO, true), (Duration::from_secs(60), false)] {
            let first = Mutex::new(None);
            let server = Server::start(move |seen, clock| match (seen.method.as_str(), seen.earlier) {
                ("POST", 0) => {
                    *first.lock().unwrap() = Some(clock.stamp_ago(age));
                    Reply::close()
                }
                ("POST", _) => second(),
                (_, 0..3) => Reply::not_found(),
                _ => one(made(first.lock().unwrap().as_ref().unwrap())),
            })
            .await;
            let result = create(&server).await;
            assert_eq!(server.count("POST"), 2);
            match result {
                Ok(_) => assert!(ours),
                Err(CreateError::Unconfirmed { found: Some(_), .. }) => assert!(!ours),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn creates_that_are_lost_again_and_again_come_to_an_end() {
    let server = losing(Reply::close, |_, _| Reply::not_found()).await;
    let result = create(&server).await;
    assert!(matches!(result, Err(CreateError::Unconfirmed { found: None, .. })), "{result:?}");
    assert_eq!(server.count("POST"), 4);
    // The server responded to these, and there was no object.
    let server = losing(|| Reply::error(500, "Fault", "x"), |_, _| Reply::not_found()).await;
    let result = create(&server).await;
    assert!(matches!(result, Err(CreateError::Failed(Error::Request(_)))), "{result:?}");
    assert_eq!(server.count("POST"), 4);
}

#[tokio::test(start_paused = true)]
async fn a_lost_create_that_can_not_be_looked_up_is_not_repeated() {
    for refusal in
        [|| Reply::error(403, "PermissionDenied", "You are not allowed to read"), || Reply::html(404)]
    {
        let server = losing(Reply::close, move |_, _| refusal()).await;
        let result = create(&server).await;
        let Err(CreateError::Unconfirmed { found: None, error }) = result else { panic!("{result:?}") };
        assert!(is_lost(&error));
        assert_eq!(server.count("POST"), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_taken_name_comes_with_the_connection_that_has_it() {
    let server = losing(name_taken, |_, clock| one(made(&clock.stamp()))).await;
    let result = create(&server).await;
    // Even if it is equal: the server reported that it refused the create.
    assert!(
        matches!(result, Err(CreateError::NameTaken { existing: Existing::Visible(_), .. })),
        "{result:?}"
    );
    let server = losing(name_taken, |_, _| Reply::not_found()).await;
    let result = create(&server).await;
    assert!(
        matches!(result, Err(CreateError::NameTaken { existing: Existing::NotVisible, .. })),
        "{result:?}"
    );
    let server = losing(name_taken, |_, _| Reply::error(500, "Fault", "x")).await;
    let result = create(&server).await;
    assert!(
        matches!(result, Err(CreateError::NameTaken { existing: Existing::Unknown(_), .. })),
        "{result:?}"
    );
}

/// A server that accepts the first `logins` logins and fails at all further ones.
async fn failing_login(
    logins: usize,
    script: impl Fn(&Seen, Clock) -> Reply + Send + Sync + 'static,
) -> Server {
    Server::start_raw(move |seen, clock| {
        if !is_login(seen) {
            script(seen, clock)
        } else if seen.earlier < logins {
            Reply::json(200, json!({"accessToken": "access", "expiresIn": 2_592_000}))
        } else {
            Reply::error(503, "ServiceUnavailable", "Come back later")
        }
    })
    .await
}

fn token_refused() -> Reply {
    Reply::error(403, "TokenError", "Your token has expired")
}

#[tokio::test(start_paused = true)]
async fn a_login_that_fails_makes_no_lost_create() {
    for logins in [0, 1] {
        let server = failing_login(logins, |_, _| token_refused()).await;
        let result = create(&server).await;
        assert!(matches!(result, Err(CreateError::Failed(Error::Request(_)))), "{result:?}");
        assert_eq!((server.count("POST"), server.count("GET")), (logins, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_write_stays_open_if_its_repeat_is_not_sent() {
    let first_lost = |seen: &Seen| if seen.earlier == 0 { Reply::close() } else { token_refused() };
    let server = failing_login(1, move |seen, clock| match seen.method.as_str() {
        "PATCH" => first_lost(seen),
        _ => one(made(&clock.stamp())),
    })
    .await;
    let renamed = DbtConnectionPatch { name: Some("b".to_owned()), ..patch() };
    let error = update(&server, &renamed).await.unwrap_err();
    assert!(is_lost(&error), "{error:?}");
    assert_eq!(server.count("PATCH"), 2);

    let server = failing_login(1, move |seen, _| match seen.method.as_str() {
        "POST" => first_lost(seen),
        _ => Reply::not_found(),
    })
    .await;
    let result = create(&server).await;
    let Err(CreateError::Unconfirmed { found: None, error }) = result else { panic!("{result:?}") };
    assert!(is_lost(&error), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_refused_create_is_not_looked_up() {
    let refusal = || {
        Reply::error(400, "BadRequest", "Failed to validate credentials: Request failed with status code 401")
    };
    let server = losing(refusal, |_, _| Reply::not_found()).await;
    let error = create(&server).await.unwrap_err();
    assert!(matches!(error, CreateError::Failed(_)));
    assert_eq!(error.error().api_kind(), Some(ApiErrorKind::CredentialsRefused));
    assert_eq!((server.count("POST"), server.count("GET")), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn after_the_stop_a_lost_create_is_looked_up_but_not_repeated() {
    let fault = || Reply::error(500, "Fault", "x");
    for (loss, there) in [(Reply::close as fn() -> Reply, true), (Reply::close, false), (fault, false)] {
        let stop = CancellationToken::new();
        let stopping = stop.clone();
        let found = move |at: &str, _| if there { one(made(at)) } else { Reply::not_found() };
        let stop_and_lose = move || {
            stopping.cancel();
            loss()
        };
        let server = losing(stop_and_lose, found).await;
        let result = server.client().operation(stop).create::<DbtConnection>(&new(), None).await;
        match &result {
            Ok(_) => assert!(there),
            // Not `Cancelled`, which would mean that nothing was sent.
            Err(error) => assert!(error.error().may_have_changed_something(), "{error:?}"),
        }
        assert_eq!(result.is_ok(), there, "{result:?}");
        assert!(server.count("GET") > 0);
        assert_eq!(server.count("POST"), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn one_connection_is_not_given_to_two_creates_of_a_process() {
    let server = Server::start(|seen, clock| match (seen.method.as_str(), seen.earlier) {
        ("POST", 1) => Reply::close(),
        _ => one(made(&clock.stamp())),
    })
    .await;
    let client = server.client();
    client.operation(CancellationToken::new()).create::<DbtConnection>(&new(), None).await.unwrap();
    let second = client.operation(CancellationToken::new()).create::<DbtConnection>(&new(), None).await;
    assert!(matches!(second, Err(CreateError::Unconfirmed { found: Some(_), .. })), "{second:?}");
}

fn patch() -> DbtConnectionPatch {
    DbtConnectionPatch { hash_before: "aa".to_owned(), ..DbtConnectionPatch::default() }
}

async fn update(server: &Server, patch: &DbtConnectionPatch) -> Result<DbtConnection, Error> {
    server.operation().update::<DbtConnection>("id-1", patch).await
}

/// A server that loses the first response to a change, and then returns the connection as in `shown`.
async fn losing_update(shown: impl Fn(&Seen, Clock) -> Value + Send + Sync + 'static) -> Server {
    Server::start(move |seen, clock| {
        assert_eq!(seen.target, BY_ID);
        if seen.method == "PATCH" && seen.earlier == 0 { Reply::close() } else { one(shown(seen, clock)) }
    })
    .await
}

#[tokio::test]
async fn an_update_sends_only_what_changes() {
    let server = Server::start(|_, clock| one(made(&clock.stamp()))).await;
    for (patch, sent) in [
        (DbtConnectionPatch { name: Some("b".to_owned()), ..patch() }, json!({"name": "b"})),
        (DbtConnectionPatch { description: Some(None), ..patch() }, json!({"description": null})),
        (
            DbtConnectionPatch { description: Some(Some("d".to_owned())), ..patch() },
            json!({"description": "d"}),
        ),
        (
            DbtConnectionPatch { credentials: Some(credentials()), ..patch() },
            json!({"credentials": {
                "instanceUrl": "https://cloud.getdbt.com", "accountId": "12345", "apiToken": "dbtu_1"}}),
        ),
    ] {
        update(&server, &patch).await.unwrap();
        let seen = server.seen().pop().unwrap();
        assert!(seen.is("PATCH", BY_ID));
        assert_eq!(seen.json(), sent);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_update_is_sent_again_unless_the_connection_shows_it() {
    type Shown = fn(Clock) -> Value;
    let renamed = DbtConnectionPatch { name: Some("b".to_owned()), ..patch() };
    let cleared = DbtConnectionPatch { description: Some(None), ..patch() };
    let rotated = DbtConnectionPatch { credentials: Some(credentials()), ..patch() };
    let moved = DbtConnectionPatch {
        credentials: Some(DbtCredentials { account_id: "7".to_owned(), ..credentials() }),
        ..patch()
    };
    let written: Shown = |clock| with(made(&clock.stamp()), "/credentialsHash", json!("bb"));
    let cases: [(&str, &DbtConnectionPatch, Shown, bool); 8] = [
        ("name as sent", &renamed, |clock| with(made(&clock.stamp()), "/name", json!("b")), true),
        ("name as before", &renamed, |clock| made(&clock.stamp()), false),
        ("cleared", &cleared, |clock| with(made(&clock.stamp()), "/description", json!(null)), true),
        ("not cleared", &cleared, |clock| made(&clock.stamp()), false),
        ("written", &rotated, written, true),
        ("same hash", &rotated, |clock| made(&clock.stamp()), false),
        (
            "written before",
            &rotated,
            |clock| {
                let before = clock.stamp_ago(Duration::from_secs(60));
                with(made(&before), "/credentialsHash", json!("bb"))
            },
            false,
        ),
        ("another account", &moved, written, false),
    ];
    for (case, patch, shown, is_done) in cases {
        let server = losing_update(move |_, clock| shown(clock)).await;
        update(&server, patch).await.unwrap();
        assert_eq!(server.count("PATCH"), if is_done { 1 } else { 2 }, "{case}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_update_of_what_is_gone_says_so() {
    let server =
        Server::start(|seen, _| if seen.method == "PATCH" { Reply::close() } else { Reply::not_found() })
            .await;
    let renamed = DbtConnectionPatch { name: Some("b".to_owned()), ..patch() };
    assert!(update(&server, &renamed).await.unwrap_err().is_not_found());
}

#[tokio::test(start_paused = true)]
async fn an_update_that_stays_lost_fails_as_perhaps_performed() {
    let server = Server::start(|seen, clock| match seen.method.as_str() {
        "PATCH" => Reply::close(),
        _ => one(made(&clock.stamp())),
    })
    .await;
    let renamed = DbtConnectionPatch { name: Some("b".to_owned()), ..patch() };
    assert!(update(&server, &renamed).await.unwrap_err().may_have_changed_something());
    assert_eq!(server.count("PATCH"), 4);
}

#[tokio::test(start_paused = true)]
async fn only_the_kms_itself_can_say_that_a_connection_is_gone() {
    for (reply, gone) in
        [(Reply::not_found as fn() -> Reply, true), (|| Reply::html(404), false), (Reply::no_route, false)]
    {
        let server = Server::start(move |_, _| reply()).await;
        let operation = server.operation();
        let read = operation.get::<DbtConnection>("id-1").await.unwrap_err();
        assert_eq!(read.is_not_found(), gone, "{read:?}");
        let deleted = operation.delete::<DbtConnection>("id-1", ()).await;
        assert_eq!(deleted.is_ok(), gone, "{deleted:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deletion_whose_answer_is_lost_is_found_done() {
    let server =
        Server::start(|seen, _| if seen.earlier == 0 { Reply::close() } else { Reply::not_found() }).await;
    server.operation().delete::<DbtConnection>("id-1", ()).await.unwrap();
    assert!(server.seen()[1].is("DELETE", BY_ID));
    assert_eq!(server.count("DELETE"), 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_about_something_else_is_refused() {
    for (pointer, value) in [("/id", json!("id-2")), ("/app", json!("github"))] {
        let other = with(made("x"), pointer, value);
        let server = Server::start(move |_, _| one(other.clone())).await;
        let read = server.operation().get::<DbtConnection>("id-1").await;
        assert!(is_unreadable(&read.unwrap_err()), "{pointer}");
    }
    let other = with(made("x"), "/name", json!("b"));
    let server = Server::start(move |_, _| one(other.clone())).await;
    let read = server.operation().get_by_name::<DbtConnection>(&place("a")).await;
    assert!(is_unreadable(&read.unwrap_err()));
}

#[tokio::test(start_paused = true)]
async fn a_list_is_of_a_project_or_of_the_organization() {
    let server = Server::start(|seen, clock| match seen.target.as_str() {
        ROUTE => {
            let of_project = made(&clock.stamp());
            let of_organization = with(of_project.clone(), "/projectId", json!(null));
            Reply::json(200, json!({"appConnections": [of_project, of_organization]}))
        }
        "/api/v1/app-connections/dbt?projectId=p%261" => {
            Reply::json(200, json!({"appConnections": [made(&clock.stamp())]}))
        }
        _ => Reply::error(404, "NotFound", "No such thing"),
    })
    .await;
    let list = async |scope| server.operation().list::<DbtConnection>(scope).await;
    assert_eq!(list(ListScope::All).await.unwrap().objects.len(), 2);
    assert_eq!(list(ListScope::Organization).await.unwrap().objects.len(), 1);
    assert_eq!(list(ListScope::Project("p&1")).await.unwrap().objects.len(), 1);
    let error = list(ListScope::Project("p2")).await.unwrap_err();
    assert_eq!(error.api_kind(), Some(ApiErrorKind::UnknownProject));
}

#[tokio::test(start_paused = true)]
async fn five_thousand_connections_fit_into_a_list() {
    let server = Server::start(|_, _| {
        let connections =
            vec![with(made("2026-01-01T00:00:00.000Z"), "/description", json!("d".repeat(256))); 5000];
        Reply::json(200, json!({"appConnections": connections}))
    })
    .await;
    let mut config = server.config();
    config.request_timeout = Duration::from_secs(300);
    let operation = new_client(config).operation(CancellationToken::new());
    assert_eq!(operation.list::<DbtConnection>(ListScope::All).await.unwrap().objects.len(), 5000);
}

/// Statuses that a proxy may respond with.
const PAGES: [u16; 10] = [400, 403, 404, 408, 413, 429, 499, 500, 502, 504];

#[tokio::test(start_paused = true)]
async fn a_create_behind_a_page_that_is_not_the_kms_s_is_looked_up() {
    for status in PAGES {
        let server = losing(move || Reply::html(status), |at, _| one(made(at))).await;
        assert_eq!(create(&server).await.unwrap().id, "id-1", "{status}");
        assert_eq!(server.count("POST"), 1, "{status}");
        // There is no object, so it is sent again; more than twice only if that may help.
        let server = losing(move || Reply::html(status), |_, _| Reply::not_found()).await;
        let result = create(&server).await;
        assert!(matches!(result, Err(CreateError::Unconfirmed { found: None, .. })), "{status}: {result:?}");
        let posts = if matches!(status, 400 | 403 | 404 | 413) { 3 } else { 4 };
        assert_eq!(server.count("POST"), posts, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_behind_a_page_that_is_not_the_kms_s_is_looked_up() {
    for status in PAGES {
        let renamed = DbtConnectionPatch { name: Some("b".to_owned()), ..patch() };
        let server = Server::start(move |seen, clock| match seen.method.as_str() {
            "PATCH" => Reply::html(status),
            _ => one(with(made(&clock.stamp()), "/name", json!("b"))),
        })
        .await;
        assert_eq!(update(&server, &renamed).await.unwrap().name, "b", "{status}");
        assert_eq!(server.count("PATCH"), 1, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deletion_behind_a_page_that_is_not_the_kms_s_is_looked_up() {
    for status in PAGES {
        for is_gone in [true, false] {
            let server = Server::start(move |seen, clock| match (seen.method.as_str(), is_gone) {
                ("DELETE", _) if status == 429 && seen.earlier > 0 => Reply::not_found(),
                ("DELETE", _) => Reply::html(status),
                (_, true) => Reply::not_found(),
                (_, false) => one(made(&clock.stamp())),
            })
            .await;
            let result = server.operation().delete::<DbtConnection>("id-1", ()).await;
            assert_eq!(result.is_ok(), is_gone || status == 429, "{status}: {result:?}");
            if let Err(error) = result {
                assert!(error.may_have_changed_something(), "{status}: {error:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_while_a_repeat_waits_for_the_limit_does_not_make_a_lost_create_read_as_nothing() {
    let server = Server::start(|seen, _| match (seen.method.as_str(), seen.earlier) {
        ("POST", 0) => Reply::html(504),
        ("POST", _) => Reply::error(429, "RateLimitExceeded", "x").with("retry-after", 60),
        _ => Reply::not_found(),
    })
    .await;
    let stop = CancellationToken::new();
    let operation = server.client().operation(stop.clone());
    let call = tokio::spawn(async move { operation.create::<DbtConnection>(&new(), None).await });
    tokio::time::sleep(Duration::from_secs(20)).await;
    stop.cancel();
    let result = call.await.unwrap();
    let Err(CreateError::Unconfirmed { found: None, error }) = result else { panic!("{result:?}") };
    assert!(error.may_have_changed_something());
}

#[tokio::test(start_paused = true)]
async fn a_create_that_is_refused_after_a_lost_one_is_looked_up_once_more() {
    // The first create is performed after the second was refused.
    let first = Mutex::new(None);
    let server = Server::start(move |seen, clock| match (seen.method.as_str(), seen.earlier) {
        ("POST", 0) => {
            *first.lock().unwrap() = Some(clock.stamp());
            Reply::html(504)
        }
        ("POST", _) => Reply::error(400, "BadRequest", "Failed to validate credentials: timeout"),
        (_, 0..3) => Reply::not_found(),
        _ => one(made(first.lock().unwrap().as_ref().unwrap())),
    })
    .await;
    assert_eq!(create(&server).await.unwrap().id, "id-1");
    assert_eq!(server.count("POST"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_lands_after_its_repeat_is_part_of_the_result() {
    let rotated = DbtConnectionPatch { credentials: Some(credentials()), ..patch() };
    let server = Server::start(|seen, clock| {
        let hash = match (seen.method.as_str(), seen.earlier) {
            ("PATCH", 0) => return Reply::html(504),
            ("PATCH", _) => "bb",
            // The first one is performed a second after the second.
            (_, 0..=3) => "aa",
            _ => "cc",
        };
        let hash = if seen.method == "GET" && seen.earlier == 3 { "bb" } else { hash };
        one(with(made(&clock.stamp()), "/credentialsHash", json!(hash)))
    })
    .await;
    assert_eq!(update(&server, &rotated).await.unwrap().credentials_hash, "cc");
    assert_eq!(server.count("PATCH"), 2);
    // A concurrent change by another client isn't.
    let server = Server::start(|seen, clock| match (seen.method.as_str(), seen.earlier) {
        ("PATCH", 0) => Reply::html(504),
        ("PATCH", _) => one(with(made(&clock.stamp()), "/credentialsHash", json!("bb"))),
        (_, 0..3) => one(made(&clock.stamp())),
        _ => one(with(made(&clock.stamp()), "/credentials/accountId", json!("999"))),
    })
    .await;
    assert_eq!(update(&server, &rotated).await.unwrap().credentials_hash, "bb");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_a_connection_of_another_app_has_is_reported_as_such() {
    let other =
        || Reply::error(400, "BadRequest", "App Connection with name analytics is not for App \"dbt\"");
    for taken in [name_taken as fn() -> Reply, Reply::close] {
        let server = losing(taken, move |_, _| other()).await;
        let result = create(&server).await;
        assert!(
            matches!(result, Err(CreateError::NameTaken { existing: Existing::OfOtherApp, .. })),
            "{result:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_another_create_may_have_made_is_not_adopted() {
    let server = Server::start(|seen, clock| match seen.method.as_str() {
        "POST" => one(made(&clock.stamp())).after(Duration::from_secs(5)),
        _ => one(made(&clock.stamp())),
    })
    .await;
    let client = server.client();
    let operation = client.operation(CancellationToken::new());
    let first = tokio::spawn(async move { operation.create::<DbtConnection>(&new(), None).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let adopt = async || {
        let operation = client.operation(CancellationToken::new());
        operation.adopt::<DbtConnection>("id-1", &place("analytics"), &patch()).await
    };
    assert!(matches!(adopt().await, Err(AdoptError::Managed)), "while it is under way");
    first.await.unwrap().unwrap();
    assert!(matches!(adopt().await, Err(AdoptError::Managed)), "and afterwards");
    client.managed().remove("id-1");
    adopt().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn secrets_in_the_server_s_words_are_not_shown() {
    let echo = |seen: &Seen| {
        let message = format!("odd: {} {:?}", seen.body, seen.header("authorization"));
        Reply::error(400, "BadRequest", &message)
    };
    let server = Server::start(move |seen, _| echo(seen)).await;
    let text = format!("{:?}", create(&server).await.unwrap_err());
    assert!(text.contains("odd") && text.contains("redacted"), "{text}");
    for secret in ["dbtu_1", "access-1"] {
        assert!(!text.contains(secret), "{text}");
    }
    let server = Server::start_raw(move |seen, _| echo(seen)).await;
    let text = format!("{:?}", create(&server).await.unwrap_err());
    assert!(text.contains("odd") && !text.contains("client-secret-1"), "{text}");
}
