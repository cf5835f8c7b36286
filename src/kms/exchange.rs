//! One HTTP exchange: sends a request and receives the complete response. It makes no decisions.

use std::{error::Error as StdError, fmt, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue, StatusCode, header};
use time::{OffsetDateTime, format_description::well_known::Rfc2822};
use tokio::time::Instant;
use url::Url;
use zeroize::Zeroizing;

use super::{
    config::Host,
    fate::{Effect, Obstacle, Reason},
    fault::{self, Fault},
    messages,
    request::{MAX_OBJECT, Request},
};

/// How many redirects of one read are followed.
const MAX_REDIRECTS: u32 = 5;

/// A response as received.
pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Zeroizing<Vec<u8>>,
    pub(super) clock: Option<ServerClock>,
}

impl Response {
    /// The ID of the request, if the server or a proxy sent one.
    pub(super) fn request_id(&self) -> Option<&str> {
        self.headers.get("x-request-id")?.to_str().ok()
    }
}

/// The server's clock in relation to the local one, from the `Date` header of a response.
#[derive(Debug, Clone, Copy)]
pub(super) struct ServerClock {
    pub(super) date: OffsetDateTime,
    /// When the headers arrived. The server read its clock before that.
    seen_at: Instant,
}

impl ServerClock {
    /// A lower bound of the server's time at a local moment: a server timestamp before it is from before `moment`.
    ///
    /// The header is truncated to seconds and was written before it arrived. Both make the result too early, by less
    /// than a second and a round trip. Only elapsed time is taken from the local clock, never its reading.
    pub(super) fn earliest_at(&self, moment: Instant) -> OffsetDateTime {
        if moment > self.seen_at { self.date } else { self.date - (self.seen_at - moment) }
    }
}

/// Sends the request. Reads follow redirects within the configured host.
///
/// # Errors
/// The reason why there is no complete response.
pub(super) async fn exchange(
    http: &reqwest::Client,
    host: &Host,
    request: &Request,
    authorization: Option<&HeaderValue>,
    timeout: Duration,
) -> Result<Response, Reason> {
    match tokio::time::timeout(timeout, follow(http, host, request, authorization)).await {
        Ok(response) => response,
        Err(_) => Err(Reason::NoResponse { host: host.to_string(), source: Arc::new(TimedOut(timeout)) }),
    }
}

async fn follow(
    http: &reqwest::Client,
    host: &Host,
    request: &Request,
    authorization: Option<&HeaderValue>,
) -> Result<Response, Reason> {
    let mut url = host.url(&request.path, &request.query);
    let mut redirects = 0;
    loop {
        let mut builder = http.request(request.method.clone(), url.clone());
        builder = builder.header(header::ACCEPT, "application/json");
        if let Some(authorization) = authorization {
            builder = builder.header(header::AUTHORIZATION, authorization);
        }
        if let Some(body) = &request.body {
            builder = builder.header(header::CONTENT_TYPE, "application/json").body(body.to_vec());
        }
        let mut response = builder.send().await.map_err(|error| no_response(&error, host, request.effect))?;
        let status = response.status();
        if is_redirect(status) {
            let target = location(&url, response.headers());
            match target {
                Some(target)
                    if request.effect == Effect::Read
                        && redirects < MAX_REDIRECTS
                        && host.is_origin_of(&target) =>
                {
                    redirects += 1;
                    url = target;
                    continue;
                }
                _ => {
                    let to = target.map(|target| target.origin().ascii_serialization());
                    return Err(Reason::Redirected { status, to });
                }
            }
        }
        let headers = std::mem::take(response.headers_mut());
        let clock = date(&headers).map(|date| ServerClock { date, seen_at: Instant::now() });
        let body = if status.is_success() {
            read_whole(&mut response, host, request).await?
        } else {
            read_start(&mut response).await
        };
        return Ok(Response { status, headers, body, clock });
    }
}

/// Reads the body of a successful response, which must be complete.
async fn read_whole(
    response: &mut reqwest::Response,
    host: &Host,
    request: &Request,
) -> Result<Zeroizing<Vec<u8>>, Reason> {
    // The capacity is reserved up front, because a growing buffer leaves copies behind that aren't zeroed.
    let announced = response.content_length().and_then(|length| usize::try_from(length).ok());
    let capacity = announced.unwrap_or_default().min(request.max_response);
    let mut body = Zeroizing::new(Vec::with_capacity(capacity));
    while let Some(chunk) = response.chunk().await.map_err(|error| cut_off(&error, host))? {
        if body.len() + chunk.len() > request.max_response {
            let problem = messages::too_large(request.max_response);
            return Err(Reason::Unreadable { problem });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Reads the body of an error response as far as it arrives. Status and headers are valid without it.
async fn read_start(response: &mut reqwest::Response) -> Zeroizing<Vec<u8>> {
    let mut body = Zeroizing::new(Vec::new());
    while let Ok(Some(chunk)) = response.chunk().await {
        if body.len() + chunk.len() > MAX_OBJECT {
            break;
        }
        body.extend_from_slice(&chunk);
    }
    body
}

/// There is no response, not even its beginning.
fn no_response(error: &reqwest::Error, host: &Host, effect: Effect) -> Reason {
    let obstacle = obstacle(error);
    let source = Arc::new(Fault::new(error));
    let host = host.to_string();
    match obstacle {
        _ if fault::is_unprocessed(error) => Reason::Unprocessed { host, source },
        // The response isn't HTTP, so the peer can't have understood the request.
        Some(Obstacle::NotHttp) if !effect.is_change() => Reason::NoConnection { host, obstacle, source },
        _ if fault::is_unsent(error) => Reason::NoConnection { host, obstacle, source },
        _ => Reason::NoResponse { host, source },
    }
}

/// A response has begun, so the request was processed.
fn cut_off(error: &reqwest::Error, host: &Host) -> Reason {
    Reason::NoResponse { host: host.to_string(), source: Arc::new(Fault::new(error)) }
}

/// The permanent obstacle in an error chain, if any.
fn obstacle(error: &reqwest::Error) -> Option<Obstacle> {
    if let Some(obstacle) = fault::obstacle(error) {
        return Some(obstacle);
    }
    let mut cause = StdError::source(error);
    while let Some(error) = cause {
        // Only a first line of another protocol counts. A header that is damaged or too large is a broken response.
        if let Some(error) = error.downcast_ref::<hyper::Error>()
            && error.is_parse()
            && format!("{error:?}").contains("Parse(Version)")
        {
            return Some(Obstacle::NotHttp);
        }
        // An I/O error doesn't return the wrapped error as its source.
        let mut wrapped: &(dyn StdError + 'static) = error;
        while let Some(inner) = wrapped.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            wrapped = inner;
        }
        if let Some(error) = wrapped.downcast_ref::<rustls::Error>() {
            return obstacle_of_tls(error);
        }
        cause = error.source();
    }
    None
}

fn obstacle_of_tls(error: &rustls::Error) -> Option<Obstacle> {
    use rustls::{AlertDescription as Alert, CertificateError as Certificate, Error, InvalidMessage};
    match error {
        Error::InvalidCertificate(problem) => Some(match problem {
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => Obstacle::WrongName,
            Certificate::Expired
            | Certificate::ExpiredContext { .. }
            | Certificate::NotValidYet
            | Certificate::NotValidYetContext { .. } => Obstacle::CertificateDates,
            // The verifier's error is of a crate that this one doesn't use otherwise.
            Certificate::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => {
                Obstacle::AuthorityAsServer
            }
            _ => Obstacle::UntrustedCertificate,
        }),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => Some(Obstacle::NotTls),
        Error::PeerIncompatible(_)
        | Error::AlertReceived(Alert::ProtocolVersion | Alert::InsufficientSecurity) => {
            Some(Obstacle::NoCommonTls)
        }
        Error::AlertReceived(Alert::CertificateRequired) => Some(Obstacle::ClientCertificate),
        _ => None,
    }
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

/// The exchange exceeded its time limit.
#[derive(Debug)]
struct TimedOut(Duration);

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&messages::timed_out(self.0))
    }
}

impl StdError for TimedOut {}
