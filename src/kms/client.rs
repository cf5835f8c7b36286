//! The client of one server with one login, and its operations.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use super::{
    config::Config, dbt_connection::DbtConnection, list_cache::ListCache, managed_ids::ManagedIds,
    object::Object, project::Projects, redact::Redactor, route_family::KnownFamily, run::Run,
    service_token_rotation::ServiceTokenRotation, session::Session, transport::Transport,
};

/// A client of one server with one login. Clones share everything.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    transport: Arc<Transport>,
    session: Session,
    managed: ManagedIds,
    /// The number of finished changes of objects, successful or not.
    finished_writes: AtomicU64,
    connections: ListCache<DbtConnection>,
    rotations: ListCache<ServiceTokenRotation>,
    projects: Projects,
    secret_routes: KnownFamily,
}

impl Client {
    /// Creates a client with the IDs of managed objects and the secrets to redact. Does no I/O; the first call connects
    /// and logs in.
    pub fn new(config: Config, managed: ManagedIds, redactor: Redactor) -> Self {
        config.custom_headers.values().for_each(|value| redactor.add(value));
        let transport = Arc::new(Transport::new(config, redactor));
        let session = Session::new(Arc::clone(&transport));
        let shared = Shared {
            transport,
            session,
            managed,
            finished_writes: AtomicU64::new(0),
            connections: ListCache::default(),
            rotations: ListCache::default(),
            projects: Projects::default(),
            secret_routes: KnownFamily::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Starts one operation of the caller, which ends early when `stop` is cancelled.
    pub fn operation(&self, stop: CancellationToken) -> Operation {
        Operation { client: self.clone(), run: Run::new(stop) }
    }

    pub(super) fn transport(&self) -> &Transport {
        &self.shared.transport
    }

    pub(super) fn session(&self) -> &Session {
        &self.shared.session
    }

    /// The IDs of the objects that the caller manages.
    pub(super) fn managed(&self) -> &ManagedIds {
        &self.shared.managed
    }

    /// The projects that were read.
    pub(super) fn projects(&self) -> &Projects {
        &self.shared.projects
    }

    /// The routes to secrets that the server has.
    pub(super) fn secret_routes(&self) -> &KnownFamily {
        &self.shared.secret_routes
    }

    pub(super) fn finished_writes(&self) -> u64 {
        self.shared.finished_writes.load(Ordering::SeqCst)
    }

    /// Registers a change of an object, until the result is dropped.
    pub(super) fn writing(&self) -> Writing<'_> {
        Writing(&self.shared.finished_writes)
    }
}

/// A change of an object in progress.
pub(super) struct Writing<'a>(&'a AtomicU64);

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("host", &self.transport().config.host).finish_non_exhaustive()
    }
}

/// A kind of object whose lists a client caches.
pub trait Listed: Object {
    /// The lists.
    fn lists(client: &Client) -> &ListCache<Self>;
}

impl Listed for DbtConnection {
    fn lists(client: &Client) -> &ListCache<Self> {
        &client.shared.connections
    }
}

impl Listed for ServiceTokenRotation {
    fn lists(client: &Client) -> &ListCache<Self> {
        &client.shared.rotations
    }
}

/// One operation of the caller, such as the creation of one connection, with all its requests.
///
/// # Cancellation
/// When its token is cancelled, no further requests are sent, and reads are abandoned: the call ends with
/// [`Error::Cancelled`](super::Error::Cancelled). A write in progress runs to its end, within the request timeout, and
/// so do lookups after a lost response. So await the call after cancelling: dropping its future abandons the write, and
/// it remains unknown whether it was performed.
#[derive(Debug, Clone)]
pub struct Operation {
    pub(super) client: Client,
    pub(super) run: Run,
}

impl Operation {
    /// How long the operation has waited for rate limits so far. Concurrent waits are added up.
    pub fn waited(&self) -> Duration {
        self.run.waited()
    }

    /// Whether a [`create`](Self::create) of this operation returned an object or was refused, while the KMS may still
    /// perform an earlier attempt without response. The KMS refuses that attempt while an object has the name;
    /// otherwise it would create an object that nothing manages.
    pub fn may_still_create(&self) -> bool {
        self.run.may_still_create()
    }

    /// Whether this client has finished a change of an object, successful or not.
    pub fn has_written(&self) -> bool {
        self.client.finished_writes() > 0
    }

    /// The same operation without its stop signal, for lookups after a write of unknown fate.
    pub(super) fn unstoppable(&self) -> Self {
        Self { client: self.client.clone(), run: self.run.unstoppable() }
    }
}
