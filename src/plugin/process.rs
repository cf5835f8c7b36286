//! The life of the process: listen, shake hands, serve one host, and end without losing a write.
//!
//! The host waits for the handshake line, and then takes a while to connect. So what isn't needed for the line comes after
//! it: the runtime, TLS, the services.

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

/// The limit of one message, as in HashiCorp's own server. States of large resources outgrow gRPC's usual 4 MiB.
const MESSAGE_LIMIT: usize = 256 << 20;

/// A client that connects must prove itself within this time.
const TLS_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the host may take to connect. Its own limit for the handshake line is as long.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);

/// How often to look whether the host that has not connected yet still exists.
const LOOK_FOR_PARENT: Duration = Duration::from_secs(1);

/// How long to wait when a connection can't be accepted.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// The host kills the process two seconds after it asked it to end, so connections get less.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How long to go on for a write under way when the host is gone and can't be told its result any more.
const LAST_WRITE: Duration = Duration::from_secs(60);

/// Where the Terraform that started this process may connect, as it has been told.
pub(super) struct Open {
    listener: Listener,
    tls: Option<Tls>,
    parent: u32,
}

/// Shakes hands with the Terraform that started this process.
///
/// # Errors
/// There is no way to begin.
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

/// Serves the provider to the Terraform that started this process, until it says to end, goes away or doesn't come, or
/// until a supervisor asks the process to end.
///
/// # Errors
/// There is no way to begin.
pub(super) async fn serve<P: Provider>(provider: P, open: Open) -> Result<(), HandshakeError> {
    let listener = open.listener.accepting()?;
    let tls = open.tls.map(Tls::config).transpose()?;
    let terminated = CancellationToken::new();
    interrupts::terminated(terminated.clone())?;
    let ending = Ending::WithTheHost { parent: open.parent, terminated };
    run(provider, listener, tls, ending, CancellationToken::new()).await;
    Ok(())
}

/// Serves the provider to any number of Terraform runs that are told of it, until `end` is cancelled. Prints what to
/// export for that.
///
/// # Errors
/// There is no way to begin.
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

/// The names of a provider in the registries: Terraform and OpenTofu each look in their own for a source without a host.
fn addresses(address: &str) -> Vec<String> {
    const HOSTS: [&str; 2] = ["registry.terraform.io/", "registry.opentofu.org/"];
    match HOSTS.iter().find_map(|host| address.strip_prefix(host)) {
        Some(source) => HOSTS.map(|host| format!("{host}{source}")).into(),
        None => vec![address.to_owned()],
    }
}

/// What ends the process.
enum Ending {
    /// The host's word, or that it is gone or doesn't come. `parent` is the ID of the process that started this one;
    /// `terminated` is cancelled when a supervisor asks the process to end.
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
            tracing::info!("asked to end: what has not been sent is cancelled, calls under way finish");
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
            if let Ok(result) = tokio::time::timeout(LAST_WORDS, serving).await {
                log_end(result);
            }
        }
    }
    // Nobody is left to answer, but a write that was sent must reach the server whole.
    server.stop();
    let _ = tokio::time::timeout(LAST_WRITE, server.finished()).await;
}

fn log_end(result: Result<(), tonic::transport::Error>) {
    if let Err(error) = result {
        tracing::warn!(%error, "the connection to Terraform broke");
    }
}

/// Accepts connections from clients that prove themselves. Each handshake runs apart, so that a stranger who says
/// nothing can't keep the host waiting.
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
                // Such as too many open files: it may pass, and must not keep the thread busy.
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
                                tracing::warn!(%error, "refused a connection that is not Terraform's");
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

/// A connection to a client that has proved itself.
struct Connection {
    stream: Box<dyn Duplex>,
    _open: OpenConnection,
}

/// Returns when the host has hung up; or, before it has connected, when it took too long or its process is gone.
async fn until_host_is_gone(open: &OpenConnections, parent_is_there: impl Fn() -> bool) {
    let latest = Instant::now() + CONNECT_TIMEOUT;
    while !open.began.is_cancelled() {
        if !parent_is_there() || Instant::now() >= latest {
            tracing::warn!("Terraform has not connected, so the provider ends");
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

/// Nobody inherits a process here, so this doesn't change.
#[cfg(not(unix))]
fn parent_id() -> u32 {
    0
}

/// Counts the open connections. When the last one goes, the host has: it connects only once, and if it was killed
/// nobody else will tell.
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

    /// How long the wait for a host lasts that doesn't connect, and whose process is gone after `parent_lives`.
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
            // Whoever inherits the process is not the host.
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

    /// As on a system without Unix sockets.
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
}
