//! What unusual servers and hosts can make the provider do, in work and in memory.
//!
//! The ignored tests measure processor time and memory of the built provider, and print them:
//! `cargo test --test grpc bounds:: -- --ignored --nocapture --test-threads 1`.

use std::time::{Duration, Instant};

use kms_emulator::{CONNECTIONS, Emulator, Fault, OTHER_PROJECT_ID, Target};
use serde_json::json;
use terraform_provider_kms::plugin::value::Value;

use crate::{
    host::{Host, Provider, message, object, proto, provider_config},
    resource::{TYPE_NAME, apply, config, configure, emulator},
};

/// Lets the provider know this many tokens.
async fn know_tokens(provider: &mut Provider, count: usize) {
    for number in 0..count {
        let config = config("known", &[("api_token", Value::string(format!("dbtc_{number:040}")))]);
        let request = proto::validate_resource_config::Request {
            type_name: TYPE_NAME.into(),
            config: message(&config),
            ..Default::default()
        };
        provider.validate_resource_config(request).await.unwrap();
    }
}

/// A provider that knows many tokens, and an emulator that answers a create with very many problems.
async fn flooded() -> (Emulator, Host, Provider) {
    let emulator = emulator().await;
    let host = Host::start().await;
    let mut provider = host.provider();
    configure(&mut provider, &provider_config(&emulator.url(), &[])).await;
    know_tokens(&mut provider, 100).await;
    let problems: Vec<_> =
        (0..15_000).map(|number| json!({"message": format!("m{number}"), "path": ["p"]})).collect();
    let body = json!({"reqId": "r", "statusCode": 422, "error": "ValidationFailure", "message": problems});
    emulator.fault(Target::every("POST", CONNECTIONS), Fault::Answer { status: 422, body });
    (emulator, host, provider)
}

#[tokio::test]
async fn the_first_of_very_many_problems_are_shown() {
    let (_emulator, host, mut provider) = flooded().await;
    let refusal = apply(&mut provider, None, &config("analytics", &[])).await.0.diagnostics;
    assert_eq!(refusal.len(), 20);
    let bytes: usize = refusal.iter().map(|diagnostic| diagnostic.detail.len()).sum();
    assert!(bytes < 4096, "{bytes} bytes");
    assert!(refusal[19].detail.contains("m19. The KMS named 14980 more problems"), "{:?}", refusal[19]);
    host.shut_down().await;
}

/// The data source that lists connections, of one project or of all.
async fn list(mut provider: Provider, project_id: Option<&str>) -> proto::read_data_source::Response {
    let project = match project_id {
        Some(id) => ("project_id", Value::string(id)),
        None => ("all_projects", Value::Bool(true)),
    };
    let schema = crate::unready::schema(
        terraform_provider_kms::plugin::provider::TypeKind::DataSource,
        "kms_dbt_connections",
    );
    let request = proto::read_data_source::Request {
        type_name: "kms_dbt_connections".into(),
        config: message(&object(&schema, &[project])),
        ..Default::default()
    };
    provider.read_data_source(request).await.unwrap().into_inner()
}

/// Lets the emulator list this many connections, each with a description of this length.
fn list_many(emulator: &Emulator, count: usize, description: usize) {
    let one = |number: usize| {
        let id = format!("{number:08}-0000-4000-8000-000000000000");
        json!({
            "id": id, "name": format!("c{number}"), "app": "dbt", "method": "api-token",
            "description": "x".repeat(description),
            "createdAt": "", "updatedAt": "", "credentials": {"instanceUrl": "", "accountId": "1"},
        })
    };
    let body = json!({"appConnections": (0..count).map(one).collect::<Vec<_>>()});
    emulator.fault(Target::every("GET", CONNECTIONS), Fault::Answer { status: 200, body });
}

#[tokio::test]
async fn a_list_with_more_objects_than_are_decoded_is_an_error() {
    let emulator = emulator().await;
    let host = Host::start().await;
    let mut provider = host.provider();
    configure(&mut provider, &provider_config(&emulator.url(), &[])).await;
    list_many(&emulator, 10_001, 0);
    let refusal = list(provider, None).await.diagnostics;
    assert!(refusal[0].detail.contains("it lists more than 10000 objects"), "{refusal:?}");
    host.shut_down().await;
}

#[cfg(target_os = "linux")]
mod measured {
    #![allow(clippy::print_stderr, reason = "these tests print what they measure")]

    use super::*;

    /// The processor time and the highest memory of the provider.
    struct Usage {
        cpu: Duration,
        memory_mib: u64,
    }

    impl Usage {
        fn of(pid: u32) -> Self {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            let (_, fields) = stat.rsplit_once(')').unwrap();
            let ticks: u64 =
                fields.split_whitespace().skip(11).take(2).map(|it| it.parse::<u64>().unwrap()).sum();
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
            let (_, peak) = status.split_once("VmHWM:").unwrap();
            let kib: u64 = peak.split_whitespace().next().unwrap().parse().unwrap();
            Self { cpu: Duration::from_millis(ticks * 10), memory_mib: kib / 1024 }
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "measures the machine"]
    async fn a_flood_of_problems() {
        let (_emulator, host, mut provider) = flooded().await;
        let pid = host.child.id().unwrap();
        let before = Usage::of(pid).cpu;
        let mut other = provider.clone();
        let flood = tokio::spawn(async move { apply(&mut provider, None, &config("a", &[])).await });
        let mut longest = Duration::ZERO;
        while !flood.is_finished() {
            let since = Instant::now();
            other.get_metadata(proto::get_metadata::Request {}).await.unwrap();
            longest = longest.max(since.elapsed());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let after = Usage::of(pid);
        eprintln!(
            "15,000 problems, 100 tokens: {:?} of CPU, another call waits {longest:?}",
            after.cpu - before
        );
        assert!(after.cpu - before < Duration::from_secs(1) && longest < Duration::from_millis(200));
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "measures the machine"]
    async fn a_thousand_creates_with_a_log() {
        let mut times = Vec::new();
        for level in ["OFF", "DEBUG"] {
            let emulator = emulator().await;
            let host = Host::start_with(&[("TF_LOG_PROVIDER", level)]).await;
            let mut provider = host.provider();
            configure(&mut provider, &provider_config(&emulator.url(), &[])).await;
            for number in 0..1000 {
                let token = Value::string(format!("dbtc_{number:040}"));
                apply(&mut provider, None, &config(&format!("c{number}"), &[("api_token", token)])).await;
            }
            times.push(Usage::of(host.child.id().unwrap()).cpu);
            host.shut_down().await;
        }
        eprintln!("1,000 creates: {:?} of CPU without a log, {:?} with DEBUG", times[0], times[1]);
        assert!(times[1] <= times[0] * 2);
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "measures the machine"]
    async fn lists_as_large_as_they_may_be_and_larger() {
        for (title, count, description, lists) in [
            ("a list of 10,000 objects in 8 MB", 10_000, 590, 1),
            ("ten lists of 10,000 objects in 8 MB", 10_000, 590, 10),
            ("a list of 100,000 objects in 20 MB", 100_000, 0, 1),
            ("ten lists of 30,000 objects in 6 MB", 30_000, 0, 10),
        ] {
            let emulator = emulator().await;
            list_many(&emulator, count, description);
            let host = Host::start().await;
            let mut provider = host.provider();
            configure(&mut provider, &provider_config(&emulator.url(), &[])).await;
            let tasks: Vec<_> = (0..lists)
                .map(|number| {
                    let project = (number % 2 == 1).then_some(OTHER_PROJECT_ID);
                    tokio::spawn(list(provider.clone(), project))
                })
                .collect();
            let mut refused = 0;
            for task in tasks {
                refused += usize::from(!task.await.unwrap().diagnostics.is_empty());
            }
            let memory = Usage::of(host.child.id().unwrap()).memory_mib;
            eprintln!("{title}: {memory} MiB, {refused} refused");
            assert!(memory < 150, "{memory} MiB");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "measures the machine"]
    async fn streams_and_messages_of_a_host() {
        use std::process::Stdio;

        use tokio::io::{AsyncBufReadExt as _, BufReader};

        let folder = tempfile::tempdir().unwrap();
        let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_terraform-provider-kms"))
            .arg("--debug")
            .env("TMPDIR", folder.path())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let socket = loop {
            let line = lines.next_line().await.unwrap().unwrap();
            if let Some((_, rest)) = line.split_once("\"String\":\"") {
                break rest.split('"').next().unwrap().to_owned();
            }
        };
        let request = || {
            http::Request::post("http://localhost/tfplugin6.Provider/GetMetadata")
                .header("content-type", "application/grpc")
                .body(())
                .unwrap()
        };
        for (title, count, size) in
            [("20,000 streams", 20_000, 64_u32), ("a message of 240 MB", 1, 240_000_000)]
        {
            let stream = tokio::net::UnixStream::connect(&socket).await.unwrap();
            let mut builder = h2::client::Builder::new();
            let handshake = builder.initial_max_send_streams(30_000).handshake(stream);
            let (mut streams, connection) = handshake.await.unwrap();
            // The streams are open before the settings of the server arrive.
            let mut open = Vec::new();
            for _ in 0..count {
                let Ok((response, mut body)) = streams.send_request(request(), false) else { break };
                let data = [&[0], size.to_be_bytes().as_slice(), &vec![1; size as usize - 1]].concat();
                let _ = body.send_data(prost::bytes::Bytes::from(data), false);
                open.push((response, body));
            }
            let connection = tokio::spawn(connection);
            tokio::time::sleep(Duration::from_secs(4)).await;
            let memory = Usage::of(child.id().unwrap()).memory_mib;
            eprintln!("{title} ({} sent): {memory} MiB", open.len());
            assert!(memory < 150, "{memory} MiB");
            connection.abort();
        }
    }
}
