//! Connections: reads requests whole, lets faults strike, and sends answers, or closes without one.

use std::{
    future::{self, poll_fn},
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use hyper::{
    Response,
    body::{Body, Bytes, Frame, Incoming, SizeHint},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinSet,
    time::Instant,
};
use tokio_rustls::TlsAcceptor;

use super::{
    admin,
    answer::{Answer, Refusal},
    faults::{Fault, Performed, Reply},
    request_log::Ticket,
    routes::{self, Request},
    state::State,
};

const HTTP_DATE: &[time::format_description::FormatItem<'_>] = time::macros::format_description!(
    "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
);

/// The state, shared by all connections.
pub type Shared = Arc<Mutex<State>>;

/// A panic of one test's assertion must not spoil the server for the others.
pub fn lock(state: &Shared) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves until it is dropped, which closes all connections.
pub async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, state: Shared) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, client)) = listener.accept().await else {
            continue;
        };
        let (tls, state) = (tls.clone(), Arc::clone(&state));
        connections.spawn(async move {
            let reset = Arc::new(AtomicBool::new(false));
            let stream = Resettable { stream, reset: Arc::clone(&reset) };
            match tls {
                None => exchange(stream, client, state, reset).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        exchange(stream, client, state, reset).await;
                    }
                }
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    client: SocketAddr,
    state: Shared,
    reset: Arc<AtomicBool>,
) {
    let activity = Activity::default();
    let service = service_fn(|request| {
        let (state, reset, request_under_way) = (Arc::clone(&state), Arc::clone(&reset), activity.begin());
        async move {
            let outcome = respond(state, client, request).await;
            reset.store(matches!(outcome, Err(NoAnswer::Reset)), Ordering::Relaxed);
            drop(request_under_way);
            outcome
        }
    });
    let mut connection = pin!(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    let mut closing = false;
    loop {
        tokio::select! {
            // A client that goes away, and a reset on demand, end the connection with an error that nobody needs.
            _ = &mut connection => return,
            () = activity.idle(&state), if !closing => {
                closing = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// When something last happened on a connection.
#[derive(Default)]
struct Activity {
    under_way: AtomicUsize,
    /// When the last response was ready; `None` before the first.
    last: Mutex<Option<Instant>>,
    changed: Notify,
}

/// A request under way, until it is dropped.
struct UnderWay<'a>(&'a Activity);

impl Activity {
    fn begin(&self) -> UnderWay<'_> {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        self.changed.notify_one();
        UnderWay(self)
    }

    /// Returns when the connection has been idle for as long as the server lets it be.
    async fn idle(&self, state: &Shared) {
        let opened = Instant::now();
        loop {
            let changed = self.changed.notified();
            let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
            if self.under_way.load(Ordering::Relaxed) > 0 {
                changed.await;
                continue;
            }
            let (since, patience) = {
                let options = &lock(state).options;
                last.map_or((opened, options.request_timeout), |last| (last, options.idle_timeout))
            };
            tokio::select! {
                () = tokio::time::sleep_until(since + patience) => return,
                () = changed => {}
            }
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        *self.0.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
        self.0.changed.notify_one();
    }
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum NoAnswer {
    #[error("reset on demand")]
    Reset,
    #[error("closed without a byte")]
    Close,
}

async fn respond(
    state: Shared,
    client: SocketAddr,
    request: hyper::Request<Incoming>,
) -> Result<Response<AnswerBody>, NoAnswer> {
    let request = read(client, request).await.map_err(|_| NoAnswer::Reset)?;
    if request.path.starts_with("/__admin/") {
        let answer = admin::handle(&mut lock(&state), &request);
        return Ok(response(&state, answer, AnswerBody::Whole));
    }
    let (ticket, fault) = {
        let mut state = lock(&state);
        let ticket = state.log.begin(&request);
        let refusal = state.options.gateway.as_ref().and_then(|gateway| gateway.refusal(&request));
        (ticket, refusal.or_else(|| state.faults.strike(&request.method, &request.path)))
    };
    let Some(fault) = fault else {
        return Ok(perform(&state, &request, ticket));
    };
    let instead = |answer: Answer| {
        lock(&state).log.end(ticket, Some(answer.status));
        Ok(response(&state, answer, AnswerBody::Whole))
    };
    let perform_first = || {
        let mut state = lock(&state);
        let answer = routes::handle(&mut state, &request);
        state.log.end(ticket, None);
        answer
    };
    match fault {
        Fault::Answer { status, body } => instead(given(status, &body)),
        Fault::AnswerAfter { status, body } => {
            perform_first();
            instead(given(status, &body))
        }
        Fault::RateLimited { seconds } => instead(Refusal::rate_limited(seconds).into()),
        Fault::TokenExpired => {
            instead(Refusal::token_error("Your token has expired. Please re-authenticate.").into())
        }
        Fault::NotJson => {
            perform_first();
            instead(Answer::html(200, "<!doctype html><title>Welcome</title>"))
        }
        Fault::Redirect { status, location } => {
            let mut answer = Answer::html(status, "");
            answer.headers.push(("location", location));
            instead(answer)
        }
        Fault::ResetBefore => {
            lock(&state).log.end(ticket, None);
            Err(NoAnswer::Reset)
        }
        Fault::ResetAfter => {
            perform_first();
            Err(NoAnswer::Reset)
        }
        Fault::HangBefore => future::pending().await,
        Fault::HangAfter => {
            perform_first();
            future::pending().await
        }
        Fault::Slow { before_ms, after_ms } => {
            let patience = lock(&state).options.request_timeout;
            // A task of its own: a client that gives up doesn't stop what the server has begun, and neither does the
            // server when it loses patience with itself.
            let task = tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(before_ms)).await;
                let response = perform(&state, &request, ticket);
                tokio::time::sleep(Duration::from_millis(after_ms)).await;
                response
            });
            match tokio::time::timeout(patience, task).await {
                Ok(done) => done.map_err(|_| NoAnswer::Reset),
                Err(_) => Err(NoAnswer::Close),
            }
        }
        Fault::Truncate { keep } => {
            let answer = perform_first();
            if keep >= answer.body.len() {
                // It arrives whole.
                lock(&state).log.end(ticket, Some(answer.status));
            }
            Ok(response(&state, answer, |body| AnswerBody::Cut {
                keep: Some(body.slice(..keep.min(body.len()))),
                length: body.len(),
            }))
        }
        Fault::Oversized { bytes } => {
            let answer = Answer::json(200, &serde_json::Value::Null);
            lock(&state).log.end(ticket, Some(200));
            Ok(response(&state, answer, |_| AnswerBody::Endless { left: bytes }))
        }
        Fault::Respond { status, reply, performed } => {
            let answer = match performed {
                Performed::Before => Some(perform_first()),
                Performed::Never => None,
                Performed::Later { ms } => {
                    let (state, request) = (Arc::clone(&state), request.clone());
                    tokio::spawn(async move {
                        tokio::time::sleep(Duration::from_millis(ms)).await;
                        routes::handle(&mut lock(&state), &request);
                    });
                    None
                }
            };
            let has_status = !Reply::WITHOUT_STATUS.contains(&reply);
            lock(&state).log.end(ticket, has_status.then_some(status));
            replied(&state, status, reply, answer).await
        }
    }
}

/// A reply as a fault asks for it, in place of the server's own answer if there is one.
async fn replied(
    state: &Shared,
    status: u16,
    reply: Reply,
    own: Option<Answer>,
) -> Result<Response<AnswerBody>, NoAnswer> {
    const OVERSIZED: u64 = (1 << 20) + (1 << 16);
    let of_kms = || match own {
        Some(answer) if status < 300 => Answer { status, ..answer },
        None if status < 300 => Answer::json(status, &serde_json::json!({})),
        _ => Refusal::of_status(status).into(),
    };
    Ok(match reply {
        Reply::Kms => response(state, of_kms(), AnswerBody::Whole),
        Reply::DbtUnavailable => {
            let message = "Failed to validate credentials: Request failed with status code 503";
            response(state, Refusal::bad_request(message).into(), AnswerBody::Whole)
        }
        Reply::Html => {
            let page = format!("<html><head><title>{status}</title></head><body>nginx</body></html>");
            response(state, Answer::html(status, &page), AnswerBody::Whole)
        }
        Reply::Gateway => {
            let body = serde_json::json!({"message": "Forbidden"});
            response(state, Answer::json(status, &body), AnswerBody::Whole)
        }
        Reply::Empty => {
            response(state, Answer { body: Vec::new(), ..Answer::html(status, "") }, AnswerBody::Whole)
        }
        Reply::Cut => response(state, of_kms(), |body| AnswerBody::Cut {
            keep: Some(body.slice(..body.len() / 2)),
            length: body.len(),
        }),
        Reply::Oversized => {
            response(state, Answer::html(status, ""), |_| AnswerBody::Endless { left: OVERSIZED })
        }
        Reply::Reset => return Err(NoAnswer::Reset),
        Reply::Close => return Err(NoAnswer::Close),
        Reply::Hang => future::pending().await,
    })
}

fn perform(state: &Shared, request: &Request, ticket: Ticket) -> Response<AnswerBody> {
    let answer = {
        let mut state = lock(state);
        let answer = routes::handle(&mut state, request);
        state.log.end(ticket, Some(answer.status));
        answer
    };
    response(state, answer, AnswerBody::Whole)
}

fn given(status: u16, body: &serde_json::Value) -> Answer {
    match body {
        serde_json::Value::String(page) => Answer::html(status, page),
        body => Answer::json(status, body),
    }
}

fn response(state: &Shared, answer: Answer, body: impl FnOnce(Bytes) -> AnswerBody) -> Response<AnswerBody> {
    let (date, patience) = {
        let state = lock(state);
        (state.now().format(&HTTP_DATE).unwrap_or_default(), state.options.idle_timeout.as_secs())
    };
    let mut response = Response::builder()
        .status(answer.status)
        .header("content-type", answer.content_type)
        .header("date", date)
        .header("keep-alive", format!("timeout={patience}"));
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    response.body(body(answer.body.into())).unwrap_or_else(|_| Response::new(AnswerBody::Whole(Bytes::new())))
}

async fn read(client: SocketAddr, request: hyper::Request<Incoming>) -> Result<Request, hyper::Error> {
    let (parts, mut incoming) = request.into_parts();
    let mut body = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut incoming).poll_frame(context)).await {
        if let Ok(data) = frame?.into_data() {
            body.extend_from_slice(&data);
        }
    }
    let headers = parts.headers.iter().map(|(name, value)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    let headers: Vec<(String, String)> = headers.collect();
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
    let (path, query) = target.split_once(['?', ';']).unwrap_or((&target, ""));
    Ok(Request {
        client: real_address(client, &headers),
        method: parts.method.to_string(),
        path: path.to_owned(),
        query: query.to_owned(),
        target,
        headers,
        body,
    })
}

/// The headers in which proxies name the client, in the server's order.
const FORWARDING: [&str; 12] = [
    "cf-connecting-ip",
    "x-client-ip",
    "x-envoy-external-address",
    "x-forwarded-for",
    "fastly-client-ip",
    "true-client-ip",
    "x-real-ip",
    "x-cluser-client-ip",
    "forwarded-for",
    "x-forwarded",
    "forwarded",
    "x-appengine-user-ip",
];

/// The first of these headers counts, and of several addresses in it the first.
fn real_address(client: SocketAddr, headers: &[(String, String)]) -> String {
    let mut named = FORWARDING
        .iter()
        .filter_map(|name| headers.iter().find(|(known, value)| known == name && !value.is_empty()));
    match named.next() {
        Some((_, value)) => {
            value.split_once(',').map_or(value.as_str(), |(first, _)| first.trim()).to_owned()
        }
        None => client.ip().to_string(),
    }
}

/// The body of an answer, whole or spoilt.
enum AnswerBody {
    Whole(Bytes),
    /// Announces `length` bytes, sends fewer and fails.
    Cut {
        keep: Option<Bytes>,
        length: usize,
    },
    Endless {
        left: u64,
    },
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Poll::Ready(match self.get_mut() {
            Self::Whole(bytes) if bytes.is_empty() => None,
            Self::Whole(bytes) => Some(Ok(Frame::data(std::mem::take(bytes)))),
            Self::Cut { keep, .. } => Some(match keep.take() {
                Some(bytes) => Ok(Frame::data(bytes)),
                None => Err(io::ErrorKind::ConnectionAborted.into()),
            }),
            Self::Endless { left: 0 } => None,
            Self::Endless { left } => {
                const CHUNK: &[u8] = &[b'['; 64 * 1024];
                let size = (*left).min(CHUNK.len() as u64);
                *left -= size;
                Some(Ok(Frame::data(Bytes::from_static(&CHUNK[..size as usize]))))
            }
        })
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Cut { length, .. } => SizeHint::with_exact(*length as u64),
            Self::Endless { .. } => SizeHint::default(),
        }
    }
}

/// A connection that can be closed with a reset, as a crashed server's or a rebooted router's is.
struct Resettable {
    stream: TcpStream,
    reset: Arc<AtomicBool>,
}

impl Drop for Resettable {
    fn drop(&mut self) {
        if self.reset.load(Ordering::Relaxed) {
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Resettable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Resettable {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.reset.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
