//! How often and after which pause a request is repeated. No I/O.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

use super::fate::Repetition;

const BACKOFF_BASE: Duration = Duration::from_millis(250);
const BACKOFF_CAP: Duration = Duration::from_secs(8);

/// The maximum number of repeats of a request that is repeated sparingly.
const MAX_SPARING_REPEATS: u32 = 2;

/// Whether a request may be repeated again after `repeats` repeats.
pub(super) fn allows(repetition: Repetition, repeats: u32, max_repeats: u32) -> bool {
    match repetition {
        Repetition::Freely | Repetition::AtOnce => repeats < max_repeats,
        Repetition::Sparingly => repeats < max_repeats.min(MAX_SPARING_REPEATS),
        // Neither waiting for the rate limit nor another token counts as a fault.
        Repetition::AfterLimit | Repetition::WithNewToken => true,
        Repetition::Never => false,
    }
}

/// The pause before the repeat with this number, from 0.
pub(super) fn pause(repetition: Repetition, repeat: u32, chance: f64) -> Duration {
    match (repetition, repeat) {
        (Repetition::AtOnce, 0) => Duration::ZERO,
        (Repetition::AtOnce, _) => backoff(repeat - 1, chance),
        _ => backoff(repeat, chance),
    }
}

/// The pause before the repeat with this number, from 0. `chance`, between 0 and 1, selects a point in the upper half
/// of the interval, so that clients that failed together don't return together.
pub(super) fn backoff(repeat: u32, chance: f64) -> Duration {
    let span = BACKOFF_BASE.saturating_mul(2_u32.saturating_pow(repeat)).min(BACKOFF_CAP);
    span.mul_f64(0.5 + chance / 2.0)
}

/// A random number from 0 to 1 for jitter, from the standard library's hash map seeds. Not for secrets.
pub(super) fn chance() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    f64::from((random >> 32) as u32) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Repetition::*, *};

    #[test]
    fn repeats_are_counted() {
        assert!(allows(Freely, 7, 8));
        assert!(!allows(Freely, 8, 8));
        assert!(!allows(Freely, 0, 0));
        assert!(allows(Sparingly, 1, 8));
        assert!(!allows(Sparingly, 2, 8));
        assert!(allows(AtOnce, 7, 8) && !allows(AtOnce, 8, 8));
        assert!(!allows(Sparingly, 1, 1));
        assert!(!allows(Never, 0, 8));
        // Rate limits don't count as faults.
        assert!(allows(AfterLimit, 100, 0));
    }

    #[test]
    fn backoff_doubles_up_to_a_cap() {
        let longest: Vec<u128> = (0..8).map(|repeat| backoff(repeat, 1.0).as_millis()).collect();
        assert_eq!(longest, [250, 500, 1000, 2000, 4000, 8000, 8000, 8000]);
        assert_eq!(backoff(0, 0.0).as_millis(), 125);
        assert_eq!(backoff(u32::MAX, 1.0).as_millis(), 8000);
    }

    #[test]
    fn only_the_first_repeat_at_once_has_no_pause() {
        let pauses = |repetition| [0, 1, 2].map(|repeat| pause(repetition, repeat, 1.0).as_millis());
        assert_eq!(pauses(AtOnce), [0, 250, 500]);
        assert_eq!(pauses(Freely), [250, 500, 1000]);
    }

    #[test]
    fn chance_stays_in_its_bounds_and_varies() {
        let chances: Vec<f64> = (0..100).map(|_| chance()).collect();
        assert!(chances.iter().all(|chance| (0.0..=1.0).contains(chance)));
        assert!(chances.iter().any(|chance| *chance != chances[0]));
    }
}
