//! The login methods: what each takes, and the login that follows.
//!
//! A method is a field of [`AuthConfig`] with its attributes, a row of [`METHODS`], and a function that builds the
//! login. Schema descriptions, error texts and the choice of a method follow from the row.

use std::path::PathBuf;

use super::{
    block::{AuthConfig, KubernetesConfig, ProviderConfig},
    source::{Setting, Source, is_secret_set, is_set},
};
use crate::{
    kms::{self, ServiceAccountToken},
    plugin::model::Field,
    secret::Secret,
};

const DEFAULT_SERVICE_ACCOUNT_TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

const CLIENT_ID: Setting = Setting::new("auth.universal.client_id", "KMS_UNIVERSAL_AUTH_CLIENT_ID");
const CLIENT_SECRET: Setting =
    Setting::new("auth.universal.client_secret", "KMS_UNIVERSAL_AUTH_CLIENT_SECRET");
const TOKEN: Setting = Setting::new("auth.token", "KMS_TOKEN");
const OIDC_IDENTITY_ID: Setting = Setting::new("auth.oidc.identity_id", IDENTITY_ID_VARIABLE);
const JWT_NAME: Setting =
    Setting::new("auth.oidc.token_environment_variable_name", "KMS_OIDC_AUTH_TOKEN_NAME");
const KUBERNETES_IDENTITY_ID: Setting = Setting::new("auth.kubernetes.identity_id", IDENTITY_ID_VARIABLE);
const SERVICE_ACCOUNT_TOKEN: Setting =
    Setting::new("auth.kubernetes.service_account_token", "KMS_KUBERNETES_SERVICE_ACCOUNT_TOKEN");
const SERVICE_ACCOUNT_TOKEN_PATH: Setting =
    Setting::new("auth.kubernetes.service_account_token_path", "KMS_KUBERNETES_SERVICE_ACCOUNT_TOKEN_PATH");
const AWS_IAM_IDENTITY_ID: Setting = Setting::new("auth.aws_iam.identity_id", IDENTITY_ID_VARIABLE);

/// Several methods take it, so it doesn't choose one.
const IDENTITY_ID_VARIABLE: &str = "KMS_MACHINE_IDENTITY_ID";
/// The JWT itself has no attribute: the block names a variable.
const DEFAULT_JWT_VARIABLE: &str = "KMS_AUTH_JWT";

/// A way to log in.
#[derive(Debug)]
pub struct Method {
    /// Its attribute in the provider block.
    pub attribute: &'static str,
    /// The deprecated attributes that configure it too.
    pub aliases: Option<&'static str>,
    /// Its settings.
    pub settings: &'static [Setting],
    /// The variables that it needs when the provider block doesn't mention it.
    pub required_variables: &'static [&'static str],
    /// Each of these variables chooses the method when the provider block doesn't choose one. Without any, only the
    /// block can choose it.
    pub choosing_variables: &'static [&'static str],
    /// Whether the provider block configures it.
    pub is_configured: fn(&ProviderConfig) -> bool,
    /// Builds the login, unless something is missing.
    pub login: fn(&mut Inputs<'_>) -> Option<kms::Auth>,
}

/// All methods, in the order in which messages list them.
pub static METHODS: &[Method] = &[
    Method {
        attribute: "auth.universal",
        aliases: Some("client_id and client_secret"),
        settings: &[CLIENT_ID, CLIENT_SECRET],
        required_variables: &[CLIENT_ID.variable, CLIENT_SECRET.variable],
        choosing_variables: &[CLIENT_ID.variable, CLIENT_SECRET.variable],
        is_configured: |config| {
            is_set(&config.client_id)
                || is_secret_set(&config.client_secret)
                || config.auth.known().is_some_and(|auth| auth.universal.known().is_some())
        },
        login: universal,
    },
    Method {
        attribute: "auth.token",
        aliases: None,
        settings: &[TOKEN],
        required_variables: &[TOKEN.variable],
        choosing_variables: &[TOKEN.variable],
        is_configured: |config| config.auth.known().is_some_and(|auth| is_secret_set(&auth.token)),
        login: token,
    },
    Method {
        attribute: "auth.oidc",
        aliases: None,
        settings: &[OIDC_IDENTITY_ID, JWT_NAME],
        required_variables: &[IDENTITY_ID_VARIABLE, DEFAULT_JWT_VARIABLE],
        choosing_variables: &[JWT_NAME.variable, DEFAULT_JWT_VARIABLE],
        is_configured: |config| config.auth.known().is_some_and(|auth| auth.oidc.known().is_some()),
        login: oidc,
    },
    Method {
        attribute: "auth.kubernetes",
        aliases: None,
        settings: &[KUBERNETES_IDENTITY_ID, SERVICE_ACCOUNT_TOKEN_PATH, SERVICE_ACCOUNT_TOKEN],
        required_variables: &[IDENTITY_ID_VARIABLE, SERVICE_ACCOUNT_TOKEN_PATH.variable],
        choosing_variables: &[SERVICE_ACCOUNT_TOKEN.variable, SERVICE_ACCOUNT_TOKEN_PATH.variable],
        is_configured: |config| config.auth.known().is_some_and(|auth| auth.kubernetes.known().is_some()),
        login: kubernetes,
    },
    Method {
        attribute: "auth.aws_iam",
        aliases: None,
        settings: &[AWS_IAM_IDENTITY_ID],
        required_variables: &[IDENTITY_ID_VARIABLE],
        choosing_variables: &[],
        is_configured: |config| config.auth.known().is_some_and(|auth| auth.aws_iam.known().is_some()),
        login: aws_iam,
    },
];

/// What a login is built from.
pub struct Inputs<'a> {
    config: &'a ProviderConfig,
    source: Source<'a>,
    missing: Vec<String>,
}

impl<'a> Inputs<'a> {
    pub fn new(config: &'a ProviderConfig, source: Source<'a>) -> Self {
        Self { config, source, missing: Vec::new() }
    }

    /// Where something was needed and not found, in words.
    pub fn into_missing(self) -> Vec<String> {
        self.missing
    }

    fn auth(&self) -> Option<&'a AuthConfig> {
        self.config.auth.known()
    }

    fn needed<T>(&mut self, value: Option<T>, place: impl FnOnce() -> String) -> Option<T> {
        if value.is_none() {
            self.missing.push(place());
        }
        value
    }

    fn text(&mut self, setting: &Setting, field: Option<&Field<String>>) -> Option<String> {
        let text = self.source.text(setting, field);
        self.needed(text, || format!("{} or {}", setting.attribute, setting.variable))
    }

    fn secret(&mut self, setting: &Setting, field: Option<&Field<Secret>>) -> Option<Secret> {
        let secret = self.source.secret(setting, field);
        self.needed(secret, || format!("{} or {}", setting.attribute, setting.variable))
    }
}

fn universal(inputs: &mut Inputs<'_>) -> Option<kms::Auth> {
    let (config, block) = (inputs.config, inputs.auth().and_then(|auth| auth.universal.known()));
    let id = block.map(|block| &block.client_id).filter(|id| is_set(id));
    let client_id = inputs.text(&CLIENT_ID, id.or(Some(&config.client_id)));
    let secret = block.map(|block| &block.client_secret).filter(|secret| is_secret_set(secret));
    let client_secret = inputs.secret(&CLIENT_SECRET, secret.or(Some(&config.client_secret)));
    Some(kms::Auth::Universal { client_id: client_id?, client_secret: client_secret? })
}

fn token(inputs: &mut Inputs<'_>) -> Option<kms::Auth> {
    let field = inputs.auth().map(|auth| &auth.token);
    inputs.secret(&TOKEN, field).map(kms::Auth::Token)
}

fn oidc(inputs: &mut Inputs<'_>) -> Option<kms::Auth> {
    let block = inputs.auth().and_then(|auth| auth.oidc.known());
    let identity_id = inputs.text(&OIDC_IDENTITY_ID, block.map(|block| &block.identity_id));
    let name = inputs.source.text(&JWT_NAME, block.map(|block| &block.token_environment_variable_name));
    let name = name.as_deref().unwrap_or(DEFAULT_JWT_VARIABLE);
    let jwt = inputs.source.variable(name).map(Secret::new);
    let jwt = inputs.needed(jwt, || format!("{name}, the variable that holds the JWT"));
    Some(kms::Auth::Oidc { identity_id: identity_id?, jwt: jwt? })
}

fn kubernetes(inputs: &mut Inputs<'_>) -> Option<kms::Auth> {
    let block = inputs.auth().and_then(|auth| auth.kubernetes.known());
    let identity_id = inputs.text(&KUBERNETES_IDENTITY_ID, block.map(|block| &block.identity_id));
    let service_account_token = service_account_token(block, &inputs.source);
    Some(kms::Auth::Kubernetes { identity_id: identity_id?, service_account_token })
}

/// The block takes precedence as a whole: a token in the environment does not replace a file that the block names.
fn service_account_token(block: Option<&KubernetesConfig>, source: &Source<'_>) -> ServiceAccountToken {
    let token = block.map(|block| &block.service_account_token).filter(|token| is_secret_set(token));
    let path = block.map(|block| &block.service_account_token_path).filter(|path| is_set(path));
    if let Some(token) = token.and_then(Field::known) {
        return ServiceAccountToken::Given(token.clone());
    }
    if let Some(path) = path.and_then(Field::as_str) {
        return ServiceAccountToken::File(PathBuf::from(path));
    }
    match source.variable(SERVICE_ACCOUNT_TOKEN.variable) {
        Some(token) => ServiceAccountToken::Given(Secret::new(token)),
        None => {
            let path = source.variable(SERVICE_ACCOUNT_TOKEN_PATH.variable);
            ServiceAccountToken::File(
                path.unwrap_or_else(|| DEFAULT_SERVICE_ACCOUNT_TOKEN_PATH.into()).into(),
            )
        }
    }
}

fn aws_iam(inputs: &mut Inputs<'_>) -> Option<kms::Auth> {
    let block = inputs.auth().and_then(|auth| auth.aws_iam.known());
    let identity_id = inputs.text(&AWS_IAM_IDENTITY_ID, block.map(|block| &block.identity_id));
    Some(kms::Auth::AwsIam { identity_id: identity_id? })
}
