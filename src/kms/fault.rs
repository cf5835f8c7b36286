//! What the errors of the HTTP libraries mean, except for those of TLS, and how they are told to users.

use std::{error::Error as StdError, fmt, io, iter::successors};

use super::{error::report, fate::Obstacle, messages};

/// The texts of an unknown name in the system's errors: glibc, musl, macOS and the BSDs. The error has no
/// number.
const UNKNOWN_NAME: [&str; 5] = [
    "Name or service not known",
    "No address associated with",
    "Name does not resolve",
    "Name has no usable address",
    "nodename nor servname provided",
];

/// The beginning of these errors.
const LOOKUP: &str = "failed to lookup address information: ";

/// The same in numbers, on Windows: `WSAHOST_NOT_FOUND` and `WSANO_DATA`.
const UNKNOWN_NAME_CODES: [i32; 2] = [11001, 11004];

/// The error of an exchange in a text for users. The URL, and what a peer sent, aren't part of it.
#[derive(Debug)]
pub(super) struct Fault(String);

impl Fault {
    pub(super) fn new(error: &reqwest::Error) -> Self {
        Self(text(error))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Fault {}

type Cause<'a> = &'a (dyn StdError + 'static);

fn causes(error: &reqwest::Error) -> impl Iterator<Item = Cause<'_>> {
    successors(error.source(), |&error| error.source())
}

fn text(error: &reqwest::Error) -> String {
    for cause in causes(error) {
        if is_unknown_name(cause) {
            return messages::unknown_name().to_owned();
        }
        if let Some(problem) = ProxyProblem::of(cause) {
            return problem.text().to_owned();
        }
        // The text of the error may have debug data of the peer.
        if let Some(error) = cause.downcast_ref::<h2::Error>()
            && let Some(code) = error.reason()
        {
            let frame = if error.is_reset() { "RST_STREAM" } else { "GOAWAY" };
            return messages::http2_error(frame, &format!("{code:?}"));
        }
    }
    // The outer errors only name the library's own layers.
    let telling = causes(error).find(|cause| !is_layer(*cause));
    telling.map_or_else(|| error.to_string(), report)
}

/// Whether an error says nothing besides its cause.
fn is_layer(error: Cause<'_>) -> bool {
    error.is::<hyper_util::client::legacy::Error>() || error.to_string() == UNDERLYING
}

/// The request was never written to a connection.
pub(super) fn is_unsent(error: &reqwest::Error) -> bool {
    let is_canceled =
        |cause: Cause<'_>| cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled);
    error.is_connect() || error.is_builder() || causes(error).any(is_canceled)
}

/// Whether the server promised that it did not process the request, and won't (RFC 9113, section 8.7).
///
/// It does so by refusing the stream, and by a GOAWAY for the streams after the last one that it names. The
/// library gives the error of a GOAWAY that it received to those streams only: the others end as they would
/// without it. No other code of an error promises anything.
pub(super) fn is_unprocessed(error: &reqwest::Error) -> bool {
    let is_promised = |error: &h2::Error| {
        let is_refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
        error.is_remote() && (is_refused || error.is_go_away())
    };
    causes(error).filter_map(|cause| cause.downcast_ref::<h2::Error>()).any(is_promised)
}

/// The permanent obstacle, if the error is one of names or proxies.
pub(super) fn obstacle(error: &reqwest::Error) -> Option<Obstacle> {
    causes(error).find_map(|cause| {
        if is_unknown_name(cause) {
            return Some(Obstacle::UnknownHost);
        }
        ProxyProblem::of(cause)
            .filter(|problem| *problem == ProxyProblem::Login)
            .map(|_| Obstacle::ProxyLogin)
    })
}

/// Whether there is no such name. Any other failure to look it up may be temporary.
fn is_unknown_name(error: Cause<'_>) -> bool {
    let is_unknown = |text: &str| {
        let reason = text.split_once(LOOKUP).map(|(_, reason)| reason);
        reason.is_some_and(|reason| UNKNOWN_NAME.iter().any(|known| reason.starts_with(known)))
    };
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return error.raw_os_error().is_some_and(|code| UNKNOWN_NAME_CODES.contains(&code))
            || is_unknown(&error.to_string());
    }
    // This error shows its cause to nobody else.
    error.to_string() == SOCKS_UNDERLYING && is_unknown(&format!("{error:?}"))
}

/// The text of an error between the client and its proxy, whose cause is shown too.
const UNDERLYING: &str = "tunnel error: failed to create underlying connection";
/// The same with SOCKS, where the cause isn't shown.
const SOCKS_UNDERLYING: &str = "SOCKS error: failed to create underlying connection";

/// How a proxy refused to connect. The library's errors have no other sign than their text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ProxyProblem {
    /// It requires a login, or another one.
    Login,
    /// It didn't connect to the server.
    Refused,
    /// There is no connection to the proxy itself.
    NotReached,
}

impl ProxyProblem {
    fn of(error: Cause<'_>) -> Option<Self> {
        match error.to_string().as_str() {
            "tunnel error: proxy authorization required"
            | "SOCKS error: credentials not accepted"
            | "SOCKS error: server does not support user/pass authentication" => Some(ProxyProblem::Login),
            "tunnel error: unsuccessful" | "tunnel error: unexpected end of file" => {
                Some(ProxyProblem::Refused)
            }
            SOCKS_UNDERLYING => Some(ProxyProblem::NotReached),
            _ => None,
        }
    }

    fn text(self) -> &'static str {
        match self {
            ProxyProblem::Login => messages::proxy_login_required(),
            ProxyProblem::Refused => messages::refused_by_proxy(),
            ProxyProblem::NotReached => messages::proxy_not_reached(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_unknown_name_is_permanent() {
        for (reason, is_unknown) in [
            ("Name or service not known", true),
            ("No address associated with hostname", true),
            ("Name does not resolve", true),
            ("Name has no usable address", true),
            ("nodename nor servname provided, or not known", true),
            ("No address associated with nodename", true),
            ("Temporary failure in name resolution", false),
            ("Try again", false),
            ("Non-recoverable failure in name resolution", false),
            ("Non-recoverable error", false),
            ("System error", false),
        ] {
            let error = io::Error::other(format!("{LOOKUP}{reason}"));
            assert_eq!(is_unknown_name(&error), is_unknown, "{reason}");
            assert!(!is_unknown_name(&io::Error::other(reason)), "{reason} of something else");
        }
        assert!(is_unknown_name(&io::Error::from_raw_os_error(11001)));
        assert!(!is_unknown_name(&io::Error::from_raw_os_error(11002)));
    }
}
