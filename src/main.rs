//! The provider's executable: arguments, environment, runtime.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use terraform_provider_kms::{
    plugin::{handshake, log, serve},
    provider::KmsProvider,
};
use tokio_util::sync::CancellationToken;

const HELP: &str = "\
This is a Terraform provider. Terraform starts it by itself: there is no need to run it by hand.

To use it, name it in a configuration and run `terraform init`:

    terraform {
      required_providers {
        kms = { source = \"hanzoai/kms\" }
      }
    }

Options:
    --version   prints the version
    --help      prints this
    --debug     keeps running for a debugger, and prints what to export so that Terraform uses this process
";

fn main() -> ExitCode {
    let environment = |name: &str| std::env::var(name).ok();
    let argument = std::env::args().nth(1);
    let result = match argument.as_deref() {
        Some("--version" | "-version") => write(io::stdout(), &version()),
        Some("--help" | "-help" | "-h") => write(io::stdout(), &(version() + "\n" + HELP)),
        Some("--debug" | "-debug") => run(environment, Mode::Debug),
        None if handshake::started_by_terraform(environment) => run(environment, Mode::Plugin),
        None => write(io::stderr(), HELP).and(Err("not started by Terraform".into())),
        Some(other) => Err(format!("{other} is no option of this program; --help lists them").into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "terraform-provider-kms: {error}");
            ExitCode::FAILURE
        }
    }
}

enum Mode {
    Plugin,
    Debug,
}

/// One thread is enough: the work is waiting for the KMS.
fn run(environment: fn(&str) -> Option<String>, mode: Mode) -> Result<(), Box<dyn std::error::Error>> {
    log::init(environment);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let provider = KmsProvider::new(environment);
    runtime.block_on(async {
        match mode {
            Mode::Plugin => serve::serve(provider, environment, io::stdout()).await,
            Mode::Debug => {
                let end = CancellationToken::new();
                let ctrl_c = end.clone();
                tokio::spawn(async move {
                    let _ = tokio::signal::ctrl_c().await;
                    ctrl_c.cancel();
                });
                serve::serve_debug(provider, environment, io::stdout(), end).await
            }
        }
    })?;
    Ok(())
}

fn version() -> String {
    format!("terraform-provider-kms {}\n", env!("CARGO_PKG_VERSION"))
}

fn write(mut to: impl io::Write, text: &str) -> Result<(), Box<dyn std::error::Error>> {
    to.write_all(text.as_bytes())?;
    Ok(to.flush()?)
}
