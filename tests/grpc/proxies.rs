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
    host::{Host, provider_config},
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

/// Creates a connection with a KMS at this address, and returns the summaries of the errors.
async fn create(address: &str, environment: &[(&str, &str)]) -> Vec<String> {
    let host = Host::start_with(environment).await;
    let mut provider = host.provider();
    let extra = [
        ("allow_plain_http", Value::Bool(true)),
        ("max_retries", Value::Number(Number::Int(0))),
        ("request_timeout", Value::string("5s")),
    ];
    assert_eq!(configure(&mut provider, &provider_config(address, &extra)).await, Vec::<String>::new());
    let (response, _) = apply(&mut provider, None, &config("analytics", &[])).await;
    response.diagnostics.into_iter().map(|diagnostic| diagnostic.summary).collect()
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
    // The name exists nowhere, so the way past the proxy ends at once.
    let environment = [("ALL_PROXY", proxy.as_str()), ("NO_PROXY", "other.example,.invalid")];
    assert_eq!(create("http://kms.invalid", &environment).await, ["No connection to the KMS"]);
    assert_eq!(*asked.lock().unwrap(), Vec::<String>::new());
}
