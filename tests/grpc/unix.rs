//! What only Unix has: signals, a socket with permissions, parents that processes survive, and bytes that are no text.

use std::{
    ffi::OsStr,
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _},
    path::Path,
    process::Stdio,
    time::Duration,
};

use kms_emulator::{CONNECTIONS, Fault, Target};
use nix::sys::signal::Signal;
use terraform_provider_kms::plugin::value::Value;
use tokio::process::Child;

use crate::{
    handshake::{assert_certificate_refused, calls, ending, unknown_option},
    host::{COOKIE, ClientIdentity, Host, TIMEOUT, executable, proto, spawn, told},
    resource::{apply, config, configured, emulator},
    stopping::wait_until,
};

pub fn signal(child: &Child, signal: Signal) {
    let id = i32::try_from(child.id().expect("it runs")).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), signal).unwrap();
}

#[tokio::test]
async fn only_the_owner_can_reach_the_socket() {
    let host = Host::start().await;
    let directory = Path::new(&host.handshake.address).parent().unwrap().to_owned();
    assert_eq!(std::fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
    host.shut_down().await;
    assert!(!directory.exists(), "the socket's directory is left behind");
}

#[tokio::test]
async fn a_start_that_fails_says_why() {
    let mut command = executable();
    // Short, for a path that is too long for a socket is replaced.
    command.env(COOKIE.0, COOKIE.1).env("PLUGIN_UNIX_SOCKET_DIR", "/no-such-folder/here");
    let output = command.output().await.unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("could not listen for Terraform: No such file or directory"), "{said}");
}

#[tokio::test]
async fn what_is_not_utf_8_is_refused_and_shown() {
    assert_eq!(unknown_option(OsStr::from_bytes(b"--\xff")).await, "--\u{fffd}");
    assert_certificate_refused(OsStr::from_bytes(b"\xff\xfe")).await;
}

#[tokio::test]
async fn interrupts_are_left_to_terraform() {
    let host = Host::start().await;
    signal(&host.child, Signal::SIGINT);
    tokio::time::sleep(Duration::from_millis(200)).await;
    calls(host.channel.clone()).await.unwrap();
}

#[tokio::test]
async fn a_supervisor_may_end_it_with_and_without_a_host() {
    let (mut child, ..) = spawn(&ClientIdentity::new(), &[]).await;
    signal(&child, Signal::SIGTERM);
    assert!(ending(&mut child).await.success());

    let mut host = Host::start().await;
    calls(host.channel.clone()).await.unwrap();
    signal(&host.child, Signal::SIGTERM);
    assert!(ending(&mut host.child).await.success());
}

#[tokio::test]
async fn it_ends_when_what_started_it_is_gone_before_it_has_connected() {
    let identity = ClientIdentity::new();
    let mut command = tokio::process::Command::new("sh");
    command
        .args(["-c", "\"$0\" & wait", env!("CARGO_BIN_EXE_terraform-provider-kms")])
        .env_clear()
        .env(COOKIE.0, COOKIE.1)
        .env("PLUGIN_CLIENT_CERT", &identity.pem)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut parent = command.spawn().unwrap();
    let mut stdout = tokio::io::BufReader::new(parent.stdout.take().unwrap());
    let mut line = String::new();
    tokio::io::AsyncBufReadExt::read_line(&mut stdout, &mut line).await.unwrap();
    let socket = line.split('|').nth(3).unwrap();
    assert!(Path::new(socket).exists(), "it waits");
    parent.kill().await.unwrap();
    // The provider holds the other end.
    let mut rest = Vec::new();
    let end = tokio::io::AsyncReadExt::read_to_end(&mut stdout, &mut rest);
    tokio::time::timeout(TIMEOUT, end).await.expect("it ends").unwrap();
    assert!(!Path::new(socket).exists(), "it cleans up");
}

#[tokio::test]
async fn a_supervisor_that_ends_the_process_waits_for_a_write_under_way() {
    let emulator = emulator().await;
    let (mut host, provider) = configured(&emulator).await;
    let slow = Fault::slow(Duration::ZERO, Duration::from_millis(1500));
    emulator.fault(Target::once("POST", CONNECTIONS), slow);
    let mut creating = provider.clone();
    let create = tokio::spawn(async move { apply(&mut creating, None, &config("analytics", &[])).await });
    wait_until(|| !emulator.connections().is_empty()).await;
    signal(&host.child, Signal::SIGTERM);
    // As long as it is under way, other calls are served.
    tokio::time::sleep(Duration::from_millis(200)).await;
    provider.clone().get_metadata(proto::get_metadata::Request {}).await.unwrap();
    let (answer, stored) = tokio::time::timeout(TIMEOUT, create).await.expect("it ends").unwrap();
    assert_eq!(told(&answer.diagnostics), Vec::<String>::new());
    assert_eq!(stored.state.attribute("id"), Some(&Value::string(&emulator.connection("analytics").id)));
    assert!(ending(&mut host.child).await.success());
}
