//! The server's rate limits: per client address and route, in a fixed window that opens with its first request.

use std::{collections::HashMap, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// What a route counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Read,
    Write,
    Secret,
}

/// Requests a window, by kind of route.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct RateLimits {
    pub reads: u64,
    pub writes: u64,
    pub secrets: u64,
    pub window_seconds: u64,
    /// Count all routes of a kind together, as a proxy in front of the server would.
    pub shared_by_kind: bool,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self { reads: 60, writes: 200, secrets: 40, window_seconds: 60, shared_by_kind: false }
    }
}

/// Where a client stands after a request was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub limit: u64,
    pub remaining: u64,
    pub reset_seconds: u64,
    pub refused: bool,
}

#[derive(Debug)]
struct Window {
    opened: Instant,
    count: u64,
}

/// The name of a route, and whether it is that of HEAD.
pub type Route = (&'static str, bool);

/// Counts requests.
#[derive(Debug, Default)]
pub struct RateLimiter {
    limits: Option<RateLimits>,
    windows: HashMap<(String, Kind, Route), Window>,
}

impl RateLimiter {
    /// Changes the limits and forgets what was counted. `None` switches them off.
    pub fn set(&mut self, limits: Option<RateLimits>) {
        self.limits = limits;
        self.windows.clear();
    }

    /// Counts one request; `None` when there are no limits.
    pub fn count(&mut self, client: &str, kind: Kind, route: Route) -> Option<Standing> {
        let limits = self.limits.as_ref()?;
        let limit = match kind {
            Kind::Read => limits.reads,
            Kind::Write => limits.writes,
            Kind::Secret => limits.secrets,
        };
        let length = Duration::from_secs(limits.window_seconds);
        let now = Instant::now();
        let key = (client.to_owned(), kind, if limits.shared_by_kind { ("", false) } else { route });
        let window = self.windows.entry(key).or_insert(Window { opened: now, count: 0 });
        if now - window.opened >= length {
            *window = Window { opened: now, count: 0 };
        }
        window.count += 1;
        let left = length - (now - window.opened);
        Some(Standing {
            limit,
            remaining: limit.saturating_sub(window.count),
            reset_seconds: left.as_millis().div_ceil(1000) as u64,
            refused: window.count > limit,
        })
    }
}

impl Standing {
    pub fn headers(&self) -> [(&'static str, String); 3] {
        [
            ("x-ratelimit-limit", self.limit.to_string()),
            ("x-ratelimit-remaining", self.remaining.to_string()),
            ("x-ratelimit-reset", self.reset_seconds.to_string()),
        ]
    }
}
