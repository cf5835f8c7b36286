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
};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;

use super::{
    handshake::{self, HandshakeError, PROTOCOL_VERSION, Tls},
    interrupts,
    listener::{Accepting, Listener},
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
    services::HostServices,
};

/// The limit of one message, as in HashiCorp's own server. States of large resources outgrow gRPC's usual 4 MiB.
const MESSAGE_LIMIT: usize = 256 << 20;

/// A client that connects must prove itself within this time.
const TLS_TIMEOUT: Duration = Duration::from_secs(10);

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
}

/// Shakes hands with the Terraform that started this process.
///
/// # Errors
/// There is no way to begin.
pub(super) fn shake_hands(
    environment: impl Fn(&str) -> Option<String>,
    mut stdout: impl Write,
) -> Result<Open, HandshakeError> {
    interrupts::ignore()?;
    let tls = handshake::tls(&environment)?;
    let listener = Listener::open(&environment)?;
    let line = handshake::line(listener.network(), &listener.address(), tls.as_ref());
    stdout.write_all(line.as_bytes())?;
    stdout.flush()?;
    Ok(Open { listener, tls })
}

/// Serves the provider to the Terraform that started this process, until it says to end or goes away.
///
/// # Errors
/// There is no way to begin.
pub(super) async fn serve<P: Provider>(provider: P, open: Open) -> Result<(), HandshakeError> {
    let listener = open.listener.accepting()?;
    let tls = open.tls.map(Tls::config).transpose()?;
    run(provider, listener, tls, Ending::WithTheHost, CancellationToken::new()).await;
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
    let reattach = serde_json::json!({
        provider.address(): {
            "Protocol": "grpc",
            "ProtocolVersion": PROTOCOL_VERSION,
            "Pid": std::process::id(),
            "Test": true,
            "Addr": {"Network": listener.network(), "String": listener.address()},
        }
    });
    writeln!(
        stdout,
        "The provider runs and waits. In another terminal, set this variable and run Terraform; end with Ctrl-C:\n\n\
         \tTF_REATTACH_PROVIDERS='{reattach}'\n"
    )?;
    stdout.flush()?;
    run(provider, listener.accepting()?, None, Ending::WhenTold, end).await;
    Ok(())
}

/// What ends the process.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// The host's word, or its going away.
    WithTheHost,
    /// Only the caller.
    WhenTold,
}

async fn run<P: Provider>(
    provider: P,
    listener: Accepting,
    tls: Option<Arc<ServerConfig>>,
    ending: Ending,
    shutdown: CancellationToken,
) {
    let server = Server::new(provider);
    let host_may_end = ending == Ending::WithTheHost;
    let host = HostServices { shutdown: shutdown.clone(), host_may_end };
    let hung_up = if host_may_end { shutdown.clone() } else { CancellationToken::new() };
    let connections = accept(listener, tls, hung_up);
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
    listener: Accepting,
    tls: Option<Arc<ServerConfig>>,
    hung_up: CancellationToken,
) -> ReceiverStream<io::Result<Connection>> {
    let (sender, connections) = mpsc::channel(1);
    let open = Arc::new(OpenConnections { count: AtomicUsize::new(0), hung_up });
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

/// Counts the open connections. When the last one goes, the host has: it connects only once, and if it was killed
/// nobody else will tell.
struct OpenConnections {
    count: AtomicUsize,
    hung_up: CancellationToken,
}

impl OpenConnections {
    fn one_more(all: &Arc<Self>) -> OpenConnection {
        all.count.fetch_add(1, Ordering::Relaxed);
        OpenConnection(Arc::clone(all))
    }
}

struct OpenConnection(Arc<OpenConnections>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.hung_up.cancel();
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
