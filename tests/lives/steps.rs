//! The steps of a life, and their random generation.
//!
//! Every step is valid in every state: a step without a subject does nothing. So every part of a failing sequence is a valid
//! sequence, and shrinking can remove any step. `Debug` prints Rust that can be pasted into a test.

use proptest::{collection, prelude::*};

use crate::{
    faults::{Body, Call, Failure, When},
    model::{ACCOUNTS, Config, DESCRIPTIONS, NAMES, NO_TOKEN, SCOPES, TOKENS, URLS, VERSIONS},
    rotation::{CONNECTION_IDS, FOLDERS, GRANTS, INTERVALS, RotationConfig, SECRETS, TIMES, TOKEN_NAMES},
};

/// How many resources there are.
pub const SLOTS: u8 = 7;
/// From this one on, they are rotations. Those before are connections.
pub const FIRST_ROTATION: u8 = 4;

#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Writes a connection's block.
    Write { slot: u8, config: Config },
    /// Changes one argument of a block, if there is one.
    Set { slot: u8, field: Field },
    /// Writes a rotation's block.
    WriteRotation { slot: u8, config: RotationConfig },
    /// Changes one argument of a rotation's block, if there is one.
    SetRotation { slot: u8, field: RotationField },
    /// Removes a block.
    Remove { slot: u8 },
    /// Exchanges the names of two blocks.
    Swap { one: u8, other: u8 },
    /// `terraform apply`.
    Apply(Run),
    /// `terraform plan`. Nothing is stored.
    Plan,
    /// `terraform apply -refresh-only`.
    Refresh,
    /// `terraform destroy`.
    Destroy(Run),
    /// `terraform import` of an unmanaged object, to a resource without one.
    Import { slot: u8, which: u8, by: Key },
    /// Import blocks for all resources without an object, in one run.
    ImportAll { by: Key },
    /// `terraform state rm`.
    Forget { slot: u8 },
    /// A change that somebody else makes at the KMS.
    Outside(Edit),
    /// A fault of the next requests of a kind: `skip` pass, then `times` fail.
    Fault { call: Call, skip: u8, times: u8, failure: Failure },
    /// The same for requests about rotations.
    RotationFault { call: Call, skip: u8, times: u8, failure: Failure },
    /// All access tokens expire.
    Expire,
    /// Access tokens issued from now on are good for this many requests; 0 for any number.
    Uses(u8),
    /// Reads of the KMS lag behind writes by this many tenths of a second.
    Lag(u8),
    /// The provider is killed between runs.
    Restart,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    Name(u8),
    Scope(u8),
    Description(u8),
    Url(u8),
    Account(u8),
    Token(u8),
    Version(u8),
    Adopt(bool),
    CreateBeforeDestroy(bool),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotationField {
    Name(u8),
    Folder(u8),
    Connection(u8),
    Description(u8),
    Secret(u8),
    TokenName(u8),
    Grants(u8),
    Interval(u8),
    Time(u8),
    Manual(bool),
    KeepsTokens(bool),
    KeepsSecret(bool),
    Adopt(bool),
    CreateBeforeDestroy(bool),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// All resources at a time, as Terraform does, or one after the other.
    pub parallel: bool,
    /// The tokens that the plan sees.
    pub tokens: Tokens,
    /// `-replace` for this resource.
    pub replace: Option<u8>,
    pub interrupt: Option<Interrupt>,
}

/// The tokens that a plan sees. The apply sees those of the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tokens {
    #[default]
    AsConfigured,
    /// Unknown: ephemeral values that open later.
    Unknown,
    /// Other ones: ephemeral values that differ each time.
    Others,
}

/// A signal during a run, after a number of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupt {
    pub kind: Kind,
    pub after: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Ctrl-C: Terraform calls StopProvider.
    Stop,
    /// The provider is killed.
    Kill,
}

/// How an import names its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Id,
    Name,
    Identity,
}

/// A change that somebody else makes at the KMS. `which` counts objects from the oldest, connections before rotations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    Describe {
        which: u8,
        description: u8,
    },
    Rename {
        which: u8,
        name: u8,
    },
    Credentials {
        which: u8,
        url: u8,
        account: u8,
        token: u8,
    },
    Delete {
        which: u8,
    },
    /// A dbt connection made by hand.
    Make {
        name: u8,
        scope: u8,
        url: u8,
        account: u8,
    },
    /// A dbt connection made by hand, with the name and scope of a block.
    MakeWanted {
        slot: u8,
        url: u8,
        account: u8,
    },
    /// A rotation made by hand.
    MakeRotation {
        config: RotationConfig,
    },
    /// Its fields become those of this block, but its names and its place.
    Reconfigure {
        which: u8,
        config: RotationConfig,
    },
    /// The KMS rotates by the clock.
    Rotate {
        which: u8,
    },
    /// dbt begins or ends to refuse to make service tokens, and to revoke them.
    Refuse {
        create: bool,
        delete: bool,
    },
    /// The KMS begins or ends to fail where it stores a rotation, which has a token at dbt already.
    FailToStore {
        fails: bool,
    },
    /// A connection of another app, which shares the names.
    MakeOther {
        name: u8,
        scope: u8,
    },
    /// A sync begins or ends to use it.
    Use {
        which: u8,
        used: bool,
    },
}

fn index<T>(table: &[T]) -> impl Strategy<Value = u8> + use<T> {
    0..u8::try_from(table.len()).expect("tables are small")
}

/// Mostly the first.
fn rather_first<T>(table: &[T]) -> impl Strategy<Value = u8> + use<T> {
    prop_oneof![3 => Just(0), 2 => index(table)]
}

fn slot() -> impl Strategy<Value = u8> {
    prop_oneof![4 => Just(0), 3 => Just(1), 2 => 0..FIRST_ROTATION]
}

fn rotation_slot() -> impl Strategy<Value = u8> {
    prop_oneof![3 => Just(FIRST_ROTATION), 2 => FIRST_ROTATION..SLOTS]
}

fn any_slot() -> impl Strategy<Value = u8> {
    prop_oneof![3 => slot(), 2 => rotation_slot()]
}

fn rotation_config() -> impl Strategy<Value = RotationConfig> {
    let texts = (
        rather_first(&NAMES),
        rather_first(&FOLDERS),
        rather_first(&CONNECTION_IDS),
        rather_first(&DESCRIPTIONS),
        rather_first(&SECRETS),
        rather_first(&TOKEN_NAMES),
        rather_first(&GRANTS),
        rather_first(&INTERVALS),
        rather_first(&TIMES),
    );
    let rarely = || prop::bool::weighted(0.2);
    (texts, rarely(), rarely(), rarely(), rarely(), rarely()).prop_map(
        |(texts, manual, keeps_tokens, keeps_secret, adopt, create_before_destroy)| {
            let (name, folder, connection, description, secret, token_name, grants, interval, time) = texts;
            RotationConfig {
                name,
                folder,
                connection,
                description,
                secret,
                token_name,
                grants,
                interval,
                time,
                manual,
                keeps_tokens,
                keeps_secret,
                adopt,
                create_before_destroy,
                unique_name: 0,
            }
        },
    )
}

fn rotation_field() -> impl Strategy<Value = RotationField> {
    prop_oneof![
        3 => index(&NAMES).prop_map(RotationField::Name),
        1 => index(&FOLDERS).prop_map(RotationField::Folder),
        2 => index(&CONNECTION_IDS).prop_map(RotationField::Connection),
        1 => index(&DESCRIPTIONS).prop_map(RotationField::Description),
        3 => index(&SECRETS).prop_map(RotationField::Secret),
        1 => index(&TOKEN_NAMES).prop_map(RotationField::TokenName),
        2 => index(&GRANTS).prop_map(RotationField::Grants),
        1 => index(&INTERVALS).prop_map(RotationField::Interval),
        1 => index(&TIMES).prop_map(RotationField::Time),
        1 => any::<bool>().prop_map(RotationField::Manual),
        1 => any::<bool>().prop_map(RotationField::KeepsTokens),
        2 => any::<bool>().prop_map(RotationField::KeepsSecret),
        1 => any::<bool>().prop_map(RotationField::Adopt),
        1 => any::<bool>().prop_map(RotationField::CreateBeforeDestroy),
    ]
}

fn config() -> impl Strategy<Value = Config> {
    let texts = (
        rather_first(&NAMES),
        rather_first(&SCOPES),
        rather_first(&DESCRIPTIONS),
        rather_first(&URLS),
        rather_first(&ACCOUNTS),
        prop_oneof![9 => rather_first(&TOKENS), 1 => Just(NO_TOKEN)],
        rather_first(&VERSIONS),
    );
    let config = (texts, prop::bool::weighted(0.3), prop::bool::weighted(0.2));
    config.prop_map(
        |((name, scope, description, url, account, token, version), adopt, create_before_destroy)| Config {
            name,
            scope,
            description,
            url,
            account,
            token,
            version,
            adopt,
            create_before_destroy,
            unique_name: 0,
        },
    )
}

fn field() -> impl Strategy<Value = Field> {
    prop_oneof![
        3 => index(&NAMES).prop_map(Field::Name),
        1 => index(&SCOPES).prop_map(Field::Scope),
        2 => index(&DESCRIPTIONS).prop_map(Field::Description),
        1 => index(&URLS).prop_map(Field::Url),
        1 => index(&ACCOUNTS).prop_map(Field::Account),
        4 => prop_oneof![3 => index(&TOKENS), 1 => Just(NO_TOKEN)].prop_map(Field::Token),
        2 => index(&VERSIONS).prop_map(Field::Version),
        1 => any::<bool>().prop_map(Field::Adopt),
        1 => any::<bool>().prop_map(Field::CreateBeforeDestroy),
    ]
}

fn run() -> impl Strategy<Value = Run> {
    let tokens = prop_oneof![
        8 => Just(Tokens::AsConfigured),
        1 => Just(Tokens::Unknown),
        1 => Just(Tokens::Others),
    ];
    let kind = prop_oneof![Just(Kind::Stop), Just(Kind::Kill)];
    let interrupt = (kind, 0..8_u8).prop_map(|(kind, after)| Interrupt { kind, after });
    let parts = (
        any::<bool>(),
        tokens,
        proptest::option::weighted(0.08, any_slot()),
        proptest::option::weighted(0.15, interrupt),
    );
    parts.prop_map(|(parallel, tokens, replace, interrupt)| Run { parallel, tokens, replace, interrupt })
}

fn edit() -> impl Strategy<Value = Edit> {
    let which = || 0..6_u8;
    prop_oneof![
        2 => (which(), index(&DESCRIPTIONS))
            .prop_map(|(which, description)| Edit::Describe { which, description }),
        2 => (which(), index(&NAMES)).prop_map(|(which, name)| Edit::Rename { which, name }),
        2 => (which(), rather_first(&URLS), rather_first(&ACCOUNTS), index(&TOKENS))
            .prop_map(|(which, url, account, token)| Edit::Credentials { which, url, account, token }),
        2 => which().prop_map(|which| Edit::Delete { which }),
        3 => (rather_first(&NAMES), rather_first(&SCOPES), rather_first(&URLS), rather_first(&ACCOUNTS))
            .prop_map(|(name, scope, url, account)| Edit::Make { name, scope, url, account }),
        3 => (any_slot(), rather_first(&URLS), rather_first(&ACCOUNTS))
            .prop_map(|(slot, url, account)| Edit::MakeWanted { slot, url, account }),
        1 => (rather_first(&NAMES), rather_first(&SCOPES))
            .prop_map(|(name, scope)| Edit::MakeOther { name, scope }),
        1 => (which(), any::<bool>()).prop_map(|(which, used)| Edit::Use { which, used }),
        2 => rotation_config().prop_map(|config| Edit::MakeRotation { config }),
        2 => (which(), rotation_config()).prop_map(|(which, config)| Edit::Reconfigure { which, config }),
        4 => which().prop_map(|which| Edit::Rotate { which }),
        2 => any::<(bool, bool)>().prop_map(|(create, delete)| Edit::Refuse { create, delete }),
        1 => any::<bool>().prop_map(|fails| Edit::FailToStore { fails }),
    ]
}

fn key() -> impl Strategy<Value = Key> {
    prop_oneof![Just(Key::Id), Just(Key::Name), Just(Key::Identity)]
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        1 => Just(Call::Login),
        1 => Just(Call::List),
        2 => Just(Call::Read),
        2 => Just(Call::Find),
        4 => Just(Call::Create),
        4 => Just(Call::Update),
        3 => Just(Call::Delete),
    ]
}

fn when() -> impl Strategy<Value = When> {
    prop_oneof![6 => Just(When::Before), 6 => Just(When::After), 1 => (2..60_u8).prop_map(When::Later)]
}

fn failure() -> impl Strategy<Value = Failure> {
    let any_status = prop::sample::select(vec![
        200, 400, 401, 403, 403, 404, 404, 404, 405, 408, 409, 413, 418, 425, 429, 499, 500, 502, 503, 504,
        520,
    ]);
    let foreign =
        prop::sample::select(vec![Body::Page, Body::Page, Body::Gateway, Body::Empty, Body::TooLarge]);
    prop_oneof![
        8 => (any_status, foreign, when())
            .prop_map(|(status, body, when)| Failure::Status { status, body, when }),
        // The KMS never performs a request that it refuses.
        2 => prop::sample::select(vec![400, 403, 409])
            .prop_map(|status| Failure::Status { status, body: Body::Kms, when: When::Before }),
        2 => (prop::sample::select(vec![500, 503]), prop_oneof![Just(When::Before), Just(When::After)])
            .prop_map(|(status, when)| Failure::Status { status, body: Body::Kms, when }),
        1 => when().prop_map(|when| Failure::Status { status: 500, body: Body::Quoting, when }),
        1 => prop::sample::select(vec![0, 1, 40, 200]).prop_map(|keep| Failure::Cut { keep }),
        1 => (prop::sample::select(vec![200, 403, 404, 500]), when())
            .prop_map(|(status, when)| Failure::Status { status, body: Body::Cut, when }),
        2 => when().prop_map(Failure::Reset),
        1 => when().prop_map(Failure::Close),
        1 => when().prop_map(Failure::Hang),
        1 => when().prop_map(Failure::Slow),
        1 => Just(Failure::TokenExpired),
        1 => prop::sample::select(vec![1, 60]).prop_map(|seconds| Failure::RateLimited { seconds }),
    ]
}

fn fault() -> impl Strategy<Value = Step> {
    let skip = prop_oneof![4 => Just(0), 1 => 1..3_u8];
    // From 3 on, no retry helps.
    let times = prop_oneof![5 => Just(1), 1 => Just(2), 2 => 3..6_u8];
    (any::<bool>(), call(), skip, times, failure()).prop_map(|(of_rotations, call, skip, times, failure)| {
        match of_rotations {
            false => Step::Fault { call, skip, times, failure },
            true => Step::RotationFault { call, skip, times, failure },
        }
    })
}

/// A change of the configuration.
fn change() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (slot(), config()).prop_map(|(slot, config)| Step::Write { slot, config }),
        12 => (slot(), field()).prop_map(|(slot, field)| Step::Set { slot, field }),
        3 => (rotation_slot(), rotation_config())
            .prop_map(|(slot, config)| Step::WriteRotation { slot, config }),
        12 => (rotation_slot(), rotation_field())
            .prop_map(|(slot, field)| Step::SetRotation { slot, field }),
        2 => any_slot().prop_map(|slot| Step::Remove { slot }),
        2 => (any_slot(), any_slot()).prop_map(|(one, other)| Step::Swap { one, other }),
    ]
}

/// An event outside of Terraform.
fn disturbance() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => fault(),
        6 => edit().prop_map(Step::Outside),
        1 => any_slot().prop_map(|slot| Step::Forget { slot }),
        1 => Just(Step::Expire),
        1 => (0..4_u8).prop_map(Step::Uses),
        1 => (0..6_u8).prop_map(Step::Lag),
        1 => Just(Step::Restart),
    ]
}

fn command() -> impl Strategy<Value = Step> {
    prop_oneof![
        14 => run().prop_map(Step::Apply),
        1 => Just(Step::Plan),
        1 => Just(Step::Refresh),
        3 => run().prop_map(Step::Destroy),
        2 => (any_slot(), 0..6_u8, key()).prop_map(|(slot, which, by)| Step::Import { slot, which, by }),
        1 => key().prop_map(|by| Step::ImportAll { by }),
    ]
}

/// A life: blocks, then rounds of changes, events and a command.
pub fn lives() -> impl Strategy<Value = Vec<Step>> {
    let first = prop_oneof![
        (slot(), config()).prop_map(|(slot, config)| Step::Write { slot, config }),
        (rotation_slot(), rotation_config()).prop_map(|(slot, config)| Step::WriteRotation { slot, config }),
    ];
    let first = collection::vec(first, 1..5);
    let round = (collection::vec(change(), 0..3), collection::vec(disturbance(), 0..3), command());
    let round = round.prop_map(|(changes, disturbances, command)| {
        changes.into_iter().chain(disturbances).chain([command]).collect::<Vec<_>>()
    });
    // Half of them begin with an undisturbed apply.
    let peace =
        any::<bool>().prop_map(|peace| if peace { vec![Step::Apply(Run::default())] } else { Vec::new() });
    (first, peace, collection::vec(round, 1..5))
        .prop_map(|(first, peace, rounds): (Vec<_>, _, _)| [first, peace, rounds.concat()].concat())
}
