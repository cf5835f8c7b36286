//! Who may talk to the provider, how it starts and how it ends.

use std::{
    ffi::OsStr,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::process::Child;
use tokio_stream::StreamExt as _;

use crate::host::{
    COOKIE, ClientIdentity, Handshake, Host, TIMEOUT, connect, executable, go_plugin, health, proto, spawn,
    told,
};

pub async fn calls(channel: tonic::transport::Channel) -> Result<(), tonic::Status> {
    let mut provider = proto::provider_client::ProviderClient::new(channel);
    provider.get_metadata(proto::get_metadata::Request {}).await.map(drop)
}

/// Waits for the end of the process.
pub async fn ending(child: &mut Child) -> ExitStatus {
    tokio::time::timeout(TIMEOUT, child.wait()).await.expect("it ends").unwrap()
}

#[tokio::test]
async fn terraform_itself_is_served() {
    let host = Host::start().await;
    assert_eq!(host.handshake.network, if cfg!(unix) { "unix" } else { "tcp" });
    calls(host.channel.clone()).await.unwrap();
    let (code, rest, _) = host.shut_down().await;
    assert_eq!((code, rest.as_str()), (Some(0), ""), "nothing follows the handshake line");
}

#[tokio::test]
async fn a_stranger_is_refused_with_and_without_a_certificate() {
    let host = Host::start().await;
    for identity in [None, Some(ClientIdentity::new())] {
        // In TLS 1.3 a client learns of its refusal only when it first reads.
        match connect(&host.handshake, identity.as_ref()).await {
            Err(_) => {}
            Ok(channel) => {
                let answer = tokio::time::timeout(TIMEOUT, calls(channel)).await.unwrap();
                assert!(answer.is_err(), "a stranger was served");
            }
        }
    }
    // Nor did the strangers do harm to the one who may.
    calls(host.channel.clone()).await.unwrap();
}

#[tokio::test]
async fn plain_text_is_spoken_only_when_the_host_asks_for_it() {
    let host = Host::start_with(&[("PLUGIN_CLIENT_CERT", "")]).await;
    assert!(host.handshake.line.ends_with("|grpc|\n"), "{}", host.handshake.line);
    calls(host.channel.clone()).await.unwrap();
}

#[tokio::test]
async fn an_unusable_client_certificate_is_an_error() {
    assert_certificate_refused(OsStr::new("junk")).await;
}

/// Asserts that a start with this client certificate fails, and says which variable has it.
pub async fn assert_certificate_refused(certificate: &OsStr) {
    let mut command = executable();
    command.env(COOKIE.0, COOKIE.1).env("PLUGIN_CLIENT_CERT", certificate);
    let output = command.output().await.unwrap();
    assert!(!output.status.success());
    assert_eq!(output.stdout, b"");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("PLUGIN_CLIENT_CERT"), "{said}");
}

#[tokio::test]
async fn started_by_hand_it_says_what_it_is() {
    let output = executable().output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stdout, b"");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("This is a Terraform provider") && said.contains("terraform init"), "{said}");

    let wrong = executable().env(COOKIE.0, "guess").output().await.unwrap();
    assert_eq!(wrong.status.code(), Some(1));

    for (argument, expected) in [
        ("--version", env!("CARGO_PKG_VERSION")),
        ("--help", "--debug"),
        ("--help", "auth.aws_iam"),
        ("--help", "KMS_MAX_RETRIES"),
    ] {
        let output = executable().arg(argument).output().await.unwrap();
        assert!(output.status.success());
        assert!(String::from_utf8(output.stdout).unwrap().contains(expected), "{argument}");
    }
    assert_eq!(unknown_option(OsStr::new("--verbose")).await, "--verbose");
}

/// How the program quotes an option that it doesn't know.
pub async fn unknown_option(option: &OsStr) -> String {
    let output = executable().arg(option).output().await.unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    let quoted = said
        .strip_prefix("terraform-provider-kms: unknown option '")
        .and_then(|rest| rest.strip_suffix("'; --help lists the options\n"));
    quoted.expect(&said).to_owned()
}

/// A program with secrets in its memory is not to be loaded where everybody knows.
#[test]
#[cfg(target_os = "linux")]
fn the_executable_can_be_loaded_anywhere() {
    const ET_DYN: u16 = 3;
    let elf = std::fs::read(env!("CARGO_BIN_EXE_terraform-provider-kms")).unwrap();
    assert_eq!(elf[..4], *b"\x7fELF");
    // Where it runs, its bytes have the order of this machine.
    assert_eq!(u16::from_ne_bytes([elf[16], elf[17]]), ET_DYN);
}

#[tokio::test]
async fn the_services_of_go_plugin_are_there() {
    let host = Host::start().await;
    let mut health = health::health_client::HealthClient::new(host.channel.clone());
    let check = |service: &str| health::HealthCheckRequest { service: service.into() };
    assert_eq!(health.check(check("plugin")).await.unwrap().into_inner().status, 1);
    assert_eq!(health.check(check("other")).await.unwrap_err().code(), tonic::Code::NotFound);

    let mut stdio = go_plugin::grpc_stdio_client::GrpcStdioClient::new(host.channel.clone());
    let mut output = stdio.stream_stdio(()).await.unwrap().into_inner();
    let mut broker = go_plugin::grpc_broker_client::GrpcBrokerClient::new(host.channel.clone());
    let asked = go_plugin::ConnInfo { service_id: 1, ..Default::default() };
    let said = tokio_stream::iter([asked]).chain(tokio_stream::pending());
    let mut answers = broker.start_stream(said).await.unwrap().into_inner();
    let quiet = Duration::from_millis(200);
    assert!(tokio::time::timeout(quiet, output.message()).await.is_err(), "stdio says something");
    assert!(tokio::time::timeout(quiet, answers.message()).await.is_err(), "the broker says something");
    // Open streams don't keep the process from ending.
    let (code, ..) = host.shut_down().await;
    assert_eq!(code, Some(0));
}

#[tokio::test]
async fn it_ends_when_terraform_is_gone() {
    let mut host = Host::start().await;
    calls(host.channel.clone()).await.unwrap();
    host.channel = tonic::transport::Endpoint::from_static("http://localhost").connect_lazy();
    assert!(ending(&mut host.child).await.success());
}

#[tokio::test]
async fn messages_beyond_grpcs_usual_limit_are_taken() {
    let host = Host::start().await;
    let padding = "x".repeat(5 << 20);
    let request = proto::upgrade_resource_state::Request {
        type_name: "kms_dbt_connection".into(),
        version: 0,
        raw_state: Some(proto::RawState {
            json: format!(r#"{{"id":"1","gone_since":"{padding}"}}"#).into_bytes(),
            ..Default::default()
        }),
    };
    let answer = host.provider().upgrade_resource_state(request).await.unwrap().into_inner();
    assert_eq!(told(&answer.diagnostics), Vec::<String>::new());
    assert!(answer.upgraded_state.is_some());
}

#[tokio::test]
async fn what_the_protocol_forbids_is_a_status_and_no_crash() {
    let host = Host::start().await;
    let mut provider = host.provider();
    let unknown_type = proto::read_resource::Request { type_name: "kms_other".into(), ..Default::default() };
    assert_eq!(provider.read_resource(unknown_type).await.unwrap_err().code(), tonic::Code::NotFound);
    let garbage = proto::validate_resource_config::Request {
        type_name: "kms_dbt_connection".into(),
        config: Some(proto::DynamicValue { msgpack: vec![0xc1], json: vec![] }),
        ..Default::default()
    };
    let status = provider.validate_resource_config(garbage).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
    calls(host.channel.clone()).await.unwrap();
}

#[tokio::test]
async fn debug_mode_tells_how_to_reattach_and_outlives_its_hosts() {
    let mut child = executable().arg("--debug").stderr(Stdio::inherit()).spawn().unwrap();
    let mut stdout = tokio::io::BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    while !text.contains("TF_REATTACH_PROVIDERS='") {
        let line = tokio::io::AsyncBufReadExt::read_line(&mut stdout, &mut text);
        assert_ne!(tokio::time::timeout(TIMEOUT, line).await.unwrap().unwrap(), 0, "{text}");
    }
    let json = text.split('\'').nth(1).unwrap();
    let reattach: serde_json::Value = serde_json::from_str(json).unwrap();
    let provider = &reattach["registry.terraform.io/hanzoai/kms"];
    assert_eq!(reattach["registry.opentofu.org/hanzoai/kms"], *provider);
    assert_eq!(provider["ProtocolVersion"], 6);
    assert_eq!(provider["Protocol"], "grpc");
    assert_eq!(provider["Test"], true);
    assert_eq!(provider["Pid"], child.id().unwrap());
    let address = |of: &str| provider["Addr"][of].as_str().unwrap().to_owned();
    let announced = Handshake::plain_text(address("Network"), address("String"));

    for _ in 0..2 {
        let channel = connect(&announced, None).await.unwrap();
        calls(channel.clone()).await.unwrap();
        let mut controller = go_plugin::grpc_controller_client::GrpcControllerClient::new(channel);
        controller.shutdown(go_plugin::Empty {}).await.unwrap();
    }
    #[cfg(unix)]
    {
        crate::unix::signal(&child, nix::sys::signal::Signal::SIGINT);
        assert!(ending(&mut child).await.success());
    }
}

#[tokio::test]
async fn a_second_provider_has_a_certificate_of_its_own() {
    let identity = ClientIdentity::new();
    let (_one, first, ..) = spawn(&identity, &[]).await;
    let (_two, second, ..) = spawn(&identity, &[]).await;
    assert_ne!(first.line.rsplit('|').next(), second.line.rsplit('|').next());
    assert_ne!(first.address, second.address);
}
