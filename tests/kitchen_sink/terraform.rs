//! The real Terraform in a scratch directory, with the provider of these tests.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
    thread,
};

use serde_json::Value;
use tempfile::TempDir;

/// Runs a scenario under every Terraform asked for, and names the ones under which it failed.
pub fn under_each_terraform(scenario: impl Fn(&Workspace) + Sync) {
    let versions = env::var("KMS_TEST_TERRAFORM_VERSIONS").unwrap_or_else(|_| "1.11.4,1.15.5".into());
    let run = |version: &str| scenario(&Workspace::new(version));
    let failed: Vec<&str> = thread::scope(|scope| {
        let runs: Vec<_> =
            versions.split(',').map(|version| (version, scope.spawn(move || run(version.trim())))).collect();
        runs.into_iter().filter_map(|(version, run)| run.join().is_err().then_some(version)).collect()
    });
    assert!(failed.is_empty(), "failed under Terraform {}", failed.join(", "));
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

fn executable(version: &str) -> PathBuf {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/terraform-cli");
    let output = Command::new(script).arg(version).output().expect("scripts/terraform-cli can be run");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "Terraform {version} is needed for this test: {errors}");
    String::from_utf8(output.stdout).expect("a path in UTF-8").trim_end().into()
}

/// An error or a warning.
#[derive(Clone, Debug)]
pub struct Problem {
    /// The resource instance that it belongs to.
    pub address: String,
    pub severity: String,
    pub summary: String,
    /// Without the line breaks that only lay it out.
    pub detail: String,
    /// The line of the configuration that it points to, without the space around it.
    pub line: String,
}

/// What a run of Terraform left behind.
#[derive(Debug)]
#[allow(dead_code, reason = "a failed assertion shows all of it")]
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    pub problems: Vec<Problem>,
}

impl Outcome {
    pub fn succeeded(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self
    }

    pub fn errors(&self) -> Vec<&Problem> {
        self.problems.iter().filter(|problem| problem.severity == "error").collect()
    }

    pub fn warnings(&self) -> Vec<&Problem> {
        let own = |problem: &&Problem| problem.summary.contains("development overrides");
        self.problems.iter().filter(|problem| problem.severity == "warning" && !own(problem)).collect()
    }

    /// The only error of a failed run.
    pub fn error(&self) -> &Problem {
        let errors = self.errors();
        assert!(errors.len() == 1 && self.code == Some(1), "one error was expected: {self:#?}");
        errors[0]
    }
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
    pub version: String,
    terraform: PathBuf,
    directory: TempDir,
}

const REQUIRED: &str =
    "terraform {\n  required_providers {\n    sink = { source = \"example/sink\" }\n  }\n}\n";

impl Workspace {
    fn new(version: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("kitchen-sink-").tempdir().unwrap();
        let workspace = Self { version: version.into(), terraform: executable(version), directory };
        let overrides = format!("dev_overrides {{\n    \"example/sink\" = {:?}\n  }}", provider());
        workspace.write("cli.tfrc", &format!("provider_installation {{\n  {overrides}\n  direct {{}}\n}}\n"));
        workspace.write("required.tf", REQUIRED);
        for folder in ["home", "things"] {
            fs::create_dir(workspace.path(folder)).unwrap();
        }
        workspace
    }

    /// Whether this Terraform is at least of the minor release.
    pub fn has(&self, minor: u32) -> bool {
        self.version
            .split('.')
            .nth(1)
            .and_then(|number| number.parse().ok())
            .is_some_and(|own: u32| own >= minor)
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
        let mut command = Command::new(&self.terraform);
        command
            .args(arguments)
            .current_dir(self.directory.path())
            .env_clear()
            .env("PATH", env::var("PATH").unwrap_or_default())
            .env("HOME", self.path("home"))
            .env("CHECKPOINT_DISABLE", "1")
            .env("TF_CLI_CONFIG_FILE", self.path("cli.tfrc"))
            .env("TF_INPUT", "0")
            .env("SINK_DIRECTORY", self.path("things"))
            .envs(environment.iter().copied())
            .stdin(Stdio::null());
        let output = command.output().expect("Terraform can be started");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        let problems = self.problems(&stdout);
        Outcome { code: output.status.code(), stdout, stderr, problems }
    }

    fn problems(&self, stdout: &str) -> Vec<Problem> {
        let listed = serde_json::from_str::<Value>(stdout)
            .ok()
            .and_then(|whole| whole["diagnostics"].as_array().filter(|list| !list.is_empty()).cloned());
        let streamed = || {
            let lines = stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines.filter(|line| line["type"] == "diagnostic").map(|line| line["diagnostic"].clone()).collect()
        };
        listed.unwrap_or_else(streamed).iter().map(|json| self.problem(json)).collect()
    }

    fn problem(&self, json: &Value) -> Problem {
        let text = |name: &str| json[name].as_str().unwrap_or_default();
        let line = || {
            let file = fs::read_to_string(self.path(json["range"]["filename"].as_str()?)).ok()?;
            let number = json["range"]["start"]["line"].as_u64()? as usize;
            Some(file.lines().nth(number - 1)?.trim().to_owned())
        };
        Problem {
            address: text("address").into(),
            severity: text("severity").into(),
            summary: text("summary").into(),
            detail: text("detail").split_whitespace().collect::<Vec<_>>().join(" "),
            line: line().unwrap_or_default(),
        }
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
