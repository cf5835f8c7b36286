//! The attempts of one request: each waits for the rate limit, makes one exchange, writes one log line, and decides on
//! the next step.
//!
//! The order is: stop check and rate limit, `Authorization` header, exchange. The header comes after the wait, because
//! an access token can expire during it.

use std::time::Duration;

use http::{HeaderValue, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use time::OffsetDateTime;
use tokio::time::Instant;

use super::{
    api_error::{self, ApiError},
    config::Config,
    error::{Error, report},
    exchange::{Response, ServerClock, destination, exchange},
    fate::{Obstacle, Reason, Redirect, RedirectKind, Repetition},
    history::History,
    messages,
    outage::Cycle,
    rate_limiter::{Limits, Permit},
    redact::Redactor,
    request::Request,
    retry,
    run::Run,
    transport::Transport,
};

/// A result with the time at the server.
#[derive(Debug)]
pub(super) struct Received<T> {
    pub(super) value: T,
    pub(super) sent_at: Instant,
    pub(super) clock: Option<ServerClock>,
}

/// Builds the `Authorization` header of an attempt, right before it is sent.
pub(super) trait Authorization: Send {
    /// The header; `None` for a request without one.
    fn header(&mut self, run: &Run) -> impl Future<Output = Result<Option<HeaderValue>, Error>> + Send;
}

/// Why all attempts of a request failed.
pub(super) enum Failure {
    /// The KMS refused the access token, so it did not perform the request.
    TokenRefused(Box<ApiError>),
    Final(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Final(error)
    }
}

/// The attempts of one request so far.
pub(super) struct Tries {
    number: u32,
    repeats: u32,
    /// How long it has waited for the rate limit.
    waited: Duration,
    cycle: Cycle,
}

impl Tries {
    /// # Errors
    /// [`Error::Unreachable`] when the KMS could not be reached a moment ago.
    pub(super) fn begin(transport: &Transport, run: &Run) -> Result<Self, Error> {
        let cycle = transport.outage.begin(run.insists(), Instant::now())?;
        Ok(Self { number: 0, repeats: 0, waited: Duration::ZERO, cycle })
    }
}

impl Transport {
    /// Attempts a request until it succeeds, fails for good, or needs another access token.
    ///
    /// # Errors
    /// The failure of the last attempt. All failures are added to `history`.
    pub(super) async fn attempt<T: DeserializeOwned>(
        &self,
        run: &Run,
        request: &Request,
        authorization: &mut impl Authorization,
        tries: &mut Tries,
        history: &mut History,
    ) -> Result<Received<T>, Failure> {
        let is_optional = request.patience.is_some();
        let max_repeats = self.config.max_retries.min(request.patience.map_or(u32::MAX, |it| it.max_repeats));
        loop {
            let permit = self.permit(run, request, tries).await?;
            let header = authorization.header(run).await?;
            let sent_at = Instant::now();
            tries.number += 1;
            let response = self.exchange(run, request, header.as_ref()).await?;
            let seen = Seen::of(response.as_ref().ok());
            let result = self.judge(response, permit, sent_at);
            let took = sent_at.elapsed();
            if tracing::enabled!(tracing::Level::DEBUG) {
                log(request, tries.number, took, &seen, result.as_ref().err(), &self.redactor);
            }
            let reason = match result {
                Ok(received) => {
                    self.outage.heard();
                    return Ok(received);
                }
                Err(reason) => reason,
            };
            if reason.is_of_kms() {
                self.outage.heard();
            }
            let (repetition, is_outage) =
                (reason.repetition(request.effect, header.is_some()), reason.is_outage());
            if let (Repetition::WithNewToken, Reason::Api(refusal)) = (repetition, &reason) {
                return Err(Failure::TokenRefused(refusal.clone()));
            }
            let error = history.add(request.error(reason).through(self.config.proxy_name()), sent_at);
            let may_repeat = retry::allows(repetition, tries.repeats, max_repeats)
                && (!is_outage || self.outage.failed(&tries.cycle, Instant::now()));
            if !may_repeat {
                // A request that is not repeated, or gives up early, is not enough evidence of an outage.
                if is_outage && repetition != Repetition::Never && !is_optional {
                    self.outage.gave_up(&tries.cycle, &error, took, Instant::now());
                }
                return Err(error.into());
            }
            // The limiter has learned of the response, so the next permit waits.
            if repetition != Repetition::AfterLimit {
                let wait = retry::pause(repetition, tries.repeats, retry::chance());
                tries.repeats += 1;
                run.unless_stopped(tokio::time::sleep(wait)).await?;
            }
        }
    }

    /// Waits until the rate limit permits the request.
    async fn permit(&self, run: &Run, request: &Request, tries: &mut Tries) -> Result<Permit, Error> {
        let mut budget = self.config.max_retry_wait.saturating_sub(run.waited());
        if let Some(patience) = request.patience {
            budget = budget.min(patience.total().saturating_sub(tries.waited));
        }
        let since = Instant::now();
        let permit = run.unless_stopped(self.limiter(request).acquire(budget)).await;
        tries.waited += since.elapsed();
        run.add_waited(since.elapsed());
        permit?.map_err(|too_long| Error::RateLimited {
            request: request.name(),
            waited: run.waited(),
            asked: too_long.asked,
            message: too_long.message,
        })
    }

    /// One exchange. A stop ends it early if the request changes nothing.
    async fn exchange(
        &self,
        run: &Run,
        request: &Request,
        header: Option<&HeaderValue>,
    ) -> Result<Result<Response, Reason>, Error> {
        let http = self.http().await?;
        let timeout = request.patience.map_or(Duration::MAX, |patience| patience.timeout);
        let timeout = timeout.min(self.config.request_timeout);
        let Config { host, custom_headers, .. } = &self.config;
        let exchange = async {
            let response = exchange(http, host, request, custom_headers, header, timeout).await;
            response
                .map_err(|reason| if self.config.proxy_name().is_some() { reason.at_proxy() } else { reason })
        };
        if request.may_be_dropped() { run.unless_stopped(exchange).await } else { Ok(exchange.await) }
    }

    /// Evaluates the response, and reports it to the limiter.
    fn judge<T: DeserializeOwned>(
        &self,
        response: Result<Response, Reason>,
        permit: Permit,
        sent_at: Instant,
    ) -> Result<Received<T>, Reason> {
        let response = response.map_err(|reason| match reason {
            // The KMS has spoken HTTP before, so this response is a broken one.
            Reason::NoConnection { host, obstacle: Some(Obstacle::NotHttp), source }
                if self.outage.was_heard() =>
            {
                Reason::NoResponse { host, source }
            }
            Reason::Redirected { destination, status, redirect } => {
                Reason::Redirected { destination, status, redirect: self.cleaned(redirect) }
            }
            reason => reason,
        })?;
        let Response { status, headers, body, clock } = &response;
        if status.is_success() {
            permit.complete(Limits::of_response(headers));
            let value = decode(body).map_err(|problem| self.unusable(*status, problem))?;
            return Ok(Received { value, sent_at, clock: *clock });
        }
        let error = api_error::read(*status, body, |text| self.redactor.clean(text));
        if *status == StatusCode::TOO_MANY_REQUESTS {
            let now = clock.map_or_else(OffsetDateTime::now_utc, |clock| clock.date);
            let message = error.as_ref().map(|error| error.message.as_str());
            permit.complete(Limits::of_refusal(headers, message.unwrap_or_default(), now));
        } else if error.is_some() {
            // The limits of another server are not those of the KMS.
            permit.complete(Limits::of_response(headers));
        }
        Err(match error {
            Some(error) => Reason::Api(Box::new(error)),
            None if api_error::is_missing_route(*status, body) => Reason::NoRoute,
            None => self.page(*status, None),
        })
    }

    fn page(&self, status: StatusCode, problem: Option<&'static str>) -> Reason {
        let destination = destination(&self.config.host, &self.config.custom_headers);
        Reason::Page { destination, status, problem }
    }

    fn unusable(&self, status: StatusCode, problem: Undecoded) -> Reason {
        match problem {
            Undecoded::Page(problem) => self.page(status, Some(problem)),
            Undecoded::Unreadable(problem) => Reason::Unreadable { problem },
        }
    }

    /// The redirect without secrets in its target, which is the server's text.
    fn cleaned(&self, redirect: Redirect) -> Redirect {
        let clean = |text: String| self.redactor.clean(&text);
        let kind = match redirect.kind {
            RedirectKind::Moved { host } => RedirectKind::Moved { host: clean(host) },
            RedirectKind::Https { host } => RedirectKind::Https { host: clean(host) },
            RedirectKind::OtherBase { host } => RedirectKind::OtherBase { host: clean(host) },
            kind @ (RedirectKind::Login { .. } | RedirectKind::Unclear) => kind,
        };
        Redirect { to: redirect.to.map(clean), kind }
    }
}

/// Why a successful response can't be decoded.
enum Undecoded {
    /// It isn't from the KMS.
    Page(&'static str),
    Unreadable(String),
}

/// Decodes a successful response. The error must not quote it, because it may contain a secret.
fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, Undecoded> {
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        Category::Data => Undecoded::Unreadable(messages::wrong_field(error.line(), error.column())),
        Category::Eof => Undecoded::Page(messages::truncated()),
        Category::Syntax | Category::Io => Undecoded::Page(messages::not_json()),
    })
}

/// The fields of a response in the log line.
struct Seen {
    status: Option<u16>,
    /// Not yet redacted.
    request_id: Option<String>,
}

impl Seen {
    fn of(response: Option<&Response>) -> Self {
        Self {
            status: response.map(|response| response.status.as_u16()),
            request_id: response.and_then(Response::request_id).map(str::to_owned),
        }
    }
}

/// Writes the log line of an attempt. It never has the query, a header or any part of a body.
fn log(
    request: &Request,
    attempt: u32,
    took: Duration,
    seen: &Seen,
    reason: Option<&Reason>,
    redactor: &Redactor,
) {
    let req_id = match reason {
        Some(Reason::Api(error)) => error.req_id.clone(),
        _ => seen.request_id.as_deref().map(|id| redactor.clean(id)),
    };
    let fault = match reason {
        Some(
            Reason::NoConnection { source, .. }
            | Reason::Unprocessed { source, .. }
            | Reason::NoResponse { source, .. },
        ) => Some(report(source)),
        _ => None,
    };
    tracing::debug!(
        method = request.method.as_str(),
        path = request.path.as_str(),
        status = seen.status,
        duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        attempt,
        req_id,
        fault,
        "request to the KMS"
    );
}
