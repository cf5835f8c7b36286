//! The fate of a request: whether it was performed. It follows from how the exchange ended and who responded, and only
//! this module decides it.
//!
//! Only a response of the KMS itself proves that it refused a request or that something doesn't exist. Proxies, load
//! balancers and firewalls respond with any status, and their pages prove nothing about the KMS.
//!
//! | the exchange ended with | fate | a read or deletion | a login | a write |
//! |---|---|---|---|---|
//! | no connection | not sent | repeated | repeated | repeated |
//! | no connection, for a permanent reason | not sent | fails | fails | fails |
//! | the promise of HTTP/2 that it wasn't processed | not sent | repeated | repeated | repeated |
//! | no response, or part of one | unknown | repeated | repeated sparingly | looked up |
//! | an error of the KMS, 4xx | refused | fails | fails | fails |
//! | a response of the KMS that it has no such route | refused | fails | fails | fails |
//! | an error of the KMS: dbt is unavailable | refused | repeated | fails | repeated |
//! | an error of the KMS, 429 | refused | waits | waits | waits |
//! | an error of the KMS about the access token | refused | renews the token | fails | renews the token |
//! | an error of the KMS, 5xx | unknown | repeated | repeated sparingly | looked up |
//! | a page of another server, 429 | unknown | waits | waits | looked up |
//! | a page of another server, 2xx, 408, 425, 499 or 5xx | unknown | repeated | repeated sparingly | looked up |
//! | a page of another server, other 4xx | unknown | repeated sparingly | repeated sparingly | looked up |
//! | a redirect that isn't followed | unknown | fails | fails | looked up |
//! | JSON that isn't valid for this call, or too much of it | unknown | fails | fails | looked up |
//! | the expected JSON | done | | | |
//!
//! The steps after the lookup of a write are in [`write`](super::write).

use std::{error::Error as StdError, sync::Arc};

use http::StatusCode;

use super::{
    api_error::{ApiError, ApiErrorKind},
    certificates::CertificateProblem,
};

/// A cause, shared because one failure can be reported to several callers.
pub type Cause = Arc<dyn StdError + Send + Sync + 'static>;

/// The effect of a request on the KMS. It determines whether the request may be repeated, and whether a lost response
/// matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It reads. It may be repeated, and abandoned at any time.
    Read,
    /// It logs in. It changes nothing, but may cost one of a limited number of uses.
    Login,
    /// It creates or changes something, so it must not be performed twice.
    Write,
    /// It deletes something. It may be repeated.
    Delete,
}

impl Effect {
    /// Whether the request changes something.
    pub fn is_change(self) -> bool {
        matches!(self, Effect::Write | Effect::Delete)
    }
}

/// The fate of a request at the KMS, as far as the client can know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It was never sent, or the server promised that it did not and will not process it.
    NotSent,
    /// The KMS itself refused it, so it changed nothing.
    Refused,
    /// It may or may not have been performed.
    Unknown {
        /// Whether the KMS has finished with it, so that a lookup shows the result. Otherwise it may still be in
        /// progress.
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
    /// The response is from a proxy or another server, not from the KMS.
    Page {
        /// Where the request went.
        destination: Destination,
        /// The HTTP status of the response.
        status: StatusCode,
        /// The problem of a response with a successful status, without quoting it.
        problem: Option<&'static str>,
    },
    /// The KMS's own router has no such route: most likely, this release lacks the feature. Nothing was performed.
    NoRoute,
    /// There was no connection, so the request wasn't sent.
    NoConnection {
        /// The configured host.
        host: String,
        /// The permanent obstacle, if one is known.
        obstacle: Option<Obstacle>,
        /// The network error.
        source: Cause,
    },
    /// The server, or a proxy in front of it, did not process the request, and won't: HTTP/2 has signs for
    /// that.
    Unprocessed {
        /// The configured host.
        host: String,
        /// The sign.
        source: Cause,
    },
    /// The request may have been sent, but no complete response arrived.
    NoResponse {
        /// The configured host.
        host: String,
        /// The failure of the connection.
        source: Cause,
    },
    /// The response is complete JSON, but not valid for this call.
    Unreadable {
        /// The problem of the response, without quoting it.
        problem: String,
    },
    /// The response is a redirect that isn't followed: the access token must not leave the configured host.
    Redirected {
        /// Where the request went.
        destination: Destination,
        /// The HTTP status of the response.
        status: StatusCode,
        /// The target, and what it means.
        redirect: Redirect,
    },
}

/// Where a request went, as the client knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The configured host.
    pub host: String,
    /// The names of the custom headers that the request had.
    pub custom_headers: Vec<String>,
}

/// The target of a redirect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// Scheme, host and port of the target, if it has one; on the configured host also the path.
    pub to: Option<String>,
    /// What the redirect means.
    pub kind: RedirectKind,
}

/// What a redirect means, as far as its target shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedirectKind {
    /// Something in front of the KMS asks for a login.
    Login {
        /// Whether the target is on another host.
        is_elsewhere: bool,
    },
    /// The server moved to another host for good.
    Moved {
        /// Its new address.
        host: String,
    },
    /// The server redirects HTTP to HTTPS.
    Https {
        /// The address with HTTPS.
        host: String,
    },
    /// The KMS is below another path or on another port of the configured host.
    OtherBase {
        /// The address with that path or port.
        host: String,
    },
    /// Something else.
    Unclear,
}

/// A permanent reason why a connection can't be established.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// The server's certificate is refused.
    Certificate(CertificateProblem),
    /// The server doesn't speak TLS on this port.
    NotTls,
    /// The server has no version or cipher suite of TLS that the provider has.
    NoCommonTls,
    /// The server has no certificate for this host name.
    UnknownName,
    /// The server requires a certificate of the client.
    ClientCertificate,
    /// The server refused the client in the TLS handshake.
    AccessDenied,
    /// The server doesn't speak HTTP on this port.
    NotHttp,
    /// DNS doesn't know the host name.
    UnknownHost,
    /// DNS doesn't know the host name of the proxy.
    UnknownProxy,
    /// The proxy requires a login, or another one.
    ProxyLogin,
}

/// Whether and how a request is sent again after it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repetition {
    /// As often as configured.
    Freely,
    /// As often as configured, the first time without a pause.
    AtOnce,
    /// A few times, because a repeat may be useless or have a cost.
    Sparingly,
    /// Once the rate limit allows it.
    AfterLimit,
    /// With another access token.
    WithNewToken,
    /// Not at all.
    Never,
}

impl Reason {
    /// The fate of a request that failed for this reason.
    pub fn fate(&self) -> Fate {
        match self {
            Reason::NoConnection { .. } | Reason::Unprocessed { .. } => Fate::NotSent,
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

    /// The same reason, if the connection would have been that to a proxy.
    pub(super) fn at_proxy(mut self) -> Self {
        if let Reason::NoConnection { obstacle: Some(obstacle @ Obstacle::UnknownHost), .. } = &mut self {
            *obstacle = Obstacle::UnknownProxy;
        }
        self
    }

    /// Whether this is a sign of an outage.
    pub(super) fn is_outage(&self) -> bool {
        match self {
            Reason::NoConnection { .. } | Reason::Unprocessed { .. } | Reason::NoResponse { .. } => true,
            Reason::Page { status, .. } => status.is_server_error(),
            _ => false,
        }
    }

    /// How the request may be repeated. `has_token` is whether it had an access token.
    pub(super) fn repetition(&self, effect: Effect, has_token: bool) -> Repetition {
        let in_doubt = match effect {
            Effect::Read | Effect::Delete => Repetition::Freely,
            Effect::Login => Repetition::Sparingly,
            Effect::Write => Repetition::Never,
        };
        match self {
            Reason::NoConnection { obstacle: Some(_), .. } => Repetition::Never,
            Reason::NoConnection { obstacle: None, .. } => Repetition::Freely,
            Reason::Unprocessed { .. } => Repetition::AtOnce,
            Reason::NoResponse { .. } => in_doubt,
            Reason::Api(error) => match error.kind {
                ApiErrorKind::RateLimited => Repetition::AfterLimit,
                ApiErrorKind::Unauthorized if has_token => Repetition::WithNewToken,
                // The KMS asks dbt before it changes anything. Where it asks for a token, this is another kind.
                ApiErrorKind::DbtUnavailable if effect != Effect::Login => Repetition::Freely,
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
        Reason::Api(Box::new(ApiError { kind, status, message, issues, more_issues: 0, req_id }))
    }

    fn page(status: u16) -> Reason {
        let status = StatusCode::from_u16(status).unwrap();
        Reason::Page { destination: destination(), status, problem: None }
    }

    fn destination() -> Destination {
        Destination { host: host(), custom_headers: Vec::new() }
    }

    fn redirected() -> Reason {
        let redirect = Redirect { to: None, kind: RedirectKind::Unclear };
        Reason::Redirected { destination: destination(), status: StatusCode::FOUND, redirect }
    }

    fn host() -> String {
        "https://kms.example.com".to_owned()
    }

    fn cause() -> Cause {
        Arc::new(std::io::Error::other("reset"))
    }

    #[test]
    fn every_end_of_an_exchange_has_one_fate() {
        use ApiErrorKind::{
            DbtUnavailable, NotFound, Other, PermissionDenied, RateLimited, TokenUnconfirmed, Unauthorized,
        };
        let unknown = Fate::Unknown { is_over: false };
        let over = Fate::Unknown { is_over: true };
        let obstacle = Some(Obstacle::NotTls);
        let problem = String::new();
        let table = [
            // reason, fate, a read, a deletion, a login, a write
            (
                Reason::NoConnection { host: host(), obstacle: None, source: cause() },
                Fate::NotSent,
                [Freely; 4],
            ),
            (Reason::NoConnection { host: host(), obstacle, source: cause() }, Fate::NotSent, [Never; 4]),
            (Reason::Unprocessed { host: host(), source: cause() }, Fate::NotSent, [AtOnce; 4]),
            (
                Reason::NoResponse { host: host(), source: cause() },
                unknown,
                [Freely, Freely, Sparingly, Never],
            ),
            (api(400, Other), Fate::Refused, [Never; 4]),
            (api(403, PermissionDenied), Fate::Refused, [Never; 4]),
            (api(404, NotFound), Fate::Refused, [Never; 4]),
            (api(400, DbtUnavailable), Fate::Refused, [Freely, Freely, Never, Freely]),
            (api(400, TokenUnconfirmed), Fate::Refused, [Never; 4]),
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
            (redirected(), unknown, [Never; 4]),
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
