//! Runs the KMS emulator by itself: `cargo run --example kms-emulator -- --help`.

#![allow(clippy::print_stdout, reason = "the address on standard output is the interface")]

use std::{io::Write, process::ExitCode, str::FromStr};

use kms_emulator::{Emulator, Options, Server, rate_limit::RateLimits};

const HELP: &str = "\
A KMS to test against: serves its API for dbt app connections, and for the rotation of dbt service tokens, on the loopback
address.

Usage: kms-emulator [OPTIONS]

  --port N             port to listen on; 0, the default, selects a free one
  --no-rate-limit      switch rate limits off
  --read-limit N       reads in a window (default 60)
  --write-limit N      writes and logins in a window (default 200)
  --window-seconds S   length of the window (default 60)
  --server NAME        whose server: hanzo (default) or infisical
  --tls PATH           serve TLS and write the authority's certificate to PATH
  --help               this text

Log in as client emulator-client with the secret emulator-secret.
The calls under /__admin/ are described in tests/kms_emulator/admin.rs.
";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let (options, ca_path) = match parse(std::env::args().skip(1)) {
        Ok(Some(parsed)) => parsed,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(problem) => {
            let _ = writeln!(std::io::stderr(), "kms-emulator: {problem}; see --help");
            return ExitCode::FAILURE;
        }
    };
    let emulator = Emulator::start(options).await;
    if let (Some(path), Some(pem)) = (ca_path, emulator.ca_pem())
        && let Err(error) = std::fs::write(&path, pem)
    {
        let _ = writeln!(std::io::stderr(), "kms-emulator: {path}: {error}");
        return ExitCode::FAILURE;
    }
    println!("listening on {}", emulator.url());
    let _ = std::io::stdout().flush();
    std::future::pending().await
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Option<(Options, Option<String>)>, String> {
    let mut options = Options::default();
    let mut limits = RateLimits::default();
    let mut limited = true;
    let mut ca_path = None;
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--help" => return Ok(None),
            "--no-rate-limit" => limited = false,
            "--port" => options.port = number(&argument, arguments.next())?,
            "--read-limit" => limits.reads = number(&argument, arguments.next())?,
            "--write-limit" => limits.writes = number(&argument, arguments.next())?,
            "--window-seconds" => limits.window_seconds = number(&argument, arguments.next())?,
            "--server" => {
                options.server = match arguments.next().as_deref() {
                    Some("hanzo") => Server::Hanzo,
                    Some("infisical") => Server::Infisical,
                    _ => return Err("--server needs hanzo or infisical".into()),
                };
            }
            "--tls" => {
                options.tls = true;
                ca_path = Some(arguments.next().ok_or("--tls needs a path")?);
            }
            unknown => return Err(format!("unknown option {unknown}")),
        }
    }
    options.rate_limits = limited.then_some(limits);
    Ok(Some((options, ca_path)))
}

fn number<T: FromStr>(option: &str, value: Option<String>) -> Result<T, String> {
    value.and_then(|text| text.parse().ok()).ok_or_else(|| format!("{option} needs a number"))
}
