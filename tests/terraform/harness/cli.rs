//! Runs of a scenario under each client, and what a run leaves behind.

use std::{
    fmt,
    path::Path,
    process::{Command, Output, Stdio},
    thread,
};

use crate::harness::{clients, diagnostics::Diagnostic};

/// Runs a scenario under every client asked for, and names the ones under which it failed.
pub fn under_each_terraform(scenario: impl Fn(&str) + Sync) {
    let clients = clients::asked_for();
    let failed: Vec<&str> = thread::scope(|scope| {
        let scenario = &scenario;
        let runs: Vec<_> =
            clients.iter().map(|client| (client.as_str(), scope.spawn(move || scenario(client)))).collect();
        runs.into_iter().filter_map(|(client, run)| run.join().is_err().then_some(client)).collect()
    });
    assert!(failed.is_empty(), "failed under {}", failed.join(", "));
}

/// A command in a folder, with a home of its own. Of the tests' environment it gets the search path alone.
pub fn command(executable: &Path, folder: &Path, home: &Path) -> Command {
    let mut command = Command::new(executable);
    command
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home)
        .env("CHECKPOINT_DISABLE", "1")
        .env("TF_INPUT", "0")
        .stdin(Stdio::null());
    command
}

/// The CLI configuration by which a client runs the provider in a folder, without an installation.
pub fn development_override(provider: &str, folder: &Path) -> String {
    let overrides = format!("dev_overrides {{\n    {provider:?} = {folder:?}\n  }}");
    format!("provider_installation {{\n  {overrides}\n  direct {{}}\n}}\n")
}

/// The folder that holds the built provider.
pub fn built_provider() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_terraform-provider-kms")).parent().unwrap()
}

/// What a run of Terraform left behind.
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    pub diagnostics: Vec<Diagnostic>,
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Outcome");
        shown.field("code", &self.code).field("stderr", &self.stderr);
        // The JSON on standard output is long, and what matters of it is in the diagnostics.
        match &self.diagnostics[..] {
            [] => shown.field("stdout", &self.stdout),
            diagnostics => shown.field("diagnostics", &diagnostics),
        };
        shown.finish()
    }
}

impl Outcome {
    /// The outcome of a command that ran in `dir`.
    pub fn of(output: Output, dir: &Path) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        let diagnostics = Diagnostic::read_all(&stdout, dir);
        Self { code: output.status.code(), stdout, stderr, diagnostics }
    }

    pub fn errors(&self) -> Vec<&Diagnostic> {
        self.diagnostics.iter().filter(|diagnostic| diagnostic.severity == "error").collect()
    }

    /// Warnings of the provider; the one about the development override is Terraform's own.
    pub fn warnings(&self) -> Vec<&Diagnostic> {
        let own = |diagnostic: &&Diagnostic| diagnostic.summary.contains("development overrides");
        self.diagnostics.iter().filter(|found| found.severity == "warning" && !own(found)).collect()
    }

    pub fn succeeded(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self
    }

    pub fn failed(self) -> Self {
        assert_eq!(self.code, Some(1), "{self:#?}");
        self
    }

    /// The only error of a failed run.
    pub fn error(&self) -> &Diagnostic {
        let errors = self.errors();
        assert!(errors.len() == 1 && self.code == Some(1), "one error expected: {self:#?}");
        errors[0]
    }
}
