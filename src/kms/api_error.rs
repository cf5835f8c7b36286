//! The KMS's error responses. Only this file interprets the server's messages.
//!
//! Callers match on [`ApiErrorKind`], never on text. When the server's wording changes, only [`read`] and its table of
//! recorded responses change.

use std::{borrow::Cow, fmt};

use http::StatusCode;
use serde_json::Value;

use super::messages;

/// An error response of the KMS itself.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub struct ApiError {
    /// The kind; the field to match on.
    pub kind: ApiErrorKind,
    /// The HTTP status.
    pub status: StatusCode,
    /// The server's message, without secrets and control characters.
    pub message: String,
    /// The first issues, if the request was invalid.
    pub issues: Vec<Issue>,
    /// How many issues there are besides.
    pub more_issues: usize,
    /// The server's ID of the request, if any.
    pub req_id: Option<String>,
}

impl ApiError {
    /// Whether the response is about an app connection that doesn't exist, or that the identity may not use.
    /// In responses to requests for a rotation, that is the connection of the rotation.
    pub fn is_about_connection(&self) -> bool {
        let message = self.message.to_ascii_lowercase();
        message.starts_with("could not find app connection") || message.contains(" on app-connections")
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let issues: Vec<_> = self.issues.iter().map(ToString::to_string).collect();
        let (status, req_id) = (self.status.as_u16(), self.req_id.as_deref());
        f.write_str(&messages::api_error(status, &self.message, &issues, self.more_issues, req_id))
    }
}

/// One issue of an invalid request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// The field in the request's body, such as `["credentials", "accountId"]`.
    pub path: Vec<String>,
    /// The server's message.
    pub message: String,
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&messages::issue(&self.path, &self.message))
    }
}

/// The kind of an error response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ApiErrorKind {
    /// The object doesn't exist.
    NotFound,
    /// Another object of the scope has this name.
    NameTaken,
    /// A secret of the folder has the name that a rotation needs for its secret.
    SecretTaken,
    /// A rotation failed, in most cases because dbt refused.
    RotationFailed,
    /// A rotation is already in progress.
    InProgress,
    /// The license of the KMS doesn't include this feature.
    PlanRestricted,
    /// The object exists, but it belongs to another app.
    OtherApp,
    /// dbt refused the credentials.
    CredentialsRefused,
    /// dbt has no such account.
    UnknownAccount,
    /// dbt could not be reached, or is busy. Nothing was changed, so the request may be repeated.
    DbtUnavailable,
    /// dbt did not confirm that it created a service token. The KMS stored nothing, but dbt may have created
    /// tokens.
    TokenUnconfirmed,
    /// The KMS itself refuses to call the URL of the dbt instance.
    InstanceUrlRefused,
    /// The KMS could not validate the credentials with dbt, for another or an unknown reason.
    ValidationFailed,
    /// The machine identity lacks a permission.
    PermissionDenied,
    /// The access token is missing, unknown, malformed, expired or used up, or a login was refused.
    Unauthorized,
    /// The machine identity is locked for a while after failed logins, so the right credentials are refused too.
    LockedOut,
    /// The object can't be deleted while something uses it.
    InUse,
    /// There is no project with this ID.
    UnknownProject,
    /// A connection can't be used in this project, because it belongs to another one.
    ConnectionOfOtherProject,
    /// A connection can't be used for dbt, because it is one to another app.
    ConnectionOfOtherApp,
    /// There is no such folder of secrets, or no such environment.
    UnknownFolder,
    /// The secret exists, but the machine identity may not see its value.
    ValueHidden,
    /// The secret refers to another one whose value the machine identity may not see.
    ReferenceDenied,
    /// Too many requests.
    RateLimited,
    /// A field is invalid.
    Invalid,
    /// Anything else.
    Other,
}

/// How many issues of one response are read. A request has fewer fields.
const MAX_ISSUES: usize = 20;

/// How many steps of the path of an issue are read. The fields of requests are not nested as deep.
const MAX_STEPS: usize = 8;

/// Reads an error response. `clean` redacts the server's messages. `None` if the response isn't the KMS's own: a JSON
/// object with `reqId`, `error`, `message`, and a `statusCode` that is that of the response.
pub(super) fn read(status: StatusCode, body: &[u8], clean: impl Fn(&str) -> String) -> Option<ApiError> {
    let Value::Object(body) = serde_json::from_slice(body).ok()? else { return None };
    let error = body.get("error")?.as_str()?;
    let req_id = body.get("reqId")?.as_str().filter(|id| !id.is_empty())?;
    if body.get("statusCode")?.as_u64()? != u64::from(status.as_u16()) {
        return None;
    }
    let mut more_issues = 0;
    let (message, issues) = match body.get("message")? {
        Value::String(message) => (reason(status, error, message.trim()), Vec::new()),
        Value::Array(issues) => {
            let mut texts = issues.iter().filter_map(|issue| Some((issue, issue.get("message")?.as_str()?)));
            let shown =
                texts.by_ref().take(MAX_ISSUES).map(|(value, text)| issue(value, text, &clean)).collect();
            more_issues = texts.count();
            (messages::invalid_request().into(), shown)
        }
        _ => return None,
    };
    let kind = kind(status, error, &message);
    let (message, req_id) = (clean(&message), Some(clean(req_id)));
    Some(ApiError { kind, status, message, issues, more_issues, req_id })
}

/// The message, with the name of the error where that is the reason: some refusals have a sentence as their name, such as
/// "You are not member of this project", and a message that is always the same.
fn reason<'b>(status: StatusCode, error: &'b str, message: &'b str) -> Cow<'b, str> {
    const ALWAYS_THE_SAME: &str = "You are not allowed to access this resource";
    let error = error.trim();
    let is_refusal = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    if !is_refusal || !error.contains(' ') {
        return message.into();
    }
    match message {
        "" | ALWAYS_THE_SAME => error.into(),
        message => format!("{error}: {message}").into(),
    }
}

/// Whether this is the web framework's response to an unknown route.
pub(super) fn is_missing_route(status: StatusCode, body: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct NoRoute {
        status_code: u16,
        error: String,
        message: String,
    }
    status == StatusCode::NOT_FOUND
        && serde_json::from_slice::<NoRoute>(body).is_ok_and(|said| {
            said.status_code == 404
                && said.error == "Not Found"
                && said.message.starts_with("Route ")
                && said.message.ends_with(" not found")
        })
}

fn issue(issue: &Value, message: &str, clean: impl Fn(&str) -> String) -> Issue {
    let path = match issue.get("path") {
        Some(Value::Array(path)) => path.iter().take(MAX_STEPS).map(|step| clean(&path_step(step))).collect(),
        _ => Vec::new(),
    };
    Issue { path, message: clean(message) }
}

fn path_step(step: &Value) -> String {
    match step {
        Value::String(name) => name.clone(),
        other => other.to_string(),
    }
}

fn kind(status: StatusCode, error: &str, message: &str) -> ApiErrorKind {
    match (status.as_u16(), error) {
        (400, _) => kind_of_bad_request(message),
        (401, _) if message.contains("temporarily locked") => ApiErrorKind::LockedOut,
        (401, _) | (403, "TokenError") => ApiErrorKind::Unauthorized,
        (403, "ForbiddenReadSecretError") => ApiErrorKind::ValueHidden,
        (403, _) if message.starts_with(UNREADABLE_SECRET) => match message.contains(REFERRING_SECRET) {
            true => ApiErrorKind::ReferenceDenied,
            false => ApiErrorKind::ValueHidden,
        },
        // The name of the error can be a sentence, such as "You are not member of this project".
        (403, _) => ApiErrorKind::PermissionDenied,
        (404, _) if names_unknown_project(message) => ApiErrorKind::UnknownProject,
        // The error is named after the operation that didn't find the folder.
        (404, "GetSecretByName") => ApiErrorKind::UnknownFolder,
        (404, _) if names_missing_prerequisite(message) => ApiErrorKind::Other,
        (404, _) => ApiErrorKind::NotFound,
        (422, _) => ApiErrorKind::Invalid,
        (429, _) => ApiErrorKind::RateLimited,
        (500, _) if message.contains(ROTATION_FAILURE) => ApiErrorKind::RotationFailed,
        _ => ApiErrorKind::Other,
    }
}

/// The beginning of messages about a secret whose value the identity may not read, while references are
/// expanded.
const UNREADABLE_SECRET: &str = "You do not have permission to read secret ";

/// What follows if it is the target of a reference.
const REFERRING_SECRET: &str = ", which is referenced by secret ";

/// Whether a message reports that something is missing which the KMS needs to find the object: the key that encrypts
/// it, or its organization. The object itself may well exist.
fn names_missing_prerequisite(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["kms with id", "kms key", "organization with id"].iter().any(|start| message.starts_with(start))
}

/// The beginnings of messages that forward an error of a call to dbt. The rest is the text of dbt or of the HTTP
/// library.
const CALLS_OF_DBT: [&str; 4] = [
    "failed to validate credentials",
    "failed to list projects",
    "failed to remove service token",
    CREATION_OF_TOKEN,
];

/// The only call whose failure can leave something at dbt. The KMS itself repeats it.
const CREATION_OF_TOKEN: &str = "failed to create service token";

/// The beginnings of messages without a reason. The KMS found no address for the host, for instance.
const WITHOUT_REASON: [&str; 3] =
    ["unable to validate connection", "unable to list projects", "failed to validate connection credentials"];

/// The beginnings of messages about a URL that the KMS doesn't call.
const URLS_NOT_CALLED: [&str; 5] = [
    "invalid dbt instance url",
    "local ips not allowed",
    "local ip not allowed",
    "private ip",
    "urls with user credentials",
];

/// The text of failed rotations, after the vendor's name.
const ROTATION_FAILURE: &str = "encountered an issue while generating credentials with the configured inputs";

/// The text of the HTTP library about a status, which follows it.
const STATUS: &str = "request failed with status code ";

/// Words of the HTTP library and of Node about the network, and of dbt about its own state.
const UNAVAILABLE: [&str; 23] = [
    "getaddrinfo",
    "enotfound",
    "etimeout",
    "ehostdown",
    "enetdown",
    "aborted",
    "econnrefused",
    "econnreset",
    "econnaborted",
    "etimedout",
    "ehostunreach",
    "enetunreach",
    "eai_again",
    "epipe",
    "socket hang up",
    "socket disconnected",
    "network error",
    "timeout of ",
    "timed out",
    "throttled",
    "too many requests",
    "unavailable",
    "try again",
];

/// What became of a call of dbt, by the text of dbt or of the HTTP library. Both are in lower case.
fn kind_of_dbt_error(call: &str, reason: &str) -> ApiErrorKind {
    let status = reason.split_once(STATUS).and_then(|(_, status)| {
        let digits = status.find(|c: char| !c.is_ascii_digit()).unwrap_or(status.len());
        status[..digits].parse::<u16>().ok()
    });
    let has = |words: &[&str]| words.iter().any(|words| reason.contains(words));
    let unavailable =
        if call == CREATION_OF_TOKEN { ApiErrorKind::TokenUnconfirmed } else { ApiErrorKind::DbtUnavailable };
    match status {
        Some(401 | 403) => ApiErrorKind::CredentialsRefused,
        Some(404) => ApiErrorKind::UnknownAccount,
        Some(408 | 409 | 425 | 429 | 500..) => unavailable,
        Some(_) => ApiErrorKind::ValidationFailed,
        None if has(&UNAVAILABLE) => unavailable,
        None if has(&["not found"]) => ApiErrorKind::UnknownAccount,
        None if has(&["certificate", "altnames", "ssl", "tls", "unknown error"]) => {
            ApiErrorKind::ValidationFailed
        }
        // A reason of dbt, such as "Invalid token.". Of a validation, the KMS forwards none.
        None if call == CALLS_OF_DBT[0] => ApiErrorKind::ValidationFailed,
        None => ApiErrorKind::CredentialsRefused,
    }
}

fn kind_of_bad_request(message: &str) -> ApiErrorKind {
    let message = message.to_ascii_lowercase();
    let begins_with = |starts: &[&str]| starts.iter().any(|start| message.starts_with(start));
    if begins_with(&URLS_NOT_CALLED) {
        ApiErrorKind::InstanceUrlRefused
    } else if begins_with(&WITHOUT_REASON) {
        ApiErrorKind::ValidationFailed
    } else if let Some(call) = CALLS_OF_DBT.into_iter().find(|call| message.starts_with(call)) {
        kind_of_dbt_error(call, &message[call.len()..])
    } else if message.contains("access token number of uses limit reached") {
        ApiErrorKind::Unauthorized
    } else if message.contains("due to plan restriction") {
        ApiErrorKind::PlanRestricted
    } else if message.starts_with("could not find folder") {
        ApiErrorKind::UnknownFolder
    } else if message.starts_with("the following secrets already exist") {
        ApiErrorKind::SecretTaken
    } else if message.starts_with("you cannot connect project app connection") {
        ApiErrorKind::ConnectionOfOtherProject
    } else if message.contains("cannot be used to connect to") {
        ApiErrorKind::ConnectionOfOtherApp
    } else if message.starts_with("a rotation is already in progress") {
        ApiErrorKind::InProgress
    } else if message.contains("is not for app \"")
        || message.contains("is not configured for")
        || message.starts_with("invalid credential format")
    {
        ApiErrorKind::OtherApp
    } else if message.contains(ROTATION_FAILURE) {
        ApiErrorKind::RotationFailed
    } else if message.contains("with the name") && message.contains("already exists") {
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

/// Whether the message reports a missing project. A message about a connection or a secret that only mentions a project
/// doesn't count.
fn names_unknown_project(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    let is_about_project = match message.find("project") {
        Some(at) => ["connection", "secret", "folder"].iter().all(|other| !message[..at].contains(other)),
        None => false,
    };
    let is_missing = ["not found", "could not find", "failed to find", "does not exist", "doesn't exist"];
    is_about_project && is_missing.iter().any(|words| message.contains(words))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{ApiErrorKind::*, *};

    fn response(status: u16, error: &str, message: &str) -> Vec<u8> {
        let body = json!({"reqId": "r", "statusCode": status, "message": message, "error": error});
        body.to_string().into_bytes()
    }

    fn read_plainly(status: u16, body: &[u8]) -> Option<ApiError> {
        read(StatusCode::from_u16(status).unwrap(), body, str::to_owned)
    }

    #[test]
    fn only_the_router_says_that_there_is_no_route() {
        let body = |error: &str, message: &str| {
            json!({"statusCode": 404, "error": error, "message": message}).to_string().into_bytes()
        };
        let missing = body("Not Found", "Route GET:/api/v2/secret-rotations not found");
        assert!(is_missing_route(StatusCode::NOT_FOUND, &missing));
        assert!(!is_missing_route(StatusCode::BAD_GATEWAY, &missing));
        assert!(!is_missing_route(StatusCode::NOT_FOUND, &body("NotFound", "Route not found")));
        assert!(!is_missing_route(StatusCode::NOT_FOUND, &body("Not Found", "No such page")));
        assert!(!is_missing_route(StatusCode::NOT_FOUND, b"<html>Not Found</html>"));
    }

    #[test]
    fn responses_about_the_connection_of_a_rotation_are_recognized() {
        let table = [
            (404, "NotFound", "Could not find App Connection with ID 3f0c", true),
            (403, "PermissionDenied", "You are not allowed to connect on app-connections", true),
            (403, "PermissionDenied", "You are not allowed to create on secret-rotation", false),
            (404, "NotFound", "Could not find DBT Service Token Rotation with ID \"3f0c\"", false),
        ];
        for (status, error, message, expected) in table {
            let read = read_plainly(status, &response(status, error, message)).unwrap();
            assert_eq!(read.is_about_connection(), expected, "{message}");
        }
    }

    #[test]
    fn error_responses_mean_what_the_server_meant() {
        let refused = "Failed to validate credentials: An account with the name \"x\" already exists";
        let in_use = "Cannot delete App Connection with existing connections. Remove all existing connections and \
                      try again.";
        let uses = "Unable to renew because access token number of uses limit reached";
        let table = [
            (400, "BadRequest", "An App Connection with the name \"a\" already exists", NameTaken),
            (400, "BadRequest", refused, ValidationFailed),
            (
                400,
                "BadRequest",
                "A Secret Rotation with the name \"a\" already exists at the secret path \"/\"",
                NameTaken,
            ),
            (
                400,
                "BadRequest",
                "The following secrets already exist at the path \"/\": DBT_TOKEN",
                SecretTaken,
            ),
            (
                400,
                "BadRequest",
                "Could not find folder with path \"/x\" in environment \"dev\" for project with ID \"p\"",
                UnknownFolder,
            ),
            (
                400,
                "BadRequest",
                "Failed to create secret rotation due to plan restriction. Upgrade plan to create secret rotations.",
                PlanRestricted,
            ),
            (400, "BadRequest", "A rotation is already in progress. Please try again shortly.", InProgress),
            (
                400,
                "BadRequest",
                "Secret Rotation with ID \"i\" is not configured for DBT Service Token",
                OtherApp,
            ),
            (404, "NotFound", "Could not find DBT Service Token Rotation with ID \"i\"", NotFound),
            (
                500,
                "InternalServerError",
                "Hanzo KMS encountered an issue while generating credentials with the configured inputs: Invalid token.",
                RotationFailed,
            ),
            (400, "BadRequest", in_use, InUse),
            (400, "BadRequest", "The App Connection is in use by 2 secret syncs", InUse),
            (400, "BadRequest", "Project with ID 'p' not found", UnknownProject),
            (400, "BadRequest", "Could not find project with ID p", UnknownProject),
            (400, "BadRequest", "App Connection with ID x is not for App \"dbt\"", OtherApp),
            (400, "BadRequest", "App Connection with name x is not for App \"dbt\"", OtherApp),
            (400, "BadRequest", uses, Unauthorized),
            (
                401,
                "UnauthorizedError",
                "This identity auth method is temporarily locked, please try again later",
                LockedOut,
            ),
            (401, "UnauthorizedError", "Invalid credentials", Unauthorized),
            (401, "UnauthorizedError", "Failed to renew MI access token due to TTL expiration", Unauthorized),
            (403, "PermissionDenied", "You are not allowed to read on app-connections", PermissionDenied),
            (403, "TokenError", "Your token has expired", Unauthorized),
            (
                403,
                "You are not member of this project",
                "You are not allowed to access this resource",
                PermissionDenied,
            ),
            (
                400,
                "BadRequest",
                "Invalid credential format for github Connection with method API Token",
                OtherApp,
            ),
            (403, "Forbidden", "This IP address is not allowed", PermissionDenied),
            (401, "UnauthorizedError", uses, Unauthorized),
            (429, "RateLimitExceeded", "Failed to acquire lock: rate limit exceeded", RateLimited),
            (404, "NotFound", "Could not find App Connection with ID x", NotFound),
            (
                400,
                "BadRequest",
                "You cannot connect project App Connection with ID \"c\" from project with ID \"p\" to \
                 project with ID \"q\"",
                ConnectionOfOtherProject,
            ),
            (
                400,
                "BadRequest",
                "GitHub Connection with ID c cannot be used to connect to DBT",
                ConnectionOfOtherApp,
            ),
            (404, "NotFound", "Could not find App Connection with name x in project scope.", NotFound),
            (404, "NotFound", "Secret with name 'project' not found", NotFound),
            // Not the object, but what the KMS needs to find it.
            (404, "NotFound", "KMS with ID '1a1a' not found", Other),
            (404, "NotFound", "Organization with ID '1a1a' not found", Other),
            (
                404,
                "GetSecretByName",
                "Folder with path '/a' in environment with slug 'b' not found",
                UnknownFolder,
            ),
            (403, "ForbiddenReadSecretError", "You do not have permission to view secret value", ValueHidden),
            (
                403,
                "ForbiddenReadSecretError",
                "You do not have permission to view secret import value on secret with name 'A'",
                ValueHidden,
            ),
            (
                403,
                "ForbiddenError",
                "You do not have permission to read secret 'A' in environment 'prod' at path '/'.",
                ValueHidden,
            ),
            (
                403,
                "ForbiddenError",
                "You do not have permission to read secret 'B' in environment 'prod' at path '/', which is \
                 referenced by secret 'A' in environment 'dev' at path '/'.",
                ReferenceDenied,
            ),
            (404, "NotFound", "Project with ID 'p' not found", UnknownProject),
            (404, "NotFound", "Project with 3f0c not found", UnknownProject),
            (404, "NotFound", "Project with slug 'p' not found", UnknownProject),
            (429, "RateLimitExceeded", "Rate limit exceeded. Please try again in 9 seconds", RateLimited),
            (500, "InternalServerError", "Something went wrong", Other),
            (504, "GatewayTimeoutError", "Timed out", Other),
        ];
        for (status, error, message, kind) in table {
            let read = read_plainly(status, &response(status, error, message)).unwrap();
            assert_eq!(read.kind, kind, "{status} {message}");
            let shown = if error == "You are not member of this project" { error } else { message };
            assert_eq!((read.message.as_str(), read.req_id.as_deref()), (shown, Some("r")));
        }
    }

    #[test]
    fn causes_of_a_failed_call_of_dbt_are_told_apart() {
        let table = [
            ("Failed to validate credentials: Request failed with status code 401", CredentialsRefused),
            ("Failed to validate credentials: Request failed with status code 403", CredentialsRefused),
            ("Failed to validate credentials: Request failed with status code 404", UnknownAccount),
            ("Failed to validate credentials: Request failed with status code 429", DbtUnavailable),
            ("Failed to validate credentials: Request failed with status code 500", DbtUnavailable),
            ("Failed to validate credentials: Request failed with status code 503", DbtUnavailable),
            ("Failed to validate credentials: Request failed with status code 409", DbtUnavailable),
            ("Failed to validate credentials: Request failed with status code 302", ValidationFailed),
            ("Failed to validate credentials: getaddrinfo ENOTFOUND dbt.example.com", DbtUnavailable),
            ("Failed to validate credentials: getaddrinfo EAI_AGAIN dbt.example.com", DbtUnavailable),
            ("Failed to validate credentials: queryA ENOTFOUND dbt.example.com", DbtUnavailable),
            ("Failed to validate credentials: queryA ETIMEOUT dbt.example.com", DbtUnavailable),
            ("Failed to validate credentials: connect EHOSTDOWN 192.0.2.1:443", DbtUnavailable),
            ("Failed to validate credentials: stream has been aborted", DbtUnavailable),
            ("Failed to validate credentials: connect ECONNREFUSED 192.0.2.1:443", DbtUnavailable),
            ("Failed to validate credentials: connect ETIMEDOUT 192.0.2.1:443", DbtUnavailable),
            ("Failed to validate credentials: read ECONNRESET", DbtUnavailable),
            ("Failed to validate credentials: socket hang up", DbtUnavailable),
            ("Failed to validate credentials: timeout of 30000ms exceeded", DbtUnavailable),
            (
                "Failed to validate credentials: Client network socket disconnected before secure TLS connection was \
                 established",
                DbtUnavailable,
            ),
            ("Failed to validate credentials: certificate has expired", ValidationFailed),
            ("Failed to validate credentials: self-signed certificate", ValidationFailed),
            ("Failed to validate credentials: Unknown error", ValidationFailed),
            ("Unable to validate connection - verify credentials", ValidationFailed),
            ("Failed to list projects: Invalid token.", CredentialsRefused),
            (
                "Failed to list projects: You do not have permission to perform this action.",
                CredentialsRefused,
            ),
            ("Failed to list projects: The requested resource was not found.", UnknownAccount),
            ("Failed to list projects: Request failed with status code 503", DbtUnavailable),
            ("Failed to list projects: Request was throttled.", DbtUnavailable),
            ("Failed to list projects: connect ECONNREFUSED 192.0.2.1:443", DbtUnavailable),
            ("Failed to list projects: Unknown error", ValidationFailed),
            ("Unable to list projects", ValidationFailed),
            ("Failed to create service token: Invalid token.", CredentialsRefused),
            ("Failed to create service token: Request failed with status code 403", CredentialsRefused),
            ("Failed to create service token: Request failed with status code 504", TokenUnconfirmed),
            ("Failed to create service token: socket hang up", TokenUnconfirmed),
            (
                "Failed to remove service token with tokenId 7: Request failed with status code 502",
                DbtUnavailable,
            ),
            ("Failed to remove service token with tokenId 7: Not an owner.", CredentialsRefused),
            (
                "Failed to validate connection credentials. Are you sure your configured DBT app connection \
                 credentials are valid?",
                ValidationFailed,
            ),
            ("Invalid DBT instance URL: urn:a", InstanceUrlRefused),
            ("Local IPs not allowed as URL", InstanceUrlRefused),
            ("URLs with user credentials (e.g., user:pass@) are not allowed", InstanceUrlRefused),
        ];
        for (message, kind) in table {
            let read = read_plainly(400, &response(400, "BadRequest", message)).unwrap();
            assert_eq!(read.kind, kind, "{message}");
        }
    }

    #[test]
    fn the_reason_of_a_refusal_is_shown_wherever_it_stands() {
        let always = "You are not allowed to access this resource";
        let reason = "You are not member of this project";
        for (status, error, message, shown) in [
            (403, reason, always, reason),
            (403, reason, "", reason),
            (401, "Service token is expired", always, "Service token is expired"),
            (403, reason, "Ask an admin.", "You are not member of this project: Ask an admin."),
            (403, "ForbiddenError", always, always),
            (403, "PermissionDenied", "You are not allowed to read on x", "You are not allowed to read on x"),
            // The name of a failed operation isn't a reason.
            (500, "Update by id", "Something went wrong", "Something went wrong"),
        ] {
            let read = read_plainly(status, &response(status, error, message)).unwrap();
            assert_eq!(read.message, shown, "{error}: {message}");
        }
    }

    #[test]
    fn responses_of_others_are_not_taken_for_the_kms_s() {
        let of_router =
            json!({"message": "Route GET:/x not found", "error": "Not Found", "statusCode": 404}).to_string();
        let without = |field: &str| {
            let mut body: Value = serde_json::from_slice(&response(404, "NotFound", "x")).unwrap();
            body.as_object_mut().unwrap().remove(field);
            body.to_string()
        };
        for body in [
            "<html>NotFound</html>".to_owned(),
            String::new(),
            "\"NotFound\"".to_owned(),
            r#"{"message":"Forbidden"}"#.to_owned(),
            r#"{"reqId":"r","statusCode":200,"error":"NotFound","message":"x"}"#.to_owned(),
            r#"{"reqId":"","statusCode":404,"error":"NotFound","message":"x"}"#.to_owned(),
            r#"{"reqId":"r","statusCode":404,"error":{"code":"NotFound"},"message":"x"}"#.to_owned(),
            r#"{"reqId":"r","statusCode":404,"error":"NotFound","message":"x""#.to_owned(),
            of_router.clone(),
            without("reqId"),
            without("statusCode"),
            without("error"),
            without("message"),
        ] {
            assert!(read_plainly(404, body.as_bytes()).is_none(), "{body}");
            let is_missing_route = is_missing_route(StatusCode::NOT_FOUND, body.as_bytes());
            assert_eq!(is_missing_route, body == of_router, "{body}");
        }
        assert!(!is_missing_route(StatusCode::FORBIDDEN, of_router.as_bytes()));
    }

    #[test]
    fn broken_rules_are_listed_by_field() {
        let body = json!({"reqId": "r7", "statusCode": 422, "error": "ValidationFailure", "message": [
            {"code": "too_big", "path": ["credentials", "accountId"], "message": "Too long"},
            {"code": "custom", "path": ["tags", 3], "message": "No"},
            {"code": "custom", "message": "Never"},
        ]});
        let read = read_plainly(422, body.to_string().as_bytes()).unwrap();
        assert_eq!(read.kind, Invalid);
        assert_eq!(read.req_id.as_deref(), Some("r7"));
        let issues: Vec<String> = read.issues.iter().map(Issue::to_string).collect();
        assert_eq!(issues, ["credentials.accountId: Too long", "tags.3: No", "Never"]);
    }

    #[test]
    fn a_flood_of_issues_is_cut_before_it_is_cleaned() {
        let issues: Vec<_> =
            (0..15_000).map(|number| json!({"message": format!("m{number}"), "path": ["p"]})).collect();
        let body = json!({"reqId": "r", "statusCode": 422, "error": "ValidationFailure", "message": issues});
        let cleaned = std::cell::Cell::new(0);
        let clean = |text: &str| {
            cleaned.set(cleaned.get() + 1);
            text.to_owned()
        };
        let error = read(StatusCode::UNPROCESSABLE_ENTITY, body.to_string().as_bytes(), clean).unwrap();
        assert_eq!((error.issues.len(), error.more_issues), (MAX_ISSUES, 14_980));
        assert_eq!(error.issues[19].to_string(), "p: m19");
        assert!(cleaned.get() <= 2 * MAX_ISSUES + 2, "{} texts were cleaned", cleaned.get());
        let text = error.to_string();
        assert!(text.len() < 500 && text.ends_with("p: m19; and 14980 more (request r)"), "{text}");

        let path = vec!["p"; 100_000];
        let body = json!({"reqId": "r", "statusCode": 422, "error": "ValidationFailure",
            "message": [{"message": "deep", "path": path}]});
        let error =
            read(StatusCode::UNPROCESSABLE_ENTITY, body.to_string().as_bytes(), str::to_owned).unwrap();
        assert_eq!((error.issues[0].path.len(), error.more_issues), (MAX_STEPS, 0));
    }

    #[test]
    fn all_that_the_server_says_is_cleaned() {
        let clean = |text: &str| text.replace("dbtu_1", "-");
        let body = json!({"reqId": "dbtu_1", "statusCode": 400, "error": "BadRequest", "message": "dbtu_1"});
        let read_one = read(StatusCode::BAD_REQUEST, body.to_string().as_bytes(), clean).unwrap();
        assert!(!format!("{read_one:?}").contains("dbtu_1"), "{read_one:?}");
        let body = json!({"reqId": "r", "statusCode": 422, "error": "ValidationFailure",
            "message": [{"path": ["dbtu_1"], "message": "dbtu_1"}]});
        let read_one = read(StatusCode::UNPROCESSABLE_ENTITY, body.to_string().as_bytes(), clean).unwrap();
        assert!(!format!("{read_one:?}").contains("dbtu_1"), "{read_one:?}");
    }
}
