//! The Airflow functions under a real Terraform, and what a real Airflow makes of their results.
//!
//! The tests that need Airflow run only when `KMS_TEST_AIRFLOW=1` is set, for its installation takes minutes.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use kms_emulator::{CLIENT_ID, CLIENT_SECRET, Emulator, Options, PROJECT_ID, fingerprint};

use crate::harness::{cli, clients, leaks};

#[path = "../airflow/cases.rs"]
mod cases;

/// A directory with a configuration that uses the built provider.
struct Workspace {
    terraform: PathBuf,
    dir: TempDir,
    /// What runs get besides.
    environment: Vec<(&'static str, String)>,
}

impl Workspace {
    fn new(version: &str, configuration: &str) -> Self {
        let workspace = Self {
            terraform: clients::executable(version),
            dir: TempDir::new().unwrap(),
            environment: Vec::new(),
        };
        workspace.write("cli.tfrc", &cli::development_override("hanzoai/kms", cli::built_provider()));
        workspace.write("main.tf", configuration);
        workspace
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Output {
        cli::command(&self.terraform, self.dir.path(), self.dir.path())
            .args(arguments)
            .env("TF_CLI_CONFIG_FILE", self.path("cli.tfrc"))
            .envs(self.environment.iter().cloned())
            .output()
            .unwrap()
    }

    fn apply(&self) -> Output {
        self.run(&["apply", "-auto-approve", "-no-color"])
    }

    /// Applies, and gives an output value.
    fn output(&self, name: &str) -> Value {
        let applied = self.apply();
        assert!(applied.status.success(), "{}", printed(&applied));
        serde_json::from_slice(&self.run(&["output", "-json", name]).stdout).unwrap()
    }
}

/// All that a run printed, in one line: Terraform wraps long texts.
fn printed(output: &Output) -> String {
    let text = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8_lossy(&text).split_whitespace().collect::<Vec<_>>().join(" ")
}

const REQUIRED_PROVIDERS: &str = r#"
terraform {
  required_providers {
    kms = {
      source = "hanzoai/kms"
    }
  }
}
"#;

const ROUND_TRIP: &str = r#"
variable "token" {
  type      = string
  ephemeral = true
}

locals {
  arguments = ["https://EMEA.dbt.com/", "12345", var.token]
}

output "uri" {
  ephemeral = true
  value     = provider::kms::airflow_connection_uri(local.arguments...)

  precondition {
    condition     = endswith(provider::kms::airflow_connection_uri(local.arguments...), "%2F%40%3A@emea.dbt.com")
    error_message = "The URI is not as expected."
  }
}

output "parsed" {
  ephemeral = true
  value     = provider::kms::parse_airflow_connection(provider::kms::airflow_connection_json(local.arguments...))

  precondition {
    condition = provider::kms::parse_airflow_connection(provider::kms::airflow_connection_json(local.arguments...)) == {
      instance_url = "https://emea.dbt.com"
      account_id   = "12345"
      api_token    = var.token
    }
    error_message = "The token did not come back."
  }
}
"#;

#[test]
fn ephemeral_tokens_go_through_the_functions_and_stay_ephemeral() {
    let token = "dbtc_EPHEMERAL/@:";
    let root = r#"
variable "token" {
  type      = string
  ephemeral = true
}

module "airflow" {
  source = "./airflow"
  token  = var.token
}

output "token_is_gone" {
  value = ephemeralasnull(module.airflow.parsed.api_token) == null && ephemeralasnull(module.airflow.uri) == null
}
"#;
    for version in clients::asked_for() {
        let workspace = Workspace::new(&version, &format!("{REQUIRED_PROVIDERS}{root}"));
        workspace.write("airflow/main.tf", &format!("{REQUIRED_PROVIDERS}{ROUND_TRIP}"));
        workspace.write("terraform.tfvars.json", &json!({ "token": token }).to_string());
        assert!(workspace.run(&["get"]).status.success());
        assert_eq!(workspace.output("token_is_gone"), true, "{version}");
        let state = fs::read_to_string(workspace.path("terraform.tfstate")).unwrap();
        assert!(!state.contains("EPHEMERAL"), "{version}");

        // What is ephemeral can't be stored by mistake.
        workspace.write("leak.tf", "output \"leak\" {\n  value = module.airflow.uri\n}\n");
        let refused = workspace.apply();
        assert!(
            !refused.status.success() && printed(&refused).contains("ephemeral"),
            "{}",
            printed(&refused)
        );
        assert!(!printed(&refused).contains("EPHEMERAL"));
    }
}

#[test]
fn sensitive_arguments_give_sensitive_results_and_are_not_quoted_in_errors() {
    let variables = r#"
variable "instance_url" {
  type      = string
  sensitive = true
}

variable "text" {
  type      = string
  sensitive = true
}
"#;
    let wrong = [
        (
            "airflow_connection_uri(var.instance_url, \"1\", \"t\")",
            "instance_url",
            "must be a URL with a host",
        ),
        (
            "airflow_connection_json(var.instance_url, \"1\", \"t\")",
            "instance_url",
            "must be a URL with a host",
        ),
        ("airflow_connection_uri(\"https://x\", \"\", var.text)", "account_id", "must not be empty."),
        ("airflow_connection_json(\"https://x\", \"1\", \"\")", "api_token", "must not be empty."),
        (
            "parse_airflow_connection(var.instance_url)",
            "text",
            "must be an Airflow connection of the type dbt_cloud",
        ),
        ("parse_airflow_connection(var.text)", "text", "has no password, which holds the API token."),
    ];
    for version in clients::asked_for() {
        let workspace = Workspace::new(&version, &format!("{REQUIRED_PROVIDERS}{variables}"));
        let values = json!({ "instance_url": "SECRET", "text": "dbt-cloud://dbtc_SECRET@emea.dbt.com" });
        workspace.write("terraform.tfvars.json", &values.to_string());
        for (call, argument, problem) in wrong {
            let output =
                format!("output \"x\" {{\n  sensitive = true\n  value = provider::kms::{call}\n}}\n");
            workspace.write("output.tf", &output);
            let refused = workspace.apply();
            let printed = printed(&refused);
            assert!(!refused.status.success(), "{call}: {printed}");
            assert!(
                printed.contains(&format!("Invalid value for \"{argument}\" parameter: {problem}")),
                "{printed}"
            );
            assert!(!printed.contains("SECRET"), "{printed}");
        }
        let call = "provider::kms::airflow_connection_uri(\"https://x\", \"1\", var.text)";
        workspace.write("output.tf", &format!("output \"x\" {{\n  value = {call}\n}}\n"));
        let refused = workspace.apply();
        assert!(printed(&refused).contains("Output refers to sensitive values"), "{}", printed(&refused));
        assert!(!printed(&refused).contains("SECRET"));
    }
}

#[test]
fn accounts_may_be_missing_or_numbers() {
    let configuration = r#"
output "connections" {
  value = [
    provider::kms::parse_airflow_connection("dbt-cloud://:dbtc_x@ab123.us1.dbt.com"),
    provider::kms::parse_airflow_connection(jsonencode({
      conn_type = "dbt_cloud", login = 12345, password = "dbtc_x", host = "ab123.us1.dbt.com"
    })),
  ]
}
"#;
    for version in clients::asked_for() {
        let workspace = Workspace::new(&version, &format!("{REQUIRED_PROVIDERS}{configuration}"));
        let mut expected = [(); 2].map(|()| connection("ab123.us1.dbt.com", "12345", "dbtc_x"));
        expected[0]["account_id"] = Value::Null;
        assert_eq!(workspace.output("connections"), json!(expected), "{version}");
    }
}

const EVERY_CASE: &str = r#"
variable "cases" {
  type = list(object({ instance_url = string, account_id = string, api_token = string }))
}

variable "texts" {
  type    = list(string)
  default = []
}

locals {
  made = [for case in var.cases : {
    uri  = provider::kms::airflow_connection_uri(case.instance_url, case.account_id, case.api_token)
    json = provider::kms::airflow_connection_json(case.instance_url, case.account_id, case.api_token)
  }]
}

output "results" {
  value = {
    made     = local.made
    parsed   = [for made in local.made : {
      uri  = provider::kms::parse_airflow_connection(made.uri)
      json = provider::kms::parse_airflow_connection(made.json)
    }]
    texts    = [for text in var.texts : try(provider::kms::parse_airflow_connection(text), null)]
  }
}
"#;

/// The expected result of `parse_airflow_connection`.
fn connection(host: &str, account_id: &str, api_token: &str) -> Value {
    json!({ "instance_url": format!("https://{host}"), "account_id": account_id, "api_token": api_token })
}

/// Has Airflow read texts that the functions wrote, and judge others.
fn ask_airflow(written: &[&str], judged: &[String]) -> Value {
    let python = clients::script("airflow-venv", &[]);
    let dir = TempDir::new().unwrap();
    let path = |name| dir.path().join(name);
    let texts = json!({ "written": written, "judged": judged });
    fs::write(path("texts.json"), texts.to_string()).unwrap();
    let output = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/airflow/read_connections.py"))
        .args([path("texts.json"), path("answers.json")])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", dir.path())
        .env("AIRFLOW_HOME", path("airflow"))
        // Masking a thousand tokens in logs would take most of the time.
        .env("AIRFLOW__LOGGING__MIN_LENGTH_MASKED_SECRET", "1000000")
        .env("DO_NOT_TRACK", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&fs::read(path("answers.json")).unwrap()).unwrap()
}

/// Whether to test with a real Airflow. Prints a line if not.
fn with_airflow(what: &str) -> bool {
    let asked_for = std::env::var("KMS_TEST_AIRFLOW").as_deref() == Ok("1");
    if !asked_for {
        // Not by a macro, for what those print is hidden when the test passes.
        let told =
            format!("SKIPPED: {what} was not tried on a real Airflow. Set KMS_TEST_AIRFLOW=1 for that.\n");
        std::io::stderr().write_all(told.as_bytes()).unwrap();
    }
    asked_for
}

#[test]
fn the_functions_write_and_read_connections_as_airflow_does() {
    if !with_airflow("what the functions write and read") {
        return;
    }
    let cases = cases::generate(400);
    let given: Vec<Value> = cases
        .iter()
        .map(|case| {
            json!({ "instance_url": case.instance_url, "account_id": case.account_id, "api_token": case.api_token })
        })
        .collect();
    let newest = clients::asked_for().pop().unwrap();
    let workspace = Workspace::new(&newest, &format!("{REQUIRED_PROVIDERS}{EVERY_CASE}"));
    let terraform = |texts: &[&str]| {
        workspace.write("terraform.tfvars.json", &json!({ "cases": given, "texts": texts }).to_string());
        workspace.output("results")
    };

    let results = terraform(&[]);
    let made = results["made"].as_array().unwrap();
    assert_eq!(made.len(), cases.len());
    let texts: Vec<&str> =
        made.iter().flat_map(|made| ["uri", "json"].map(|form| made[form].as_str().unwrap())).collect();
    let others = cases::texts(1_000);
    let answers = ask_airflow(&texts, &others);
    let read = answers["written"].as_array().unwrap();
    assert_eq!(read.len(), 2 * cases.len());
    for (index, (text, answer)) in texts.iter().zip(read).enumerate() {
        let (case, form) = (&cases[index / 2], ["uri", "json"][index % 2]);
        assert_eq!(answer["conn_type"], "dbt_cloud", "{text}");
        assert_eq!(answer["tenant"], case.host, "{text}");
        assert_eq!(answer["base_url"], format!("https://{}/", case.host), "{text}");
        assert_eq!(answer["login"], case.account_id, "{text}");
        if let Ok(account_id) = case.account_id.parse::<u64>() {
            assert_eq!(answer["account_id"], account_id, "{text}");
        }
        assert_eq!(answer["password"], case.api_token, "{text}");
        assert_eq!(answer["authorization"], format!("Token {}", case.api_token), "{text}");
        // Airflow would have written the same.
        assert_eq!(answer[form], *text);
        let parsed = &results["parsed"][index / 2][form];
        assert_eq!(*parsed, connection(&case.host, &case.account_id, &case.api_token), "{text}");
    }

    // The other way: what Airflow writes of the same connections, and of connections that people made there.
    let more = answers["more"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let airflows: Vec<(String, Value)> = read
        .iter()
        .zip(cases.iter().flat_map(|case| [case, case]))
        .flat_map(|(answer, case)| {
            let expected = connection(&case.host, &case.account_id, &case.api_token);
            ["uri", "json"].map(|form| (text(&answer[form]), expected.clone()))
        })
        .chain(more.iter().map(|made_up| {
            let [host, login, password] = ["host", "login", "password"].map(|field| text(&made_up[field]));
            (text(&made_up["text"]), connection(&host, &login, &password))
        }))
        .collect();
    // And what anybody may have written: either both read the same, or both refuse.
    let judged = others.iter().cloned().zip(answers["judged"].as_array().unwrap().iter().map(|judgement| {
        let attribute = |name: &str| judgement[name].as_str();
        match attribute("host") {
            None => Value::Null,
            Some(host) => json!({
                "instance_url": format!("https://{host}"),
                "account_id": attribute("account_id"),
                "api_token": attribute("token"),
            }),
        }
    }));
    let expected: Vec<(String, Value)> = airflows.into_iter().chain(judged).collect();
    let results = terraform(&expected.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>());
    let differences: Vec<String> = expected
        .iter()
        .zip(results["texts"].as_array().unwrap())
        .filter(|((_, expected), got)| expected != *got)
        .map(|((text, expected), got)| format!("{text:?}: Airflow has {expected}, the function {got}"))
        .collect();
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));

    let accepted = |json: bool| {
        let (refused, accepted): (Vec<_>, Vec<_>) = others
            .iter()
            .zip(answers["judged"].as_array().unwrap())
            .filter(|(text, _)| text.trim().starts_with('{') == json)
            .partition(|(_, judgement)| judgement.is_null());
        [accepted.len(), refused.len()]
    };
    let [uris, jsons] = [accepted(false), accepted(true)];
    assert!(uris.into_iter().chain(jsons).all(|count| count > 100), "{uris:?} {jsons:?}");
    eprintln!(
        "{} connections for Airflow and {} of Airflow's were compared, and {} others: Airflow and the \
         function read {} and {} of them, URIs and JSON, and refuse {} and {}.",
        texts.len(),
        expected.len() - others.len(),
        others.len(),
        uris[0],
        jsons[0],
        uris[1],
        jsons[1],
    );
}

/// The example, applied to an emulated KMS by a Terraform that gives the connection to a real Airflow.
#[test]
fn airflow_gets_each_token_of_a_rotation_and_no_file_has_one() {
    if !with_airflow("the way from a dbt connection to Airflow") {
        return;
    }
    const ROTATED: usize = 3;
    let token = "dbtu_m4kesT0k3nsF0rTh3R34l4irfl0w";
    let emulator = Emulator::start_on_thread(Options::default());
    let newest = clients::asked_for().pop().unwrap();
    let example = |name: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/from-dbt-to-airflow");
        fs::read_to_string(folder.join(name)).unwrap()
    };
    let mut workspace = Workspace::new(&newest, &example("main.tf"));
    workspace.write("airflow.tf", &example("airflow.tf"));
    workspace.write("versions.tf", REQUIRED_PROVIDERS);
    let (python, answer) = (clients::script("airflow-venv", &[]), workspace.path("answer.json"));
    let task = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/airflow/take_over.py");
    workspace.environment = vec![
        ("KMS_HOST", emulator.url()),
        ("KMS_UNIVERSAL_AUTH_CLIENT_ID", CLIENT_ID.into()),
        ("KMS_UNIVERSAL_AUTH_CLIENT_SECRET", CLIENT_SECRET.into()),
        ("TF_LOG_PROVIDER", "TRACE".into()),
        ("TF_LOG_PATH", workspace.path("provider.log").display().to_string()),
        ("TF_VAR_dbt_token", token.into()),
        ("TF_VAR_project_id", PROJECT_ID.into()),
        ("TF_VAR_hand_over", format!("'{}' '{task}' '{}'", python, answer.display())),
        ("AIRFLOW_HOME", workspace.path("airflow").display().to_string()),
        ("DO_NOT_TRACK", "1".into()),
    ];
    let mut transcript = String::new();
    for number in 1..=ROTATED {
        let plan = format!("{number}.tfplan");
        for arguments in [&["plan", "-no-color", "-out", &plan][..], &["apply", "-no-color", &plan]] {
            let output = workspace.run(arguments);
            assert!(output.status.success(), "{}", printed(&output));
            transcript += &String::from_utf8_lossy(&[output.stdout, output.stderr].concat());
        }
        let tokens = emulator.service_tokens();
        assert_eq!(tokens.len(), number);
        let got: Value = serde_json::from_slice(&fs::read(&answer).unwrap()).unwrap();
        let digest = format!("sha256:{}", &got["token_sha256"].as_str().unwrap()[..12]);
        assert_eq!(digest, fingerprint(&tokens[number - 1].token), "token {number}");
        assert_eq!(got["base_url"], "https://cloud.getdbt.com/");
        assert_eq!((&got["account_id"], &got["authorization"]), (&json!(12345), &json!("Token")));
        // Airflow has a whole interval for each token: the next rotation leaves it alone.
        assert!(emulator.rotate_by_clock(&emulator.rotation("airflow").id));
        let live: Vec<_> = emulator.live_service_tokens().into_iter().map(|token| token.id).collect();
        assert!(live.contains(&tokens[number - 1].id) && live.len() == 2, "{live:?}");
    }
    let tokens = emulator.service_tokens().into_iter().map(|made| made.token);
    let secrets: Vec<_> = tokens.chain([token.to_owned(), CLIENT_SECRET.to_owned()]).collect();
    leaks::search(workspace.dir.path(), &transcript, &secrets);
    eprintln!("Airflow got {ROTATED} tokens, one after the other.");
}
