//! The provider's executable: passes arguments and environment to [`cli::run`].

use std::process::ExitCode;

use terraform_provider_kms::{plugin::cli, provider::KmsProvider};

fn main() -> ExitCode {
    let environment = |name: &str| std::env::var(name).ok();
    let argument = std::env::args_os().nth(1);
    let executable = (env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    cli::run(executable, argument.as_deref(), environment, KmsProvider::new(environment))
}
