//! The process-wide view of the server's rate limits.
//!
//! The KMS counts requests per client address and route in a window of 60 s. All operations of a client share one
//! [`RateLimiter`] per route, so when one learns that the window is exhausted, all of them pause once, without further
//! refusals. [`Window`] has the decisions; [`RateLimiter`] adds the waiting.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::HeaderMap;
use time::{OffsetDateTime, format_description::well_known::Rfc2822};
use tokio::{sync::Notify, time::Instant};

use super::retry;

/// How long to wait after a 429 without a wait time.
const DEFAULT_WAIT: Duration = Duration::from_secs(5);

/// The minimum pause. Even a server that repeatedly requests "0 seconds" must exhaust the operation's budget.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// The maximum wait that a server can request. It prevents arithmetic overflows.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// The responses of one window report ends that differ by less than this, because the server rounds seconds up.
const ROUNDING: Duration = Duration::from_secs(1);

/// The maximum jitter of a pause: processes behind one address must not return together, and the server rounds seconds.
const JITTER: Duration = Duration::from_millis(500);

/// The rate limit information in a response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Limits {
    /// Requests per window.
    limit: Option<u32>,
    /// Requests left in the window.
    remaining: Option<u32>,
    /// Time until the next window.
    reset: Option<Duration>,
    /// How long to wait; only in a 429 response.
    pause: Option<Duration>,
    /// The message of a 429 response.
    message: Option<String>,
}

impl Limits {
    /// Reads the headers of a response that isn't a 429.
    pub(super) fn of_response(headers: &HeaderMap) -> Self {
        Self {
            limit: count(headers, "x-ratelimit-limit"),
            remaining: count(headers, "x-ratelimit-remaining"),
            reset: seconds(headers, "x-ratelimit-reset"),
            pause: None,
            message: None,
        }
    }

    /// Reads a 429 response. The wait time is in `retry-after`, in `x-ratelimit-reset`, or in the message. `now` is the
    /// server's clock, or the local one if the response has no date.
    pub(super) fn of_refusal(headers: &HeaderMap, message: &str, now: OffsetDateTime) -> Self {
        let response = Self::of_response(headers);
        let pause = retry_after(headers, now)
            .or(response.reset)
            .or_else(|| seconds_in_message(message))
            .unwrap_or(DEFAULT_WAIT)
            .clamp(SHORTEST_WAIT, LONGEST_WAIT);
        Self { pause: Some(pause), message: Some(message.to_owned()), ..response }
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
fn seconds_in_message(message: &str) -> Option<Duration> {
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
    /// It may, and is counted as in progress.
    Go,
    /// Not before this moment: the window is used up.
    Pause { until: Instant },
    /// Not before a response arrives or the window ends: the requests in progress may exhaust the window.
    AwaitResponse { until: Option<Instant> },
}

/// The known state of the server's current window for one route. The clock is an argument.
///
/// A request is sent if fewer requests are in progress than the server reported as remaining. The report may not
/// include those in progress, so this never exceeds the limit. While nothing is known, all requests are sent: waiting
/// for the first response would slow down every run to avoid a few refusals.
#[derive(Debug, Default, Clone)]
struct Window {
    limit: Option<u32>,
    remaining: Option<u32>,
    ends: Option<Instant>,
    /// Requests in progress that were sent after the latest pause. Earlier ones were counted in an earlier window.
    under_way: u32,
    /// The number of finished pauses.
    pauses: u32,
    /// The server's message about the current pause.
    message: Option<String>,
    announced: bool,
}

impl Window {
    fn admit(&mut self, now: Instant) -> Admission {
        self.roll(now);
        match (self.remaining, self.ends) {
            (Some(0), Some(until)) => Admission::Pause { until },
            (Some(remaining), until) if self.under_way >= remaining.max(1) => {
                Admission::AwaitResponse { until }
            }
            _ => {
                self.under_way += 1;
                Admission::Go
            }
        }
    }

    /// Whether the current pause hasn't been logged yet.
    fn announce(&mut self) -> bool {
        !std::mem::replace(&mut self.announced, true)
    }

    /// Starts the next window if the current one is over. If that was exhausted, one request is sent and the others
    /// wait for its response, because another process behind the same address may have been faster.
    fn roll(&mut self, now: Instant) {
        if self.ends.is_some_and(|ends| ends <= now) {
            self.remaining = if self.remaining == Some(0) {
                self.pauses += 1;
                self.under_way = 0;
                Some(1)
            } else {
                self.limit
            };
            self.ends = None;
            self.message = None;
            self.announced = false;
        }
    }

    /// Records the end of a request that was sent after `pauses` pauses, and the limits in its response, if any.
    fn ended(&mut self, pauses: u32, now: Instant, limits: Option<Limits>, jitter: Duration) {
        self.roll(now);
        let is_old = pauses < self.pauses;
        if !is_old {
            self.under_way = self.under_way.saturating_sub(1);
        } else if limits.as_ref().is_none_or(|limits| limits.pause.is_none()) {
            // Its limits are those of an earlier window.
            return;
        }
        let Some(limits) = limits else {
            if self.ends.is_none() {
                // The request that was sent ahead got no response. The others need not wait for another one.
                self.remaining = None;
            }
            return;
        };
        self.limit = limits.limit.or(self.limit);
        if let Some(pause) = limits.pause {
            // Several responses may report the same pause. The latest end counts, and it remains one pause.
            let until = now + pause + jitter;
            if self.remaining == Some(0) {
                self.ends = self.ends.max(Some(until));
            } else {
                self.ends = Some(until);
            }
            self.remaining = Some(0);
            self.message = limits.message;
        } else if self.remaining == Some(0) {
            // A response from before the pause doesn't end it.
        } else if let (Some(remaining), Some(reset)) = (limits.remaining, limits.reset) {
            self.learn(now, remaining, reset, jitter);
        } else if self.ends.is_none() {
            // A response without the headers: nothing is known, so all requests are sent.
            self.remaining = None;
        } else {
            self.remaining = self.remaining.map(|remaining| remaining.saturating_sub(1));
        }
    }

    /// Responses may arrive out of order. Within one window the remaining number only decreases, so the least counts.
    fn learn(&mut self, now: Instant, remaining: u32, reset: Duration, jitter: Duration) {
        let ends = now + reset;
        let known = self.remaining.zip(self.ends).filter(|(_, known)| ends < *known + ROUNDING);
        let (remaining, ends) =
            known.map_or((remaining, ends), |(least, first)| (remaining.min(least), ends.min(first)));
        self.remaining = Some(remaining);
        self.ends = Some(if remaining == 0 { ends.max(now + SHORTEST_WAIT) + jitter } else { ends });
    }
}

/// Issues permits for the requests to one route.
#[derive(Debug)]
pub(super) struct RateLimiter {
    /// Method and route.
    name: String,
    window: Mutex<Window>,
    changed: Notify,
}

impl RateLimiter {
    pub(super) fn new(name: String) -> Self {
        Self { name, window: Mutex::default(), changed: Notify::new() }
    }

    /// Waits until a request may be sent, for at most `budget`. If the pause is known to be longer, it fails at once.
    /// If the wait is only for other responses, the request is sent when the budget is used up.
    ///
    /// Dropping the future takes no permit. The caller accounts for the time.
    pub(super) async fn acquire(self: &Arc<Self>, budget: Duration) -> Result<Permit, TooLong> {
        let started = Instant::now();
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let now = Instant::now();
            let left = budget.saturating_sub(now - started);
            let until = {
                let mut window = self.window();
                match window.admit(now) {
                    Admission::Go => return Ok(self.permit(&window)),
                    Admission::Pause { until } => {
                        let asked = until.saturating_duration_since(now);
                        // A budget of a minute must suffice for a pause of a minute.
                        if asked.saturating_sub(JITTER) > left {
                            return Err(TooLong { asked, message: window.message.clone() });
                        }
                        if window.announce() {
                            let seconds = asked.as_secs_f64().ceil() as u64;
                            tracing::info!(
                                request = self.name,
                                seconds,
                                "waiting for the rate limit of the KMS"
                            );
                        }
                        Some(until)
                    }
                    Admission::AwaitResponse { .. } if left.is_zero() => {
                        window.under_way += 1;
                        return Ok(self.permit(&window));
                    }
                    Admission::AwaitResponse { until } => {
                        until.into_iter().chain(now.checked_add(left)).min()
                    }
                }
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

    fn permit(self: &Arc<Self>, window: &Window) -> Permit {
        Permit { limiter: Arc::clone(self), pauses: window.pauses, limits: None }
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pause is longer than the caller may wait.
#[derive(Debug)]
pub(super) struct TooLong {
    pub(super) asked: Duration,
    pub(super) message: Option<String>,
}

/// The permit to send one request. Dropping it ends the request.
#[derive(Debug)]
pub(super) struct Permit {
    limiter: Arc<RateLimiter>,
    /// The number of finished pauses when it was issued.
    pauses: u32,
    limits: Option<Limits>,
}

impl Permit {
    /// Ends the request with the limits in its response.
    pub(super) fn complete(mut self, limits: Limits) {
        self.limits = Some(limits);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let jitter = JITTER.mul_f64(retry::chance());
        self.limiter.window().ended(self.pauses, Instant::now(), self.limits.take(), jitter);
        self.limiter.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use http::{HeaderName, HeaderValue};
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(1994-11-06 08:49:00 UTC);
    const SECOND: Duration = Duration::from_secs(1);

    fn limiter() -> Arc<RateLimiter> {
        Arc::new(RateLimiter::new("GET /".to_owned()))
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    fn left(limit: u32, remaining: u32, reset: u64) -> Limits {
        let reset = Some(Duration::from_secs(reset));
        Limits { limit: Some(limit), remaining: Some(remaining), reset, ..Limits::default() }
    }

    fn pause(seconds: u64) -> Limits {
        Limits { pause: Some(Duration::from_secs(seconds)), ..Limits::default() }
    }

    #[test]
    fn the_wait_is_read_from_wherever_the_server_says_it() {
        let message = "Rate limit exceeded. Please try again in 41 seconds";
        for (pairs, message, seconds) in [
            (&[("retry-after", "7"), ("x-ratelimit-reset", "9")][..], message, 7),
            (&[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")], message, 37),
            (&[("retry-after", "Sun, 06 Nov 1994 08:48:37 GMT")], message, 1),
            (&[("retry-after", "soon"), ("x-ratelimit-reset", "9")], message, 9),
            (&[("x-ratelimit-reset", "9")], message, 9),
            (&[], message, 41),
            (&[], "try again in 1 second.", 1),
            (&[], "try again in 2 minutes", 5),
            (&[], "no", 5),
            (&[("retry-after", "0")], message, 1),
            (&[("retry-after", "18446744073709551615")], message, 86_400),
        ] {
            let limits = Limits::of_refusal(&headers(pairs), message, NOW);
            assert_eq!(limits.pause, Some(Duration::from_secs(seconds)), "{pairs:?} {message}");
        }
    }

    #[test]
    fn no_more_are_under_way_than_are_left() {
        let now = Instant::now();
        let mut window = Window::default();
        assert_eq!(window.admit(now), Admission::Go);
        window.ended(0, now, Some(left(60, 2, 50)), Duration::ZERO);
        assert_eq!(window.admit(now), Admission::Go);
        assert_eq!(window.admit(now), Admission::Go);
        assert_eq!(window.admit(now), Admission::AwaitResponse { until: Some(now + 50 * SECOND) });
        window.ended(0, now, Some(left(60, 1, 50)), Duration::ZERO);
        // One remains, and a request in progress may use it.
        assert_eq!(window.admit(now), Admission::AwaitResponse { until: Some(now + 50 * SECOND) });
        window.ended(0, now, Some(left(60, 0, 50)), Duration::ZERO);
        assert_eq!(window.admit(now), Admission::Pause { until: now + 50 * SECOND });
        assert!(window.announce());
        assert!(!window.announce());
    }

    #[test]
    fn a_window_that_was_not_used_up_is_followed_by_a_whole_one() {
        let now = Instant::now();
        let mut window = Window::default();
        assert_eq!(window.admit(now), Admission::Go);
        window.ended(0, now, Some(left(60, 20, 50)), Duration::ZERO);
        let later = now + 50 * SECOND;
        for _ in 0..60 {
            assert_eq!(window.admit(later), Admission::Go);
        }
        assert_eq!(window.admit(later), Admission::AwaitResponse { until: None });
    }

    #[test]
    fn of_responses_that_overtake_each_other_the_one_with_the_least_counts() {
        let now = Instant::now();
        let mut window = Window::default();
        let mut hear = |at, remaining, reset| {
            assert_eq!(window.admit(at), Admission::Go);
            window.ended(0, at, Some(left(60, remaining, reset)), Duration::ZERO);
            (window.remaining, window.ends)
        };
        let end = Some(now + 50 * SECOND);
        assert_eq!(hear(now, 4, 50), (Some(4), end));
        assert_eq!(hear(now, 6, 50), (Some(4), end), "an older response");
        assert_eq!(hear(now + SECOND / 2, 3, 50), (Some(3), end), "rounded to a later end");
        assert_eq!(hear(now + SECOND, 5, 49), (Some(3), end), "an older response");
        // The server's window ended a little before the local one.
        let next = now + 49 * SECOND;
        assert_eq!(hear(next, 59, 60), (Some(59), Some(next + 60 * SECOND)));
    }

    #[test]
    fn a_pause_outlasts_answers_from_before_it() {
        let now = Instant::now();
        let mut window = Window::default();
        for _ in 0..3 {
            assert_eq!(window.admit(now), Admission::Go);
        }
        window.ended(0, now, Some(pause(10)), Duration::ZERO);
        window.ended(0, now, Some(left(60, 30, 5)), Duration::ZERO);
        window.ended(0, now, Some(pause(3)), Duration::ZERO);
        assert_eq!(window.admit(now), Admission::Pause { until: now + 10 * SECOND });
    }

    #[test]
    fn after_a_pause_one_goes_ahead() {
        let now = Instant::now();
        let mut window = Window::default();
        assert_eq!(window.admit(now), Admission::Go);
        window.ended(0, now, Some(pause(10)), SECOND);
        let later = now + 11 * SECOND;
        assert!(matches!(window.admit(later - SECOND), Admission::Pause { .. }));
        assert_eq!(window.admit(later), Admission::Go);
        assert_eq!(window.admit(later), Admission::AwaitResponse { until: None });
        // It succeeded, or its response is lost: all are sent.
        for response in [Some(Limits::default()), None] {
            let mut window = window.clone();
            window.ended(1, later, response.clone(), Duration::ZERO);
            for _ in 0..9 {
                assert_eq!(window.admit(later), Admission::Go, "{response:?}");
            }
        }
    }

    #[test]
    fn who_goes_ahead_finds_out_what_others_have_left() {
        let now = Instant::now();
        let mut window = Window::default();
        assert_eq!(window.admit(now), Admission::Go);
        window.ended(0, now, Some(left(60, 0, 10)), Duration::ZERO);
        let later = now + 10 * SECOND;
        assert_eq!(window.admit(later), Admission::Go);
        assert_eq!(window.admit(later), Admission::AwaitResponse { until: None });
        window.ended(1, later, Some(left(60, 2, 60)), Duration::ZERO);
        assert_eq!(window.admit(later), Admission::Go);
        assert_eq!(window.admit(later), Admission::Go);
        assert_eq!(window.admit(later), Admission::AwaitResponse { until: Some(later + 60 * SECOND) });
    }

    #[test]
    fn who_hangs_since_before_the_pause_neither_holds_others_up_nor_says_what_is_left() {
        let now = Instant::now();
        let mut window = Window::default();
        assert_eq!(window.admit(now), Admission::Go);
        assert_eq!(window.admit(now), Admission::Go);
        window.ended(0, now, Some(pause(10)), Duration::ZERO);
        let later = now + 10 * SECOND;
        assert_eq!(window.admit(later), Admission::Go);
        assert_eq!(window.admit(later), Admission::AwaitResponse { until: None });
        window.ended(0, later, Some(left(60, 30, 50)), Duration::ZERO);
        assert_eq!(window.admit(later), Admission::AwaitResponse { until: None });
        window.ended(1, later, Some(left(60, 1, 60)), Duration::ZERO);
        assert_eq!(window.admit(later), Admission::Go);
        assert_eq!(window.admit(later), Admission::AwaitResponse { until: Some(later + 60 * SECOND) });
    }

    #[test]
    fn nothing_is_held_back_by_a_server_that_says_nothing() {
        let now = Instant::now();
        let mut window = Window::default();
        for _ in 0..100 {
            assert_eq!(window.admit(now), Admission::Go);
            window.ended(0, now, Some(Limits::default()), Duration::ZERO);
        }
    }

    /// A server with a limit per window, and what it saw.
    #[tokio::test(start_paused = true)]
    async fn many_callers_wait_out_one_pause_and_overrun_nothing() {
        let limiter = limiter();
        let started = Instant::now();
        let served = Arc::new(AtomicU32::new(0));
        let refused = Arc::new(AtomicU32::new(0));
        let callers: Vec<_> = (0..30)
            .map(|_| {
                let (limiter, served, refused) = (limiter.clone(), served.clone(), refused.clone());
                tokio::spawn(async move {
                    loop {
                        let permit = limiter.acquire(Duration::from_secs(600)).await.unwrap();
                        // The server allows 10 per minute.
                        let minute = u32::try_from(started.elapsed().as_secs() / 60).unwrap();
                        let reset = 60 - started.elapsed().as_secs() % 60;
                        let allowed = 10 * (minute + 1);
                        if served.load(Ordering::Relaxed) < allowed {
                            let remaining = allowed - served.fetch_add(1, Ordering::Relaxed) - 1;
                            tokio::time::sleep(SECOND).await;
                            return permit.complete(left(10, remaining, reset));
                        }
                        refused.fetch_add(1, Ordering::Relaxed);
                        tokio::time::sleep(SECOND).await;
                        permit.complete(Limits { limit: Some(10), ..pause(reset) });
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.await.unwrap();
        }
        assert_eq!(served.load(Ordering::Relaxed), 30);
        // The first 30 were sent together, when nothing was known. None was refused after that.
        assert_eq!(refused.load(Ordering::Relaxed), 20);
        assert!((120..125).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_beyond_the_budget_is_refused_at_once_with_the_servers_words() {
        let limiter = limiter();
        let message = Some("try again in 60 seconds".to_owned());
        limiter.acquire(Duration::ZERO).await.unwrap().complete(Limits { message, ..pause(60) });
        let started = Instant::now();
        let too_long = limiter.acquire(Duration::from_secs(59)).await.unwrap_err();
        assert!(too_long.asked >= 60 * SECOND);
        assert_eq!(too_long.message.as_deref(), Some("try again in 60 seconds"));
        assert_eq!(started.elapsed(), Duration::ZERO);
        drop(limiter.acquire(Duration::from_secs(60)).await.unwrap());
        assert!(started.elapsed() >= 60 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn the_words_of_a_pause_end_with_it() {
        let limiter = limiter();
        let message = Some("try again in 3 seconds".to_owned());
        limiter.acquire(Duration::ZERO).await.unwrap().complete(Limits { message, ..pause(3) });
        limiter.acquire(60 * SECOND).await.unwrap().complete(left(60, 0, 55));
        assert_eq!(limiter.acquire(Duration::ZERO).await.unwrap_err().message, None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_does_not_come_is_awaited_within_the_budget() {
        let limiter = limiter();
        limiter.acquire(Duration::ZERO).await.unwrap().complete(left(60, 1, 3600));
        let _hanging = limiter.acquire(Duration::ZERO).await.unwrap();
        let started = Instant::now();
        drop(limiter.acquire(5 * SECOND).await.unwrap());
        assert!((5..6).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
    }
}
