//! `make install`: after it, a plain `terraform init` finds the provider.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use crate::harness::{cli, clients};

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

fn succeeded(output: Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn terraform_init_finds_the_installed_provider() {
    let terraform = PathBuf::from(clients::answer(&[]));
    let home = tempfile::tempdir().unwrap();
    let install = || {
        let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/install"));
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
        let mut command = cli::command(&terraform, &work, home.path());
        command.args(arguments);
        succeeded(command.output().unwrap())
    };
    let said = run(&["init", "-no-color", "-input=false"]);
    assert!(said.contains(concat!("Installed hanzoai/kms v", env!("CARGO_PKG_VERSION"))), "{said}");
    run(&["validate", "-no-color"]);
}
