//! What can go wrong in a call to the KMS, and the one place that reads the server's prose.
//!
//! Callers match on [`Error`] and on [`ApiErrorKind`], never on text. `Display` of an error tells that error alone;
//! its causes are reached through [`std::error::Error::source`], and [`report`] prints the whole chain.

use std::{error::Error as StdError, fmt, path::PathBuf, sync::Arc, time::Duration};

use http::{Method, StatusCode};
use serde_json::Value;

use super::AwsError;

/// A cause, shared because one failed login is reported to everybody who waited for it.
pub type Cause = Arc<dyn StdError + Send + Sync + 'static>;

/// Why a call to the KMS gave no result. No variant holds a body or a secret.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration can't be used: a CA certificate that can't be read, or an ID that can't stand in a URL.
    #[error("{message}")]
    Config {
        /// What is wrong, and with what.
        message: String,
        /// What the system or the library said about it.
        source: Option<Cause>,
    },

    /// There is no usable access token. Asking again doesn't help: what was configured has to change.
    #[error(transparent)]
    Auth(#[from] AuthError),

    /// The KMS, or something in front of it, answered with an error.
    #[error(transparent)]
    Api(Box<ApiError>),

    /// No whole answer arrived.
    #[error("{}", match sent {
        Sent::No => format!("no connection to the KMS at {host}"),
        Sent::Perhaps => format!("the answer of the KMS at {host} to {method} {route} was lost"),
    })]
    Transport {
        /// Whether the request may have been performed.
        sent: Sent,
        /// The configured host.
        host: String,
        /// The request's method.
        method: Method,
        /// The request's route, with placeholders in the place of IDs and names.
        route: String,
        /// What happened to the connection.
        source: Cause,
    },

    /// An answer arrived whole, but it isn't what this call answers.
    #[error("the answer to {method} {route} can't be understood: {problem}")]
    Decode {
        /// The request's method.
        method: Method,
        /// The request's route, with placeholders.
        route: String,
        /// What is wrong with the answer, without quoting it.
        problem: String,
    },

    /// The answer sends the request somewhere else, where it won't be sent: the access token stays with the
    /// configured host.
    #[error("{method} {route} was redirected{}, which is not followed", match to {
        Some(to) => format!(" to {to}"),
        None => String::new(),
    })]
    Redirected {
        /// The request's method.
        method: Method,
        /// The request's route, with placeholders.
        route: String,
        /// The HTTP status of the answer.
        status: StatusCode,
        /// Scheme, host and port that it pointed to, if it named any.
        to: Option<String>,
    },

    /// The KMS's rate limit asks for more waiting than this operation may do.
    #[error(
        "the rate limit of the KMS asks to wait another {}s before {method} {route}, after {}s of waiting{}",
        asked.as_secs().max(1),
        waited.as_secs(),
        match message {
            Some(message) => format!(": {message}"),
            None => String::new(),
        }
    )]
    RateLimited {
        /// The request's method.
        method: Method,
        /// The request's route, with placeholders.
        route: String,
        /// How long the operation has waited for rate limits, in all.
        waited: Duration,
        /// How much longer it would have had to wait.
        asked: Duration,
        /// The server's own words, if it said any.
        message: Option<String>,
    },

    /// The operation was stopped before the request was sent, or it was a read. Nothing was changed.
    #[error("stopped before it was done")]
    Cancelled,
}

/// Whether a request may have reached the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It provably wasn't sent.
    No,
    /// It may have been sent, and so may have been performed.
    Perhaps,
}

/// Why there is no usable access token.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// The KMS refused the login. It is never tried again, for a few wrong client secrets lock the identity out.
    #[error("the KMS refused the login with {method}")]
    LoginRefused {
        /// The name of the auth method, such as `Universal Auth`.
        method: &'static str,
        /// What it answered.
        source: Box<ApiError>,
    },

    /// The configured access token has expired, or the KMS doesn't know it. It can't be renewed.
    #[error("the configured access token {}", match source.kind {
        ApiErrorKind::TokenExpired => "has expired or is malformed",
        _ => "is not known to the KMS",
    })]
    TokenRefused {
        /// What the KMS answered.
        source: Box<ApiError>,
    },

    /// Logins succeed, but the KMS refuses every access token that they give.
    #[error("the KMS refuses the access tokens that it has just given")]
    FreshTokensRefused {
        /// What it answered to the last one.
        source: Box<ApiError>,
    },

    /// The Kubernetes service account token can't be read.
    #[error("the Kubernetes service account token can't be read from {}", path.display())]
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
    #[error("the KMS could not verify the AWS identity")]
    AwsIdentityUnverified {
        /// What the KMS answered.
        source: Box<ApiError>,
    },

    /// The access token holds characters that can't be sent in an HTTP header.
    #[error("the access token holds characters that no access token has")]
    TokenMalformed,
}

/// An error answer of the KMS, or of something between it and us.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub struct ApiError {
    /// What it means; the field to match on.
    pub kind: ApiErrorKind,
    /// The HTTP status.
    pub status: StatusCode,
    /// The server's words, or ours when the answer wasn't the KMS's.
    pub message: String,
    /// The fields that broke a rule, when `kind` is [`ApiErrorKind::Invalid`].
    pub issues: Vec<Issue>,
    /// The request's ID in the server's log.
    pub req_id: Option<String>,
    /// The request's method.
    pub method: Method,
    /// The request's route, with placeholders.
    pub route: String,
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: HTTP {}: {}", self.method, self.route, self.status.as_u16(), self.message)?;
        for (number, issue) in self.issues.iter().enumerate() {
            f.write_str(if number == 0 { ": " } else { "; " })?;
            write!(f, "{issue}")?;
        }
        if let Some(req_id) = &self.req_id {
            write!(f, " (request {req_id})")?;
        }
        Ok(())
    }
}

/// One broken rule in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// The field in the request's body, such as `["credentials", "accountId"]`.
    pub path: Vec<String>,
    /// The rule, in the server's words.
    pub message: String,
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path.join("."))?;
        }
        f.write_str(&self.message)
    }
}

/// What an error answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ApiErrorKind {
    /// The KMS itself says that there is no such thing. Never said of an answer that only has the status 404.
    NotFound,
    /// Another connection of the scope has this name.
    NameTaken,
    /// The other side refused the credentials that the KMS tried.
    CredentialsRefused,
    /// The identity lacks a right.
    PermissionDenied,
    /// The access token has expired or is malformed.
    TokenExpired,
    /// The access token is missing or unknown, or a login was refused.
    Unauthorized,
    /// The connection can't be deleted while something uses it.
    InUse,
    /// There is no project with this ID.
    UnknownProject,
    /// Too many requests.
    RateLimited,
    /// A field broke a rule of the server.
    Invalid,
    /// Anything else, and every error answer that isn't the KMS's own.
    Other,
}

impl Error {
    /// The kind of the server's error answer, if it is one.
    pub fn api_kind(&self) -> Option<ApiErrorKind> {
        match self {
            Error::Api(error) => Some(error.kind),
            _ => None,
        }
    }

    /// Whether the KMS said that there is no such thing.
    pub fn is_not_found(&self) -> bool {
        self.api_kind() == Some(ApiErrorKind::NotFound)
    }

    /// Whether the server's certificate is why there is no connection.
    pub fn is_untrusted_certificate(&self) -> bool {
        let mut cause = StdError::source(self);
        while let Some(error) = cause {
            // An I/O error stands for the error that it wraps, and doesn't tell it as its source.
            let mut wrapped: &(dyn StdError + 'static) = error;
            while let Some(inner) = wrapped.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref)
            {
                wrapped = inner;
            }
            if let Some(rustls::Error::InvalidCertificate(_)) = wrapped.downcast_ref() {
                return true;
            }
            cause = error.source();
        }
        false
    }

    /// Whether it is about a request that was to change something, rather than to read or to log in.
    pub fn is_of_write(&self) -> bool {
        let (method, route) = match self {
            Error::Api(error) => (&error.method, &error.route),
            Error::Transport { method, route, .. }
            | Error::Decode { method, route, .. }
            | Error::Redirected { method, route, .. }
            | Error::RateLimited { method, route, .. } => (method, route),
            Error::Config { .. } | Error::Auth(_) | Error::Cancelled => return false,
        };
        *method != Method::GET && !route.starts_with("/api/v1/auth/")
    }

    /// Whether something may have been changed although the request for it ended in this error: its answer was lost,
    /// was a server's fault, or can't be understood.
    pub fn may_have_been_performed(&self) -> bool {
        self.is_of_write()
            && match self {
                Error::Transport { sent, .. } => *sent == Sent::Perhaps,
                Error::Api(error) => error.status.is_server_error(),
                Error::Decode { .. } => true,
                _ => false,
            }
    }

    /// Whether the server has answered the request for a change and refused it, which settles that nothing was changed
    /// by it.
    pub fn is_refused_write(&self) -> bool {
        matches!(self, Error::Api(_)) && self.is_of_write() && !self.may_have_been_performed()
    }
}

/// The error and its causes in one line, each told once.
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

/// An error answer as [`classify`] reads it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Classified {
    pub(super) kind: ApiErrorKind,
    pub(super) message: String,
    pub(super) issues: Vec<Issue>,
    pub(super) req_id: Option<String>,
}

/// Says what an error answer means. The only reader of the server's prose: when it changes, this function and its
/// table of recorded answers change, and nothing else does.
pub(super) fn classify(status: StatusCode, body: &[u8]) -> Classified {
    let Some(answer) = KmsError::parse(status, body) else {
        let kind = match status {
            StatusCode::TOO_MANY_REQUESTS => ApiErrorKind::RateLimited,
            _ => ApiErrorKind::Other,
        };
        let message =
            "the answer is not one of the KMS, but of something in front of it, or of another server";
        return Classified { kind, message: message.to_owned(), issues: Vec::new(), req_id: None };
    };
    let message = answer.message.trim();
    let kind = match (status.as_u16(), answer.error.as_str()) {
        (400, _) => classify_bad_request(message),
        (401, _) => ApiErrorKind::Unauthorized,
        (403, "TokenError") => ApiErrorKind::TokenExpired,
        (403, "PermissionDenied") => ApiErrorKind::PermissionDenied,
        (404, "NotFound") if names_unknown_project(message) => ApiErrorKind::UnknownProject,
        (404, "NotFound") => ApiErrorKind::NotFound,
        (422, _) => ApiErrorKind::Invalid,
        (429, _) => ApiErrorKind::RateLimited,
        _ => ApiErrorKind::Other,
    };
    Classified { kind, message: message.to_owned(), issues: answer.issues, req_id: answer.req_id }
}

fn classify_bad_request(message: &str) -> ApiErrorKind {
    // First, because the text after the colon is the other side's and may say anything.
    if message.starts_with("Failed to validate credentials") {
        return ApiErrorKind::CredentialsRefused;
    }
    let message = message.to_ascii_lowercase();
    if message.contains("with the name") && message.contains("already exists") {
        ApiErrorKind::NameTaken
    } else if message.starts_with("cannot delete")
        || message.contains("in use")
        || message.contains("still use")
    {
        ApiErrorKind::InUse
    } else if names_unknown_project(&message) {
        ApiErrorKind::UnknownProject
    } else {
        ApiErrorKind::Other
    }
}

/// Whether the message says that a project doesn't exist; one that only mentions a project in passing, while it
/// speaks of a connection or a secret, doesn't count.
fn names_unknown_project(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    let subject_is_project = match message.find("project") {
        Some(at) => ["connection", "secret", "folder"].iter().all(|other| !message[..at].contains(other)),
        None => false,
    };
    let is_missing = ["not found", "could not find", "failed to find", "does not exist", "doesn't exist"]
        .iter()
        .any(|words| message.contains(words));
    subject_is_project && is_missing
}

/// The fields of the KMS's error answers.
struct KmsError {
    error: String,
    message: String,
    issues: Vec<Issue>,
    req_id: Option<String>,
}

impl KmsError {
    /// Reads the answer if it is the KMS's own: a JSON object with `error` and `message`, and a `statusCode` that, if
    /// it is there, is that of the answer.
    fn parse(status: StatusCode, body: &[u8]) -> Option<Self> {
        let Value::Object(body) = serde_json::from_slice(body).ok()? else { return None };
        let error = body.get("error")?.as_str()?.to_owned();
        if body.get("statusCode").is_some_and(|code| code.as_u64() != Some(status.as_u16().into())) {
            return None;
        }
        let (message, issues) = match body.get("message")? {
            Value::String(message) => (message.clone(), Vec::new()),
            Value::Array(issues) => {
                ("the request broke a rule".to_owned(), issues.iter().filter_map(issue).collect())
            }
            _ => return None,
        };
        let req_id = body.get("reqId").and_then(Value::as_str).map(str::to_owned);
        Some(Self { error, message, issues, req_id })
    }
}

fn issue(issue: &Value) -> Option<Issue> {
    let message = issue.get("message")?.as_str()?.to_owned();
    let path = match issue.get("path") {
        Some(Value::Array(path)) => path.iter().map(path_step).collect(),
        _ => Vec::new(),
    };
    Some(Issue { path, message })
}

fn path_step(step: &Value) -> String {
    match step {
        Value::String(name) => name.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{ApiErrorKind::*, *};

    fn kms(status: u16, error: &str, message: &str) -> (u16, Vec<u8>) {
        let body = json!({"reqId": "r", "statusCode": status, "message": message, "error": error});
        (status, body.to_string().into_bytes())
    }

    #[test]
    fn error_answers_mean_what_the_server_meant() {
        let refused = "Failed to validate credentials: An account with the name \"x\" already exists";
        let in_use = "Cannot delete App Connection with existing connections. Remove all existing connections and \
                      try again.";
        let table = [
            (kms(400, "BadRequest", "An App Connection with the name \"a\" already exists"), NameTaken),
            (kms(400, "BadRequest", "Failed to validate credentials: 401 Unauthorized"), CredentialsRefused),
            (kms(400, "BadRequest", refused), CredentialsRefused),
            (kms(400, "BadRequest", in_use), InUse),
            (kms(400, "BadRequest", "The App Connection is in use by 2 secret syncs"), InUse),
            (kms(400, "BadRequest", "Project with ID 'p' not found"), UnknownProject),
            (kms(400, "BadRequest", "Could not find project with ID p"), UnknownProject),
            (kms(400, "BadRequest", "App Connection with ID x is not for App \"dbt\""), Other),
            (kms(401, "UnauthorizedError", "Invalid credentials"), Unauthorized),
            (
                kms(403, "PermissionDenied", "You are not allowed to read on app-connections"),
                PermissionDenied,
            ),
            (kms(403, "TokenError", "Your token has expired"), TokenExpired),
            (kms(403, "Forbidden", "This IP address is not allowed"), Other),
            (kms(404, "NotFound", "Could not find App Connection with ID x"), NotFound),
            (kms(404, "NotFound", "Could not find App Connection with name x in project p"), NotFound),
            (kms(404, "NotFound", "Secret with name 'project' not found"), NotFound),
            (kms(404, "NotFound", "Project with ID 'p' not found"), UnknownProject),
            // What the web framework itself says of a route that it doesn't have.
            (kms(404, "Not Found", "Route GET:/api/v1/x not found"), Other),
            (
                kms(429, "RateLimitExceeded", "Rate limit exceeded. Please try again in 9 seconds"),
                RateLimited,
            ),
            (kms(500, "InternalServerError", "Something went wrong"), Other),
            // Not the KMS's own.
            ((404, b"<html>NotFound</html>".to_vec()), Other),
            ((404, b"".to_vec()), Other),
            ((404, b"\"NotFound\"".to_vec()), Other),
            ((404, br#"{"error":"NotFound"}"#.to_vec()), Other),
            ((404, br#"{"statusCode":200,"error":"NotFound","message":"x"}"#.to_vec()), Other),
            ((403, br#"{"error":{"code":"TokenError"},"message":"x"}"#.to_vec()), Other),
            ((401, b"login first".to_vec()), Other),
            ((429, b"slow down".to_vec()), RateLimited),
        ];
        for ((status, body), kind) in table {
            let classified = classify(StatusCode::from_u16(status).unwrap(), &body);
            assert_eq!(classified.kind, kind, "{status} {}", String::from_utf8_lossy(&body));
        }
    }

    #[test]
    fn broken_rules_are_listed_by_field() {
        let body = json!({"reqId": "r7", "statusCode": 422, "error": "ValidationFailure", "message": [
            {"code": "too_big", "path": ["credentials", "accountId"], "message": "Too long"},
            {"code": "custom", "path": ["tags", 3], "message": "No"},
            {"code": "custom", "message": "Never"},
        ]});
        let classified = classify(StatusCode::UNPROCESSABLE_ENTITY, body.to_string().as_bytes());
        assert_eq!(classified.kind, Invalid);
        assert_eq!(classified.req_id.as_deref(), Some("r7"));
        let issues: Vec<String> = classified.issues.iter().map(Issue::to_string).collect();
        assert_eq!(issues, ["credentials.accountId: Too long", "tags.3: No", "Never"]);
    }

    #[test]
    fn foreign_answers_are_not_quoted() {
        let classified = classify(StatusCode::BAD_GATEWAY, b"<html>dbtu_secret</html>");
        assert!(!classified.message.contains("dbtu"));
    }

    #[test]
    fn a_report_tells_every_cause_once() {
        let io = std::io::Error::other("connection reset");
        let error = Error::Transport {
            sent: Sent::Perhaps,
            host: "https://kms.example.com".to_owned(),
            method: Method::POST,
            route: "/api/v1/x".to_owned(),
            source: Arc::new(io),
        };
        assert_eq!(
            report(&error),
            "the answer of the KMS at https://kms.example.com to POST /api/v1/x was lost: connection reset"
        );
        let answer = ApiError {
            kind: Unauthorized,
            status: StatusCode::UNAUTHORIZED,
            message: "Invalid credentials".to_owned(),
            issues: Vec::new(),
            req_id: Some("r1".to_owned()),
            method: Method::POST,
            route: "/login".to_owned(),
        };
        let error: Error =
            AuthError::LoginRefused { method: "Universal Auth", source: Box::new(answer) }.into();
        assert_eq!(
            report(&error),
            "the KMS refused the login with Universal Auth: POST /login: HTTP 401: Invalid credentials (request r1)"
        );
    }
}
