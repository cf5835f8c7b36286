//! THE send. Requests are values; every one of them passes through here.
//!
//! In this order: the stop check and the rate gate, the `Authorization` header, one HTTP exchange under the request
//! time-out, one log line, and the decision what follows. Nothing else in this layer sends, waits or logs.

use std::{fmt, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::error::Category;
use time::{OffsetDateTime, format_description::well_known::Rfc2822};
use tokio::time::Instant;
use url::Url;
use zeroize::Zeroizing;

use super::{
    ApiError, ApiErrorKind, Cause, Error, Operation, Sent,
    auth::AccessToken,
    error::classify,
    rate::{Limits, Pass},
    retry::{self, Decision, Outcome, Repeat, decide},
};

/// The largest answer to a call about one thing.
const MAX_ANSWER: usize = 1024 * 1024;

/// The largest answer to a call that lists things. A connection takes under 1 KiB, so this holds over 16,000.
const MAX_LISTING: usize = 16 * 1024 * 1024;

/// How many redirects of one read are followed.
const MAX_REDIRECTS: u32 = 5;

/// What isn't escaped in a path.
const PATH_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// One request, apart from who sends it.
#[derive(Debug)]
pub(super) struct Request {
    method: Method,
    /// The path with placeholders: what errors name the request by.
    route: String,
    path: String,
    query: Vec<(&'static str, String)>,
    body: Option<Zeroizing<Vec<u8>>>,
    repeat: Repeat,
    max_answer: usize,
}

impl Request {
    /// A read. `values` fill the route's placeholders, each of which is a path segment that begins with a colon.
    pub(super) fn get(route: impl Into<String>, values: &[&str]) -> Result<Self, Error> {
        Self::new(Method::GET, Repeat::Freely, route.into(), values)
    }

    /// A deletion: gone is gone, so it may be repeated.
    pub(super) fn delete(route: impl Into<String>, values: &[&str]) -> Result<Self, Error> {
        Self::new(Method::DELETE, Repeat::Freely, route.into(), values)
    }

    /// A creation or a change. It isn't repeated if it may have been performed.
    pub(super) fn write(
        method: Method,
        route: impl Into<String>,
        values: &[&str],
        body: &impl Serialize,
    ) -> Result<Self, Error> {
        Self::new(method, Repeat::IfNotPerformed, route.into(), values)?.with_body(body)
    }

    /// A login.
    pub(super) fn login(route: &'static str, body: &impl Serialize) -> Result<Self, Error> {
        Self::new(Method::POST, Repeat::Sparingly, route.to_owned(), &[])?.with_body(body)
    }

    fn new(method: Method, repeat: Repeat, route: String, values: &[&str]) -> Result<Self, Error> {
        let path = fill(&route, values)?;
        Ok(Self { method, route, path, query: Vec::new(), body: None, repeat, max_answer: MAX_ANSWER })
    }

    fn with_body(mut self, body: &impl Serialize) -> Result<Self, Error> {
        let body = serde_json::to_vec(body).map_err(|error| Error::Config {
            message: "the request can't be written as JSON".to_owned(),
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

    /// Expects an answer that lists things.
    pub(super) fn of_list(mut self) -> Self {
        self.max_answer = MAX_LISTING;
        self
    }

    /// Method and route: requests of one name are counted together by the server.
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.method, self.route)
    }

    /// An answer that this request can't have.
    pub(super) fn undecodable(&self, problem: impl Into<String>) -> Error {
        Error::Decode { method: self.method.clone(), route: self.route.clone(), problem: problem.into() }
    }

    fn is_read(&self) -> bool {
        self.method == Method::GET
    }

    /// Whether it may be given up under way: reads, and logins, which change nothing either.
    fn may_be_dropped(&self) -> bool {
        self.is_read() || self.repeat == Repeat::Sparingly
    }
}

fn fill(route: &str, values: &[&str]) -> Result<String, Error> {
    let mut values = values.iter();
    let mut path = String::with_capacity(route.len() + 40);
    for segment in route.split('/').skip(1) {
        path.push('/');
        match segment.strip_prefix(':').and_then(|_| values.next()) {
            // These would name another route: URLs resolve dots, and an empty segment is the collection.
            Some(value) if matches!(*value, "" | "." | "..") => {
                let message = format!("{value:?} can't be the ID or the name of anything in the KMS");
                return Err(Error::Config { message, source: None });
            }
            Some(value) => path.extend(utf8_percent_encode(value, PATH_SEGMENT)),
            None => path.push_str(segment),
        }
    }
    Ok(path)
}

/// A result, and what the answer says about the server's clock.
#[derive(Debug)]
pub(super) struct Received<T> {
    pub(super) value: T,
    pub(super) clock: Option<ServerClock>,
}

/// How the server's clock relates to ours, from the `Date` header of an answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct ServerClock {
    date: OffsetDateTime,
    /// When the answer's headers were here; the server read its clock before that.
    seen_at: Instant,
}

impl ServerClock {
    /// The server's time at a moment of ours, or earlier: what the server stamped before this was before `moment`.
    ///
    /// The header is cut to whole seconds and was written a little before it arrived; both make the result too
    /// early, by less than a second and a round trip. Only elapsed time is taken from our clock, never its reading.
    pub(super) fn earliest_at(&self, moment: Instant) -> OffsetDateTime {
        if moment > self.seen_at { self.date } else { self.date - (self.seen_at - moment) }
    }
}

/// What has happened to a request so far.
#[derive(Debug, Default)]
pub(super) struct Progress {
    attempts: u32,
    repeats: u32,
    /// When the latest attempt went out.
    pub(super) sent_at: Option<Instant>,
    /// How an attempt ended that may have been performed, and was repeated.
    lost: Option<Error>,
}

impl Progress {
    /// The error to end in. What may have been changed must not read as if nothing was, because the repeat came to
    /// nothing.
    fn end(&mut self, error: Error) -> Error {
        if error.may_have_been_performed() || error.is_refused_write() {
            return error;
        }
        self.lost.take().unwrap_or(error)
    }
}

enum Failure {
    TokenRefused(Box<ApiError>),
    Final(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Final(error)
    }
}

/// An answer as it came.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Zeroizing<Vec<u8>>,
    clock: Option<ServerClock>,
}

/// Why there is no answer.
enum NoAnswer {
    Unusable(Error),
    NotSent(Cause),
    Lost(Cause),
    TooLarge,
    Redirected { status: StatusCode, to: Option<String> },
}

impl From<reqwest::Error> for NoAnswer {
    fn from(error: reqwest::Error) -> Self {
        // The URL is in our own words already.
        let error = error.without_url();
        if error.is_connect() || error.is_builder() {
            NoAnswer::NotSent(Arc::new(error))
        } else {
            NoAnswer::Lost(Arc::new(error))
        }
    }
}

impl Operation {
    /// Sends a request with the session's token, and repeats it as far as that is safe.
    pub(super) async fn send<T: DeserializeOwned>(&self, request: &Request) -> Result<T, Error> {
        Ok(self.send_noting(request, &mut Progress::default()).await?.value)
    }

    /// [`send`](Self::send) that leaves behind when the request was sent, also when it fails.
    pub(super) async fn send_noting<T: DeserializeOwned>(
        &self,
        request: &Request,
        progress: &mut Progress,
    ) -> Result<Received<T>, Error> {
        let session = self.client.session();
        let mut token = session.token(self).await?;
        loop {
            match self.attempts(request, Some(&token), progress).await {
                Ok(received) => return Ok(received),
                Err(Failure::Final(error)) => return Err(progress.end(error)),
                // A request refused for its token wasn't performed, whatever its method.
                Err(Failure::TokenRefused(answer)) => {
                    let renewed = session.renewed(self, &token, answer).await;
                    token = renewed.map_err(|error| progress.end(error))?;
                }
            }
        }
    }

    /// Sends a login. It carries no `Authorization` header: the server would check it and refuse a stale one.
    pub(super) async fn log_in<T: DeserializeOwned>(&self, request: &Request) -> Result<T, Error> {
        match self.attempts(request, None, &mut Progress::default()).await {
            Ok(received) => Ok(received.value),
            Err(Failure::Final(error)) => Err(error),
            Err(Failure::TokenRefused(answer)) => Err(Error::Api(answer)),
        }
    }

    async fn attempts<T: DeserializeOwned>(
        &self,
        request: &Request,
        token: Option<&AccessToken>,
        progress: &mut Progress,
    ) -> Result<Received<T>, Failure> {
        let header = token.map(AccessToken::header).transpose().map_err(Error::from)?;
        loop {
            let pass = self.enter(request).await?;
            let sent_at = Instant::now();
            progress.attempts += 1;
            progress.sent_at = Some(sent_at);
            let exchange = self.exchange(request, header.as_ref());
            let answer =
                if request.may_be_dropped() { self.unless_stopped(exchange).await? } else { exchange.await };
            let status = answer.as_ref().ok().map(|answer| answer.status);
            let request_id = answer.as_ref().ok().and_then(|answer| request_id(&answer.headers));
            let (outcome, result) = self.judge(request, token.is_some(), answer, pass);
            log(request, progress.attempts, sent_at.elapsed(), status, request_id, result.as_ref().err());
            if token.is_some() && status.is_some() && matches!(outcome, Outcome::Done | Outcome::Refused) {
                self.client.session().accepted();
            }
            let error = match result {
                Ok(received) => return Ok(received),
                Err(error) => error,
            };
            match decide(request.repeat, outcome, progress.repeats, self.client.config().max_retries) {
                Decision::Finish => return Err(error.into()),
                Decision::RenewToken => {
                    return Err(match error {
                        Error::Api(answer) => Failure::TokenRefused(answer),
                        other => Failure::Final(other),
                    });
                }
                // The answer has closed the gate; entering again waits.
                Decision::AwaitLimit => {}
                Decision::Repeat => {
                    let wait = retry::backoff(progress.repeats, retry::chance());
                    progress.repeats += 1;
                    if error.may_have_been_performed() {
                        progress.lost = Some(error);
                    }
                    self.unless_stopped(tokio::time::sleep(wait)).await?;
                }
            }
        }
    }

    /// Waits until the rate limit lets the request pass.
    async fn enter(&self, request: &Request) -> Result<Pass, Error> {
        let budget = self.client.config().max_retry_wait.saturating_sub(self.waited());
        let since = Instant::now();
        let pass = self.unless_stopped(self.client.gate(request).enter(budget)).await;
        self.add_waited(since.elapsed());
        pass?.map_err(|too_long| Error::RateLimited {
            method: request.method.clone(),
            route: request.route.clone(),
            waited: self.waited(),
            asked: too_long.asked,
            message: too_long.words,
        })
    }

    /// One exchange with the server, whole or not at all.
    async fn exchange(&self, request: &Request, token: Option<&HeaderValue>) -> Result<Answer, NoAnswer> {
        let http = self.client.http().await.map_err(NoAnswer::Unusable)?;
        let limit = self.client.config().request_timeout;
        match tokio::time::timeout(limit, self.follow(http, request, token)).await {
            Ok(answer) => answer,
            Err(_) => Err(NoAnswer::Lost(Arc::new(TimedOut(limit)))),
        }
    }

    /// Sends the request, and a read again to where its answers point, within the configured host.
    async fn follow(
        &self,
        http: &reqwest::Client,
        request: &Request,
        token: Option<&HeaderValue>,
    ) -> Result<Answer, NoAnswer> {
        let host = &self.client.config().host;
        let mut url = host.url(&request.path, &request.query);
        let mut redirects = 0;
        loop {
            let mut builder = http.request(request.method.clone(), url.clone());
            builder = builder.header(header::ACCEPT, "application/json");
            if let Some(token) = token {
                builder = builder.header(header::AUTHORIZATION, token);
            }
            if let Some(body) = &request.body {
                builder = builder.header(header::CONTENT_TYPE, "application/json").body(body.to_vec());
            }
            let mut response = builder.send().await?;
            let status = response.status();
            if is_redirect(status) {
                let target = location(&url, response.headers());
                match target {
                    Some(target)
                        if request.is_read() && redirects < MAX_REDIRECTS && host.is_origin_of(&target) =>
                    {
                        redirects += 1;
                        url = target;
                        continue;
                    }
                    _ => {
                        let to = target.map(|target| target.origin().ascii_serialization());
                        return Err(NoAnswer::Redirected { status, to });
                    }
                }
            }
            let headers = std::mem::take(response.headers_mut());
            let clock = date(&headers).map(|date| ServerClock { date, seen_at: Instant::now() });
            let body = match read(&mut response, request.max_answer).await {
                // What counts of a refusal for the rate limit is in the headers.
                Err(_) if status == StatusCode::TOO_MANY_REQUESTS => Zeroizing::default(),
                body => body?,
            };
            return Ok(Answer { status, headers, body, clock });
        }
    }

    /// Says what an attempt has come to, and tells the gate.
    fn judge<T: DeserializeOwned>(
        &self,
        request: &Request,
        has_token: bool,
        answer: Result<Answer, NoAnswer>,
        pass: Pass,
    ) -> (Outcome, Result<Received<T>, Error>) {
        let answer = match answer {
            Ok(answer) => answer,
            Err(no_answer) => {
                let (outcome, error) = self.judge_no_answer(request, no_answer);
                return (outcome, Err(error));
            }
        };
        if answer.status.is_success() {
            pass.answered(Limits::of_answer(&answer.headers));
            let (outcome, value) = decode(request, &answer.body);
            return (outcome, value.map(|value| Received { value, clock: answer.clock }));
        }
        let classified = classify(answer.status, &answer.body);
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            let now = answer.clock.map_or_else(OffsetDateTime::now_utc, |clock| clock.date);
            pass.answered(Limits::of_refusal(&answer.headers, &classified.message, now));
        } else {
            pass.answered(Limits::of_answer(&answer.headers));
        }
        let outcome = match classified.kind {
            ApiErrorKind::RateLimited => Outcome::RateLimited,
            ApiErrorKind::TokenExpired | ApiErrorKind::Unauthorized if has_token => Outcome::TokenRefused,
            _ if answer.status.is_server_error() => Outcome::ServerFault,
            _ => Outcome::Refused,
        };
        let error = ApiError {
            kind: classified.kind,
            status: answer.status,
            message: classified.message,
            issues: classified.issues,
            req_id: classified.req_id.or_else(|| request_id(&answer.headers)),
            method: request.method.clone(),
            route: request.route.clone(),
        };
        (outcome, Err(Error::Api(Box::new(error))))
    }

    fn judge_no_answer(&self, request: &Request, no_answer: NoAnswer) -> (Outcome, Error) {
        let transport = |sent, source| Error::Transport {
            sent,
            host: self.client.config().host.to_string(),
            method: request.method.clone(),
            route: request.route.clone(),
            source,
        };
        match no_answer {
            NoAnswer::Unusable(error) => (Outcome::Refused, error),
            NoAnswer::NotSent(source) => (Outcome::NotSent, transport(Sent::No, source)),
            NoAnswer::Lost(source) => (Outcome::Lost, transport(Sent::Perhaps, source)),
            NoAnswer::TooLarge => {
                let mib = request.max_answer / (1024 * 1024);
                (Outcome::Refused, request.undecodable(format!("it is larger than {mib} MiB")))
            }
            NoAnswer::Redirected { status, to } => {
                let (method, route) = (request.method.clone(), request.route.clone());
                (Outcome::Refused, Error::Redirected { method, route, status, to })
            }
        }
    }
}

/// Reads a successful answer. Nothing of its text may be in the error, for it may hold a secret.
fn decode<T: DeserializeOwned>(request: &Request, body: &[u8]) -> (Outcome, Result<T, Error>) {
    match serde_json::from_slice(body) {
        Ok(value) => (Outcome::Done, Ok(value)),
        Err(error) => {
            let (outcome, problem) = match error.classify() {
                Category::Data => (Outcome::Refused, "a field is missing or is of another type"),
                Category::Eof => (Outcome::Broken, "it is cut off"),
                Category::Syntax | Category::Io => (Outcome::Broken, "it isn't JSON"),
            };
            let problem = format!("{problem} (line {}, column {})", error.line(), error.column());
            (outcome, Err(request.undecodable(problem)))
        }
    }
}

async fn read(response: &mut reqwest::Response, max: usize) -> Result<Zeroizing<Vec<u8>>, NoAnswer> {
    let mut body = Zeroizing::new(Vec::new());
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > max {
            return Err(NoAnswer::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn location(base: &Url, headers: &HeaderMap) -> Option<Url> {
    base.join(headers.get(header::LOCATION)?.to_str().ok()?).ok()
}

fn date(headers: &HeaderMap) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(headers.get(header::DATE)?.to_str().ok()?, &Rfc2822).ok()
}

fn request_id(headers: &HeaderMap) -> Option<String> {
    Some(headers.get("x-request-id")?.to_str().ok()?.to_owned())
}

/// The one line of an attempt. Never the query, a header or anything of a body, of error answers neither.
fn log(
    request: &Request,
    attempt: u32,
    duration: Duration,
    status: Option<StatusCode>,
    request_id: Option<String>,
    error: Option<&Error>,
) {
    let req_id = match error {
        Some(Error::Api(error)) => error.req_id.clone(),
        _ => request_id,
    };
    let fault = match error {
        Some(Error::Transport { source, .. }) => Some(super::report(source)),
        _ => None,
    };
    tracing::debug!(
        target: "kms",
        method = request.method.as_str(),
        path = request.path.as_str(),
        status = status.map(|status| status.as_u16()),
        duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
        attempt,
        req_id,
        fault,
        "request to the KMS"
    );
}

/// The exchange took longer than it may.
#[derive(Debug)]
struct TimedOut(Duration);

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no whole answer within {:?}", self.0)
    }
}

impl std::error::Error for TimedOut {}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use base64::prelude::{BASE64_STANDARD, Engine as _};
    use serde_json::{Value, json};
    use tokio_util::sync::CancellationToken;
    use tracing::{Level, field::Visit, span};

    use super::*;
    use crate::kms::{
        CaCertificate, Client, DbtCredentials, Host,
        test_server::{Clock, Reply, Server, is_login, serve_one},
    };

    const THING: &str = "/api/v1/thing";

    fn get() -> Request {
        Request::get(THING, &[]).unwrap()
    }

    fn post() -> Request {
        Request::write(Method::POST, THING, &[], &json!({"token": "dbtu_hidden"})).unwrap()
    }

    fn delete() -> Request {
        Request::delete(THING, &[]).unwrap()
    }

    async fn send(server: &Server, request: &Request) -> Result<Value, Error> {
        server.operation().send(request).await
    }

    fn ok() -> Reply {
        Reply::json(200, json!({"done": true}))
    }

    fn server_fault() -> Reply {
        Reply::error(503, "ServiceUnavailable", "Come back later")
    }

    /// After which nobody knows what the server did.
    const FAULTS: [fn() -> Reply; 6] = [
        server_fault,
        Reply::close,
        Reply::truncated,
        || Reply::html(200),
        || Reply::html(502),
        Reply::never,
    ];

    fn limited(seconds: u64) -> Reply {
        let message = format!("Rate limit exceeded. Please try again in {seconds} seconds");
        Reply::error(429, "RateLimitExceeded", &message).with("retry-after", seconds)
    }

    /// A fault the first time, success afterwards.
    async fn faulty_once(fault: impl Fn() -> Reply + Send + Sync + 'static) -> Server {
        Server::start(move |seen, _| if seen.earlier == 0 { fault() } else { ok() }).await
    }

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

    #[tokio::test(start_paused = true)]
    async fn reads_and_deletions_are_repeated_after_every_fault() {
        for (number, fault) in FAULTS.into_iter().enumerate() {
            let server = faulty_once(fault).await;
            assert_eq!(send(&server, &get()).await.unwrap(), json!({"done": true}), "fault {number}");
            assert_eq!(server.count("GET"), 2, "fault {number}");
            let server = faulty_once(fault).await;
            assert_eq!(send(&server, &delete()).await.unwrap(), json!({"done": true}), "fault {number}");
            assert_eq!(server.count("DELETE"), 2, "fault {number}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_may_have_been_performed_is_not_repeated() {
        for (number, fault) in FAULTS.into_iter().enumerate() {
            let server = faulty_once(fault).await;
            let error = send(&server, &post()).await.unwrap_err();
            assert!(error.may_have_been_performed(), "fault {number}: {error:?}");
            assert_eq!(server.count("POST"), 1, "fault {number}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn repeats_come_to_an_end() {
        let server = Server::start(|_, _| server_fault()).await;
        let error = send(&server, &get()).await.unwrap_err();
        assert!(matches!(error, Error::Api(answer) if answer.status == 503));
        assert_eq!(server.count("GET"), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_never_sent_is_repeated_and_told_apart() {
        let server = Server::start(|_, _| ok()).await;
        let mut config = server.config();
        // A port that was just free; nobody listens there.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        config.host = Host::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        drop(listener);
        config.auth = crate::kms::Auth::Token(crate::secret::Secret::new("st.1"));
        let operation = Client::new(config).operation(CancellationToken::new());
        let mut progress = Progress::default();
        let error = operation.send_noting::<Value>(&post(), &mut progress).await.unwrap_err();
        assert!(matches!(error, Error::Transport { sent: Sent::No, .. }), "{error:?}");
        assert!(!error.may_have_been_performed());
        assert_eq!(progress.attempts, 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_never_finishes_the_tls_handshake_was_never_sent_anything() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Server::start(|_, _| ok()).await;
        let mut config = server.config();
        config.host = Host::parse(&format!("https://{}", listener.local_addr().unwrap())).unwrap();
        config.auth = crate::kms::Auth::Token(crate::secret::Secret::new("st.1"));
        config.request_timeout = Duration::from_secs(5);
        config.max_retries = 0;
        let (_, pem) = certificate();
        config.ca_certificate = Some(CaCertificate::Pem(pem));
        let operation = Client::new(config).operation(CancellationToken::new());
        let error = operation.send::<Value>(&post()).await.unwrap_err();
        assert!(matches!(error, Error::Transport { sent: Sent::No, .. }), "{error:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_limit_is_waited_out_whatever_the_method() {
        for request in [get(), post(), delete()] {
            let server = faulty_once(|| limited(20)).await;
            let started = Instant::now();
            let operation = server.operation();
            operation.send::<Value>(&request).await.unwrap();
            let waited = started.elapsed();
            assert!((20..22).contains(&waited.as_secs()), "{waited:?}");
            assert_eq!(operation.waited().as_secs(), waited.as_secs());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn rate_limits_beyond_the_budget_fail_in_the_servers_words() {
        let server = Server::start(|_, _| limited(50)).await;
        let mut config = server.config();
        config.max_retry_wait = Duration::from_secs(120);
        let operation = Client::new(config).operation(CancellationToken::new());
        let error = operation.send::<Value>(&get()).await.unwrap_err();
        let Error::RateLimited { waited, asked, message, .. } = &error else { panic!("{error:?}") };
        assert!((100..103).contains(&waited.as_secs()));
        assert!((50..51).contains(&asked.as_secs()));
        assert!(message.as_ref().unwrap().contains("try again in 50 seconds"));
        assert_eq!(server.count("GET"), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_used_up_window_pauses_before_anything_is_refused() {
        let server = Server::start(|seen, _| {
            let remaining = 2_u32.saturating_sub(u32::try_from(seen.earlier).unwrap());
            ok().with("x-ratelimit-limit", 3)
                .with("x-ratelimit-remaining", remaining)
                .with("x-ratelimit-reset", 30)
        })
        .await;
        let client = server.client();
        let started = Instant::now();
        for _ in 0..4 {
            let operation = client.operation(CancellationToken::new());
            operation.send::<Value>(&get()).await.unwrap();
        }
        assert!((30..32).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
        // Each route is counted apart.
        let operation = client.operation(CancellationToken::new());
        operation.send::<Value>(&post()).await.unwrap();
        assert_eq!(operation.waited(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn reads_follow_redirects_within_the_host() {
        for status in [301, 302, 303, 307, 308] {
            let server = Server::start(move |seen, _| match seen.target.as_str() {
                THING => Reply::text(status, "text/plain", "").with("location", "/moved?a=b"),
                _ => ok(),
            })
            .await;
            send(&server, &get()).await.unwrap();
            let last = server.seen().pop().unwrap();
            assert_eq!(last.target, "/moved?a=b");
            assert_eq!(last.header("authorization"), Some("Bearer access-1"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_token_never_goes_to_another_host() {
        let other = Server::start(|_, _| ok()).await;
        let elsewhere = format!("{}/api/v1/thing", other.url());
        let server = Server::start(move |_, _| Reply::html(307).with("location", &elsewhere)).await;
        for request in [get(), post(), delete()] {
            let error = send(&server, &request).await.unwrap_err();
            assert!(
                matches!(&error, Error::Redirected { to: Some(to), .. } if *to == other.url()),
                "{error:?}"
            );
            assert!(!error.may_have_been_performed());
        }
        assert!(other.seen().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn only_reads_follow_redirects_and_only_so_many() {
        let server = Server::start(|_, _| Reply::html(302).with("location", THING)).await;
        assert!(matches!(send(&server, &post()).await, Err(Error::Redirected { .. })));
        assert_eq!(server.count("POST"), 1);
        assert!(matches!(send(&server, &get()).await, Err(Error::Redirected { .. })));
        assert_eq!(server.count("GET"), 6);
        let server = Server::start(|_, _| Reply::html(302)).await;
        assert!(matches!(send(&server, &get()).await, Err(Error::Redirected { to: None, .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_beyond_the_limit_is_given_up() {
        let padded = |size: usize| [b"{}", vec![b' '; size - 2].as_slice()].concat();
        let server =
            Server::start(move |_, _| Reply::text(200, "application/json", padded(MAX_ANSWER))).await;
        send(&server, &get()).await.unwrap();
        let server =
            Server::start(move |_, _| Reply::text(200, "application/json", padded(MAX_ANSWER + 1))).await;
        let error = send(&server, &get()).await.unwrap_err();
        assert!(error.to_string().ends_with("it is larger than 1 MiB"), "{error}");
        assert_eq!(server.count("GET"), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_lacks_a_field_is_neither_repeated_nor_quoted() {
        #[derive(Debug, serde::Deserialize)]
        struct Wanted {
            #[serde(rename = "value")]
            _value: i64,
        }
        let server = Server::start(|_, _| Reply::json(200, json!({"value": "hunter2"}))).await;
        let error = server.operation().send::<Wanted>(&get()).await.unwrap_err();
        assert!(matches!(error, Error::Decode { .. }));
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        assert_eq!(server.count("GET"), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn stopping_ends_all_waits_and_reads_but_no_write_under_way() {
        let nap = Duration::from_secs(5);
        let slow = || Server::start(move |_, _| ok().after(nap * 2));
        let paused = || faulty_once(|| limited(60));
        let failing = || Server::start(|_, _| Reply::close());
        for (case, server, request, ends_in_time) in [
            ("a read under way", slow().await, get(), true),
            ("a write under way", slow().await, post(), false),
            ("a deletion under way", slow().await, delete(), false),
            ("a read that waits for the limit", paused().await, get(), true),
            ("a write that waits for the limit", paused().await, post(), true),
            ("a read between repeats", failing().await, get(), true),
        ] {
            let stop = CancellationToken::new();
            let mut config = server.config();
            config.max_retries = 100;
            let operation = Client::new(config).operation(stop.clone());
            let call = tokio::spawn(async move { operation.send::<Value>(&request).await });
            tokio::time::sleep(nap).await;
            stop.cancel();
            let stopped_at = Instant::now();
            let result = call.await.unwrap();
            if ends_in_time {
                assert!(matches!(result, Err(Error::Cancelled)), "{case}: {result:?}");
                assert!(stopped_at.elapsed() < Duration::from_secs(1), "{case}");
            } else {
                assert!(result.is_ok(), "{case}: {result:?}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stopped_deletion_that_may_have_been_performed_does_not_pass_for_nothing() {
        let server = Server::start(|_, _| Reply::close()).await;
        let mut config = server.config();
        config.max_retries = 100;
        let stop = CancellationToken::new();
        let operation = Client::new(config).operation(stop.clone());
        let call = tokio::spawn(async move { operation.send::<Value>(&delete()).await });
        tokio::time::sleep(Duration::from_secs(5)).await;
        stop.cancel();
        let error = call.await.unwrap().unwrap_err();
        assert!(matches!(error, Error::Transport { sent: Sent::Perhaps, .. }), "{error:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_deletion_that_the_limit_keeps_from_being_repeated_does_not_pass_for_nothing() {
        let used_up = || server_fault().with("x-ratelimit-remaining", 0).with("x-ratelimit-reset", 60);
        let server = Server::start(move |_, _| used_up()).await;
        let mut config = server.config();
        config.max_retry_wait = Duration::from_secs(5);
        let operation = Client::new(config).operation(CancellationToken::new());
        let error = operation.send::<Value>(&delete()).await.unwrap_err();
        assert!(error.may_have_been_performed(), "{error:?}");
        let error = operation.send::<Value>(&delete()).await.unwrap_err();
        assert!(matches!(error, Error::RateLimited { .. }), "{error:?}");
        assert_eq!(server.count("DELETE"), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_deletion_whose_repeat_finds_no_login_does_not_pass_for_nothing() {
        let server = Server::start_raw(|seen, _| match (is_login(seen), seen.earlier) {
            (true, 0) => Reply::json(200, json!({"accessToken": "access-1", "expiresIn": 900})),
            (true, _) => Reply::error(401, "Unauthorized", "Invalid credentials"),
            (false, 0) => Reply::close(),
            (false, _) => Reply::error(403, "TokenError", "Your token has expired"),
        })
        .await;
        let error = send(&server, &delete()).await.unwrap_err();
        assert!(error.may_have_been_performed(), "{error:?}");
        assert_eq!((server.count("DELETE"), server.logins()), (2, 2));
    }

    #[tokio::test]
    async fn nothing_is_sent_after_the_stop() {
        let server = Server::start(|_, _| ok()).await;
        let stop = CancellationToken::new();
        stop.cancel();
        let result = server.client().operation(stop).send::<Value>(&post()).await;
        assert!(matches!(result, Err(Error::Cancelled)));
        assert!(server.seen().is_empty());
    }

    /// Keeps the fields of every event of the target `kms`, with the level.
    #[derive(Default)]
    struct Lines(Mutex<Vec<String>>);

    struct Line(String);

    impl Visit for Line {
        fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn fmt::Debug) {
            self.0.push_str(&format!(" {}={value:?}", field.name()));
        }
    }

    impl tracing::Subscriber for &'static Lines {
        fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }
        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
        fn event(&self, event: &tracing::Event<'_>) {
            if event.metadata().target() == "kms" {
                let mut line = Line(event.metadata().level().to_string());
                event.record(&mut line);
                self.0.lock().unwrap().push(line.0);
            }
        }
        fn enter(&self, _: &span::Id) {}
        fn exit(&self, _: &span::Id) {}
    }

    #[tokio::test(start_paused = true)]
    async fn each_attempt_is_one_debug_line_without_secrets() {
        // With a single subscriber in the process, the library asks the thread that first reaches a log statement
        // whether anybody listens, and that may be another test's. With two it asks them both.
        let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::new());
        let lines: &'static Lines = Box::leak(Box::default());
        let guard = tracing::subscriber::set_default(lines);
        let server = Server::start(|seen, _| match seen.earlier {
            0 => limited(9).with("x-request-id", "req-0"),
            _ => Reply::error(503, "Fault", "token dbtu_hidden is odd"),
        })
        .await;
        let mut request = post();
        request.query.push(("q", "asked".to_owned()));
        send(&server, &request).await.unwrap_err();
        drop(guard);
        let lines = lines.0.lock().unwrap();
        let debug: Vec<&String> =
            lines.iter().filter(|line| line.starts_with(Level::DEBUG.as_str())).collect();
        assert_eq!(debug.len(), 3, "{lines:#?}");
        let login = "method=\"POST\" path=\"/api/v1/auth/universal-auth/login\" status=200";
        assert!(debug[0].contains(login), "{}", debug[0]);
        assert!(debug[1].contains("status=429 duration_ms=0 attempt=1 req_id=\"req-1\""), "{}", debug[1]);
        assert!(debug[2].contains("method=\"POST\" path=\"/api/v1/thing\" status=503"), "{}", debug[2]);
        assert!(debug[2].contains("attempt=2"), "{}", debug[2]);
        let info: Vec<&String> = lines.iter().filter(|line| line.starts_with("INFO")).collect();
        assert_eq!(info.len(), 1);
        assert!(
            info[0].contains("request=\"POST /api/v1/thing\"") && info[0].contains("seconds="),
            "{}",
            info[0]
        );
        let all = lines.join("\n");
        for hidden in ["dbtu_hidden", "client-secret-1", "access-1", "asked"] {
            assert!(!all.contains(hidden), "{hidden}");
        }
    }

    fn certificate() -> (rcgen::CertifiedKey<rcgen::KeyPair>, Vec<u8>) {
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let base64 = BASE64_STANDARD.encode(certified.cert.der());
        let pem = format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n");
        (certified, pem.into_bytes())
    }

    /// A TLS server with a certificate of its own; answers everything with `{"done": true}`.
    async fn tls_server() -> (Host, Vec<u8>) {
        let (certified, pem) = certificate();
        let key = rustls_pki_types::PrivateKeyDer::Pkcs8(certified.signing_key.serialize_der().into());
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(
            rustls::crypto::aws_lc_rs::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                if let Ok(stream) = acceptor.accept(stream).await {
                    let clock = Clock(Instant::now());
                    let _ = serve_one(stream, &Mutex::default(), clock, &|_: &_, _| ok()).await;
                }
            }
        });
        (Host::parse(&host).unwrap(), pem)
    }

    #[tokio::test]
    async fn a_private_certificate_must_be_configured() {
        let (host, pem) = tls_server().await;
        let mut config = Server::start(|_, _| ok()).await.config();
        config.host = host;
        config.auth = crate::kms::Auth::Token(crate::secret::Secret::new("st.1"));
        config.max_retries = 0;
        let (_, other) = certificate();
        config.ca_certificate = Some(CaCertificate::Pem(other));
        let operation = Client::new(config.clone()).operation(CancellationToken::new());
        let error = operation.send::<Value>(&get()).await.unwrap_err();
        assert!(matches!(error, Error::Transport { sent: Sent::No, .. }), "{error:?}");
        assert!(crate::kms::report(&error).contains("certificate"), "{}", crate::kms::report(&error));

        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), pem).unwrap();
        config.ca_certificate = Some(CaCertificate::File(file.path().to_owned()));
        let operation = Client::new(config).operation(CancellationToken::new());
        operation.send::<Value>(&get()).await.unwrap();
    }

    #[tokio::test]
    async fn a_ca_certificate_that_can_not_be_used_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(|_, _| ok()).await;
        let garbled = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
        for (name, content, problem) in [
            ("missing.pem", None, "can't be read"),
            ("empty.pem", Some("hello"), "holds no certificate"),
            ("garbled.pem", Some(garbled), "can't be used"),
        ] {
            let path = folder.path().join(name);
            if let Some(content) = content {
                std::fs::write(&path, content).unwrap();
            }
            let mut config = server.config();
            config.ca_certificate = Some(CaCertificate::File(path));
            let operation = Client::new(config).operation(CancellationToken::new());
            let error = operation.list_connections::<DbtCredentials>(None).await.unwrap_err();
            assert!(matches!(error, Error::Config { .. }), "{error:?}");
            assert!(error.to_string().contains(name) && error.to_string().contains(problem), "{error}");
        }
        assert!(!server.seen().iter().any(is_login));
    }
}
