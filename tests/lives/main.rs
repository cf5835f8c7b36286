//! Random lives: a model-based test of the built provider, over gRPC, against the emulated KMS.
//!
//! A life is a random sequence of changes of the configuration, Terraform runs, edits by others, faults, stops and kills.
//! In the end, the state and the KMS agree, or a diagnostic named the difference. Nothing is lost, duplicated, leaked or
//! stuck.
//!
//! - [`steps`], [`faults`]: the steps and the faults. [`model`], [`rotation`]: the expected results.
//! - [`world`], [`runs`], [`outside`], [`settle`]: carry the steps out.
//! - [`core`], [`calls`], [`walk`]: do what Terraform's core does.
//! - [`invariants`], [`leftovers`], [`secrets`], [`words`]: check the results.
//! - [`pool`], [`tally`]: run many lives, shrink the failing ones, and count.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a panic is a failed test")]

#[path = "../grpc/host.rs"]
#[allow(dead_code, reason = "the other tests use the rest")]
mod host;

mod calls;
mod core;
mod faults;
mod invariants;
mod leftovers;
mod model;
mod outside;
mod pool;
mod regressions;
mod rotation;
mod running;
mod runs;
mod secrets;
mod settle;
mod steps;
mod tally;
mod walk;
mod words;
mod world;

/// A broken invariant.
#[derive(Clone, Debug)]
struct Violation {
    /// A short name, the same for all lives that fail in the same way.
    kind: &'static str,
    text: String,
}

impl Violation {
    fn new(kind: &'static str, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }
}

type Checked<T = ()> = Result<T, Violation>;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().map_or(default, |text| text.parse().expect(variable))
}

/// Environment: `LIVES` is the number of lives, `LIVES_SEED` their seed, `LIVES_FIRST` the number of the first one,
/// `LIVES_AT_ONCE` how many run concurrently, `LIVES_SHRINK` how many seconds to shrink a failing one.
#[test]
fn random_lives_lose_double_leak_and_block_nothing() {
    pool::run(&pool::Plan {
        seed: number("LIVES_SEED", 1),
        first: number("LIVES_FIRST", 0),
        count: number("LIVES", 100),
        at_once: number("LIVES_AT_ONCE", 48),
    });
}
