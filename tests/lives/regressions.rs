//! Lives that once went wrong, or would go wrong if a defect came back.

use crate::{
    faults::{Body::*, Call, Failure, When::*},
    model::Config,
    pool,
    running::Running,
    steps::{Edit, Field, Interrupt, Key, Kind, Run, Step, Step::*, Tokens},
};

/// Lives one life, and fails if anything goes wrong in it.
fn lives(steps: &[Step]) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    if let Err(violation) = pool::live(&runtime, &mut Running::default(), steps) {
        panic!("{}: {}", violation.kind, violation.text);
    }
}

#[test]
fn a_quiet_life_is_quiet() {
    lives(&[Write { slot: 0, config: Config::default() }, Apply(Run::default()), Apply(Run::default())]);
}
