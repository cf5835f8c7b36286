//! Sets up the HTTP library: TLS, trust, timeouts.

use std::{sync::Arc, time::Duration};

use super::{
    certificates::tls_config, config::Config, error::Error, fate::Cause, messages, proxy::ProxyError,
};

const LONGEST_CONNECT: Duration = Duration::from_secs(10);

/// Idle connections are closed before the server closes them, after about 30 s, because a request on a connection that
/// the server is closing is lost.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// The HTTP library's client. It doesn't follow redirects, and its only time limit is for connecting: the exchange does
/// the rest.
pub(super) fn http_client(config: &Config) -> Result<reqwest::Client, Error> {
    // Shorter than the limit of the exchange, so that "no connection" can be distinguished from "no response".
    let connect_timeout = config.request_timeout.mul_f64(0.9).min(LONGEST_CONNECT);
    let mut builder = reqwest::Client::builder()
        .user_agent(&config.user_agent)
        .redirect(reqwest::redirect::Policy::none())
        // Repeats are decided in one place, after the rate limit and with a lookup of changes.
        .retry(reqwest::retry::never())
        .referer(false)
        .connect_timeout(connect_timeout)
        .pool_idle_timeout(IDLE_TIMEOUT);
    builder = if config.host.is_plain_http() && config.ca_certificates.is_empty() {
        // Nothing needs verification, and a minimal container may have no trust store.
        builder.tls_certs_only([])
    } else {
        let tls = tls_config(&config.ca_certificates).map_err(|error| match error {
            // The library has no variant for it, and no other use of this one here.
            rustls::Error::General(_) => Error::NoTrustStore,
            error => no_http_client(Arc::new(error)),
        })?;
        builder.tls_backend_preconfigured(tls)
    };
    let not_allowed = |error: ProxyError| Error::Config { message: error.to_string(), source: None };
    builder = match config.proxy().map_err(not_allowed)? {
        Some(proxy) => builder.proxy(proxy.for_http_library().map_err(not_allowed)?),
        None => builder.no_proxy(),
    };
    builder.build().map_err(|error| no_http_client(Arc::new(error)))
}

fn no_http_client(source: Cause) -> Error {
    Error::Config { message: messages::no_http_client().to_owned(), source: Some(source) }
}
