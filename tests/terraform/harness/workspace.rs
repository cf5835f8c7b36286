//! A scratch directory with a configuration, an emulator to apply it to, and the Terraform that does so.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Mutex,
    thread,
};

use serde_json::Value;
use tempfile::TempDir;

use kms_emulator::{CLIENT_ID, CLIENT_SECRET, Emulator, Options, PROJECT_ID, StoredSecret};

pub use crate::harness::cli::{Outcome, under_each_terraform};
use crate::harness::{
    cli, clients, leaks,
    plans::{Plan, without_variation},
    releases::Program,
};

/// A scratch directory under one Terraform. Dropping it after a passed scenario searches it for secrets.
pub struct Workspace {
    pub emulator: Emulator,
    dir: TempDir,
    client: String,
    terraform: PathBuf,
    environment: Mutex<BTreeMap<String, String>>,
    secrets: Mutex<Vec<String>>,
    tokens: Mutex<Vec<String>>,
    transcript: Mutex<String>,
    plans: Mutex<usize>,
}

impl Workspace {
    /// A workspace whose provider finds host and credentials in the environment.
    pub fn new(version: &str) -> Self {
        Self::with(version, Options::default())
    }

    pub fn with(version: &str, options: Options) -> Self {
        let dir = tempfile::Builder::new().prefix("kms-terraform-").tempdir().unwrap();
        let emulator = Emulator::start_on_thread(options);
        let workspace = Self {
            client: version.to_owned(),
            terraform: clients::executable(version),
            environment: Mutex::default(),
            secrets: Mutex::default(),
            tokens: Mutex::default(),
            transcript: Mutex::default(),
            plans: Mutex::default(),
            emulator,
            dir,
        };
        workspace.write("cli.tfrc", &cli::development_override("hanzoai/kms", cli::built_provider()));
        workspace.write_provider("");
        for folder in ["home", "tmp"] {
            fs::create_dir(workspace.path(folder)).unwrap();
        }
        let path = |name| workspace.path(name).to_str().unwrap().to_owned();
        workspace.set("PATH", &std::env::var("PATH").unwrap_or_default());
        workspace.set("HOME", &path("home"));
        workspace.set("TMPDIR", &path("tmp"));
        workspace.set("CHECKPOINT_DISABLE", "1");
        workspace.set("TF_CLI_CONFIG_FILE", &path("cli.tfrc"));
        workspace.set("TF_INPUT", "0");
        // A third of Terraform's CPU time, for the garbage of a process that ends at once.
        workspace.set("GOGC", "off");
        // Each scenario's log is searched for secrets. TRACE, which doubles what a run costs, is for those that ask for it.
        workspace.set("TF_LOG_PROVIDER", "DEBUG");
        workspace.set("TF_LOG_PATH", &path("provider.log"));
        workspace.set("KMS_HOST", &workspace.emulator.url());
        workspace.set("KMS_UNIVERSAL_AUTH_CLIENT_ID", CLIENT_ID);
        workspace.set("KMS_UNIVERSAL_AUTH_CLIENT_SECRET", CLIENT_SECRET);
        workspace.secret(CLIENT_SECRET);
        workspace
    }

    /// Whether the client is an OpenTofu.
    pub fn is_tofu(&self) -> bool {
        clients::release(&self.client).program == Program::OpenTofu
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file of the configuration.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Sets an environment variable of later runs.
    pub fn set(&self, name: &str, value: &str) {
        self.environment.lock().unwrap().insert(name.into(), value.into());
    }

    /// Has later runs log everything, the lines of libraries included.
    pub fn log_everything(&self) {
        self.set("TF_LOG_PROVIDER", "TRACE");
    }

    pub fn unset(&self, name: &str) {
        self.environment.lock().unwrap().remove(name);
    }

    /// Gives the value of the ephemeral variable `token`, and looks for it at the end.
    pub fn set_token(&self, token: &str) {
        self.set_secret("token", token);
    }

    /// Gives the value of an ephemeral variable that holds a token, and looks for it at the end.
    pub fn set_secret(&self, variable: &str, value: &str) {
        self.set(&format!("TF_VAR_{variable}"), value);
        self.secret(value);
        self.tokens.lock().unwrap().push(value.into());
    }

    /// Writes the provider block, with these arguments.
    pub fn write_provider(&self, arguments: &str) {
        let required =
            "terraform {\n  required_providers {\n    kms = { source = \"hanzoai/kms\" }\n  }\n}\n";
        self.write("provider.tf", &format!("{required}\nprovider \"kms\" {{\n{arguments}\n}}\n"));
    }

    /// Looks for this text at the end in all that was written; a token is looked for in requests too.
    pub fn secret(&self, text: &str) {
        assert!(text.len() >= 8, "too short to be told from chance");
        self.secrets.lock().unwrap().push(text.into());
    }

    /// Makes the secret `DBT_TOKEN` the only one of the emulated KMS, in the environment `prod` of the first project.
    pub fn store_secret(&self, path: &str, value: &str) {
        self.secret(value);
        self.emulator.state().secrets = vec![StoredSecret {
            workspace_id: PROJECT_ID.into(),
            environment: "prod".into(),
            path: path.into(),
            name: "DBT_TOKEN".into(),
            value: value.into(),
            metadata: vec![("owner".into(), "analytics".into())],
        }];
    }

    /// Starts Terraform in a process group of its own, as a shell does.
    pub fn start(&self, arguments: &[&str]) -> Child {
        let mut command = Command::new(&self.terraform);
        command
            .args(arguments)
            .current_dir(self.dir.path())
            .env_clear()
            .envs(&*self.environment.lock().unwrap())
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().expect("Terraform can be started")
    }

    /// Waits for a Terraform to end.
    pub fn finish(&self, child: Child) -> Outcome {
        let outcome = Outcome::of(child.wait_with_output().unwrap(), self.dir.path());
        *self.transcript.lock().unwrap() += &format!("{}{}", outcome.stdout, outcome.stderr);
        outcome
    }

    pub fn run(&self, arguments: &[&str]) -> Outcome {
        self.finish(self.start(arguments))
    }

    /// Runs a script in a shell that finds this Terraform as `terraform`, which approves each apply.
    pub fn shell(&self, script: &str) -> Outcome {
        let terraform = &self.terraform;
        let launcher = format!(
            "#!/bin/sh\ncase $1 in\napply) echo yes | {terraform:?} \"$@\" ;;\n*) exec {terraform:?} \"$@\" ;;\nesac\n"
        );
        self.write("bin/terraform", &launcher);
        let path = self.path("bin/terraform");
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = Command::new("bash");
        command
            .args(["-c", &format!("PATH={:?}:$PATH\nunset TF_INPUT\n{script}", self.path("bin"))])
            .current_dir(self.dir.path())
            .env_clear()
            .envs(&*self.environment.lock().unwrap())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let outcome = self.finish(command.spawn().expect("bash can be started"));
        let colors = regex::Regex::new("\u{1b}\\[[0-9;]*m").unwrap();
        Outcome { stdout: colors.replace_all(&outcome.stdout, "").into_owned(), ..outcome }
    }

    pub fn apply(&self) -> Outcome {
        self.run(&["apply", "-json", "-auto-approve"])
    }

    pub fn destroy(&self) -> Outcome {
        self.run(&["destroy", "-json", "-auto-approve"])
    }

    pub fn validate(&self) -> Outcome {
        self.run(&["validate", "-json"])
    }

    /// Plans, and reads the saved plan back.
    pub fn plan(&self) -> Plan {
        let number = {
            let mut plans = self.plans.lock().unwrap();
            *plans += 1;
            *plans
        };
        let file = format!("{number}.tfplan");
        let outcome = self.run(&["plan", "-json", "-detailed-exitcode", &format!("-out={file}")]);
        assert_ne!(outcome.code, Some(1), "{outcome:#?}");
        let shown = self.run(&["show", "-json", &file]).succeeded();
        Plan { json: serde_json::from_str(&shown.stdout).unwrap(), outcome, file }
    }

    /// A saved plan as people read it, with the provider's warnings. What differs in each run is replaced.
    pub fn shown(&self, plan: &Plan) -> String {
        format!("{}\n\n{}", self.shown_alone(plan), plan.warnings()).trim_end().to_owned()
    }

    /// A saved plan as people read it. What differs in each run is replaced.
    pub fn shown_alone(&self, plan: &Plan) -> String {
        let shown = self.run(&["show", "-no-color", &plan.file]).succeeded();
        without_variation(shown.stdout.trim())
    }

    /// A plan that is expected to fail.
    pub fn failing_plan(&self) -> Outcome {
        self.run(&["plan", "-json"]).failed()
    }

    /// Applies a saved plan.
    pub fn apply_plan(&self, plan: &Plan) -> Outcome {
        self.run(&["apply", "-json", &plan.file])
    }

    /// Holds the provider to having nothing to do.
    pub fn assert_clean(&self) -> Outcome {
        let outcome = self.run(&["plan", "-json", "-detailed-exitcode"]);
        assert_eq!(outcome.code, Some(0), "nothing to change was expected: {outcome:#?}");
        outcome
    }

    /// The attributes of a resource instance in state; null when it isn't there.
    pub fn state(&self, address: &str) -> Value {
        let Ok(text) = fs::read_to_string(self.path("terraform.tfstate")) else {
            return Value::Null;
        };
        let state: Value = serde_json::from_str(&text).unwrap();
        for resource in state["resources"].as_array().unwrap() {
            let (kind, name) = (resource["type"].as_str().unwrap(), resource["name"].as_str().unwrap());
            let module = resource["module"].as_str().map(|module| format!("{module}.")).unwrap_or_default();
            for instance in resource["instances"].as_array().unwrap() {
                let key = instance.get("index_key").map(|key| format!("[{key}]")).unwrap_or_default();
                if format!("{module}{kind}.{name}{key}") == address {
                    assert!(instance.get("status").is_none(), "{address} is tainted");
                    return instance["attributes"].clone();
                }
            }
        }
        Value::Null
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if thread::panicking() {
            return;
        }
        let secrets = self.secrets.get_mut().unwrap();
        secrets.extend(self.emulator.state().identities.tokens().map(Into::into));
        leaks::search(self.dir.path(), self.transcript.get_mut().unwrap(), secrets);
        for token in self.tokens.get_mut().unwrap().iter() {
            leaks::search_requests(&self.emulator, token);
        }
    }
}

/// A configuration with the token in an ephemeral variable and these connections.
pub fn configuration(connections: &[String]) -> String {
    let mut text = String::from(
        "variable \"token\" {\n  type      = string\n  ephemeral = true\n  default   = null\n}\n",
    );
    connections.iter().for_each(|connection| text += connection);
    text
}

/// A connection called as its label is, with some arguments set to other expressions, or left out with an empty one.
pub fn connection(label: &str, arguments: &[(&str, &str)]) -> String {
    let usual = BTreeMap::from([
        ("name", format!("\"{}\"", label.replace('_', "-"))),
        ("instance_url", "\"https://cloud.getdbt.com\"".to_owned()),
        ("account_id", "\"12345\"".to_owned()),
        ("api_token", "var.token".to_owned()),
    ]);
    resource("kms_dbt_connection", label, usual, arguments)
}

/// A resource with its usual arguments, of which some are set to other expressions, or left out with an empty one.
pub fn resource<'a>(
    kind: &str,
    label: &str,
    usual: BTreeMap<&'a str, String>,
    arguments: &[(&'a str, &str)],
) -> String {
    let mut all = usual;
    for (name, expression) in arguments {
        all.insert(name, (*expression).to_owned());
    }
    all.retain(|_, expression| !expression.is_empty());
    let lines = all.iter().map(|(name, expression)| match expression.starts_with("{\n") {
        true => format!("  {name} {expression}\n"),
        false => format!("  {name} = {expression}\n"),
    });
    format!("\nresource \"{kind}\" \"{label}\" {{\n{}}}\n", lines.collect::<String>())
}

/// The address of a connection in the root module.
pub fn address(label: &str) -> String {
    format!("kms_dbt_connection.{label}")
}
