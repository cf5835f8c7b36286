//! What guides show of the provider: its examples, its texts and its figures.

use std::{collections::BTreeSet, fs};

use regex::Regex;

use crate::{blocks, examples, files_under, root};

fn guide(name: &str) -> String {
    fs::read_to_string(root().join("docs/guides").join(name)).unwrap()
}

#[test]
fn guides_show_the_examples_as_they_are() {
    let shown = [
        ("from-dbt-to-airflow.md", "examples/from-dbt-to-airflow/main.tf"),
        ("from-dbt-to-airflow.md", "examples/from-dbt-to-airflow/airflow.tf"),
        ("getting-started.md", "examples/provider/provider.tf"),
    ];
    for (name, example) in shown {
        let code = examples::read(example);
        assert!(
            guide(name).contains(&format!("```terraform\n{code}```\n")),
            "{name} does not show {example}"
        );
    }
    let logins = guide("authentication-in-ci.md");
    for path in files_under("examples/provider").iter().filter(|path| !path.ends_with("provider.tf")) {
        let example = examples::single(path.to_str().unwrap());
        assert!(logins.contains(&format!("```terraform\n{}```\n", example.code)), "{}", path.display());
    }
}

/// The texts in the code of the provider, as patterns: what is filled in can be anything.
fn texts_of_the_provider() -> Vec<Regex> {
    let literal = Regex::new(r#""((?:[^"\\\n]|\\.)+)""#).unwrap();
    let filled_in = Regex::new(r"\\\{[^}]*\\\}").unwrap();
    let mut patterns = Vec::new();
    for path in files_under("src/provider").into_iter().chain(["src/plugin/messages.rs".into()]) {
        let code = fs::read_to_string(root().join(path)).unwrap();
        for found in literal.captures_iter(&code) {
            let pattern = filled_in.replace_all(&regex::escape(&found[1]), ".+").into_owned();
            // A text that is all but filled in would match anything.
            if pattern.replace(".+", "").trim().len() >= 6 {
                patterns.push(Regex::new(&format!("^{pattern}$")).unwrap());
            }
        }
    }
    patterns
}

#[test]
fn the_guide_to_errors_uses_the_texts_of_the_provider() {
    let heading = Regex::new(r"(?m)^### `([^`]+)`$").unwrap();
    let text = guide("troubleshooting.md");
    let cell = Regex::new(r"(?m)^\| `([A-Z][^`]+)` \| [A-Z]").unwrap();
    let of_pages: Vec<String> = files_under("docs/resources")
        .iter()
        .map(|page| fs::read_to_string(root().join(page)).unwrap())
        .collect();
    let in_headings = heading.captures_iter(&text).map(|found| found[1].to_owned());
    let in_tables =
        of_pages.iter().flat_map(|page| cell.captures_iter(page).map(|found| found[1].to_owned()));
    let summaries: Vec<String> = in_headings.chain(in_tables).collect();
    assert!(summaries.len() > 40, "{}", summaries.len());
    let patterns = texts_of_the_provider();
    let stale: Vec<_> = summaries
        .iter()
        .filter(|summary| !patterns.iter().any(|pattern| pattern.is_match(summary)))
        .collect();
    assert!(stale.is_empty(), "the provider has no such errors: {stale:#?}");
}

/// The summaries that the provider's tests have snapshots of.
fn summaries_of_the_provider() -> BTreeSet<String> {
    let summary = Regex::new(r"(?m)^(?:error|warning)(?: on [^:\n]+)?: (.+)$").unwrap();
    let snapshots = files_under("src/provider/messages/snapshots");
    let texts = snapshots.iter().map(|path| fs::read_to_string(root().join(path)).unwrap());
    texts
        .flat_map(|text| summary.captures_iter(&text).map(|it| for_any_object(&it[1])).collect::<Vec<_>>())
        .collect()
}

/// The guide has one section for the same text about different kinds of objects.
fn for_any_object(summary: &str) -> String {
    summary.replace("dbt service token rotation", "dbt connection")
}

#[test]
fn the_guide_to_errors_has_each_error_and_warning() {
    let text = guide("troubleshooting.md");
    let summaries = summaries_of_the_provider();
    assert!(summaries.len() > 50, "{}", summaries.len());
    let missing: Vec<_> =
        summaries.iter().filter(|summary| !text.contains(&format!("\n### `{summary}`\n"))).collect();
    assert!(missing.is_empty(), "docs/guides/troubleshooting.md has no section on {missing:#?}");
}

/// Warnings and errors in the output that pages show.
#[test]
fn output_in_pages_has_the_texts_of_the_provider() {
    let shown = Regex::new(r"(?m)^(?:Warning|Error): (.+)$").unwrap();
    let patterns = texts_of_the_provider();
    let mut count = 0;
    for page in files_under("docs") {
        let blocks = blocks::of(page.to_str().unwrap()).into_iter().filter(|block| block.language == "text");
        for block in blocks {
            for found in shown.captures_iter(&block.code) {
                count += 1;
                let is_own = patterns.iter().any(|pattern| pattern.is_match(&found[1]));
                assert!(is_own, "{}: the provider has no text {:?}", block.place(), &found[1]);
            }
        }
    }
    assert!(count >= 4, "{count}");
}

#[test]
fn the_guide_to_performance_has_the_figures_of_the_benchmarks() {
    let row = Regex::new(r"(?m)^\| [a-z][^|]* \| ([0-9][^|]*) \|").unwrap();
    let (_, table) = guide("performance.md")
        .split_once("<!-- bench: begin -->")
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    let benchmarks = fs::read_to_string(root().join("docs/development/benchmarks.md")).unwrap();
    let figures: Vec<String> = row.captures_iter(&table).map(|found| found[1].to_owned()).collect();
    assert_eq!(figures.len(), 10);
    for figure in figures {
        assert!(benchmarks.contains(&format!("| {figure} |")), "{figure}");
    }
}
