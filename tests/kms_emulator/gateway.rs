//! A gateway in front of the server: it demands headers of its own on every request, logins included.

use super::{faults::Fault, routes::Request};

/// A gateway. It lets through what has all its headers, and sends everything else to its login page.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The response to everything else. It must be one that doesn't perform the request.
    pub otherwise: Fault,
}

impl Gateway {
    /// A gateway that redirects to a login page.
    pub fn with_login_page(headers: &[(&str, &str)], location: &str) -> Self {
        let headers = headers.iter().map(|(name, value)| (name.to_lowercase(), (*value).to_owned()));
        let otherwise = Fault::Redirect { status: 302, location: location.to_owned() };
        Self { headers: headers.collect(), otherwise }
    }

    /// The response to a request that lacks a header, or has it with another value or twice.
    pub fn refusal(&self, request: &Request) -> Option<Fault> {
        let has = |name: &str, value: &str| {
            let mut all = request.headers.iter().filter(|(known, _)| known == name);
            all.next().is_some_and(|(_, found)| found == value) && all.next().is_none()
        };
        let may_pass = self.headers.iter().all(|(name, value)| has(name, value));
        (!may_pass).then(|| self.otherwise.clone())
    }
}
