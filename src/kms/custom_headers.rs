//! Headers that the caller adds to every request to the host, for gateways in front of the KMS.

use std::fmt;

use http::{HeaderName, HeaderValue};

use crate::secret::Secret;

/// Additional headers of every request to the host, logins included. Their values are secrets. No other
/// server gets them: no proxy, no target of a redirect on another host, no AWS service.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct CustomHeaders(Vec<CustomHeader>);

#[derive(Clone, PartialEq, Eq)]
struct CustomHeader {
    name: HeaderName,
    /// The name in the caller's spelling.
    shown: String,
    value: Secret,
}

impl CustomHeaders {
    /// Adds a header.
    ///
    /// # Errors
    /// [`HeaderProblem`] when it can't be sent, or would change the meaning of requests.
    pub fn add(&mut self, name: &str, value: &Secret) -> Result<(), HeaderProblem> {
        let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| HeaderProblem::InvalidName)?;
        if let Some(reservation) = reservation(&parsed) {
            return Err(HeaderProblem::Reserved(reservation));
        }
        if self.0.iter().any(|header| header.name == parsed) {
            return Err(HeaderProblem::Repeated);
        }
        check(value)?;
        self.0.push(CustomHeader { name: parsed, shown: name.to_owned(), value: value.clone() });
        Ok(())
    }

    /// The names, in the caller's spelling.
    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(|header| header.shown.clone()).collect()
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Secret> {
        self.0.iter().map(|header| &header.value)
    }

    /// The headers of one request, marked as sensitive.
    pub(super) fn of_request(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        self.0.iter().filter_map(|header| {
            // It was checked when it was added.
            let mut value = HeaderValue::from_str(header.value.expose()).ok()?;
            value.set_sensitive(true);
            Some((header.name.clone(), value))
        })
    }
}

impl fmt::Debug for CustomHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CustomHeaders({:?})", self.names())
    }
}

/// Why a header can't be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderProblem {
    /// The name is empty, or has characters that a header's name can't have.
    InvalidName,
    /// The header has another purpose.
    Reserved(Reservation),
    /// There is a header with this name already. Case makes no difference.
    Repeated,
    /// The value has characters other than printable ASCII, such as a line break.
    InvalidValue,
    /// The value begins or ends with white space, which servers drop or refuse.
    SurroundingSpace,
}

/// The purpose of a header that a caller can't set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reservation {
    /// It has the access token.
    AccessToken,
    /// It describes the request, and the client sets it.
    Request,
    /// It is about the connection to the next server, and the HTTP library sets it.
    Connection,
    /// It is for a proxy, which has its own configuration.
    Proxy,
    /// It asks for a part of a response, or for one only under a condition.
    Condition,
}

fn reservation(name: &HeaderName) -> Option<Reservation> {
    Some(match name.as_str() {
        "authorization" => Reservation::AccessToken,
        "accept" | "accept-encoding" | "content-encoding" | "content-length" | "content-range"
        | "content-type" | "host" | "user-agent" => Reservation::Request,
        "connection" | "expect" | "http2-settings" | "keep-alive" | "te" | "trailer"
        | "transfer-encoding" | "upgrade" => Reservation::Connection,
        "proxy-authenticate" | "proxy-authorization" | "proxy-connection" => Reservation::Proxy,
        "if-match" | "if-modified-since" | "if-none-match" | "if-range" | "if-unmodified-since" | "range" => {
            Reservation::Condition
        }
        // A cookie is allowed: the client has none of its own, and some gateways accept nothing else.
        _ => return None,
    })
}

fn check(value: &Secret) -> Result<(), HeaderProblem> {
    let text = value.expose();
    let is_printable = |text: &str| text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if !is_printable(text.trim()) {
        return Err(HeaderProblem::InvalidValue);
    }
    if text.trim() != text {
        return Err(HeaderProblem::SurroundingSpace);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(name: &str, value: &str) -> Result<(), HeaderProblem> {
        CustomHeaders::default().add(name, &Secret::new(value))
    }

    #[test]
    fn headers_with_another_purpose_are_reserved_in_any_case() {
        use Reservation::{AccessToken, Condition, Connection, Proxy, Request};
        for (name, reservation) in [
            ("Authorization", AccessToken),
            ("AUTHORIZATION", AccessToken),
            ("Host", Request),
            ("Content-Type", Request),
            ("content-length", Request),
            ("Content-Encoding", Request),
            ("Content-Range", Request),
            ("Accept", Request),
            ("Accept-Encoding", Request),
            ("User-Agent", Request),
            ("Connection", Connection),
            ("Keep-Alive", Connection),
            ("TE", Connection),
            ("Trailer", Connection),
            ("Transfer-Encoding", Connection),
            ("Upgrade", Connection),
            ("HTTP2-Settings", Connection),
            ("Expect", Connection),
            ("Proxy-Authorization", Proxy),
            ("Proxy-Authenticate", Proxy),
            ("Proxy-Connection", Proxy),
            ("If-None-Match", Condition),
            ("If-Match", Condition),
            ("If-Modified-Since", Condition),
            ("If-Unmodified-Since", Condition),
            ("If-Range", Condition),
            ("Range", Condition),
        ] {
            assert_eq!(add(name, "x"), Err(HeaderProblem::Reserved(reservation)), "{name}");
        }
        for name in ["CF-Access-Client-Id", "Cookie", "X-Api-Key", "X-Forwarded-For", "Origin", "x_y.z~1"] {
            assert_eq!(add(name, "x"), Ok(()), "{name}");
        }
    }

    #[test]
    fn malformed_names_and_values_are_refused() {
        for name in ["", " ", "X A", "X:A", ":authority", "X-A\n", "X-\u{e9}", "X\u{0}", "\"X\"", "X="] {
            assert_eq!(add(name, "x"), Err(HeaderProblem::InvalidName), "{name:?}");
        }
        for value in ["a\nb", "a\r\nX-B: c", "a\tb", "\u{0}", "a\u{7f}", "\u{e9}", "\u{200b}a", "a\u{a0}b"] {
            assert_eq!(add("X-A", value), Err(HeaderProblem::InvalidValue), "{value:?}");
        }
        for value in ["a\n", "a\r\n", " a", "a ", "\ta", " "] {
            assert_eq!(add("X-A", value), Err(HeaderProblem::SurroundingSpace), "{value:?}");
        }
        for value in ["a b", "a=b==", "\"quoted\"", "!~", ""] {
            assert_eq!(add("X-A", value), Ok(()), "{value:?}");
        }
    }

    #[test]
    fn a_name_occurs_once_whatever_its_case() {
        let mut headers = CustomHeaders::default();
        headers.add("X-Gateway", &Secret::new("1")).unwrap();
        assert_eq!(headers.add("x-gateWAY", &Secret::new("2")), Err(HeaderProblem::Repeated));
        assert_eq!(headers.names(), ["X-Gateway"]);
    }

    #[test]
    fn debug_shows_no_values_and_sent_values_are_sensitive() {
        let mut headers = CustomHeaders::default();
        headers.add("X-Gateway", &Secret::new("hunter2")).unwrap();
        assert_eq!(format!("{headers:?}"), "CustomHeaders([\"X-Gateway\"])");
        let sent: Vec<_> = headers.of_request().collect();
        assert!(sent[0].1.is_sensitive());
        assert!(!format!("{sent:?}").contains("hunter2"));
        assert_eq!((sent[0].0.as_str(), sent[0].1.as_bytes()), ("x-gateway", b"hunter2".as_slice()));
    }
}
