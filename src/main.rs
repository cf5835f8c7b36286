//! The provider's executable: passes arguments and environment to [`cli::run`].

use std::process::ExitCode;

use terraform_provider_kms::{plugin::cli, provider::KmsProvider};

fn main() -> ExitCode {
    // A value that isn't UTF-8 is invalid, and must not count as unset: it could be the host, or Terraform's certificate.
    let environment = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    let argument = std::env::args_os().nth(1);
    let executable = (env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    cli::run(executable, argument.as_deref(), environment, KmsProvider::new(environment))
}
