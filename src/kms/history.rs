//! The combined result of all attempts of one change.

use tokio::time::Instant;

use super::{error::Error, fate::Fate};

/// What is known about a change after all attempts so far. Reads and logins have no history, because they change
/// nothing.
#[derive(Debug, Default)]
pub(super) struct History {
    /// When the first attempt of unknown fate was sent.
    since: Option<Instant>,
    /// The failure of the last such attempt.
    unknown: Option<Error>,
    /// The number of such attempts.
    count: u32,
    /// Whether one of these attempts may still be in progress.
    is_open: bool,
}

impl History {
    /// When the first attempt was sent that may have been performed.
    pub(super) fn unknown_since(&self) -> Option<Instant> {
        self.since
    }

    /// Whether an attempt may still be in progress at the KMS, so that a missing effect proves nothing.
    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Whether an attempt may still be in progress after the effect of one was seen.
    pub(super) fn is_open_besides_one(&self) -> bool {
        self.is_open && self.count > 1
    }

    /// Adds a failed attempt that was sent at `sent_at`.
    pub(super) fn add(&mut self, error: Error, sent_at: Instant) -> Error {
        match error {
            Error::Request(mut failed) if failed.effect.is_change() => {
                let Fate::Unknown { is_over } = failed.reason.fate() else { return Error::Request(failed) };
                failed.since = Some(*self.since.get_or_insert(sent_at));
                self.is_open |= !is_over;
                self.count += 1;
                let error = Error::Request(failed);
                self.unknown = Some(error.clone());
                error
            }
            error => error,
        }
    }

    /// The error of all attempts together, if `error` was the last. If the last attempt wasn't sent but an earlier one
    /// may have been performed, the error must not suggest that nothing was changed.
    pub(super) fn end(&self, error: Error) -> Error {
        match (error.fate(), &self.unknown) {
            (Fate::NotSent, Some(unknown)) => unknown.clone(),
            _ => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::kms::{
        fate::{Effect, Reason},
        request::Request,
    };

    fn lost(effect: Effect) -> Error {
        let mut request = Request::delete("/x", &[]).unwrap();
        request.effect = effect;
        let source = Arc::new(std::io::Error::other("reset"));
        request.error(Reason::NoResponse { host: String::new(), source })
    }

    #[test]
    fn a_change_that_may_have_been_made_stays_so_whatever_keeps_its_repeat_from_being_sent() {
        let mut history = History::default();
        let first = Instant::now();
        assert!(history.add(lost(Effect::Write), first).may_have_changed_something());
        assert!(history.is_open() && !history.is_open_besides_one());
        for not_sent in [Error::Cancelled, Error::Config { message: "x".into(), source: None }] {
            assert!(history.end(not_sent).may_have_changed_something());
        }
        let later = first + std::time::Duration::from_secs(9);
        assert!(history.add(lost(Effect::Write), later).may_have_changed_something());
        assert_eq!(history.unknown_since(), Some(first));
        assert!(history.is_open_besides_one());
    }

    #[test]
    fn reads_leave_no_history() {
        let mut history = History::default();
        history.add(lost(Effect::Read), Instant::now());
        assert_eq!(history.unknown_since(), None);
        assert!(matches!(history.end(Error::Cancelled), Error::Cancelled));
    }
}
