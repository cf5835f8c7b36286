//! The handshake between Terraform and the provider, as defined by go-plugin.
//!
//! Terraform starts the process with a magic cookie and a temporary certificate in the environment. The provider
//! responds with one line on stdout, which has its address and its own temporary certificate. Each side then accepts
//! only the other's certificate. Sources: go-plugin's `client.go`, `server.go` and `mtls.go`.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use rcgen::{CertificateParams, KeyPair};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, aws_lc_rs::default_provider, verify_tls12_signature, verify_tls13_signature},
    server::{
        NoServerSessionStorage,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use rustls_pki_types::{CertificateDer, UnixTime, pem::PemObject as _};

use super::messages;

/// The variable that Terraform and OpenTofu set when they start a plugin, and its value.
const COOKIE: (&str, &str) =
    ("TF_PLUGIN_MAGIC_COOKIE", "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2");

/// The version of go-plugin's own handshake.
const CORE_VERSION: u8 = 1;

/// The major version of the provider protocol.
pub const PROTOCOL_VERSION: u8 = 6;

/// The name that the host expects in our certificate.
const SERVER_NAME: &str = "localhost";

/// Why the process can't serve. It is printed on stderr, because no client is connected yet.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// PLUGIN_CLIENT_CERT isn't a certificate. Without it, any local process could connect.
    #[error("{}", messages::invalid_client_certificate())]
    ClientCertificate,
    /// The server's certificate could not be generated.
    #[error("{}", messages::no_server_certificate())]
    ServerCertificate(#[source] rcgen::Error),
    /// TLS could not be set up.
    #[error("{}", messages::no_tls())]
    Tls(#[from] rustls::Error),
    /// The socket could not be opened, or the handshake line could not be written.
    #[error("{}", messages::no_listener())]
    Io(#[from] std::io::Error),
}

/// Whether Terraform started this process, rather than a person.
pub fn started_by_terraform(environment: impl Fn(&str) -> Option<String>) -> bool {
    environment(COOKIE.0).as_deref() == Some(COOKIE.1)
}

/// The server's side of mutual TLS, before it is configured.
pub(super) struct Tls {
    /// The only accepted client certificate.
    client: CertificateDer<'static>,
    /// The certificate to announce.
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

/// Prepares mutual TLS with the client whose certificate is in the environment. `None` if there is none, as with
/// TF_DISABLE_PLUGIN_TLS: the host then connects without TLS.
///
/// # Errors
/// The client's certificate is invalid, or the server's can't be generated.
pub(super) fn tls(environment: impl Fn(&str) -> Option<String>) -> Result<Option<Tls>, HandshakeError> {
    let Some(pem) = environment("PLUGIN_CLIENT_CERT").filter(|pem| !pem.is_empty()) else { return Ok(None) };
    let client = client_certificate(&pem)?;
    let key = KeyPair::generate().map_err(HandshakeError::ServerCertificate)?;
    let certificate = CertificateParams::new([SERVER_NAME.to_owned()])
        .and_then(|parameters| parameters.self_signed(&key))
        .map_err(HandshakeError::ServerCertificate)?;
    Ok(Some(Tls { client, certificate: certificate.der().clone(), key }))
}

impl Tls {
    /// The TLS configuration. The host connects after it has read the handshake line, so this can be done after the
    /// line is printed.
    ///
    /// # Errors
    /// The certificate or its key is invalid.
    pub(super) fn config(self) -> Result<Arc<ServerConfig>, HandshakeError> {
        let provider = Arc::new(default_provider());
        let verifier = OnlyThisClient { certificate: self.client, provider: Arc::clone(&provider) };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_single_cert(vec![self.certificate], self.key.into())?;
        // Newer gRPC libraries close the connection if no protocol is negotiated.
        config.alpn_protocols = vec![b"h2".to_vec()];
        // The host connects once, so there is nothing to resume.
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Arc::new(config))
    }
}

fn client_certificate(pem: &str) -> Result<CertificateDer<'static>, HandshakeError> {
    let mut certificates = CertificateDer::pem_slice_iter(pem.as_bytes());
    match (certificates.next(), certificates.next()) {
        (Some(Ok(certificate)), None) => Ok(certificate),
        _ => Err(HandshakeError::ClientCertificate),
    }
}

/// The handshake line. `network` is `unix` or `tcp`. The host decodes the certificate strictly: standard alphabet, no
/// padding.
pub(super) fn line(network: &str, address: &str, tls: Option<&Tls>) -> String {
    let certificate = tls.map(|tls| STANDARD_NO_PAD.encode(&tls.certificate)).unwrap_or_default();
    format!("{CORE_VERSION}|{PROTOCOL_VERSION}|{network}|{address}|grpc|{certificate}\n")
}

/// Accepts exactly one certificate, from a client that proves that it has the key.
///
/// The usual verifiers reject the host's certificate, because it is self-signed and marked as an authority. Its curve
/// P-521 requires aws-lc: *ring* doesn't have it, and Go sends no certificate if the curve isn't offered.
#[derive(Debug)]
struct OnlyThisClient {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for OnlyThisClient {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        true
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        if chain.is_empty() && *certificate == self.certificate {
            Ok(ClientCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_cookie_counts() {
        assert!(!started_by_terraform(|_| None));
        assert!(!started_by_terraform(|_| Some("guess".into())));
        assert!(started_by_terraform(|name| (name == COOKIE.0).then(|| COOKIE.1.into())));
    }

    #[test]
    fn a_client_certificate_that_is_none_never_means_plain_text() {
        for bad in ["junk", "-----BEGIN CERTIFICATE-----\nAAAA\n"] {
            assert!(matches!(tls(|_| Some(bad.into())), Err(HandshakeError::ClientCertificate)), "{bad}");
        }
        assert!(tls(|_| None).unwrap().is_none());
    }

    #[test]
    fn p521_is_offered_for_terraforms_certificate() {
        let verifier = OnlyThisClient {
            certificate: CertificateDer::from(vec![1]),
            provider: Arc::new(default_provider()),
        };
        assert!(verifier.supported_verify_schemes().contains(&SignatureScheme::ECDSA_NISTP521_SHA512));
        assert!(verifier.client_auth_mandatory());
    }

    #[test]
    fn another_certificate_or_a_longer_chain_is_refused() {
        let (ours, other) = (CertificateDer::from(vec![1]), CertificateDer::from(vec![2]));
        let verifier = OnlyThisClient { certificate: ours.clone(), provider: Arc::new(default_provider()) };
        let now = UnixTime::now();
        assert!(verifier.verify_client_cert(&ours, &[], now).is_ok());
        assert!(verifier.verify_client_cert(&other, &[], now).is_err());
        assert!(verifier.verify_client_cert(&ours, &[other], now).is_err());
    }

    #[test]
    fn the_line_has_six_fields_and_no_padding() {
        let plain = line("unix", "/tmp/x/plugin", None);
        assert_eq!(plain, "1|6|unix|/tmp/x/plugin|grpc|\n");
        let key = KeyPair::generate().unwrap();
        let pem = CertificateParams::new(["x".to_owned()]).unwrap().self_signed(&key).unwrap().pem();
        let tls = tls(|_| Some(pem.clone())).unwrap().unwrap();
        let line = line("unix", "/s", Some(&tls));
        assert_eq!(line.matches('|').count(), 5);
        assert!(!line.contains('='), "{line}");
    }
}
