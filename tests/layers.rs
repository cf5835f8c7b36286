//! Holds the sources to the architecture that `src/lib.rs` describes.

#![allow(clippy::unwrap_used, reason = "a panic is a failed test")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Every source file under a folder of `src`, by its path there.
fn sources(folder: &str) -> BTreeMap<String, String> {
    fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path, files) } else { files.push(path) }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&root.join(folder), &mut files);
    let name = |path: &Path| path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
    files.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

/// The lines of a folder that hold a word they must not, in code or comment and in whatever case.
fn offenders(folder: &str, words: &[&str]) -> Vec<String> {
    let mut offenders = Vec::new();
    for (file, text) in sources(folder) {
        for (number, line) in text.lines().enumerate() {
            let line = line.to_lowercase();
            for word in words.iter().filter(|word| line.contains(&word.to_lowercase())) {
                offenders.push(format!("{file}:{}: {word}", number + 1));
            }
        }
    }
    offenders
}

/// The runtime could move into a crate of its own as it is: it names nothing by the way from the crate's root, but for the
/// macro and the module that the macro refers to. Those two are in the root of any crate that has the runtime.
#[test]
fn the_runtime_knows_neither_the_kms_nor_its_own_place() {
    let named: Vec<_> = sources("plugin")
        .into_iter()
        .flat_map(|(file, text)| {
            let lines = text.lines().enumerate();
            let named = lines.filter(|(_, line)| {
                let rest = line.replace("$crate::model_macro::", "").replace("use crate::model;", "");
                ["crate::", "crate ::", "terraform_provider_kms"].iter().any(|name| rest.contains(name))
            });
            named.map(|(number, line)| format!("{file}:{}: {}", number + 1, line.trim())).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(named, Vec::<String>::new());
    assert_eq!(offenders("plugin", &["kms", "hanzo"]), Vec::<String>::new());
}

#[test]
fn the_client_knows_nothing_of_terraform() {
    assert_eq!(offenders("kms", &["crate::plugin", "crate::provider", "terraform"]), Vec::<String>::new());
}

#[test]
fn generated_messages_stay_at_the_boundary() {
    let boundary = ["plugin/proto.rs", "plugin/server/", "plugin/services.rs", "plugin/serve.rs"];
    let elsewhere: Vec<_> =
        offenders("", &["proto::{", "proto::tfplugin6", "super::proto", "include_proto!"])
            .into_iter()
            .filter(|place| !place.starts_with("plugin/wire/"))
            .filter(|place| !boundary.iter().any(|file| place.starts_with(file)))
            .collect();
    assert_eq!(elsewhere, Vec::<String>::new());
}

/// Where a secret is taken out of its wrapping, and how often. A new place has to be argued for here.
const EXPOSED: &[(&str, usize, &str)] = &[
    ("kms/auth/kubernetes.rs", 1, "the body of a login"),
    ("kms/auth/oidc.rs", 1, "the body of a login"),
    ("kms/auth/token.rs", 1, "the authorization header"),
    ("kms/auth/universal.rs", 1, "the body of a login"),
    ("kms/dbt.rs", 1, "the body of a create or update"),
    ("provider/functions/airflow.rs", 1, "the connection as Airflow takes it"),
    ("provider/secret_attribute.rs", 1, "the value of an attribute"),
    ("provider/token_digest.rs", 1, "the keyed digest"),
];

#[test]
fn secrets_are_exposed_only_where_they_must_be() {
    let mut found = BTreeMap::new();
    for (file, text) in sources("") {
        // Tests may look at their own secrets.
        let code = text.split("#[cfg(test)]").next().unwrap();
        let count = code.matches(".expose()").count();
        if count > 0 {
            found.insert(file, count);
        }
    }
    let allowed: BTreeMap<_, _> =
        EXPOSED.iter().map(|(file, count, _)| ((*file).to_owned(), *count)).collect();
    assert_eq!(found, allowed);
}

#[test]
fn the_executable_only_wires_things_up() {
    let main = &sources("")["main.rs"];
    let lines = main.lines().count();
    assert!(lines < 60, "main.rs has grown to {lines} lines: move what decides something into a layer");
}
