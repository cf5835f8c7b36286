//! The texts of failed calls to the KMS.

use std::time::Duration;

use super::attribute_map::AttributeMap;
use crate::{
    kms::{self, ApiError, ApiErrorKind, AuthError, AwsError, Error, Obstacle, Reason, Scope},
    plugin::{diagnostics::Diagnostics, path::Path},
};

/// As [`failure_in`], where the scope is unknown.
pub fn failure(task: &str, error: &Error, attributes: AttributeMap) -> Diagnostics {
    failure_in(task, error, attributes, Scope::Unknown)
}

/// The diagnostics of a failed call in a scope. `task` completes the sentence "Could not ...", for instance
/// `create the dbt connection "analytics"`.
pub fn failure_in(task: &str, error: &Error, attributes: AttributeMap, scope: Scope<'_>) -> Diagnostics {
    let mut diagnostics = Diagnostics::new();
    match error {
        Error::Request(failed) => match &failed.reason {
            Reason::Api(response) => api_failure(task, response, attributes, scope, &mut diagnostics),
            reason => {
                let (summary, mut advice) = advice(reason);
                if let (Reason::NoRoute, Some(feature)) = (reason, attributes.feature) {
                    advice = format!("This KMS has no {feature}: its release lacks the feature. {advice}");
                }
                let consequence = consequence(error, attributes.again);
                let detail = format!("Could not {task}: {}.\n\n{advice}{consequence}", kms::report(error));
                diagnostics.error(None, summary, detail);
            }
        },
        Error::Unreachable { .. } => {
            let detail = format!(
                "Could not {task}: {}.\n\nIt was not tried again, because the KMS did not respond to earlier requests \
                 of this run. {CHECK_NETWORK}",
                kms::report(error)
            );
            diagnostics.error(None, "The KMS can't be reached", detail);
        }
        Error::Auth(error) => auth_failure(task, error, &mut diagnostics),
        Error::Config { .. } => {
            let detail = format!("Could not {task}: {}.", kms::report(error));
            diagnostics.error(None, "The KMS client can't be set up", detail);
        }
        Error::RateLimited { .. } => {
            let detail = format!(
                "Could not {task}: {}.\n\nRun Terraform again later, or let it wait longer: set the provider's \
                 \"max_retry_wait\" (or KMS_MAX_RETRY_WAIT).",
                kms::report(error)
            );
            diagnostics.error(None, "Rate limit reached", detail);
        }
        _ => {
            let detail =
                format!("Terraform asked to stop, so the provider did not {task}. Nothing was changed.");
            diagnostics.error(None, "Stopped", detail);
        }
    }
    diagnostics
}

/// The KMS has the secret, but doesn't show its value: it says so with an error, or puts a mask in the place of the value.
pub fn value_hidden(task: &str, error: Option<&ApiError>, name: &'static str) -> Diagnostics {
    let said = error.map(|error| format!("\n\n{}", said_by_server(error))).unwrap_or_default();
    let detail = format!(
        "Could not {task}: the machine identity that the provider logs in with may not see its value. Give the identity a \
         role that may read the values of secrets in this environment and folder.{said}"
    );
    let mut diagnostics = Diagnostics::new();
    diagnostics.error(Some(Path::attribute(name)), "Value of the secret not shown", detail);
    diagnostics
}

/// The number of references that a message shows, and the length of each.
const MAX_REFERENCES: usize = 5;
const MAX_REFERENCE_LENGTH: usize = 100;

/// The KMS left references in the value of a secret although it was asked to replace them.
pub fn unresolved_references(task: &str, references: &[String], name: &'static str) -> Diagnostics {
    let shown = references.iter().take(MAX_REFERENCES).map(|reference| {
        match reference.char_indices().nth(MAX_REFERENCE_LENGTH) {
            Some((end, _)) => format!("{} ...", &reference[..end]),
            None => reference.clone(),
        }
    });
    let mut shown: Vec<_> = shown.collect();
    if references.len() > MAX_REFERENCES {
        shown.push(format!("and {} more", references.len() - MAX_REFERENCES));
    }
    let detail = format!(
        "Could not {task}: its value refers to other secrets, and the KMS left these references as they are: \
         {}\n\nEach must name a secret that exists in its folder (imported secrets don't count), is not \
         empty, and does not refer back. `${{NAME}}` is a secret of the same folder, \
         `${{environment.folder.NAME}}` one of another folder. The machine identity needs permission to read \
         their values. If the text is meant literally, set expand_references = false.",
        shown.join(", ")
    );
    let mut diagnostics = Diagnostics::new();
    diagnostics.error(Some(Path::attribute(name)), "Unresolved secret reference", detail);
    diagnostics
}

const CHECK_NETWORK: &str = "Check the provider's \"host\", the network and any proxy on the way, for instance with: \
                             curl --verbose HOST/api/status";

/// Summary and advice for a request that failed without a response of the KMS.
fn advice(reason: &Reason) -> (&'static str, String) {
    match reason {
        Reason::NoConnection { obstacle: Some(obstacle), .. } => {
            let advice = match obstacle {
                Obstacle::UntrustedCertificate => {
                    "The server's certificate is not trusted. If a private authority signed it, set the provider's \
                     \"ca_certificate_file\" (or KMS_CA_CERTIFICATE_FILE) or \"ca_certificate_pem\" to that authority's \
                     certificate."
                }
                Obstacle::AuthorityAsServer => {
                    "The server's certificate is marked as that of an authority, as self-signed certificates often \
                     are, and is not accepted for a server. Give the server a certificate that an authority signed, \
                     or a self-signed one with basicConstraints=CA:FALSE, and trust that with \"ca_certificate_file\"."
                }
                Obstacle::WrongName => {
                    "The server's certificate is for another host name. Set the provider's \"host\" (or KMS_HOST) to a \
                     name that the certificate has."
                }
                Obstacle::CertificateDates => {
                    "The server's certificate has expired or is not valid yet. Renew it, or correct the clock of this \
                     machine."
                }
                Obstacle::NotTls => {
                    "The server does not speak TLS on this port. Check the scheme and the port of the provider's \
                     \"host\" (or KMS_HOST)."
                }
                Obstacle::NoCommonTls => {
                    "The server supports neither TLS 1.2 nor TLS 1.3 with a secure cipher suite. Update the server or \
                     the proxy in front of it."
                }
                Obstacle::ClientCertificate => {
                    "The server requires a TLS certificate of the client, which the provider does not support. Set the \
                     provider's \"host\" (or KMS_HOST) to an address that does not require one."
                }
                Obstacle::NotHttp => {
                    "The server does not speak HTTP on this port. Check the scheme and the port of the provider's \
                     \"host\" (or KMS_HOST): a port for TLS needs https://."
                }
            };
            ("No connection to the KMS", advice.to_owned())
        }
        Reason::NoConnection { obstacle: None, .. } => ("No connection to the KMS", CHECK_NETWORK.to_owned()),
        Reason::NoResponse { .. } => ("No response from the KMS", CHECK_NETWORK.to_owned()),
        Reason::Page { .. } => (
            "Response not from the KMS",
            format!(
                "Something in front of the KMS, such as a proxy, a load balancer or a firewall, sent this response. \
                 {CHECK_NETWORK}"
            ),
        ),
        Reason::NoRoute => (
            "Not supported by this KMS",
            "The server does not have this endpoint. Either its release is too old, or the provider's \"host\" (or KMS_HOST) is \
             not the address of a KMS."
                .to_owned(),
        ),
        Reason::Redirected { .. } => (
            "Redirect from the KMS",
            "The provider sends tokens to its \"host\" only. If the KMS has moved, set \"host\" (or KMS_HOST) to its new \
             address."
                .to_owned(),
        ),
        _ => (
            "Unusable response from the KMS",
            "Check that the provider's \"host\" (or KMS_HOST) is the address of a KMS, and that nothing on the way \
             changes its responses."
                .to_owned(),
        ),
    }
}

/// What the failure means for the object.
fn consequence(error: &Error, again: &str) -> String {
    if error.may_have_changed_something() {
        format!(
            "\n\nThe KMS may have performed the request. Run `terraform plan` to see the current state; {again}."
        )
    } else {
        "\n\nNothing was changed.".to_owned()
    }
}

/// The shortest wait for the rate limit that is worth a warning.
const NOTABLE_WAIT: Duration = Duration::from_secs(30);

/// Warns of an operation that was slow because of the rate limit.
pub fn note_waiting(operation: &kms::Operation, diagnostics: &mut Diagnostics) {
    let waited = operation.waited();
    if waited >= NOTABLE_WAIT {
        slowed_down(waited, diagnostics);
    }
}

/// The rate limit made an operation slow.
pub fn slowed_down(waited: Duration, diagnostics: &mut Diagnostics) {
    let detail = format!(
        "This operation waited {} seconds, because the KMS limits the number of requests a minute.",
        waited.as_secs()
    );
    diagnostics.warning(None, "Slowed down by the rate limit of the KMS", detail);
}

fn api_failure(
    task: &str,
    error: &ApiError,
    attributes: AttributeMap,
    scope: Scope<'_>,
    diagnostics: &mut Diagnostics,
) {
    let said = said_by_server(error);
    let on = |attribute: Option<&'static str>| attribute.map(Path::attribute);
    match error.kind {
        ApiErrorKind::CredentialsRefused => {
            let detail = format!(
                "Could not {task}: the KMS tried the credentials at dbt, and that failed. {}\n\n{said}",
                attributes.credentials_advice
            );
            diagnostics.error(on(attributes.credentials), "dbt refused the credentials", detail);
        }
        ApiErrorKind::NameTaken => {
            diagnostics.error(
                on(attributes.name),
                "Name already taken",
                format!("Could not {task}.\n\n{said}"),
            );
        }
        ApiErrorKind::UnknownProject => {
            let problem = unknown_project(attributes, scope);
            let detail = format!("Could not {task}: {problem}{}\n\n{said}", if_missing(attributes));
            diagnostics.error(on(attributes.project), "Unknown project", detail);
        }
        ApiErrorKind::PermissionDenied if attributes.connection.is_some() && error.is_about_connection() => {
            let detail = format!(
                "Could not {task}: the machine identity that the provider logs in with may not use the \
                 connection. Give it a role that may connect with app connections, in the project that the \
                 connection belongs to, or in the organization if it belongs to none.\n\n{said}"
            );
            diagnostics.error(on(attributes.connection), "Not allowed", detail);
        }
        ApiErrorKind::PermissionDenied => {
            let place = match scope {
                Scope::Project(id) => format!("in the project {id:?}"),
                Scope::Organization => "in the organization".to_owned(),
                Scope::Unknown => "in the project or the organization".to_owned(),
            };
            let detail = format!(
                "Could not {task}: the machine identity that the provider logs in with lacks a permission \
                 {place}. Give it a role that has the permission there.{}\n\n{said}",
                if_no_such_project(attributes, scope)
            );
            let project = attributes.project.filter(|_| names_no_id(scope));
            diagnostics.error(on(project), "Not allowed", detail);
        }
        ApiErrorKind::NotFound if attributes.connection.is_some() && error.is_about_connection() => {
            let detail = format!(
                "Could not {task}: the connection doesn't exist. Use the ID of a dbt connection of the KMS, \
                 such as the id of a kms_dbt_connection resource or data source.\n\n{said}"
            );
            diagnostics.error(on(attributes.connection), "Unknown connection", detail);
        }
        ApiErrorKind::ConnectionOfOtherProject => {
            let detail = format!(
                "Could not {task}: the connection belongs to another project. Use one of the same project, \
                 or one of the organization, which has no project_id.\n\n{said}"
            );
            diagnostics.error(on(attributes.connection), "Connection of another project", detail);
        }
        ApiErrorKind::ConnectionOfOtherApp => {
            let detail = format!(
                "Could not {task}: the connection is not one to dbt. Use the ID of a dbt connection, such as \
                 the id of a kms_dbt_connection resource or data source.\n\n{said}"
            );
            let connection = attributes.connection.or(attributes.object);
            diagnostics.error(on(connection), "Connection of another app", detail);
        }
        ApiErrorKind::NotFound => {
            let if_missing = if_missing(attributes);
            let detail = format!("Could not {task}: it doesn't exist.{if_missing}\n\n{said}");
            diagnostics.error(on(attributes.object), "Not found", detail);
        }
        ApiErrorKind::SecretTaken => {
            let detail = format!(
                "Could not {task}: the folder already has a secret of that name. Choose another name, or delete that secret \
                 first.\n\n{said}"
            );
            diagnostics.error(on(attributes.secret), "Secret already exists", detail);
        }
        ApiErrorKind::UnknownFolder => {
            let if_missing = if_missing(attributes);
            let detail = format!(
                "Could not {task}: the project has no such environment or folder. Create it in the KMS first.\
                 {if_missing}\n\n{said}"
            );
            diagnostics.error(on(attributes.folder), "Unknown folder or environment", detail);
        }
        ApiErrorKind::ValueHidden => {
            diagnostics.extend(value_hidden(task, Some(error), attributes.secret.unwrap_or_default()));
        }
        ApiErrorKind::ReferenceDenied => {
            let detail = format!(
                "Could not {task}: its value refers to a secret that the machine identity may not read. Give \
                 the identity a role that may read the values of secrets in the environment and folder of \
                 that secret, too.\n\n{said}"
            );
            diagnostics.error(on(attributes.secret), "Not allowed to read a referenced secret", detail);
        }
        ApiErrorKind::RotationFailed => {
            let detail = format!(
                "Could not {task}: the KMS tried to replace the token at dbt, and that failed. The current token stays in the \
                 secret. {}\n\n{said}",
                attributes.credentials_advice
            );
            diagnostics.error(on(attributes.credentials), "Rotation failed", detail);
        }
        ApiErrorKind::InProgress => {
            let detail =
                format!("Could not {task}: a rotation is under way. Try again in a minute.\n\n{said}");
            diagnostics.error(None, "Rotation in progress", detail);
        }
        ApiErrorKind::PlanRestricted => {
            let detail = format!(
                "Could not {task}: the license of this KMS does not include the feature. Ask whoever operates the KMS for a \
                 license that does.\n\n{said}"
            );
            diagnostics.error(None, "Not included in the license of the KMS", detail);
        }
        ApiErrorKind::InUse => {
            let detail = format!(
                "Could not {task}: something in the KMS still uses it, such as a secret sync or a rotation. Remove \
                 that first.\n\n{said}"
            );
            diagnostics.error(None, "Still in use", detail);
        }
        ApiErrorKind::Invalid if !error.issues.is_empty() => {
            for issue in &error.issues {
                let detail =
                    format!("Could not {task}: the KMS refused a value. {issue}.{}", request_id(error));
                diagnostics.error(on(attributes.field(&issue.path)), "Refused by the KMS", detail);
            }
        }
        ApiErrorKind::OtherApp => {
            let detail = format!("Could not {task}: it is {}.\n\n{said}", attributes.other_kind);
            diagnostics.error(on(attributes.object), "Wrong kind of object", detail);
        }
        ApiErrorKind::Unauthorized => {
            let detail = format!("Could not {task}.\n\n{said}");
            diagnostics.error(None, "Access token refused", detail);
        }
        _ if error.status.is_server_error() => {
            let detail = format!(
                "Could not {task}: the KMS kept returning a server error.\n\n{said}\n\nBefore you try again later: {}.",
                attributes.again
            );
            diagnostics.error(None, "Server error of the KMS", detail);
        }
        _ => diagnostics.error(None, "Refused by the KMS", format!("Could not {task}.\n\n{said}")),
    }
}

fn auth_failure(task: &str, error: &AuthError, diagnostics: &mut Diagnostics) {
    let advice = match error {
        AuthError::LoginRefused { .. } => {
            "Check the credentials in the provider's \"auth\" block or in the environment. The login was tried once \
             only, because the KMS locks an identity out after a few failures."
        }
        AuthError::TokenRefused { .. } | AuthError::TokenMalformed => {
            "Set a fresh token in \"auth.token\" or KMS_TOKEN, or configure a method that can renew its token, such as \
             \"auth.universal\"."
        }
        AuthError::ServiceAccountToken { .. } => {
            "Set \"auth.kubernetes.service_account_token_path\" to a file that exists in this pod."
        }
        AuthError::Aws(AwsError::NotFound { .. }) => {
            "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or run Terraform where AWS provides a \
             role: in ECS, EKS, CodeBuild or on EC2."
        }
        AuthError::Aws(AwsError::Region { .. }) => {
            "Set AWS_REGION to a region of AWS, such as \"eu-central-1\"."
        }
        AuthError::Aws(_) => {
            "Check this source with `aws sts get-caller-identity`, or set AWS_PROFILE or other AWS variables so that \
             another source is used."
        }
        AuthError::AwsIdentityUnverified { .. } => {
            "The KMS responds like this when AWS STS refuses the signed call. Check that the AWS credentials are valid \
             (`aws sts get-caller-identity`), that the clock of this machine is right, and that the KMS can reach \
             STS in the region of AWS_REGION."
        }
        _ => "Check the machine identity's settings in the KMS.",
    };
    let detail = format!("Could not {task}: {}.\n\n{advice}", kms::report(error));
    diagnostics.error(None, "Login to the KMS failed", detail);
}

/// The project has no such environment. `known` has the slugs of its environments, if they could be read.
pub fn unknown_environment(
    task: &str,
    environment: &str,
    known: &[String],
    error: &Error,
    attributes: AttributeMap,
) -> Diagnostics {
    let known: Vec<_> = known.iter().map(|slug| format!("{slug:?}")).collect();
    let advice = match &known[..] {
        [] => "Use the slug of an environment of the project".to_owned(),
        known => format!("It has {}. Use one of these slugs", known.join(", ")),
    };
    let said = error.api().map(|error| format!("\n\n{}", said_by_server(error))).unwrap_or_default();
    let detail = format!(
        "Could not {task}: the project has no environment {environment:?}. {advice}, or create the \
         environment in the KMS first.{}{said}",
        if_missing(attributes)
    );
    let mut diagnostics = Diagnostics::new();
    diagnostics.error(attributes.environment.map(Path::attribute), "Unknown environment", detail);
    diagnostics
}

fn unknown_project(attributes: AttributeMap, scope: Scope<'_>) -> String {
    let attribute = attributes.project.unwrap_or("project_id");
    match scope {
        Scope::Project(id) if names_no_id(scope) => {
            format!("the KMS has no project with the ID {id:?}.{}", not_the_slug(attribute, id))
        }
        Scope::Project(id) => format!(
            "the KMS has no project with the ID {id:?}, or the machine identity is not a member of it. Check \
             {attribute:?}: the data source kms_project finds the ID of a project by its slug."
        ),
        _ => format!(
            "the KMS has no such project, or the machine identity is not a member of it. Check \
             {attribute:?}, and add the machine identity to the project in the KMS."
        ),
    }
}

/// What to add to a refusal that can also mean that there is no such project.
fn if_no_such_project(attributes: AttributeMap, scope: Scope<'_>) -> String {
    match (scope, attributes.project) {
        (Scope::Project(id), Some(attribute)) if names_no_id(scope) => {
            format!(
                " The KMS may also respond like this if there is no such project.{}",
                not_the_slug(attribute, id)
            )
        }
        (Scope::Project(_), Some(attribute)) => {
            format!(" The KMS may also respond like this if there is no such project: check {attribute:?}.")
        }
        _ => String::new(),
    }
}

fn not_the_slug(attribute: &str, slug: &str) -> String {
    format!(
        " {attribute:?} takes the ID of a project, not its slug. If {slug:?} is the slug, use \
         data.kms_project.NAME.id of a data source kms_project with slug = {slug:?}."
    )
}

/// Whether what stands for a project's ID is none: those are UUIDs, or 24 hexadecimal digits in old projects.
fn names_no_id(scope: Scope<'_>) -> bool {
    let is_id =
        |text: &str| text.len() >= 24 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    matches!(scope, Scope::Project(text) if !is_id(text))
}

fn if_missing(attributes: AttributeMap) -> String {
    match attributes.if_missing {
        "" => String::new(),
        advice => format!(" {advice}"),
    }
}

fn said_by_server(error: &ApiError) -> String {
    let status = error.status.as_u16();
    format!("Response of the KMS (HTTP {status}): {}{}", error.message, request_id(error))
}

fn request_id(error: &ApiError) -> String {
    error.req_id.as_ref().map(|id| format!("\nRequest ID: {id}")).unwrap_or_default()
}
