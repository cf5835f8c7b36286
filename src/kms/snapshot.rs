//! One list instead of many reads.
//!
//! The KMS allows few reads a minute, but one list shows all connections of a scope. So two reads of a scope are made
//! one by one, and from the third on the scope is listed and the list answers. The first two wait a moment for others:
//! those who read many connections ask for several at once.
//!
//! A list answers for [`LIFE`], and never a read that began after a write of this process which the list may have
//! missed. It is believed in what it shows only: what it doesn't show, or not in full, is read by itself, and so is
//! everything where lists fail.
//!
//! [`Shelf`] is the pure core; [`Operation`]'s part asks, waits and takes turns.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{ApiErrorKind, Connection, Credentials, Error, Operation};

/// How long a list answers: long enough that reading thousands of connections takes few lists, and short enough that
/// nobody takes what others changed meanwhile for a fault. After a failure, as long passes until the next list.
const LIFE: Duration = Duration::from_secs(30);

/// How many connections of a scope are read by themselves before the scope is listed.
const SINGLE_READS: u32 = 2;

/// How long the first reads of a scope wait for others, after the login. Callers that read many at once start them
/// within a few milliseconds.
const GATHERING: Duration = Duration::from_millis(10);

/// How long to wait for another's read to tell a scope. It may hang, or wait for the rate limit.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where a connection belongs, as far as the caller knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope<'a> {
    /// To the organization itself.
    Organization,
    /// To the project with this ID.
    Project(&'a str),
    /// To either; only the connection's ID is known.
    Unknown,
}

/// What tells a connection from the others of its scope.
#[derive(Debug, Clone, Copy)]
enum Key<'a> {
    Id(&'a str),
    Name(&'a str),
}

/// The lists of one kind of connection. Shared by all operations of a client.
pub(super) struct Snapshots<C: Credentials> {
    /// By project; `None` is the organization.
    places: Mutex<HashMap<Option<String>, Arc<Place<C>>>>,
    /// The turn of those who read a connection whose scope they don't know. Inside, the scope that such reads found
    /// several times: the next in line lists it first.
    searching: tokio::sync::Mutex<Option<Arc<Place<C>>>>,
}

impl<C: Credentials> Default for Snapshots<C> {
    fn default() -> Self {
        Self { places: Mutex::default(), searching: tokio::sync::Mutex::default() }
    }
}

impl<C: Credentials> Snapshots<C> {
    fn place(&self, project_id: Option<&str>) -> Arc<Place<C>> {
        let project_id = project_id.map(str::to_owned);
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let place = places.entry(project_id).or_insert_with_key(|project_id| {
            let (shelf, turn) = (Mutex::default(), tokio::sync::Mutex::default());
            Arc::new(Place { project_id: project_id.clone(), shelf, turn })
        });
        Arc::clone(place)
    }

    /// Looks for a connection in all lists that are good enough for a read that began after `writes` writes.
    fn find(&self, id: &str, writes: u64) -> Option<Connection<C>> {
        let places: Vec<_> =
            self.places.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        let now = Instant::now();
        places.iter().find_map(|place| match place.shelf().look(Key::Id(id), writes, now) {
            Look::Shown(connection) => Some(*connection),
            Look::ReadSingly | Look::List => None,
        })
    }
}

/// One scope.
struct Place<C: Credentials> {
    project_id: Option<String>,
    shelf: Mutex<Shelf<C>>,
    /// Held by the operation that lists. If it is stopped or dropped, the next in line takes over.
    turn: tokio::sync::Mutex<()>,
}

impl<C: Credentials> Place<C> {
    fn shelf(&self) -> MutexGuard<'_, Shelf<C>> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where to get a connection from.
#[derive(Debug)]
enum Look<C: Credentials> {
    /// The list shows it.
    Shown(Box<Connection<C>>),
    /// The list doesn't show it, or not in full, or there can't be a list now.
    ReadSingly,
    /// There is no list that is good enough.
    List,
}

/// When the scope may be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lists {
    Any,
    NotBefore(Instant),
    Never,
}

/// What is known of one scope. Pure: the clock is an argument, and so is the number of writes that this process had
/// finished when a read or a list began.
#[derive(Debug)]
struct Shelf<C: Credentials> {
    list: Option<List<C>>,
    lists: Lists,
    /// Whether the latest list failed because of the rate limit.
    is_limited: bool,
    /// Reads that began after `writes` writes. A write makes the list useless, so it is earned anew.
    reads: u32,
    writes: u64,
}

#[derive(Debug)]
struct List<C: Credentials> {
    /// IDs in lower case, which is how the server writes them.
    by_id: HashMap<String, Connection<C>>,
    /// How many writes were finished before it was asked for.
    writes: u64,
    answered_at: Instant,
}

impl<C: Credentials> Default for Shelf<C> {
    fn default() -> Self {
        Self { list: None, lists: Lists::Any, is_limited: false, reads: 0, writes: 0 }
    }
}

impl<C: Credentials> Shelf<C> {
    /// Counts a read, and says how many there have been.
    fn count(&mut self, writes: u64) -> u32 {
        if writes > self.writes {
            (self.writes, self.reads) = (writes, 0);
        }
        self.reads = self.reads.saturating_add(1);
        self.reads
    }

    fn look(&self, key: Key<'_>, writes: u64, now: Instant) -> Look<C> {
        let list = self.list.as_ref().filter(|list| list.writes >= writes && now < list.answered_at + LIFE);
        match (list, self.lists) {
            (Some(list), _) => match list.get(key) {
                Some(connection) if is_whole(connection) => Look::Shown(Box::new(connection.clone())),
                _ => Look::ReadSingly,
            },
            (None, Lists::Never) => Look::ReadSingly,
            (None, Lists::NotBefore(until)) if now < until => Look::ReadSingly,
            (None, Lists::Any | Lists::NotBefore(_)) => Look::List,
        }
    }

    /// Keeps what a list, asked for after `writes` writes, has come to.
    fn keep(&mut self, result: Result<Vec<Connection<C>>, Error>, writes: u64, now: Instant) {
        self.is_limited = matches!(result, Err(Error::RateLimited { .. }));
        match result {
            Ok(connections) => {
                let by_id = connections.into_iter().map(|one| (one.id.to_ascii_lowercase(), one)).collect();
                self.list = Some(List { by_id, writes, answered_at: now });
                self.lists = Lists::Any;
            }
            // It says nothing about those who wait behind.
            Err(Error::Cancelled) => {}
            Err(error) if error.api_kind() == Some(ApiErrorKind::PermissionDenied) => {
                self.lists = Lists::Never;
            }
            Err(_) => self.lists = Lists::NotBefore(now + LIFE),
        }
    }
}

impl<C: Credentials> List<C> {
    fn get(&self, key: Key<'_>) -> Option<&Connection<C>> {
        match key {
            Key::Id(id) => self.by_id.get(&id.to_ascii_lowercase()),
            Key::Name(name) => self.by_id.values().find(|one| one.name.eq_ignore_ascii_case(name)),
        }
    }
}

/// Whether a list shows all that a read would. Some servers leave fields out of lists.
fn is_whole<C: Credentials>(connection: &Connection<C>) -> bool {
    let Connection { org_id, created_at, updated_at, method, credentials_hash, .. } = connection;
    [org_id, created_at, updated_at, method, credentials_hash].iter().all(|text| !text.is_empty())
}

impl Operation {
    /// Reads a connection, from a list that this process has or gets if many connections of its scope are read. The
    /// list may be 30 seconds old, but is newer than every write that was finished in this process before the call.
    ///
    /// # Errors
    /// As [`get_connection`](Self::get_connection). That there is no such connection is never concluded from a list.
    pub async fn read_connection<C: Credentials>(
        &self,
        id: &str,
        scope: Scope<'_>,
    ) -> Result<Connection<C>, Error> {
        match scope {
            Scope::Organization => self.read_in_scope(Key::Id(id), None).await,
            Scope::Project(project_id) => self.read_in_scope(Key::Id(id), Some(project_id)).await,
            Scope::Unknown => self.read_anywhere(id).await,
        }
    }

    /// Reads the connection that has a name in a project, or in the organization, as
    /// [`read_connection`](Self::read_connection) does.
    ///
    /// # Errors
    /// As [`read_connection`](Self::read_connection).
    pub async fn read_connection_by_name<C: Credentials>(
        &self,
        name: &str,
        project_id: Option<&str>,
    ) -> Result<Connection<C>, Error> {
        self.read_in_scope(Key::Name(name), project_id).await
    }

    async fn read_in_scope<C: Credentials>(
        &self,
        key: Key<'_>,
        project_id: Option<&str>,
    ) -> Result<Connection<C>, Error> {
        let writes = self.client.finished_writes();
        let place = self.client.snapshots::<C>().place(project_id);
        let mut reads = place.shelf().count(writes);
        if reads <= SINGLE_READS {
            // Others come while the login is under way, and shortly after.
            self.client.session().token(self).await?;
            self.unless_stopped(tokio::time::sleep(GATHERING)).await?;
            reads = place.shelf().reads;
        }
        if reads > SINGLE_READS
            && let Some(connection) = self.look_up(&place, key, writes).await?
        {
            return Ok(connection);
        }
        match key {
            Key::Id(id) => self.get_connection(id).await,
            Key::Name(name) => self.get_connection_by_name(name, project_id).await,
        }
    }

    /// Reads a connection that may belong anywhere. Those who do take turns, unless one takes long: each read tells a
    /// scope, and once two have told the same, the next lists that scope, which answers all others of it.
    async fn read_anywhere<C: Credentials>(&self, id: &str) -> Result<Connection<C>, Error> {
        let writes = self.client.finished_writes();
        let snapshots = self.client.snapshots::<C>();
        if let Some(connection) = snapshots.find(id, writes) {
            return Ok(connection);
        }
        let turn = tokio::time::timeout(PATIENCE, snapshots.searching.lock());
        let mut turn = self.unless_stopped(turn).await?.ok();
        if let Some(connection) = snapshots.find(id, writes) {
            return Ok(connection);
        }
        if let Some(place) = turn.as_mut().and_then(|suspect| suspect.take())
            && let Some(connection) = self.look_up(&place, Key::Id(id), writes).await?
        {
            return Ok(connection);
        }
        let connection = self.get_connection::<C>(id).await?;
        let place = snapshots.place(connection.project_id.as_deref());
        let is_suspect = place.shelf().count(writes) >= SINGLE_READS;
        if let Some(suspect) = turn.as_mut().filter(|_| is_suspect) {
            **suspect = Some(place);
        }
        Ok(connection)
    }

    /// Looks a connection up in the list of its scope, which is asked for if there is none. `None`: read it by itself.
    async fn look_up<C: Credentials>(
        &self,
        place: &Place<C>,
        key: Key<'_>,
        writes: u64,
    ) -> Result<Option<Connection<C>>, Error> {
        let look = || place.shelf().look(key, writes, Instant::now());
        let mut found = look();
        if let Look::List = found {
            let waiting_since = Instant::now();
            let _turn = self.unless_stopped(place.turn.lock()).await?;
            found = look();
            match found {
                Look::List => {
                    let writes = self.client.finished_writes();
                    let result = self.list_connections(place.project_id.as_deref()).await;
                    if let Err(error) = &result {
                        tracing::debug!(
                            target: "kms", error = super::report(error),
                            "connections can't be listed, so each is read by itself"
                        );
                    }
                    place.shelf().keep(result, writes, Instant::now());
                    found = look();
                }
                // The budget that ran out was another operation's. Ours is less by what we waited with it.
                Look::ReadSingly if place.shelf().is_limited => self.add_waited(waiting_since.elapsed()),
                Look::ReadSingly | Look::Shown(_) => {}
            }
        }
        Ok(match found {
            Look::Shown(connection) => Some(*connection),
            Look::ReadSingly | Look::List => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::kms::{
        Client, ConnectionPatch, DbtCredentials,
        test_server::{Reply, Seen, Server},
    };

    const ROUTE: &str = "/api/v1/app-connections/dbt";

    type Read = Result<Connection<DbtCredentials>, Error>;

    fn shown(id: &str, project_id: Option<&str>) -> Value {
        json!({
            "id": id, "name": format!("name-{id}"), "projectId": project_id, "description": "before",
            "version": 1, "orgId": "org-1", "createdAt": "2026-01-01T00:00:00.000Z",
            "updatedAt": "2026-01-01T00:00:00.000Z", "credentialsHash": "aa", "app": "dbt",
            "method": "api-token", "credentials": {"instanceUrl": "https://x", "accountId": "1"},
        })
    }

    fn connection(id: &str) -> Connection<DbtCredentials> {
        serde_json::from_value(shown(id, Some("p"))).unwrap()
    }

    fn id(number: usize) -> String {
        format!("id-{number}")
    }

    /// What a small KMS holds: project and connection by ID.
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

    /// Answers as the KMS does, from what it holds.
    fn answer(held: &Held, seen: &Seen) -> Reply {
        let mut held = held.lock().unwrap();
        let (path, query) = seen.target.split_once('?').unwrap_or((&seen.target, ""));
        if path == ROUTE {
            let project = query.strip_prefix("projectId=").map(str::to_owned);
            let all: Vec<&Value> =
                held.values().filter(|(of, _)| *of == project).map(|(_, connection)| connection).collect();
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

    /// How many lists and how many reads of one connection came.
    fn calls(server: &Server) -> (usize, usize) {
        let reads = server.seen().into_iter().filter(|seen| seen.method == "GET");
        let (lists, singles): (Vec<_>, Vec<_>) =
            reads.partition(|seen| seen.target.split('?').next() == Some(ROUTE));
        (lists.len(), singles.len())
    }

    fn operation(client: &Client) -> Operation {
        client.operation(CancellationToken::new())
    }

    async fn read(client: &Client, number: usize) -> Read {
        operation(client).read_connection(&id(number), Scope::Project("p")).await
    }

    /// Reads all at once, in the scopes that are given.
    async fn read_all(client: &Client, scopes: Vec<(usize, Option<Scope<'static>>)>) -> Vec<Read> {
        let reads: Vec<_> = scopes
            .into_iter()
            .map(|(number, scope)| {
                let operation = operation(client);
                let scope = scope.unwrap_or(Scope::Project("p"));
                tokio::spawn(async move { operation.read_connection(&id(number), scope).await })
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

    const NONE: &str = "list";

    fn outcome(shelf: &Shelf<DbtCredentials>, key: &str, writes: u64, now: Instant) -> &'static str {
        match shelf.look(Key::Id(key), writes, now) {
            Look::Shown(connection) if connection.id == key.to_ascii_lowercase() => "shown",
            Look::Shown(_) => "another",
            Look::ReadSingly => "singly",
            Look::List => NONE,
        }
    }

    #[test]
    fn a_list_answers_until_it_is_old_or_a_write_was_finished() {
        let now = Instant::now();
        let mut shelf = Shelf::default();
        assert_eq!(outcome(&shelf, "a", 0, now), NONE);
        shelf.keep(Ok(vec![connection("a"), connection("b")]), 1, now);
        for (key, writes, after, expected) in [
            ("a", 0, Duration::ZERO, "shown"),
            ("A", 1, LIFE - Duration::from_nanos(1), "shown"),
            ("b", 1, Duration::ZERO, "shown"),
            ("c", 1, Duration::ZERO, "singly"),
            ("a", 2, Duration::ZERO, NONE),
            ("c", 2, Duration::ZERO, NONE),
            ("a", 1, LIFE, NONE),
        ] {
            assert_eq!(outcome(&shelf, key, writes, now + after), expected, "{key} {writes} {after:?}");
        }
    }

    #[test]
    fn what_a_list_does_not_show_in_full_is_read_singly() {
        let now = Instant::now();
        let strip: [fn(&mut Connection<DbtCredentials>); 5] = [
            |one| one.credentials_hash.clear(),
            |one| one.org_id.clear(),
            |one| one.created_at.clear(),
            |one| one.updated_at.clear(),
            |one| one.method.clear(),
        ];
        for strip in strip {
            let mut sparse = connection("a");
            strip(&mut sparse);
            let mut shelf = Shelf::default();
            shelf.keep(Ok(vec![sparse]), 0, now);
            assert_eq!(outcome(&shelf, "a", 0, now), "singly");
        }
    }

    #[test]
    fn a_list_that_failed_is_not_asked_for_again_soon() {
        let now = Instant::now();
        let denied = ApiErrorKind::PermissionDenied;
        for (error, soon, later) in [
            (Error::Cancelled, NONE, NONE),
            (api_error(ApiErrorKind::Other), "singly", NONE),
            (api_error(ApiErrorKind::UnknownProject), "singly", NONE),
            (api_error(denied), "singly", "singly"),
        ] {
            let mut shelf = Shelf::default();
            shelf.keep(Err(error), 0, now);
            assert_eq!(outcome(&shelf, "a", 0, now), soon);
            assert_eq!(outcome(&shelf, "a", 0, now + LIFE), later);
        }
    }

    fn api_error(kind: ApiErrorKind) -> Error {
        Error::Api(Box::new(crate::kms::ApiError {
            kind,
            status: http::StatusCode::FORBIDDEN,
            message: String::new(),
            issues: Vec::new(),
            req_id: None,
            method: http::Method::GET,
            route: String::new(),
        }))
    }

    #[test]
    fn reads_are_counted_from_the_last_write_on() {
        let mut shelf = Shelf::<DbtCredentials>::default();
        let counts: Vec<u32> = [0, 0, 0, 1, 0, 1, 5].into_iter().map(|writes| shelf.count(writes)).collect();
        assert_eq!(counts, [1, 2, 3, 1, 2, 3, 1]);
    }

    // ---- over the wire ----

    #[tokio::test(start_paused = true)]
    async fn many_reads_cost_one_list_for_each_scope() {
        let server = server(&of_p(200)).await;
        let client = server.client();
        assert_all_read(&read_all(&client, numbers(200)).await);
        assert_eq!(calls(&server), (1, 0));
        // Those who come later find it, until it is old.
        assert_all_read(&read_all(&client, numbers(200)).await);
        assert_eq!(calls(&server), (1, 0));
        tokio::time::sleep(LIFE).await;
        read(&client, 7).await.unwrap();
        assert_eq!(calls(&server), (2, 0));

        let held = held(0..30, |number| [None, Some("p1"), Some("p2")][number % 3].map(str::to_owned));
        let server = self::server(&held).await;
        let scopes = [Scope::Organization, Scope::Project("p1"), Scope::Project("p2")];
        let all = (0..30).map(|number| (number, Some(scopes[number % 3]))).collect();
        assert_all_read(&read_all(&server.client(), all).await);
        assert_eq!(calls(&server), (3, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_reads_of_a_scope_are_not_worth_a_list() {
        for count in [1, 2] {
            let server = server(&of_p(9)).await;
            assert_all_read(&read_all(&server.client(), numbers(count)).await);
            assert_eq!(calls(&server), (0, count));
        }
        // Nor are they when they come one after the other; but from the third on they are.
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
            if crate::kms::test_server::is_login(seen) {
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
            let client = Client::new(config);
            assert_all_read(&read_all(&client, numbers(20)).await);
            assert_all_read(&read_all(&client, numbers(20)).await);
            assert_eq!(calls(&server), (1, 40));
            tokio::time::sleep(LIFE).await;
            read(&client, 1).await.unwrap();
            assert_eq!(calls(&server).0, again);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_of_this_process_is_always_seen() {
        let server = server(&of_p(20)).await;
        let client = server.client();
        read_all(&client, numbers(20)).await;
        let patch = ConnectionPatch::<DbtCredentials> {
            description: Some(Some("after".to_owned())),
            ..Default::default()
        };
        operation(&client).update_connection("id-1", &patch, "aa").await.unwrap();
        assert_eq!(read(&client, 1).await.unwrap().description.as_deref(), Some("after"));
        assert_eq!(calls(&server), (1, 1), "one read isn't worth a list, again");
        read_all(&client, numbers(20)).await;
        assert_eq!(calls(&server), (2, 1));
        operation(&client).delete_connection::<DbtCredentials>("id-2").await.unwrap();
        assert!(read(&client, 2).await.unwrap_err().is_not_found());
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_under_way_while_a_write_ends_serves_no_later_read() {
        let held = of_p(20);
        let server = Server::start(move |seen, _| {
            // The list shows how it was when it was asked for, and takes its time.
            let is_first_list = seen.target.starts_with(&format!("{ROUTE}?")) && seen.earlier == 0;
            answer(&held, seen).after(Duration::from_secs(if is_first_list { 20 } else { 0 }))
        })
        .await;
        let client = server.client();
        let early = {
            let client = client.clone();
            tokio::spawn(async move { read_all(&client, numbers(10)).await })
        };
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(calls(&server), (1, 0));
        let patch = ConnectionPatch::<DbtCredentials> {
            description: Some(Some("after".to_owned())),
            ..Default::default()
        };
        operation(&client).update_connection("id-1", &patch, "aa").await.unwrap();
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
        for (count, expected) in [(1, (0, 1)), (2, (0, 2)), (3, (0, 3)), (300, (3, 6))] {
            let server = server(&held(0..count, scope)).await;
            assert_all_read(&read_all(&server.client(), anywhere(count)).await);
            assert_eq!(calls(&server), expected, "{count}");
        }
        let server = server(&of_p(1000)).await;
        let client = server.client();
        assert_all_read(&read_all(&client, anywhere(1000)).await);
        assert_eq!(calls(&server), (1, 2));
        // Other readers profit, and so do these from others.
        assert_all_read(&read_all(&client, numbers(1000)).await);
        assert_eq!(calls(&server), (1, 2));
        let gone = operation(&client).read_connection::<DbtCredentials>("id-x", Scope::Unknown).await;
        assert!(gone.unwrap_err().is_not_found());
    }

    #[tokio::test(start_paused = true)]
    async fn connections_that_live_one_by_one_are_not_listed() {
        let server = server(&held(0..50, |number| Some(format!("p{number}")))).await;
        let anywhere = (0..50).map(|number| (number, Some(Scope::Unknown))).collect();
        assert_all_read(&read_all(&server.client(), anywhere).await);
        assert_eq!(calls(&server), (0, 50));
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
        let hanging = tokio::spawn(async move {
            first.read_connection::<DbtCredentials>(&id(9), Scope::Unknown).await.map(drop)
        });
        tokio::time::sleep(Duration::from_millis(50)).await;
        let started = Instant::now();
        let others = (0..9).map(|number| (number, Some(Scope::Unknown))).collect();
        assert_all_read(&read_all(&client, others).await);
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        hanging.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn names_are_found_in_the_list_too() {
        let server = server(&of_p(20)).await;
        let client = server.client();
        for number in 0..20 {
            let operation = operation(&client);
            let name = format!("name-id-{number}");
            let found = operation.read_connection_by_name::<DbtCredentials>(&name, Some("p")).await;
            assert_eq!(found.unwrap().id, id(number));
        }
        let gone = operation(&client).read_connection_by_name::<DbtCredentials>("no", Some("p")).await;
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
        let first = tokio::spawn(async move {
            first.read_connection::<DbtCredentials>("id-0", Scope::Project("p")).await
        });
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
                0 if is_list => failure(429, "RateLimitExceeded").with("retry-after", 400),
                _ if is_list => failure(429, "RateLimitExceeded").with("retry-after", 800),
                _ => answer(&held, seen),
            }
        })
        .await;
        let client = server.client();
        let reads = (0..9).map(|number| {
            let operation = operation(&client);
            tokio::spawn(async move {
                operation.read_connection::<DbtCredentials>(&id(number), Scope::Project("p")).await.unwrap();
                operation.waited().as_secs()
            })
        });
        for read in reads.collect::<Vec<_>>() {
            assert!((400..402).contains(&read.await.unwrap()));
        }
    }
}
