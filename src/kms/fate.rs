//! What became of a request. The one place that decides it, from how the exchange ended and whose word that is.
//!
//! Only the KMS itself can say that it refused a request or that something doesn't exist. Proxies, load balancers and
//! firewalls answer with any status, and such a page says nothing about what the KMS did.
//!
//! | the exchange ended with | fate | a read or deletion | a login | a write |
//! |---|---|---|---|---|
//! | no connection | not sent | repeated | repeated | repeated |
//! | no connection, for a lasting reason | not sent | fails | fails | fails |
//! | no response, or part of one | unknown | repeated | repeated sparingly | looked up |
//! | an error of the KMS, 4xx | refused | fails | fails | fails |
//! | that the KMS has no such route | refused | fails | fails | fails |
//! | an error of the KMS, 429 | refused | waits | waits | waits |
//! | an error of the KMS about the access token | refused | renews the token | fails | renews the token |
//! | an error of the KMS, 5xx | unknown | repeated | repeated sparingly | looked up |
//! | somebody else's page, 429 | unknown | waits | waits | looked up |
//! | somebody else's page, 2xx, 408, 425, 499 or 5xx | unknown | repeated | repeated sparingly | looked up |
//! | the word of a router that it has no such route | unknown | a read fails, a deletion is repeated sparingly | repeated sparingly | looked up |
//! | somebody else's page, other 4xx | unknown | repeated sparingly | repeated sparingly | looked up |
//! | a redirect that isn't followed | unknown | fails | fails | looked up |
//! | JSON that this call can't have, or too much of it | unknown | fails | fails | looked up |
//! | the expected JSON | done | | | |
//!
//! What follows a look-up of a write is in [`write`](super::write).

use std::{error::Error as StdError, sync::Arc};

use http::StatusCode;

use super::api_error::{ApiError, ApiErrorKind};

/// A cause, shared because one failure can be reported to several callers.
pub type Cause = Arc<dyn StdError + Send + Sync + 'static>;

/// What a request does at the KMS. It decides whether the request may be repeated, and whether a lost response matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It reads. Performing it twice is the same as once, and it may be given up at any time.
    Read,
    /// It logs in. It changes nothing, but may cost one of a limited number of uses.
    Login,
    /// It creates or changes something, so it must not be performed twice.
    Write,
    /// It deletes something. Performing it twice is the same as once.
    Delete,
}

impl Effect {
    /// Whether the request is meant to change something.
    pub fn is_change(self) -> bool {
        matches!(self, Effect::Write | Effect::Delete)
    }
}

/// What became of a request at the KMS, as far as this side can know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It was never sent.
    NotSent,
    /// The KMS itself refused it, so it changed nothing.
    Refused,
    /// It may or may not have been performed.
    Unknown {
        /// Whether the KMS has finished with it, so that a look at the KMS settles the question. Otherwise it may still
        /// be under way.
        is_over: bool,
    },
    /// The KMS performed it.
    Done,
}

/// Why a request failed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Reason {
    /// The KMS itself responded with an error.
    Api(Box<ApiError>),
    /// The response isn't the KMS's, but that of something in front of it or of another server.
    Page {
        /// The HTTP status of the response.
        status: StatusCode,
        /// What is wrong with a response that has a status of success, without quoting it.
        problem: Option<&'static str>,
    },
    /// The server's router has no such route: most likely, the server is of a release without this feature. It is the router of
    /// the KMS itself that says so, so nothing was performed.
    NoRoute,
    /// There was no connection, so the request wasn't sent.
    NoConnection {
        /// The configured host.
        host: String,
        /// What stands in the way, where that is known and lasting.
        obstacle: Option<Obstacle>,
        /// What the network said.
        source: Cause,
    },
    /// The request may have been sent, but no whole response arrived.
    NoResponse {
        /// The configured host.
        host: String,
        /// What happened to the connection.
        source: Cause,
    },
    /// A whole JSON response that this call can't have.
    Unreadable {
        /// What is wrong with the response, without quoting it.
        problem: String,
    },
    /// The response redirects the request to where it isn't sent: the access token stays with the configured host.
    Redirected {
        /// The HTTP status of the response.
        status: StatusCode,
        /// Scheme, host and port of the target, if it named one.
        to: Option<String>,
    },
}

/// What keeps a connection from being made, and will keep doing so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// Nobody that is trusted here signed the server's certificate.
    UntrustedCertificate,
    /// The server's certificate is for another name.
    WrongName,
    /// The server's certificate has expired or isn't valid yet.
    CertificateDates,
    /// The server doesn't speak TLS on this port.
    NotTls,
    /// The server doesn't speak HTTP on this port.
    NotHttp,
}

/// Whether and how a request is sent again after it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repetition {
    /// As often as configured.
    Freely,
    /// A few times, although that may be in vain or cost something.
    Sparingly,
    /// Once the rate limit allows it.
    AfterLimit,
    /// With another access token.
    WithNewToken,
    /// Not at all.
    Never,
}

impl Reason {
    /// What became of the request that failed for this reason.
    pub fn fate(&self) -> Fate {
        match self {
            Reason::NoConnection { .. } => Fate::NotSent,
            Reason::Api(error) if error.status.is_server_error() => Fate::Unknown { is_over: true },
            Reason::Api(_) | Reason::NoRoute => Fate::Refused,
            Reason::Page { .. }
            | Reason::NoResponse { .. }
            | Reason::Unreadable { .. }
            | Reason::Redirected { .. } => Fate::Unknown { is_over: false },
        }
    }

    /// Whether the KMS itself responded.
    pub(super) fn is_of_kms(&self) -> bool {
        matches!(self, Reason::Api(_) | Reason::NoRoute | Reason::Unreadable { .. })
    }

    /// Whether it looks as if nobody serves the KMS's address at the moment.
    pub(super) fn is_outage(&self) -> bool {
        match self {
            Reason::NoConnection { .. } | Reason::NoResponse { .. } => true,
            Reason::Page { status, .. } => status.is_server_error(),
            _ => false,
        }
    }

    /// Whether the request may be sent again as it is. `has_token` says whether it carried an access token.
    pub(super) fn repetition(&self, effect: Effect, has_token: bool) -> Repetition {
        let in_doubt = match effect {
            Effect::Read | Effect::Delete => Repetition::Freely,
            Effect::Login => Repetition::Sparingly,
            Effect::Write => Repetition::Never,
        };
        match self {
            Reason::NoConnection { obstacle: Some(_), .. } => Repetition::Never,
            Reason::NoConnection { obstacle: None, .. } => Repetition::Freely,
            Reason::NoResponse { .. } => in_doubt,
            Reason::Api(error) => match error.kind {
                ApiErrorKind::RateLimited => Repetition::AfterLimit,
                ApiErrorKind::Unauthorized if has_token => Repetition::WithNewToken,
                _ if error.status.is_server_error() => in_doubt,
                _ => Repetition::Never,
            },
            Reason::Page { status, .. } => match (status.as_u16(), effect) {
                (_, Effect::Write) => Repetition::Never,
                (429, _) => Repetition::AfterLimit,
                (200..300 | 408 | 425 | 499 | 500.., _) => in_doubt,
                _ => Repetition::Sparingly,
            },
            Reason::NoRoute | Reason::Unreadable { .. } | Reason::Redirected { .. } => Repetition::Never,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Effect::*, Repetition::*, *};

    fn api(status: u16, kind: ApiErrorKind) -> Reason {
        let status = StatusCode::from_u16(status).unwrap();
        let (message, issues, req_id) = (String::new(), Vec::new(), None);
        Reason::Api(Box::new(ApiError { kind, status, message, issues, req_id }))
    }

    fn page(status: u16) -> Reason {
        Reason::Page { status: StatusCode::from_u16(status).unwrap(), problem: None }
    }

    fn host() -> String {
        "https://kms.example.com".to_owned()
    }

    fn cause() -> Cause {
        Arc::new(std::io::Error::other("reset"))
    }

    #[test]
    fn every_end_of_an_exchange_has_one_fate() {
        use ApiErrorKind::{NotFound, Other, PermissionDenied, RateLimited, Unauthorized};
        let unknown = Fate::Unknown { is_over: false };
        let over = Fate::Unknown { is_over: true };
        let obstacle = Some(Obstacle::NotTls);
        let (to, status, problem) = (None, StatusCode::FOUND, String::new());
        let table = [
            // reason, fate, a read, a deletion, a login, a write
            (
                Reason::NoConnection { host: host(), obstacle: None, source: cause() },
                Fate::NotSent,
                [Freely; 4],
            ),
            (Reason::NoConnection { host: host(), obstacle, source: cause() }, Fate::NotSent, [Never; 4]),
            (
                Reason::NoResponse { host: host(), source: cause() },
                unknown,
                [Freely, Freely, Sparingly, Never],
            ),
            (api(400, Other), Fate::Refused, [Never; 4]),
            (api(403, PermissionDenied), Fate::Refused, [Never; 4]),
            (api(404, NotFound), Fate::Refused, [Never; 4]),
            (api(429, RateLimited), Fate::Refused, [AfterLimit; 4]),
            (api(403, Unauthorized), Fate::Refused, [WithNewToken; 4]),
            (api(500, Other), over, [Freely, Freely, Sparingly, Never]),
            (api(504, Other), over, [Freely, Freely, Sparingly, Never]),
            (page(200), unknown, [Freely, Freely, Sparingly, Never]),
            (page(400), unknown, [Sparingly, Sparingly, Sparingly, Never]),
            (page(401), unknown, [Sparingly, Sparingly, Sparingly, Never]),
            (page(403), unknown, [Sparingly, Sparingly, Sparingly, Never]),
            (page(404), unknown, [Sparingly, Sparingly, Sparingly, Never]),
            (page(408), unknown, [Freely, Freely, Sparingly, Never]),
            (page(413), unknown, [Sparingly, Sparingly, Sparingly, Never]),
            (page(429), unknown, [AfterLimit, AfterLimit, AfterLimit, Never]),
            (page(499), unknown, [Freely, Freely, Sparingly, Never]),
            (page(502), unknown, [Freely, Freely, Sparingly, Never]),
            (Reason::NoRoute, Fate::Refused, [Never; 4]),
            (page(599), unknown, [Freely, Freely, Sparingly, Never]),
            (Reason::Redirected { status, to }, unknown, [Never; 4]),
            (Reason::Unreadable { problem }, unknown, [Never; 4]),
        ];
        for (reason, fate, expected) in table {
            assert_eq!(reason.fate(), fate, "{reason:?}");
            let actual = [Read, Delete, Login, Write].map(|effect| reason.repetition(effect, true));
            assert_eq!(actual, expected, "{reason:?}");
        }
        assert_eq!(api(403, Unauthorized).repetition(Login, false), Never);
    }
}
