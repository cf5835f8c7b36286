//! Tests of what HTTP/2 says about a request that has no response. The server writes its frames by hand.
//!
//! The clock isn't paused: it would run ahead of the handshakes.

use std::{
    io,
    sync::{Arc, Mutex},
};

use http::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::is_lost;
use crate::{
    kms::{
        Auth, CaCertificates, CancellationToken, Client, Error, Host, Reason, report,
        request::Request,
        test_server::{Reply, Server, new_client},
    },
    secret::Secret,
};

// Types of frames, flags and error codes, as RFC 9113 numbers them.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const NO_ERROR: u32 = 0;
const INTERNAL_ERROR: u32 = 2;
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;
const ENHANCE_YOUR_CALM: u32 = 11;
const HTTP_1_1_REQUIRED: u32 = 13;

/// What the server does after a request.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Responds on a stream.
    Respond(u32),
    /// Begins a response on a stream.
    Begin(u32),
    /// Resets a stream with this error code.
    Reset(u32, u32),
    /// Names the last stream that it processes, with this error code.
    GoAway(u32, u32),
    Close,
}

/// Stands in the debug data of each GOAWAY.
const DEBUG_DATA: &str = "Bearer debug-data";

struct Http2Server {
    host: String,
    pem: Vec<u8>,
    /// The connection and the stream of each request.
    seen: Arc<Mutex<Vec<(usize, u32)>>>,
}

impl Http2Server {
    /// The script gets the connection and the stream of each complete request, both counted by the server.
    async fn start(script: impl Fn(usize, u32) -> Vec<Step> + Send + Sync + 'static) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let parameters = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        let pem = certificate.pem().into_bytes();
        let key = rustls_pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, script) = (Arc::clone(&seen), Arc::new(script));
        tokio::spawn(async move {
            for connection in 1.. {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, log, script) = (acceptor.clone(), Arc::clone(&log), Arc::clone(&script));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let respond = |stream| {
                        log.lock().unwrap().push((connection, stream));
                        script(connection, stream)
                    };
                    let _ = serve(stream, respond).await;
                });
            }
        });
        Self { host, pem, seen }
    }

    async fn client(&self) -> Client {
        let mut config = Server::start(|_, _| Reply::close()).await.config();
        config.host = Host::parse(&self.host).unwrap();
        config.auth = Auth::Token(Secret::new("st.1"));
        config.ca_certificates = CaCertificates::from_pem(&self.pem).unwrap();
        new_client(config)
    }

    fn seen(&self) -> Vec<(usize, u32)> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(mut peer: TlsStream<TcpStream>, respond: impl Fn(u32) -> Vec<Step>) -> io::Result<()> {
    let mut preface = [0; 24];
    peer.read_exact(&mut preface).await?;
    send(&mut peer, SETTINGS, 0, 0, &[]).await?;
    loop {
        let mut head = [0; 9];
        peer.read_exact(&mut head).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let (kind, flags, stream) =
            (head[3], head[4], u32::from_be_bytes([head[5], head[6], head[7], head[8]]));
        let mut payload = vec![0; length as usize];
        peer.read_exact(&mut payload).await?;
        if kind == SETTINGS && flags & ACK == 0 {
            send(&mut peer, SETTINGS, ACK, 0, &[]).await?;
        }
        if !(matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0) {
            continue;
        }
        for step in respond(stream) {
            // ":status: 200", from the static table of HPACK.
            let head = [0x88];
            match step {
                Step::Begin(stream) => send(&mut peer, HEADERS, END_HEADERS, stream, &head).await?,
                Step::Respond(stream) => {
                    send(&mut peer, HEADERS, END_HEADERS, stream, &head).await?;
                    send(&mut peer, DATA, END_STREAM, stream, br#"{"done": true}"#).await?;
                }
                Step::Reset(stream, code) => {
                    send(&mut peer, RST_STREAM, 0, stream, &code.to_be_bytes()).await?;
                }
                Step::GoAway(last, code) => {
                    let payload = [&last.to_be_bytes(), &code.to_be_bytes(), DEBUG_DATA.as_bytes()].concat();
                    send(&mut peer, GOAWAY, 0, 0, &payload).await?;
                }
                Step::Close => return peer.shutdown().await,
            }
        }
    }
}

async fn send(
    peer: &mut TlsStream<TcpStream>,
    kind: u8,
    flags: u8,
    stream: u32,
    payload: &[u8],
) -> io::Result<()> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    peer.write_all(&[&head, payload].concat()).await?;
    peer.flush().await
}

async fn get(client: &Client) -> Result<Value, Error> {
    let request = Request::get("/api/v1/thing", &[]).unwrap();
    client.operation(CancellationToken::new()).send(&request).await
}

async fn post(client: &Client) -> Result<Value, Error> {
    let request = Request::write(Method::POST, "/api/v1/thing", &[], &json!({"name": "x"})).unwrap();
    client.operation(CancellationToken::new()).send(&request).await
}

/// Reads first, on stream 1, and then writes twice at the same time, on streams 3 and 5.
async fn two_writes(client: &Client) -> [Result<Value, Error>; 2] {
    get(client).await.unwrap();
    let (first, second) = tokio::join!(post(client), post(client));
    [first, second]
}

fn is_unprocessed(error: &Error) -> bool {
    matches!(error.reason(), Some(Reason::Unprocessed { .. })) && !error.may_have_changed_something()
}

#[tokio::test]
async fn a_refused_stream_is_sent_again() {
    let server = Http2Server::start(|_, stream| match stream {
        3 => vec![Step::Reset(3, REFUSED_STREAM)],
        _ => vec![Step::Respond(stream)],
    })
    .await;
    let client = server.client().await;
    get(&client).await.unwrap();
    post(&client).await.unwrap();
    assert_eq!(server.seen(), [(1, 1), (1, 3), (1, 5)]);
}

#[tokio::test]
async fn a_stream_above_the_last_of_a_goaway_is_sent_again() {
    for code in [NO_ERROR, ENHANCE_YOUR_CALM, HTTP_1_1_REQUIRED] {
        let server = Http2Server::start(move |connection, stream| match (connection, stream) {
            (1, 3) => vec![],
            (1, 5) => vec![Step::GoAway(3, code), Step::Respond(3)],
            _ => vec![Step::Respond(stream)],
        })
        .await;
        let client = server.client().await;
        for result in two_writes(&client).await {
            result.unwrap();
        }
        assert_eq!(server.seen(), [(1, 1), (1, 3), (1, 5), (2, 1)], "{code}");
    }
}

#[tokio::test]
async fn a_stream_up_to_the_last_of_a_goaway_may_have_been_processed() {
    for code in [NO_ERROR, INTERNAL_ERROR] {
        let server = Http2Server::start(move |connection, stream| match (connection, stream) {
            (1, 3) => vec![],
            (1, 5) => vec![Step::GoAway(5, code), Step::Respond(3), Step::Close],
            _ => vec![Step::Respond(stream)],
        })
        .await;
        let client = server.client().await;
        let [first, second] = two_writes(&client).await;
        first.unwrap();
        let error = second.unwrap_err();
        assert!(is_lost(&error) && error.may_have_changed_something(), "{code}: {error:?}");
        assert_eq!(server.seen(), [(1, 1), (1, 3), (1, 5)]);
    }
}

#[tokio::test]
async fn a_graceful_end_is_no_fault_for_either_side_of_it() {
    // As nginx and Go do it: first a GOAWAY that takes all streams, then the one that counts.
    let server = Http2Server::start(|connection, stream| match (connection, stream) {
        (1, 3) => vec![Step::GoAway(0x7fff_ffff, NO_ERROR)],
        (1, 5) => vec![Step::GoAway(3, NO_ERROR), Step::Respond(3), Step::Close],
        _ => vec![Step::Respond(stream)],
    })
    .await;
    let client = server.client().await;
    for result in two_writes(&client).await {
        result.unwrap();
    }
    let seen = server.seen();
    assert!(
        seen.len() <= 4 && seen.iter().filter(|(connection, _)| *connection == 2).count() == 1,
        "{seen:?}"
    );
}

#[tokio::test]
async fn no_other_reset_promises_anything() {
    for code in [NO_ERROR, INTERNAL_ERROR, CANCEL, ENHANCE_YOUR_CALM, HTTP_1_1_REQUIRED] {
        let server = Http2Server::start(move |_, stream| vec![Step::Reset(stream, code)]).await;
        let error = post(&server.client().await).await.unwrap_err();
        assert!(is_lost(&error) && error.may_have_changed_something(), "{code}: {error:?}");
        assert_eq!(server.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_stream_that_is_refused_after_its_response_began_was_processed() {
    let server = Http2Server::start(|_, stream| {
        vec![Step::Begin(stream), Step::Reset(stream, REFUSED_STREAM), Step::GoAway(0, NO_ERROR)]
    })
    .await;
    let error = post(&server.client().await).await.unwrap_err();
    assert!(is_lost(&error) && error.may_have_changed_something(), "{error:?}");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_server_that_refuses_for_ever_is_given_up() {
    type Script = fn(usize, u32) -> Vec<Step>;
    let scripts: [(Script, &str); 2] = [
        (|_, stream| vec![Step::Reset(stream, REFUSED_STREAM)], "HTTP/2 RST_STREAM with REFUSED_STREAM"),
        (
            |_, _| vec![Step::GoAway(0, ENHANCE_YOUR_CALM), Step::Close],
            "HTTP/2 GOAWAY with ENHANCE_YOUR_CALM",
        ),
    ];
    for (script, sign) in scripts {
        let server = Http2Server::start(script).await;
        let client = server.client().await;
        let error = post(&client).await.unwrap_err();
        assert!(is_unprocessed(&error), "{error:?}");
        assert_eq!(server.seen().len(), 4, "{sign}");
        let text = format!("the server at {} did not process POST /api/v1/thing: {sign}", server.host);
        assert_eq!(report(&error), text);
        assert!(!format!("{error:?}").contains("debug-data"), "{error:?}");
        // It counts as an outage: the next request gets one try.
        assert!(is_unprocessed(&get(&client).await.unwrap_err()));
        assert_eq!(server.seen().len(), 5, "{sign}");
    }
}
