//! The real Terraform in a scratch directory, with the provider of these tests.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{
    cli::{self, Outcome},
    clients,
    releases::{Capability, Release},
};

/// Runs a scenario under every Terraform asked for, each in a workspace of its own.
pub fn under_each_terraform(scenario: impl Fn(&Workspace) + Sync) {
    cli::under_each_terraform(|client| scenario(&Workspace::new(client)));
}

/// The directory that holds the provider's executable, which is an example of this package. Cargo doesn't build those
/// for a single test.
fn provider() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--example", "terraform-provider-sink"]);
        let built = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo can be run");
        assert!(built.success(), "the provider can't be built");
        // A test is in target/PROFILE/deps.
        let test = env::current_exe().unwrap();
        test.parent().unwrap().parent().unwrap().join("examples")
    })
}

/// A saved plan, read back.
#[derive(Debug)]
pub struct Plan {
    json: Value,
    file: String,
}

impl Plan {
    fn change(&self, address: &str) -> &Value {
        let changes = self.json["resource_changes"].as_array().expect("changes");
        let change = changes.iter().find(|change| change["address"] == address);
        &change.unwrap_or_else(|| panic!("no change of {address} in {changes:#?}"))["change"]
    }

    /// What happens to a resource, such as `["update"]`.
    pub fn actions(&self, address: &str) -> Vec<&str> {
        let actions = self.change(address)["actions"].as_array().expect("actions");
        actions.iter().map(|action| action.as_str().unwrap()).collect()
    }

    /// The planned value at a JSON pointer; null if it is unknown.
    pub fn after(&self, address: &str, pointer: &str) -> &Value {
        self.change(address)["after"].pointer(pointer).unwrap_or(&Value::Null)
    }

    /// Whether the value at a JSON pointer is known only after apply.
    pub fn is_unknown(&self, address: &str, pointer: &str) -> bool {
        self.change(address)["after_unknown"].pointer(pointer) == Some(&Value::Bool(true))
    }

    /// The paths that make it a replacement.
    pub fn replaced_by(&self, address: &str) -> String {
        self.change(address)["replace_paths"].to_string()
    }
}

/// A scratch directory under one Terraform.
pub struct Workspace {
    pub release: Release,
    terraform: PathBuf,
    directory: TempDir,
}

const REQUIRED: &str =
    "terraform {\n  required_providers {\n    sink = { source = \"example/sink\" }\n  }\n}\n";

impl Workspace {
    fn new(client: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("kitchen-sink-").tempdir().unwrap();
        let workspace =
            Self { release: clients::release(client), terraform: clients::executable(client), directory };
        workspace.write("cli.tfrc", &cli::development_override("example/sink", provider()));
        workspace.write("required.tf", REQUIRED);
        for folder in ["home", "things"] {
            fs::create_dir(workspace.path(folder)).unwrap();
        }
        workspace
    }

    /// Whether this client has a capability.
    pub fn has(&self, capability: Capability) -> bool {
        capability.is_in(self.release)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Makes this the whole configuration.
    pub fn configure(&self, text: &str) {
        self.write("main.tf", text);
    }

    pub fn run(&self, arguments: &[&str]) -> Outcome {
        self.run_with(&[], arguments)
    }

    pub fn run_with(&self, environment: &[(&str, &str)], arguments: &[&str]) -> Outcome {
        let home = self.path("home");
        let mut command = cli::command(&self.terraform, self.directory.path(), &home);
        command
            .args(arguments)
            .env("TF_CLI_CONFIG_FILE", self.path("cli.tfrc"))
            .env("SINK_DIRECTORY", self.path("things"))
            .envs(environment.iter().copied());
        Outcome::of(command.output().expect("Terraform can be started"), self.directory.path())
    }

    pub fn validate(&self) -> Outcome {
        self.run(&["validate", "-json"])
    }

    pub fn apply(&self) -> Outcome {
        self.run(&["apply", "-json", "-auto-approve"])
    }

    pub fn destroy(&self) -> Outcome {
        self.run(&["destroy", "-json", "-auto-approve"])
    }

    /// Plans, and reads the saved plan back.
    pub fn plan(&self) -> Plan {
        let file = "saved.tfplan".to_owned();
        self.run(&["plan", "-json", &format!("-out={file}")]).succeeded();
        let shown = self.run(&["show", "-json", &file]).succeeded();
        Plan { json: serde_json::from_str(&shown.stdout).unwrap(), file }
    }

    pub fn apply_plan(&self, plan: &Plan) -> Outcome {
        self.run(&["apply", "-json", &plan.file])
    }

    /// Holds the provider to having nothing to do.
    pub fn assert_clean(&self) {
        let outcome = self.run(&["plan", "-json", "-detailed-exitcode"]);
        assert_eq!(outcome.code, Some(0), "nothing to change was expected: {outcome:#?}");
    }

    pub fn state_file(&self) -> Value {
        fs::read_to_string(self.path("terraform.tfstate"))
            .map_or(Value::Null, |text| serde_json::from_str(&text).unwrap())
    }

    /// The only instance of the only managed resource of a type in state.
    pub fn instance(&self, resource_type: &str) -> Value {
        let state = self.state_file();
        let resources = state["resources"].as_array().cloned().unwrap_or_default();
        let found = resources.into_iter().find(|resource| resource["type"] == resource_type);
        found.map_or(Value::Null, |resource| resource["instances"][0].clone())
    }

    /// Its attributes.
    pub fn state(&self, resource_type: &str) -> Value {
        self.instance(resource_type)["attributes"].clone()
    }

    /// Changes the state file as an older release of a provider would have written it.
    pub fn rewrite_state(&self, change: impl FnOnce(&mut Value)) {
        let mut state = self.state_file();
        change(&mut state["resources"][0]["instances"][0]);
        self.write("terraform.tfstate", &state.to_string());
    }

    /// Whether some file below the scratch directory holds the text, other than the configuration.
    pub fn stores(&self, text: &str) -> bool {
        ["terraform.tfstate", "terraform.tfstate.backup", "saved.tfplan"].iter().any(|name| {
            let bytes = fs::read(self.path(name)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).contains(text)
        })
    }
}
