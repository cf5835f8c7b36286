//! The command line of a provider's executable.

use std::{
    error::Error,
    ffi::OsStr,
    io::{self, Write},
    process::ExitCode,
};

use tokio_util::sync::CancellationToken;

use super::{handshake, interrupts, log, messages, process, provider::Provider};

/// The exit code for invalid arguments.
const USAGE_ERROR: u8 = 2;

/// Runs a provider's executable: serves Terraform if Terraform started it, and otherwise does what the argument asks for.
/// Errors go to stderr.
///
/// `name` and `version` are those of the executable. One thread serves everything, because most of the work is waiting
/// for a server.
pub fn run<P: Provider>(
    (name, version): (&str, &str),
    argument: Option<&OsStr>,
    environment: fn(&str) -> Option<String>,
    provider: P,
) -> ExitCode {
    let version_line = messages::version(name, version);
    let result = match argument.map(OsStr::to_string_lossy).as_deref() {
        Some("--version" | "-version") => write(io::stdout(), &version_line),
        Some("--help" | "-help" | "-h") => {
            write(io::stdout(), &format!("{version_line}\n{}", help(&provider)))
        }
        Some("--debug" | "-debug") => debug(name, environment, provider),
        Some(other) => {
            report(name, &messages::unknown_option(other));
            return ExitCode::from(USAGE_ERROR);
        }
        None if handshake::started_by_terraform(environment) => serve(name, environment, provider),
        None => write(io::stderr(), &help(&provider)).and(Err(messages::not_started_by_terraform().into())),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let causes = std::iter::successors(error.source(), |cause| (**cause).source());
            let text = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
            report(name, &text);
            ExitCode::FAILURE
        }
    }
}

fn serve<P: Provider>(
    name: &str,
    environment: fn(&str) -> Option<String>,
    provider: P,
) -> Result<(), Box<dyn Error>> {
    log::init(name, environment);
    let open = process::shake_hands(environment, io::stdout())?;
    let runtime = runtime()?;
    let result = runtime.block_on(process::serve(provider, open));
    // A DNS lookup can't be interrupted, and nobody waits for it any more.
    runtime.shutdown_background();
    Ok(result?)
}

fn debug<P: Provider>(
    name: &str,
    environment: fn(&str) -> Option<String>,
    provider: P,
) -> Result<(), Box<dyn Error>> {
    log::init(name, environment);
    interrupts::hold_back()?;
    runtime()?.block_on(async {
        let end = CancellationToken::new();
        interrupts::interrupted(end.clone())?;
        process::serve_debug(provider, environment, io::stdout(), end).await
    })?;
    Ok(())
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

fn write(mut to: impl Write, text: &str) -> Result<(), Box<dyn Error>> {
    to.write_all(text.as_bytes())?;
    Ok(to.flush()?)
}

fn report(name: &str, error: &str) {
    // There is no other place to report that stderr is closed.
    let _ = write(io::stderr(), &messages::failure(name, error));
}

fn help<P: Provider>(provider: &P) -> String {
    let address = provider.address();
    // The registry's host is the default, which configurations omit.
    let source = address.split_once('/').map_or(address, |(_, source)| source);
    let local_name = source.rsplit('/').next().unwrap_or(source);
    messages::help(local_name, source, &provider.help())
}
