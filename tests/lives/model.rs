//! The model of a `kms_dbt_connection`: its configurations, the expected plans, and the agreement of state and KMS.
//!
//! All values come from small tables, so that sequences are short to print and resources often compete.

use terraform_provider_kms::plugin::value::Value;

use crate::{
    calls::Object,
    core::{DBT_CONNECTION, get, text},
    host::object,
    kms_emulator::{AppConnection, Credentials, OTHER_PROJECT_ID, PROJECT_ID, fingerprint},
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

/// The block of a resource. Numbers are indexes into the tables.
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

/// A name and the scope in which it is unique.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub name: String,
    pub scope: Option<String>,
}

impl Place {
    pub fn of(connection: &AppConnection) -> Self {
        Self { name: connection.name.clone(), scope: connection.project_id.clone() }
    }

    pub fn of_state(state: &Value) -> Self {
        let owned = |name| text(state, name).map(str::to_owned);
        Self { name: owned("name").unwrap_or_default(), scope: owned("project_id") }
    }
}

/// The token of a configuration as one walk sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    Known(u8),
    /// An ephemeral value that opens later.
    Unknown,
}

/// The credentials that the provider sent last: the model's equivalent of its private state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub token: u8,
    pub hash: String,
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

    pub fn credentials(&self) -> Credentials {
        Credentials::new(self.url(), self.account(), TOKENS[usize::from(self.token)])
    }

    /// The block as core sends it.
    pub fn value(&self, token: Token) -> Value {
        let optional = |text: Option<&str>| text.map_or(Value::Null, Value::string);
        let token = match token {
            Token::Known(token) => Value::string(TOKENS[usize::from(token)]),
            Token::Unknown => Value::unknown(),
        };
        let place = self.place();
        let attributes = [
            ("name", Value::string(place.name)),
            ("description", optional(self.description())),
            ("project_id", optional(place.scope.as_deref())),
            ("instance_url", Value::string(self.url())),
            ("account_id", Value::string(self.account())),
            ("api_token", token),
            ("api_token_version", optional(VERSIONS[usize::from(self.version)])),
            ("adopt_existing", if self.adopt { Value::Bool(true) } else { Value::Null }),
        ];
        object(&DBT_CONNECTION.value_type, &attributes)
    }
}

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
pub fn expected_action(object: Option<&Object>, config: Option<&Config>, token: Token) -> Action {
    let (object, config) = match (object, config) {
        (None, None) => return Action::Nothing,
        (None, Some(_)) => return Action::Create,
        (Some(_), None) => return Action::Delete,
        (Some(object), Some(config)) => (object, config),
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

/// Whether an update must send the token although no other field of the credentials changed.
pub fn token_is_due(object: &Object, config: &Config, token: Token) -> bool {
    let Some(sent) = &object.sent else { return true };
    let version = VERSIONS[usize::from(config.version)];
    if version != text(&object.state, "api_token_version") {
        return true;
    }
    version.is_none()
        && (Some(sent.hash.as_str()) != text(&object.state, "credentials_hash")
            || token != Token::Known(sent.token))
}

/// The body that an update must send, with secrets as the emulator's log shows them.
pub fn expected_patch(
    object: &Object,
    config: &Config,
    token: Token,
) -> serde_json::Map<String, serde_json::Value> {
    let wanted = config.value(token);
    let differs = |name: &str| get(&object.state, name) != get(&wanted, name);
    let mut body = serde_json::Map::new();
    if differs("name") {
        body.insert("name".into(), config.place().name.into());
    }
    if differs("description") {
        body.insert("description".into(), config.description().into());
    }
    if differs("instance_url") || differs("account_id") || token_is_due(object, config, token) {
        body.insert("credentials".into(), shown_credentials(config));
    }
    body
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

/// The differences between a state and the KMS.
pub fn disagreements(state: &Value, connection: &AppConnection, stored: &Credentials) -> Vec<String> {
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
    compare("instance_url", url.trim_end_matches('/') == stored.instance_url.trim_end_matches('/'));
    compare("account_id", is("account_id", &stored.account_id));
    compare("credentials_hash", is("credentials_hash", &connection.credentials.hash()));
    let version =
        Value::Number(terraform_provider_kms::plugin::value::Number::Int(connection.version as i64));
    compare("version", get(state, "version") == &version);
    compare("org_id", is("org_id", &connection.org_id));
    found
}
