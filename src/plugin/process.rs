//! The process of a plugin: handshake, serving one host, and shutdown without losing a write.
//!
//! The host waits for the handshake line, and then takes a while to connect. So everything that the line doesn't need
//! is set up after it: the runtime, TLS, the services.

use std::{
    io::{self, Write},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::mpsc,
    time::Instant,
};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;

use super::{
    handshake::{self, HandshakeError, PROTOCOL_VERSION, Tls},
    host_services::HostServices,
    interrupts,
    listener::{Accept, Listener},
    messages,
    proto::{
        go_plugin::{
            grpc_broker_server::GrpcBrokerServer, grpc_controller_server::GrpcControllerServer,
            grpc_stdio_server::GrpcStdioServer,
        },
        health::health_server::HealthServer,
        tfplugin6::provider_server::ProviderServer,
    },
    provider::Provider,
    server::Server,
};

/// The maximum size of a message of the host. A message has the values of one resource a few times, and a
/// resource whose values take more than gRPC's default of 4 MiB is rare. Responses have no limit: a data
/// source can return a long list.
const MESSAGE_LIMIT: usize = 16 << 20;

/// The maximum number of calls of one connection at a time. The host makes as many as its `-parallelism`,
/// which is ten by default. It holds two more streams open, and needs one to stop the provider. Those beyond the
/// limit wait in the host.
const MAX_STREAMS: u32 = 1024;

/// The timeout for the TLS handshake of a client.
const TLS_TIMEOUT: Duration = Duration::from_secs(10);

/// The timeout for the host to connect. The host itself waits as long for the handshake line.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);

/// How often to check that a host that hasn't connected yet still exists.
const LOOK_FOR_PARENT: Duration = Duration::from_secs(1);

/// How long to wait when a connection can't be accepted.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// How long connections may take to close. The host kills the process two seconds after its shutdown request.
const CLOSING_TIMEOUT: Duration = Duration::from_millis(500);

/// How long a running write may continue after the host has disconnected.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// The socket that the handshake line has announced.
pub(super) struct Open {
    listener: Listener,
    tls: Option<Tls>,
    parent: u32,
}

/// Prepares to serve the Terraform that started this process, and prints the handshake line.
///
/// # Errors
/// The socket or TLS can't be set up.
pub(super) fn shake_hands(
    environment: impl Fn(&str) -> Option<String>,
    mut stdout: impl Write,
) -> Result<Open, HandshakeError> {
    let parent = parent_id();
    interrupts::hold_back()?;
    let tls = handshake::tls(&environment)?;
    let listener = Listener::open(&environment)?;
    let line = handshake::line(listener.network(), &listener.address(), tls.as_ref());
    stdout.write_all(line.as_bytes())?;
    stdout.flush()?;
    Ok(Open { listener, tls, parent })
}

/// Serves the provider to the Terraform that started this process. Ends when Terraform requests it, disconnects, or
/// doesn't connect in time, or when the process gets SIGTERM.
///
/// # Errors
/// The socket or TLS can't be set up.
pub(super) async fn serve<P: Provider>(provider: P, open: Open) -> Result<(), HandshakeError> {
    let listener = open.listener.accepting()?;
    let tls = open.tls.map(Tls::config).transpose()?;
    let terminated = CancellationToken::new();
    interrupts::terminated(terminated.clone())?;
    let ending = Ending::WithTheHost { parent: open.parent, terminated };
    run(provider, listener, tls, ending, CancellationToken::new()).await;
    Ok(())
}

/// Serves the provider to any number of Terraform runs until `end` is cancelled. Prints the variable that connects
/// Terraform to this process.
///
/// # Errors
/// The socket or TLS can't be set up.
pub(super) async fn serve_debug<P: Provider>(
    provider: P,
    environment: impl Fn(&str) -> Option<String>,
    mut stdout: impl Write,
    end: CancellationToken,
) -> Result<(), HandshakeError> {
    let listener = Listener::open(&environment)?;
    let process = serde_json::json!({
        "Protocol": "grpc",
        "ProtocolVersion": PROTOCOL_VERSION,
        "Pid": std::process::id(),
        "Test": true,
        "Addr": {"Network": listener.network(), "String": listener.address()},
    });
    let reattach: serde_json::Map<_, _> =
        addresses(provider.address()).into_iter().map(|address| (address, process.clone())).collect();
    let reattach = serde_json::Value::Object(reattach);
    stdout.write_all(messages::reattach(&reattach.to_string()).as_bytes())?;
    stdout.flush()?;
    run(provider, listener.accepting()?, None, Ending::WhenTold, end).await;
    Ok(())
}

/// The addresses of a provider in both registries: Terraform and OpenTofu have different default hosts.
fn addresses(address: &str) -> Vec<String> {
    const HOSTS: [&str; 2] = ["registry.terraform.io/", "registry.opentofu.org/"];
    match HOSTS.iter().find_map(|host| address.strip_prefix(host)) {
        Some(source) => HOSTS.map(|host| format!("{host}{source}")).into(),
        None => vec![address.to_owned()],
    }
}

/// The condition that ends the process.
enum Ending {
    /// The host requests it, disconnects, or doesn't connect. `parent` is the ID of the process that started this one;
    /// `terminated` is cancelled at SIGTERM.
    WithTheHost { parent: u32, terminated: CancellationToken },
    /// Only the caller.
    WhenTold,
}

async fn run<P: Provider>(
    provider: P,
    listener: impl Accept,
    tls: Option<Arc<ServerConfig>>,
    ending: Ending,
    shutdown: CancellationToken,
) {
    let server = Server::new(provider);
    let open = Arc::new(OpenConnections::default());
    let host_may_end = matches!(ending, Ending::WithTheHost { .. });
    if let Ending::WithTheHost { parent, terminated } = ending {
        let (server, open, shutdown) = (server.clone(), Arc::clone(&open), shutdown.clone());
        let terminated = async move {
            terminated.cancelled().await;
            tracing::info!("SIGTERM received: unsent requests are cancelled, calls in progress finish");
            server.stop();
            server.finished().await;
        };
        tokio::spawn(async move {
            tokio::select! {
                () = until_host_is_gone(&open, || parent_id() == parent) => {}
                () = terminated => {}
            }
            shutdown.cancel();
        });
    }
    let host = HostServices { shutdown: shutdown.clone(), host_may_end };
    let connections = accept(listener, tls, open);
    let provider_service = ProviderServer::new(server.clone()).max_decoding_message_size(MESSAGE_LIMIT);
    let serving = tonic::transport::Server::builder()
        .max_concurrent_streams(MAX_STREAMS)
        .add_service(provider_service)
        .add_service(GrpcControllerServer::new(host.clone()))
        .add_service(GrpcStdioServer::new(host.clone()))
        .add_service(GrpcBrokerServer::new(host.clone()))
        .add_service(HealthServer::new(host))
        .serve_with_incoming_shutdown(connections, shutdown.clone().cancelled_owned());
    tokio::pin!(serving);
    tokio::select! {
        result = &mut serving => log_end(result),
        () = shutdown.cancelled() => {
            if let Ok(result) = tokio::time::timeout(CLOSING_TIMEOUT, serving).await {
                log_end(result);
            }
        }
    }
    // No client is left, but a write that has been started must complete.
    server.stop();
    let _ = tokio::time::timeout(WRITE_TIMEOUT, server.finished()).await;
}

fn log_end(result: Result<(), tonic::transport::Error>) {
    if let Err(error) = result {
        tracing::warn!(%error, "the connection to Terraform failed");
    }
}

/// Accepts authenticated connections. Each TLS handshake runs in a separate task, so that a silent client can't block
/// the host.
fn accept(
    listener: impl Accept,
    tls: Option<Arc<ServerConfig>>,
    open: Arc<OpenConnections>,
) -> ReceiverStream<io::Result<Connection>> {
    let (sender, connections) = mpsc::channel(1);
    tokio::spawn(async move {
        let acceptor = tls.map(TlsAcceptor::from);
        loop {
            let stream = tokio::select! {
                stream = listener.accept() => stream,
                () = sender.closed() => return,
            };
            let Ok(stream) = stream else {
                // For instance, there are too many open files. This may be temporary, so try again without a busy loop.
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            };
            let (sender, acceptor, open) = (sender.clone(), acceptor.clone(), Arc::clone(&open));
            tokio::spawn(async move {
                let stream: Box<dyn Duplex> = match acceptor {
                    None => Box::new(stream),
                    Some(acceptor) => {
                        match tokio::time::timeout(TLS_TIMEOUT, acceptor.accept(stream)).await {
                            Ok(Ok(stream)) => Box::new(stream),
                            Ok(Err(error)) => {
                                tracing::warn!(%error, "refused a connection without the certificate of Terraform");
                                return;
                            }
                            Err(_) => return,
                        }
                    }
                };
                let _ = sender.send(Ok(Connection { stream, _open: OpenConnections::one_more(&open) })).await;
            });
        }
    });
    ReceiverStream::new(connections)
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection to an authenticated client.
struct Connection {
    stream: Box<dyn Duplex>,
    _open: OpenConnection,
}

/// Returns when the host has disconnected, or when it hasn't connected in time or its process is gone.
async fn until_host_is_gone(open: &OpenConnections, parent_is_there: impl Fn() -> bool) {
    let latest = Instant::now() + CONNECT_TIMEOUT;
    while !open.began.is_cancelled() {
        if !parent_is_there() || Instant::now() >= latest {
            tracing::warn!("Terraform did not connect, so the provider exits");
            return;
        }
        let _ = tokio::time::timeout(LOOK_FOR_PARENT, open.began.cancelled()).await;
    }
    open.ended.cancelled().await;
}

/// The ID of the process that started this one, or of the one that inherited it.
#[cfg(unix)]
fn parent_id() -> u32 {
    std::os::unix::process::parent_id()
}

/// Orphaned processes get no new parent on this system, so there is nothing to observe.
#[cfg(not(unix))]
fn parent_id() -> u32 {
    0
}

/// Counts the open connections. The host connects only once, so it is gone when the last connection closes. A killed
/// host gives no other signal.
#[derive(Default)]
struct OpenConnections {
    count: AtomicUsize,
    /// Cancelled at the first connection.
    began: CancellationToken,
    /// Cancelled when the last one is gone.
    ended: CancellationToken,
}

impl OpenConnections {
    fn one_more(all: &Arc<Self>) -> OpenConnection {
        all.count.fetch_add(1, Ordering::Relaxed);
        all.began.cancel();
        OpenConnection(Arc::clone(all))
    }
}

struct OpenConnection(Arc<OpenConnections>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.ended.cancel();
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            diagnostics::Diagnostics,
            listener::tcp,
            model::Model as _,
            provider::Types,
            schema::{Schema, optional},
        },
        *,
    };
    use crate::model;

    const SECOND: Duration = Duration::from_secs(1);

    /// How long to wait for a host that doesn't connect and whose process exits after `parent_lives`.
    async fn waits(parent_lives: Duration) -> Duration {
        let began = Instant::now();
        until_host_is_gone(&OpenConnections::default(), || began.elapsed() < parent_lives).await;
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_does_not_connect_is_awaited_for_a_minute() {
        assert_eq!(waits(Duration::MAX).await.as_secs(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_whose_process_is_gone_is_not_awaited() {
        assert_eq!(waits(SECOND / 2).await.as_secs(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_has_connected_may_stay_as_long_as_it_likes() {
        let open = Arc::new(OpenConnections::default());
        let waiting = Arc::clone(&open);
        let began = Instant::now();
        let gone = tokio::spawn(async move {
            // The new parent process isn't the host.
            until_host_is_gone(&waiting, || began.elapsed() < 2 * SECOND).await;
            began.elapsed()
        });
        tokio::time::sleep(SECOND).await;
        let connection = OpenConnections::one_more(&open);
        tokio::time::sleep(3600 * SECOND).await;
        drop(connection);
        assert_eq!(gone.await.unwrap().as_secs(), 3601);
    }

    #[test]
    fn the_provider_is_announced_for_both_registries() {
        let both = ["registry.terraform.io/example/fake", "registry.opentofu.org/example/fake"];
        assert!(both.iter().all(|address| addresses(address) == both));
        assert_eq!(addresses("example.com/example/fake"), ["example.com/example/fake"]);
    }

    model! {
        /// A provider block.
        pub struct Block {
            /// Anything.
            text: String = optional(),
        }
    }

    struct Nothing;

    impl Provider for Nothing {
        type Config = Block;

        fn address(&self) -> &'static str {
            "registry.terraform.io/example/nothing"
        }

        fn schema(&self) -> Schema {
            Block::schema("A provider without types.")
        }

        fn configure(&self, _: &str, _: Block, _: &mut Diagnostics) {}

        fn types(&self) -> Types {
            Types::new()
        }
    }

    /// The code path of systems without Unix sockets.
    #[tokio::test]
    async fn over_tcp_too_the_process_ends_with_its_host() {
        let listener = tcp::Listener::open(|_| None).unwrap();
        let address = listener.address();
        let ending = Ending::WithTheHost { parent: parent_id(), terminated: CancellationToken::new() };
        let listener = listener.accepting().unwrap();
        let serving = tokio::spawn(run(Nothing, listener, None, ending, CancellationToken::new()));
        let host = tokio::net::TcpStream::connect(address).await.unwrap();
        tokio::time::sleep(SECOND / 5).await;
        assert!(!serving.is_finished(), "the host is there");
        drop(host);
        tokio::time::timeout(20 * SECOND, serving).await.expect("it ends").unwrap();
    }

    /// The beginning of a message of this size.
    async fn status_of_message(
        streams: &mut h2::client::SendRequest<prost::bytes::Bytes>,
        size: usize,
    ) -> String {
        let request = http::Request::post("http://localhost/tfplugin6.Provider/GetMetadata")
            .header("content-type", "application/grpc")
            .body(())
            .unwrap();
        let (response, mut body) = streams.send_request(request, false).unwrap();
        let size = u32::try_from(size).unwrap().to_be_bytes();
        body.send_data([&[0], size.as_slice()].concat().into(), false).unwrap();
        match tokio::time::timeout(SECOND, response).await {
            Ok(response) => response.unwrap().headers()["grpc-status"].to_str().unwrap().to_owned(),
            Err(_) => "waits for the rest".to_owned(),
        }
    }

    #[tokio::test]
    async fn calls_and_messages_of_the_host_are_bounded() {
        let listener = tcp::Listener::open(|_| None).unwrap();
        let address = listener.address();
        let end = CancellationToken::new();
        let listener = listener.accepting().unwrap();
        let serving = tokio::spawn(run(Nothing, listener, None, Ending::WhenTold, end.clone()));
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let (mut streams, mut connection) = h2::client::handshake(stream).await.unwrap();
        // The settings of the server arrive.
        assert!(tokio::time::timeout(SECOND, &mut connection).await.is_err());
        assert_eq!(connection.max_concurrent_send_streams(), MAX_STREAMS as usize);
        tokio::spawn(connection);
        assert_eq!(status_of_message(&mut streams, MESSAGE_LIMIT).await, "waits for the rest");
        let out_of_range = (tonic::Code::OutOfRange as i32).to_string();
        assert_eq!(status_of_message(&mut streams, MESSAGE_LIMIT + 1).await, out_of_range);
        end.cancel();
        serving.await.unwrap();
    }
}
