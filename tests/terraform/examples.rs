//! Every example is held to what Terraform itself says: `terraform fmt` and `terraform validate`, under each client of
//! `KMS_TEST_TERRAFORM_VERSIONS` (a comma list; by default the oldest supported Terraform and the newest). Where
//! TERRAFORM names an executable, that one takes their place.
//!
//! Examples are found, not listed: a new folder is validated from its first day. Each module is also held to its own tests,
//! with `terraform test`.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::Output,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{
    cli, clients,
    releases::{Capability, Release},
};

/// Examples leave out what every configuration has.
const VERSIONS: &str =
    "terraform {\n  required_providers {\n    kms = {\n      source = \"hanzoai/kms\"\n    }\n  }\n}\n";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

struct Terraform {
    executable: PathBuf,
    release: Release,
}

impl Terraform {
    fn each() -> Vec<Self> {
        let clients = match std::env::var_os("TERRAFORM") {
            Some(_) => vec![clients::answer(&["--own"])],
            None => clients::asked_for(),
        };
        let at = |client: String| Self {
            executable: clients::executable(&client),
            release: clients::release(&client),
        };
        clients.into_iter().map(at).collect()
    }

    /// Runs in a folder, with the provider as it was built for this test.
    fn run(&self, folder: &Path, arguments: &[&str]) -> Output {
        let scratch = tempfile::tempdir().unwrap();
        let cli_config = scratch.path().join("terraform.rc");
        fs::write(&cli_config, cli::development_override("hanzoai/kms", cli::built_provider())).unwrap();
        cli::command(&self.executable, folder, scratch.path())
            .args(arguments)
            .env("TF_CLI_CONFIG_FILE", &cli_config)
            .output()
            .expect("Terraform can be started")
    }

    /// What an example needs and this client lacks; told past the capture of output.
    fn lacks(&self, needed: &[Capability], name: &str) -> bool {
        let Some(lacking) = needed.iter().find(|capability| !capability.is_in(self.release)) else {
            return false;
        };
        let line = format!("skipped: {name} needs {lacking:?}, which {} lacks\n", self.release);
        io::stderr().write_all(line.as_bytes()).unwrap();
        true
    }
}

/// What is validated together: an example, with what it needs beside it.
struct Case {
    name: String,
    files: Vec<PathBuf>,
    /// What not every supported client has.
    needs: Vec<Capability>,
}

impl Case {
    /// An example that stands for itself, or beside the resource that it imports.
    fn of_file(path: &Path) -> Self {
        let name = path.file_name().unwrap().to_str().unwrap();
        let mut files = vec![path.to_owned()];
        if name.starts_with("import") {
            files.push(path.with_file_name("resource.tf"));
        }
        Self { name: shown(path), files, needs: needs(path) }
    }
}

fn needs(path: &Path) -> Vec<Capability> {
    let text = fs::read_to_string(path).unwrap();
    let has = |block: &str| text.lines().any(|line| line.trim_start().starts_with(block));
    let needs = [
        (Capability::Queries, path.to_str().unwrap().ends_with(".tfquery.hcl")),
        (Capability::Actions, has("action \"") || has("action_trigger {")),
        (Capability::Identities, has("import {") && has("identity = {")),
    ];
    needs.into_iter().filter_map(|(capability, needed)| needed.then_some(capability)).collect()
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

fn is_configuration(path: &Path) -> bool {
    let name = path.to_str().unwrap();
    name.ends_with(".tf") || name.ends_with(".tfquery.hcl")
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    // `terraform init` leaves `.terraform` in a module that somebody tested.
    let is_hidden =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    paths.retain(|path| !is_hidden(path));
    paths.sort();
    paths
}

/// The files under a folder, and under its folders.
pub fn files_under(folder: &Path) -> Vec<PathBuf> {
    entries(folder)
        .into_iter()
        .flat_map(|path| if path.is_dir() { files_under(&path) } else { vec![path] })
        .collect()
}

/// One case for each file, but for those of modules.
fn cases() -> Vec<Case> {
    let files = files_under(&root().join("examples"));
    let files = files.iter().filter(|path| is_configuration(path) && !is_of_module(path));
    files.map(|path| Case::of_file(path)).collect()
}

/// Whether a file is one of several in a whole configuration: those have a file for their requirements.
fn is_of_module(path: &Path) -> bool {
    path.with_file_name("versions.tf").exists()
}

/// The folders with a module, or with a configuration that uses one.
fn modules() -> Vec<PathBuf> {
    let files = files_under(&root().join("examples"));
    let configurations = files.iter().filter(|path| is_configuration(path) && is_of_module(path));
    let mut folders: Vec<PathBuf> = configurations.map(|path| path.parent().unwrap().to_owned()).collect();
    folders.sort();
    folders.dedup();
    folders
}

/// Says what is wrong with the configuration in a folder.
fn validate(terraform: &Terraform, folder: &Path, query: bool) -> Vec<String> {
    let arguments: &[&str] = if query { &["validate", "-json", "-query"] } else { &["validate", "-json"] };
    let output = terraform.run(folder, arguments);
    let answer: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let diagnostics = answer["diagnostics"].as_array().cloned().unwrap_or_default();
    let own = |found: &Value| {
        let summary = found["summary"].as_str().unwrap_or_default();
        found["severity"] == "warning" && summary.contains("development overrides")
    };
    // Warnings too: an example that warns is no example.
    diagnostics
        .iter()
        .filter(|found| !own(found))
        .map(|found| format!("{}: {}", found["summary"], found["detail"]))
        .collect()
}

#[test]
fn each_example_is_valid() {
    let mut problems = Vec::new();
    for terraform in Terraform::each() {
        for case in cases() {
            if terraform.lacks(&case.needs, &case.name) {
                continue;
            }
            let scratch = tempfile::tempdir().unwrap();
            let mut has_versions = false;
            for file in &case.files {
                has_versions |= fs::read_to_string(file).unwrap().contains("required_providers");
                fs::copy(file, scratch.path().join(file.file_name().unwrap())).unwrap();
            }
            if !has_versions {
                fs::write(scratch.path().join("versions.tf"), VERSIONS).unwrap();
            }
            let mut found = validate(&terraform, scratch.path(), case.name.ends_with(".tfquery.hcl"));
            if Capability::Callers.is_in(terraform.release) {
                // It advises `caller`, which the releases before it don't know.
                found.retain(|problem| !problem.contains("Reference to triggering resource"));
            }
            problems.extend(found.into_iter().map(|problem| format!("{}: {problem}", case.name)));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// A copy of the examples, all together because one module may use another.
fn copied() -> TempDir {
    let scratch = tempfile::tempdir().unwrap();
    for file in files_under(&root().join("examples")) {
        let copy = scratch.path().join(shown(&file));
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(file, copy).unwrap();
    }
    scratch
}

/// Runs a check in a copy of each of these modules, under each Terraform that has what the module needs.
fn in_each(modules: &[PathBuf], check: impl Fn(&Terraform, &Path) -> Vec<String>) {
    assert!(!modules.is_empty());
    let mut problems = Vec::new();
    for terraform in Terraform::each() {
        let scratch = copied();
        for module in modules {
            let name = shown(module);
            let files = entries(module).into_iter().filter(|path| is_configuration(path));
            let needed: Vec<_> = files.flat_map(|path| needs(&path)).collect();
            if terraform.lacks(&needed, &name) {
                continue;
            }
            let folder = scratch.path().join(&name);
            // Modules that it uses are looked up by this, without installing providers.
            let got = terraform.run(&folder, &["get"]);
            assert!(got.status.success(), "{name}: {}", String::from_utf8_lossy(&got.stderr));
            let found = check(&terraform, &folder);
            problems.extend(found.into_iter().map(|problem| format!("{name}: {problem}")));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn each_module_is_valid() {
    in_each(&modules(), |terraform, folder| validate(terraform, folder, false));
}

#[test]
fn each_module_passes_its_own_tests() {
    let mut reusable = modules();
    reusable.retain(|module| module.starts_with(root().join("examples/modules")));
    in_each(&reusable, |terraform, folder| {
        let output = terraform.run(folder, &["test", "-json"]);
        let text = String::from_utf8_lossy(&output.stdout);
        let events: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let summary = events.iter().find(|event| event["type"] == "test_summary");
        let passed = summary.and_then(|event| event["test_summary"]["passed"].as_u64()).unwrap_or(0);
        if output.status.success() && passed > 0 { Vec::new() } else { vec![problems_of(&events, &output)] }
    });
}

/// What a test run complained about, and which of its runs did not pass.
fn problems_of(events: &[Value], output: &Output) -> String {
    let failed = events.iter().filter(|event| {
        let status = event["test_run"]["status"].as_str();
        status.is_some_and(|status| status != "pass") && event["test_run"]["progress"] != "starting"
    });
    let runs =
        failed.map(|event| format!("run {}: {}", event["test_run"]["run"], event["test_run"]["status"]));
    let diagnostics = events.iter().filter(|event| event["type"] == "diagnostic");
    let said = diagnostics.map(|event| format!("{}: {}", event["@message"], event["diagnostic"]["detail"]));
    let lines: Vec<String> = runs.chain(said).collect();
    let errors = String::from_utf8_lossy(&output.stderr);
    format!("its tests failed, or there are none\n{}\n{errors}", lines.join("\n"))
}

#[test]
fn each_example_is_formatted() {
    // The last, for it is the newest: older ones pass over query files.
    let terraform = Terraform::each().pop().unwrap();
    let output = terraform.run(&root().join("examples"), &["fmt", "-check", "-diff", "-recursive"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// What makes an example worth copying: no secrets in it, and one provider block for all, on the first page. A test of a
/// module has stand-ins for both.
#[test]
fn no_example_has_a_secret_or_repeats_the_provider_block() {
    let secret = regex::Regex::new(r#"(?m)^\s*(api_token|client_secret|token|password)\s*=\s*""#).unwrap();
    for path in files_under(&root().join("examples")) {
        let text = fs::read_to_string(&path).unwrap();
        let name = shown(&path);
        assert!(!text.contains("dbtc_") && !text.contains("dbtu_"), "{name}: a token");
        if name.ends_with("test.hcl") {
            continue;
        }
        assert!(!secret.is_match(&text), "{name}: a secret should come from an ephemeral value");
        let on_first_page = name.starts_with("examples/provider/");
        assert_eq!(text.contains("provider \"kms\""), on_first_page, "{name}: the provider block");
    }
}
