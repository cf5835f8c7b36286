//! The state of one operation: its stop signal and its waiting time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use super::error::Error;

/// The stop signal of one operation, its waiting time, and whether it may have left a create in progress. Clones share
/// everything.
#[derive(Debug, Clone)]
pub(super) struct Run {
    stop: CancellationToken,
    insists: bool,
    waited_ms: Arc<AtomicU64>,
    may_still_create: Arc<AtomicBool>,
}

impl Run {
    pub(super) fn new(stop: CancellationToken) -> Self {
        Self { stop, insists: false, waited_ms: Arc::default(), may_still_create: Arc::default() }
    }

    /// How long it has waited for rate limits so far. Concurrent waits are added up.
    pub(super) fn waited(&self) -> Duration {
        Duration::from_millis(self.waited_ms.load(Ordering::Relaxed))
    }

    pub(super) fn add_waited(&self, time: Duration) {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.waited_ms.fetch_add(ms, Ordering::Relaxed);
    }

    /// Whether the KMS may still perform an earlier attempt of a create that has ended.
    pub(super) fn may_still_create(&self) -> bool {
        self.may_still_create.load(Ordering::Relaxed)
    }

    pub(super) fn set_may_still_create(&self, may: bool) {
        self.may_still_create.store(may, Ordering::Relaxed);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Whether requests are sent even if there was an outage a moment ago.
    pub(super) fn insists(&self) -> bool {
        self.insists
    }

    /// The same operation without stop signal and early failure, for lookups after a write of unknown fate.
    pub(super) fn unstoppable(&self) -> Self {
        Self { stop: CancellationToken::new(), insists: true, ..self.clone() }
    }

    /// Runs `work`, unless the operation is stopped before it completes.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub(super) async fn unless_stopped<F: Future>(&self, work: F) -> Result<F::Output, Error> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Error::Cancelled),
            output = work => Ok(output),
        }
    }
}
