//! Which login method is configured, and the login that follows.

use super::{
    block::ProviderConfig,
    methods::{Inputs, METHODS, Method},
    source::Source,
};
use crate::{kms, plugin::diagnostics::Diagnostics, provider::messages::settings};

impl Method {
    /// Its place in the provider block, in words.
    fn place(&self) -> String {
        match self.aliases {
            Some(aliases) => format!("{} (or {aliases})", self.attribute),
            None => self.attribute.to_owned(),
        }
    }

    /// The variable by which the environment chooses this method, if it does.
    fn chosen_by(&self, source: Source<'_>) -> Option<&'static str> {
        let shared = |variable: &&&str| !self.choosing_variables.contains(*variable);
        let has_shared = self.required_variables.iter().filter(shared).all(|variable| source.has(variable));
        let choosing = self.choosing_variables.iter().find(|variable| source.has(variable));
        choosing.copied().filter(|_| has_shared)
    }

    /// How to configure it, for a list of all methods.
    fn instruction(&self) -> String {
        if self.choosing_variables.is_empty() {
            format!("{}, in the provider block only", self.attribute)
        } else {
            format!("{}, or {}", self.attribute, self.required_variables.join(" and "))
        }
    }
}

fn configured(config: &ProviderConfig) -> impl Iterator<Item = &'static Method> {
    METHODS.iter().filter(|method| (method.is_configured)(config))
}

/// Refuses a block with several methods.
pub fn validate(config: &ProviderConfig, diagnostics: &mut Diagnostics) {
    let found: Vec<String> = configured(config).map(Method::place).collect();
    if found.len() > 1 {
        settings::several_logins(&found, diagnostics);
    }
}

/// What the provider block and the environment say about the login.
pub enum Login {
    /// All that it takes.
    Found(kms::Auth),
    /// Too little. That is an error only when something needs the KMS: a pipeline that never does may lack
    /// the variables.
    Missing(Diagnostics),
}

/// The login of the method that the block configures, otherwise of the one that the environment chooses.
/// `None` if there are several, which is an error in any case.
pub fn login(config: &ProviderConfig, source: Source<'_>, diagnostics: &mut Diagnostics) -> Option<Login> {
    let method = match configured(config).next() {
        Some(method) => method,
        None => match methods_of_environment(source).as_slice() {
            [(method, _)] => method,
            [] => {
                let found = incomplete_variables(source);
                return Some(Login::Missing(settings::no_login(&found, &instructions("  "))));
            }
            several => {
                let variables: Vec<&str> = several.iter().map(|(_, variable)| *variable).collect();
                settings::several_logins_in_environment(&variables, diagnostics);
                return None;
            }
        },
    };
    let mut inputs = Inputs::new(config, source);
    Some(match (method.login)(&mut inputs) {
        Some(auth) => Login::Found(auth),
        None => Login::Missing(settings::incomplete_login(&method.place(), &inputs.into_missing())),
    })
}

/// The methods that the environment chooses, each with the variable that does.
fn methods_of_environment(source: Source<'_>) -> Vec<(&'static Method, &'static str)> {
    METHODS.iter().filter_map(|method| Some((method, method.chosen_by(source)?))).collect()
}

/// The variables that are set, though they choose no method.
fn incomplete_variables(source: Source<'_>) -> Vec<&'static str> {
    let mut found: Vec<&str> = Vec::new();
    for method in METHODS {
        for variable in method.required_variables.iter().chain(method.choosing_variables) {
            if source.has(variable) && !found.contains(variable) {
                found.push(variable);
            }
        }
    }
    found
}

/// How to configure each method, a line each, indented.
pub fn instructions(indent: &str) -> String {
    let lines: Vec<String> =
        METHODS.iter().map(|method| format!("{indent}{}", method.instruction())).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        plugin::model::Field,
        provider::config::{
            block::{AuthConfig, AwsIamConfig, KubernetesConfig, OidcConfig, UniversalConfig},
            tests::{error, known, no_credentials, ready, text, with_auth, with_token},
        },
        secret::Secret,
    };

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
            kms::Auth::AwsIam { identity_id } => format!("aws_iam {identity_id}"),
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
            "kubernetes id /var/run/secrets/kubernetes.io/serviceaccount/token"
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
    fn only_the_block_chooses_aws_and_the_environment_may_have_the_identity() {
        let aws_iam = |id: Field<String>| {
            with_auth(AuthConfig {
                aws_iam: known(AwsIamConfig { identity_id: id }),
                ..AuthConfig::default()
            })
        };
        let identity = [("KMS_MACHINE_IDENTITY_ID", "m"), ("AWS_ACCESS_KEY_ID", "AKID"), ("KMS_TOKEN", "t")];
        assert_eq!(chosen(&ready(&aws_iam(Field::Null), &identity).auth), "aws_iam m");
        assert_eq!(chosen(&ready(&aws_iam(text("")), &identity).auth), "aws_iam m");
        assert_eq!(chosen(&ready(&aws_iam(text("id")), &identity).auth), "aws_iam id");
        let missing = no_credentials(&aws_iam(Field::Null), &[]);
        assert_eq!(
            missing,
            "Incomplete login: This needs the KMS, and auth.aws_iam has no value for: \
             auth.aws_iam.identity_id or KMS_MACHINE_IDENTITY_ID. Set attributes in the provider block, or by \
             their environment variables."
        );
        let undecided = no_credentials(&ProviderConfig::default(), &identity[..2]);
        assert!(undecided.starts_with("No credentials configured: "), "{undecided}");
        assert!(undecided.contains("only KMS_MACHINE_IDENTITY_ID is set"), "{undecided}");
    }

    #[test]
    fn several_methods_or_none_are_an_error_that_says_what_was_found_and_what_to_set() {
        let nothing = ProviderConfig::default();
        assert_eq!(
            no_credentials(&nothing, &[]),
            "No credentials configured: This needs the KMS, and neither the provider block nor the \
             environment has a login. Set one of:\n\n  \
             auth.universal, or KMS_UNIVERSAL_AUTH_CLIENT_ID and KMS_UNIVERSAL_AUTH_CLIENT_SECRET\n  \
             auth.token, or KMS_TOKEN\n  \
             auth.oidc, or KMS_MACHINE_IDENTITY_ID and KMS_AUTH_JWT\n  \
             auth.kubernetes, or KMS_MACHINE_IDENTITY_ID and KMS_KUBERNETES_SERVICE_ACCOUNT_TOKEN_PATH\n  \
             auth.aws_iam, in the provider block only"
        );
        let only_identity = no_credentials(&nothing, &[("KMS_MACHINE_IDENTITY_ID", "m")]);
        assert!(only_identity.contains("only KMS_MACHINE_IDENTITY_ID is set"), "{only_identity}");
        let environment = error(&nothing, &[UNIVERSAL[0], UNIVERSAL[1], ("KMS_TOKEN", "t")]);
        assert!(environment.contains("KMS_UNIVERSAL_AUTH_CLIENT_ID, KMS_TOKEN"), "{environment}");
        let block = ProviderConfig { client_id: text("id"), ..with_token() };
        let block = error(&block, &[]);
        assert!(block.contains("auth.universal") && block.contains("auth.token"), "{block}");
        let only_jwt = no_credentials(&nothing, &[("KMS_AUTH_JWT", "j")]);
        assert!(only_jwt.contains("only KMS_AUTH_JWT is set"), "{only_jwt}");
        let half = no_credentials(&nothing, &[UNIVERSAL[0]]);
        assert!(half.contains("KMS_UNIVERSAL_AUTH_CLIENT_SECRET"), "{half}");
        assert!(!half.contains("env-id"), "{half}");
        let no_jwt = no_credentials(
            &nothing,
            &[("KMS_MACHINE_IDENTITY_ID", "m"), ("KMS_OIDC_AUTH_TOKEN_NAME", "CI_JWT")],
        );
        assert!(no_jwt.contains("CI_JWT, the variable that holds the JWT"), "{no_jwt}");
    }

    #[test]
    fn each_method_is_an_attribute_of_the_block_and_its_variables_hang_together() {
        for method in METHODS {
            let mut schema = super::super::schema("Provider.");
            let attribute = super::super::attribute_at(&mut schema.attributes, method.attribute);
            assert!(attribute.is_some(), "{}", method.attribute);
            for setting in method.settings {
                assert!(setting.attribute.starts_with(method.attribute), "{setting:?}");
            }
            // Otherwise the instruction would name variables that don't choose the method.
            let required = method.required_variables;
            assert!(
                method.choosing_variables.is_empty()
                    || required.iter().any(|variable| method.choosing_variables.contains(variable)),
                "{}",
                method.attribute
            );
        }
    }
}
