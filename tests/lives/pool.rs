//! Runs many lives concurrently. A life mostly waits, so there are many more of them than processors.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use proptest::{
    strategy::Strategy as _,
    test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner},
};
use tokio::runtime::Runtime;

use crate::{
    Checked, Violation,
    running::Running,
    steps::{Step, lives},
    tally,
    world::World,
};

/// One in this many providers logs at TRACE, which takes three times the processor time; the others log at DEBUG.
const TRACED: u64 = 8;

/// The lives to run.
pub struct Plan {
    pub seed: u64,
    /// The number of the first life.
    pub first: u64,
    /// How many lives.
    pub count: u64,
    /// How many at a time.
    pub at_once: u64,
}

/// Runs one life, with a provider process that may have served others before.
pub fn live(runtime: &Runtime, running: &mut Running, steps: &[Step]) -> Checked {
    runtime.block_on(async {
        let outcome = World::new(running).await.live(steps).await;
        if outcome.is_err() {
            // The next life gets a fresh process.
            running.kill();
        }
        outcome
    })
}

/// A failing life, shrunk.
struct Failed {
    number: u64,
    text: String,
    steps: Vec<Step>,
    count: u64,
}

/// Runs all lives, and panics with one failing life of each kind.
pub fn run(plan: &Plan) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let next = AtomicU64::new(plan.first);
    let end = plan.first + plan.count;
    let failures: Mutex<BTreeMap<String, Failed>> = Mutex::default();
    let began = Instant::now();
    let done = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for worker in 0..plan.at_once.min(plan.count) {
            let level = if worker % TRACED == 0 { "TRACE" } else { "DEBUG" };
            let (runtime, next, failures, done) = (&runtime, &next, &failures, &done);
            scope.spawn(move || {
                let mut running = Running::new(level);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= end {
                        break;
                    }
                    one(runtime, &mut running, plan.seed, number, failures);
                    let done = 1 + done.fetch_add(1, Ordering::Relaxed);
                    if done.is_multiple_of(500) {
                        eprintln!("{done} lives after {:?}", began.elapsed());
                    }
                }
                runtime.block_on(running.shut_down());
            });
        }
    });
    let failures = failures.into_inner().expect("no panic");
    assert!(failures.is_empty(), "{}", report(&failures));
    eprintln!("{} lives in {:?}\n{}", plan.count, began.elapsed(), tally::summary());
}

/// Each life depends on the seed and its number only.
fn rng(seed: u64, number: u64) -> TestRng {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..16].copy_from_slice(&number.to_le_bytes());
    TestRng::from_seed(RngAlgorithm::ChaCha, &bytes)
}

fn one(
    runtime: &Runtime,
    running: &mut Running,
    seed: u64,
    number: u64,
    failures: &Mutex<BTreeMap<String, Failed>>,
) {
    let config = Config {
        failure_persistence: None,
        max_shrink_iters: 300,
        max_shrink_time: u32::try_from(1000 * crate::number("LIVES_SHRINK", 120)).expect("LIVES_SHRINK"),
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, rng(seed, number));
    let life = lives().new_tree(&mut runner).expect("lives can be made");
    let running = RefCell::new(running);
    // While shrinking, a failure of another kind doesn't count.
    let kind = RefCell::new(None);
    let outcome = runner.run_one(life, |steps| {
        let Err(Violation { kind: found, text }) = live(runtime, &mut running.borrow_mut(), &steps) else {
            return Ok(());
        };
        let mut kind = kind.borrow_mut();
        match &*kind {
            Some(kind) if *kind != found => Ok(()),
            None if is_known(failures, &key(found, &text)) => Ok(()),
            _ => {
                *kind = Some(found);
                Err(TestCaseError::fail(text))
            }
        }
    });
    if let Err(TestError::Fail(reason, steps)) = outcome {
        let kind = kind.into_inner().unwrap_or("panic");
        let mut failures = failures.lock().expect("no panic");
        let failed = Failed { number, text: reason.message().to_owned(), steps, count: 1 };
        failures.entry(key(kind, &failed.text)).and_modify(|failed| failed.count += 1).or_insert(failed);
    }
}

/// The same text for failures that probably have the same cause.
fn key(kind: &str, text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_ascii_digit()).take(200).collect();
    let words = text.split([' ', '[', ']']).filter(|word| word.matches('-').count() < 4 && !word.is_empty());
    let words: Vec<&str> = words.take(14).collect();
    format!("{kind}: {}", words.join(" "))
}

/// Counts a failure, if there is one of the same key already. Only the first one is shrunk.
fn is_known(failures: &Mutex<BTreeMap<String, Failed>>, key: &str) -> bool {
    let mut failures = failures.lock().expect("no panic");
    failures.get_mut(key).map(|failed| failed.count += 1).is_some()
}

fn report(failures: &BTreeMap<String, Failed>) -> String {
    let mut report = format!("{} kinds of failure", failures.len());
    for (kind, failed) in failures {
        let Failed { number, text, steps, count } = failed;
        let _ = write!(
            report,
            "\n\n{kind}\n{count} times, first in life {number}: {text}\n\n    lives(&{steps:?});"
        );
    }
    report.push('\n');
    report
}
