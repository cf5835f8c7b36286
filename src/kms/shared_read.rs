//! A value that is read once for all that want it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::{error::Error, run::Run};

/// One value. The first that wants it reads it; those that come meanwhile wait for it, and for its failure. A failure isn't
/// kept: who comes later reads again.
#[derive(Debug)]
pub(super) struct SharedRead<T> {
    state: Mutex<State<T>>,
    /// Held by the one that reads. If it is stopped or dropped, the next in line takes over.
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
    /// The value, read by `read` if nobody has read it or is reading it.
    ///
    /// # Errors
    /// Those of the read that this call has made or waited for, and [`Error::Cancelled`].
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
                // The budget that ran out was another operation's. Ours is less by what we waited with it.
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
            // It says nothing about those who wait behind us.
            Err(Error::Cancelled) => {}
            Err(error) => {
                state.failures += 1;
                state.last_failure = Some(error.clone());
            }
        }
        result
    }

    /// Takes a value over that was read in another way.
    pub(super) fn set(&self, value: T) {
        self.state().value = Some(value);
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
