//! Faults on demand: what networks, proxies and servers do to answers on bad days.

use std::time::Duration;

use regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What goes wrong. "Before" and "after" are about the moment when the server performs the request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// This answer instead of performing the request. A text body is served as HTML, anything else as JSON.
    Answer { status: u16, body: Value },
    /// Performs the request, then gives this answer.
    AnswerAfter { status: u16, body: Value },
    /// A 429 with this `retry-after`, in seconds.
    RateLimited { seconds: u64 },
    /// The access token is refused as expired.
    TokenExpired,
    /// Closes the connection with a TCP reset; nothing is performed.
    ResetBefore,
    /// Performs the request, then closes the connection with a TCP reset.
    ResetAfter,
    /// Never answers; nothing is performed.
    HangBefore,
    /// Performs the request, then never answers.
    HangAfter,
    /// Waits, then performs the request (even when the client has given up by then), waits again and answers.
    Slow {
        #[serde(default)]
        before_ms: u64,
        #[serde(default)]
        after_ms: u64,
    },
    /// Performs the request, sends this many bytes of the answer's body, then closes the connection.
    Truncate { keep: usize },
    /// Performs the request and answers 200 with a page that is no JSON.
    NotJson,
    /// Answers 200 and streams this many bytes of a JSON text that never ends.
    Oversized { bytes: u64 },
    /// Redirects; nothing is performed.
    Redirect { status: u16, location: String },
    /// Any reply, with the request performed before it, after it or never.
    Respond { status: u16, reply: Reply, performed: Performed },
}

/// The reply to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// The KMS's own JSON: its error for the status, or for a success the result of the request (`{}` if it was not
    /// performed).
    Kms,
    /// The KMS's error when dbt is busy, which comes before the KMS changes anything. Its status is 400.
    DbtUnavailable,
    /// A page of a proxy.
    Html,
    /// JSON of a gateway in front, which is not of the KMS's form.
    Gateway,
    /// A status without a body.
    Empty,
    /// What [`Reply::Kms`] sends, of which half arrives before the connection breaks.
    Cut,
    /// More than 1 MiB.
    Oversized,
    /// A TCP reset. The status is ignored.
    Reset,
    /// The connection closes without a byte. The status is ignored.
    Close,
    /// Nothing, ever. The status is ignored.
    Hang,
}

impl Reply {
    /// Every reply that goes with any status.
    pub const WITH_STATUS: [Self; 6] =
        [Self::Kms, Self::Html, Self::Gateway, Self::Empty, Self::Cut, Self::Oversized];
    /// Every way to get none.
    pub const WITHOUT_STATUS: [Self; 3] = [Self::Reset, Self::Close, Self::Hang];
}

/// Whether the server performs a request, as seen from the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Performed {
    Never,
    Before,
    /// This many milliseconds later, when the client has the reply or has given up.
    Later {
        ms: u64,
    },
}

impl Fault {
    /// A reply that replaces the server's.
    pub fn respond(status: u16, reply: Reply, performed: Performed) -> Self {
        Self::Respond { status, reply, performed }
    }

    pub fn slow(before: Duration, after: Duration) -> Self {
        Self::Slow { before_ms: before.as_millis() as u64, after_ms: after.as_millis() as u64 }
    }
}

/// Which requests a fault hits. The default: every one.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Target {
    pub method: Option<String>,
    /// A path, percent-encoded as on the wire, in which `*` stands for any text.
    pub path: Option<String>,
    /// Let this many matching requests pass first.
    pub skip: u64,
    /// Hit this many, then stop; `None` never stops.
    pub times: Option<u64>,
}

impl Target {
    /// One request of this method and path.
    pub fn once(method: &str, path: &str) -> Self {
        Self { times: Some(1), ..Self::every(method, path) }
    }

    /// All requests of this method and path.
    pub fn every(method: &str, path: &str) -> Self {
        Self { method: Some(method.into()), path: Some(path.into()), skip: 0, times: None }
    }

    /// Let this many matching requests pass first.
    pub fn after(mut self, skip: u64) -> Self {
        self.skip = skip;
        self
    }

    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    fn matches(&self, method: &str, path: &str) -> bool {
        self.method.as_ref().is_none_or(|wanted| wanted == method)
            && self.path.as_ref().is_none_or(|glob| covers(glob, path))
    }
}

fn covers(glob: &str, path: &str) -> bool {
    if !glob.contains('*') {
        return glob == path;
    }
    let parts: Vec<_> = glob.split('*').map(regex::escape).collect();
    Regex::new(&format!("^{}$", parts.join(".*"))).expect("escaped").is_match(path)
}

/// The faults in force.
#[derive(Debug, Default)]
pub struct Faults(Vec<(Target, Fault)>);

impl Faults {
    pub fn add(&mut self, target: Target, fault: Fault) {
        self.0.push((target, fault));
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    pub fn all(&self) -> &[(Target, Fault)] {
        &self.0
    }

    /// The first fault that hits this request. All matching ones count it.
    pub fn strike(&mut self, method: &str, path: &str) -> Option<Fault> {
        let mut hit = None;
        for (target, fault) in self.0.iter_mut().filter(|(target, _)| target.matches(method, path)) {
            if target.skip > 0 {
                target.skip -= 1;
            } else if hit.is_none() && target.times != Some(0) {
                target.times = target.times.map(|times| times - 1);
                hit = Some(fault.clone());
            }
        }
        hit
    }
}
