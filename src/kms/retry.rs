//! Whether a request is sent again, decided from values alone.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

const BACKOFF_BASE: Duration = Duration::from_millis(250);
const BACKOFF_CAP: Duration = Duration::from_secs(8);

/// How often at most a login is repeated when it may have been performed: it changes nothing, but it may cost one of
/// a limited number of uses.
const MAX_LOGIN_REPEATS: u32 = 2;

/// When a request may be repeated after a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Whenever it failed: performing it twice is the same as once.
    Freely,
    /// A few times, though it may have been performed.
    Sparingly,
    /// Only when it provably wasn't performed.
    IfNotPerformed,
}

/// How one attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The server performed it and its answer is whole.
    Done,
    /// There was no connection; the request wasn't sent.
    NotSent,
    /// It may have been sent, but no whole answer arrived.
    Lost,
    /// A success whose body is cut off or isn't JSON.
    Broken,
    /// A 5xx answer.
    ServerFault,
    /// A 429 answer: the request wasn't performed.
    RateLimited,
    /// The server refused the access token: the request wasn't performed.
    TokenRefused,
    /// Any other answer. It would be the same the next time.
    Refused,
}

/// What to do after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// Hand the result to the caller, be it good or bad.
    Finish,
    /// Send it again after a [`backoff`].
    Repeat,
    /// Send it again once the rate limit allows it.
    AwaitLimit,
    /// Send it again with another access token.
    RenewToken,
}

/// Decides what follows `outcome`. `repeats` says how often the request was repeated after faults so far.
pub(super) fn decide(repeat: Repeat, outcome: Outcome, repeats: u32, max_retries: u32) -> Decision {
    let allowed = match outcome {
        Outcome::Done | Outcome::Refused => return Decision::Finish,
        Outcome::RateLimited => return Decision::AwaitLimit,
        Outcome::TokenRefused => return Decision::RenewToken,
        Outcome::NotSent => max_retries,
        Outcome::Lost | Outcome::Broken | Outcome::ServerFault => match repeat {
            Repeat::Freely => max_retries,
            Repeat::Sparingly => max_retries.min(MAX_LOGIN_REPEATS),
            Repeat::IfNotPerformed => 0,
        },
    };
    if repeats < allowed { Decision::Repeat } else { Decision::Finish }
}

/// How long to wait before the repeat with this number, counted from 0. `chance` is between 0 and 1 and picks a point
/// in the upper half of the span, so that many clients that failed together don't come back together.
pub(super) fn backoff(repeat: u32, chance: f64) -> Duration {
    let span = BACKOFF_BASE.saturating_mul(2_u32.saturating_pow(repeat)).min(BACKOFF_CAP);
    span.mul_f64(0.5 + chance / 2.0)
}

/// A number from 0 to 1 for jitter. Not for secrets: it is what the standard library seeds its hash maps with.
pub(super) fn chance() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    f64::from((random >> 32) as u32) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Decision::*, Outcome::*, Repeat::*, *};

    #[test]
    fn only_what_is_safe_is_repeated() {
        let table = [
            // outcome, reads and deletions, logins, writes
            (Done, Finish, Finish, Finish),
            (Refused, Finish, Finish, Finish),
            (NotSent, Repeat, Repeat, Repeat),
            (Lost, Repeat, Repeat, Finish),
            (Broken, Repeat, Repeat, Finish),
            (ServerFault, Repeat, Repeat, Finish),
            (RateLimited, AwaitLimit, AwaitLimit, AwaitLimit),
            (TokenRefused, RenewToken, RenewToken, RenewToken),
        ];
        for (outcome, freely, sparingly, if_not_performed) in table {
            assert_eq!(decide(Freely, outcome, 0, 8), freely, "{outcome:?}");
            assert_eq!(decide(Sparingly, outcome, 0, 8), sparingly, "{outcome:?}");
            assert_eq!(decide(IfNotPerformed, outcome, 0, 8), if_not_performed, "{outcome:?}");
        }
    }

    #[test]
    fn repeats_are_counted() {
        assert_eq!(decide(Freely, ServerFault, 7, 8), Repeat);
        assert_eq!(decide(Freely, ServerFault, 8, 8), Finish);
        assert_eq!(decide(Freely, ServerFault, 0, 0), Finish);
        assert_eq!(decide(IfNotPerformed, NotSent, 8, 8), Finish);
        assert_eq!(decide(Sparingly, Lost, 1, 8), Repeat);
        assert_eq!(decide(Sparingly, Lost, 2, 8), Finish);
        assert_eq!(decide(Sparingly, Lost, 1, 1), Finish);
        // However often a rate limit asks to wait, that is no fault.
        assert_eq!(decide(IfNotPerformed, RateLimited, 100, 0), AwaitLimit);
    }

    #[test]
    fn backoff_doubles_up_to_a_cap() {
        let longest: Vec<u128> = (0..8).map(|repeat| backoff(repeat, 1.0).as_millis()).collect();
        assert_eq!(longest, [250, 500, 1000, 2000, 4000, 8000, 8000, 8000]);
        assert_eq!(backoff(0, 0.0).as_millis(), 125);
        assert_eq!(backoff(u32::MAX, 1.0).as_millis(), 8000);
    }

    #[test]
    fn chance_stays_in_its_bounds_and_varies() {
        let chances: Vec<f64> = (0..100).map(|_| chance()).collect();
        assert!(chances.iter().all(|chance| (0.0..=1.0).contains(chance)));
        assert!(chances.iter().any(|chance| *chance != chances[0]));
    }
}
