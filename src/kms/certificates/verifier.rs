//! Verifies the certificates of servers: by the system's trust store and the certificates that the caller
//! listed.
//!
//! The TLS library takes each listed certificate for that of an authority, and refuses an authority's
//! certificate as that of a server. But a self-signed certificate usually is both: `openssl req -x509` marks
//! it as that of an authority, and the server uses it. Such a certificate needs no issuer: the caller has
//! listed it, byte for byte. Names, dates and purposes are checked as for any other, and the handshake proves
//! that the server has its key.

use std::sync::Arc;

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::{CryptoProvider, aws_lc_rs},
    server::ParsedCertificate,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use rustls_platform_verifier::Verifier;

use super::{bundle::CaCertificates, problem::SelfSigned, x509::Certificate};

/// The protocols of HTTP that the HTTP library has, in the order of preference.
const HTTP_PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The TLS configuration of a client that trusts the system's authorities and the listed certificates.
///
/// # Errors
/// There is no certificate to trust, neither listed nor in the system's trust store.
pub(in crate::kms) fn tls_config(listed: &CaCertificates) -> Result<ClientConfig, Error> {
    let crypto = Arc::new(aws_lc_rs::default_provider());
    let verifier = ServerVerifier::new(listed, Arc::clone(&crypto))?;
    let mut config = ClientConfig::builder_with_provider(crypto)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = HTTP_PROTOCOLS.map(<[u8]>::to_vec).into();
    Ok(config)
}

/// The cipher suites that the client offers to a server, each with its version of TLS.
pub fn cipher_suites() -> Vec<(&'static str, String)> {
    let suites = aws_lc_rs::default_provider().cipher_suites;
    let offer = suites.iter().map(|suite| {
        let name = format!("{:?}", suite.suite());
        match name.strip_prefix("TLS13_") {
            Some(name) => ("TLS 1.3", format!("TLS_{name}")),
            None => ("TLS 1.2", name),
        }
    });
    offer.collect()
}

#[derive(Debug)]
pub(super) struct ServerVerifier {
    /// Trusts the system's authorities, and the listed ones.
    system: Verifier,
    listed: CaCertificates,
}

impl ServerVerifier {
    pub(super) fn new(listed: &CaCertificates, crypto: Arc<CryptoProvider>) -> Result<Self, Error> {
        let system = if listed.is_empty() {
            Verifier::new(crypto)?
        } else {
            Verifier::new_with_extra_roots(listed.iter().cloned(), crypto)?
        };
        Ok(Self { system, listed: listed.clone() })
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let by_system =
            self.system.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        let Err(refusal) = by_system else { return by_system };
        if matches!(refusal, Error::InvalidCertificate(CertificateError::Revoked)) {
            return Err(refusal);
        }
        if self.listed.contains(end_entity) {
            return verify_without_issuer(end_entity, server_name, now)
                .map(|()| ServerCertVerified::assertion());
        }
        Err(specific(refusal, end_entity, server_name, now))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.system.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.system.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.system.supported_verify_schemes()
    }
}

/// Verifies everything about a server's certificate except who issued it.
fn verify_without_issuer(
    certificate: &CertificateDer<'_>,
    server_name: &ServerName<'_>,
    now: UnixTime,
) -> Result<(), Error> {
    // This refuses other versions than 3, and critical extensions that the library doesn't know.
    verify_server_name(&ParsedCertificate::try_from(certificate)?, server_name)?;
    let certificate = Certificate::read(certificate).ok_or(CertificateError::BadEncoding)?;
    let (not_before, not_after) = (certificate.not_before(), certificate.not_after());
    if now < not_before {
        return Err(CertificateError::NotValidYetContext { time: now, not_before }.into());
    }
    if now > not_after {
        return Err(CertificateError::ExpiredContext { time: now, not_after }.into());
    }
    if !certificate.is_for_servers() {
        return Err(CertificateError::InvalidPurpose.into());
    }
    Ok(())
}

/// The refusal, or a more specific one if there is one.
fn specific(
    refusal: Error,
    certificate: &CertificateDer<'_>,
    server_name: &ServerName<'_>,
    now: UnixTime,
) -> Error {
    let is_self_issued = || Certificate::read(certificate).is_some_and(|it| it.is_self_issued());
    match &refusal {
        // The signature doesn't match if another listed certificate has the same name.
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature)
            if is_self_issued() =>
        {
            self_signed()
        }
        Error::InvalidCertificate(CertificateError::Other(OtherError(other))) => {
            match other.downcast_ref::<webpki::Error>() {
                Some(webpki::Error::CaUsedAsEndEntity) if is_self_issued() => self_signed(),
                Some(_) => refusal,
                // An error of the operating system, or one that the platform's verifier has replaced.
                None => match verify_without_issuer(certificate, server_name, now) {
                    Err(error) => error,
                    Ok(()) if is_self_issued() => self_signed(),
                    Ok(()) => refusal,
                },
            }
        }
        _ => refusal,
    }
}

fn self_signed() -> Error {
    CertificateError::Other(OtherError(Arc::new(SelfSigned))).into()
}
