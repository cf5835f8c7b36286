//! The search for secrets in everything that a scenario wrote.

use std::{fs, path::Path, process::Command};

use base64::{Engine, engine::general_purpose::STANDARD};
use kms_emulator::{CONNECTIONS, Emulator, Part};
use regex::bytes::Regex;
use serde_json::Value;

/// Searches all files under `dir`, unpacked plans and decoded private state included, and all that was printed.
pub fn search(dir: &Path, transcript: &str, secrets: &[String]) {
    let secrets = &any_form(secrets);
    unpack_plans(dir);
    search_text("the output", transcript.as_bytes(), secrets);
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                let content = fs::read(entry.path()).unwrap();
                let place = entry.path().display().to_string();
                search_text(&place, &content, secrets);
                for private in private_state(&content) {
                    search_text(&format!("private state in {place}"), &private, secrets);
                }
            }
        }
    }
}

/// A token may be in the bodies that carry credentials, and in no other part of any request.
pub fn search_requests(emulator: &Emulator, secret: &str) {
    for (request, part) in emulator.requests_containing(secret) {
        let carries = matches!(request.method.as_str(), "POST" | "PATCH")
            && request.path.starts_with(CONNECTIONS)
            || request.path.starts_with("/api/v1/auth/");
        assert!(carries && part == Part::Body, "a secret is in the {part:?} of {request:?}");
    }
}

fn search_text(place: &str, text: &[u8], secrets: &Regex) {
    if let Some(found) = secrets.find(text) {
        panic!("a secret is in {place}, as {}", String::from_utf8_lossy(found.as_bytes()));
    }
}

/// What matches any of the secrets in any form, in one pass over a text.
fn any_form(secrets: &[String]) -> Regex {
    let forms = secrets.iter().flat_map(|secret| forms(secret)).map(|form| regex::escape(&form));
    // Without secrets, nothing matches.
    let forms = forms.chain([r"[^\x00-\xff]".to_owned()]).collect::<Vec<_>>().join("|");
    Regex::new(&format!("(?-u){forms}")).unwrap()
}

/// The secret as it is, and in base64 at each of the three places where it can begin within a longer text.
fn forms(secret: &str) -> Vec<String> {
    let mut forms = vec![secret.to_owned()];
    for offset in 0..3 {
        let encoded = STANDARD.encode([&vec![b' '; offset], secret.as_bytes()].concat());
        // The first and the last digits also depend on the neighbours.
        let (start, end) = ([0, 2, 3][offset], encoded.trim_end_matches('=').len() - 1);
        forms.push(encoded[start..end].to_owned());
    }
    forms
}

/// A plan is a ZIP archive, and compressed in it.
fn unpack_plans(dir: &Path) {
    let script =
        "import sys, zipfile\nfor path in sys.argv[1:]: zipfile.ZipFile(path).extractall(path + '.unpacked')";
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let plans: Vec<_> = entries.filter(|path| path.extension().is_some_and(|end| end == "tfplan")).collect();
    if !plans.is_empty() {
        let done =
            Command::new("python3").args(["-c", script]).args(plans).status().expect("python3 is there");
        assert!(done.success());
    }
}

/// What providers keep beside the attributes, when the file is a state.
fn private_state(content: &[u8]) -> Vec<Vec<u8>> {
    let Ok(state) = serde_json::from_slice::<Value>(content) else {
        return Vec::new();
    };
    let resources = state["resources"].as_array().cloned().unwrap_or_default();
    let instances =
        resources.iter().flat_map(|resource| resource["instances"].as_array().cloned().unwrap_or_default());
    instances.filter_map(|instance| STANDARD.decode(instance["private"].as_str()?).ok()).collect()
}
