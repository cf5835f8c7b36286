//! Requests as values: method, route, query, body and repeats. No I/O.

use std::{sync::Arc, time::Duration};

use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use zeroize::Zeroizing;

use super::{
    error::{Error, RequestError},
    fate::{Effect, Reason},
    messages,
};

/// The maximum size of a response with one object, in bytes.
pub(super) const MAX_OBJECT: usize = 1024 * 1024;

/// The maximum size of a response with a list, in bytes. A connection takes less than 800 bytes, so this is
/// enough for as many as are decoded. Several lists can be received at the same time.
pub(super) const MAX_LIST: usize = 8 * 1024 * 1024;

/// The characters that aren't escaped in a path.
const PATH_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// One request, independent of the client that sends it.
#[derive(Debug)]
pub struct Request {
    pub(super) method: Method,
    /// The path with placeholders, for errors.
    pub(super) route: String,
    /// The path, percent-encoded.
    pub(super) path: String,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) body: Option<Zeroizing<Vec<u8>>>,
    pub(super) effect: Effect,
    /// The maximum size of the response, in bytes.
    pub(super) max_response: usize,
    /// The limits of a request that the caller can do without, if lower than configured.
    pub(super) patience: Option<Patience>,
}

/// How long a request is worth waiting for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// The maximum number of repeats after a fault.
    pub(super) max_repeats: u32,
    /// The time limit of one exchange.
    pub(super) timeout: Duration,
}

impl Patience {
    /// The time limit of all exchanges, and of all waiting for the rate limit.
    pub(super) fn total(self) -> Duration {
        self.timeout * (self.max_repeats + 1)
    }
}

impl Request {
    /// A read. `values` fill the route's placeholders, each of which is a path segment that begins with a colon.
    ///
    /// # Errors
    /// `Config` when a value can't be a path segment.
    pub(super) fn get(route: impl Into<String>, values: &[&str]) -> Result<Self, Error> {
        Self::new(Method::GET, Effect::Read, route.into(), values)
    }

    /// A deletion.
    ///
    /// # Errors
    /// `Config` when a value can't be a path segment.
    pub(super) fn delete(route: impl Into<String>, values: &[&str]) -> Result<Self, Error> {
        Self::new(Method::DELETE, Effect::Delete, route.into(), values)
    }

    /// A creation or a change.
    ///
    /// # Errors
    /// `Config` when a value can't be a path segment.
    pub(super) fn write(
        method: Method,
        route: impl Into<String>,
        values: &[&str],
        body: &impl Serialize,
    ) -> Result<Self, Error> {
        Self::new(method, Effect::Write, route.into(), values)?.with_body(body)
    }

    /// A change without body.
    ///
    /// # Errors
    /// `Config` when a value can't be a path segment.
    pub(super) fn write_without_body(
        method: Method,
        route: impl Into<String>,
        values: &[&str],
    ) -> Result<Self, Error> {
        Self::new(method, Effect::Write, route.into(), values)
    }

    /// A login.
    ///
    /// # Errors
    /// `Config` when the body can't be encoded as JSON.
    pub(super) fn login(route: &'static str, body: &impl Serialize) -> Result<Self, Error> {
        Self::new(Method::POST, Effect::Login, route.to_owned(), &[])?.with_body(body)
    }

    fn new(method: Method, effect: Effect, route: String, values: &[&str]) -> Result<Self, Error> {
        let path = fill(&route, values)?;
        Ok(Self {
            method,
            route,
            path,
            query: Vec::new(),
            body: None,
            effect,
            max_response: MAX_OBJECT,
            patience: None,
        })
    }

    fn with_body(mut self, body: &impl Serialize) -> Result<Self, Error> {
        let body = serde_json::to_vec(body).map_err(|error| Error::Config {
            message: messages::no_json_body().to_owned(),
            source: Some(Arc::new(error)),
        })?;
        self.body = Some(Zeroizing::new(body));
        Ok(self)
    }

    /// Adds a query parameter, if it has a value.
    pub(super) fn with_query(mut self, name: &'static str, value: Option<&str>) -> Self {
        self.query.extend(value.map(|value| (name, value.to_owned())));
        self
    }

    /// Expects a response that lists objects.
    pub(super) fn of_list(mut self) -> Self {
        self.max_response = MAX_LIST;
        self
    }

    /// Fails earlier than configured: after this many repeats, each with this timeout, or if the rate limit makes it
    /// wait longer than all of them may take.
    pub(super) fn giving_up_after(mut self, max_repeats: u32, timeout: Duration) -> Self {
        self.patience = Some(Patience { max_repeats, timeout });
        self
    }

    /// Method and route. The server counts all requests of one name together.
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.method, self.route)
    }

    /// The failure of this request.
    pub(super) fn error(&self, reason: Reason) -> Error {
        let (method, route, effect) = (self.method.clone(), self.route.clone(), self.effect);
        Error::Request(Box::new(RequestError { method, route, effect, since: None, proxy: None, reason }))
    }

    /// The failure of this request because of an invalid response.
    pub(super) fn unreadable(&self, problem: impl Into<String>) -> Error {
        self.error(Reason::Unreadable { problem: problem.into() })
    }

    /// Whether it may be abandoned in progress, because it changes nothing.
    pub(super) fn may_be_dropped(&self) -> bool {
        !self.effect.is_change()
    }
}

fn fill(route: &str, values: &[&str]) -> Result<String, Error> {
    let mut values = values.iter();
    let mut path = String::with_capacity(route.len() + 40);
    for segment in route.split('/').skip(1) {
        path.push('/');
        match segment.strip_prefix(':').and_then(|_| values.next()) {
            // These would change the route: URLs resolve dots, and an empty segment means the collection.
            Some(value) if matches!(*value, "" | "." | "..") => {
                let message = messages::invalid_id(value);
                return Err(Error::Config { message, source: None });
            }
            Some(value) => path.extend(utf8_percent_encode(value, PATH_SEGMENT)),
            None => path.push_str(segment),
        }
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_can_not_leave_their_segment_of_the_path() {
        let route = "/api/v1/x/:id/projects";
        assert_eq!(
            fill(route, &["a b/../?#%é~"]).unwrap(),
            "/api/v1/x/a%20b%2F..%2F%3F%23%25%C3%A9~/projects"
        );
        for value in ["", ".", ".."] {
            assert!(matches!(fill(route, &[value]), Err(Error::Config { .. })), "{value}");
        }
    }
}
