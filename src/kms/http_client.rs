//! Sets up the HTTP library: TLS, trust, timeouts.

use std::{sync::Arc, time::Duration};

use rustls::RootCertStore;
use rustls_pki_types::{CertificateDer, pem::PemObject};

use super::{
    config::{CaCertificate, Config},
    error::Error,
    messages,
    proxy::ProxyError,
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
    if let Some(ca_certificate) = &config.ca_certificate {
        builder = builder.tls_certs_merge(certificates(ca_certificate)?);
    } else if config.host.is_plain_http() {
        // Nothing needs verification, and a minimal container may have no trust store.
        builder = builder.tls_certs_only([]);
    }
    let not_allowed = |error: ProxyError| Error::Config { message: error.to_string(), source: None };
    builder = match config.proxy().map_err(not_allowed)? {
        Some(proxy) => builder.proxy(proxy.for_http_library().map_err(not_allowed)?),
        None => builder.no_proxy(),
    };
    builder.build().map_err(|error| Error::Config {
        message: messages::no_http_client().to_owned(),
        source: Some(Arc::new(error)),
    })
}

fn certificates(ca_certificate: &CaCertificate) -> Result<Vec<reqwest::Certificate>, Error> {
    let (name, pem) = match ca_certificate {
        CaCertificate::Pem(pem) => (messages::ca_certificate(None), pem.clone()),
        CaCertificate::File(path) => {
            let name = messages::ca_certificate(Some(path));
            let pem = std::fs::read(path).map_err(|error| Error::Config {
                message: messages::unreadable_ca_certificate(&name),
                source: Some(Arc::new(error)),
            })?;
            (name, pem)
        }
    };
    let unusable =
        |source| Error::Config { message: messages::invalid_ca_certificate(&name), source: Some(source) };
    let mut certificates = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| unusable(Arc::new(error)))?;
        // The HTTP library skips a certificate that it can't parse, but the user should get an error.
        RootCertStore::empty().add(certificate.clone()).map_err(|error| unusable(Arc::new(error)))?;
        let certificate =
            reqwest::Certificate::from_der(&certificate).map_err(|error| unusable(Arc::new(error)))?;
        certificates.push(certificate);
    }
    if certificates.is_empty() {
        return Err(Error::Config { message: messages::no_ca_certificate(&name), source: None });
    }
    Ok(certificates)
}
