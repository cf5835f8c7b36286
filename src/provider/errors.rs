//! What the user reads when a call to the KMS fails. The only place that words such failures.

use crate::{
    kms::{self, ApiError, ApiErrorKind, AuthError, AwsError, Error, Sent},
    plugin::{diagnostics::Diagnostics, path::Path},
};

/// Which attribute of a type stands for which field of the server's requests. Fields that are not listed are blamed on
/// the whole.
#[derive(Clone, Copy, Debug, Default)]
pub struct Blame {
    /// The attribute of a project that is unknown.
    pub project: Option<&'static str>,
    /// The attribute of a name that is taken.
    pub name: Option<&'static str>,
    /// The attribute of credentials that are refused.
    pub credentials: Option<&'static str>,
    /// The attribute of an object that is not found.
    pub object: Option<&'static str>,
    /// Paths in a request's body, joined by dots, and their attributes.
    pub fields: &'static [(&'static str, &'static str)],
}

impl Blame {
    fn field(&self, path: &[String]) -> Option<&'static str> {
        let path = path.join(".");
        self.fields.iter().find(|(field, _)| *field == path).map(|(_, attribute)| *attribute)
    }
}

/// The diagnostics of a failed call. `task` completes the sentence "Could not ...", for instance
/// `create the dbt connection "analytics"`.
pub fn failure(task: &str, error: &Error, blame: Blame) -> Diagnostics {
    let mut diagnostics = Diagnostics::new();
    match error {
        Error::Api(error) => api_failure(task, error, blame, &mut diagnostics),
        Error::Auth(error) => auth_failure(task, error, &mut diagnostics),
        Error::Config { .. } => {
            let detail = format!("Could not {task}: {}.", kms::report(error));
            diagnostics.error(None, "The KMS client can't be set up", detail);
        }
        Error::Transport { sent, .. } => {
            let advice = match sent {
                Sent::No if error.is_untrusted_certificate() => {
                    "The certificate of the KMS is not trusted here. If it is one of your own, name the authority that \
                     signed it: set the provider's \"ca_certificate_file\" (or KMS_CA_CERTIFICATE_FILE) or \
                     \"ca_certificate_pem\"."
                }
                Sent::No => {
                    "Check the provider's \"host\", the network and any proxy between here and there."
                }
                Sent::Perhaps if !error.is_of_write() => {
                    "Nothing was changed by this. Check the network and the KMS, and run Terraform again."
                }
                Sent::Perhaps => {
                    "The request may have been performed. Run `terraform plan` to see how things are; applying again \
                     is safe."
                }
            };
            let detail = format!("Could not {task}: {}.\n\n{advice}", kms::report(error));
            diagnostics.error(None, "No answer from the KMS", detail);
        }
        Error::Decode { .. } => {
            let detail = format!(
                "Could not {task}: {}.\n\nCheck that the provider's \"host\" is the address of a KMS, and that \
                 nothing between here and there changes its answers.",
                kms::report(error)
            );
            diagnostics.error(None, "Unreadable answer from the KMS", detail);
        }
        Error::Redirected { .. } => {
            let detail = format!(
                "Could not {task}: {}.\n\nTokens are sent to the provider's \"host\" only. If the KMS has moved, set \
                 \"host\" to its new address.",
                kms::report(error)
            );
            diagnostics.error(None, "The KMS answers with a redirect", detail);
        }
        Error::RateLimited { .. } => {
            let detail = format!(
                "Could not {task}: {}.\n\nRun Terraform again later, or let it wait longer: set the provider's \
                 \"max_retry_wait\" (or KMS_MAX_RETRY_WAIT).",
                kms::report(error)
            );
            diagnostics.error(None, "Rate limit of the KMS", detail);
        }
        Error::Cancelled => {
            let detail =
                format!("Terraform asked to stop, so there was no attempt to {task}. Nothing was changed.");
            diagnostics.error(None, "Stopped", detail);
        }
    }
    diagnostics
}

/// How long the server wanted the user to wait is worth a word from here on.
const NOTABLE_WAIT: std::time::Duration = std::time::Duration::from_secs(30);

/// Says that an operation was slow because of the rate limit, if it was.
pub fn note_waiting(operation: &kms::Operation, diagnostics: &mut Diagnostics) {
    let waited = operation.waited();
    if waited >= NOTABLE_WAIT {
        diagnostics.warning(
            None,
            "Slowed down by the rate limit of the KMS",
            format!(
                "This operation waited {} seconds, because the KMS allows only so many requests a minute.",
                waited.as_secs()
            ),
        );
    }
}

fn api_failure(task: &str, error: &ApiError, blame: Blame, diagnostics: &mut Diagnostics) {
    let said = said_by_server(error);
    let on = |attribute: Option<&'static str>| attribute.map(Path::attribute);
    match error.kind {
        ApiErrorKind::CredentialsRefused => {
            let detail = format!(
                "Could not {task}: the KMS tried the credentials at dbt, and dbt refused them. \"instance_url\", \
                 \"account_id\" and \"api_token\" must belong together, and the token must not be expired or \
                 revoked.\n\n{said}"
            );
            diagnostics.error(on(blame.credentials), "dbt refused the credentials", detail);
        }
        ApiErrorKind::NameTaken => {
            diagnostics.error(on(blame.name), "Name already taken", format!("Could not {task}.\n\n{said}"));
        }
        ApiErrorKind::UnknownProject => {
            let detail = format!(
                "Could not {task}: the KMS has no such project, or this machine identity doesn't see it.\n\n{said}"
            );
            diagnostics.error(on(blame.project), "Unknown project", detail);
        }
        ApiErrorKind::PermissionDenied => {
            let detail = format!(
                "Could not {task}: the machine identity that the provider logs in with lacks a right. Give it a role \
                 that has it, in the project or the organization.\n\n{said}"
            );
            diagnostics.error(None, "Not allowed", detail);
        }
        ApiErrorKind::NotFound => {
            let detail = format!("Could not {task}: it doesn't exist.\n\n{said}");
            diagnostics.error(on(blame.object), "Not found", detail);
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
                diagnostics.error(on(blame.field(&issue.path)), "Refused by the KMS", detail);
            }
        }
        ApiErrorKind::TokenExpired | ApiErrorKind::Unauthorized => {
            let detail = format!("Could not {task}.\n\n{said}");
            diagnostics.error(None, "Access token refused", detail);
        }
        _ if error.status.is_server_error() => {
            let detail = format!(
                "Could not {task}: the KMS is out of order, and stayed so.\n\n{said}\n\nApplying again later is safe."
            );
            diagnostics.error(None, "Fault in the KMS", detail);
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

fn said_by_server(error: &ApiError) -> String {
    let status = error.status.as_u16();
    format!("The KMS answered (HTTP {status}): {}{}", error.message, request_id(error))
}

fn request_id(error: &ApiError) -> String {
    error.req_id.as_ref().map(|id| format!("\nRequest ID: {id}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::Method;

    use super::*;

    #[test]
    fn only_a_lost_write_may_have_changed_something() {
        for (method, route, may_have) in [
            (Method::GET, "/api/v1/app-connections/dbt/:id", false),
            (Method::POST, "/api/v1/auth/universal-auth/login", false),
            (Method::POST, "/api/v1/app-connections/dbt", true),
        ] {
            let error = Error::Transport {
                sent: Sent::Perhaps,
                host: "https://kms.example.com".to_owned(),
                method,
                route: route.to_owned(),
                source: Arc::new(std::io::Error::other("reset")),
            };
            let said = format!("{:?}", failure("do it", &error, Blame::default()));
            assert_eq!(said.contains("may have been performed"), may_have, "{said}");
            assert_eq!(said.contains("Nothing was changed"), !may_have, "{said}");
        }
    }
}
