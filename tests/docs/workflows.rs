//! The workflows of GitHub: what they use is pinned, and they may do no more than they need.

use std::fs;

use regex::Regex;

use crate::{files_under, root};

#[test]
fn workflows_pin_what_they_use_and_may_only_read_by_default() {
    let used = Regex::new(r"(?m)^\s*(?:- )?uses: (.*)$").unwrap();
    let pinned = Regex::new(r"^[a-z-]+/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$").unwrap();
    let mut actions = 0;
    for path in files_under(".github/workflows") {
        let text = fs::read_to_string(root().join(&path)).unwrap();
        let name = path.display();
        assert!(text.contains("\npermissions:\n  contents: read\n\n"), "{name}: permissions");
        for found in used.captures_iter(&text) {
            actions += 1;
            assert!(pinned.is_match(&found[1]), "{name}: {} is not pinned by its commit", &found[1]);
        }
    }
    assert!(actions > 5, "{actions}");
}

/// One commit for each action, in all workflows.
#[test]
fn workflows_use_one_version_of_each_action() {
    let pin = Regex::new(r"uses: ([a-z-]+/[a-z-]+)@(\S+)").unwrap();
    let mut versions = std::collections::BTreeMap::new();
    for path in files_under(".github/workflows") {
        let text = fs::read_to_string(root().join(path)).unwrap();
        for found in pin.captures_iter(&text) {
            let version = versions.entry(found[1].to_owned()).or_insert_with(|| found[2].to_owned());
            assert_eq!(*version, found[2], "{}", &found[1]);
        }
    }
}
