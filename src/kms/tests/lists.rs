//! Tests of reads from cached lists.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::kms::{
    ApiError, ApiErrorKind, Auth, CancellationToken, Client, Config, ConnectionPlace, DbtConnection,
    DbtConnectionPatch, Error, ListScope, Operation, Reason, Scope,
    list_cache::{Key, Listing, SINGLE_READS, State, Step, TTL},
    object::MAX_ENTRIES,
    request::{MAX_LIST, Request},
    test_server::{Reply, Seen, Server, is_login, new_client},
};
use crate::secret::Secret;

const ROUTE: &str = "/api/v1/app-connections/dbt";

type Read = Result<DbtConnection, Error>;

fn shown(id: &str, project_id: Option<&str>) -> Value {
    json!({
        "id": id, "name": format!("name-{id}"), "projectId": project_id, "description": "before",
        "version": 1, "orgId": "org-1", "createdAt": "2026-01-01T00:00:00.000Z",
        "updatedAt": "2026-01-01T00:00:00.000Z", "credentialsHash": "aa", "app": "dbt",
        "method": "api-token", "credentials": {"instanceUrl": "https://x", "accountId": "1"},
    })
}

fn connection(id: &str) -> DbtConnection {
    serde_json::from_value(shown(id, Some("p"))).unwrap()
}

fn id(number: usize) -> String {
    format!("id-{number}")
}

/// The objects of a small KMS: project by connection ID.
type Held = Arc<Mutex<BTreeMap<String, (Option<String>, Value)>>>;

fn held(ids: impl Iterator<Item = usize>, project_id: impl Fn(usize) -> Option<String>) -> Held {
    let held = ids.map(|number| {
        let project_id = project_id(number);
        (id(number), (project_id.clone(), shown(&id(number), project_id.as_deref())))
    });
    Arc::new(Mutex::new(held.collect()))
}

fn of_p(count: usize) -> Held {
    held(0..count, |_| Some("p".to_owned()))
}

/// Responds like the KMS.
fn answer(held: &Held, seen: &Seen) -> Reply {
    let mut held = held.lock().unwrap();
    let (path, query) = seen.target.split_once('?').unwrap_or((&seen.target, ""));
    if path == ROUTE {
        // Without a project, the list has all objects of the organization and its projects.
        let project = query.strip_prefix("projectId=").map(str::to_owned);
        let all: Vec<&Value> = held
            .values()
            .filter(|(of, _)| project.is_none() || *of == project)
            .map(|(_, connection)| connection)
            .collect();
        return Reply::json(200, json!({"appConnections": all}));
    }
    let last = path.rsplit('/').next().unwrap();
    let id = last.strip_prefix("name-").unwrap_or(last);
    let Some((_, connection)) = held.get_mut(id) else { return Reply::not_found() };
    if seen.method == "PATCH" {
        connection["description"] = seen.json()["description"].clone();
    }
    let answer = json!({"appConnection": connection});
    if seen.method == "DELETE" {
        held.remove(id);
    }
    Reply::json(200, answer)
}

async fn server(held: &Held) -> Server {
    let held = Arc::clone(held);
    Server::start(move |seen, _| answer(&held, seen)).await
}

/// The number of lists and of single reads.
fn calls(server: &Server) -> (usize, usize) {
    let reads = server.seen().into_iter().filter(|seen| seen.method == "GET");
    let (lists, singles): (Vec<_>, Vec<_>) =
        reads.partition(|seen| seen.target.split('?').next() == Some(ROUTE));
    (lists.len(), singles.len())
}

fn place(name: &str) -> ConnectionPlace {
    ConnectionPlace::new(name, Some("p"))
}

fn operation(client: &Client) -> Operation {
    client.operation(CancellationToken::new())
}

async fn read(client: &Client, number: usize) -> Read {
    operation(client).read(&id(number), Scope::Project("p")).await
}

/// Reads concurrently, in the given scopes.
async fn read_all(client: &Client, scopes: Vec<(usize, Option<Scope<'static>>)>) -> Vec<Read> {
    let reads: Vec<_> = scopes
        .into_iter()
        .map(|(number, scope)| {
            let operation = operation(client);
            let scope = scope.unwrap_or(Scope::Project("p"));
            tokio::spawn(async move { operation.read(&id(number), scope).await })
        })
        .collect();
    let mut results = Vec::new();
    for read in reads {
        results.push(read.await.unwrap());
    }
    results
}

fn numbers(count: usize) -> Vec<(usize, Option<Scope<'static>>)> {
    (0..count).map(|number| (number, None)).collect()
}

fn assert_all_read(results: &[Read]) {
    for (number, result) in results.iter().enumerate() {
        assert_eq!(result.as_ref().unwrap().id, id(number));
    }
}

fn failure(kind: u16, error: &str) -> Reply {
    Reply::error(kind, error, "no")
}

// ---- the core ----

/// The next step of a read of a connection in a scope, after `total` reads of these scopes.
fn step_after(
    reads: &[Scope<'_>],
    scope: Scope<'_>,
    state: &mut State<DbtConnection>,
) -> Step<DbtConnection> {
    let now = Instant::now();
    for read in reads {
        state.count(Key::Id("x"), *read, 0, now);
    }
    state.step(Key::Id("x"), scope, 0, now)
}

fn project(id: &str) -> Listing {
    Listing::Project(id.to_owned())
}

#[test]
fn a_list_is_asked_for_when_it_is_worth_its_call() {
    const P: Scope<'_> = Scope::Project("p");
    const Q: Scope<'_> = Scope::Project("q");
    const R: Scope<'_> = Scope::Project("r");
    const ORGANIZATION: Scope<'_> = Scope::Organization;
    for (reads, scope, expected) in [
        (&[P][..], P, Step::Single),
        (&[P, P], P, Step::Single),
        (&[P, P, P], P, Step::List(project("p"))),
        (&[P, P, Q], P, Step::List(Listing::All)),
        (&[P, Q, R], R, Step::List(Listing::All)),
        (&[ORGANIZATION, ORGANIZATION, ORGANIZATION], ORGANIZATION, Step::List(Listing::All)),
        (&[Scope::Unknown, Scope::Unknown, Scope::Unknown], Scope::Unknown, Step::List(Listing::All)),
    ] {
        let mut state = State::default();
        assert_eq!(step_after(reads, scope, &mut state), expected, "{reads:?}");
    }
    // Where the organization may not be listed, projects are listed from the third read on.
    let mut state = State::default();
    state.keep(&Listing::All, Err(api_error(ApiErrorKind::PermissionDenied)), 0, Instant::now());
    assert_eq!(step_after(&[P, P, Q], P, &mut state), Step::Single);
    assert_eq!(step_after(&[P], P, &mut state), Step::List(project("p")));
    assert_eq!(step_after(&[], Q, &mut state), Step::Single);
}

#[test]
fn the_scope_that_all_reads_reveal_is_listed_before_the_organization() {
    let unknown = [Scope::Unknown; 2];
    let mut state = State::default();
    assert_eq!(step_after(&unknown, Scope::Unknown, &mut state), Step::Single);
    state.reveal(Some("p"));
    state.reveal(Some("p"));
    assert_eq!(step_after(&[Scope::Unknown], Scope::Unknown, &mut state), Step::List(project("p")));
    state.reveal(Some("q"));
    assert_eq!(step_after(&[], Scope::Unknown, &mut state), Step::List(Listing::All));
}

#[test]
fn what_the_list_of_all_does_not_show_is_read_singly_and_then_by_project() {
    let (now, mut state) = (Instant::now(), State::<DbtConnection>::default());
    let (p, q) = (Scope::Project("p"), Scope::Project("q"));
    step_after(&[p, q, q], p, &mut state);
    state.keep(&Listing::All, Ok(vec![connection("a")]), 0, now);
    assert!(matches!(state.step(Key::Id("A"), p, 0, now), Step::Found(found) if found.id == "a"));
    // It would seem to have moved, which its own read has to show.
    assert_eq!(state.step(Key::Id("A"), q, 0, now), Step::Single);
    assert_eq!(state.step(Key::Id("x"), p, 0, now), Step::Single);
    assert_eq!(step_after(&[p, p, p], p, &mut state), Step::List(project("p")));
}

#[test]
fn a_list_serves_until_it_is_old_or_a_write_ended_after_it() {
    let (now, mut state) = (Instant::now(), State::<DbtConnection>::default());
    let p = Scope::Project("p");
    (0..9).for_each(|_| state.count(Key::Id("a"), p, 3, now));
    state.keep(&project("p"), Ok(vec![connection("a")]), 3, now);
    let found = |step: Step<DbtConnection>| matches!(step, Step::Found(_));
    assert!(found(state.step(Key::Id("a"), p, 3, now)));
    assert!(found(state.step(Key::Id("a"), p, 2, now + TTL - Duration::from_millis(1))));
    assert_eq!(state.step(Key::Id("a"), p, 4, now), Step::List(project("p")), "a write ended");
    assert_eq!(state.step(Key::Id("a"), p, 3, now + TTL), Step::List(project("p")), "old");
    assert_eq!(state.step(Key::Id("b"), p, 3, now), Step::Single, "not shown");
}

#[test]
fn an_id_is_found_in_upper_and_lower_case() {
    let (now, mut state) = (Instant::now(), State::<DbtConnection>::default());
    let p = Scope::Project("p");
    (0..9).for_each(|_| state.count(Key::Id("a"), p, 0, now));
    // In the server's order, which is by name.
    let listed = ["c1", "B2", "a3", "D4", "b0"];
    state.keep(&project("p"), Ok(listed.map(connection).into()), 0, now);
    for id in listed {
        for asked in [id.to_ascii_lowercase(), id.to_ascii_uppercase()] {
            match state.step(Key::Id(&asked), p, 0, now) {
                Step::Found(found) => assert_eq!(found.id, id),
                step => panic!("{asked}: {step:?}"),
            }
        }
    }
    assert_eq!(state.step(Key::Id("b1"), p, 0, now), Step::Single);
}

#[test]
fn a_name_is_found_in_its_scope_only() {
    let (now, mut state) = (Instant::now(), State::<DbtConnection>::default());
    let place = |project: Option<&str>| ConnectionPlace::new("name-a", project);
    (0..9).for_each(|_| state.count(Key::Id("a"), Scope::Organization, 0, now));
    state.keep(&Listing::All, Ok(vec![connection("a")]), 0, now);
    assert_eq!(state.step(Key::Place(&place(None)), Scope::Organization, 0, now), Step::Single);
    let in_p = state.step(Key::Place(&place(Some("p"))), Scope::Project("p"), 0, now);
    assert!(matches!(in_p, Step::Found(_)), "{in_p:?}");
}

#[test]
fn what_a_list_shows_in_part_is_read_singly() {
    type Strip = fn(&mut DbtConnection);
    let strips: [Strip; 5] = [
        |connection| connection.org_id.clear(),
        |connection| connection.created_at.clear(),
        |connection| connection.updated_at.clear(),
        |connection| connection.method.clear(),
        |connection| connection.credentials_hash.clear(),
    ];
    for strip in strips {
        let (now, mut state) = (Instant::now(), State::<DbtConnection>::default());
        let mut sparse = connection("a");
        strip(&mut sparse);
        (0..9).for_each(|_| state.count(Key::Id("a"), Scope::Project("p"), 0, now));
        state.keep(&project("p"), Ok(vec![sparse]), 0, now);
        assert_eq!(state.step(Key::Id("a"), Scope::Project("p"), 0, now), Step::Single);
    }
}

#[test]
fn a_list_that_failed_is_not_asked_for_again_for_a_growing_time() {
    let start = Instant::now();
    let p = Scope::Project("p");
    let list = Step::List(project("p"));
    let step = |state: &State<DbtConnection>, after: u64| {
        state.step(Key::Id("a"), p, 0, start + Duration::from_secs(after))
    };
    let mut state = State::default();
    (0..9).for_each(|_| state.count(Key::Id("a"), p, 0, start));
    state.keep(&project("p"), Err(Error::Cancelled), 0, start);
    assert_eq!(step(&state, 0), list, "it says nothing about others");
    let mut failed_at = 0;
    for pause in [30, 60, 120, 240, 480, 600, 600] {
        let now = start + Duration::from_secs(failed_at);
        state.keep(&project("p"), Err(api_error(ApiErrorKind::Other)), 0, now);
        assert_eq!(step(&state, failed_at + pause - 1), Step::Single, "{pause}");
        assert_eq!(step(&state, failed_at + pause), list, "{pause}");
        failed_at += pause;
    }
    let now = start + Duration::from_secs(failed_at);
    state.keep(&project("p"), Ok(Vec::new()), 0, now);
    state.keep(&project("p"), Err(api_error(ApiErrorKind::Other)), 0, now + TTL);
    assert_eq!(step(&state, failed_at + 60), list, "a success forgives earlier failures");
    state.keep(&project("p"), Err(api_error(ApiErrorKind::PermissionDenied)), 0, start);
    assert_eq!(step(&state, 1_000_000), Step::Single, "a missing permission stays");
}

fn api_error(kind: ApiErrorKind) -> Error {
    let status = http::StatusCode::FORBIDDEN;
    let (message, issues, req_id) = (String::new(), Vec::new(), None);
    let reason = Reason::Api(Box::new(ApiError { kind, status, message, issues, more_issues: 0, req_id }));
    Request::get(ROUTE, &[]).unwrap().error(reason)
}

#[test]
fn reads_are_counted_from_the_last_write_on() {
    let mut state = State::<DbtConnection>::default();
    let early = [0, 0, 0, 1, 0, 1, 5].map(|writes| {
        state.count(Key::Id("a"), Scope::Organization, writes, Instant::now());
        state.is_early()
    });
    assert_eq!(early, [true, true, false, true, true, false, true]);
}

// ---- over the wire ----

#[tokio::test(start_paused = true)]
async fn many_reads_cost_one_list() {
    let server = server(&of_p(200)).await;
    let client = server.client();
    assert_all_read(&read_all(&client, numbers(200)).await);
    assert_eq!(calls(&server), (1, 0));
    // Those who come later find it, until it is old.
    assert_all_read(&read_all(&client, numbers(200)).await);
    assert_eq!(calls(&server), (1, 0));
    tokio::time::sleep(TTL).await;
    read(&client, 7).await.unwrap();
    assert_eq!(calls(&server), (2, 0));

    let held = held(0..30, |number| [None, Some("p1"), Some("p2")][number % 3].map(str::to_owned));
    let server = self::server(&held).await;
    let scopes = [Scope::Organization, Scope::Project("p1"), Scope::Project("p2")];
    let all = (0..30).map(|number| (number, Some(scopes[number % 3]))).collect();
    assert_all_read(&read_all(&server.client(), all).await);
    assert_eq!(calls(&server), (1, 0), "the organization's list shows those of its projects");
}

#[tokio::test(start_paused = true)]
async fn the_first_reads_of_a_scope_are_not_worth_a_list() {
    for count in [1, 2] {
        let server = server(&of_p(9)).await;
        assert_all_read(&read_all(&server.client(), numbers(count)).await);
        assert_eq!(calls(&server), (0, count));
    }
    // Neither are they one after the other, up to the third read.
    let server = server(&of_p(9)).await;
    let client = server.client();
    for number in 0..9 {
        read(&client, number).await.unwrap();
    }
    assert_eq!(calls(&server), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn reads_that_come_while_the_login_is_under_way_are_gathered() {
    let held = of_p(9);
    let server = Server::start_raw(move |seen, _| {
        if is_login(seen) {
            let login = Reply::json(200, json!({"accessToken": "access-1", "expiresIn": 900}));
            return login.after(Duration::from_secs(2));
        }
        answer(&held, seen)
    })
    .await;
    let client = server.client();
    let reads = (0..9).map(|number| {
        let client = client.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(200) * u32::try_from(number).unwrap()).await;
            read(&client, number).await
        })
    });
    for read in reads.collect::<Vec<_>>() {
        read.await.unwrap().unwrap();
    }
    assert_eq!(calls(&server), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn what_the_list_does_not_show_is_read_by_itself() {
    let held = of_p(20);
    held.lock().unwrap().remove("id-3");
    let server = {
        let held = Arc::clone(&held);
        Server::start(move |seen, _| {
            if seen.target.starts_with(&format!("{ROUTE}?")) {
                // The list hides one, too.
                let mut listed = held.lock().unwrap().clone();
                listed.remove("id-4");
                return answer(&Arc::new(Mutex::new(listed)), seen);
            }
            answer(&held, seen)
        })
        .await
    };
    let results = read_all(&server.client(), numbers(20)).await;
    assert!(results[3].as_ref().unwrap_err().is_not_found());
    assert_eq!(results[4].as_ref().unwrap().id, "id-4");
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 19);
    assert_eq!(calls(&server), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn where_lists_fail_everything_is_read_by_itself() {
    type Failing = fn() -> Reply;
    let denied: Failing = || failure(403, "PermissionDenied");
    let broken: Failing = || Reply::json(200, json!({"appConnections": [{"id": "id-1"}]}));
    let foreign: Failing = || failure(404, "NotFound");
    for (failing, again) in [(denied, 1), (broken, 2), (foreign, 2)] {
        let held = of_p(20);
        let server = Server::start(move |seen, _| {
            if seen.target.starts_with(&format!("{ROUTE}?")) { failing() } else { answer(&held, seen) }
        })
        .await;
        let mut config = server.config();
        config.max_retries = 0;
        let client = new_client(config);
        assert_all_read(&read_all(&client, numbers(20)).await);
        assert_all_read(&read_all(&client, numbers(20)).await);
        assert_eq!(calls(&server), (1, 40));
        tokio::time::sleep(TTL).await;
        read(&client, 1).await.unwrap();
        assert_eq!(calls(&server).0, again);
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_of_this_process_is_always_seen() {
    let server = server(&of_p(20)).await;
    let client = server.client();
    read_all(&client, numbers(20)).await;
    let patch = DbtConnectionPatch { description: Some(Some("after".to_owned())), ..Default::default() };
    operation(&client).update::<DbtConnection>("id-1", &patch).await.unwrap();
    assert_eq!(read(&client, 1).await.unwrap().description.as_deref(), Some("after"));
    assert_eq!(calls(&server), (1, 1), "one read isn't worth a list, again");
    read_all(&client, numbers(20)).await;
    assert_eq!(calls(&server), (2, 1));
    operation(&client).delete::<DbtConnection>("id-2", ()).await.unwrap();
    assert!(read(&client, 2).await.unwrap_err().is_not_found());
}

#[tokio::test(start_paused = true)]
async fn a_list_under_way_while_a_write_ends_serves_no_later_read() {
    let held = of_p(20);
    let server = Server::start(move |seen, _| {
        // The list shows how it was when it was asked for, and takes its time.
        let is_first_list = seen.target.starts_with(&format!("{ROUTE}?")) && seen.earlier == 0;
        answer(&held, seen).after(Duration::from_secs(if is_first_list { 10 } else { 0 }))
    })
    .await;
    let client = server.client();
    let early = {
        let client = client.clone();
        tokio::spawn(async move { read_all(&client, numbers(10)).await })
    };
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(calls(&server), (1, 0));
    let patch = DbtConnectionPatch { description: Some(Some("after".to_owned())), ..Default::default() };
    operation(&client).update::<DbtConnection>("id-1", &patch).await.unwrap();
    // Three, so that they want a list, and find that one under way.
    let late = read_all(&client, vec![(1, None), (2, None), (3, None)]).await;
    assert_eq!(late[0].as_ref().unwrap().description.as_deref(), Some("after"));
    assert_all_read(&early.await.unwrap());
    assert_eq!(calls(&server), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn connections_of_unknown_scope_are_found_in_few_calls() {
    let scope = |number: usize| [None, Some("p1"), Some("p2")][number % 3].map(str::to_owned);
    let anywhere = |count| (0..count).map(|number| (number, Some(Scope::Unknown))).collect();
    for (count, expected) in [(1, (0, 1)), (2, (0, 2)), (3, (1, 0)), (300, (1, 0))] {
        let server = server(&held(0..count, scope)).await;
        assert_all_read(&read_all(&server.client(), anywhere(count)).await);
        assert_eq!(calls(&server), expected, "{count}");
    }
    let server = server(&of_p(1000)).await;
    let client = server.client();
    assert_all_read(&read_all(&client, anywhere(1000)).await);
    assert_eq!(calls(&server), (1, 0));
    // Other readers profit, and so do these from others.
    assert_all_read(&read_all(&client, numbers(1000)).await);
    assert_eq!(calls(&server), (1, 0));
    let gone = operation(&client).read::<DbtConnection>("id-x", Scope::Unknown).await;
    assert!(gone.unwrap_err().is_not_found());
}

#[tokio::test(start_paused = true)]
async fn connections_of_many_projects_cost_one_list_of_the_organization() {
    let held = held(0..150, |number| Some(format!("p{number}")));
    let server = server(&held).await;
    let all = (0..150).map(|number| (number, Some(scope_of(number)))).collect();
    assert_all_read(&read_all(&server.client(), all).await);
    assert_eq!(calls(&server), (1, 0));
}

/// The project that has the connection with this number.
fn scope_of(number: usize) -> Scope<'static> {
    Scope::Project(Box::leak(format!("p{number}").into_boxed_str()))
}

#[tokio::test(start_paused = true)]
async fn where_the_organization_may_not_be_listed_its_projects_are() {
    let held = held(0..60, |number| Some(format!("p{}", number % 3)));
    let server = {
        let held = Arc::clone(&held);
        Server::start(move |seen, _| {
            if seen.target == ROUTE { failure(403, "PermissionDenied") } else { answer(&held, seen) }
        })
        .await
    };
    let client = server.client();
    let all = || (0..60).map(|number| (number, Some(scope_of(number % 3)))).collect();
    assert_all_read(&read_all(&client, all()).await);
    assert_eq!(calls(&server), (4, 0));
    tokio::time::sleep(TTL).await;
    assert_all_read(&read_all(&client, all()).await);
    assert_eq!(calls(&server), (7, 0), "the refusal is remembered");
    // Of unknown scope, the first reveal the projects.
    let anywhere = (0..60).map(|number| (number, Some(Scope::Unknown))).collect();
    let other = server.client();
    assert_all_read(&read_all(&other, anywhere).await);
    let (lists, singles) = calls(&server);
    assert!(lists <= 11 && singles <= 9, "{lists} lists, {singles} reads");
}

#[tokio::test(start_paused = true)]
async fn a_slow_list_holds_nobody_up_for_longer_than_a_read_may_take() {
    let held = of_p(20);
    let server = Server::start(move |seen, _| {
        if seen.target.split('?').next() == Some(ROUTE) { Reply::never() } else { answer(&held, seen) }
    })
    .await;
    let client = server.client();
    let started = Instant::now();
    assert_all_read(&read_all(&client, numbers(20)).await);
    assert!(started.elapsed() < Duration::from_secs(32), "{:?}", started.elapsed());
    assert_eq!(calls(&server), (2, 20));
    let started = Instant::now();
    tokio::time::sleep(Duration::from_secs(25)).await;
    assert_all_read(&read_all(&client, numbers(20)).await);
    assert!(started.elapsed() < Duration::from_secs(26), "{:?}", started.elapsed());
    assert_eq!(calls(&server), (2, 40), "not asked for again so soon");
}

#[tokio::test(start_paused = true)]
async fn an_odd_entry_is_read_by_itself() {
    let held = of_p(20);
    let server = Server::start(move |seen, _| {
        if seen.target.split('?').next() != Some(ROUTE) {
            return answer(&held, seen);
        }
        let mut all: Vec<Value> = held.lock().unwrap().values().map(|(_, value)| value.clone()).collect();
        all[4]["credentials"] = json!("odd");
        all[5]["isPlatformManagedCredentials"] = json!(null);
        Reply::json(200, json!({"appConnections": all}))
    })
    .await;
    assert_all_read(&read_all(&server.client(), numbers(20)).await);
    assert_eq!(calls(&server), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_read_that_hangs_does_not_hold_up_others_of_unknown_scope() {
    let held = held(0..10, |number| Some(format!("p{number}")));
    let server =
        Server::start(
            move |seen, _| {
                if seen.target.ends_with(&id(9)) { Reply::never() } else { answer(&held, seen) }
            },
        )
        .await;
    let client = server.client();
    let first = operation(&client);
    let hanging =
        tokio::spawn(async move { first.read::<DbtConnection>(&id(9), Scope::Unknown).await.map(drop) });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let started = Instant::now();
    let others = (0..9).map(|number| (number, Some(Scope::Unknown))).collect();
    assert_all_read(&read_all(&client, others).await);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    hanging.abort();
}

#[tokio::test(start_paused = true)]
async fn no_read_waits_for_several_lists_that_hang() {
    let held = held(0..12, |number| Some(format!("p{}", number % 2)));
    let server = Server::start(move |seen, _| {
        if seen.target.starts_with(&format!("{ROUTE}?")) || seen.target == ROUTE {
            Reply::never()
        } else {
            answer(&held, seen)
        }
    })
    .await;
    let client = server.client();
    let reads = (0..12).map(|number| {
        let operation = operation(&client);
        tokio::spawn(async move {
            let project = format!("p{}", number % 2);
            let started = Instant::now();
            operation.read::<DbtConnection>(&id(number), Scope::Project(&project)).await.unwrap();
            started.elapsed()
        })
    });
    for read in reads.collect::<Vec<_>>() {
        let took = read.await.unwrap();
        assert!(took < Duration::from_secs(35), "longer than one read may take: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_entry_without_its_project_is_read_by_itself() {
    let held = of_p(5);
    let server = Server::start(move |seen, _| {
        if !seen.target.starts_with(&format!("{ROUTE}?")) {
            return answer(&held, seen);
        }
        let mut entries: Vec<Value> = (0..5).map(|number| shown(&id(number), Some("p"))).collect();
        entries[4].as_object_mut().unwrap().remove("projectId");
        Reply::json(200, json!({ "appConnections": entries }))
    })
    .await;
    let client = server.client();
    for number in 0..5 {
        let read = operation(&client).read::<DbtConnection>(&id(number), Scope::Project("p")).await;
        assert_eq!(read.unwrap().project_id.as_deref(), Some("p"), "{number}");
    }
    assert_eq!(calls(&server), (1, 3));
}

#[tokio::test(start_paused = true)]
async fn an_entry_without_its_project_in_the_list_of_all_is_read_by_itself() {
    let held = held(0..6, |number| Some(format!("p{}", number % 2)));
    let server = Server::start(move |seen, _| {
        if seen.target != ROUTE {
            return answer(&held, seen);
        }
        let mut all: Vec<Value> = held.lock().unwrap().values().map(|(_, value)| value.clone()).collect();
        all[4]["projectId"] = json!(null);
        Reply::json(200, json!({"appConnections": all}))
    })
    .await;
    let all = (0..6).map(|number| (number, Some(scope_of(number % 2)))).collect();
    for read in read_all(&server.client(), all).await {
        assert!(read.unwrap().project_id.is_some());
    }
    assert_eq!(calls(&server), (1, 1));
}

/// The only evidence is that of the list, for the token is configured.
#[tokio::test(start_paused = true)]
async fn a_list_that_fails_slowly_is_no_outage() {
    let held = of_p(20);
    let server = Server::start(move |seen, _| {
        let is_list = seen.target.starts_with(&format!("{ROUTE}?"));
        if is_list { Reply::html(504).after(Duration::from_secs(3)) } else { answer(&held, seen) }
    })
    .await;
    let config = Config { auth: Auth::Token(Secret::new("access-1")), ..server.config() };
    assert_all_read(&read_all(&new_client(config), numbers(20)).await);
    assert_eq!(calls(&server), (2, 20));
}

#[tokio::test(start_paused = true)]
async fn a_list_is_worth_no_longer_wait_for_the_rate_limit_than_a_read() {
    for wait in [50, 20] {
        let held = of_p(20);
        let server = Server::start(move |seen, _| {
            if seen.target.starts_with(&format!("{ROUTE}?")) {
                Reply::error(429, "RateLimitExceeded", "Rate limit exceeded").with("retry-after", wait)
            } else {
                answer(&held, seen)
            }
        })
        .await;
        let started = Instant::now();
        assert_all_read(&read_all(&server.client(), numbers(20)).await);
        assert!(started.elapsed() < Duration::from_secs(32), "{:?}", started.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn names_are_found_in_the_list_too() {
    let server = server(&of_p(20)).await;
    let client = server.client();
    for number in 0..20 {
        let operation = operation(&client);
        let name = format!("name-id-{number}");
        let found = operation.read_by_name::<DbtConnection>(&place(&name)).await;
        assert_eq!(found.unwrap().id, id(number));
    }
    let gone = operation(&client).read_by_name::<DbtConnection>(&place("no")).await;
    assert!(gone.unwrap_err().is_not_found());
    assert_eq!(calls(&server), (1, 3));
}

#[tokio::test(start_paused = true)]
async fn when_the_one_who_lists_is_stopped_the_next_takes_over() {
    let held = of_p(20);
    let server = Server::start(move |seen, _| {
        let is_first_list = seen.target.starts_with(&format!("{ROUTE}?")) && seen.earlier == 0;
        if is_first_list { Reply::never() } else { answer(&held, seen) }
    })
    .await;
    let client = server.client();
    for number in 0..SINGLE_READS {
        read(&client, number as usize).await.unwrap();
    }
    let stop = CancellationToken::new();
    let first = client.operation(stop.clone());
    let first = tokio::spawn(async move { first.read::<DbtConnection>("id-0", Scope::Project("p")).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let others = {
        let client = client.clone();
        tokio::spawn(async move { read_all(&client, numbers(20)).await })
    };
    tokio::time::sleep(Duration::from_secs(1)).await;
    stop.cancel();
    assert!(matches!(first.await.unwrap(), Err(Error::Cancelled)));
    assert_all_read(&others.await.unwrap());
    assert_eq!(calls(&server), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_asks_for_too_much_of_lists_leaves_single_reads() {
    for other_route in [true, false] {
        let held = of_p(20);
        let server = Server::start(move |seen, _| {
            if other_route && seen.target.split('?').next() != Some(ROUTE) {
                return answer(&held, seen);
            }
            failure(429, "RateLimitExceeded").with("retry-after", 900)
        })
        .await;
        let results = read_all(&server.client(), numbers(20)).await;
        let limited = results.iter().filter(|read| matches!(read, Err(Error::RateLimited { .. })));
        assert_eq!(limited.count(), if other_route { 0 } else { 20 });
        assert_eq!(calls(&server).0, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_for_a_list_use_up_their_budget_of_waiting() {
    let held = of_p(20);
    let server = Server::start(move |seen, _| {
        let is_list = seen.target.split('?').next() == Some(ROUTE);
        match seen.earlier {
            0 if is_list => failure(429, "RateLimitExceeded").with("retry-after", 20),
            _ if is_list => failure(429, "RateLimitExceeded").with("retry-after", 800),
            _ => answer(&held, seen),
        }
    })
    .await;
    let client = server.client();
    let reads = (0..9).map(|number| {
        let operation = operation(&client);
        tokio::spawn(async move {
            operation.read::<DbtConnection>(&id(number), Scope::Project("p")).await.unwrap();
            operation.waited().as_secs()
        })
    });
    for read in reads.collect::<Vec<_>>() {
        assert!((20..22).contains(&read.await.unwrap()));
    }
}

#[tokio::test]
async fn a_list_beyond_the_limits_is_given_up() {
    let entry = serde_json::to_string(&shown("id-1", None)).unwrap();
    let list = |count: usize, padding: usize| {
        let entries = vec![entry.as_str(); count].join(",");
        format!("{{\"appConnections\":[{entries}]{}}}", " ".repeat(padding))
    };
    let room = MAX_LIST - (entry.len() + "{\"appConnections\":[]}".len());
    for (count, padding, problem) in [
        (MAX_ENTRIES, 0, None),
        (MAX_ENTRIES + 1, 0, Some("it lists more than 10000 objects")),
        (1, room, None),
        (1, room + 1, Some("it is larger than 8 MiB")),
    ] {
        let list = list(count, padding);
        let server = Server::start(move |_, _| Reply::text(200, "application/json", list.clone())).await;
        let result = server.operation().list::<DbtConnection>(ListScope::All).await;
        match (result, problem) {
            (Ok(list), None) => assert_eq!((list.objects.len(), list.unreadable), (count, 0)),
            (Err(error), Some(problem)) => assert!(error.to_string().ends_with(problem), "{error}"),
            (result, problem) => panic!("{:?} for {problem:?}", result.map(|list| list.objects.len())),
        }
        assert_eq!(server.count("GET"), 1);
    }
}
