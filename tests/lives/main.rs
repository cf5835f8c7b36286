//! Random lives: the built provider, spoken to as Terraform's core does, against an emulated KMS on its bad days.
//!
//! A life is a random sequence of what users, others at the KMS, networks and signals do to a few resources. Whatever
//! happens, state and KMS agree in the end or a diagnostic said what doesn't; nothing is lost, doubled, leaked or stuck.
//!
//! [`steps`] (what can happen), [`faults`] (what can go wrong) and [`model`] (what should come of it) describe lives;
//! [`world`], [`runs`], [`outside`] and [`settle`] live them; [`core`], [`calls`] and [`walk`] do what Terraform's core
//! does; [`invariants`], [`secrets`] and [`words`] judge; [`pool`] runs many and makes what fails short.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a panic is a failed test")]

#[path = "../kms_emulator/mod.rs"]
mod kms_emulator;

#[path = "../grpc/host.rs"]
#[allow(dead_code, reason = "the other tests use the rest")]
mod host;

mod calls;
mod core;
mod faults;
mod invariants;
mod known;
mod model;
mod outside;
mod pool;
mod regressions;
mod running;
mod runs;
mod secrets;
mod settle;
mod steps;
mod tally;
mod walk;
mod words;
mod world;

/// What must not happen has happened.
#[derive(Clone, Debug)]
struct Violation {
    /// One word or two: lives that fail in the same way share it.
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

/// `LIVES` says how many, `LIVES_SEED` which, `LIVES_FIRST` from which on, `LIVES_AT_ONCE` how many side by side.
#[test]
fn random_lives_lose_double_leak_and_block_nothing() {
    pool::run(&pool::Plan {
        seed: number("LIVES_SEED", 1),
        first: number("LIVES_FIRST", 0),
        count: number("LIVES", 100),
        at_once: number("LIVES_AT_ONCE", 24),
    });
}
