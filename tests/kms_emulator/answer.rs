//! Responses of the server: JSON, refusals in the one shape that its own errors have, and the errors of its framework,
//! which have another shape.

use serde_json::{Value, json};

use super::random;

/// An answer, whole and in memory, before faults are applied to it.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub content_type: &'static str,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(status: u16, body: &Value) -> Self {
        let body = body.to_string().into_bytes();
        Self { status, headers: Vec::new(), content_type: "application/json; charset=utf-8", body }
    }

    pub fn html(status: u16, body: &str) -> Self {
        Self { status, headers: Vec::new(), content_type: "text/html", body: body.as_bytes().to_vec() }
    }

    /// The framework's error when no route matches. It has no request id.
    pub fn no_route(method: &str, url: &str) -> Self {
        let message = format!("Route {method}:{url} not found");
        Self::json(404, &json!({"message": message, "error": "Not Found", "statusCode": 404}))
    }

    /// The framework's error for a path with invalid percent-encoding. It has no request id.
    pub fn bad_url(path: &str) -> Self {
        let message = format!("'{path}' is not a valid url component");
        Self::json(
            400,
            &json!({"error": "Bad Request", "code": "FST_ERR_BAD_URL", "message": message, "statusCode": 400}),
        )
    }
}

/// A request that the server won't perform. The request id is added when it becomes an [`Answer`].
#[derive(Clone, Debug)]
pub struct Refusal {
    pub status: u16,
    pub error: &'static str,
    pub message: Value,
    pub details: Option<Value>,
    pub headers: Vec<(&'static str, String)>,
}

impl Refusal {
    pub fn new(status: u16, error: &'static str, message: impl Into<Value>) -> Self {
        Self { status, error, message: message.into(), details: None, headers: Vec::new() }
    }

    pub fn bad_request(message: impl Into<Value>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub fn unauthorized(message: impl Into<Value>) -> Self {
        Self::new(401, "UnauthorizedError", message)
    }

    /// An access token that was good once, or never could be. Not a 401: clients that renew only on 401 get stuck.
    pub fn token_error(message: impl Into<Value>) -> Self {
        Self::new(403, "TokenError", message)
    }

    pub fn permission_denied(action: &str, subject: &str) -> Self {
        let message = format!("You are not allowed to {action} on {subject}");
        Self { details: Some(json!([])), ..Self::new(403, "PermissionDenied", message) }
    }

    /// A refusal with its reason in `error` and a fixed text in `message`.
    pub fn forbidden(reason: &'static str) -> Self {
        Self::new(403, reason, "You are not allowed to access this resource")
    }

    pub fn not_found(message: impl Into<Value>) -> Self {
        Self::new(404, "NotFound", message)
    }

    pub fn validation(issues: Vec<Value>) -> Self {
        Self::new(422, "ValidationFailure", issues)
    }

    pub fn rate_limited(seconds: u64) -> Self {
        let message = format!("Rate limit exceeded. Please try again in {seconds} seconds");
        let mut refusal = Self::new(429, "RateLimitExceeded", message);
        refusal.headers.push(("retry-after", seconds.to_string()));
        refusal
    }

    /// Whatever the server doesn't expect, bodies that it can't read included.
    pub fn internal() -> Self {
        Self::new(500, "InternalServerError", "Something went wrong")
    }

    /// An internal error that says what happened.
    pub fn internal_because(message: impl Into<Value>) -> Self {
        Self::new(500, "InternalServerError", message)
    }

    /// An error of the database, with the operation in `error`.
    pub fn database(operation: &'static str) -> Self {
        Self::new(500, operation, "Something went wrong")
    }

    /// The server's own error for a status, with the text that it has when nobody gave one.
    pub fn of_status(status: u16) -> Self {
        match status {
            400 => Self::bad_request("The request is invalid"),
            401 => Self::unauthorized("You are not allowed to access this resource"),
            403 => Self::forbidden("ForbiddenError"),
            404 => Self::not_found("The requested entity is not found"),
            422 => Self::validation(vec![
                json!({"code": "custom", "path": ["name"], "message": "Invalid input"}),
            ]),
            429 => Self::rate_limited(1),
            504 => Self::new(504, "GatewayTimeoutError", "Timeout error"),
            status => Self { status, ..Self::internal() },
        }
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        let mut body = json!({
            "reqId": format!("req-{}", random::hex(7)),
            "statusCode": refusal.status,
            "message": refusal.message,
            "error": refusal.error,
        });
        if let Some(details) = refusal.details {
            body["details"] = details;
        }
        let mut answer = Self::json(refusal.status, &body);
        answer.headers = refusal.headers;
        answer
    }
}
