//! The errors of calls to the KMS.
//!
//! Callers match on [`Error`], on [`Reason`] and on [`ApiErrorKind`], never on text. `Display` of an error shows that
//! error alone; its causes are in [`std::error::Error::source`], and [`report`] returns the whole chain.

use std::{error::Error as StdError, fmt, path::PathBuf, time::Duration};

use http::Method;
use tokio::time::Instant;

use super::{
    api_error::{ApiError, ApiErrorKind},
    auth::AwsError,
    fate::{Cause, Effect, Fate, Reason},
    messages,
    text::line,
};

/// The error of a call to the KMS. No variant contains a body or a secret.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration is invalid: for instance, an ID can't be part of a URL.
    #[error("{message}")]
    Config {
        /// The problem.
        message: String,
        /// The error of the system or of the library.
        source: Option<Cause>,
    },

    /// This machine has no certificates of authorities, and the configuration lists none.
    #[error("{}", messages::no_trust_store())]
    NoTrustStore,

    /// There is no usable access token. A repeat doesn't help: the configuration has to change.
    #[error(transparent)]
    Auth(#[from] AuthError),

    /// A request failed.
    #[error(transparent)]
    Request(Box<RequestError>),

    /// The KMS could not be reached a moment ago, so this request wasn't sent.
    #[error("{}", messages::unreachable())]
    Unreachable {
        /// The failure of the last request that was sent.
        source: Box<Error>,
    },

    /// The KMS's rate limit requires a longer wait than this operation allows.
    #[error("{}", messages::rate_limited(request, *waited, *asked, message.as_deref()))]
    RateLimited {
        /// Method and route of the request.
        request: String,
        /// The total time that the operation has waited for rate limits.
        waited: Duration,
        /// The further wait that the KMS requested.
        asked: Duration,
        /// The server's message, if any.
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
    /// The request's route, with placeholders for IDs and names.
    pub route: String,
    /// The effect of the request.
    pub effect: Effect,
    /// When the first attempt of unknown fate was sent, if any.
    pub since: Option<Instant>,
    /// The proxy through which the request went, without its login.
    pub proxy: Option<String>,
    /// Why the last attempt failed.
    pub reason: Reason,
}

impl RequestError {
    /// The fate of the request after all its attempts.
    pub fn fate(&self) -> Fate {
        match (self.reason.fate(), self.since) {
            // The last attempt was never sent, but an earlier one was.
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
            Reason::Page { destination, status, problem } => {
                messages::foreign_response(method, route, &destination.host, status.as_u16(), *problem)
            }
            Reason::NoRoute => messages::no_route(method, route),
            Reason::NoConnection { host, .. } => messages::no_connection(method, route, host),
            Reason::Unprocessed { host, .. } => messages::unprocessed(method, route, host),
            Reason::NoResponse { host, .. } => messages::no_response(method, route, host),
            Reason::Unreadable { problem } => messages::unreadable_response(method, route, problem),
            Reason::Redirected { destination, status, redirect } => {
                let to = redirect.to.as_deref();
                messages::redirected(method, route, &destination.host, status.as_u16(), to)
            }
        })?;
        match &self.proxy {
            Some(proxy) if !matches!(self.reason, Reason::Api(_) | Reason::NoRoute) => {
                f.write_str(&messages::through_proxy(proxy))
            }
            _ => Ok(()),
        }
    }
}

impl StdError for RequestError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.reason {
            Reason::NoConnection { source, .. }
            | Reason::Unprocessed { source, .. }
            | Reason::NoResponse { source, .. } => Some(source.as_ref()),
            _ => None,
        }
    }
}

/// Why there is no usable access token.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// The KMS itself refused the login. It is never repeated, because a few wrong client secrets lock the identity.
    #[error("{}", messages::login_refused(method))]
    LoginRefused {
        /// The name of the auth method, such as `Universal Auth`.
        method: &'static str,
        /// The KMS's response.
        source: Box<ApiError>,
    },

    /// The KMS has locked the machine identity after failed logins. The credentials may be right. Another attempt too early
    /// is refused, so the login isn't repeated.
    #[error("{}", messages::locked_out(method))]
    LockedOut {
        /// The name of the auth method.
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

    /// Logins succeed, but the KMS refuses the access tokens that they return.
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
        /// The system's error.
        source: Cause,
    },

    /// There are no AWS credentials to log in with.
    #[error(transparent)]
    Aws(#[from] AwsError),

    /// The KMS couldn't verify the signer of the AWS STS call. It returns no reason; most often, STS refused the call.
    #[error("{}", messages::aws_identity_unverified())]
    AwsIdentityUnverified {
        /// The KMS's response.
        source: Box<ApiError>,
    },

    /// The access token contains characters that can't be sent in an HTTP header.
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

    /// The same failure of a request that went through a proxy.
    pub(super) fn through(mut self, proxy: Option<String>) -> Self {
        if let Error::Request(error) = &mut self {
            error.proxy = proxy;
        }
        self
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

    /// Whether the KMS itself reported that the object doesn't exist.
    pub fn is_not_found(&self) -> bool {
        self.api_kind() == Some(ApiErrorKind::NotFound)
    }

    /// The fate of the failed change. For a read or a login, no change was sent.
    pub fn fate(&self) -> Fate {
        match self {
            Error::Request(error) if error.effect.is_change() => error.fate(),
            _ => Fate::NotSent,
        }
    }

    /// Whether dbt may have created service tokens that the KMS doesn't know.
    pub fn may_have_left_tokens(&self) -> bool {
        self.may_have_changed_something() || self.api_kind() == Some(ApiErrorKind::TokenUnconfirmed)
    }

    /// Whether something may have been changed although the request for it failed.
    pub fn may_have_changed_something(&self) -> bool {
        matches!(self.fate(), Fate::Unknown { .. })
    }
}

/// The error and its causes on one line, each shown once. Libraries and servers have their words in it.
pub fn report(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut last = text.clone();
    let mut cause = error.source();
    while let Some(error) = cause {
        let part = error.to_string();
        // Some libraries wrap an error without adding text.
        if part != last {
            text.push_str(": ");
            text.push_str(&part);
        }
        last = part;
        cause = error.source();
    }
    line(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::StatusCode;

    use super::*;

    fn failed(effect: Effect, since: Option<Instant>, reason: Reason) -> Error {
        let (method, route) = (Method::POST, "/api/v1/x".to_owned());
        Error::Request(Box::new(RequestError { method, route, effect, since, proxy: None, reason }))
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
            more_issues: 0,
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
