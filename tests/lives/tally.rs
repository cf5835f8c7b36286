//! Counts of the events in all lives, to see that they cover what they should.

use std::{
    collections::BTreeMap,
    sync::{LazyLock, Mutex, PoisonError},
    time::Duration,
};

static COUNTS: LazyLock<Mutex<BTreeMap<String, u64>>> = LazyLock::new(Mutex::default);
static LONGEST: LazyLock<Mutex<BTreeMap<&'static str, Duration>>> = LazyLock::new(Mutex::default);

pub fn count(what: String) {
    let mut counts = COUNTS.lock().unwrap_or_else(PoisonError::into_inner);
    *counts.entry(what).or_default() += 1;
}

/// Records the duration of an RPC.
pub fn time(call: &'static str, took: Duration) {
    let mut longest = LONGEST.lock().unwrap_or_else(PoisonError::into_inner);
    let longest = longest.entry(call).or_default();
    *longest = took.max(*longest);
}

/// All counts, and the longest duration of each RPC.
pub fn summary() -> String {
    let counts = COUNTS.lock().unwrap_or_else(PoisonError::into_inner);
    let mut lines: Vec<_> = counts.iter().map(|(what, count)| format!("{count:>9}  {what}")).collect();
    let longest = LONGEST.lock().unwrap_or_else(PoisonError::into_inner);
    lines.extend(
        longest.iter().map(|(call, longest)| format!("{:>7} ms  longest {call}", longest.as_millis())),
    );
    lines.join("\n")
}
