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

use url::Url;

use crate::kms::{
    messages,
    proxy::{Proxies, Proxy, ProxyError},
    report,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const READ_TIMEOUT: Duration = Duration::from_secs(20);

/// Credentials are a few KiB.
const MAX_RESPONSE: usize = 256 * 1024;

/// Sends requests of the AWS libraries, through the same proxies as those to the KMS.
#[derive(Debug)]
pub(super) struct Http {
    pub(super) proxies: Proxies,
}

impl HttpClient for Http {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Connector {
            proxies: self.proxies.clone(),
            connect_timeout: settings.connect_timeout().unwrap_or(CONNECT_TIMEOUT),
            read_timeout: settings.read_timeout().unwrap_or(READ_TIMEOUT),
        })
    }
}

#[derive(Debug, Clone)]
struct Connector {
    proxies: Proxies,
    connect_timeout: Duration,
    read_timeout: Duration,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(self.clone().exchange(request))
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
        let request = ::http::Request::from_parts(parts, body);
        let request = reqwest::Request::try_from(request).map_err(|error| user(error.into()))?;
        let proxy = self.proxy(request.url()).map_err(|error| user(error.into()))?;
        let name = proxy.map(ToString::to_string);
        let failed = |error| failed(error, name.as_deref());
        let http = self.client(request.url(), proxy).map_err(user)?;
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

    /// The proxy for a request. The endpoints of containers and instances, which are local and don't use TLS,
    /// have none.
    fn proxy(&self, url: &Url) -> Result<Option<&Proxy>, ProxyError> {
        if url.scheme() == "http" { Ok(None) } else { self.proxies.for_url(url) }
    }

    /// A new client for each request: a login sends only a few, to different hosts.
    fn client(&self, url: &Url, proxy: Option<&Proxy>) -> Result<reqwest::Client, BoxError> {
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .connect_timeout(self.connect_timeout);
        builder = match proxy {
            Some(proxy) => builder.proxy(proxy.for_http_library()?),
            None => builder.no_proxy(),
        };
        if url.scheme() == "http" {
            builder = builder.tls_certs_only([]);
        }
        Ok(builder.build()?)
    }
}

/// The URL is removed, because that of a container's endpoint is as sensitive as a password.
fn failed(error: reqwest::Error, proxy: Option<&str>) -> ConnectorError {
    let error = error.without_url();
    let is_timeout = error.is_timeout();
    let error: BoxError = match proxy {
        Some(proxy) => messages::aws_failure_through_proxy(&report(&error), proxy).into(),
        None => error.into(),
    };
    if is_timeout { ConnectorError::timeout(error) } else { ConnectorError::io(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn requests_to_aws_go_through_the_proxy_and_those_to_the_machine_do_not() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let proxies = Proxies::from_environment(|name| {
            let value = || format!("http://user:hunter2@{address}");
            matches!(name, "HTTP_PROXY" | "HTTPS_PROXY").then(value)
        });
        let connect_timeout = CONNECT_TIMEOUT;
        let connector = Connector { proxies, connect_timeout, read_timeout: READ_TIMEOUT };
        let request = HttpRequest::get("https://sts.invalid/").unwrap();
        let error = report(&connector.clone().exchange(request).await.unwrap_err());
        assert!(error.contains(&format!(", through the proxy http://{address} (HTTPS_PROXY)")), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
        let of_instance = Url::parse("http://169.254.169.254/latest").unwrap();
        assert!(connector.proxy(&of_instance).unwrap().is_none());
    }
}
