//! A load balancer in front of the KMS that speaks HTTP/2, and refuses streams as HTTP/2 lets it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use h2::{RecvStream, server::SendResponse};
use kms_emulator::{CONNECTIONS, Emulator};
use prost::bytes::Bytes;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use terraform_provider_kms::plugin::value::{Number, Value};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{
    host::{Host, provider_config, told},
    resource::{apply, config, configure, emulator},
};

/// Every how many creates a stream is refused, and after how many requests a connection ends.
const REFUSED: usize = 3;
const LONGEST: usize = 7;

/// TLS with a certificate for localhost, which is returned too.
fn tls() -> (TlsAcceptor, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    tls.alpn_protocols = vec![b"h2".to_vec()];
    (TlsAcceptor::from(Arc::new(tls)), certificate.pem())
}

/// Leads every request to the emulator. Returns its URL, its certificate, and the number of refused creates.
async fn load_balancer(emulator: &Emulator) -> (String, String, Arc<AtomicUsize>) {
    let (acceptor, pem) = tls();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let refused = Arc::new(AtomicUsize::new(0));
    let balancer = Balancer {
        creates: Arc::default(),
        refused: Arc::clone(&refused),
        kms: emulator.url(),
        http: reqwest::Client::builder().no_proxy().build().unwrap(),
    };
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, balancer) = (acceptor.clone(), balancer.clone());
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    balancer.serve(stream).await;
                }
            });
        }
    });
    (url, pem, refused)
}

#[derive(Clone)]
struct Balancer {
    creates: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
    kms: String,
    http: reqwest::Client,
}

impl Balancer {
    async fn serve(self, stream: TlsStream<TcpStream>) {
        // The client opens more connections than it needs, and closes them.
        let Ok(mut connection) = h2::server::handshake(stream).await else { return };
        let mut count = 0;
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            count += 1;
            if count == LONGEST {
                connection.graceful_shutdown();
            }
            let is_create = request.method() == http::Method::POST && request.uri().path() == CONNECTIONS;
            if is_create && self.creates.fetch_add(1, Ordering::SeqCst).is_multiple_of(REFUSED) {
                self.refused.fetch_add(1, Ordering::SeqCst);
                respond.send_reset(h2::Reason::REFUSED_STREAM);
                continue;
            }
            tokio::spawn(self.clone().forward(request, respond));
        }
    }

    async fn forward(self, request: http::Request<RecvStream>, mut respond: SendResponse<Bytes>) {
        let (parts, mut body) = request.into_parts();
        let mut content = Vec::new();
        while let Some(chunk) = body.data().await {
            content.extend_from_slice(&chunk.unwrap());
        }
        let url = format!("{}{}", self.kms, parts.uri.path_and_query().unwrap());
        let mut headers = parts.headers;
        headers.remove(http::header::CONTENT_LENGTH);
        let request = self.http.request(parts.method, url).headers(headers).body(content);
        let response = request.send().await.unwrap();
        let head = http::Response::builder().status(response.status());
        let content_type = response.headers()[http::header::CONTENT_TYPE].clone();
        let head = head.header(http::header::CONTENT_TYPE, content_type).body(()).unwrap();
        let content = response.bytes().await.unwrap();
        let mut stream = respond.send_response(head, false).unwrap();
        let _ = stream.send_data(content, true);
    }
}

#[tokio::test]
async fn a_refused_create_is_sent_again_without_a_look_and_a_warning() {
    const CREATES: usize = 30;
    let emulator = emulator().await;
    let (url, pem, refused) = load_balancer(&emulator).await;
    let host = Host::start().await;
    let mut provider = host.provider();
    let block = provider_config(&url, &[("ca_certificate_pem", Value::string(&pem))]);
    assert_eq!(configure(&mut provider, &block).await, Vec::<String>::new());
    let creates: Vec<_> = (0..CREATES)
        .map(|number| {
            let mut provider = provider.clone();
            tokio::spawn(async move {
                apply(&mut provider, None, &config(&format!("analytics-{number}"), &[])).await.0.diagnostics
            })
        })
        .collect();
    for create in creates {
        assert_eq!(told(&create.await.unwrap()), Vec::<String>::new());
    }
    assert_eq!(emulator.connections().len(), CREATES);
    assert!(refused.load(Ordering::SeqCst) >= CREATES / REFUSED);
    // The plans have asked for the list.
    let looked_up =
        |request: &kms_emulator::LoggedRequest| request.method == "GET" && request.path != CONNECTIONS;
    assert!(!emulator.requests().iter().any(looked_up), "a create was looked up");
}

/// Answers whatever it gets with the end of the connection, whose debug data repeats a credential.
async fn ending_with(debug_data: &'static str) -> (String, String) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    const SETTINGS: u8 = 4;
    const GOAWAY: u8 = 7;
    const HEADERS: u8 = 1;
    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, 0], &[0; 4], payload].concat()
    }
    let (acceptor, pem) = tls();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut peer = acceptor.accept(stream).await.ok()?;
                peer.read_exact(&mut [0; 24]).await.ok()?;
                peer.write_all(&frame(SETTINGS, &[])).await.ok()?;
                loop {
                    let mut head = [0; 9];
                    peer.read_exact(&mut head).await.ok()?;
                    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
                    peer.read_exact(&mut vec![0; length as usize]).await.ok()?;
                    if head[3] == HEADERS {
                        // No stream was processed; the code is INTERNAL_ERROR.
                        let end = [&[0; 4], [0, 0, 0, 2].as_slice(), debug_data.as_bytes()].concat();
                        peer.write_all(&frame(GOAWAY, &end)).await.ok()?;
                        peer.shutdown().await.ok()?;
                        return Some(());
                    }
                }
            });
        }
    });
    (url, pem)
}

#[tokio::test]
async fn a_credential_in_debug_data_is_neither_shown_nor_logged() {
    const ACCESS_TOKEN: &str = "st.access_token_of_the_run";
    let (url, pem) = ending_with("upstream refused: Bearer st.access_token_of_the_run").await;
    for level in ["TRACE", "DEBUG"] {
        let host = Host::start_with(&[("TF_LOG", level), ("KMS_TOKEN", ACCESS_TOKEN)]).await;
        let mut provider = host.provider();
        let extra = [
            ("ca_certificate_pem", Value::string(&pem)),
            ("auth", Value::Null),
            ("max_retries", Value::Number(Number::Int(0))),
        ];
        assert_eq!(configure(&mut provider, &provider_config(&url, &extra)).await, Vec::<String>::new());
        let failure = apply(&mut provider, None, &config("analytics", &[])).await.0.diagnostics;
        let (_, _, log) = host.shut_down().await;
        let (failure, log) = (format!("{failure:?}"), log.join("\n"));
        assert!(failure.contains("GOAWAY") && log.contains("GOAWAY"), "{failure}\n{log}");
        for text in [&failure, &log] {
            assert!(!text.contains("access_token_of") && !text.contains("upstream refused"), "{text}");
        }
    }
}
