//! A certificate authority made for the occasion, and a server certificate that it signed.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls_pki_types::PrivateKeyDer;
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

/// An acceptor for `127.0.0.1` and `localhost`, with the authority's certificate in PEM.
pub fn acceptor() -> (TlsAcceptor, String) {
    let authority_key = KeyPair::generate().expect("keys can be made");
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    authority.distinguished_name.push(DnType::CommonName, "KMS emulator authority");
    let authority_certificate = authority.self_signed(&authority_key).expect("the authority is valid");
    let issuer = Issuer::new(authority, authority_key);

    let key = KeyPair::generate().expect("keys can be made");
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let server = CertificateParams::new(names).expect("the names are valid");
    let certificate = server.signed_by(&key, &issuer).expect("the certificate is valid");

    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has the default versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .expect("key and certificate belong together");
    let pem = format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        wrapped(&STANDARD.encode(authority_certificate.der()))
    );
    (TlsAcceptor::from(Arc::new(config)), pem)
}

fn wrapped(text: &str) -> String {
    text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect::<Vec<_>>().join("\n")
}
