//! The lines that Terraform prints with `-json`, other than diagnostics.

use serde_json::Value;

use crate::harness::workspace::Outcome;

/// All lines of a type, whole and in their order.
pub fn of_type(outcome: &Outcome, kind: &str) -> Vec<Value> {
    let lines = outcome.stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["type"] == kind).collect()
}

/// How a text in such a line ends a message: without the line breaks that only lay it out.
pub fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
