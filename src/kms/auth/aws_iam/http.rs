//! Sends the HTTP requests of the AWS libraries with the HTTP library of this layer.

use std::time::Duration;

use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        http::{HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::body::SdkBody;

use crate::kms::messages;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const READ_TIMEOUT: Duration = Duration::from_secs(20);

/// Credentials are a few KiB.
const MAX_RESPONSE: usize = 256 * 1024;

/// Sends requests of the AWS libraries.
#[derive(Debug)]
pub(super) struct Http;

impl HttpClient for Http {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Connector {
            connect_timeout: settings.connect_timeout().unwrap_or(CONNECT_TIMEOUT),
            read_timeout: settings.read_timeout().unwrap_or(READ_TIMEOUT),
        })
    }
}

#[derive(Debug, Clone, Copy)]
struct Connector {
    connect_timeout: Duration,
    read_timeout: Duration,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(self.exchange(request))
    }
}

impl Connector {
    async fn exchange(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let limit = self.connect_timeout + self.read_timeout;
        match tokio::time::timeout(limit, self.send(request)).await {
            Ok(result) => result,
            Err(elapsed) => Err(ConnectorError::timeout(elapsed.into())),
        }
    }

    async fn send(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let user = |error: BoxError| ConnectorError::user(error);
        let request = request.try_into_http1x().map_err(|error| user(error.into()))?;
        let (parts, body) = request.into_parts();
        let body = body.bytes().ok_or_else(|| user(messages::aws_request_is_stream().into()))?.to_vec();
        let http = self.client(parts.uri.scheme_str()).map_err(|error| user(error.into()))?;
        let request = ::http::Request::from_parts(parts, body);
        let request = reqwest::Request::try_from(request).map_err(|error| user(error.into()))?;
        let mut response = http.execute(request).await.map_err(failed)?;
        let mut received = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if received.len() + chunk.len() > MAX_RESPONSE {
                return Err(ConnectorError::other(messages::aws_response_too_large().into(), None));
            }
            received.extend_from_slice(&chunk);
        }
        let mut answer = ::http::Response::new(SdkBody::from(received));
        *answer.status_mut() = response.status();
        *answer.headers_mut() = std::mem::take(response.headers_mut());
        HttpResponse::try_from(answer).map_err(|error| ConnectorError::other(error.into(), None))
    }

    /// A new client for each request: a login sends only a few, to different hosts.
    fn client(self, scheme: Option<&str>) -> reqwest::Result<reqwest::Client> {
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .connect_timeout(self.connect_timeout);
        if scheme == Some("http") {
            // The endpoints of containers and instances, which are local and don't use TLS.
            builder = builder.no_proxy().tls_certs_only([]);
        }
        builder.build()
    }
}

/// The URL is removed, because that of a container's endpoint is as sensitive as a password.
fn failed(error: reqwest::Error) -> ConnectorError {
    let error = error.without_url();
    if error.is_timeout() { ConnectorError::timeout(error.into()) } else { ConnectorError::io(error.into()) }
}
