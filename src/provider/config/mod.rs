//! The provider block: what it says, what the environment adds, and the KMS client's configuration that follows.
//!
//! ```text
//! block     the attributes
//! methods   the table of login methods
//! login     which method is configured, and the login that follows
//! headers   the headers for gateways in front of the KMS
//! host      the KMS's address and the certificates to trust
//! limits    time limits and repeats
//! source    the block first, the environment second
//! ```

mod block;
mod headers;
mod host;
mod limits;
mod login;
mod methods;
mod source;

pub use self::block::ProviderConfig;
use self::{
    block::{ORGANIZATION_SLUG, SETTINGS},
    login::Login,
    methods::METHODS,
    source::{Setting, Source},
};
use crate::{
    kms,
    plugin::{
        diagnostics::Diagnostics,
        model::{AttributeType as _, Model as _},
        path::Path,
        schema::{Attribute, Kind, Schema},
        value::Value,
    },
    provider::messages::settings,
};

/// What follows from the provider block.
#[derive(Debug)]
pub enum Resolved {
    /// All that a client needs.
    Ready(Box<kms::Config>),
    /// The attributes whose values are known only after apply.
    Waiting(Vec<String>),
    /// No login, or one without all its values: the error of whatever needs the KMS. A configuration that
    /// needs nothing of it is fine without.
    NoCredentials(Diagnostics),
}

/// An environment to look variables up in.
pub type Environment = fn(&str) -> Option<String>;

/// The schema of the provider block. Attributes that an environment variable can set name it in their descriptions.
pub fn schema(description: &str) -> Schema {
    let mut schema = ProviderConfig::schema(description);
    for setting in settings() {
        if let Some(attribute) = attribute_at(&mut schema.attributes, setting.attribute) {
            attribute.description += &format!("\nEnvironment: `{}`.", setting.variable);
        }
    }
    schema
}

fn settings() -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().chain(METHODS.iter().flat_map(|method| method.settings))
}

/// The attribute with this path, whose parts are joined by dots.
fn attribute_at<'a>(attributes: &'a mut [Attribute], path: &str) -> Option<&'a mut Attribute> {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let attribute = attributes.iter_mut().find(|attribute| attribute.name == name)?;
    let Some(rest) = rest else { return Some(attribute) };
    match &mut attribute.kind {
        Kind::Nested(_, nested) => attribute_at(nested, rest),
        Kind::Plain(_) => None,
    }
}

/// What `--help` prints: the login methods, and the other environment variables.
pub fn help() -> String {
    let variables: Vec<&str> = SETTINGS.iter().map(|setting| setting.variable).collect();
    settings::help(&login::instructions("    "), &variables)
}

/// Checks what concerns several attributes, without the environment: `terraform validate` runs where it isn't set. What
/// is unknown contradicts nothing yet: in validation, all variables are, those that stay null too.
pub fn validate(config: &ProviderConfig, diagnostics: &mut Diagnostics) {
    login::validate(config, diagnostics);
    host::validate(config, diagnostics);
    headers::validate(config, diagnostics);
    limits::validate(config, diagnostics);
}

/// The client's configuration, from the block first and the environment second.
///
/// # Errors
/// Something is contradictory or malformed; the diagnostics say what was found where and what to set.
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
    let source = Source { environment: &environment };

    let host = host::host(config, source, &mut diagnostics);
    let login = if diagnostics.has_errors() { None } else { login::login(config, source, &mut diagnostics) };
    let limits = limits::limits(config, source, &mut diagnostics);
    let ca_certificates = host::ca_certificates(config, source, &mut diagnostics);
    let custom_headers = headers::custom_headers(config, source, &mut diagnostics);
    let slug = config.auth.known().map(|auth| &auth.organization_slug);
    match (host, login) {
        (Some(_), Some(Login::Missing(error))) if !diagnostics.has_errors() => {
            Ok(Resolved::NoCredentials(error))
        }
        (Some(host), Some(Login::Found(auth))) if !diagnostics.has_errors() => {
            Ok(Resolved::Ready(Box::new(kms::Config {
                host,
                auth,
                organization_slug: source.text(&ORGANIZATION_SLUG, slug),
                ca_certificates,
                custom_headers,
                proxies: kms::Proxies::from_environment(|name| source.variable(name)),
                request_timeout: limits.request_timeout,
                max_retries: limits.max_retries,
                max_retry_wait: limits.max_retry_wait,
                user_agent,
            })))
        }
        _ => Err(diagnostics),
    }
}

/// Every attribute whose value is not known yet.
fn unknown_attributes(config: &ProviderConfig) -> Vec<String> {
    fn walk(value: &Value, path: &Path, unknown: &mut Vec<String>) {
        match value {
            Value::Unknown(_) => unknown.push(path.to_string()),
            Value::Map(attributes) => {
                attributes.iter().for_each(|(name, value)| walk(value, &path.and(name.as_ref()), unknown));
            }
            _ => {}
        }
    }
    let mut unknown = Vec::new();
    walk(&config.clone().into_value(), &Path::root(), &mut unknown);
    unknown
}

#[cfg(test)]
mod tests {
    use super::{block::AuthConfig, *};
    use crate::plugin::model::Field;
    use crate::secret::Secret;

    /// Resolves with an environment of these variables.
    pub(super) fn resolve_with(
        config: &ProviderConfig,
        variables: &[(&str, &str)],
    ) -> Result<Resolved, Vec<String>> {
        let variables: Vec<(String, String)> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let environment =
            move |name: &str| variables.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
        resolve(config, environment, "agent".into()).map_err(|errors| {
            errors.iter().map(|error| format!("{}: {}", error.summary, error.detail)).collect()
        })
    }

    pub(super) fn ready(config: &ProviderConfig, variables: &[(&str, &str)]) -> kms::Config {
        match resolve_with(config, variables) {
            Ok(Resolved::Ready(config)) => *config,
            other => panic!("{other:?}"),
        }
    }

    /// The error of whatever needs the KMS.
    pub(super) fn no_credentials(config: &ProviderConfig, variables: &[(&str, &str)]) -> String {
        match resolve_with(config, variables) {
            Ok(Resolved::NoCredentials(errors)) => {
                let mut errors = errors.into_iter();
                let (Some(error), None) = (errors.next(), errors.next()) else { panic!("not one error") };
                // A resource has no attribute that the path of one in the provider block leads to.
                assert_eq!(error.attribute, None);
                format!("{}: {}", error.summary, error.detail)
            }
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn error(config: &ProviderConfig, variables: &[(&str, &str)]) -> String {
        match resolve_with(config, variables) {
            Err(errors) => {
                assert_eq!(errors.len(), 1, "{errors:?}");
                errors[0].clone()
            }
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn known<T>(value: T) -> Field<T> {
        Field::Known(value)
    }

    pub(super) fn text(value: &str) -> Field<String> {
        known(value.to_owned())
    }

    pub(super) fn with_auth(auth: AuthConfig) -> ProviderConfig {
        ProviderConfig { auth: known(auth), ..ProviderConfig::default() }
    }

    pub(super) fn with_token() -> ProviderConfig {
        with_auth(AuthConfig { token: known(Secret::new("t")), ..AuthConfig::default() })
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

    #[test]
    fn each_setting_is_an_attribute_whose_description_names_its_variable() {
        let mut schema = schema("Provider.");
        for setting in settings() {
            let attribute = attribute_at(&mut schema.attributes, setting.attribute);
            let description = &attribute.unwrap_or_else(|| panic!("{setting:?}")).description;
            let named = format!("Environment: `{}`.", setting.variable);
            assert_eq!(description.matches(&named).count(), 1, "{description}");
        }
    }
}
