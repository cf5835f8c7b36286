//! The texts about the provider block and the environment.

use std::io;

use crate::{
    kms::{self, Host},
    plugin::{
        diagnostics::{Deferral, Diagnostics},
        path::Path,
    },
};

const AUTH: &str = "auth";
const SEVERAL_LOGINS: &str = "Several ways to log in";
const UNREADABLE_FILE: &str = "Unreadable certificate file";
const UNUSABLE_CERTIFICATES: &str = "Unusable CA certificates";

/// The part of `--help` about the provider block: the login methods, and the other environment variables.
pub fn help(logins: &str, variables: &[&str]) -> String {
    let variables = variables.join("\n    ");
    format!(
        "Authentication, in the provider block or in the environment; one of:\n{logins}\n\nOther environment variables:\n    \
         {variables}\n"
    )
}

/// A setting has a value that it can't have. `subject` names where it is set, and `problem` completes the sentence.
pub fn invalid(attribute: &str, subject: &str, problem: &str, diagnostics: &mut Diagnostics) {
    let summary = format!("Invalid {attribute}");
    diagnostics.error(Some(Path::attribute(attribute)), summary, format!("{subject} {problem}"));
}

/// An environment variable that is neither true nor false.
pub fn not_a_bool(subject: &str, diagnostics: &mut Diagnostics) {
    let detail = format!("{subject} must be \"true\" or \"false\".");
    diagnostics.error(None, "Invalid environment variable", detail);
}

/// CA certificates as a file and as text.
pub fn two_certificates(diagnostics: &mut Diagnostics) {
    diagnostics.error(
        Some(Path::attribute("ca_certificate_pem")),
        "Certificates from two places",
        "\"ca_certificate_file\" and \"ca_certificate_pem\" are both set. Keep one of them.",
    );
}

/// A file of CA certificates can't be read.
pub fn unreadable_certificate(subject: &str, file: &str, error: &io::Error, diagnostics: &mut Diagnostics) {
    let detail = format!("{subject} names {file}, which can't be read: {error}.");
    diagnostics.error(Some(Path::attribute("ca_certificate_file")), UNREADABLE_FILE, detail);
}

/// A file of CA certificates is a folder or a device.
pub fn no_certificate_file(subject: &str, file: &str, diagnostics: &mut Diagnostics) {
    let detail = format!("{subject} names {file}, which is not a file.");
    diagnostics.error(Some(Path::attribute("ca_certificate_file")), UNREADABLE_FILE, detail);
}

/// The setting for a file has a certificate. It isn't quoted, because it may contain a private key.
pub fn certificate_as_path(subject: &str, diagnostics: &mut Diagnostics) {
    let detail = format!(
        "{subject} must be the path of a PEM file, but its value is PEM text. Set \"ca_certificate_pem\" to \
         the text instead."
    );
    diagnostics.error(Some(Path::attribute("ca_certificate_file")), UNREADABLE_FILE, detail);
}

/// The content of a file of CA certificates can't be used. `problems` completes the sentence.
pub fn unusable_certificate_file(
    subject: &str,
    file: &str,
    problems: &kms::BundleError,
    diagnostics: &mut Diagnostics,
) {
    let detail = format!("{subject} names {file}, which can't be used: {problems}.");
    diagnostics.error(Some(Path::attribute("ca_certificate_file")), UNUSABLE_CERTIFICATES, detail);
}

/// The text of CA certificates can't be used. `problems` completes the sentence.
pub fn unusable_certificates(is_path: bool, problems: &kms::BundleError, diagnostics: &mut Diagnostics) {
    let hint = if is_path { " For the path of a file, set \"ca_certificate_file\" instead." } else { "" };
    let detail = format!("\"ca_certificate_pem\" can't be used: {problems}.{hint}");
    diagnostics.error(Some(Path::attribute("ca_certificate_pem")), UNUSABLE_CERTIFICATES, detail);
}

/// Tokens would travel in plain text.
pub fn plain_http(host: &Host, diagnostics: &mut Diagnostics) {
    let detail = format!(
        "With the host {host}, access tokens and dbt tokens would travel in plain text. Use an https:// address. If the network \
         path is secure by other means, set \"allow_plain_http\" to true (or KMS_ALLOW_PLAIN_HTTP)."
    );
    diagnostics.error(Some(Path::attribute("host")), "Plain HTTP not allowed", detail);
}

/// The block configures several login methods.
pub fn several_logins(methods: &[String], diagnostics: &mut Diagnostics) {
    let detail = format!(
        "More than one login method is configured: {}. Keep exactly one of them.",
        methods.join(", ")
    );
    diagnostics.error(Some(Path::attribute(AUTH)), SEVERAL_LOGINS, detail);
}

/// The environment configures several login methods.
pub fn several_logins_in_environment(variables: &[&str], diagnostics: &mut Diagnostics) {
    let detail = format!(
        "More than one login method is configured by the environment variables {}. Unset all but one of them, or choose a method \
         in the provider block.",
        variables.join(", ")
    );
    diagnostics.error(Some(Path::attribute(AUTH)), SEVERAL_LOGINS, detail);
}

/// A call needs a login, and no method is configured. `found` are variables that choose none, and
/// `instructions` list the methods.
pub fn no_login(found: &[&str], instructions: &str) -> Diagnostics {
    let found = match found {
        [] => "has a login".to_owned(),
        [one] => format!("selects a login method: only {one} is set"),
        several => format!("selects a login method: only {} are set", several.join(", ")),
    };
    Diagnostics::from_error(
        "No credentials configured",
        format!(
            "This needs the KMS, and neither the provider block nor the environment {found}. Set one of:\n\n\
             {instructions}"
        ),
    )
}

/// A call needs a login, and its method lacks values.
pub fn incomplete_login(method: &str, missing: &[String]) -> Diagnostics {
    Diagnostics::from_error(
        "Incomplete login",
        format!(
            "This needs the KMS, and {method} has no value for: {}. Set attributes in the provider block, or \
             by their environment variables.",
            missing.join("; ")
        ),
    )
}

/// A call needs the provider block, of which some attributes are unknown.
pub fn not_known_yet(unknown: &[String]) -> Diagnostics {
    Diagnostics::from_error(
        "The provider's configuration is not known yet",
        format!(
            "This needs the KMS now, but these attributes of the provider block are known only after apply: {}. Apply what they \
             depend on first, with -target, or set them in another way.",
            unknown.join(", ")
        ),
    )
    .or_deferred(Deferral::ProviderConfigUnknown)
}

/// A call came before the provider was configured.
pub fn not_configured() -> Diagnostics {
    Diagnostics::from_error(
        "The provider is not configured",
        "This needs the KMS, but Terraform has not configured the provider.",
    )
}
