//! The model of the resources, and that of a `kms_dbt_connection`: its configurations, the expected plans, and the agreement
//! of state and KMS. [`crate::rotation`] has that of a rotation.
//!
//! All values come from small tables, so that sequences are short to print and resources often compete.

use kms_emulator::{
    AppConnection, Credentials, Folder, LoggedRequest, OTHER_PROJECT_ID, PROJECT_ID, Rotation, fingerprint,
};
use terraform_provider_kms::plugin::value::Value;
use time::OffsetDateTime;

use crate::{
    calls::Object,
    core::{DBT_CONNECTION, get, text},
    host::object,
    rotation::{self, RotationConfig, scope_of},
    steps::FIRST_ROTATION,
};

pub const NAMES: [&str; 3] = ["analytics", "finance", "growth"];
pub const SCOPES: [Option<&str>; 3] = [None, Some(PROJECT_ID), Some(OTHER_PROJECT_ID)];
pub const DESCRIPTIONS: [Option<&str>; 4] =
    [None, Some(""), Some("Nightly runs"), Some("Größe \"in quotes\" \\ 100 %")];
/// The first and the last are equivalent.
pub const URLS: [&str; 3] = ["https://cloud.getdbt.com", "https://emea.dbt.com", "https://cloud.getdbt.com/"];
pub const ACCOUNTS: [&str; 2] = ["12345", "67890"];
pub const VERSIONS: [Option<&str>; 3] = [None, Some("1"), Some("2")];
/// Each has characters that JSON, URLs and base64 encode.
pub const TOKENS: [&str; 3] = [
    "dbtc_first/+Life\"s%20\\token~1234567890",
    "dbtu_second&Life=s <token>?é\u{1F511}0987654321",
    "dbtc_third\tLife's#token;{plain}:1122334455",
];

/// The number of a token that is not configured.
pub const NO_TOKEN: u8 = TOKENS.len() as u8;

/// The block of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    Connection(Config),
    Rotation(RotationConfig),
}

/// An object of the KMS.
#[derive(Clone, Debug)]
pub enum Kept {
    Connection(AppConnection, Credentials),
    Rotation(Rotation),
}

/// The block of a connection. Numbers are indexes into the tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Config {
    pub name: u8,
    pub scope: u8,
    pub description: u8,
    pub url: u8,
    pub account: u8,
    pub token: u8,
    pub version: u8,
    pub adopt: bool,
    pub create_before_destroy: bool,
    /// If not 0, a name that nothing else has, instead of one from the table. For settling.
    pub unique_name: u8,
}

/// A name and the scope in which it is unique: for a connection its project, for a rotation its folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub name: String,
    pub scope: Option<String>,
}

impl Place {
    pub fn of_state(state: &Value) -> Self {
        let owned = |name| text(state, name).map(str::to_owned);
        let mut scope = owned("project_id");
        if let (Some(project), Some(environment), Some(path)) =
            (&scope, text(state, "environment"), text(state, "secret_path"))
        {
            scope = Some(scope_of(&Folder::new(project, environment, path)));
        }
        Self { name: owned("name").unwrap_or_default(), scope }
    }

    /// Whether it is the place of a rotation.
    pub fn is_in_folder(&self) -> bool {
        self.scope.as_ref().is_some_and(|scope| scope.contains('/'))
    }
}

/// The token of a configuration as one walk sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    Known(u8),
    Absent,
    /// An ephemeral value that opens later.
    Unknown,
}

/// The credentials that the provider sent last: the model's equivalent of its private state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub token: u8,
    pub hash: String,
    /// Sent with a version. Then nothing of the token itself is kept.
    pub versioned: bool,
}

impl Block {
    pub fn place(&self) -> Place {
        match self {
            Self::Connection(config) => config.place(),
            Self::Rotation(config) => config.place(),
        }
    }

    pub fn connection(&self) -> Option<&Config> {
        match self {
            Self::Connection(config) => Some(config),
            Self::Rotation(_) => None,
        }
    }

    pub fn rotation(&self) -> Option<&RotationConfig> {
        match self {
            Self::Connection(_) => None,
            Self::Rotation(config) => Some(config),
        }
    }

    pub fn name_mut(&mut self) -> &mut u8 {
        match self {
            Self::Connection(config) => &mut config.name,
            Self::Rotation(config) => &mut config.name,
        }
    }

    /// Gives it a name that nothing else has.
    pub fn make_unique(&mut self, number: u8) {
        match self {
            Self::Connection(config) => config.unique_name = number,
            Self::Rotation(config) => config.unique_name = number,
        }
    }

    pub fn adopts(&self) -> bool {
        match self {
            Self::Connection(config) => config.adopt,
            Self::Rotation(config) => config.adopt,
        }
    }

    pub fn creates_before_destroy(&self) -> bool {
        match self {
            Self::Connection(config) => config.create_before_destroy,
            Self::Rotation(config) => config.create_before_destroy,
        }
    }

    /// The configured token. Rotations have none.
    pub fn token(&self) -> Token {
        match self.connection() {
            Some(config) if config.token != NO_TOKEN => Token::Known(config.token),
            _ => Token::Absent,
        }
    }

    /// Whether a plan must refuse this action, because it needs a token and there is none.
    pub fn lacks_token(&self, object: Option<&Object>, action: Action) -> bool {
        let Some(config) = self.connection().filter(|_| self.token() == Token::Absent) else { return false };
        matches!(action, Action::Create | Action::Replace)
            || object.is_some_and(|object| is_at_another_account(object, config))
    }

    pub fn value(&self, token: Token) -> Value {
        match self {
            Self::Connection(config) => config.value(token),
            Self::Rotation(config) => config.value(),
        }
    }

    /// Whether it may adopt an object.
    pub fn is_alike(&self, kept: &Kept) -> bool {
        kept.place() == self.place()
            && match (self, kept) {
                (Self::Connection(config), Kept::Connection(_, stored)) => {
                    stored.account_id == config.account() && is_same_url(&stored.instance_url, config.url())
                }
                (Self::Rotation(config), Kept::Rotation(rotation)) => {
                    rotation.connection_id == config.connection()
                }
                _ => false,
            }
    }

    /// The body that an update must send, with secrets as the emulator's log shows them.
    pub fn expected_patch(&self, object: &Object, token: Token) -> Body {
        match self {
            Self::Connection(config) => expected_patch(object, config, token),
            Self::Rotation(config) => config.patch(object),
        }
    }
}

impl Kept {
    pub fn id(&self) -> &str {
        match self {
            Self::Connection(connection, _) => &connection.id,
            Self::Rotation(rotation) => &rotation.id,
        }
    }

    pub fn place(&self) -> Place {
        match self {
            Self::Connection(one, _) => Place { name: one.name.clone(), scope: one.project_id.clone() },
            Self::Rotation(one) => Place { name: one.name.clone(), scope: Some(scope_of(&one.folder)) },
        }
    }

    /// Whether a resource is of its type.
    pub fn is_for(&self, slot: u8) -> bool {
        self.rotation().is_some() == (slot >= FIRST_ROTATION)
    }

    pub fn updated_at(&self) -> OffsetDateTime {
        match self {
            Self::Connection(connection, _) => connection.updated_at,
            Self::Rotation(rotation) => rotation.updated_at,
        }
    }

    /// Whether it can be imported.
    pub fn is_of_dbt(&self) -> bool {
        match self {
            Self::Connection(connection, _) => connection.app == "dbt",
            Self::Rotation(_) => true,
        }
    }

    pub fn is_in_use(&self) -> bool {
        match self {
            Self::Connection(connection, _) => connection.in_use,
            Self::Rotation(_) => false,
        }
    }

    pub fn connection(&self) -> Option<&AppConnection> {
        match self {
            Self::Connection(connection, _) => Some(connection),
            Self::Rotation(_) => None,
        }
    }

    pub fn rotation(&self) -> Option<&Rotation> {
        match self {
            Self::Connection(..) => None,
            Self::Rotation(rotation) => Some(rotation),
        }
    }

    /// The differences between a state and the KMS. `timestamp` is how the KMS shows a time.
    pub fn disagreements(&self, state: &Value, timestamp: impl Fn(OffsetDateTime) -> String) -> Vec<String> {
        match self {
            Self::Connection(connection, stored) => disagreements(state, connection, stored),
            Self::Rotation(rotation) => rotation::disagreements(state, rotation, timestamp),
        }
    }
}

impl Config {
    pub fn place(&self) -> Place {
        let name = match self.unique_name {
            0 => NAMES[usize::from(self.name)].to_owned(),
            number => format!("settled-{number}"),
        };
        Place { name, scope: SCOPES[usize::from(self.scope)].map(str::to_owned) }
    }

    pub fn url(&self) -> &'static str {
        URLS[usize::from(self.url)]
    }

    pub fn account(&self) -> &'static str {
        ACCOUNTS[usize::from(self.account)]
    }

    pub fn description(&self) -> Option<&'static str> {
        DESCRIPTIONS[usize::from(self.description)]
    }

    /// The version, which needs a token.
    pub fn version(&self) -> Option<&'static str> {
        VERSIONS[usize::from(self.version)].filter(|_| self.token != NO_TOKEN)
    }

    pub fn credentials(&self) -> Credentials {
        Credentials::new(self.url(), self.account(), TOKENS[usize::from(self.token)])
    }

    /// The block as core sends it.
    pub fn value(&self, token: Token) -> Value {
        let optional = |text: Option<&str>| text.map_or(Value::Null, Value::string);
        let token = match token {
            Token::Known(token) => Value::string(TOKENS[usize::from(token)]),
            Token::Unknown => Value::unknown(),
            Token::Absent => Value::Null,
        };
        let place = self.place();
        let attributes = [
            ("name", Value::string(place.name)),
            ("description", optional(self.description())),
            ("project_id", optional(place.scope.as_deref())),
            ("instance_url", Value::string(self.url())),
            ("account_id", Value::string(self.account())),
            ("api_token", token),
            ("api_token_version", optional(self.version())),
            ("adopt_existing", if self.adopt { Value::Bool(true) } else { Value::Null }),
        ];
        object(&DBT_CONNECTION.value_type, &attributes)
    }
}

/// The body of a request.
pub type Body = serde_json::Map<String, serde_json::Value>;

/// An action of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Nothing,
    Create,
    Update,
    Replace,
    Delete,
}

/// The action that a plan must have.
pub fn expected_action(object: Option<&Object>, block: &Block, token: Token) -> Action {
    let Some(object) = object else { return Action::Create };
    let config = match block {
        Block::Connection(config) => config,
        Block::Rotation(config) => return config.expected_action(object),
    };
    let wanted = config.value(token);
    if object.tainted || get(&object.state, "project_id") != get(&wanted, "project_id") {
        return Action::Replace;
    }
    let differs = |name: &&str| get(&object.state, name) != get(&wanted, name);
    let changes =
        ["name", "description", "instance_url", "account_id", "api_token_version", "adopt_existing"];
    if changes.iter().any(differs) || token_is_due(object, config, token) {
        Action::Update
    } else {
        Action::Nothing
    }
}

/// Whether the configuration names another dbt account, or another instance.
fn is_at_another_account(object: &Object, config: &Config) -> bool {
    let url = text(&object.state, "instance_url").unwrap_or_default();
    !is_same_url(url, config.url()) || text(&object.state, "account_id") != Some(config.account())
}

fn is_same_url(one: &str, other: &str) -> bool {
    one.trim_end_matches('/') == other.trim_end_matches('/')
}

/// Whether an update must send the token although no other field of the credentials changed.
pub fn token_is_due(object: &Object, config: &Config, token: Token) -> bool {
    if token == Token::Absent {
        return false;
    }
    let Some(sent) = &object.sent else { return true };
    let version = config.version();
    if version != text(&object.state, "api_token_version") {
        return true;
    }
    version.is_none()
        && (Some(sent.hash.as_str()) != text(&object.state, "credentials_hash")
            || sent.versioned
            || token != Token::Known(sent.token))
}

fn expected_patch(object: &Object, config: &Config, token: Token) -> Body {
    let wanted = config.value(token);
    let differs = |name: &str| get(&object.state, name) != get(&wanted, name);
    let mut body = Body::new();
    if differs("name") {
        body.insert("name".into(), config.place().name.into());
    }
    if differs("description") {
        body.insert("description".into(), config.description().into());
    }
    if is_at_another_account(object, config) || token_is_due(object, config, token) {
        body.insert("credentials".into(), shown_credentials(config));
    }
    body
}

/// Whether a request has this body.
pub fn body_is(write: &LoggedRequest, expected: &Body) -> bool {
    write.body.as_ref().and_then(serde_json::Value::as_object) == Some(expected)
}

/// Credentials as the emulator's log shows them.
pub fn shown_credentials(config: &Config) -> serde_json::Value {
    let credentials = config.credentials();
    serde_json::json!({
        "instanceUrl": credentials.instance_url,
        "accountId": credentials.account_id,
        "apiToken": fingerprint(&credentials.api_token),
    })
}

fn disagreements(state: &Value, connection: &AppConnection, stored: &Credentials) -> Vec<String> {
    let mut found = Vec::new();
    let mut compare = |name: &str, same: bool| {
        if !same {
            found.push(format!("{name} in state is not what the KMS has"));
        }
    };
    let is = |name: &str, actual: &str| text(state, name) == Some(actual);
    compare("id", is("id", &connection.id));
    compare("name", is("name", &connection.name));
    let description = text(state, "description").unwrap_or_default();
    compare("description", description == connection.description.as_deref().unwrap_or_default());
    compare("project_id", text(state, "project_id") == connection.project_id.as_deref());
    let url = text(state, "instance_url").unwrap_or_default();
    compare("instance_url", is_same_url(url, &stored.instance_url));
    compare("account_id", is("account_id", &stored.account_id));
    compare("credentials_hash", is("credentials_hash", &connection.credentials.hash()));
    let version =
        Value::Number(terraform_provider_kms::plugin::value::Number::Int(connection.version as i64));
    compare("version", get(state, "version") == &version);
    compare("org_id", is("org_id", &connection.org_id));
    found
}
