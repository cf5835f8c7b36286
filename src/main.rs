//! The provider's executable: arguments and environment, handed on.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use terraform_provider_kms::{
    plugin::start::{UsageError, start},
    provider::KmsProvider,
};

fn main() -> ExitCode {
    let environment = |name: &str| std::env::var(name).ok();
    let argument = std::env::args_os().nth(1);
    let executable = (env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    match start(executable, argument.as_deref(), environment, KmsProvider::new(environment)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let causes = std::iter::successors(error.source(), |cause| cause.source());
            let text = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
            let _ = writeln!(io::stderr(), "{}: {text}", env!("CARGO_PKG_NAME"));
            if error.is::<UsageError>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}
