//! The HTTP client of Hanzo KMS, for its app connections.
//!
//! A [`Client`] stands for one server and one login; everything that a process does through it shares the login, the
//! connections and the view of the rate limits. Calls are made on an [`Operation`], which carries what belongs to one
//! piece of work of the caller: its cancellation and its budget of waiting.
//!
//! ```text
//! config          what a client must know; no I/O
//! app_connection  the calls that all connections share, and how a lost create or update is recovered
//! snapshot        reading many connections by one list
//! dbt             dbt's credentials and its extra call
//! secret_value    reading one secret
//! send            THE send: every request passes here
//! tls             the HTTP library set up: trust, time-outs
//! auth            one login, shared, renewed
//! rate, retry     pure decisions: when to wait, when to repeat
//! error           what can go wrong; the only reader of the server's prose
//! ```
//!
//! This layer doesn't know who calls it, and reads nothing from the environment but what libraries read by themselves:
//! see [`config`].

mod app_connection;
mod auth;
mod config;
mod dbt;
mod error;
mod rate;
mod retry;
mod secret_value;
mod send;
mod snapshot;
mod tls;

#[cfg(test)]
mod test_server;

use std::{
    any::{Any, TypeId},
    collections::{HashMap, HashSet},
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, Deserializer};
use tokio::sync::OnceCell;
pub use tokio_util::sync::CancellationToken;

pub use self::{
    app_connection::{Connection, ConnectionPatch, CreateError, Credentials, Existing, NewConnection},
    auth::AwsError,
    config::{Auth, CaCertificate, Config, Host, HostError, ServiceAccountToken},
    dbt::{DbtCredentials, DbtProject, DbtStored},
    error::{ApiError, ApiErrorKind, AuthError, Cause, Error, Issue, Sent, report},
    secret_value::{SecretQuery, SecretValue},
    snapshot::Scope,
};
use self::{auth::Session, rate::Gate, send::Request, snapshot::Snapshots};
use crate::secret::Secret;

/// A KMS and a login there. Clones share everything.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    config: Config,
    /// Built at the first request: setting up TLS reads the system's trust store, and many processes never call.
    http: OnceCell<reqwest::Client>,
    session: Session,
    /// The view of the rate limit of each route.
    gates: Mutex<HashMap<String, Arc<Gate>>>,
    /// The IDs of the connections that creates of this process have answered with.
    created: Mutex<HashSet<String>>,
    /// How many writes of connections have come to an end, whatever end.
    finished_writes: AtomicU64,
    /// The [`Snapshots`] of each kind of connection.
    snapshots: Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
}

impl Client {
    /// Keeps the configuration. Does no I/O; the first call connects and logs in.
    pub fn new(config: Config) -> Self {
        let session = Session::new(config.auth.clone(), config.organization_slug.clone());
        let shared = Shared {
            config,
            http: OnceCell::new(),
            session,
            gates: Mutex::default(),
            created: Mutex::default(),
            finished_writes: AtomicU64::new(0),
            snapshots: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Begins one operation of the caller, which ends early when `stop` is cancelled.
    pub fn operation(&self, stop: CancellationToken) -> Operation {
        Operation { client: self.clone(), stop, waited_ms: Arc::default() }
    }

    fn config(&self) -> &Config {
        &self.shared.config
    }

    fn session(&self) -> &Session {
        &self.shared.session
    }

    fn gate(&self, request: &Request) -> Arc<Gate> {
        let name = request.name();
        let mut gates = self.shared.gates.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(gates.entry(name.clone()).or_insert_with(|| Arc::new(Gate::new(name))))
    }

    /// Notes that a create has made the connection with this ID. False if another create has already.
    fn claim(&self, id: &str) -> bool {
        self.shared.created.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned())
    }

    fn finished_writes(&self) -> u64 {
        self.shared.finished_writes.load(Ordering::SeqCst)
    }

    /// Begins a write of a connection. It counts as finished when the result is dropped, and so also when nobody
    /// waits for its end.
    fn writing(&self) -> Writing<'_> {
        Writing(&self.shared.finished_writes)
    }

    fn snapshots<C: Credentials>(&self) -> Arc<Snapshots<C>> {
        let mut all = self.shared.snapshots.lock().unwrap_or_else(PoisonError::into_inner);
        let of_kind = all.entry(TypeId::of::<C>()).or_insert_with(|| Arc::new(Snapshots::<C>::default()));
        // The key says the type, so there is no other case.
        Arc::clone(of_kind).downcast().unwrap_or_default()
    }

    async fn http(&self) -> Result<&reqwest::Client, Error> {
        self.shared.http.get_or_try_init(async || tls::http_client(self.config())).await
    }
}

/// A write of a connection under way.
struct Writing<'a>(&'a AtomicU64);

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("host", &self.config().host).finish_non_exhaustive()
    }
}

/// One operation of the caller, such as the creation of one connection with all the requests that it takes.
///
/// # Cancellation
/// When its token is cancelled, whatever hasn't been sent isn't sent any more, and reads are given up: the call ends
/// with [`Error::Cancelled`]. A write under way runs to its end, within the request timeout, and so do the look-ups
/// that find out what became of a write whose answer was lost. So after cancelling, await the call: dropping its
/// future instead gives up a write in the middle, and nobody learns whether it was performed.
#[derive(Debug, Clone)]
pub struct Operation {
    client: Client,
    stop: CancellationToken,
    waited_ms: Arc<AtomicU64>,
}

impl Operation {
    /// How long the operation has waited for rate limits so far. Calls that wait side by side both count.
    pub fn waited(&self) -> Duration {
        Duration::from_millis(self.waited_ms.load(Ordering::Relaxed))
    }

    fn add_waited(&self, time: Duration) {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.waited_ms.fetch_add(ms, Ordering::Relaxed);
    }

    /// The same operation, not to be stopped: for finding out what became of a write.
    fn unstoppable(&self) -> Self {
        Self { stop: CancellationToken::new(), ..self.clone() }
    }

    async fn unless_stopped<F: Future>(&self, work: F) -> Result<F::Output, Error> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Error::Cancelled),
            output = work => Ok(output),
        }
    }
}

fn secret_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
    String::deserialize(deserializer).map(Secret::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Callers run these on runtimes that move futures between threads.
    #[test]
    fn every_call_can_be_sent_to_another_thread() {
        fn assert_send<T: Send>(_: T) {}
        let config = Config {
            host: Host::parse("https://kms.example.com").unwrap(),
            auth: Auth::Token(Secret::new("x")),
            organization_slug: None,
            ca_certificate: None,
            request_timeout: Duration::from_secs(1),
            max_retries: 0,
            max_retry_wait: Duration::ZERO,
            user_agent: String::new(),
        };
        let operation = Client::new(config).operation(CancellationToken::new());
        let credentials = DbtCredentials {
            instance_url: String::new(),
            account_id: String::new(),
            api_token: Secret::new(""),
        };
        let new = NewConnection { name: String::new(), description: None, project_id: None, credentials };
        assert_send(operation.create_connection(&new));
        assert_send(operation.get_connection::<DbtCredentials>(""));
        assert_send(operation.get_connection_by_name::<DbtCredentials>("", None));
        assert_send(operation.read_connection::<DbtCredentials>("", Scope::Unknown));
        assert_send(operation.read_connection_by_name::<DbtCredentials>("", None));
        assert_send(operation.list_connections::<DbtCredentials>(None));
        let patch = ConnectionPatch::<DbtCredentials>::default();
        assert_send(operation.update_connection("", &patch, ""));
        assert_send(operation.delete_connection::<DbtCredentials>(""));
        assert_send(operation.dbt_projects(""));
    }
}
