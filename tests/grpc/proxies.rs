//! Proxies between the provider and the KMS, as the environment names them.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use kms_emulator::Emulator;
use terraform_provider_kms::plugin::value::{Number, Value};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

use crate::{
    host::{Host, TIMEOUT, proto, provider_config},
    resource::{apply, config, configure, emulator},
};

/// A SOCKS proxy that leads every connection to the emulator. Returns its address, and the destinations that it was
/// asked for.
async fn socks_proxy(emulator: &Emulator) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let target = emulator.url().trim_start_matches("http://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (target, log) = (target.clone(), Arc::clone(&log));
            tokio::spawn(async move { socks(stream, &target, &log).await });
        }
    });
    (address, asked)
}

/// One connection through SOCKS 5 (RFC 1928), without a login.
async fn socks(mut stream: TcpStream, target: &str, log: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).await?;
    let mut methods = vec![0; head[1].into()];
    stream.read_exact(&mut methods).await?;
    stream.write_all(&[5, 0]).await?;
    let mut request = [0; 4];
    stream.read_exact(&mut request).await?;
    let name = match request[3] {
        1 => {
            let mut ip = [0; 4];
            stream.read_exact(&mut ip).await?;
            std::net::Ipv4Addr::from(ip).to_string()
        }
        3 => {
            let mut name = vec![0; stream.read_u8().await?.into()];
            stream.read_exact(&mut name).await?;
            String::from_utf8(name).unwrap()
        }
        other => panic!("address type {other}"),
    };
    stream.read_u16().await?;
    log.lock().unwrap().push(name);
    stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    let mut server = TcpStream::connect(target).await?;
    copy_bidirectional(&mut stream, &mut server).await?;
    Ok(())
}

/// A proxy that responds to every request with this, and closes the connection. Returns its address, and the
/// heads of the requests.
async fn proxy_that_sends(response: &'static str) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            let is_whole =
                |head: &[u8]| head.starts_with(&[5]) || head.windows(4).any(|end| end == b"\r\n\r\n");
            while !is_whole(&head) && stream.read_buf(&mut head).await.unwrap_or_default() > 0 {}
            log.lock().unwrap().push(String::from_utf8(head).unwrap());
            let _ = stream.write_all(response.as_bytes()).await;
            let _ = stream.shutdown().await;
            // What is unread would reset the connection.
            let _ = tokio::time::timeout(TIMEOUT, stream.read_to_end(&mut Vec::new())).await;
        }
    });
    (address, asked)
}

/// Creates a connection with a KMS at this address, and returns the summaries of the errors.
async fn create(address: &str, environment: &[(&str, &str)]) -> Vec<String> {
    diagnostics(address, environment).await.into_iter().map(|diagnostic| diagnostic.summary).collect()
}

/// As [`create`], with the whole diagnostics. No line of the log has the login of a proxy.
async fn diagnostics(address: &str, environment: &[(&str, &str)]) -> Vec<proto::Diagnostic> {
    let environment = [environment, &[("TF_LOG_PROVIDER", "TRACE")]].concat();
    let host = Host::start_with(&environment).await;
    let mut provider = host.provider();
    let extra = [
        ("allow_plain_http", Value::Bool(true)),
        ("max_retries", Value::Number(Number::Int(0))),
        ("request_timeout", Value::string("5s")),
    ];
    assert_eq!(configure(&mut provider, &provider_config(address, &extra)).await, Vec::<String>::new());
    let (response, _) = apply(&mut provider, None, &config("analytics", &[])).await;
    let log = host.take_log().join("\n");
    assert!(!log.is_empty());
    for login in ["hunter2", "dXNlcjpodW50ZXIy"] {
        assert!(!log.contains(login), "{log}");
    }
    response.diagnostics
}

#[tokio::test]
async fn a_kms_is_reached_through_a_socks_proxy() {
    for (scheme, address, asked_for) in [
        ("socks5", "http://192.0.2.7", "192.0.2.7"),
        ("socks5h", "http://kms.example.com", "kms.example.com"),
    ] {
        for variable in ["ALL_PROXY", "HTTP_PROXY"] {
            let emulator = emulator().await;
            let (proxy, asked) = socks_proxy(&emulator).await;
            let proxy = format!("{scheme}://{proxy}");
            assert_eq!(
                create(address, &[(variable, &proxy)]).await,
                Vec::<String>::new(),
                "{scheme} {variable}"
            );
            let asked = asked.lock().unwrap().clone();
            assert!(!asked.is_empty() && asked.iter().all(|name| name == asked_for), "{scheme}: {asked:?}");
            assert_eq!(emulator.connections().len(), 1);
        }
    }
}

#[tokio::test]
async fn no_proxy_leads_past_the_proxy() {
    let emulator = emulator().await;
    let (proxy, asked) = socks_proxy(&emulator).await;
    let proxy = format!("socks5h://{proxy}");
    let past = ["No connection to the KMS"];
    for exception in
        ["other.example,.corp.invalid", "*.corp.invalid", "kms.corp.invalid:80", "CORP.invalid", "*"]
    {
        // The name exists nowhere, so the way past the proxy ends at once.
        let environment = [("ALL_PROXY", proxy.as_str()), ("NO_PROXY", exception)];
        assert_eq!(create("http://kms.corp.invalid", &environment).await, past, "{exception}");
        assert_eq!(*asked.lock().unwrap(), Vec::<String>::new(), "{exception}");
    }
    for exception in ["kms.corp.invalid:81", "*corp.invalid", "kms", "*.kms.corp.invalid"] {
        let environment = [("HTTP_PROXY", proxy.as_str()), ("no_proxy", exception)];
        assert_eq!(
            create("http://kms.corp.invalid", &environment).await,
            Vec::<String>::new(),
            "{exception}"
        );
        assert!(!std::mem::take(&mut *asked.lock().unwrap()).is_empty(), "{exception}");
        emulator.delete(&emulator.connection("analytics").id);
    }
}

#[tokio::test]
async fn a_kms_on_this_machine_is_reached_without_a_proxy() {
    let emulator = emulator().await;
    let (proxy, asked) = proxy_that_sends("HTTP/1.1 502 Bad Gateway\r\n\r\n").await;
    let proxy = format!("http://{proxy}");
    assert_eq!(
        create(&emulator.url(), &[("HTTP_PROXY", &proxy), ("ALL_PROXY", &proxy)]).await,
        Vec::<String>::new()
    );
    assert_eq!(*asked.lock().unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn an_error_names_the_proxy_without_its_password() {
    const HTML: &str =
        "HTTP/1.1 403 Forbidden\r\ncontent-type: text/html\r\ncontent-length: 13\r\n\r\n<h1>No</h1>\r\n";
    const DENIED: &str = "HTTP/1.1 403 Forbidden\r\n\r\n";
    const LOGIN: &str = "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n";
    const NO_SOCKS: &str = "\u{5}\u{7f}";
    let (http, https) = ("http://kms.invalid", "https://kms.invalid");
    for (kms, variable, scheme, response, summary, words) in [
        (
            http,
            "HTTP_PROXY",
            "http://",
            HTML,
            "Response not from the KMS",
            "HTTP 403, but the response is not from a KMS",
        ),
        (http, "http_proxy", "", LOGIN, "Response not from the KMS", "USER:PASSWORD@HOST:PORT"),
        (http, "ALL_PROXY", "http://", "", "No response from the KMS", "no complete response"),
        (
            https,
            "HTTPS_PROXY",
            "",
            DENIED,
            "No connection to the KMS",
            ": the proxy did not connect to the KMS.",
        ),
        (https, "HTTPS_PROXY", "http://", LOGIN, "No connection to the KMS", "USER:PASSWORD@HOST:PORT"),
        (https, "https_proxy", "socks5://", NO_SOCKS, "No connection to the KMS", "no connection"),
    ] {
        let (address, asked) = proxy_that_sends(response).await;
        let proxy = format!("{scheme}user:hunter2@{address}");
        let errors = diagnostics(kms, &[(variable, &proxy)]).await;
        let [error] = errors.as_slice() else { panic!("{errors:?}") };
        let shown_scheme = if scheme.is_empty() { "http://" } else { scheme };
        let through = format!(", through the proxy {shown_scheme}{address} ({variable})");
        assert_eq!(error.summary, summary, "{error:?}");
        assert!(error.detail.contains(&through) && error.detail.contains(words), "{}", error.detail);
        assert!(
            !error.detail.contains("hunter2") && !error.detail.contains("client error"),
            "{}",
            error.detail
        );
        let asked = asked.lock().unwrap();
        let login = "proxy-authorization: basic dxnlcjpodw50zxiy";
        let is_login_sent = |head: &String| head.to_lowercase().contains(login);
        assert!(scheme == "socks5://" || asked.iter().all(is_login_sent), "{asked:?}");
    }
}

#[tokio::test]
async fn a_proxy_that_can_not_be_reached_is_named() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    for scheme in ["http", "https", "socks5h"] {
        for kms in ["http://kms.invalid", "https://kms.invalid"] {
            let proxy = format!("{scheme}://user:hunter2@{address}");
            let errors = diagnostics(kms, &[("ALL_PROXY", &proxy)]).await;
            let [error] = errors.as_slice() else { panic!("{errors:?}") };
            assert_eq!(error.summary, "No connection to the KMS");
            let through = format!(", through the proxy {scheme}://{address} (ALL_PROXY): ");
            assert!(error.detail.contains(&through), "{}", error.detail);
            assert!(
                !error.detail.contains("hunter2") && !error.detail.contains("client error"),
                "{}",
                error.detail
            );
        }
    }
}

#[tokio::test]
async fn a_proxy_that_can_not_be_used_is_an_error_without_its_value() {
    for (variable, value, more) in [
        ("HTTP_PROXY", "http://user:hunter2@proxy.test:99999", None),
        ("HTTP_PROXY", "http://proxy.test:3128", Some(("REQUEST_METHOD", "GET"))),
    ] {
        let environment: Vec<_> = [(variable, value)].into_iter().chain(more).collect();
        let errors = diagnostics("http://kms.invalid", &environment).await;
        let [error] = errors.as_slice() else { panic!("{errors:?}") };
        assert_eq!(error.summary, "The KMS client can't be set up");
        assert!(error.detail.contains(variable) && !error.detail.contains("hunter2"), "{}", error.detail);
    }
}
