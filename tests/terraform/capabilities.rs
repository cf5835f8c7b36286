//! What some Terraforms can do and others can't.
//!
//! A scenario that needs more than a Terraform has is skipped under it. Each skip is counted and told, past the capture
//! of output; `scripts/test-matrix` counts these lines too.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    process::{Command, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use serde_json::Value;

use crate::workspace::{terraform, under_each_terraform};

/// Something that isn't in every client that the provider supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Functions of providers.
    Functions,
    /// Ephemeral resources, variables and outputs.
    EphemeralValues,
    /// Import by identity, and identities in state.
    Identities,
    /// `terraform query`.
    Queries,
    /// Actions.
    Actions,
}

impl Capability {
    /// The first Terraform that has it, as major and minor.
    const fn first_terraform(self) -> (u64, u64) {
        match self {
            Self::Functions => (1, 8),
            Self::EphemeralValues => (1, 10),
            Self::Identities => (1, 12),
            Self::Queries | Self::Actions => (1, 14),
        }
    }

    /// The first OpenTofu that has it; `None` as long as there is none.
    const fn first_tofu(self) -> Option<(u64, u64)> {
        match self {
            Self::Functions => Some((1, 7)),
            Self::EphemeralValues => Some((1, 11)),
            Self::Identities => Some((1, 12)),
            Self::Queries | Self::Actions => None,
        }
    }

    /// Whether the client of this name, a Terraform release or `tofu`, has it.
    pub fn is_in(self, client: &str) -> bool {
        match client {
            "tofu" => self.first_tofu().is_some_and(|first| release(client) >= first),
            _ => release(client) >= self.first_terraform(),
        }
    }
}

/// Runs a scenario under every Terraform that has what it needs, and tells which ones haven't.
pub fn under_each_terraform_with(needed: Capability, scenario: impl Fn(&str) + Sync) {
    static SKIPPED: AtomicUsize = AtomicUsize::new(0);
    let test = thread::current().name().unwrap_or("a scenario").to_owned();
    under_each_terraform(|client| {
        if needed.is_in(client) {
            scenario(client);
            return;
        }
        let number = SKIPPED.fetch_add(1, Ordering::Relaxed) + 1;
        let (major, minor) = needed.first_terraform();
        let line = format!(
            "skipped: {test} needs {needed:?} of Terraform {major}.{minor}, this is {client} (skip {number})\n"
        );
        // Not by a macro, for what those print is hidden when the test passes.
        io::stderr().write_all(line.as_bytes()).unwrap();
    });
}

/// Major and minor of a client. Its name says it, but for `tofu`, which is asked once.
fn release(client: &str) -> (u64, u64) {
    static ASKED: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());
    let mut asked = ASKED.lock().unwrap_or_else(PoisonError::into_inner);
    let version = match client {
        "tofu" => asked.entry(client.into()).or_insert_with(|| ask_version(client)),
        release => release,
    };
    let mut numbers = version.split('.').map(|number| number.parse().expect("a version of numbers"));
    (numbers.next().expect("a major version"), numbers.next().expect("a minor version"))
}

fn ask_version(client: &str) -> String {
    let output = Command::new(terraform(client))
        .args(["version", "-json"])
        // The user's environment may name a CLI configuration, of which a warning would come before the JSON.
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("CHECKPOINT_DISABLE", "1")
        .stdin(Stdio::null())
        .output();
    let answer: Value = serde_json::from_slice(&output.unwrap().stdout).expect("it tells its version");
    answer["terraform_version"].as_str().expect("a version").to_owned()
}

#[test]
fn a_terraform_has_what_came_with_it_or_before() {
    let has = |client| {
        use Capability::{Actions, EphemeralValues, Functions, Identities, Queries};
        [Functions, EphemeralValues, Identities, Queries, Actions].map(|capability| capability.is_in(client))
    };
    assert_eq!(has("1.6.6"), [false; 5]);
    assert_eq!(has("1.9.8"), [true, false, false, false, false]);
    assert_eq!(has("1.11.4"), [true, true, false, false, false]);
    assert_eq!(has("1.13.5"), [true, true, true, false, false]);
    assert_eq!(has("1.14.9"), [true; 5]);
}
