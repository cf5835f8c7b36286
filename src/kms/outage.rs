//! Outages: whether anything responds at the KMS's address.
//!
//! Each operation repeats its requests for a while. During an outage, a run over a thousand objects would take hours if
//! each did so. So after one complete cycle of repeats without any response of the KMS, every further request gets one
//! attempt; and if attempts take long to fail, the last failure is reused for a while.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::error::Error;

/// How long a request is repeated during an outage. A restarting server is back by then.
const LONGEST_CYCLE: Duration = Duration::from_secs(40);

/// A failure that took at least this long is reused for [`SERVES`] times its duration. So a refused connection is
/// attempted each time, and one that takes seconds to fail is attempted rarely.
const SLOW: Duration = Duration::from_secs(1);
const SERVES: u32 = 10;

/// The process's view of whether the KMS can be reached.
#[derive(Debug, Default)]
pub(super) struct Outage(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Counts the KMS's responses.
    responses: u64,
    failing: Option<Failing>,
    given_up: Option<GivenUp>,
}

/// Requests that failed with a sign of an outage, without a response of the KMS in between.
#[derive(Debug)]
struct Failing {
    /// When the first of them was begun.
    since: Instant,
    last: Instant,
}

/// The end of a complete cycle of repeats, or of a single attempt after one.
#[derive(Debug)]
struct GivenUp {
    error: Error,
    serves_until: Instant,
}

/// A request's view of the outage, from its first attempt on.
#[derive(Debug)]
pub(super) struct Cycle {
    began: Instant,
    responses: u64,
    is_single: bool,
}

impl Outage {
    /// Starts the attempts of a request. With `insists`, it gets at least one attempt in any case.
    ///
    /// # Errors
    /// The KMS was unreachable a moment ago, and that attempt took long.
    pub(super) fn begin(&self, insists: bool, now: Instant) -> Result<Cycle, Error> {
        let state = self.state();
        match &state.given_up {
            Some(GivenUp { error, serves_until }) if now < *serves_until && !insists => {
                Err(Error::Unreachable { source: Box::new(error.clone()) })
            }
            given_up => Ok(Cycle { began: now, responses: state.responses, is_single: given_up.is_some() }),
        }
    }

    /// The KMS responded.
    pub(super) fn heard(&self) {
        let mut state = self.state();
        state.responses += 1;
        state.failing = None;
        state.given_up = None;
    }

    /// Whether the KMS has responded before.
    pub(super) fn was_heard(&self) -> bool {
        self.state().responses > 0
    }

    /// Records that a request failed with a sign of an outage, and returns whether it may be repeated. All requests
    /// that fail in an outage share one cycle, which begins with the first of them.
    pub(super) fn failed(&self, cycle: &Cycle, now: Instant) -> bool {
        let mut state = self.state();
        if state.responses > cycle.responses {
            return true;
        }
        let failing = match &mut state.failing {
            Some(failing) if now < failing.last + LONGEST_CYCLE => failing,
            failing => failing.insert(Failing { since: cycle.began, last: now }),
        };
        failing.last = now;
        let latest = failing.since + LONGEST_CYCLE;
        !cycle.is_single && state.given_up.is_none() && now < latest
    }

    /// Records that a request with a sign of an outage is not repeated any more. Its last attempt took `took`.
    pub(super) fn gave_up(&self, cycle: &Cycle, error: &Error, took: Duration, now: Instant) {
        let mut state = self.state();
        if state.responses == cycle.responses {
            let serves_until = if took < SLOW { now } else { now + took * SERVES };
            state.given_up = Some(GivenUp { error: error.clone(), serves_until });
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn after_one_failed_cycle_everything_gets_one_try() {
        let (outage, now) = (Outage::default(), Instant::now());
        let first = outage.begin(false, now).unwrap();
        assert!(outage.failed(&first, now + 39 * SECOND));
        assert!(!outage.failed(&first, now + 40 * SECOND));
        outage.gave_up(&first, &Error::Cancelled, Duration::ZERO, now);
        let second = outage.begin(false, now).unwrap();
        assert!(!outage.failed(&second, now));
    }

    #[test]
    fn requests_that_begin_in_an_outage_share_its_cycle() {
        let (outage, now) = (Outage::default(), Instant::now());
        let first = outage.begin(false, now).unwrap();
        assert!(outage.failed(&first, now + 30 * SECOND));
        let second = outage.begin(false, now + 30 * SECOND).unwrap();
        assert!(outage.failed(&second, now + 39 * SECOND));
        assert!(!outage.failed(&second, now + 60 * SECOND));
        // What failed long ago is another outage.
        let third = outage.begin(false, now + 300 * SECOND).unwrap();
        assert!(outage.failed(&third, now + 330 * SECOND));
    }

    #[test]
    fn what_is_in_progress_when_another_gives_up_is_not_repeated() {
        let (outage, now) = (Outage::default(), Instant::now());
        let (first, second) = (outage.begin(false, now).unwrap(), outage.begin(false, now).unwrap());
        outage.gave_up(&first, &Error::Cancelled, Duration::ZERO, now);
        assert!(!outage.failed(&second, now));
    }

    #[test]
    fn a_failure_that_took_long_serves_others_for_a_while() {
        let (outage, now) = (Outage::default(), Instant::now());
        let first = outage.begin(false, now).unwrap();
        outage.gave_up(&first, &Error::Cancelled, 2 * SECOND, now);
        assert!(matches!(outage.begin(false, now + 19 * SECOND), Err(Error::Unreachable { .. })));
        assert!(outage.begin(true, now).unwrap().is_single, "it insists");
        assert!(outage.begin(false, now + 20 * SECOND).unwrap().is_single);
    }

    #[test]
    fn a_failure_that_took_no_time_serves_nobody() {
        let (outage, now) = (Outage::default(), Instant::now());
        let first = outage.begin(false, now).unwrap();
        outage.gave_up(&first, &Error::Cancelled, SECOND / 2, now);
        assert!(outage.begin(false, now).unwrap().is_single);
    }

    #[test]
    fn a_response_ends_the_outage() {
        let (outage, now) = (Outage::default(), Instant::now());
        let first = outage.begin(false, now).unwrap();
        outage.gave_up(&first, &Error::Cancelled, SECOND, now);
        outage.heard();
        assert!(!outage.begin(false, now).unwrap().is_single);
    }

    #[test]
    fn one_request_that_fails_while_others_succeed_is_no_outage() {
        let (outage, now) = (Outage::default(), Instant::now());
        let hanging = outage.begin(false, now).unwrap();
        outage.heard();
        assert!(outage.failed(&hanging, now + 300 * SECOND));
        outage.gave_up(&hanging, &Error::Cancelled, 30 * SECOND, now);
        assert!(!outage.begin(false, now).unwrap().is_single);
    }
}
