//! Tests of outages, and of permanent obstacles.

use std::time::Duration;

use tokio::{io::AsyncWriteExt, net::TcpListener, time::Instant};

use super::{is_lost, is_unsent};
use crate::{
    kms::{
        Auth, CaCertificates, CancellationToken, CertificateProblem, Client, Config, DbtConnection, Error,
        Host, Obstacle, Proxies, Reason, report,
        test_server::{Reply, Server, new_client, tls_server, tls_server_as, tls_server_for_clients},
    },
    secret::Secret,
};

/// A configuration with the default timeouts, for another host.
async fn config(host: &str) -> Config {
    let server = Server::start(|_, _| Reply::close()).await;
    Config {
        host: Host::parse(host).unwrap(),
        auth: Auth::Token(Secret::new("st.1")),
        max_retries: 8,
        ..server.config()
    }
}

async fn read(client: &Client) -> Result<DbtConnection, Error> {
    client.operation(CancellationToken::new()).get::<DbtConnection>("id-1").await
}

/// Reads a thousand times, ten concurrently, as in a plan. Returns the errors and the duration.
async fn plan_of_thousand(client: &Client) -> (Vec<Error>, Duration) {
    let started = Instant::now();
    let workers: Vec<_> = (0..10)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                let mut errors = Vec::new();
                for _ in 0..100 {
                    errors.push(read(&client).await.unwrap_err());
                }
                errors
            })
        })
        .collect();
    let mut errors = Vec::new();
    for worker in workers {
        errors.extend(worker.await.unwrap());
    }
    (errors, started.elapsed())
}

/// An address without listener.
fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("127.0.0.1:{}", listener.local_addr().unwrap().port())
}

#[tokio::test(start_paused = true)]
async fn refused_connections_end_a_run_of_a_thousand_soon() {
    let client = new_client(config(&format!("http://{}", free_address())).await);
    let (errors, took) = plan_of_thousand(&client).await;
    assert!(errors.iter().all(is_unsent));
    assert!((Duration::from_secs(15)..Duration::from_secs(60)).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn connections_that_hang_end_a_run_of_a_thousand_soon() {
    // It accepts connections and never responds.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = new_client(config(&format!("https://{}", listener.local_addr().unwrap())).await);
    let (errors, took) = plan_of_thousand(&client).await;
    let is_told = |error: &Error| is_unsent(error) || matches!(error, Error::Unreachable { .. });
    assert!(errors.iter().all(is_told), "{errors:?}");
    assert!(took < Duration::from_secs(90), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_responds_ends_a_run_of_a_thousand_soon() {
    let server = Server::start(|_, _| Reply::never()).await;
    let client = new_client(config(&server.url()).await);
    let (errors, took) = plan_of_thousand(&client).await;
    let is_told = |error: &Error| is_lost(error) || matches!(error, Error::Unreachable { .. });
    assert!(errors.iter().all(is_told));
    assert!(took < Duration::from_secs(90), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_gateway_without_a_kms_behind_it_ends_a_run_of_a_thousand_soon() {
    let server = Server::start(|_, _| Reply::html(502)).await;
    let client = new_client(config(&server.url()).await);
    let (errors, took) = plan_of_thousand(&client).await;
    assert!(errors.iter().all(|error| matches!(error.reason(), Some(Reason::Page { .. }))));
    assert!(took < Duration::from_secs(60), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_kms_that_comes_back_is_found() {
    let started = Instant::now();
    let server = Server::start(move |_, _| {
        if started.elapsed() < Duration::from_secs(100) { Reply::html(503) } else { Reply::not_found() }
    })
    .await;
    let client = new_client(config(&server.url()).await);
    assert!(matches!(read(&client).await.unwrap_err().reason(), Some(Reason::Page { .. })));
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert!(read(&client).await.unwrap_err().is_not_found());
    // After that, requests are repeated again.
    let failures = server.count("GET");
    let stopped =
        Server::start(move |seen, _| if seen.earlier == 0 { Reply::close() } else { Reply::not_found() })
            .await;
    assert!(read(&new_client(config(&stopped.url()).await)).await.unwrap_err().is_not_found());
    assert_eq!((stopped.count("GET"), server.count("GET")), (2, failures));
}

/// The https URL of a server that responds to everything with these bytes.
async fn server_that_sends(response: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.write_all(response).await;
        }
    });
    url
}

/// Reads once, and returns the obstacle that ended it without a repeat.
async fn obstacle(url: &str, trusted: &[u8]) -> Obstacle {
    let mut config = config(url).await;
    if !trusted.is_empty() {
        config.ca_certificates = CaCertificates::from_pem(trusted).unwrap();
    }
    let started = Instant::now();
    let error = read(&new_client(config)).await.unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(5), "{error:?} was repeated");
    match error.reason() {
        Some(Reason::NoConnection { obstacle: Some(obstacle), .. }) => *obstacle,
        _ => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn what_can_not_get_better_is_not_repeated_and_named() {
    let (host, pem) = tls_server(&["localhost"]).await;
    let (other, other_pem) = tls_server(&["elsewhere.example"]).await;
    let (_, unrelated) = tls_server(&["localhost"]).await;
    let plain = server_that_sends(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n").await;
    let authority = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let (self_signed, _) = tls_server_as(&["localhost"], authority).await;
    // Windows and macOS verify certificates themselves, and have no word for this.
    let by_the_library = !cfg!(any(windows, target_vendor = "apple"));
    let of_self_signed = [
        (host.clone(), unrelated.clone(), Obstacle::Certificate(CertificateProblem::SelfSigned)),
        (self_signed, unrelated, Obstacle::Certificate(CertificateProblem::SelfSigned)),
    ];
    for (url, trusted, expected) in [
        (other, other_pem, Obstacle::Certificate(CertificateProblem::WrongName)),
        (plain, pem.clone(), Obstacle::NotTls),
        (host.replace("https:", "http:"), Vec::new(), Obstacle::NotHttp),
    ]
    .into_iter()
    .chain(of_self_signed.into_iter().filter(|_| by_the_library))
    {
        assert_eq!(obstacle(&url, &trusted).await, expected, "{url}");
    }
}

#[tokio::test]
async fn alerts_of_the_server_tell_what_can_not_get_better() {
    let (_, pem) = tls_server(&["localhost"]).await;
    for (alert, expected) in [
        (&[21, 3, 3, 0, 2, 2, 40], Obstacle::NoCommonTls),
        // As TLS 1.0 sends it.
        (&[21, 3, 1, 0, 2, 2, 70], Obstacle::NoCommonTls),
        (&[21, 3, 3, 0, 2, 2, 71], Obstacle::NoCommonTls),
        (&[21, 3, 3, 0, 2, 2, 112], Obstacle::UnknownName),
        (&[21, 3, 3, 0, 2, 2, 42], Obstacle::ClientCertificate),
        (&[21, 3, 3, 0, 2, 2, 43], Obstacle::ClientCertificate),
        (&[21, 3, 3, 0, 2, 2, 48], Obstacle::ClientCertificate),
        (&[21, 3, 3, 0, 2, 2, 116], Obstacle::ClientCertificate),
        (&[21, 3, 3, 0, 2, 2, 49], Obstacle::AccessDenied),
        (&[21, 3, 3, 0, 2, 2, 120], Obstacle::NotHttp),
    ] {
        assert_eq!(obstacle(&server_that_sends(alert).await, &pem).await, expected, "{alert:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn alerts_that_may_be_gone_at_the_next_attempt_are_repeated() {
    let (_, pem) = tls_server(&["localhost"]).await;
    for alert in [&[21, 3, 3, 0, 2, 2, 80], &[21, 3, 3, 0, 2, 2, 50], &[21, 3, 3, 0, 2, 2, 90]] {
        let mut config = config(&server_that_sends(alert).await).await;
        config.ca_certificates = CaCertificates::from_pem(&pem).unwrap();
        let started = Instant::now();
        let error = read(&new_client(config)).await.unwrap_err();
        assert!(matches!(error.reason(), Some(Reason::NoConnection { obstacle: None, .. })), "{error:?}");
        assert!(started.elapsed() > Duration::from_secs(5), "{alert:?} was not repeated");
    }
}

/// With TLS 1.3, the server looks at the client's certificate after the client has sent its request.
#[tokio::test]
async fn a_missing_client_certificate_is_named_whenever_the_server_looks() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for protocols in [&[&b"http/1.1"[..]][..], &[b"h2"]] {
            let (url, pem) = tls_server_for_clients(version, protocols).await;
            assert_eq!(obstacle(&url, &pem).await, Obstacle::ClientCertificate, "{version:?} {protocols:?}");
        }
    }
}

#[tokio::test]
async fn a_self_signed_certificate_of_an_authority_is_trusted_when_it_is_listed() {
    let authority = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let (url, pem) = tls_server_as(&["localhost"], authority).await;
    let mut config = config(&url).await;
    config.ca_certificates = CaCertificates::from_pem(&pem).unwrap();
    // The server's response is not that of a KMS, but it is a response.
    let error = read(&new_client(config)).await.unwrap_err();
    assert!(matches!(error.reason(), Some(Reason::Unreadable { .. })), "{error:?}");

    let (other, other_pem) = tls_server_as(&["elsewhere.example"], authority).await;
    assert_eq!(obstacle(&other, &other_pem).await, Obstacle::Certificate(CertificateProblem::WrongName));
}

#[tokio::test]
async fn an_unknown_host_name_is_not_repeated_and_named() {
    let proxy = |variable: &'static str| {
        Proxies::from_environment(move |name| (name == variable).then(|| "proxy.invalid:3128".to_owned()))
    };
    let at = "no connection to the KMS at http://kms.invalid for GET /api/v1/app-connections/dbt/:id";
    let through = |variable| format!(", through the proxy http://proxy.invalid:3128 ({variable})");
    for (proxies, expected, through) in [
        (Proxies::default(), Obstacle::UnknownHost, String::new()),
        (proxy("HTTP_PROXY"), Obstacle::UnknownProxy, through("HTTP_PROXY")),
        (proxy("ALL_PROXY"), Obstacle::UnknownProxy, through("ALL_PROXY")),
    ] {
        let client = new_client(Config { proxies, ..config("http://kms.invalid").await });
        let started = Instant::now();
        let error = read(&client).await.unwrap_err();
        assert!(started.elapsed() < Duration::from_secs(5), "{expected:?} was repeated");
        let Some(Reason::NoConnection { obstacle, .. }) = error.reason() else { panic!("{error:?}") };
        assert_eq!(*obstacle, Some(expected));
        assert_eq!(report(&error), format!("{at}{through}: the host name is unknown"));
    }
}

#[tokio::test(start_paused = true)]
async fn errors_tell_the_cause_without_the_layers_of_the_library() {
    let address = free_address();
    let error = read(&new_client(config(&format!("http://{address}")).await)).await.unwrap_err();
    let at = format!("no connection to the KMS at http://{address} for GET /api/v1/app-connections/dbt/:id");
    let text = report(&error);
    assert!(text.starts_with(&format!("{at}: tcp connect error: ")), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_damaged_response_is_a_broken_one_and_no_other_protocol() {
    for damaged in [&b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n"[..], b"<html>"] {
        let server = Server::start(move |seen, _| match seen.earlier {
            1 => Reply::bytes(damaged),
            _ => Reply::not_found(),
        })
        .await;
        let client = new_client(config(&server.url()).await);
        for _ in 0..2 {
            assert!(read(&client).await.unwrap_err().is_not_found(), "{damaged:?}");
        }
        assert_eq!(server.count("GET"), 3);
    }
}
