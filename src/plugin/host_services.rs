//! go-plugin's own services: the controller, which ends the process, and three others that the host expects.

use std::pin::Pin;

use tokio_stream::{Stream, StreamExt as _};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::{
    messages,
    proto::{
        go_plugin::{
            ConnInfo, Empty, StdioData, grpc_broker_server::GrpcBroker,
            grpc_controller_server::GrpcController, grpc_stdio_server::GrpcStdio,
        },
        health::{
            HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
            health_server::Health,
        },
    },
    wire::to_proto,
};

/// The service name in go-plugin's health checks.
const SERVICE: &str = "plugin";

/// All four services. They share the signal that ends the process.
#[derive(Clone)]
pub(super) struct HostServices {
    /// Cancelled when the process is to end.
    pub(super) shutdown: CancellationToken,
    /// Whether the host may end the process. It may not in debug mode.
    pub(super) host_may_end: bool,
}

/// A stream without messages, which ends with the process.
type Silence<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl HostServices {
    fn silence<T: Send + 'static>(&self) -> Silence<T> {
        let shutdown = self.shutdown.clone();
        let (sender, stream) = tokio::sync::mpsc::channel(1);
        tokio::spawn(async move {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = sender.closed() => {}
            }
        });
        Box::pin(tokio_stream::wrappers::ReceiverStream::new(stream))
    }
}

#[tonic::async_trait]
impl GrpcController for HostServices {
    async fn shutdown(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        if self.host_may_end {
            self.shutdown.cancel();
        }
        Ok(Response::new(Empty {}))
    }
}

#[tonic::async_trait]
impl GrpcStdio for HostServices {
    type StreamStdioStream = Silence<StdioData>;

    async fn stream_stdio(&self, _: Request<()>) -> Result<Response<Self::StreamStdioStream>, Status> {
        Ok(Response::new(self.silence()))
    }
}

#[tonic::async_trait]
impl GrpcBroker for HostServices {
    type StartStreamStream = Silence<ConnInfo>;

    async fn start_stream(
        &self,
        request: Request<Streaming<ConnInfo>>,
    ) -> Result<Response<Self::StartStreamStream>, Status> {
        // Providers open no side connections. The host's messages are read so that the host never blocks.
        let mut incoming = request.into_inner();
        tokio::spawn(async move { while let Some(Ok(_)) = incoming.next().await {} });
        Ok(Response::new(self.silence()))
    }
}

#[tonic::async_trait]
impl Health for HostServices {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        match request.into_inner().service.as_str() {
            "" | SERVICE => Ok(Response::new(HealthCheckResponse { status: ServingStatus::Serving.into() })),
            _ => Err(to_proto::not_found(messages::unknown_service())),
        }
    }
}
