//! `make install`: after it, a plain `terraform init` finds the provider.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "a test: a panic is a failure")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

const CONFIGURATION: &str = r#"
terraform {
  required_providers {
    kms = {
      source  = "hanzoai/kms"
      version = "VERSION"
    }
  }
}

variable "token" {
  type      = string
  ephemeral = true
}

resource "kms_dbt_connection" "it" {
  name         = "analytics"
  instance_url = "https://cloud.getdbt.com"
  account_id   = "12345"
  api_token    = var.token
}
"#;

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(name)
}

fn succeeded(output: Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn terraform_init_finds_the_installed_provider() {
    let terraform = succeeded(Command::new(script("terraform-cli")).output().unwrap());
    let home = tempfile::tempdir().unwrap();
    let install = || {
        let mut command = Command::new(script("install"));
        command.arg(env!("CARGO_BIN_EXE_terraform-provider-kms")).env("HOME", home.path());
        succeeded(command.output().unwrap())
    };
    install();
    // Again, over itself.
    let said = install();
    for registry in ["registry.terraform.io", "registry.opentofu.org"] {
        assert!(said.contains(&format!("{registry}/hanzoai/kms/{}", env!("CARGO_PKG_VERSION"))), "{said}");
    }

    let work = home.path().join("work");
    fs::create_dir(&work).unwrap();
    fs::write(work.join("main.tf"), CONFIGURATION.replace("VERSION", env!("CARGO_PKG_VERSION"))).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(terraform.trim_end());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TF_")) {
            command.env_remove(name);
        }
        command.args(arguments).current_dir(&work).env("HOME", home.path()).env("CHECKPOINT_DISABLE", "1");
        succeeded(command.output().unwrap())
    };
    let said = run(&["init", "-no-color", "-input=false"]);
    assert!(said.contains(concat!("Installed hanzoai/kms v", env!("CARGO_PKG_VERSION"))), "{said}");
    run(&["validate", "-no-color"]);
}
