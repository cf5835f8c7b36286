//! What hundreds of connections cost: calls, refusals for the rate limit, and time.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use kms_emulator::{
    CLIENT_ID, CLIENT_SECRET, CONNECTIONS, Credentials, Emulator, Fault, IDENTITY_ID, LoggedRequest,
    OTHER_PROJECT_ID, Options, PROJECT_ID, Target,
    identities::{Action, Identity, Scope},
    rate_limit::RateLimits,
};
use serde_json::json;
use terraform_provider_kms::plugin::value::Value;

use crate::{
    host::{Host, Provider, TIMEOUT, object, proto, provider_config, told, value},
    resource::{Stored, TYPE_NAME, apply, config, configure, configured, emulator, read, resource_type, set},
};

/// Terraform works on this many resources at a time, unless told otherwise.
const PARALLELISM: usize = 10;

/// Does `work` with every item, as many at a time as Terraform does, and returns the results in order.
async fn each<T, R, F>(items: Vec<T>, work: impl Fn(T) -> F) -> Vec<R>
where
    F: Future<Output = R> + Send + 'static,
    R: Send + 'static,
{
    let begun: Vec<_> = items.into_iter().map(work).collect();
    let (slots, mut tasks) = (Arc::new(tokio::sync::Semaphore::new(PARALLELISM)), Vec::new());
    for future in begun {
        let slots = Arc::clone(&slots);
        tasks.push(tokio::spawn(async move {
            let _slot = slots.acquire().await.unwrap();
            future.await
        }));
    }
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}

/// Makes connections behind the provider's back, and the states that it would have of them.
fn seeded(emulator: &Emulator, count: usize, project_id: Option<&str>) -> Vec<Stored> {
    let credentials = Credentials {
        instance_url: "https://cloud.getdbt.com".into(),
        account_id: "12345".into(),
        api_token: "dbtc_seeded".into(),
    };
    let schema = resource_type();
    let one = |number| {
        let name = format!("seeded-{number}");
        let id = emulator.create(&name, project_id, &credentials);
        let state = object(
            &schema,
            &[
                ("id", Value::string(&id)),
                ("name", Value::string(&name)),
                ("project_id", project_id.map_or(Value::Null, Value::string)),
                ("instance_url", Value::string("https://cloud.getdbt.com")),
                ("account_id", Value::string("12345")),
            ],
        );
        Stored { state, private: Vec::new(), identity: None }
    };
    (0..count).map(one).collect()
}

/// The state of a connection that was imported by its ID: nothing else is known.
fn imported(stored: &Stored) -> Stored {
    let id = stored.state.attribute("id").unwrap().clone();
    Stored { state: object(&resource_type(), &[("id", id)]), private: Vec::new(), identity: None }
}

/// Refreshes all, as a plan does. Every one must succeed.
async fn refresh(provider: &Provider, stored: &[Stored]) -> Vec<Stored> {
    let read_one = |stored: Stored| {
        let mut provider = provider.clone();
        async move {
            let (answer, stored) = read(&mut provider, &stored).await;
            assert_eq!(told(&answer.diagnostics), Vec::<String>::new());
            stored
        }
    };
    each(stored.to_vec(), read_one).await
}

fn assert_same_connections(refreshed: &[Stored], stored: &[Stored]) {
    for (refreshed, stored) in refreshed.iter().zip(stored) {
        assert_eq!(refreshed.state.attribute("id"), stored.state.attribute("id"));
        assert_eq!(refreshed.state.attribute("name"), stored.state.attribute("name"));
        assert!(refreshed.state.attribute("credentials_hash").is_some_and(|hash| *hash != Value::Null));
    }
}

/// How many lists, and how many reads of one connection, the emulator has seen.
fn calls(emulator: &Emulator) -> (usize, usize) {
    let reads = emulator.requests().into_iter().filter(|request| request.method == "GET");
    let (lists, singles): (Vec<_>, Vec<_>) = reads.partition(is_list);
    (lists.len(), singles.len())
}

fn is_list(request: &LoggedRequest) -> bool {
    request.is("GET", CONNECTIONS)
}

#[tokio::test]
async fn refreshing_two_hundred_connections_of_a_project_costs_one_list() {
    let emulator = emulator().await;
    let stored = seeded(&emulator, 200, Some(PROJECT_ID));
    let (_host, provider) = configured(&emulator).await;
    let refreshed = refresh(&provider, &stored).await;
    assert_same_connections(&refreshed, &stored);
    assert_eq!(calls(&emulator), (1, 0));
    let list = emulator.requests().into_iter().find(is_list).unwrap();
    assert_eq!(list.query, format!("projectId={PROJECT_ID}"));
}

#[tokio::test]
async fn several_scopes_cost_one_list_of_the_organization() {
    let emulator = emulator().await;
    let scopes = [Some(PROJECT_ID), Some(OTHER_PROJECT_ID), None];
    let scopes = scopes.map(|project_id| seeded(&emulator, 40, project_id));
    let stored: Vec<_> = (0..40).flat_map(|one| scopes.each_ref().map(|scope| scope[one].clone())).collect();
    let (_host, provider) = configured(&emulator).await;
    assert_same_connections(&refresh(&provider, &stored).await, &stored);
    assert_eq!(calls(&emulator), (1, 0));
}

/// Projects with a connection or several each, and the states of all, under the server's true limits.
async fn many_projects(projects: usize, connections: usize) -> (Emulator, Vec<Stored>) {
    let ids: Vec<String> =
        (0..projects).map(|number| format!("10000000-0000-4000-8000-{number:012}")).collect();
    let named = |id: &String| (id.clone(), format!("project-{id}"));
    let emulator =
        Emulator::start(Options { projects: ids.iter().map(named).collect(), ..Options::default() }).await;
    let stored = ids.iter().flat_map(|id| seeded(&emulator, connections, Some(id))).collect();
    (emulator, stored)
}

#[tokio::test]
async fn connections_of_many_projects_are_read_within_the_limits() {
    for (projects, connections) in [(150, 1), (1000, 1), (50, 20)] {
        let (emulator, mut stored) = many_projects(projects, connections).await;
        // IDs are random, so their order mixes the projects, as Terraform does.
        stored.sort_by_cached_key(|stored| format!("{:?}", stored.state.attribute("id")));
        let (_host, provider) = configured(&emulator).await;
        assert_same_connections(&refresh(&provider, &stored).await, &stored);
        let (lists, singles) = calls(&emulator);
        assert!(lists + singles <= 8, "{projects} x {connections}: {lists} lists, {singles} reads");
        let refused = emulator.requests().iter().filter(|request| request.status == Some(429)).count();
        assert_eq!(refused, 0, "{projects} x {connections}");
    }
}

#[tokio::test]
async fn without_the_right_to_list_the_organization_each_project_is_listed() {
    let identity = Identity::new(IDENTITY_ID, CLIENT_ID, CLIENT_SECRET);
    let identities = vec![identity.without(Action::Read, Scope::Organization)];
    let emulator = Emulator::start(Options { identities, ..Options::default() }).await;
    let scopes = [Some(PROJECT_ID), Some(OTHER_PROJECT_ID)].map(|project| seeded(&emulator, 100, project));
    let stored: Vec<_> = (0..100).flat_map(|one| scopes.each_ref().map(|scope| scope[one].clone())).collect();
    let (_host, provider) = configured(&emulator).await;
    for _ in 0..2 {
        assert_same_connections(&refresh(&provider, &stored).await, &stored);
    }
    let (lists, singles) = calls(&emulator);
    assert!(lists <= 3 && singles <= 4, "{lists} lists, {singles} reads");
    let denied = emulator.requests().iter().filter(|request| request.status == Some(403)).count();
    assert_eq!(denied, 1, "the refusal is remembered");
}

#[tokio::test]
async fn one_or_two_connections_are_read_one_by_one() {
    for count in [1, 2] {
        let emulator = emulator().await;
        let stored = seeded(&emulator, count, Some(PROJECT_ID));
        let (_host, provider) = configured(&emulator).await;
        assert_same_connections(&refresh(&provider, &stored).await, &stored);
        assert_eq!(calls(&emulator), (0, count));
    }
}

#[tokio::test]
async fn hundreds_of_connections_imported_by_identity_cost_one_list() {
    let emulator = Emulator::start(Options::default()).await;
    let mut stored = seeded(&emulator, 150, Some(PROJECT_ID));
    stored.extend(seeded(&emulator, 150, None));
    let stubs: Vec<_> = stored.iter().map(imported).collect();
    let (_host, provider) = configured(&emulator).await;
    assert_same_connections(&refresh(&provider, &stubs).await, &stored);
    assert_eq!(calls(&emulator), (1, 0));
}

#[tokio::test]
async fn an_import_by_name_finds_it_in_the_list() {
    let emulator = emulator().await;
    let stored = seeded(&emulator, 100, Some(PROJECT_ID));
    let (_host, provider) = configured(&emulator).await;
    let import = |number: usize| {
        let mut provider = provider.clone();
        async move {
            let request = proto::import_resource_state::Request {
                type_name: TYPE_NAME.into(),
                id: format!("{PROJECT_ID}/seeded-{number}"),
                ..Default::default()
            };
            let answer = provider.import_resource_state(request).await.unwrap().into_inner();
            assert_eq!(told(&answer.diagnostics), Vec::<String>::new());
            let imported = answer.imported_resources.into_iter().next().unwrap();
            let state = value(imported.state, &resource_type());
            Stored { state, private: imported.private, identity: None }
        }
    };
    let imported = each((0..100).collect(), import).await;
    assert_same_connections(&refresh(&provider, &imported).await, &stored);
    assert_eq!(calls(&emulator), (1, 0));
}

#[tokio::test]
async fn an_identity_that_may_not_list_reads_one_by_one() {
    let emulator = emulator().await;
    let denial = json!({
        "reqId": "req-1", "statusCode": 403, "error": "PermissionDenied",
        "message": "You are not allowed to read on app-connections",
    });
    emulator.fault(Target::every("GET", CONNECTIONS), Fault::Answer { status: 403, body: denial });
    let stored = seeded(&emulator, 50, Some(PROJECT_ID));
    let (_host, provider) = configured(&emulator).await;
    assert_same_connections(&refresh(&provider, &stored).await, &stored);
    assert_same_connections(&refresh(&provider, &stored).await, &stored);
    assert_eq!(calls(&emulator), (1, 100));
}

#[tokio::test]
async fn an_identity_that_may_read_nothing_is_told_so() {
    let identity = Identity::new(IDENTITY_ID, CLIENT_ID, CLIENT_SECRET);
    let identity = identity.without(Action::Read, Scope::Everywhere);
    let options = Options { identities: vec![identity], ..Options::default() };
    let emulator = Emulator::start(options.without_rate_limits()).await;
    let stored = seeded(&emulator, 20, Some(PROJECT_ID));
    let (_host, provider) = configured(&emulator).await;
    let read_one = |stored: Stored| {
        let mut provider = provider.clone();
        async move { read(&mut provider, &stored).await.0 }
    };
    for answer in each(stored, read_one).await {
        assert_eq!(told(&answer.diagnostics).len(), 1);
        assert!(answer.diagnostics[0].detail.contains("You are not allowed to read"));
    }
}

#[tokio::test]
async fn a_write_between_two_reads_is_seen() {
    let emulator = emulator().await;
    let (_host, mut provider) = configured(&emulator).await;
    let wanted = config("analytics", &[("project_id", Value::string(PROJECT_ID))]);
    let (_, created) = apply(&mut provider, None, &wanted).await;
    emulator.clear_requests();
    let mut stored = seeded(&emulator, 30, Some(PROJECT_ID));
    stored.push(created.clone());
    let refreshed = refresh(&provider, &stored).await;
    assert_eq!(refreshed[30].state, created.state);
    assert_eq!(calls(&emulator), (1, 0));

    let described = set(&wanted, "description", Value::string("after"));
    let (_, updated) = apply(&mut provider, Some(&created), &described).await;
    let refreshed = refresh(&provider, &stored[30..]).await;
    assert_eq!(refreshed[0].state, updated.state, "the list from before the write is shown");
    // The whole project, again, is worth one list.
    refresh(&provider, &stored).await;
    assert_eq!(calls(&emulator).0, 2);
}

#[tokio::test]
async fn what_was_deleted_elsewhere_is_noticed_and_what_the_list_hides_is_found() {
    let emulator = emulator().await;
    let stored = seeded(&emulator, 30, Some(PROJECT_ID));
    let id = |number: usize| match stored[number].state.attribute("id") {
        Some(Value::String(id)) => id.clone(),
        other => panic!("{other:?}"),
    };
    emulator.delete(&id(7));
    let listed = {
        let state = emulator.state();
        let shown = state.connections.iter().filter(|connection| connection.id != id(8));
        shown.map(|connection| state.to_json(connection, true)).collect::<Vec<_>>()
    };
    assert_eq!(listed.len(), 28);
    let hiding = Fault::Answer { status: 200, body: json!({"appConnections": listed}) };
    emulator.fault(Target::every("GET", CONNECTIONS), hiding);
    let (_host, provider) = configured(&emulator).await;
    let refreshed = refresh(&provider, &stored).await;
    for (number, refreshed) in refreshed.iter().enumerate() {
        assert_eq!(refreshed.state == Value::Null, number == 7, "{number}");
    }
    assert_eq!(refreshed[8].state.attribute("name"), stored[8].state.attribute("name"));
    assert_eq!(calls(&emulator), (1, 2));
}

#[tokio::test]
async fn a_list_that_is_told_to_wait_waits_for_all() {
    let emulator = emulator().await;
    emulator.fault(Target::once("GET", CONNECTIONS), Fault::RateLimited { seconds: 1 });
    let stored = seeded(&emulator, 50, Some(PROJECT_ID));
    let (_host, provider) = configured(&emulator).await;
    let begun = Instant::now();
    assert_same_connections(&refresh(&provider, &stored).await, &stored);
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_eq!(calls(&emulator), (2, 0));
}

#[tokio::test]
async fn a_long_wait_is_logged_while_it_lasts_and_warned_of_once() {
    let emulator = emulator().await;
    // No read waits that long for the list.
    for path in [CONNECTIONS.to_owned(), format!("{CONNECTIONS}/*")] {
        emulator.fault(Target::once("GET", &path), Fault::RateLimited { seconds: 31 });
    }
    let stored = seeded(&emulator, 10, Some(PROJECT_ID));
    let host = Host::start_with(&[("TF_LOG_PROVIDER", "INFO")]).await;
    let mut provider = host.provider();
    let block = provider_config(&emulator.url(), &[]);
    assert_eq!(configure(&mut provider, &block).await, Vec::<String>::new());
    let read_one = |stored: Stored| {
        let mut provider = provider.clone();
        async move { told(&read(&mut provider, &stored).await.0.diagnostics) }
    };
    // How many reads begin after the refusal depends on the machine. Each of them says so once.
    let mut told: Vec<Vec<String>> = each(stored, read_one).await;
    told.retain(|told| !told.is_empty());
    assert!(!told.is_empty(), "the read that was refused didn't warn");
    for told in told {
        assert_eq!(told, ["warning [] Slowed down by the rate limit of the KMS"]);
    }
    let (_, _, log) = host.shut_down().await;
    let log: Vec<serde_json::Value> = log.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let waits: Vec<_> =
        log.iter().filter(|line| line["@message"] == "waiting for the rate limit of the KMS").collect();
    let [wait] = waits[..] else { panic!("one line is wanted: {log:?}") };
    assert_eq!(wait["@level"], "info");
    assert!(wait["seconds"].as_u64().is_some_and(|seconds| (31..=32).contains(&seconds)), "{wait}");
}

#[tokio::test]
async fn readers_that_wait_for_the_limit_stop_at_once() {
    let emulator = emulator().await;
    for path in [CONNECTIONS.to_owned(), format!("{CONNECTIONS}/*")] {
        emulator.fault(Target::every("GET", &path), Fault::RateLimited { seconds: 60 });
    }
    let stored = seeded(&emulator, 10, Some(PROJECT_ID));
    let (_host, provider) = configured(&emulator).await;
    let answers = Arc::new(Mutex::new(Vec::new()));
    let tasks: Vec<_> = stored
        .into_iter()
        .map(|stored| {
            let (mut provider, answers) = (provider.clone(), Arc::clone(&answers));
            tokio::spawn(async move {
                let (answer, _) = read(&mut provider, &stored).await;
                answers.lock().unwrap().push(answer);
            })
        })
        .collect();
    let begun = Instant::now();
    while calls(&emulator).1 == 0 {
        assert!(begun.elapsed() < TIMEOUT, "nobody reads");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let begun = Instant::now();
    provider.clone().stop_provider(proto::stop_provider::Request {}).await.unwrap();
    for task in tasks {
        task.await.unwrap();
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "it waited: {:?}", begun.elapsed());
    for answer in answers.lock().unwrap().iter() {
        assert_eq!(told(&answer.diagnostics), ["error [] Stopped"]);
        assert!(answer.new_state.is_some(), "what is known stays in state");
    }
    let (lists, singles) = calls(&emulator);
    assert!(lists == 1 && singles <= 10, "something was sent again: {lists} lists, {singles} reads");
}

#[tokio::test]
async fn creates_run_into_the_limit_at_most_once_a_window() {
    let window = Duration::from_secs(2);
    let limits = RateLimits { writes: 50, window_seconds: window.as_secs(), ..RateLimits::default() };
    let emulator = Emulator::start(Options { rate_limits: Some(limits), ..Options::default() }).await;
    let (_host, provider) = configured(&emulator).await;
    let begun = Instant::now();
    let create = |number: usize| {
        let mut provider = provider.clone();
        async move {
            let wanted = config(&format!("made-{number}"), &[("project_id", Value::string(PROJECT_ID))]);
            let (answer, _) = apply(&mut provider, None, &wanted).await;
            told(&answer.diagnostics)
        }
    };
    for told in each((0..250).collect(), create).await {
        assert_eq!(told, Vec::<String>::new());
    }
    let took = begun.elapsed();
    assert_eq!(emulator.connections().len(), 250);
    let refused = emulator.writes().iter().filter(|request| request.status == Some(429)).count();
    let windows = took.as_secs_f64() / window.as_secs_f64();
    assert!(refused as f64 <= windows, "{refused} refusals in {windows:.1} windows");
    assert!(took >= window * 4, "50 a window are allowed: {took:?}");
    // Each of four pauses may take up to a second longer than the window, for seconds are rounded, and half for jitter.
    assert!(took < window * 4 + Duration::from_millis(1500) * 4 + TIMEOUT / 2, "{took:?}");
}

#[tokio::test]
async fn three_hundred_connections_are_read_within_the_true_limits_in_mid_run() {
    let emulator = Emulator::start(Options::default()).await;
    let stored = seeded(&emulator, 300, Some(PROJECT_ID));
    let (_host, mut provider) = configured(&emulator).await;
    let wanted = config("analytics", &[("project_id", Value::string(PROJECT_ID))]);
    let begun = Instant::now();
    let (_, mut created) = apply(&mut provider, None, &wanted).await;
    emulator.clear_requests();
    for round in 0..5 {
        assert_same_connections(&refresh(&provider, &stored).await, &stored);
        let described = set(&wanted, "description", Value::string(format!("round {round}")));
        (_, created) = apply(&mut provider, Some(&created), &described).await;
    }
    let took = begun.elapsed();
    eprintln!("1,500 reads between writes: {took:?}, {:?} calls", calls(&emulator));
    assert!(took < Duration::from_secs(15), "it waited: {took:?}");
    assert!(emulator.requests().iter().all(|request| request.status == Some(200)));
    assert_eq!(calls(&emulator), (5, 0));
}

#[tokio::test]
async fn a_provider_configured_anew_asks_anew() {
    let emulator = emulator().await;
    let stored = seeded(&emulator, 20, Some(PROJECT_ID));
    let host = Host::start().await;
    let mut provider = host.provider();
    for runs in 1..=2 {
        let block = provider_config(&emulator.url(), &[]);
        assert_eq!(configure(&mut provider, &block).await, Vec::<String>::new());
        refresh(&provider, &stored).await;
        assert_eq!(calls(&emulator), (runs, 0));
    }
}
