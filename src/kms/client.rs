//! A KMS and a login there, and the operations on it.

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

/// A KMS and a login there. Clones share everything.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    transport: Arc<Transport>,
    session: Session,
    managed: ManagedIds,
    /// How many changes of objects have ended, in whatever way.
    finished_writes: AtomicU64,
    connections: ListCache<DbtConnection>,
    rotations: ListCache<ServiceTokenRotation>,
    projects: Projects,
    secret_routes: KnownFamily,
}

impl Client {
    /// Keeps the configuration, the IDs of the objects that are managed already, and the secrets to keep out of messages.
    /// Does no I/O; the first call connects and logs in.
    pub fn new(config: Config, managed: ManagedIds, redactor: Redactor) -> Self {
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

    /// Begins one operation of the caller, which ends early when `stop` is cancelled.
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

    /// Begins a change of an object. It counts as finished when the result is dropped, and so also when nobody waits for
    /// its end.
    pub(super) fn writing(&self) -> Writing<'_> {
        Writing(&self.shared.finished_writes)
    }
}

/// A change of an object under way.
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

/// A kind of object whose lists a client keeps.
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

/// One operation of the caller, such as the creation of one connection with all the requests that it takes.
///
/// # Cancellation
/// When its token is cancelled, requests that haven't been sent aren't sent any more, and reads are given up: the call
/// ends with [`Error::Cancelled`](super::Error::Cancelled). A write under way runs to its end, within the request
/// timeout, and so do the look-ups that find out what became of a write whose response was lost. So after cancelling,
/// await the call: dropping its future instead gives up a write in the middle, and nobody learns whether it was
/// performed.
#[derive(Debug, Clone)]
pub struct Operation {
    pub(super) client: Client,
    pub(super) run: Run,
}

impl Operation {
    /// How long the operation has waited for rate limits so far. Calls that wait side by side both count.
    pub fn waited(&self) -> Duration {
        self.run.waited()
    }

    /// Whether a [`create`](Self::create) of this operation has ended with an object, or was refused, while the KMS may
    /// still perform an earlier try of it, which got no response. As long as an object has the name, the KMS refuses that
    /// try; otherwise it would create an object that nobody knows of.
    pub fn may_still_create(&self) -> bool {
        self.run.may_still_create()
    }

    /// The same operation, not to be stopped: for finding out what became of a write.
    pub(super) fn unstoppable(&self) -> Self {
        Self { client: self.client.clone(), run: self.run.unstoppable() }
    }
}
