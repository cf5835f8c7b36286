//! A server for the tests of this layer: it responds as scripted, down to the bytes, and records the requests.
//!
//! Its clock runs with the tests' (which may be paused) but shows another time than this machine's, so a test that
//! relied on the local clock would fail.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use time::{
    OffsetDateTime,
    format_description::well_known::{Rfc2822, Rfc3339},
    macros::datetime,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{Auth, CaCertificates, Client, Config, Host, ManagedIds, Operation, Proxies, Redactor};
use crate::secret::Secret;

const EPOCH: OffsetDateTime = datetime!(2031-03-04 05:06:07.5 UTC);

/// One request as it arrived.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) method: String,
    /// With the query.
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
    /// The number of earlier requests with this method and target.
    pub(super) earlier: usize,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(super) fn is(&self, method: &str, target: &str) -> bool {
        self.method == method && self.target == target
    }
}

/// The response, and its delay.
pub(super) struct Reply {
    delay: Duration,
    wire: Wire,
}

enum Wire {
    Answer { status: u16, headers: Vec<(&'static str, String)>, body: Vec<u8> },
    Bytes(&'static [u8]),
}

impl Reply {
    pub(super) fn json(status: u16, body: Value) -> Self {
        Self::text(status, "application/json", body.to_string())
    }

    pub(super) fn html(status: u16) -> Self {
        Self::text(status, "text/html", "<html><h1>NotFound</h1></html>")
    }

    pub(super) fn text(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("content-type", content_type.to_owned())];
        Self { delay: Duration::ZERO, wire: Wire::Answer { status, headers, body: body.into() } }
    }

    /// An error in the KMS's form.
    pub(super) fn error(status: u16, error: &str, message: &str) -> Self {
        Self::json(
            status,
            json!({"reqId": "req-1", "statusCode": status, "message": message, "error": error}),
        )
    }

    pub(super) fn not_found() -> Self {
        Self::error(404, "NotFound", "Could not find App Connection with ID x")
    }

    /// The web framework's response to an unknown route.
    pub(super) fn no_route() -> Self {
        let message = "Route GET:/x not found";
        Self::json(404, json!({"message": message, "error": "Not Found", "statusCode": 404}))
    }

    /// A success whose body ends early.
    pub(super) fn truncated() -> Self {
        Self::bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"app")
    }

    /// These bytes, after which the connection closes.
    pub(super) fn bytes(bytes: &'static [u8]) -> Self {
        Self { delay: Duration::ZERO, wire: Wire::Bytes(bytes) }
    }

    /// The connection closes without a response.
    pub(super) fn close() -> Self {
        Self::bytes(b"")
    }

    /// No response for longer than any test waits.
    pub(super) fn never() -> Self {
        Self::close().after(Duration::from_secs(100_000))
    }

    pub(super) fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    pub(super) fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        if let Wire::Answer { headers, .. } = &mut self.wire {
            headers.push((name, value.to_string()));
        }
        self
    }
}

#[derive(Clone)]
pub(super) struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    clock: Clock,
}

/// The server's clock.
#[derive(Clone, Copy)]
pub(super) struct Clock(pub(super) Instant);

impl Clock {
    pub(super) fn now(self) -> OffsetDateTime {
        EPOCH + self.0.elapsed()
    }

    /// In the KMS's timestamp format.
    pub(super) fn stamp(self) -> String {
        self.now().format(&Rfc3339).unwrap()
    }

    /// A timestamp in the past.
    pub(super) fn stamp_ago(self, ago: Duration) -> String {
        (self.now() - ago).format(&Rfc3339).unwrap()
    }
}

impl Server {
    /// Responds to logins with `access-1`, `access-2` and so on, valid for a month, and to everything else as scripted.
    pub(super) async fn start(script: impl Fn(&Seen, Clock) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_raw(move |seen, clock| {
            if is_login(seen) {
                let token = format!("access-{}", seen.earlier + 1);
                return Reply::json(200, json!({"accessToken": token, "expiresIn": 2_592_000}));
            }
            script(seen, clock)
        })
        .await
    }

    /// Responds to everything as scripted, including logins.
    pub(super) async fn start_raw(script: impl Fn(&Seen, Clock) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Self { address, seen: Arc::default(), clock: Clock(Instant::now()) };
        let (seen, clock, script) = (Arc::clone(&server.seen), server.clock, Arc::new(script));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (seen, script) = (Arc::clone(&seen), Arc::clone(&script));
                tokio::spawn(async move {
                    let _ = serve_one::<TcpStream>(stream, &seen, clock, &*script).await;
                });
            }
        });
        server
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The number of requests with this method, without logins.
    pub(super) fn count(&self, method: &str) -> usize {
        self.seen().iter().filter(|seen| seen.method == method && !is_login(seen)).count()
    }

    pub(super) fn logins(&self) -> usize {
        self.seen().iter().filter(|seen| is_login(seen)).count()
    }

    pub(super) fn config(&self) -> Config {
        Config {
            host: Host::parse(&self.url()).unwrap(),
            auth: Auth::Universal {
                client_id: "client-1".to_owned(),
                client_secret: Secret::new("client-secret-1"),
            },
            organization_slug: None,
            ca_certificates: CaCertificates::default(),
            custom_headers: crate::kms::CustomHeaders::default(),
            proxies: Proxies::default(),
            request_timeout: Duration::from_secs(30),
            max_retries: 3,
            max_retry_wait: Duration::from_secs(600),
            user_agent: "tests/1".to_owned(),
        }
    }

    pub(super) fn client(&self) -> Client {
        new_client(self.config())
    }

    pub(super) fn operation(&self) -> Operation {
        self.client().operation(CancellationToken::new())
    }
}

/// A client without managed objects.
pub(super) fn new_client(config: Config) -> Client {
    Client::new(config, ManagedIds::default(), Redactor::default())
}

/// A TLS server with its own certificate for these names, which closes every connection after a response of `{"done":
/// true}`. Returns its URL on localhost and its certificate in PEM.
pub(super) async fn tls_server(names: &[&str]) -> (String, Vec<u8>) {
    tls_server_as(names, rcgen::IsCa::NoCa).await
}

/// As [`tls_server`], with a certificate that may be that of an authority.
pub(super) async fn tls_server_as(names: &[&str], is_ca: rcgen::IsCa) -> (String, Vec<u8>) {
    let (certificate, key, pem) = server_certificate(names, is_ca);
    let config = server_config(rustls::ALL_VERSIONS)
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    (start_tls(config).await, pem)
}

/// As [`tls_server`], for clients with a certificate of its own authority, which nobody has.
pub(super) async fn tls_server_for_clients(
    version: &'static rustls::SupportedProtocolVersion,
    protocols: &[&[u8]],
) -> (String, Vec<u8>) {
    let (certificate, key, pem) = server_certificate(&["localhost"], rcgen::IsCa::NoCa);
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let crypto = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let clients =
        rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), crypto).build().unwrap();
    let mut config = server_config(&[version])
        .with_client_cert_verifier(clients)
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    (start_tls(config).await, pem)
}

fn server_certificate(
    names: &[&str],
    is_ca: rcgen::IsCa,
) -> (CertificateDer<'static>, PrivateKeyDer<'static>, Vec<u8>) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::new(names).unwrap();
    parameters.is_ca = is_ca;
    let certificate = parameters.self_signed(&key).unwrap();
    let pem = certificate.pem().into_bytes();
    (certificate.der().clone(), PrivateKeyDer::Pkcs8(key.serialize_der().into()), pem)
}

fn server_config(
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> rustls::ConfigBuilder<rustls::ServerConfig, rustls::WantsVerifier> {
    let crypto = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    rustls::ServerConfig::builder_with_provider(crypto).with_protocol_versions(versions).unwrap()
}

async fn start_tls(config: rustls::ServerConfig) -> String {
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(stream) = acceptor.accept(stream).await {
                let script = |_: &Seen, _: Clock| Reply::json(200, json!({"done": true}));
                let _ = serve_one(stream, &Mutex::default(), Clock(Instant::now()), &script).await;
            }
        }
    });
    url
}

pub(super) fn is_login(seen: &Seen) -> bool {
    seen.target.starts_with("/api/v1/auth/")
}

pub(super) async fn serve_one<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    log: &Mutex<Vec<Seen>>,
    clock: Clock,
    script: &(impl Fn(&Seen, Clock) -> Reply + ?Sized),
) -> std::io::Result<()> {
    let Some(mut seen) = read_request(&mut stream).await? else { return Ok(()) };
    {
        let mut log = log.lock().unwrap();
        seen.earlier = log.iter().filter(|other| other.is(&seen.method, &seen.target)).count();
        log.push(seen.clone());
    }
    let reply = script(&seen, clock);
    if !reply.delay.is_zero() {
        tokio::time::sleep(reply.delay).await;
    }
    let bytes = match reply.wire {
        Wire::Bytes(bytes) => bytes.to_vec(),
        Wire::Answer { status, headers, body } => {
            let mut head = format!("HTTP/1.1 {status} Status\r\ncontent-length: {}\r\n", body.len());
            if !headers.iter().any(|(name, _)| *name == "date") {
                let now = clock.now().replace_nanosecond(0).unwrap().format(&Rfc2822).unwrap();
                head.push_str(&format!("date: {}\r\n", now.replace("+0000", "GMT")));
            }
            // An empty value removes a header.
            for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            head.push_str("connection: close\r\n\r\n");
            [head.into_bytes(), body].concat()
        }
    };
    stream.write_all(&bytes).await?;
    stream.shutdown().await
}

async fn read_request<S: AsyncRead + Unpin>(stream: &mut S) -> std::io::Result<Option<Seen>> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap().split(' ');
    let (method, target) = (first.next().unwrap().to_owned(), first.next().unwrap().to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = bytes[head_end + 4..].to_vec();
    while body.len() < length {
        if stream.read_buf(&mut body).await? == 0 {
            return Ok(None);
        }
    }
    let body = String::from_utf8(body).unwrap();
    Ok(Some(Seen { method, target, headers, body, earlier: 0 }))
}
