//! The faults of a sequence.
//!
//! [`Failure::played_by`] is the only place that knows the emulator's own faults.

use std::time::Duration;

use kms_emulator::{CLIENT_SECRET, CONNECTIONS, Fault, LOGIN, Performed, ROTATIONS, Reply, Target};
use serde_json::json;

/// Which requests a fault hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Login,
    List,
    Read,
    Find,
    Create,
    Update,
    Delete,
}

/// Which objects the requests are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    Connections,
    Rotations,
}

/// Whether and when the KMS performs the request, relative to the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Before,
    After,
    /// This many tenths of a second after the response.
    Later(u8),
}

/// Who responds, and how much of the response arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// The KMS's own JSON.
    Kms,
    /// A page of a proxy.
    Page,
    /// JSON of a gateway.
    Gateway,
    Empty,
    /// The KMS's own JSON, cut off.
    Cut,
    /// A page of more than 1 MiB.
    TooLarge,
    /// An error of the KMS whose message quotes every secret of the request, and the client secret.
    Quoting,
}

/// The fault of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    Status {
        status: u16,
        body: Body,
        when: When,
    },
    /// A success, cut off after this many bytes.
    Cut {
        keep: u8,
    },
    Reset(When),
    Close(When),
    /// No response within the request timeout.
    Hang(When),
    /// A delay within the request timeout, before or after the KMS performs the request.
    Slow(When),
    TokenExpired,
    RateLimited {
        seconds: u8,
    },
}

/// The provider's `request_timeout`.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(1);

impl Call {
    pub fn method(self) -> &'static str {
        match self {
            Self::Login | Self::Create => "POST",
            Self::List | Self::Read | Self::Find => "GET",
            Self::Update => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    fn path(self, of: Of) -> String {
        let (collection, by_name) = match of {
            Of::Connections => (CONNECTIONS, "connection-name"),
            Of::Rotations => (ROTATIONS, "rotation-name"),
        };
        match self {
            Self::Login => LOGIN.into(),
            Self::List | Self::Create => collection.into(),
            // IDs have four hyphens; the other routes have fewer.
            Self::Read | Self::Update | Self::Delete => format!("{collection}/*-*-*-*-*"),
            Self::Find => format!("{collection}/{by_name}/*"),
        }
    }

    pub fn is_write(self) -> bool {
        matches!(self, Self::Create | Self::Update | Self::Delete)
    }

    pub fn target(self, of: Of, skip: u8, times: u8) -> Target {
        Target::every(self.method(), &self.path(of)).after(u64::from(skip)).times(u64::from(times.max(1)))
    }
}

impl Failure {
    /// The emulator's fault that plays this one.
    pub fn played_by(self, call: Call, tokens: &[&str]) -> Fault {
        let respond = |status, reply, when| Fault::respond(status, reply, performed(when));
        match self {
            Self::Status { status, body, when } => match (body, when) {
                (Body::Kms, _) => respond(status, Reply::Kms, when),
                (Body::Page, _) => respond(status, Reply::Html, when),
                (Body::Gateway, _) => respond(status, Reply::Gateway, when),
                (Body::Empty, _) => respond(status, Reply::Empty, when),
                (Body::Cut, _) => respond(status, Reply::Cut, when),
                (Body::TooLarge, _) => respond(status, Reply::Oversized, when),
                (Body::Quoting, When::Before) => {
                    Fault::Answer { status, body: quoting(status, call, tokens) }
                }
                (Body::Quoting, _) => Fault::AnswerAfter { status, body: quoting(status, call, tokens) },
            },
            Self::Cut { keep } => Fault::Truncate { keep: keep.into() },
            Self::Reset(when) => respond(0, Reply::Reset, when),
            Self::Close(when) => respond(0, Reply::Close, when),
            Self::Hang(when) => respond(0, Reply::Hang, when),
            Self::Slow(When::Before) => Fault::slow(Duration::from_millis(100), Duration::ZERO),
            Self::Slow(_) => Fault::slow(Duration::ZERO, Duration::from_millis(100)),
            Self::TokenExpired => Fault::TokenExpired,
            Self::RateLimited { seconds } => Fault::RateLimited { seconds: seconds.into() },
        }
    }

    /// How long after the response the KMS performs the request.
    pub fn lateness(self) -> Duration {
        match self {
            Self::Status { when: When::Later(tenths), .. }
            | Self::Reset(When::Later(tenths))
            | Self::Close(When::Later(tenths))
            | Self::Hang(When::Later(tenths)) => tenths_of_a_second(tenths),
            _ => Duration::ZERO,
        }
    }

    /// Whether a client can't know what became of the request.
    pub fn leaves_doubt(self) -> bool {
        match self {
            Self::Status { status, body: Body::Kms | Body::Quoting, .. } => status >= 500,
            Self::TokenExpired | Self::RateLimited { .. } | Self::Slow(_) => false,
            _ => true,
        }
    }

    /// Whether a client that retries, or looks the change up, succeeds in the end.
    pub fn is_transient(self, call: Call) -> bool {
        match self {
            // To a login this is a refusal.
            Self::TokenExpired => call != Call::Login,
            Self::Status { status, body: Body::Kms | Body::Quoting, when } => {
                status >= 500 && !matches!(when, When::Later(_))
            }
            // A limit without a time, and a success that may be a newer server's.
            Self::Status { status: 429, .. } => false,
            Self::Status { status: 200, body: Body::Gateway | Body::TooLarge, .. } => false,
            Self::RateLimited { seconds } => seconds <= 1,
            _ => self.lateness() == Duration::ZERO,
        }
    }
}

pub fn tenths_of_a_second(tenths: u8) -> Duration {
    Duration::from_millis(100 * u64::from(tenths))
}

fn performed(when: When) -> Performed {
    match when {
        When::Before => Performed::Never,
        When::After => Performed::Before,
        When::Later(tenths) => Performed::Later { ms: 100 * u64::from(tenths) },
    }
}

/// A message that quotes the client secret and, for a write, the dbt tokens. `tokens` are those that the provider process
/// has at the moment; it can't recognize others as secrets.
fn quoting(status: u16, call: Call, tokens: &[&str]) -> serde_json::Value {
    let tokens = if call.is_write() { tokens } else { &[] };
    let mut message = format!("Upstream failed. Request was: client_secret={CLIENT_SECRET}");
    for token in tokens {
        message.push_str(&format!(" apiToken={token} {}", json!(token)));
    }
    json!({"reqId": "req-of-a-fault", "statusCode": status, "message": message, "error": "InternalServerError"})
}
