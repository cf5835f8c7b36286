//! What the server says: JSON answers, and refusals in the one shape that all its errors have.

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
}

/// A request that the server won't perform. The request id is added when it becomes an [`Answer`].
#[derive(Clone, Debug)]
pub struct Refusal {
    pub status: u16,
    pub error: &'static str,
    pub message: Value,
    pub headers: Vec<(&'static str, String)>,
}

impl Refusal {
    pub fn new(status: u16, error: &'static str, message: impl Into<Value>) -> Self {
        Self { status, error, message: message.into(), headers: Vec::new() }
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
        Self::new(403, "PermissionDenied", format!("You are not allowed to {action} on {subject}"))
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
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        let body = json!({
            "reqId": format!("req-{}", random::hex(7)),
            "statusCode": refusal.status,
            "message": refusal.message,
            "error": refusal.error,
        });
        let mut answer = Self::json(refusal.status, &body);
        answer.headers = refusal.headers;
        answer
    }
}
