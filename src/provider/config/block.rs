//! The provider block: its attributes, and the environment variables of those that don't belong to a login method.

use std::collections::BTreeMap;

use super::source::Setting;
use crate::{
    model,
    plugin::{model::Field, schema::optional, value::Number},
    provider::rules,
    secret::Secret,
};

model! {
    /// The provider block.
    pub struct ProviderConfig {
        /// URL of the KMS. A trailing `/`, `/api` or `/api/v1` is accepted. Default: `https://app.kms.hanzo.ai`.
        host: String = optional().rule(rules::host),
        /// Authentication: exactly one method. If not set, the provider uses the method whose environment variables are set.
        auth: AuthConfig = optional(),
        /// Client ID for Universal Auth.
        client_id: String = optional().sensitive().deprecated("Use auth.universal.client_id instead."),
        /// Client secret for Universal Auth.
        client_secret: Secret = optional().sensitive().deprecated("Use auth.universal.client_secret instead."),
        /// Path of a PEM file with CA certificates to trust in addition to the system's, for a KMS with a
        /// private CA. The KMS's own certificate, such as a self-signed one, can be in it too.
        ca_certificate_file: String = optional(),
        /// CA certificates in PEM format to trust in addition to the system's. Line ends may be written as
        /// `\n`. Conflicts with `ca_certificate_file`.
        ca_certificate_pem: String = optional(),
        /// Whether to allow an `http://` URL for a `host` other than this machine. Secrets are then sent unencrypted.
        allow_plain_http: bool = optional(),
        /// Headers to add to every request to the `host`, for an access gateway in front of the KMS. The
        /// values are secrets. The provider sends them to no other server. An empty map means no headers.
        custom_headers: BTreeMap<String, Field<Secret>> = optional(),
        /// Timeout of a single HTTP request, such as `30s`. Default: `30s`.
        request_timeout: String = optional().rule(rules::positive_duration),
        /// Maximum number of retries of a request that can be retried safely, from 0 to 100. Default: 8.
        max_retries: Number = optional(),
        /// Maximum total time that an operation waits for the KMS rate limit. Default: `10m`.
        max_retry_wait: String = optional().rule(rules::duration),
    }
}

model! {
    /// The login.
    pub struct AuthConfig {
        /// Log in with Universal Auth: a client ID and a client secret.
        universal: UniversalConfig = optional(),
        /// Use an existing access token.
        token: Secret = optional().sensitive(),
        /// Log in with a JWT from an OIDC provider, such as a CI system.
        oidc: OidcConfig = optional(),
        /// Log in with a Kubernetes service account token.
        kubernetes: KubernetesConfig = optional(),
        /// Log in with an AWS identity. The AWS credentials come from the standard sources: environment variables, shared
        /// config and credentials files, a web identity token, or the role of a container or an instance.
        aws_iam: AwsIamConfig = optional(),
        /// Slug of the sub-organization to log in to.
        organization_slug: String = optional(),
    }
}

model! {
    /// Universal Auth.
    pub struct UniversalConfig {
        /// Client ID of the machine identity.
        client_id: String = optional().sensitive(),
        /// Client secret of the machine identity.
        client_secret: Secret = optional().sensitive(),
    }
}

model! {
    /// OIDC Auth.
    pub struct OidcConfig {
        /// ID of the machine identity.
        identity_id: String = optional(),
        /// Name of the environment variable that holds the JWT. Default: `KMS_AUTH_JWT`.
        token_environment_variable_name: String = optional(),
    }
}

model! {
    /// Kubernetes Auth.
    pub struct KubernetesConfig {
        /// ID of the machine identity.
        identity_id: String = optional(),
        /// Path of the file with the service account token. The provider reads it at each login.
        /// Default: `/var/run/secrets/kubernetes.io/serviceaccount/token`.
        service_account_token_path: String = optional(),
        /// Service account token. Takes precedence over the file, except that `service_account_token_path` in this block takes
        /// precedence over a token from the environment.
        service_account_token: Secret = optional().sensitive(),
    }
}

model! {
    /// AWS IAM Auth.
    pub struct AwsIamConfig {
        /// ID of the machine identity.
        identity_id: String = optional(),
    }
}

pub const HOST: Setting = Setting::new("host", "KMS_HOST");
pub const ORGANIZATION_SLUG: Setting = Setting::new("auth.organization_slug", "KMS_AUTH_ORGANIZATION_SLUG");
pub const CA_CERTIFICATE_FILE: Setting = Setting::new("ca_certificate_file", "KMS_CA_CERTIFICATE_FILE");
pub const ALLOW_PLAIN_HTTP: Setting = Setting::new("allow_plain_http", "KMS_ALLOW_PLAIN_HTTP");
pub const CUSTOM_HEADERS: Setting = Setting::new("custom_headers", "KMS_CUSTOM_HEADERS");
pub const REQUEST_TIMEOUT: Setting = Setting::new("request_timeout", "KMS_REQUEST_TIMEOUT");
pub const MAX_RETRIES: Setting = Setting::new("max_retries", "KMS_MAX_RETRIES");
pub const MAX_RETRY_WAIT: Setting = Setting::new("max_retry_wait", "KMS_MAX_RETRY_WAIT");

/// The settings that don't belong to one login method.
pub static SETTINGS: &[Setting] = &[
    HOST,
    ORGANIZATION_SLUG,
    CA_CERTIFICATE_FILE,
    ALLOW_PLAIN_HTTP,
    CUSTOM_HEADERS,
    REQUEST_TIMEOUT,
    MAX_RETRIES,
    MAX_RETRY_WAIT,
];
