//! The beginning of the process: what the arguments ask for, by whomever it was started.

use std::{
    error::Error,
    ffi::OsStr,
    io::{self, Write},
};

use tokio_util::sync::CancellationToken;

use super::{handshake, interrupts, log, provider::Provider, serve};

/// The arguments are none that the program understands.
#[derive(Debug, thiserror::Error)]
#[error("{0} is no option of this program; --help lists them")]
pub struct UsageError(String);

/// Runs a provider's executable: serves Terraform if that started it, else does what the argument says.
///
/// `name` and `version` are those of the executable. One thread serves everything: the work is waiting for a server.
///
/// # Errors
/// It can't serve, or was not started rightly. The text is for the person at the terminal. A [`UsageError`] if an argument
/// is to blame.
pub fn start<P: Provider>(
    (name, version): (&str, &str),
    argument: Option<&OsStr>,
    environment: fn(&str) -> Option<String>,
    provider: P,
) -> Result<(), Box<dyn Error>> {
    let version_line = format!("{name} {version}\n");
    match argument.map(OsStr::to_string_lossy).as_deref() {
        Some("--version" | "-version") => write(io::stdout(), &version_line),
        Some("--help" | "-help" | "-h") => {
            write(io::stdout(), &format!("{version_line}\n{}", help(&provider)))
        }
        Some("--debug" | "-debug") => serve_debug(name, environment, provider),
        Some(other) => Err(UsageError(other.to_owned()).into()),
        None if handshake::started_by_terraform(environment) => {
            log::init(name, environment);
            let open = serve::shake_hands(environment, io::stdout())?;
            let runtime = runtime()?;
            let result = runtime.block_on(serve::serve(provider, open));
            // The look-up of a host's name can't be interrupted, and nobody waits for it any more.
            runtime.shutdown_background();
            Ok(result?)
        }
        None => write(io::stderr(), &help(&provider)).and(Err("not started by Terraform".into())),
    }
}

fn serve_debug<P: Provider>(
    name: &str,
    environment: fn(&str) -> Option<String>,
    provider: P,
) -> Result<(), Box<dyn Error>> {
    log::init(name, environment);
    interrupts::hold_back()?;
    runtime()?.block_on(async {
        let end = CancellationToken::new();
        interrupts::interrupted(end.clone())?;
        serve::serve_debug(provider, environment, io::stdout(), end).await
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

fn help<P: Provider>(provider: &P) -> String {
    let (address, more) = (provider.address(), provider.help());
    let separator = if more.is_empty() { "" } else { "\n" };
    // The registry's host is the default, which configurations leave out.
    let source = address.split_once('/').map_or(address, |(_, source)| source);
    let local_name = source.rsplit('/').next().unwrap_or(source);
    format!(
        "This is a Terraform provider. Terraform starts it by itself: there is no need to run it by hand.

To use it, name it in a configuration and run `terraform init`:

    terraform {{
      required_providers {{
        {local_name} = {{ source = \"{source}\" }}
      }}
    }}

Options:
    --version   prints the version
    --help      prints this
    --debug     keeps running for a debugger, and prints what to export so that Terraform uses this process
{separator}{more}"
    )
}
