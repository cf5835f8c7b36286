//! Setting up the HTTP library: TLS, trust, time-outs.

use std::{sync::Arc, time::Duration};

use rustls::RootCertStore;
use rustls_pki_types::{CertificateDer, pem::PemObject};

use super::{
    config::{CaCertificate, Config},
    error::Error,
    messages,
};

const LONGEST_CONNECT: Duration = Duration::from_secs(10);

/// Idle connections are dropped before the server drops them, after about 30 s: a request that meets the server's end of
/// a connection is lost.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// The HTTP library's client. It follows no redirects and sets no time limit but for connecting: those are the exchange's.
pub(super) fn http_client(config: &Config) -> Result<reqwest::Client, Error> {
    // Less than the whole exchange may take, so that it fails first and "no connection" is known from "no response".
    let connect_timeout = config.request_timeout.mul_f64(0.9).min(LONGEST_CONNECT);
    let mut builder = reqwest::Client::builder()
        .user_agent(&config.user_agent)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .connect_timeout(connect_timeout)
        .pool_idle_timeout(IDLE_TIMEOUT);
    if let Some(ca_certificate) = &config.ca_certificate {
        builder = builder.tls_certs_merge(certificates(ca_certificate)?);
    } else if config.host.is_plain_http() {
        // There is nothing to verify; and in a bare container there may be no trust store to load.
        builder = builder.tls_certs_only([]);
    }
    if config.host.is_loopback() {
        // No proxy gets to this machine's own addresses, nor is it to see what goes there in plain text.
        builder = builder.no_proxy();
    }
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
        // The HTTP library passes over a certificate that it can't parse; the user should learn of it.
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
