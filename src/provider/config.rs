//! The provider block: what it says, what the environment adds, and the KMS client's configuration that follows.

use std::{path::PathBuf, time::Duration};

use super::rules;
use crate::{
    kms, model,
    plugin::{
        diagnostics::Diagnostics,
        model::Field,
        path::Path,
        schema::{StringRule, optional},
        value::Number,
    },
    secret::Secret,
};

const DEFAULT_HOST: &str = "https://app.kms.hanzo.ai";
const DEFAULT_JWT_VARIABLE: &str = "KMS_AUTH_JWT";
const DEFAULT_SERVICE_ACCOUNT_TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
const DEFAULT_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const DEFAULT_MAX_RETRIES: u32 = 8;
const DEFAULT_MAX_RETRY_WAIT: Duration = Duration::from_secs(600);
/// More repeats than this only hide a fault.
const MOST_RETRIES: u32 = 100;

model! {
    /// The provider block.
    pub struct ProviderConfig {
        /// Address of the KMS. A trailing `/`, `/api` or `/api/v1` is accepted. Default: `https://app.kms.hanzo.ai`.
        /// Environment: `KMS_HOST`.
        host: String = optional().rule(rules::host),
        /// How to log in: exactly one method. Without this block, the environment variables of one method decide.
        auth: AuthConfig = optional(),
        /// Client ID for Universal Auth.
        client_id: String = optional().sensitive().deprecated("Use auth.universal.client_id instead."),
        /// Client secret for Universal Auth.
        client_secret: Secret = optional().sensitive().deprecated("Use auth.universal.client_secret instead."),
        /// File with certificates (PEM) to trust besides the system's, for a KMS with a certificate of your own.
        /// Environment: `KMS_CA_CERTIFICATE_FILE`.
        ca_certificate_file: String = optional(),
        /// Certificates (PEM) to trust besides the system's. Conflicts with `ca_certificate_file`.
        ca_certificate_pem: String = optional(),
        /// Allows a `host` with `http://` that is not this very machine. Secrets then travel in plain text.
        /// Environment: `KMS_ALLOW_PLAIN_HTTP`.
        allow_plain_http: bool = optional(),
        /// Longest time for one HTTP request and its answer, such as `30s`. Default: `30s`.
        /// Environment: `KMS_REQUEST_TIMEOUT`.
        request_timeout: String = optional().rule(rules::positive_duration),
        /// How often a request is repeated after a fault, if it may be repeated safely: 0 to 100. Default: 8.
        /// Environment: `KMS_MAX_RETRIES`.
        max_retries: Number = optional(),
        /// Longest time that one operation waits for the server's rate limit, in all. Default: `10m`.
        /// Environment: `KMS_MAX_RETRY_WAIT`.
        max_retry_wait: String = optional().rule(rules::duration),
    }
}

model! {
    /// The login.
    pub struct AuthConfig {
        /// Log in with Universal Auth: a client ID and its secret.
        universal: UniversalConfig = optional(),
        /// Use this access token as it is. Environment: `KMS_TOKEN`.
        token: Secret = optional().sensitive(),
        /// Log in with a JWT of an OIDC provider, such as that of a CI system.
        oidc: OidcConfig = optional(),
        /// Log in with the token of a Kubernetes service account.
        kubernetes: KubernetesConfig = optional(),
        /// Slug of the sub-organization to log in to. Environment: `KMS_AUTH_ORGANIZATION_SLUG`.
        organization_slug: String = optional(),
    }
}

model! {
    /// Universal Auth.
    pub struct UniversalConfig {
        /// Client ID of the machine identity. Environment: `KMS_UNIVERSAL_AUTH_CLIENT_ID`.
        client_id: String = optional().sensitive(),
        /// Client secret of the machine identity. Environment: `KMS_UNIVERSAL_AUTH_CLIENT_SECRET`.
        client_secret: Secret = optional().sensitive(),
    }
}

model! {
    /// OIDC Auth.
    pub struct OidcConfig {
        /// ID of the machine identity. Environment: `KMS_MACHINE_IDENTITY_ID`.
        identity_id: String = optional(),
        /// Name of the environment variable that holds the JWT. Default: `KMS_AUTH_JWT`.
        /// Environment: `KMS_OIDC_AUTH_TOKEN_NAME`.
        token_environment_variable_name: String = optional(),
    }
}

model! {
    /// Kubernetes Auth.
    pub struct KubernetesConfig {
        /// ID of the machine identity. Environment: `KMS_MACHINE_IDENTITY_ID`.
        identity_id: String = optional(),
        /// File that holds the service account's token. It is read at each login.
        /// Default: `/var/run/secrets/kubernetes.io/serviceaccount/token`.
        /// Environment: `KMS_KUBERNETES_SERVICE_ACCOUNT_TOKEN_PATH`.
        service_account_token_path: String = optional(),
        /// The service account's token itself. Wins over the file, but one in the environment doesn't win over a file
        /// that is named here.
        /// Environment: `KMS_KUBERNETES_SERVICE_ACCOUNT_TOKEN`.
        service_account_token: Secret = optional().sensitive(),
    }
}

/// What follows from the provider block.
#[derive(Debug)]
pub enum Resolved {
    /// All that a client needs.
    Ready(Box<kms::Config>),
    /// The attributes whose values are known only after apply.
    Waiting(Vec<String>),
}

/// An environment to look variables up in.
pub type Environment = fn(&str) -> Option<String>;

/// Checks what concerns several attributes, without the environment: `terraform validate` runs where it isn't set. What
/// is unknown contradicts nothing yet: in validation, all variables are, those that stay null too.
pub fn validate(config: &ProviderConfig, diagnostics: &mut Diagnostics) {
    let methods = configured_methods(config);
    if methods.len() > 1 {
        let found = methods.iter().map(|method| method.place()).collect::<Vec<_>>().join(", ");
        diagnostics.error(Some(Path::attribute("auth")), "Several ways to log in", several_methods(&found));
    }
    if [&config.ca_certificate_file, &config.ca_certificate_pem].into_iter().all(set) {
        diagnostics.error(
            Some(Path::attribute("ca_certificate_pem")),
            "Certificates from two places",
            "\"ca_certificate_file\" and \"ca_certificate_pem\" are both set. Keep one of them.",
        );
    }
    if let Some(number) = config.max_retries.known()
        && let Err(problem) = retries(number.as_i64())
    {
        let detail = format!("\"max_retries\" {problem}");
        diagnostics.error(Some(Path::attribute("max_retries")), "Invalid max_retries", detail);
    }
    // Where the block doesn't say, the environment may allow it: that is seen when the provider is configured.
    if config.allow_plain_http.known() == Some(&false)
        && let Some(host) = config.host.as_str().and_then(|host| kms::Host::parse(host).ok())
    {
        refuse_plain_http(&host, diagnostics);
    }
}

/// The client's configuration, from the block first and the environment second.
///
/// # Errors
/// Something is missing, contradictory or malformed; the diagnostics say what was found where and what to set.
pub fn resolve(
    config: &ProviderConfig,
    environment: impl Fn(&str) -> Option<String>,
    user_agent: String,
) -> Result<Resolved, Diagnostics> {
    let unknown = unknown_attributes(config);
    if !unknown.is_empty() {
        return Ok(Resolved::Waiting(unknown));
    }
    let mut diagnostics = Diagnostics::new();
    validate(config, &mut diagnostics);
    let source = Source { environment };

    let host = source.host(config, &mut diagnostics);
    let auth = if diagnostics.has_errors() { None } else { source.auth(config, &mut diagnostics) };
    let request_timeout = source.duration(
        &config.request_timeout,
        ("request_timeout", "KMS_REQUEST_TIMEOUT"),
        (DEFAULT_REQUEST_TIMEOUT, rules::positive_duration),
        &mut diagnostics,
    );
    let max_retry_wait = source.duration(
        &config.max_retry_wait,
        ("max_retry_wait", "KMS_MAX_RETRY_WAIT"),
        (DEFAULT_MAX_RETRY_WAIT, rules::duration),
        &mut diagnostics,
    );
    let max_retries = source.retries(config, &mut diagnostics);
    let ca_certificate = source.ca_certificate(config, &mut diagnostics);
    let slug = config.auth.known().map(|auth| &auth.organization_slug);
    match (host, auth) {
        (Some(host), Some(auth)) if !diagnostics.has_errors() => Ok(Resolved::Ready(Box::new(kms::Config {
            host,
            auth,
            organization_slug: source.text(slug, "KMS_AUTH_ORGANIZATION_SLUG"),
            ca_certificate,
            request_timeout,
            max_retries,
            max_retry_wait,
            user_agent,
        }))),
        _ => Err(diagnostics),
    }
}

/// The ways to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Universal,
    Token,
    Oidc,
    Kubernetes,
}

impl Method {
    /// Where the block configures it.
    fn place(self) -> &'static str {
        match self {
            Self::Universal => "auth.universal (or client_id and client_secret)",
            Self::Token => "auth.token",
            Self::Oidc => "auth.oidc",
            Self::Kubernetes => "auth.kubernetes",
        }
    }
}

/// An empty text counts as not set, in the block as in the environment: `client_id = var.id` with a default of `""`
/// leaves it to the environment.
fn set(field: &Field<String>) -> bool {
    field.as_str().is_some_and(|text| !text.is_empty())
}

fn secret_set(field: &Field<Secret>) -> bool {
    field.known().is_some_and(|secret| !secret.is_empty())
}

fn configured_methods(config: &ProviderConfig) -> Vec<Method> {
    let auth = config.auth.known();
    let nested = |given: fn(&AuthConfig) -> bool| auth.is_some_and(given);
    [
        (
            Method::Universal,
            set(&config.client_id)
                || secret_set(&config.client_secret)
                || nested(|auth| auth.universal.known().is_some()),
        ),
        (Method::Token, nested(|auth| secret_set(&auth.token))),
        (Method::Oidc, nested(|auth| auth.oidc.known().is_some())),
        (Method::Kubernetes, nested(|auth| auth.kubernetes.known().is_some())),
    ]
    .into_iter()
    .filter_map(|(method, given)| given.then_some(method))
    .collect()
}

fn several_methods(found: &str) -> String {
    format!("More than one login method is configured: {found}. Keep exactly one of them.")
}

fn retries(number: Option<i64>) -> Result<u32, String> {
    match number.and_then(|number| u32::try_from(number).ok()).filter(|number| *number <= MOST_RETRIES) {
        Some(number) => Ok(number),
        None => Err(format!("must be a whole number from 0 to {MOST_RETRIES}.")),
    }
}

fn refuse_plain_http(host: &kms::Host, diagnostics: &mut Diagnostics) {
    if host.is_plain_http_beyond_loopback() {
        diagnostics.error(
            Some(Path::attribute("host")),
            "Plain HTTP",
            format!(
                "With the host {host}, access tokens and dbt tokens would travel in plain text. Use an https:// \
                 address. If the way there is safe by other means, set \"allow_plain_http\" to true (or \
                 KMS_ALLOW_PLAIN_HTTP)."
            ),
        );
    }
}

/// Every attribute whose value is not known yet.
fn unknown_attributes(config: &ProviderConfig) -> Vec<String> {
    use crate::plugin::{model::AttributeType as _, value::Value};
    fn walk(value: &Value, path: &Path, unknown: &mut Vec<String>) {
        match value {
            Value::Unknown(_) => unknown.push(path.to_string()),
            Value::Map(attributes) => {
                attributes.iter().for_each(|(name, value)| walk(value, &path.and(name), unknown));
            }
            _ => {}
        }
    }
    let mut unknown = Vec::new();
    walk(&config.clone().into_value(), &Path::root(), &mut unknown);
    unknown
}

/// Looks values up: in the block first, in the environment second.
struct Source<E> {
    environment: E,
}

impl<E: Fn(&str) -> Option<String>> Source<E> {
    fn variable(&self, name: &str) -> Option<String> {
        (self.environment)(name).filter(|value| !value.is_empty())
    }

    fn text(&self, field: Option<&Field<String>>, variable: &str) -> Option<String> {
        let configured = field.and_then(Field::known).filter(|text| !text.is_empty()).cloned();
        configured.or_else(|| self.variable(variable))
    }

    fn secret(&self, field: Option<&Field<Secret>>, variable: &str) -> Option<Secret> {
        let configured = field.and_then(Field::known).filter(|secret| !secret.is_empty()).cloned();
        configured.or_else(|| self.variable(variable).map(Secret::new))
    }

    fn host(&self, config: &ProviderConfig, diagnostics: &mut Diagnostics) -> Option<kms::Host> {
        let text = self.text(Some(&config.host), "KMS_HOST").unwrap_or_else(|| DEFAULT_HOST.to_owned());
        let host = match kms::Host::parse(&text) {
            Ok(host) => host,
            Err(error) => {
                let name = if set(&config.host) { "\"host\"" } else { "The variable KMS_HOST" };
                let detail = format!("{name} {}", rules::host_problem(error));
                diagnostics.error(Some(Path::attribute("host")), "Invalid host", detail);
                return None;
            }
        };
        let allowed = match config.allow_plain_http.known() {
            Some(allowed) => *allowed,
            None => match self.variable("KMS_ALLOW_PLAIN_HTTP").as_deref() {
                None | Some("false" | "0") => false,
                Some("true" | "1") => true,
                Some(_) => {
                    let detail = "The variable KMS_ALLOW_PLAIN_HTTP must be \"true\" or \"false\".";
                    diagnostics.error(None, "Invalid environment variable", detail);
                    return None;
                }
            },
        };
        // Validation has said it already if both stand in the block.
        let said = set(&config.host) && config.allow_plain_http.known() == Some(&false);
        if !allowed && !said {
            refuse_plain_http(&host, diagnostics);
        }
        Some(host)
    }

    fn auth(&self, config: &ProviderConfig, diagnostics: &mut Diagnostics) -> Option<kms::Auth> {
        let method = match configured_methods(config).first() {
            Some(method) => *method,
            None => self.method_of_environment(diagnostics)?,
        };
        let auth = config.auth.known();
        let mut missing = Vec::new();
        let result = match method {
            Method::Universal => {
                let universal = auth.and_then(|auth| auth.universal.known());
                let id = universal.map(|universal| &universal.client_id).filter(|id| set(id));
                let id = self.text(id.or(Some(&config.client_id)), "KMS_UNIVERSAL_AUTH_CLIENT_ID");
                let secret = universal.map(|universal| &universal.client_secret).filter(|s| secret_set(s));
                let secret = secret.or(Some(&config.client_secret));
                let secret = self.secret(secret, "KMS_UNIVERSAL_AUTH_CLIENT_SECRET");
                require(&id, "auth.universal.client_id or KMS_UNIVERSAL_AUTH_CLIENT_ID", &mut missing);
                let place = "auth.universal.client_secret or KMS_UNIVERSAL_AUTH_CLIENT_SECRET";
                require(&secret, place, &mut missing);
                id.zip(secret)
                    .map(|(client_id, client_secret)| kms::Auth::Universal { client_id, client_secret })
            }
            Method::Token => self.secret(auth.map(|auth| &auth.token), "KMS_TOKEN").map(kms::Auth::Token),
            Method::Oidc => {
                let oidc = auth.and_then(|auth| auth.oidc.known());
                let id = self.text(oidc.map(|oidc| &oidc.identity_id), "KMS_MACHINE_IDENTITY_ID");
                let name = oidc.map(|oidc| &oidc.token_environment_variable_name);
                let name = self.text(name, "KMS_OIDC_AUTH_TOKEN_NAME");
                let name = name.as_deref().unwrap_or(DEFAULT_JWT_VARIABLE);
                let jwt = self.variable(name).map(Secret::new);
                require(&id, "auth.oidc.identity_id or KMS_MACHINE_IDENTITY_ID", &mut missing);
                require(&jwt, &format!("{name}, the variable that holds the JWT"), &mut missing);
                id.zip(jwt).map(|(identity_id, jwt)| kms::Auth::Oidc { identity_id, jwt })
            }
            Method::Kubernetes => {
                let kubernetes = auth.and_then(|auth| auth.kubernetes.known());
                let id = self.text(kubernetes.map(|k| &k.identity_id), "KMS_MACHINE_IDENTITY_ID");
                require(&id, "auth.kubernetes.identity_id or KMS_MACHINE_IDENTITY_ID", &mut missing);
                let service_account_token = self.service_account_token(kubernetes);
                id.map(|identity_id| kms::Auth::Kubernetes { identity_id, service_account_token })
            }
        };
        if !missing.is_empty() {
            let detail = format!(
                "For {}, nothing was found in: {}. Set each, in the provider block or in the environment.",
                method.place(),
                missing.join("; ")
            );
            diagnostics.error(Some(Path::attribute("auth")), "Incomplete login", detail);
        }
        result
    }

    /// What stands in the block wins as a whole: a file named there is not overruled by a token in the environment.
    fn service_account_token(&self, kubernetes: Option<&KubernetesConfig>) -> kms::ServiceAccountToken {
        use kms::ServiceAccountToken::{File, Given};
        let token = kubernetes.map(|k| &k.service_account_token).filter(|token| secret_set(token));
        let path = kubernetes.map(|k| &k.service_account_token_path).filter(|path| set(path));
        if let Some(token) = token.and_then(Field::known) {
            return Given(token.clone());
        }
        if let Some(path) = path.and_then(Field::as_str) {
            return File(PathBuf::from(path));
        }
        match self.variable("KMS_KUBERNETES_SERVICE_ACCOUNT_TOKEN") {
            Some(token) => Given(Secret::new(token)),
            None => File(PathBuf::from(
                self.variable("KMS_KUBERNETES_SERVICE_ACCOUNT_TOKEN_PATH")
                    .unwrap_or_else(|| DEFAULT_SERVICE_ACCOUNT_TOKEN_PATH.to_owned()),
            )),
        }
    }

    /// The method that the environment alone configures. The ID of a machine identity is none: it serves several.
    fn method_of_environment(&self, diagnostics: &mut Diagnostics) -> Option<Method> {
        let first = |names: &[&'static str]| names.iter().find(|name| self.variable(name).is_some()).copied();
        let identity = self.variable("KMS_MACHINE_IDENTITY_ID").is_some();
        let with_identity = |names| first(names).filter(|_| identity);
        let found: Vec<(Method, &str)> = [
            (Method::Universal, first(&["KMS_UNIVERSAL_AUTH_CLIENT_ID", "KMS_UNIVERSAL_AUTH_CLIENT_SECRET"])),
            (Method::Token, first(&["KMS_TOKEN"])),
            (Method::Oidc, with_identity(&["KMS_OIDC_AUTH_TOKEN_NAME", DEFAULT_JWT_VARIABLE])),
            (
                Method::Kubernetes,
                with_identity(&[
                    "KMS_KUBERNETES_SERVICE_ACCOUNT_TOKEN",
                    "KMS_KUBERNETES_SERVICE_ACCOUNT_TOKEN_PATH",
                ]),
            ),
        ]
        .into_iter()
        .filter_map(|(method, variable)| Some((method, variable?)))
        .collect();
        let auth = Some(Path::attribute("auth"));
        match found.as_slice() {
            [(method, _)] => return Some(*method),
            [] => {
                let found = if identity {
                    "Only KMS_MACHINE_IDENTITY_ID was found, which doesn't say which method to use it with. "
                } else {
                    "Nothing was found, neither in the provider block nor in the environment. "
                };
                let detail = format!(
                    "{found}Set one of:\n\n  \
                     auth.universal, or KMS_UNIVERSAL_AUTH_CLIENT_ID and KMS_UNIVERSAL_AUTH_CLIENT_SECRET\n  \
                     auth.token, or KMS_TOKEN\n  \
                     auth.oidc, or KMS_MACHINE_IDENTITY_ID and KMS_AUTH_JWT\n  \
                     auth.kubernetes, or KMS_MACHINE_IDENTITY_ID and KMS_KUBERNETES_SERVICE_ACCOUNT_TOKEN_PATH"
                );
                diagnostics.error(auth, "No way to log in", detail);
            }
            several => {
                let found = several.iter().map(|(_, variable)| *variable).collect::<Vec<_>>().join(", ");
                let detail = format!(
                    "{} Or say in the provider block which one to use.",
                    several_methods(&format!("by the environment variables {found}"))
                );
                diagnostics.error(auth, "Several ways to log in", detail);
            }
        }
        None
    }

    fn ca_certificate(
        &self,
        config: &ProviderConfig,
        diagnostics: &mut Diagnostics,
    ) -> Option<kms::CaCertificate> {
        if let Some(pem) = config.ca_certificate_pem.as_str().filter(|pem| !pem.is_empty()) {
            return Some(kms::CaCertificate::Pem(pem.as_bytes().to_vec()));
        }
        let file = self.text(Some(&config.ca_certificate_file), "KMS_CA_CERTIFICATE_FILE")?;
        // It is read at the first call. That it can be read is worth knowing before, while the block can be blamed.
        if let Err(error) = std::fs::File::open(&file) {
            let name = if set(&config.ca_certificate_file) {
                "\"ca_certificate_file\""
            } else {
                "The variable KMS_CA_CERTIFICATE_FILE"
            };
            let detail = format!("{name} names {file}, which can't be read: {error}.");
            diagnostics.error(Some(Path::attribute("ca_certificate_file")), "Certificate file", detail);
        }
        Some(kms::CaCertificate::File(PathBuf::from(file)))
    }

    fn duration(
        &self,
        field: &Field<String>,
        (attribute, variable): (&str, &str),
        (default, rule): (Duration, StringRule),
        diagnostics: &mut Diagnostics,
    ) -> Duration {
        let Some(text) = self.text(Some(field), variable) else { return default };
        match rule(&text).and_then(|()| rules::parse_duration(&text)) {
            Ok(duration) => duration,
            Err(problem) => {
                let name =
                    if set(field) { format!("\"{attribute}\"") } else { format!("The variable {variable}") };
                let summary = format!("Invalid {attribute}");
                diagnostics.error(Some(Path::attribute(attribute)), summary, format!("{name} {problem}"));
                default
            }
        }
    }

    fn retries(&self, config: &ProviderConfig, diagnostics: &mut Diagnostics) -> u32 {
        if let Some(number) = config.max_retries.known() {
            return retries(number.as_i64()).unwrap_or(DEFAULT_MAX_RETRIES);
        }
        let Some(text) = self.variable("KMS_MAX_RETRIES") else { return DEFAULT_MAX_RETRIES };
        retries(text.parse().ok()).unwrap_or_else(|problem| {
            let detail = format!("The variable KMS_MAX_RETRIES {problem}");
            diagnostics.error(Some(Path::attribute("max_retries")), "Invalid max_retries", detail);
            DEFAULT_MAX_RETRIES
        })
    }
}

fn require<T>(value: &Option<T>, place: &str, missing: &mut Vec<String>) {
    if value.is_none() {
        missing.push(place.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Resolves with an environment of these variables.
    fn resolve_with(config: &ProviderConfig, variables: &[(&str, &str)]) -> Result<Resolved, Vec<String>> {
        let variables: Vec<(String, String)> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let environment =
            move |name: &str| variables.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
        resolve(config, environment, "agent".into()).map_err(|errors| {
            errors.iter().map(|error| format!("{}: {}", error.summary, error.detail)).collect()
        })
    }

    fn ready(config: &ProviderConfig, variables: &[(&str, &str)]) -> kms::Config {
        match resolve_with(config, variables) {
            Ok(Resolved::Ready(config)) => *config,
            other => panic!("{other:?}"),
        }
    }

    fn error(config: &ProviderConfig, variables: &[(&str, &str)]) -> String {
        match resolve_with(config, variables) {
            Err(errors) => {
                assert_eq!(errors.len(), 1, "{errors:?}");
                errors[0].clone()
            }
            other => panic!("{other:?}"),
        }
    }

    fn known<T>(value: T) -> Field<T> {
        Field::Known(value)
    }

    fn text(value: &str) -> Field<String> {
        known(value.to_owned())
    }

    fn with_auth(auth: AuthConfig) -> ProviderConfig {
        ProviderConfig { auth: known(auth), ..ProviderConfig::default() }
    }

    fn with_token() -> ProviderConfig {
        with_auth(AuthConfig { token: known(Secret::new("t")), ..AuthConfig::default() })
    }

    const UNIVERSAL: [(&str, &str); 2] =
        [("KMS_UNIVERSAL_AUTH_CLIENT_ID", "env-id"), ("KMS_UNIVERSAL_AUTH_CLIENT_SECRET", "env-secret")];

    /// The method that was chosen and the plain texts in it.
    fn chosen(auth: &kms::Auth) -> String {
        use kms::ServiceAccountToken::{File, Given};
        match auth {
            kms::Auth::Universal { client_id, client_secret } => {
                format!("universal {client_id} {}", client_secret.expose())
            }
            kms::Auth::Token(token) => format!("token {}", token.expose()),
            kms::Auth::Oidc { identity_id, jwt } => format!("oidc {identity_id} {}", jwt.expose()),
            kms::Auth::Kubernetes { identity_id, service_account_token } => match service_account_token {
                Given(token) => format!("kubernetes {identity_id} {}", token.expose()),
                File(path) => format!("kubernetes {identity_id} {}", path.display()),
            },
        }
    }

    #[test]
    fn the_block_wins_over_the_environment_and_the_environment_fills_gaps() {
        let universal = |id: &str, secret: &str| {
            with_auth(AuthConfig {
                universal: known(UniversalConfig {
                    client_id: text(id),
                    client_secret: known(Secret::new(secret)),
                }),
                ..AuthConfig::default()
            })
        };
        let top_level = ProviderConfig {
            client_id: text("top-id"),
            client_secret: known(Secret::new("top-secret")),
            ..ProviderConfig::default()
        };
        let oidc = |name: Field<String>| {
            with_auth(AuthConfig {
                oidc: known(OidcConfig { identity_id: Field::Null, token_environment_variable_name: name }),
                ..AuthConfig::default()
            })
        };
        let kubernetes = |path: Field<String>, token: Field<Secret>| {
            with_auth(AuthConfig {
                kubernetes: known(KubernetesConfig {
                    identity_id: text("id"),
                    service_account_token_path: path,
                    service_account_token: token,
                }),
                ..AuthConfig::default()
            })
        };
        let nothing = ProviderConfig::default();
        let jwt = [("KMS_MACHINE_IDENTITY_ID", "m"), ("KMS_AUTH_JWT", "j"), ("OTHER_JWT", "o")];
        let pod = [("KMS_KUBERNETES_SERVICE_ACCOUNT_TOKEN", "env-token"), ("KMS_MACHINE_IDENTITY_ID", "m")];
        type Case<'a> = (&'a str, &'a ProviderConfig, &'a [(&'a str, &'a str)]);
        let cases: Vec<Case<'_>> = vec![
            ("universal env-id env-secret", &nothing, &UNIVERSAL),
            ("token t", &nothing, &[("KMS_TOKEN", "t")]),
            ("oidc m j", &nothing, &jwt),
            ("kubernetes m env-token", &nothing, &pod),
        ];
        for (expected, config, variables) in cases {
            assert_eq!(chosen(&ready(config, variables).auth), expected);
        }
        let both = [UNIVERSAL[0], UNIVERSAL[1], ("KMS_TOKEN", "env-token")];
        assert_eq!(chosen(&ready(&universal("id", "secret"), &both).auth), "universal id secret");
        assert_eq!(chosen(&ready(&universal("", ""), &both).auth), "universal env-id env-secret");
        assert_eq!(chosen(&ready(&with_token(), &both).auth), "token t");
        assert_eq!(chosen(&ready(&top_level, &both).auth), "universal top-id top-secret");
        assert_eq!(chosen(&ready(&oidc(Field::Null), &jwt).auth), "oidc m j");
        assert_eq!(chosen(&ready(&oidc(text("OTHER_JWT")), &jwt).auth), "oidc m o");
        assert_eq!(
            chosen(&ready(&kubernetes(Field::Null, Field::Null), &[]).auth),
            format!("kubernetes id {DEFAULT_SERVICE_ACCOUNT_TOKEN_PATH}")
        );
        // A file that the block names is not overruled by a token in the environment.
        assert_eq!(
            chosen(&ready(&kubernetes(text("/token"), Field::Null), &pod).auth),
            "kubernetes id /token"
        );
        assert_eq!(
            chosen(&ready(&kubernetes(text("/token"), known(Secret::new("given"))), &pod).auth),
            "kubernetes id given"
        );
    }

    #[test]
    fn several_methods_or_none_are_told_with_where_they_were_found() {
        let nothing = ProviderConfig::default();
        let none = error(&nothing, &[]);
        assert!(none.contains("Nothing was found") && none.contains("KMS_TOKEN"), "{none}");
        let only_identity = error(&nothing, &[("KMS_MACHINE_IDENTITY_ID", "m")]);
        assert!(only_identity.contains("Only KMS_MACHINE_IDENTITY_ID"), "{only_identity}");
        let environment = error(&nothing, &[UNIVERSAL[0], UNIVERSAL[1], ("KMS_TOKEN", "t")]);
        assert!(environment.contains("KMS_UNIVERSAL_AUTH_CLIENT_ID, KMS_TOKEN"), "{environment}");
        let block = ProviderConfig { client_id: text("id"), ..with_token() };
        let block = error(&block, &[]);
        assert!(block.contains("auth.universal") && block.contains("auth.token"), "{block}");
        let half = error(&nothing, &[UNIVERSAL[0]]);
        assert!(half.contains("KMS_UNIVERSAL_AUTH_CLIENT_SECRET"), "{half}");
        assert!(!half.contains("env-id"), "{half}");
    }

    #[test]
    fn the_host_has_a_default_and_never_sends_secrets_in_plain_text_unasked() {
        let host =
            |config: &ProviderConfig, variables: &[(&str, &str)]| ready(config, variables).host.to_string();
        assert_eq!(host(&with_token(), &[]), DEFAULT_HOST);
        assert_eq!(host(&with_token(), &[("KMS_HOST", "https://a.example/api/")]), "https://a.example");
        let set_host = |url: &str, allowed: Field<bool>| ProviderConfig {
            host: text(url),
            allow_plain_http: allowed,
            ..with_token()
        };
        let environment = [("KMS_HOST", "https://a.example"), ("KMS_ALLOW_PLAIN_HTTP", "true")];
        assert_eq!(host(&set_host("https://b.example", Field::Null), &environment), "https://b.example");
        assert_eq!(host(&set_host("http://b.example", Field::Null), &environment), "http://b.example");
        assert_eq!(host(&set_host("http://b.example", known(true)), &[]), "http://b.example");
        assert_eq!(host(&set_host("http://127.0.0.1:8080", Field::Null), &[]), "http://127.0.0.1:8080");
        for allowed in [Field::Null, known(false)] {
            let refused = error(&set_host("http://b.example", allowed), &[]);
            assert!(refused.starts_with("Plain HTTP: "), "{refused}");
        }
        let refused = error(&set_host("http://b.example", known(false)), &environment);
        assert!(refused.starts_with("Plain HTTP: "), "{refused}");
        let typo = error(&with_token(), &[("KMS_ALLOW_PLAIN_HTTP", "yes")]);
        assert!(typo.contains("KMS_ALLOW_PLAIN_HTTP"), "{typo}");
        let no_url = error(&with_token(), &[("KMS_HOST", "kms.example.com")]);
        assert!(no_url.contains("The variable KMS_HOST must be"), "{no_url}");
    }

    #[test]
    fn limits_come_from_the_block_the_environment_or_the_defaults() {
        let config = ready(&with_token(), &[]);
        assert_eq!(config.request_timeout, Duration::from_secs(30));
        assert_eq!((config.max_retries, config.max_retry_wait), (8, Duration::from_secs(600)));
        let variables =
            [("KMS_REQUEST_TIMEOUT", "5s"), ("KMS_MAX_RETRIES", "2"), ("KMS_MAX_RETRY_WAIT", "1m30s")];
        let config = ready(&with_token(), &variables);
        assert_eq!(config.request_timeout, Duration::from_secs(5));
        assert_eq!((config.max_retries, config.max_retry_wait), (2, Duration::from_secs(90)));
        let block = ProviderConfig {
            request_timeout: text("500ms"),
            max_retries: known(Number::Int(0)),
            max_retry_wait: text("0s"),
            ..with_token()
        };
        let config = ready(&block, &variables);
        assert_eq!(config.request_timeout, Duration::from_millis(500));
        assert_eq!((config.max_retries, config.max_retry_wait), (0, Duration::ZERO));
        for (name, value) in
            [("KMS_REQUEST_TIMEOUT", "0s"), ("KMS_MAX_RETRIES", "2.5"), ("KMS_MAX_RETRY_WAIT", "soon")]
        {
            let error = error(&with_token(), &[(name, value)]);
            assert!(error.contains(&format!("The variable {name} must")), "{error}");
        }
        for number in [Number::Int(-1), Number::Int(101), Number::Decimal("2.5".into())] {
            let error = error(&ProviderConfig { max_retries: known(number), ..with_token() }, &[]);
            assert!(error.contains("whole number from 0 to 100"), "{error}");
        }
    }

    #[test]
    fn certificates_come_from_one_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let (block_file, env_file, missing) = (path("block.pem"), path("env.pem"), path("missing.pem"));
        for file in [&block_file, &env_file] {
            std::fs::write(file, "PEM").unwrap();
        }
        let with_file = |file: &str| ProviderConfig { ca_certificate_file: text(file), ..with_token() };
        let both = ProviderConfig { ca_certificate_pem: text("PEM"), ..with_file(&block_file) };
        assert!(error(&both, &[]).starts_with("Certificates from two places"));
        for (file, pem) in [("", ""), (block_file.as_str(), ""), ("", "PEM")] {
            let block = ProviderConfig { ca_certificate_pem: text(pem), ..with_file(file) };
            let mut diagnostics = Diagnostics::new();
            validate(&block, &mut diagnostics);
            assert!(!diagnostics.has_errors(), "{file:?} and {pem:?}: an empty text counts as not set");
        }
        let variables = [("KMS_CA_CERTIFICATE_FILE", env_file.as_str())];
        let file = |path: &str| Some(kms::CaCertificate::File(PathBuf::from(path)));
        assert_eq!(ready(&with_token(), &[]).ca_certificate, None);
        assert_eq!(ready(&with_token(), &variables).ca_certificate, file(&env_file));
        assert_eq!(ready(&with_file(&block_file), &variables).ca_certificate, file(&block_file));
        let block = ProviderConfig { ca_certificate_pem: text("PEM"), ..with_token() };
        assert_eq!(ready(&block, &variables).ca_certificate, Some(kms::CaCertificate::Pem(b"PEM".to_vec())));
        let unreadable = error(&with_file(&missing), &[]);
        assert!(unreadable.contains("\"ca_certificate_file\" names"), "{unreadable}");
        let unreadable = error(&with_token(), &[("KMS_CA_CERTIFICATE_FILE", missing.as_str())]);
        assert!(unreadable.contains("The variable KMS_CA_CERTIFICATE_FILE names"), "{unreadable}");
    }

    #[test]
    fn the_organization_slug_goes_along() {
        let slug =
            |config: &ProviderConfig, variables: &[(&str, &str)]| ready(config, variables).organization_slug;
        let variables = [("KMS_AUTH_ORGANIZATION_SLUG", "env")];
        assert_eq!(slug(&with_token(), &[]), None);
        assert_eq!(slug(&with_token(), &variables).as_deref(), Some("env"));
        let block = with_auth(AuthConfig {
            token: known(Secret::new("t")),
            organization_slug: text("block"),
            ..AuthConfig::default()
        });
        assert_eq!(slug(&block, &variables).as_deref(), Some("block"));
    }

    #[test]
    fn unknown_values_wait_and_are_named() {
        let config = ProviderConfig {
            host: Field::unknown(),
            auth: known(AuthConfig { token: Field::unknown(), ..AuthConfig::default() }),
            ..ProviderConfig::default()
        };
        match resolve_with(&config, &[]) {
            Ok(Resolved::Waiting(unknown)) => assert_eq!(unknown, ["auth.token", "host"]),
            other => panic!("{other:?}"),
        }
    }
}
