//! A value that is read once and shared.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::{error::Error, run::Run};

/// A shared value. The first caller reads it; concurrent callers wait for the result or the failure. A failure isn't
/// kept, so later callers read again.
#[derive(Debug)]
pub(super) struct SharedRead<T> {
    state: Mutex<State<T>>,
    /// Held by the caller that reads. If that is stopped or dropped, the next one takes over.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct State<T> {
    value: Option<T>,
    failures: u64,
    last_failure: Option<Error>,
}

impl<T> Default for SharedRead<T> {
    fn default() -> Self {
        let state = State { value: None, failures: 0, last_failure: None };
        Self { state: Mutex::new(state), turn: tokio::sync::Mutex::default() }
    }
}

impl<T: Clone> SharedRead<T> {
    /// The value, read by `read` unless another caller has read it or is reading it.
    ///
    /// # Errors
    /// The errors of the read that this call made or waited for, and [`Error::Cancelled`].
    pub(super) async fn get(
        &self,
        run: &Run,
        read: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let failures_before = {
            let state = self.state();
            if let Some(value) = &state.value {
                return Ok(value.clone());
            }
            state.failures
        };
        let waiting_since = Instant::now();
        let _turn = run.unless_stopped(self.turn.lock()).await?;
        {
            let state = self.state();
            if let Some(value) = &state.value {
                return Ok(value.clone());
            }
            match &state.last_failure {
                // The other operation's budget ran out. The time spent waiting for it counts against this one's.
                Some(Error::RateLimited { .. }) if state.failures != failures_before => {
                    run.add_waited(waiting_since.elapsed());
                }
                Some(error) if state.failures != failures_before => return Err(error.clone()),
                _ => {}
            }
        }
        let result = read.await;
        let mut state = self.state();
        match &result {
            Ok(value) => state.value = Some(value.clone()),
            // A stop of this operation doesn't concern those that wait.
            Err(Error::Cancelled) => {}
            Err(error) => {
                state.failures += 1;
                state.last_failure = Some(error.clone());
            }
        }
        result
    }

    /// Stores a value that was read in another way.
    pub(super) fn set(&self, value: T) {
        self.state().value = Some(value);
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
