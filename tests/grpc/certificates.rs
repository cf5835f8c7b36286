//! The certificates of the KMS, and those that the provider block lists.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use kms_emulator::Emulator;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use terraform_provider_kms::plugin::value::{Number, Value};
use tokio::{
    io::{AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    host::{Host, message, proto, provider_config, told},
    resource::{apply, config, emulator},
};

/// A self-signed certificate as `openssl req -x509` makes it: that of an authority, too.
fn self_signed(common_name: &str) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.distinguished_name.push(DnType::CommonName, common_name);
    (parameters.self_signed(&key).unwrap(), key)
}

/// A server that leads every TLS connection to the emulator. Returns its URL and its self-signed certificate.
async fn tls_front(emulator: &Emulator) -> (String, String) {
    let (certificate, key) = self_signed("kms.corp.test");
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let target = emulator.url().trim_start_matches("http://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, target) = (acceptor.clone(), target.clone());
            tokio::spawn(async move {
                let mut stream = acceptor.accept(stream).await?;
                let mut server = TcpStream::connect(target).await?;
                copy_bidirectional(&mut stream, &mut server).await
            });
        }
    });
    (url, certificate.pem())
}

/// Configures the provider as Terraform does, creates a connection unless that fails, and returns the
/// diagnostics.
async fn create(url: &str, extra: &[(&str, Value)], environment: &[(&str, &str)]) -> Vec<proto::Diagnostic> {
    let host = Host::start_with(environment).await;
    let mut provider = host.provider();
    let block = message(&provider_config(url, extra));
    let request = proto::validate_provider_config::Request { config: block.clone() };
    let response = provider.validate_provider_config(request).await.unwrap().into_inner();
    if !response.diagnostics.is_empty() {
        return response.diagnostics;
    }
    let request = proto::configure_provider::Request {
        terraform_version: "1.15.5".into(),
        config: block,
        ..Default::default()
    };
    let response = provider.configure_provider(request).await.unwrap().into_inner();
    if !response.diagnostics.is_empty() {
        return response.diagnostics;
    }
    apply(&mut provider, None, &config("analytics", &[])).await.0.diagnostics
}

fn delete_all(emulator: &Emulator) {
    emulator.connections().iter().for_each(|connection| emulator.delete(&connection.id));
}

fn pem(text: &str) -> (&'static str, Value) {
    ("ca_certificate_pem", Value::string(text))
}

#[tokio::test]
async fn a_listed_self_signed_certificate_is_trusted_in_every_form() {
    let emulator = emulator().await;
    let (url, certificate) = tls_front(&emulator).await;
    let other = self_signed("other").0.pem();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bundle.pem").display().to_string();
    std::fs::write(&file, format!("\u{feff}{certificate}{other}")).unwrap();
    for extra in [
        pem(&certificate),
        pem(&(other.clone() + &certificate).replace('\n', "\\n")),
        ("ca_certificate_file", Value::string(&file)),
    ] {
        assert_eq!(told(&create(&url, &[extra], &[]).await), Vec::<String>::new());
        delete_all(&emulator);
    }
    let variable = [("KMS_CA_CERTIFICATE_FILE", file.as_str())];
    assert_eq!(told(&create(&url, &[], &variable).await), Vec::<String>::new());

    let refused = create(&url, &[pem(&other)], &[]).await;
    assert_eq!(told(&refused), ["error [] Certificate of the server refused"]);
    assert!(refused[0].detail.contains("self-signed and not trusted"), "{}", refused[0].detail);
}

#[tokio::test]
async fn a_private_key_among_certificates_is_refused_and_not_shown() {
    let (certificate, key) = self_signed("kms.corp.test");
    let bundle = certificate.pem() + &key.serialize_pem();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bundle.pem").display().to_string();
    std::fs::write(&file, &bundle).unwrap();
    let attribute = "error [ca_certificate_pem] Unusable CA certificates";
    let of_file = "error [ca_certificate_file] Unusable CA certificates";
    for (extra, expected) in [
        (pem(&bundle), attribute),
        (pem(&bundle.replace('\n', "\\n")), attribute),
        (pem(&bundle.replace("CERTIFICATE", "CERTIFICATES")), attribute),
        (pem(&bundle.replace("PRIVATE KEY", "CERTIFICATE")), attribute),
        (("ca_certificate_file", Value::string(&file)), of_file),
    ] {
        let refused = create("https://127.0.0.1:1", &[extra], &[]).await;
        assert_eq!(told(&refused), [expected]);
        let detail = &refused[0].detail;
        assert!(detail.contains("block 2 (line ") && detail.len() < 400, "{detail}");
        for line in key.serialize_pem().lines().filter(|line| !line.starts_with('-')) {
            assert!(!detail.contains(line), "{detail}");
        }
    }
}

#[tokio::test]
async fn a_server_without_a_common_cipher_suite_is_named_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            // A fatal alert: handshake_failure.
            let _ = stream.write_all(&[21, 3, 3, 0, 2, 2, 40]).await;
        }
    });
    let started = Instant::now();
    let refused = create(&url, &[pem(&self_signed("other").0.pem())], &[]).await;
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert_eq!(told(&refused), ["error [] No connection to the KMS"]);
    for suite in ["TLS 1.3 with TLS_", "TLS 1.2 with TLS_", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"] {
        assert!(refused[0].detail.contains(suite), "{}", refused[0].detail);
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_machine_without_trusted_certificates_is_told_what_to_install() {
    let emulator = emulator().await;
    let (url, certificate) = tls_front(&emulator).await;
    let without = [("SSL_CERT_FILE", "/nonexistent/ca.pem")];
    let no_retries = ("max_retries", Value::Number(Number::Int(0)));
    let refused = create(&url, &[no_retries], &without).await;
    assert_eq!(told(&refused), ["error [] No trusted certificates on this machine"]);
    let detail = &refused[0].detail;
    for advice in ["package ca-certificates", "ca_certificate_file", "SSL_CERT_FILE"] {
        assert!(detail.contains(advice), "{detail}");
    }
    assert!(!detail.contains("unexpected error"), "{detail}");
    // The listed certificates are enough, and plain HTTP needs none.
    assert_eq!(told(&create(&url, &[pem(&certificate)], &without).await), Vec::<String>::new());
    delete_all(&emulator);
    assert_eq!(told(&create(&emulator.url(), &[], &without).await), Vec::<String>::new());
}
