//! The clients that run the provider in tests. Each has a name: `1.15.5` is a release of Terraform, `tofu` the OpenTofu on
//! the PATH, and `tofu=PATH` another one. `scripts/terraform-cli` finds them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
};

use crate::harness::releases::{Capability, Release};

/// The clients of `KMS_TEST_TERRAFORM_VERSIONS`, a comma list; by default the oldest supported Terraform and the newest.
pub fn asked_for() -> Vec<String> {
    let names = std::env::var("KMS_TEST_TERRAFORM_VERSIONS").unwrap_or_else(|_| "1.11.4,1.15.5".into());
    names.split(',').map(|name| name.trim().to_owned()).collect()
}

/// The executable of a client.
pub fn executable(client: &str) -> PathBuf {
    answer(&[client]).into()
}

/// What release a client is.
pub fn release(client: &str) -> Release {
    let name = match client.starts_with("tofu") {
        true => answer(&["--name", client]),
        // Its name says it.
        false => format!("Terraform {client}"),
    };
    Release::read(&name).unwrap_or_else(|| panic!("{client} should say what it is, not {name:?}"))
}

/// Whether a client has a capability.
pub fn has(client: &str, capability: Capability) -> bool {
    capability.is_in(release(client))
}

/// What `scripts/terraform-cli` prints for these arguments. It is run once for all tests.
pub fn answer(arguments: &[&str]) -> String {
    static ANSWERS: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());
    // One failed answer must not fail the tests of all other clients.
    let mut answers = ANSWERS.lock().unwrap_or_else(PoisonError::into_inner);
    let known = answers.entry(arguments.join(" ")).or_insert_with(|| script("terraform-cli", arguments));
    known.clone()
}

/// What a script of this project prints: a path, for most.
pub fn script(name: &str, arguments: &[&str]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(name);
    let output = Command::new(script).args(arguments).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "scripts/{name} failed");
    String::from_utf8(output.stdout).unwrap().trim_end().into()
}
