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
    if let Err(violation) = pool::live(&runtime, &mut Running::new("TRACE"), steps) {
        panic!("{}: {}", violation.kind, violation.text);
    }
}

#[test]
fn a_quiet_life_is_quiet() {
    lives(&[Write { slot: 0, config: Config::default() }, Apply(Run::default()), Apply(Run::default())]);
}

#[test]
fn tmp_stray() {
    for _ in 0..15 {
    lives(&[Write { slot: 0, config: Config { name: 0, scope: 0, description: 0, url: 0, account: 0, token: 0, version: 0, adopt: false, create_before_destroy: false, unique_name: 0 } }, Apply(Run { parallel: false, tokens: Tokens::AsConfigured, replace: None, interrupt: Some(Interrupt { kind: Kind::Stop, after: 6 }) }), Plan, Import { slot: 2, which: 1, by: Key::Id }, Write { slot: 0, config: Config { name: 0, scope: 2, description: 0, url: 2, account: 0, token: 0, version: 0, adopt: false, create_before_destroy: true, unique_name: 0 } }, Fault { call: Call::Update, skip: 0, times: 1, failure: Failure::Status { status: 500, body: Kms, when: After } }, Outside(Edit::Credentials { which: 1, url: 2, account: 0, token: 0 }), Apply(Run { parallel: true, tokens: Tokens::Others, replace: None, interrupt: Some(Interrupt { kind: Kind::Stop, after: 3 }) })]);
    }
}
