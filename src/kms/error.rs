//! What can go wrong in a call to the KMS.
//!
//! Callers match on [`Error`], on [`Reason`] and on [`ApiErrorKind`], never on text. `Display` of an error shows that
//! error alone; its causes are reached through [`std::error::Error::source`], and [`report`] prints the whole chain.

use std::{error::Error as StdError, fmt, path::PathBuf, time::Duration};

use http::Method;
use tokio::time::Instant;

use super::{
    api_error::{ApiError, ApiErrorKind},
    auth::AwsError,
    fate::{Cause, Effect, Fate, Reason},
    messages,
};

/// Why a call to the KMS gave no result. No variant holds a body or a secret.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration can't be used: a CA certificate that can't be read, or an ID that can't be part of a URL.
    #[error("{message}")]
    Config {
        /// What is wrong, and with what.
        message: String,
        /// What the system or the library said about it.
        source: Option<Cause>,
    },

    /// There is no usable access token. Asking again doesn't help: the configuration has to change.
    #[error(transparent)]
    Auth(#[from] AuthError),

    /// A request failed.
    #[error(transparent)]
    Request(Box<RequestError>),

    /// The KMS could not be reached a moment ago, so this request wasn't tried.
    #[error("{}", messages::unreachable())]
    Unreachable {
        /// The failure of the last request that was tried.
        source: Box<Error>,
    },

    /// The KMS's rate limit asks for more waiting than this operation may do.
    #[error("{}", messages::rate_limited(request, *waited, *asked, message.as_deref()))]
    RateLimited {
        /// Method and route of the request.
        request: String,
        /// How long the operation has waited for rate limits, in all.
        waited: Duration,
        /// How much longer it would have had to wait.
        asked: Duration,
        /// The server's own words, if it gave any.
        message: Option<String>,
    },

    /// The operation was stopped before the request was sent, or it was a read. Nothing was changed.
    #[error("{}", messages::cancelled())]
    Cancelled,
}

/// A request that failed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RequestError {
    /// The request's method.
    pub method: Method,
    /// The request's route, with placeholders in the place of IDs and names.
    pub route: String,
    /// What the request does.
    pub effect: Effect,
    /// When the first try was sent whose fate is unknown, if there is one.
    pub since: Option<Instant>,
    /// Why the last try failed.
    pub reason: Reason,
}

impl RequestError {
    /// What became of the request, all its tries taken together.
    pub fn fate(&self) -> Fate {
        match (self.reason.fate(), self.since) {
            // The last try was never sent, but an earlier one was.
            (Fate::NotSent, Some(_)) => Fate::Unknown { is_over: false },
            (fate, _) => fate,
        }
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (method, route) = (self.method.as_str(), self.route.as_str());
        f.write_str(&match &self.reason {
            Reason::Api(error) => messages::failed_request(method, route, &error.to_string()),
            Reason::Page { status, problem } => {
                messages::foreign_response(method, route, status.as_u16(), *problem)
            }
            Reason::NoRoute => messages::no_route(method, route),
            Reason::NoConnection { host, .. } => messages::no_connection(method, route, host),
            Reason::NoResponse { host, .. } => messages::no_response(method, route, host),
            Reason::Unreadable { problem } => messages::unreadable_response(method, route, problem),
            Reason::Redirected { to, .. } => messages::redirected(method, route, to.as_deref()),
        })
    }
}

impl StdError for RequestError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.reason {
            Reason::NoConnection { source, .. } | Reason::NoResponse { source, .. } => Some(source.as_ref()),
            _ => None,
        }
    }
}

/// Why there is no usable access token.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// The KMS itself refused the login. It is never tried again, because a few wrong client secrets lock the identity
    /// out.
    #[error("{}", messages::login_refused(method))]
    LoginRefused {
        /// The name of the auth method, such as `Universal Auth`.
        method: &'static str,
        /// The KMS's response.
        source: Box<ApiError>,
    },

    /// The KMS refused the configured access token. It can't be renewed.
    #[error("{}", messages::token_refused())]
    TokenRefused {
        /// The KMS's response.
        source: Box<ApiError>,
    },

    /// Logins succeed, but the KMS refuses the access tokens that they give.
    #[error("{}", messages::fresh_tokens_refused())]
    FreshTokensRefused {
        /// The KMS's response to the last one.
        source: Box<ApiError>,
    },

    /// The Kubernetes service account token can't be read.
    #[error("{}", messages::unreadable_service_account_token(path))]
    ServiceAccountToken {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: Cause,
    },

    /// There are no AWS credentials to log in with.
    #[error(transparent)]
    Aws(#[from] AwsError),

    /// The KMS couldn't find out who signed the call of AWS STS. It gives no reason; most often, STS refused the call.
    #[error("{}", messages::aws_identity_unverified())]
    AwsIdentityUnverified {
        /// The KMS's response.
        source: Box<ApiError>,
    },

    /// The access token holds characters that can't be sent in an HTTP header.
    #[error("{}", messages::malformed_token())]
    TokenMalformed,
}

impl Error {
    /// Why the request failed, if a request was made.
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Error::Request(error) => Some(&error.reason),
            _ => None,
        }
    }

    /// The KMS's own error response, if that is what it is.
    pub fn api(&self) -> Option<&ApiError> {
        match self.reason() {
            Some(Reason::Api(error)) => Some(error),
            _ => None,
        }
    }

    /// The kind of the KMS's own error response, if that is what it is.
    pub fn api_kind(&self) -> Option<ApiErrorKind> {
        self.api().map(|error| error.kind)
    }

    /// Whether the KMS itself said that the object doesn't exist.
    pub fn is_not_found(&self) -> bool {
        self.api_kind() == Some(ApiErrorKind::NotFound)
    }

    /// What became of the change that failed. If the request that failed was a read or a login, no change was sent.
    pub fn fate(&self) -> Fate {
        match self {
            Error::Request(error) if error.effect.is_change() => error.fate(),
            _ => Fate::NotSent,
        }
    }

    /// Whether something may have been changed although the request for it failed.
    pub fn may_have_changed_something(&self) -> bool {
        matches!(self.fate(), Fate::Unknown { .. })
    }
}

/// The error and its causes in one line, each shown once.
pub fn report(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut last = text.clone();
    let mut cause = error.source();
    while let Some(error) = cause {
        let part = error.to_string();
        // Some libraries wrap an error without adding a word to it.
        if part != last {
            text.push_str(": ");
            text.push_str(&part);
        }
        last = part;
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::StatusCode;

    use super::*;

    fn failed(effect: Effect, since: Option<Instant>, reason: Reason) -> Error {
        let (method, route) = (Method::POST, "/api/v1/x".to_owned());
        Error::Request(Box::new(RequestError { method, route, effect, since, reason }))
    }

    fn host() -> String {
        "https://kms.example.com".to_owned()
    }

    fn reset() -> Cause {
        Arc::new(std::io::Error::other("connection reset"))
    }

    #[test]
    fn a_report_shows_every_cause_once() {
        let error = failed(Effect::Write, None, Reason::NoResponse { host: host(), source: reset() });
        assert_eq!(
            report(&error),
            "no complete response from the KMS at https://kms.example.com to POST /api/v1/x: connection reset"
        );
        let response = ApiError {
            kind: ApiErrorKind::Unauthorized,
            status: StatusCode::UNAUTHORIZED,
            message: "Invalid credentials".to_owned(),
            issues: Vec::new(),
            req_id: Some("r1".to_owned()),
        };
        let error: Error =
            AuthError::LoginRefused { method: "Universal Auth", source: Box::new(response) }.into();
        assert_eq!(
            report(&error),
            "the KMS refused the login with Universal Auth: HTTP 401: Invalid credentials (request r1)"
        );
    }

    #[test]
    fn only_a_change_of_unknown_fate_may_have_changed_something() {
        let lost = || Reason::NoResponse { host: host(), source: reset() };
        let unsent = || Reason::NoConnection { host: host(), obstacle: None, source: reset() };
        for (effect, since, reason, may_have) in [
            (Effect::Read, None, lost(), false),
            (Effect::Login, None, lost(), false),
            (Effect::Write, None, lost(), true),
            (Effect::Delete, None, lost(), true),
            (Effect::Write, None, unsent(), false),
            (Effect::Write, Some(Instant::now()), unsent(), true),
        ] {
            let error = failed(effect, since, reason);
            assert_eq!(error.may_have_changed_something(), may_have, "{error:?}");
        }
    }
}
