//! One piece of work of the caller: its cancellation, and how long it has waited for rate limits.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use super::error::Error;

/// The stop signal of one operation, how long it has waited, and whether it may have left a create under way. Clones share
/// all.
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

    /// How long it has waited for rate limits so far. Calls that wait side by side both count.
    pub(super) fn waited(&self) -> Duration {
        Duration::from_millis(self.waited_ms.load(Ordering::Relaxed))
    }

    pub(super) fn add_waited(&self, time: Duration) {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.waited_ms.fetch_add(ms, Ordering::Relaxed);
    }

    /// Whether the KMS may still perform an earlier try of a create that has ended.
    pub(super) fn may_still_create(&self) -> bool {
        self.may_still_create.load(Ordering::Relaxed)
    }

    pub(super) fn set_may_still_create(&self, may: bool) {
        self.may_still_create.store(may, Ordering::Relaxed);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Whether requests are tried even if nobody served the KMS's address a moment ago.
    pub(super) fn insists(&self) -> bool {
        self.insists
    }

    /// The same work, neither to be stopped nor to be given up early: for finding out what became of a write.
    pub(super) fn unstoppable(&self) -> Self {
        Self { stop: CancellationToken::new(), insists: true, ..self.clone() }
    }

    /// Does `work`, unless the run is stopped before it is done.
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
