//! Lives that failed once. The output of [`crate::pool`] can be pasted here.

use crate::{
    faults::{Body, Call, Failure, When},
    model::{Config, NO_TOKEN},
    pool,
    rotation::RotationConfig,
    running::Running,
    steps::{Edit, FIRST_ROTATION, Field, Interrupt, Key, Kind, RotationField, Run, Step, Step::*, Tokens},
};

/// Runs one life.
fn lives(steps: &[Step]) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    if let Err(violation) = pool::live(&runtime, &mut Running::new("TRACE"), steps) {
        panic!("{}: {}", violation.kind, violation.text);
    }
}

/// Runs lives concurrently, for they mostly wait.
fn all_lives(all: impl IntoIterator<Item = Vec<Step>>) {
    std::thread::scope(|scope| {
        for life in all {
            scope.spawn(move || lives(&life));
        }
    });
}

fn block(slot: u8) -> Step {
    Write { slot, config: Config { name: slot, ..Config::default() } }
}

fn apply() -> Step {
    Apply(Run::default())
}

fn page(status: u16, when: When) -> Failure {
    Failure::Status { status, body: Body::Page, when }
}

fn once(call: Call, failure: Failure) -> Step {
    Fault { call, skip: 0, times: 1, failure }
}

#[test]
fn a_life_without_faults_goes_well() {
    let field = |field| Set { slot: 0, field };
    lives(&[
        block(0),
        block(1),
        apply(),
        field(Field::Description(3)),
        field(Field::Token(1)),
        apply(),
        field(Field::Version(1)),
        apply(),
        field(Field::Scope(1)),
        apply(),
        Outside(Edit::Credentials { which: 0, url: 1, account: 1, token: 2 }),
        Outside(Edit::Rename { which: 1, name: 2 }),
        apply(),
        Outside(Edit::Delete { which: 0 }),
        Refresh,
        Plan,
        apply(),
        Forget { slot: 1 },
        Import { slot: 1, which: 0, by: Key::Name },
        Restart,
        apply(),
        Destroy(Run { parallel: true, ..Run::default() }),
    ]);
}

#[test]
fn a_lost_create_is_found() {
    let whens = [When::Before, When::After, When::Later(20)];
    let failures = whens.into_iter().flat_map(|when| [Failure::Reset(when), page(502, when)]);
    all_lives(failures.map(|failure| vec![block(0), once(Call::Create, failure), apply()]));
}

#[test]
fn a_create_that_lands_after_its_repeat_and_the_end_of_that_is_warned_of() {
    let late = |tenths| once(Call::Create, page(504, When::Later(tenths)));
    let refused = Failure::Status { status: 400, body: Body::Kms, when: When::Before };
    let renamed = Set { slot: 0, field: Field::Name(1) };
    all_lives([
        vec![block(0), late(70), apply(), Remove { slot: 0 }, apply()],
        vec![block(0), late(70), apply(), renamed, apply()],
        // The repeat is refused, and then the connection is looked for once more.
        vec![block(0), late(110), once(Call::Create, refused), apply(), Remove { slot: 0 }],
    ]);
}

#[test]
fn a_lost_create_takes_no_connection_of_others() {
    let twin = Outside(Edit::Make { name: 0, scope: 0, url: 0, account: 0 });
    lives(&[block(0), twin, once(Call::Create, page(502, When::Before)), apply()]);
}

#[test]
fn only_the_same_account_at_the_same_instance_is_adopted() {
    let adopting = Write { slot: 0, config: Config { adopt: true, ..Config::default() } };
    let others = [(0, 0), (2, 0), (0, 1), (1, 0)];
    all_lives(others.map(|(url, account)| {
        vec![adopting.clone(), Outside(Edit::Make { name: 0, scope: 0, url, account }), apply()]
    }));
}

#[test]
fn a_create_that_was_killed_is_named_by_the_next_one() {
    let interrupt = Some(Interrupt { kind: Kind::Kill, after: 2 });
    lives(&[block(0), Apply(Run { interrupt, ..Run::default() }), apply()]);
}

#[test]
fn imports_by_name_find_only_what_is_of_their_scope() {
    let made = |name, scope| Outside(Edit::Make { name, scope, url: 0, account: 0 });
    lives(&[
        block(0),
        block(1),
        block(2),
        Write { slot: 3, config: Config { scope: 1, ..Config::default() } },
        made(0, 0),
        made(1, 0),
        made(2, 0),
        made(0, 1),
        ImportAll { by: Key::Name },
    ]);
}

#[test]
fn a_token_that_differs_between_plan_and_apply_is_sent() {
    lives(&[
        block(0),
        apply(),
        Set { slot: 0, field: Field::Token(1) },
        Apply(Run { tokens: Tokens::Unknown, ..Run::default() }),
        Set { slot: 0, field: Field::Token(2) },
        Apply(Run { tokens: Tokens::Others, ..Run::default() }),
    ]);
}

#[test]
fn a_plan_made_with_the_token_sent_last_can_be_applied_with_another() {
    lives(&[
        block(0),
        apply(),
        Set { slot: 0, field: Field::Token(2) },
        Set { slot: 0, field: Field::Description(2) },
        Apply(Run { tokens: Tokens::Others, ..Run::default() }),
    ]);
}

#[test]
fn a_create_behind_a_page_is_found() {
    let statuses = [400, 401, 403, 404, 408, 413, 499];
    let failures =
        statuses.into_iter().flat_map(|status| [page(status, When::After), page(status, When::Before)]);
    all_lives(failures.map(|failure| vec![block(0), once(Call::Create, failure), apply()]));
}

#[test]
fn an_update_behind_a_page_is_found() {
    all_lives([When::Before, When::After].map(|when| {
        let change = Set { slot: 0, field: Field::Token(1) };
        vec![block(0), apply(), change, once(Call::Update, page(403, when)), apply()]
    }));
}

#[test]
fn a_delete_behind_a_page_is_repeated() {
    let failures = [403, 404, 413]
        .into_iter()
        .flat_map(|status| [page(status, When::Before), page(status, When::After)]);
    all_lives(
        failures.map(|failure| vec![block(0), apply(), once(Call::Delete, failure), Destroy(Run::default())]),
    );
}

#[test]
fn a_read_behind_a_page_is_repeated() {
    let failures = [400, 403, 404].map(|status| page(status, When::Before));
    all_lives(failures.map(|failure| vec![block(0), apply(), once(Call::Read, failure), apply()]));
}

#[test]
fn a_page_that_stays_makes_nothing_disappear() {
    all_lives([Call::Read, Call::Delete].map(|call| {
        let fault = Fault { call, skip: 0, times: 3, failure: page(404, When::Before) };
        vec![block(0), apply(), fault, Destroy(Run::default())]
    }));
}

#[test]
fn a_change_that_may_still_be_made_is_not_said_to_be_none() {
    let late = once(Call::Update, page(504, When::Later(60)));
    let limited =
        Fault { call: Call::Update, skip: 1, times: 3, failure: Failure::RateLimited { seconds: 60 } };
    let change = Set { slot: 0, field: Field::Description(2) };
    lives(&[block(0), apply(), change, late, limited, apply()]);
}

#[test]
fn a_page_refuses_no_login() {
    lives(&[block(0), once(Call::Login, page(404, When::Before)), apply()]);
}

#[test]
fn a_large_page_is_a_page() {
    let failure = Failure::Status { status: 503, body: Body::TooLarge, when: When::Before };
    lives(&[block(0), apply(), once(Call::Read, failure), apply()]);
}

#[test]
fn a_message_that_quotes_secrets_is_shown_without_them() {
    let failure = Failure::Status { status: 500, body: Body::Quoting, when: When::Before };
    all_lives(
        [Call::Login, Call::Read, Call::Create].map(|call| {
            vec![block(0), apply(), block(1), Fault { call, skip: 0, times: 3, failure }, apply()]
        }),
    );
}

#[test]
fn a_token_with_a_tab_is_shown_in_no_form() {
    let failure = Failure::Status { status: 500, body: Body::Quoting, when: When::Before };
    let with_tab = Write { slot: 0, config: Config { token: 2, ..Config::default() } };
    lives(&[with_tab, Fault { call: Call::Create, skip: 0, times: 3, failure }, apply()]);
}

#[test]
fn what_another_resource_manages_is_not_taken_over() {
    let wanted = Config { adopt: true, ..Config::default() };
    lives(&[block(0), apply(), Write { slot: 1, config: wanted }, apply()]);
}

#[test]
fn what_another_resource_is_creating_is_not_taken_over() {
    let wanted = Config { adopt: true, ..Config::default() };
    let at_once = Run { parallel: true, ..Run::default() };
    let slow = once(Call::Create, Failure::Slow(When::After));
    lives(&[block(0), Write { slot: 1, config: wanted }, slow, Apply(at_once), Remove { slot: 1 }]);
}

#[test]
fn a_name_that_the_replaced_connection_has_is_not_to_be_adopted() {
    let first = Config { create_before_destroy: true, ..Config::default() };
    let replace = Apply(Run { replace: Some(0), ..Run::default() });
    lives(&[Write { slot: 0, config: first }, apply(), replace]);
}

#[test]
fn of_two_that_adopt_one_connection_the_plan_refuses_one() {
    let wanted = Config { adopt: true, ..Config::default() };
    let made = Outside(Edit::Make { name: 0, scope: 0, url: 0, account: 0 });
    lives(&[Write { slot: 0, config: wanted }, Write { slot: 1, config: wanted }, made, apply()]);
}

#[test]
fn a_name_that_another_app_has_is_not_to_be_adopted() {
    lives(&[block(0), Outside(Edit::MakeOther { name: 0, scope: 0 }), apply()]);
}

#[test]
fn a_replacement_whose_delete_fails_keeps_its_identity() {
    let fault = Fault { call: Call::Delete, skip: 0, times: 3, failure: page(503, When::Before) };
    lives(&[block(0), apply(), Set { slot: 0, field: Field::Scope(1) }, fault, apply()]);
}

#[test]
fn a_request_that_is_always_refused_costs_few_logins() {
    let refused = Fault { call: Call::Update, skip: 0, times: 60, failure: Failure::TokenExpired };
    let changes = (0..4).map(|slot| Set { slot, field: Field::Description(2) });
    let mut life: Vec<Step> = (0..3).map(block).collect();
    life.push(Write { slot: 3, config: Config { scope: 1, ..Config::default() } });
    life.push(apply());
    life.extend(changes);
    life.push(refused);
    life.push(Apply(Run { parallel: true, ..Run::default() }));
    lives(&life);
}

fn rotation(slot: u8) -> Step {
    let number = slot - FIRST_ROTATION;
    WriteRotation {
        slot,
        config: RotationConfig { name: number, secret: number, ..RotationConfig::default() },
    }
}

#[test]
fn a_life_of_rotations_without_faults_goes_well() {
    let field = |field| SetRotation { slot: 4, field };
    lives(&[
        rotation(4),
        rotation(5),
        apply(),
        field(RotationField::Name(2)),
        field(RotationField::Description(2)),
        field(RotationField::Secret(2)),
        field(RotationField::TokenName(1)),
        field(RotationField::Grants(1)),
        field(RotationField::Interval(1)),
        field(RotationField::Time(1)),
        field(RotationField::Manual(true)),
        apply(),
        field(RotationField::Manual(false)),
        apply(),
        // One token, a second, and then the first is revoked.
        Outside(Edit::Rotate { which: 0 }),
        Outside(Edit::Rotate { which: 0 }),
        apply(),
        Outside(Edit::Refuse { create: true, delete: false }),
        Outside(Edit::Rotate { which: 0 }),
        Plan,
        apply(),
        Outside(Edit::Refuse { create: false, delete: false }),
        field(RotationField::Connection(1)),
        apply(),
        field(RotationField::Folder(1)),
        apply(),
        Outside(Edit::Delete { which: 0 }),
        Refresh,
        Forget { slot: 4 },
        Import { slot: 4, which: 0, by: Key::Name },
        Restart,
        apply(),
        Destroy(Run { parallel: true, ..Run::default() }),
    ]);
}

#[test]
fn a_create_of_a_rotation_that_fails_halfway_is_sent_once_and_warned_of() {
    let failures = [When::Before, When::After, When::Later(20)].map(|when| page(502, when));
    let faults = failures.map(|failure| RotationFault { call: Call::Create, skip: 0, times: 1, failure });
    let halfway = Outside(Edit::FailToStore { fails: true });
    all_lives(faults.into_iter().chain([halfway]).map(|trouble| vec![rotation(4), trouble, apply()]));
}

#[test]
fn a_replaced_rotation_makes_room_for_its_secret_and_a_destroyed_one_leaves_it_if_told_so() {
    let config = RotationConfig { keeps_secret: true, keeps_tokens: true, ..RotationConfig::default() };
    let written = WriteRotation { slot: 4, config };
    let moved = |field| SetRotation { slot: 4, field };
    all_lives([
        vec![written.clone(), apply(), moved(RotationField::Connection(1)), apply()],
        vec![
            written.clone(),
            apply(),
            moved(RotationField::CreateBeforeDestroy(true)),
            apply(),
            moved(RotationField::Folder(1)),
            apply(),
        ],
        vec![written, apply(), Remove { slot: 4 }, apply(), rotation(5)],
    ]);
}

#[test]
fn a_connection_without_a_token_is_managed_but_for_its_credentials() {
    let field = |field| Set { slot: 0, field };
    let made = Outside(Edit::Make { name: 0, scope: 0, url: 0, account: 0 });
    let foreign = Outside(Edit::Credentials { which: 0, url: 0, account: 0, token: 1 });
    all_lives([
        // It can't be created.
        vec![block(0), field(Field::Token(NO_TOKEN)), apply()],
        vec![
            block(0),
            field(Field::Token(NO_TOKEN)),
            made,
            Import { slot: 0, which: 0, by: Key::Id },
            apply(),
            field(Field::Description(2)),
            foreign.clone(),
            apply(),
            field(Field::Token(0)),
            apply(),
            field(Field::Token(NO_TOKEN)),
            apply(),
            field(Field::Account(1)),
            apply(),
        ],
        // Under a version nothing of the token is kept.
        vec![
            block(0),
            field(Field::Version(1)),
            apply(),
            field(Field::Token(NO_TOKEN)),
            apply(),
            foreign,
            apply(),
            field(Field::Version(0)),
            field(Field::Token(0)),
            apply(),
        ],
    ]);
}

#[test]
fn a_replacement_that_takes_over_what_it_replaces_keeps_it() {
    let config = Config { adopt: true, create_before_destroy: true, ..Config::default() };
    let replace = Apply(Run { replace: Some(0), ..Run::default() });
    // In every other run, the apply isn't handed what was planned, as before Terraform 1.16.
    lives(&[Write { slot: 0, config }, apply(), replace.clone(), replace]);
}

#[test]
fn what_a_plan_could_not_look_for_is_not_taken_over_from_another_resource() {
    let config = Config { adopt: true, ..Config::default() };
    let failure = Failure::Status { status: 500, body: Body::Kms, when: When::Before };
    let hidden = Fault { call: Call::Find, skip: 0, times: 3, failure };
    lives(&[block(0), apply(), Write { slot: 1, config }, hidden, apply()]);
}

#[test]
fn a_create_that_the_name_keeps_from_making_a_token_warns_of_none() {
    let config = RotationConfig { create_before_destroy: true, ..RotationConfig::default() };
    let failure = Failure::Status { status: 503, body: Body::Kms, when: When::After };
    let fault = RotationFault { call: Call::Create, skip: 0, times: 1, failure };
    let moved = SetRotation { slot: 4, field: RotationField::Connection(1) };
    lives(&[WriteRotation { slot: 4, config }, apply(), moved, fault, apply()]);
}

#[test]
fn a_lost_create_of_a_name_that_another_resource_has_warns_of_a_token() {
    let config = |description| RotationConfig { description, ..RotationConfig::default() };
    let failure = Failure::Status { status: 503, body: Body::TooLarge, when: When::After };
    lives(&[
        WriteRotation { slot: 6, config: config(0) },
        WriteRotation { slot: 4, config: config(3) },
        RotationFault { call: Call::Create, skip: 0, times: 2, failure },
        Apply(Run { parallel: true, ..Run::default() }),
    ]);
}

#[test]
fn the_create_of_a_resource_with_the_same_configuration_is_not_taken_for_ones_own() {
    let config = RotationConfig::default();
    let interrupt = Some(Interrupt { kind: Kind::Stop, after: 1 });
    lives(&[
        WriteRotation { slot: 5, config },
        WriteRotation { slot: 4, config },
        Apply(Run { parallel: false, interrupt, ..Run::default() }),
    ]);
}

#[test]
fn a_token_of_a_create_that_is_performed_late_belongs_to_the_run_before() {
    let late = Failure::Status { status: 500, body: Body::Cut, when: When::Later(15) };
    let interrupt = Some(Interrupt { kind: Kind::Kill, after: 2 });
    lives(&[
        WriteRotation { slot: 4, config: RotationConfig::default() },
        RotationFault { call: Call::Create, skip: 0, times: 1, failure: late },
        Apply(Run { interrupt, ..Run::default() }),
        Remove { slot: 4 },
        block(0),
        Fault { call: Call::Create, skip: 0, times: 2, failure: Failure::Hang(When::Before) },
        apply(),
    ]);
}

#[test]
fn a_destroy_shows_the_provider_no_token_of_the_configuration() {
    let failure = Failure::Status { status: 500, body: Body::Quoting, when: When::Before };
    lives(&[
        WriteRotation { slot: 4, config: RotationConfig::default() },
        apply(),
        block(1),
        RotationFault { call: Call::Delete, skip: 0, times: 4, failure },
        Destroy(Run::default()),
    ]);
}
