//! The pages under `docs/` are written from the schemas and from `examples/`, in the layout that the Terraform
//! registry shows. This test fails when they differ; `make docs` regenerates them.
//!
//! A page may have one part written by hand, between two marks, which `make docs` keeps. Guides and the pages for
//! developers are written by hand.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test: a panic is a failure, and what it says explains it"
)]

#[path = "../pages/blocks.rs"]
mod blocks;
mod commands;
mod examples;
mod functions;
mod guides;
mod links;
mod modules;
mod pages;
#[path = "../terraform/harness/releases.rs"]
mod releases;
mod schema;
mod versions;
mod workflows;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use terraform_provider_kms::{
    plugin::{provider::Provider as _, schema::Kind},
    provider::KmsProvider,
};

/// The project's top folder.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files under a folder of the project, as paths from the project's top; none if there is no such folder.
fn files_under(folder: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            // `terraform init` leaves `.terraform` in a module that somebody tested.
            if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    files.sort();
    files
}

/// Whether people write the whole page: guides, and the pages for developers, which the registry doesn't show.
fn is_by_hand(page: &Path) -> bool {
    page.starts_with("docs/guides") || page.starts_with("docs/development")
}

#[test]
fn the_pages_say_what_schemas_and_examples_say() {
    let provider = KmsProvider::new(|_| None);
    let expected: BTreeMap<PathBuf, String> = pages::all(&provider.schema(), &provider.types());
    let stale =
        files_under("docs").into_iter().filter(|page| !is_by_hand(page) && !expected.contains_key(page));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        for (page, text) in &expected {
            let path = root().join(page);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        stale.for_each(|page| fs::remove_file(root().join(page)).unwrap());
        return;
    }
    let mut problems: Vec<String> =
        stale.map(|page| format!("{} describes nothing that the provider has", page.display())).collect();
    for (page, text) in &expected {
        match fs::read_to_string(root().join(page)) {
            Ok(actual) if actual == *text => {}
            Ok(actual) => {
                problems.push(format!("{}{}", page.display(), first_difference(&actual, text)));
            }
            Err(_) => problems.push(format!("{} is missing", page.display())),
        }
    }
    assert!(problems.is_empty(), "`make docs` would change this:\n{}", problems.join("\n"));
}

fn first_difference(actual: &str, expected: &str) -> String {
    let mut lines = (1..).zip(actual.lines().zip(expected.lines()));
    match lines.find(|(_, (actual, expected))| actual != expected) {
        Some((number, (actual, expected))) => {
            format!(":{number}\n  is:        {actual}\n  should be: {expected}")
        }
        None => " ends too early or too late".to_owned(),
    }
}

#[test]
fn each_guide_begins_with_what_the_registry_needs() {
    let guides = files_under("docs/guides");
    assert!(!guides.is_empty());
    for guide in guides {
        let text = fs::read_to_string(root().join(&guide)).unwrap();
        let front =
            text.strip_prefix("---\n").and_then(|text| text.split_once("\n---\n")).map(|(front, _)| front);
        let front = front.unwrap_or_else(|| panic!("{} has no front matter", guide.display()));
        for key in ["page_title: ", "subcategory: ", "description: "] {
            assert!(front.lines().any(|line| line.starts_with(key)), "{}: no {key}", guide.display());
        }
        let title = text.lines().find_map(|line| line.strip_prefix("# ")).expect("a guide has a title");
        let expected = format!("page_title: \"{title} - kms\"");
        assert!(front.lines().any(|line| line == expected), "{}: {expected}", guide.display());
    }
}

#[test]
fn the_guide_to_releases_says_what_the_tests_hold_each_of_them_to() {
    let path = root().join("docs/guides/versions.md");
    let guide = fs::read_to_string(&path).unwrap();
    let expected = versions::with_table(&guide);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(path, expected).unwrap();
        return;
    }
    let difference = first_difference(&guide, &expected);
    assert!(guide == expected, "`make docs` would change this:\n{}{difference}", path.display());
}

#[test]
fn the_guide_to_airflow_shows_the_example_as_it_is() {
    let guide = fs::read_to_string(root().join("docs/guides/from-dbt-to-airflow.md")).unwrap();
    for name in ["main.tf", "airflow.tf"] {
        let code = examples::read(&format!("examples/from-dbt-to-airflow/{name}"));
        assert!(guide.contains(&format!("```terraform\n{code}```\n")), "{name}");
    }
}

/// The examples are validated, and the tests of modules run; so a page that shows a part of them as it is can't be wrong.
#[test]
fn the_guide_to_modules_shows_parts_of_the_examples_as_they_are() {
    let guide = fs::read_to_string(root().join("docs/guides/writing-and-testing-modules.md")).unwrap();
    let block = regex::Regex::new(r"(?ms)^```terraform\n(.*?)^```$").unwrap();
    let shown: Vec<_> = block.captures_iter(&guide).map(|found| found[1].to_owned()).collect();
    assert_eq!(shown.len(), guide.matches("```terraform").count());
    assert!(!shown.is_empty());
    let examples: Vec<String> = files_under("examples")
        .iter()
        .map(|path| format!("\n{}", fs::read_to_string(root().join(path)).unwrap()))
        .collect();
    for code in shown {
        let found = examples.iter().any(|example| example.contains(&format!("\n{code}")));
        assert!(found, "no example has this:\n{code}");
    }
}

#[test]
fn each_way_to_log_in_has_its_variables_in_the_guide_and_an_example() {
    let guide = fs::read_to_string(root().join("docs/guides/authentication-in-ci.md")).unwrap();
    let variable = regex::Regex::new(r"Environment: `([A-Z_]+)`").unwrap();
    let schema = KmsProvider::new(|_| None).schema();
    let auth = schema.attributes.iter().find(|attribute| attribute.name == "auth").unwrap();
    let Kind::Nested(_, methods) = &auth.kind else { panic!("auth has no attributes") };
    let examples: String = files_under("examples/provider")
        .iter()
        .map(|path| fs::read_to_string(root().join(path)).unwrap())
        .collect();
    let mut missing = Vec::new();
    for method in methods {
        let attributes = match &method.kind {
            Kind::Nested(_, attributes) => {
                if !examples.contains(&format!("    {} = {{", method.name)) {
                    missing.push(format!("an example of {}", method.name));
                }
                attributes.as_slice()
            }
            Kind::Plain(_) => std::slice::from_ref(method),
        };
        let variables = attributes.iter().flat_map(|attribute| variable.captures(&attribute.description));
        let variables: Vec<_> = variables.map(|found| found[1].to_owned()).collect();
        assert!(!variables.is_empty(), "{} has no variable", method.name);
        missing.extend(variables.into_iter().filter(|variable| !guide.contains(&format!("`{variable}`"))));
    }
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn each_link_leads_somewhere() {
    let texts =
        ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "RELEASING.md"].map(PathBuf::from);
    let broken: Vec<String> =
        texts.into_iter().chain(files_under("docs")).flat_map(|page| links::broken(&page)).collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
