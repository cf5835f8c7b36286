//! The texts of failed calls to the KMS.

use std::time::Duration;

use http::StatusCode;

use super::attribute_map::AttributeMap;
use crate::{
    kms::{
        self, ApiError, ApiErrorKind, AuthError, AwsError, CertificateProblem, Destination, Error, Obstacle,
        Reason, RedirectKind, Scope,
    },
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
        Error::NoTrustStore => {
            let detail = format!(
                "Could not {task}: {}.\n\nInstall the package ca-certificates, or set the provider's \
                 \"ca_certificate_file\" (or KMS_CA_CERTIFICATE_FILE) or the variable SSL_CERT_FILE to a PEM \
                 file with the authority of the KMS. If SSL_CERT_FILE or SSL_CERT_DIR is set already, no \
                 other place is searched: check that its files can be read.",
                kms::report(error)
            );
            diagnostics.error(None, "No trusted certificates on this machine", detail);
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

const SECRET_IN_RESPONSE: &str = "Secret in a response of the KMS";

fn listed(attributes: &[Path]) -> String {
    let names: Vec<_> = attributes.iter().map(|path| format!("\"{path}\"")).collect();
    names.join(", ")
}

/// The KMS repeats a secret in fields of an object. `what` is the object, such as `the project "shop"`.
pub fn secret_in_response(what: &str, attributes: &[Path], diagnostics: &mut Diagnostics) {
    let detail = format!(
        "The KMS returned a secret that this run uses, such as a token, in {} of {what}. The provider did \
         not store it: a computed attribute has the value {:?} instead, and an argument keeps its \
         value.\n\nIf somebody wrote the secret into a name or a description, remove it in the KMS. \
         Otherwise the server repeats what is sent to it. Check that the provider's \"host\" (or KMS_HOST) \
         is the address of a KMS that you trust, and replace the secret.",
        listed(attributes),
        kms::PLACEHOLDER
    );
    diagnostics.warning(None, SECRET_IN_RESPONSE, detail);
}

/// The same for an import that needs one of these fields.
pub fn secret_in_place(what: &str, attributes: &[Path]) -> Diagnostics {
    let detail = format!(
        "Could not import {what}: the KMS returned a secret that this run uses, such as a token, in {}. \
         The provider does not store it, and can't manage the object without this value.\n\nCheck that the \
         provider's \"host\" (or KMS_HOST) is the address of a KMS that you trust, and replace the secret.",
        listed(attributes)
    );
    Diagnostics::from_error(SECRET_IN_RESPONSE, detail)
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

const NO_CONNECTION: &str = "No connection to the KMS";
const PROXY_LOGIN: &str = "Put the user name and the password for the proxy into the variable that names it, \
                           in the form http://USER:PASSWORD@HOST:PORT. Percent-encode special characters in \
                           them.";

/// Summary and advice for a request that failed without a response of the KMS.
fn advice(reason: &Reason) -> (&'static str, String) {
    match reason {
        Reason::NoConnection { obstacle: Some(obstacle), .. } => obstacle_advice(*obstacle),
        Reason::NoConnection { obstacle: None, .. } => (NO_CONNECTION, CHECK_NETWORK.to_owned()),
        Reason::Unprocessed { .. } => (
            "Request not processed",
            "The server, or a proxy in front of it, refused the request before processing it, also when the \
             provider sent it again. It may be overloaded or shutting down: run Terraform again later."
                .to_owned(),
        ),
        Reason::NoResponse { .. } => ("No response from the KMS", CHECK_NETWORK.to_owned()),
        Reason::Page { status, .. } if status.as_u16() == 407 => {
            ("Response not from the KMS", PROXY_LOGIN.to_owned())
        }
        Reason::Page { destination, status, .. } => {
            ("Response not from the KMS", page_advice(destination, *status))
        }
        Reason::NoRoute => (
            "Not supported by this KMS",
            "The server does not have this endpoint. Either its release is too old, or the provider's \"host\" (or KMS_HOST) is \
             not the address of a KMS."
                .to_owned(),
        ),
        Reason::Redirected { destination, redirect, .. } => redirect_advice(destination, &redirect.kind),
        _ => (
            "Unusable response from the KMS",
            "Check that the provider's \"host\" (or KMS_HOST) is the address of a KMS, and that nothing on the way \
             changes its responses."
                .to_owned(),
        ),
    }
}

/// Advice on a response that something else than the KMS sent.
fn page_advice(destination: &Destination, status: StatusCode) -> String {
    let host = &destination.host;
    let check_host = format!(
        "Check that the provider's \"host\" (or KMS_HOST) is the address of a KMS: {host}/api/status returns \
         JSON there."
    );
    match status.as_u16() {
        200..300 | 401 | 403 => format!(
            "Something in front of the KMS, such as an access gateway or a firewall, may ask for a login or \
             refuse the request. {} {check_host}",
            header_advice(&destination.custom_headers)
        ),
        400 | 402 | 404..=406 | 409..=424 | 426..=428 | 430..=498 | 501 | 505 => format!(
            "Most likely, {host} is another web server, or a proxy in front of the KMS refused the request. \
             {check_host}"
        ),
        _ => format!(
            "Something in front of the KMS, such as a proxy, a load balancer or a firewall, sent this \
             response. {check_host} Check also the network and any proxy on the way."
        ),
    }
}

/// Summary and advice for a redirect that isn't followed.
fn redirect_advice(destination: &Destination, kind: &RedirectKind) -> (&'static str, String) {
    const LOGIN: &str = "Login page in front of the KMS";
    const OTHER: &str = "Redirect from the KMS";
    match kind {
        RedirectKind::Login { is_elsewhere } => {
            let or_moved = if *is_elsewhere {
                " If this is not the address of a login page, but the KMS itself has moved there, change \
                 \"host\" (or KMS_HOST)."
            } else {
                ""
            };
            let headers = header_advice(&destination.custom_headers);
            (
                LOGIN,
                format!(
                    "Something in front of the KMS, such as an access gateway, asks for a login. \
                     {headers}{or_moved}"
                ),
            )
        }
        RedirectKind::Moved { host } => (
            OTHER,
            format!(
                "The provider sends tokens to its \"host\" only. If the KMS has moved, set \"host\" (or \
                 KMS_HOST) to its new address, {host}."
            ),
        ),
        RedirectKind::Https { host } => (
            OTHER,
            format!("The server accepts HTTPS only. Set the provider's \"host\" (or KMS_HOST) to {host}."),
        ),
        RedirectKind::OtherBase { host } => (
            OTHER,
            format!(
                "The KMS has another address on this host. Set the provider's \"host\" (or KMS_HOST) to \
                 {host}."
            ),
        ),
        RedirectKind::Unclear => (
            OTHER,
            format!(
                "The provider follows redirects of reads within its \"host\" only, and no redirect of a \
                 login or a change. Check that the provider's \"host\" (or KMS_HOST) is the address of a \
                 KMS: {}/api/status returns JSON there. Check also the settings of any proxy in front of the \
                 KMS.",
                destination.host
            ),
        ),
    }
}

/// How to send a gateway the headers that it needs, or which ones it did not accept.
fn header_advice(sent: &[String]) -> String {
    let names = match sent {
        [] => {
            return "If it accepts requests with certain headers, such as those of a service token, set them \
                    in the provider's \"custom_headers\", or in KMS_CUSTOM_HEADERS in the form Name=value \
                    Name2=value2."
                .to_owned();
        }
        [name] => format!("header {name}"),
        [names @ .., last] => format!("headers {} and {last}", names.join(", ")),
    };
    format!(
        "The request had the {names} from \"custom_headers\" (or KMS_CUSTOM_HEADERS), which was not enough: \
         check the names and values, and whether they are expired or revoked."
    )
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
                "Could not {task}: dbt refused the token that the KMS used. {}\n\n{said}",
                attributes.credentials_advice
            );
            diagnostics.error(on(attributes.credentials), "dbt refused the credentials", detail);
        }
        ApiErrorKind::UnknownAccount => {
            let detail = format!(
                "Could not {task}: this dbt instance has no such account, or hides it from the token. Check \
                 \"account_id\" and \"instance_url\"{}.\n\n{said}",
                attributes.whose
            );
            diagnostics.error(on(attributes.account), "dbt does not find the account", detail);
        }
        ApiErrorKind::DbtUnavailable => {
            // Credentials that are written are validated first. A deletion may have revoked a token before.
            let unchanged = if attributes.whose.is_empty() { " Nothing was changed." } else { "" };
            let detail = format!(
                "Could not {task}: the KMS could not reach dbt, or dbt could not answer, also when the provider \
                 tried again.{unchanged} If the host of \"instance_url\"{} is right and the KMS can reach it, \
                 apply again when dbt is available.\n\n{said}",
                attributes.whose
            );
            diagnostics.error(on(attributes.instance), "dbt is not available", detail);
        }
        ApiErrorKind::TokenUnconfirmed => {
            let detail = format!(
                "Could not {task}: dbt did not confirm that it created a service token, although the KMS asked \
                 up to four times. The KMS stored nothing. When dbt is available again, check it for service \
                 tokens that are left over, and then apply again.\n\n{said}"
            );
            diagnostics.error(on(attributes.instance), "dbt is not available", detail);
        }
        ApiErrorKind::InstanceUrlRefused => {
            let detail = format!(
                "Could not {task}: the KMS does not call this URL, so it did not ask dbt. \"instance_url\"{} \
                 must be https://HOST with a public host. Only the operator of the KMS can allow private \
                 addresses.\n\n{said}",
                attributes.whose
            );
            diagnostics.error(on(attributes.instance), "Instance URL not allowed by the KMS", detail);
        }
        ApiErrorKind::ValidationFailed => {
            let detail = format!(
                "Could not {task}: the KMS could not validate the credentials with dbt. Check first that the \
                 host of \"instance_url\"{} exists and is one of dbt. If the response below has no reason, the \
                 host has no address. {}\n\n{said}",
                attributes.whose, attributes.credentials_advice
            );
            diagnostics.error(on(attributes.instance), "Validation with dbt failed", detail);
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
            for (number, issue) in error.issues.iter().enumerate() {
                let more = match error.more_issues {
                    more if more > 0 && number + 1 == error.issues.len() => {
                        format!(" The KMS named {more} more problems, which are not shown.")
                    }
                    _ => String::new(),
                };
                let request = request_id(error);
                let detail = format!("Could not {task}: the KMS refused a value. {issue}.{more}{request}");
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
        AuthError::LockedOut { .. } => {
            "The credentials may be right: while the identity is locked, the KMS refuses them too. Wait until the lock ends, by \
             default 5 minutes after the last failed login, or have the lockout removed on the identity's page in the KMS. Then \
             run Terraform again. If that fails, check the credentials before you try once more."
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
    let summary = match error {
        AuthError::LockedOut { .. } => "Machine identity locked",
        _ => "Login to the KMS failed",
    };
    let detail = format!("Could not {task}: {}.\n\n{advice}", kms::report(error));
    diagnostics.error(None, summary, detail);
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

/// Summary and advice for a connection that can't be established, whatever is tried again.
fn obstacle_advice(obstacle: Obstacle) -> (&'static str, String) {
    match obstacle {
        Obstacle::Certificate(problem) => {
            ("Certificate of the server refused", certificate_advice(problem).to_owned())
        }
        Obstacle::NoCommonTls => (NO_CONNECTION, no_common_tls()),
        Obstacle::NotTls => (
            NO_CONNECTION,
            "The server does not speak TLS on this port. Check the scheme and the port of the provider's \
             \"host\" (or KMS_HOST)."
                .to_owned(),
        ),
        Obstacle::UnknownHost => (
            NO_CONNECTION,
            "DNS has no address for this host name. Check the spelling of the provider's \"host\" \
             (or KMS_HOST). If only an internal DNS server has the name, run Terraform where that \
             server is used, for instance connected to the VPN."
                .to_owned(),
        ),
        Obstacle::UnknownProxy => (
            NO_CONNECTION,
            "DNS has no address for the host name of the proxy. Correct or remove the variable that \
             names the proxy, or add the host of the KMS to NO_PROXY."
                .to_owned(),
        ),
        Obstacle::ProxyLogin => (NO_CONNECTION, PROXY_LOGIN.to_owned()),
        Obstacle::UnknownName => (
            NO_CONNECTION,
            "The server has no certificate for this host name. Set the provider's \"host\" (or KMS_HOST) to \
             a name that the server knows."
                .to_owned(),
        ),
        Obstacle::ClientCertificate => (
            NO_CONNECTION,
            "The server requires a TLS certificate of the client, which the provider does not support. Set \
             the provider's \"host\" (or KMS_HOST) to an address that does not require one."
                .to_owned(),
        ),
        Obstacle::AccessDenied => (
            NO_CONNECTION,
            "The server, or a firewall in front of it, refused this client in the TLS handshake. Ask its \
             operator which addresses may connect."
                .to_owned(),
        ),
        Obstacle::NotHttp => (
            NO_CONNECTION,
            "The server does not speak HTTP on this port. Check the scheme and the port of the provider's \
             \"host\" (or KMS_HOST): a port for TLS needs https://."
                .to_owned(),
        ),
    }
}

fn no_common_tls() -> String {
    let offer = kms::cipher_suites();
    let suites = |version: &str| {
        let suites = offer.iter().filter(|(of, _)| *of == version).map(|(_, suite)| suite.as_str());
        suites.collect::<Vec<_>>().join(", ")
    };
    format!(
        "The server and the provider have no TLS version or cipher suite in common. The provider has:\n  TLS \
         1.3 with {}\n  TLS 1.2 with {}\n\nEnable one of these on the server, or on the proxy in front of \
         it. Suites with CBC or without ECDHE are not supported. Some servers respond like this too if they \
         do not know the host name, or if they require a TLS certificate of the client.",
        suites("TLS 1.3"),
        suites("TLS 1.2")
    )
}

fn certificate_advice(problem: CertificateProblem) -> &'static str {
    match problem {
        CertificateProblem::UnknownIssuer => {
            "If a private authority issued it, or that of a proxy which inspects TLS, set the provider's \
             \"ca_certificate_file\" (or KMS_CA_CERTIFICATE_FILE) or \"ca_certificate_pem\" to that \
             authority's certificate. If it is set, check that it is the authority of this server, and that \
             the server sends the intermediate certificates."
        }
        CertificateProblem::SelfSigned => {
            "Get the certificate from the operator of the server, and set the provider's \
             \"ca_certificate_file\" (or KMS_CA_CERTIFICATE_FILE) or \"ca_certificate_pem\" to it."
        }
        CertificateProblem::Authority => {
            "A server may use such a certificate only if it is itself in \"ca_certificate_file\" (or \
             KMS_CA_CERTIFICATE_FILE) or \"ca_certificate_pem\". Set one of them to it, or give the server a \
             certificate with basicConstraints=CA:FALSE."
        }
        CertificateProblem::WrongName => {
            "Set the provider's \"host\" (or KMS_HOST) to a name that the certificate has, or issue the \
             certificate again with the name of the host in its subjectAltName."
        }
        CertificateProblem::NoName => {
            "The common name (CN) does not count. Issue the certificate again with a subjectAltName, such as \
             DNS:kms.example.com or IP:10.0.0.1."
        }
        CertificateProblem::Expired => {
            "Renew the certificate, or correct the clock of this machine if it is wrong."
        }
        CertificateProblem::NotYetValid => {
            "Correct the clock of this machine if it is behind, or issue the certificate again."
        }
        CertificateProblem::Revoked => "Issue a new certificate for the server.",
        CertificateProblem::Version => {
            "Issue the certificate again as version 3, with a subjectAltName. `openssl x509 -req` does this \
             if it has an extension file (-extfile)."
        }
        CertificateProblem::Purpose => {
            "Issue the certificate again with extendedKeyUsage=serverAuth, or without extended key usage."
        }
        CertificateProblem::CriticalExtension => {
            "Issue the certificate again without the extension, or with the extension not marked as critical."
        }
        CertificateProblem::Signature => {
            "Most often, the authority was set up again under the same name. Set \"ca_certificate_file\" (or \
             KMS_CA_CERTIFICATE_FILE) or \"ca_certificate_pem\" to its current certificate."
        }
        CertificateProblem::Algorithm => {
            "Issue the certificate again with an RSA key of 2048 to 8192 bits or an ECDSA key on P-256, \
             P-384 or P-521, and with a signature with SHA-256 or better. SHA-1 is not supported."
        }
        CertificateProblem::Constraint => {
            "Check the basic constraints, name constraints and path length of the authorities in the chain, \
             and issue the certificate by one that may issue it."
        }
        CertificateProblem::Malformed => {
            "Issue the certificate again. `openssl x509 -in FILE -noout -text` shows what it contains."
        }
        CertificateProblem::Other => {
            "Correct the certificate of the server. If a private authority issued it, set the provider's \
             \"ca_certificate_file\" (or KMS_CA_CERTIFICATE_FILE) or \"ca_certificate_pem\" to that \
             authority's certificate."
        }
    }
}
