//! Every command in a page is run by a test, or the page says why not. The same holds for configuration in other languages
//! than Terraform's; `tests/terraform/commands.rs` validates that.

use std::{fs, path::Path};

use crate::{
    blocks::{self, Block},
    files_under, root,
};

/// The pages with commands.
fn pages() -> Vec<String> {
    let at_the_top = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "RELEASING.md"].map(String::from);
    let in_docs = files_under("docs").into_iter().map(|page| page.display().to_string());
    at_the_top.into_iter().chain(in_docs).collect()
}

/// What is wrong with how a block says that it is tested.
fn problem(block: &Block) -> Option<String> {
    let reason = block.comment("not run: ");
    let test = block.comment("run by ");
    match (block.language.as_str(), reason, test) {
        (_, Some(_), Some(_)) => Some("is run and is not run".to_owned()),
        (_, Some(reason), _) => reason.is_empty().then(|| "has no reason".to_owned()),
        ("text" | "terraform", None, None) => None,
        ("shell" | "console" | "hcl" | "yaml", None, None) => {
            Some("needs a comment before it: run by FILE: TEST, or not run: REASON".to_owned())
        }
        ("shell" | "console" | "hcl" | "yaml" | "terraform", None, Some(test)) => untested(block, test),
        (language, ..) => Some(format!("is of an unknown language, {language:?}, or has a needless comment")),
    }
}

/// Why a block is not run by what its comment names.
fn untested(block: &Block, test: &str) -> Option<String> {
    if test == ".ci/run" {
        let script = fs::read_to_string(root().join(test)).unwrap();
        let missing = block.code.lines().find(|line| !script.contains(line.trim()));
        return missing.map(|line| format!("{test} does not run {line:?}"));
    }
    let Some((file, name)) = test.split_once(": ") else {
        return Some("does not name a test as FILE: TEST".to_owned());
    };
    let Ok(code) = fs::read_to_string(root().join(file)) else {
        return Some(format!("{file} does not exist"));
    };
    if !code.contains(&format!("fn {name}(")) {
        return Some(format!("{file} has no test {name}"));
    }
    let runs_blocks = Path::new(file).ends_with("commands.rs");
    (runs_blocks && !code.contains(&format!("\"{}\"", block.page)))
        .then(|| format!("{file} does not read the page"))
}

#[test]
fn each_command_is_run_by_a_test_or_says_why_not() {
    let mut commands = 0;
    let mut problems = Vec::new();
    for block in pages().iter().flat_map(|page| blocks::of(page)) {
        commands += usize::from(block.language == "shell");
        problems.extend(problem(&block).map(|problem| format!("{} {problem}", block.place())));
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(commands > 10, "only {commands} commands were found");
}

#[test]
fn a_block_without_a_test_is_noticed() {
    let block = |language: &str, comment: &str, code: &str| Block {
        page: "README.md".into(),
        line: 1,
        language: language.into(),
        comments: vec![comment.into()],
        code: code.into(),
    };
    let here = "run by tests/docs/commands.rs: a_block_without_a_test_is_noticed";
    let good = [
        ("shell", "not run: why", "a"),
        ("shell", "run by .ci/run", "make demo"),
        ("hcl", here, "README.md"),
    ];
    for (language, comment, code) in good {
        assert_eq!(problem(&block(language, comment, code)), None, "{comment}");
    }
    let bad = [
        ("shell", "a comment", ""),
        ("shell", "not run: ", ""),
        ("shell", "run by .ci/run", "make nothing"),
        ("shell", "run by tests/docs/commands.rs: nothing", ""),
        ("shell", "run by tests/docs/nowhere.rs: nothing", ""),
        ("ruby", "a comment", ""),
    ];
    for (language, comment, code) in bad {
        assert_ne!(problem(&block(language, comment, code)), None, "{language} {comment}");
    }
}

/// `SECURITY.md` names the test of each property.
#[test]
fn each_test_that_the_security_policy_names_is_there() {
    let text = fs::read_to_string(root().join("SECURITY.md")).unwrap();
    let named = regex::Regex::new(r"`((?:src|tests)/[a-z_/]+\.rs): ([a-z0-9_]+)`").unwrap();
    let mut missing = Vec::new();
    let mut count = 0;
    for found in named.captures_iter(&text) {
        count += 1;
        let code = fs::read_to_string(root().join(&found[1])).unwrap_or_default();
        if !code.contains(&format!("fn {}(", &found[2])) {
            missing.push(found[0].to_owned());
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
    let rows = text.lines().filter(|line| line.starts_with("| can"));
    let without = rows.filter(|row| !named.is_match(row) && !row.contains("out of scope"));
    assert_eq!(without.collect::<Vec<_>>(), Vec::<&str>::new(), "rows without a test");
    assert!(count > 10);
}
