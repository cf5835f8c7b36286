//! One HTTP exchange: sends a request and receives the complete response. It makes no decisions.

use std::{error::Error as StdError, fmt, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue, StatusCode, header};
use rustls::AlertDescription;
use time::{OffsetDateTime, format_description::well_known::Rfc2822};
use tokio::time::Instant;
use url::Url;
use zeroize::Zeroizing;

use super::{
    certificates::RefusedCertificate,
    config::Host,
    custom_headers::CustomHeaders,
    fate::{Cause, Destination, Effect, Obstacle, Reason},
    fault::{self, Fault},
    messages, redirect,
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
    custom_headers: &CustomHeaders,
    authorization: Option<&HeaderValue>,
    timeout: Duration,
) -> Result<Response, Reason> {
    let exchange = follow(http, host, request, custom_headers, authorization);
    match tokio::time::timeout(timeout, exchange).await {
        Ok(response) => response,
        Err(_) => Err(Reason::NoResponse { host: host.to_string(), source: Arc::new(TimedOut(timeout)) }),
    }
}

async fn follow(
    http: &reqwest::Client,
    host: &Host,
    request: &Request,
    custom_headers: &CustomHeaders,
    authorization: Option<&HeaderValue>,
) -> Result<Response, Reason> {
    let mut url = host.url(&request.path, &request.query);
    let mut redirects = 0;
    loop {
        let mut builder = http.request(request.method.clone(), url.clone());
        builder = builder.header(header::ACCEPT, "application/json");
        for (name, value) in custom_headers.of_request() {
            builder = builder.header(name, value);
        }
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
                        && host.is_origin_of(&target)
                        && !redirect::is_login_page(host, &target) =>
                {
                    redirects += 1;
                    url = target;
                    continue;
                }
                target => {
                    let redirect = redirect::classify(host, &request.path, &url, status, target.as_ref());
                    let destination = destination(host, custom_headers);
                    return Err(Reason::Redirected { destination, status, redirect });
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

/// Where a request went, as errors name it.
pub(super) fn destination(host: &Host, custom_headers: &CustomHeaders) -> Destination {
    Destination { host: host.to_string(), custom_headers: custom_headers.names() }
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
    let (obstacle, source): (Option<Obstacle>, Cause) = match obstacle(error) {
        // The library's text has codes and times in numbers.
        Some(Found::Certificate(refused)) => {
            (Some(Obstacle::Certificate(refused.problem)), Arc::new(refused))
        }
        Some(Found::Other(obstacle)) => (Some(obstacle), Arc::new(Fault::new(error))),
        None => (None, Arc::new(Fault::new(error))),
    };
    let host = host.to_string();
    match obstacle {
        _ if fault::is_unprocessed(error) => Reason::Unprocessed { host, source },
        // The response isn't HTTP, so the peer can't have understood the request.
        Some(Obstacle::NotHttp) if !effect.is_change() => Reason::NoConnection { host, obstacle, source },
        // With TLS 1.3, the server refuses the handshake after the client has completed it.
        Some(Obstacle::ClientCertificate) => Reason::NoConnection { host, obstacle, source },
        _ if fault::is_unsent(error) => Reason::NoConnection { host, obstacle, source },
        _ => Reason::NoResponse { host, source },
    }
}

/// A permanent obstacle in an error chain.
enum Found {
    Certificate(RefusedCertificate),
    Other(Obstacle),
}

/// A response has begun, so the request was processed.
fn cut_off(error: &reqwest::Error, host: &Host) -> Reason {
    Reason::NoResponse { host: host.to_string(), source: Arc::new(Fault::new(error)) }
}

/// The permanent obstacle in an error chain, if any.
fn obstacle(error: &reqwest::Error) -> Option<Found> {
    if let Some(obstacle) = fault::obstacle(error) {
        return Some(Found::Other(obstacle));
    }
    let mut cause = StdError::source(error);
    while let Some(error) = cause {
        // Only a first line of another protocol counts. A header that is damaged or too large is a broken response.
        if let Some(error) = error.downcast_ref::<hyper::Error>()
            && error.is_parse()
            && format!("{error:?}").contains("Parse(Version)")
        {
            return Some(Found::Other(Obstacle::NotHttp));
        }
        // An I/O error doesn't return the wrapped error as its source.
        let mut wrapped: &(dyn StdError + 'static) = error;
        while let Some(inner) = wrapped.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            wrapped = inner;
        }
        match wrapped.downcast_ref::<rustls::Error>() {
            Some(rustls::Error::InvalidCertificate(refused)) => {
                return Some(Found::Certificate(RefusedCertificate::of(refused)));
            }
            Some(error) => return obstacle_of_tls(error).map(Found::Other),
            None if is_client_certificate_alert(&wrapped.to_string()) => {
                return Some(Found::Other(Obstacle::ClientCertificate));
            }
            None => cause = error.source(),
        }
    }
    None
}

fn obstacle_of_tls(error: &rustls::Error) -> Option<Obstacle> {
    use rustls::{Error, InvalidMessage};
    match error {
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => Some(Obstacle::NotTls),
        Error::PeerIncompatible(_) => Some(Obstacle::NoCommonTls),
        Error::NoApplicationProtocol => Some(Obstacle::NotHttp),
        Error::AlertReceived(alert) => obstacle_of_alert(*alert),
        _ => None,
    }
}

/// The alerts about the certificate of the client. The client has none, so the server misses it.
const CLIENT_CERTIFICATE_ALERTS: [AlertDescription; 8] = [
    AlertDescription::CertificateRequired,
    AlertDescription::NoCertificate,
    AlertDescription::BadCertificate,
    AlertDescription::UnsupportedCertificate,
    AlertDescription::CertificateRevoked,
    AlertDescription::CertificateExpired,
    AlertDescription::CertificateUnknown,
    AlertDescription::UnknownCA,
];

/// Whether this is the text of such an alert: it is all that HTTP/2 keeps of an error of TLS.
fn is_client_certificate_alert(text: &str) -> bool {
    let mut alerts = CLIENT_CERTIFICATE_ALERTS.iter();
    alerts.any(|alert| text == rustls::Error::AlertReceived(*alert).to_string())
}

/// The obstacle behind an alert of the server. The others, such as `internal_error`, may be gone at the next
/// attempt.
fn obstacle_of_alert(alert: AlertDescription) -> Option<Obstacle> {
    use AlertDescription as Alert;
    match alert {
        Alert::HandshakeFailure
        | Alert::ProtocolVersion
        | Alert::InsufficientSecurity
        | Alert::ExportRestriction
        | Alert::InappropriateFallback
        | Alert::IllegalParameter
        | Alert::MissingExtension
        | Alert::UnsupportedExtension => Some(Obstacle::NoCommonTls),
        Alert::UnrecognisedName => Some(Obstacle::UnknownName),
        alert if CLIENT_CERTIFICATE_ALERTS.contains(&alert) => Some(Obstacle::ClientCertificate),
        Alert::AccessDenied => Some(Obstacle::AccessDenied),
        Alert::NoApplicationProtocol => Some(Obstacle::NotHttp),
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
