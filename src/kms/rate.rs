//! The process-wide view of the server's rate limits.
//!
//! The KMS counts requests per client address and route in a window of 60 s. All operations of a client share one
//! [`Gate`] per [`Kind`] of request, so the first that learns that the window is used up pauses them all, once,
//! instead of each finding out for itself. [`Window`] is the pure core; [`Gate`] adds the waiting.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::HeaderMap;
use time::{OffsetDateTime, format_description::well_known::Rfc2822};
use tokio::{sync::Notify, time::Instant};

use super::retry;

/// How long to wait after a 429 that doesn't say how long.
const UNSAID_WAIT: Duration = Duration::from_secs(5);

/// No pause is shorter: a server that says "0 seconds" again and again must still use up the operation's budget.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// What the server says beyond this is taken as this. It only keeps the arithmetic from overflowing.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// At most this much is added to a pause, so that several processes behind one address don't return together, and
/// because the server rounds its seconds.
const JITTER: Duration = Duration::from_millis(500);

/// Requests that are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// GET requests.
    Read,
    /// POST, PATCH and DELETE requests, and logins.
    Write,
    /// The route of secrets, which has a limit of its own.
    Secret,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Read => "reads",
            Kind::Write => "writes",
            Kind::Secret => "secrets",
        }
    }
}

/// What an answer says about the limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Limits {
    /// Requests per window.
    limit: Option<u32>,
    /// Requests left in the window.
    remaining: Option<u32>,
    /// Time until the next window.
    reset: Option<Duration>,
    /// How long to wait, of a 429 answer only.
    pause: Option<Duration>,
}

impl Limits {
    /// Reads the headers of an answer that isn't a 429.
    pub(super) fn of_answer(headers: &HeaderMap) -> Self {
        Self {
            limit: count(headers, "x-ratelimit-limit"),
            remaining: count(headers, "x-ratelimit-remaining"),
            reset: seconds(headers, "x-ratelimit-reset"),
            pause: None,
        }
    }

    /// Reads a 429 answer: how long to wait is said by `retry-after`, else by `x-ratelimit-reset`, else by the
    /// message. `now` is the server's clock, or ours if it doesn't tell its own.
    pub(super) fn of_refusal(headers: &HeaderMap, message: &str, now: OffsetDateTime) -> Self {
        let answer = Self::of_answer(headers);
        let pause = retry_after(headers, now)
            .or(answer.reset)
            .or_else(|| seconds_in_words(message))
            .unwrap_or(UNSAID_WAIT)
            .clamp(SHORTEST_WAIT, LONGEST_WAIT);
        Self { pause: Some(pause), ..answer }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    Some(headers.get(name)?.to_str().ok()?.trim())
}

fn count(headers: &HeaderMap, name: &str) -> Option<u32> {
    text(headers, name)?.parse().ok()
}

fn seconds(headers: &HeaderMap, name: &str) -> Option<Duration> {
    let seconds: u64 = text(headers, name)?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_WAIT))
}

/// `retry-after` is a number of seconds or an HTTP date.
fn retry_after(headers: &HeaderMap, now: OffsetDateTime) -> Option<Duration> {
    seconds(headers, "retry-after").or_else(|| {
        let date = OffsetDateTime::parse(text(headers, "retry-after")?, &Rfc2822).ok()?;
        Some(Duration::try_from(date - now).unwrap_or_default())
    })
}

/// The N of `... try again in N seconds`.
fn seconds_in_words(message: &str) -> Option<Duration> {
    let rest = message.split("try again in ").nth(1)?;
    let (number, unit) = rest.split_once(' ')?;
    if !unit.starts_with("second") {
        return None;
    }
    Some(Duration::from_secs(number.parse().ok()?))
}

/// Whether a request may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Admission {
    /// It may, and is counted as under way.
    Go,
    /// Not before this moment: the window is used up.
    Pause { until: Instant, starts: bool },
    /// Not before an answer arrives or the window ends: what is under way may use up the window.
    AwaitAnswer { until: Option<Instant> },
}

/// What is known of the server's current window for one kind. Pure: the clock is an argument.
///
/// A request goes if fewer are under way than the server has said are left. Those under way are perhaps not counted
/// in what it said, and at most they are missing from it, so the limit isn't overrun by our own doing.
#[derive(Debug, Default)]
struct Window {
    limit: Option<u32>,
    remaining: Option<u32>,
    ends: Option<Instant>,
    under_way: u32,
    announced: bool,
}

impl Window {
    fn admit(&mut self, now: Instant) -> Admission {
        self.roll(now);
        match (self.remaining, self.ends) {
            (Some(0), Some(until)) => {
                let starts = !std::mem::replace(&mut self.announced, true);
                Admission::Pause { until, starts }
            }
            (Some(remaining), until) if self.under_way >= remaining.max(1) => {
                Admission::AwaitAnswer { until }
            }
            _ => {
                self.under_way += 1;
                Admission::Go
            }
        }
    }

    /// Begins the next window if the current one is over. When the server doesn't tell its limit, one request goes
    /// ahead and the others wait for its answer, lest they all run into the same limit again.
    fn roll(&mut self, now: Instant) {
        if self.ends.is_some_and(|ends| ends <= now) {
            let was_used_up = self.remaining == Some(0);
            self.remaining = match self.limit {
                Some(limit) => Some(limit.max(1)),
                None if was_used_up => Some(1),
                None => None,
            };
            self.ends = None;
            self.announced = false;
        }
    }

    /// Notes that a request under way has ended, and what its answer said, if there was one.
    fn ended(&mut self, now: Instant, limits: Option<&Limits>, jitter: Duration) {
        self.under_way = self.under_way.saturating_sub(1);
        self.roll(now);
        let Some(limits) = limits else { return };
        self.limit = limits.limit.or(self.limit);
        if let Some(pause) = limits.pause {
            // Several answers may carry the same bad news. The latest end counts; it stays one pause.
            let until = now + pause + jitter;
            if self.remaining == Some(0) {
                self.ends = self.ends.max(Some(until));
            } else {
                self.ends = Some(until);
            }
            self.remaining = Some(0);
        } else if self.remaining == Some(0) {
            // An answer from before the pause, or from a route of this kind that has more left: the pause stands.
        } else {
            match (limits.remaining, limits.reset) {
                (Some(0), Some(reset)) => {
                    self.remaining = Some(0);
                    self.ends = Some(now + reset.max(SHORTEST_WAIT) + jitter);
                }
                (Some(remaining), Some(reset)) => {
                    self.remaining = Some(remaining);
                    self.ends = Some(now + reset);
                }
                // An answer without the headers came through: nothing is known, so nothing is held back.
                _ if self.ends.is_none() => self.remaining = None,
                _ => self.remaining = self.remaining.map(|remaining| remaining.saturating_sub(1)),
            }
        }
    }
}

/// Where the requests of one kind pass before they are sent.
#[derive(Debug)]
pub(super) struct Gate {
    kind: Kind,
    window: Mutex<Window>,
    /// The server's words in its latest 429 answer.
    words: Mutex<Option<String>>,
    changed: Notify,
}

impl Gate {
    pub(super) fn new(kind: Kind) -> Self {
        Self { kind, window: Mutex::default(), words: Mutex::default(), changed: Notify::new() }
    }

    /// Waits until a request may be sent. At most `budget` is waited, and if the pause is known to be longer, nothing
    /// is.
    ///
    /// Dropping the future takes nothing. The caller adds the time that passed to what it has waited.
    pub(super) async fn enter(&self, budget: Duration) -> Result<Pass<'_>, TooLong> {
        let started = Instant::now();
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let now = Instant::now();
            let admission = self.window().admit(now);
            let until = match admission {
                Admission::Go => return Ok(Pass { gate: self, limits: None }),
                Admission::Pause { until, starts } => {
                    let asked = until.saturating_duration_since(now);
                    if asked > budget.saturating_sub(now - started) {
                        return Err(TooLong { asked, words: self.words().clone() });
                    }
                    if starts {
                        let seconds = asked.as_secs_f64().ceil() as u64;
                        tracing::info!(
                            target: "kms", kind = self.kind.name(), seconds,
                            "waiting for the rate limit of the KMS"
                        );
                    }
                    Some(until)
                }
                Admission::AwaitAnswer { until } => until,
            };
            match until {
                Some(until) => tokio::select! {
                    () = tokio::time::sleep_until(until) => {}
                    () = changed => {}
                },
                None => changed.await,
            }
        }
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn words(&self) -> MutexGuard<'_, Option<String>> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pause is longer than the caller may wait.
#[derive(Debug)]
pub(super) struct TooLong {
    pub(super) asked: Duration,
    pub(super) words: Option<String>,
}

/// The right to send one request. Dropping it says that the request has ended.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    gate: &'a Gate,
    limits: Option<Limits>,
}

impl Pass<'_> {
    /// The answer was this, and said this about the limits.
    pub(super) fn answered(mut self, limits: Limits) {
        self.limits = Some(limits);
    }

    /// The answer was a 429 with these words.
    pub(super) fn refused(mut self, limits: Limits, words: &str) {
        *self.gate.words() = Some(words.to_owned());
        self.limits = Some(limits);
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let jitter = JITTER.mul_f64(retry::chance());
        self.gate.window().ended(Instant::now(), self.limits.as_ref(), jitter);
        self.gate.changed.notify_waiters();
    }
}
