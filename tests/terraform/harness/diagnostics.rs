//! Errors and warnings as Terraform reports them.

use std::{fs, path::Path};

use serde_json::Value;

/// An error or a warning.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Diagnostic {
    /// The resource instance it belongs to; for errors of validation, the label of the block that it points into.
    pub address: String,
    /// The argument whose line it points to; empty when it points to a whole block or to nothing.
    pub attribute: String,
    /// The line of the configuration that it points to, without the space around it.
    pub line: String,
    pub severity: String,
    pub summary: String,
    pub detail: String,
}

impl Diagnostic {
    /// All diagnostics in the output of a command with `-json`: a line each, or a list in one object.
    pub fn read_all(stdout: &str, dir: &Path) -> Vec<Self> {
        if let Ok(whole) = serde_json::from_str::<Value>(stdout) {
            let listed = whole["diagnostics"].as_array().cloned().unwrap_or_default();
            if !listed.is_empty() {
                return listed.iter().map(|diagnostic| Self::read(diagnostic, dir)).collect();
            }
        }
        let lines = stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let diagnostics = lines.filter(|line| line["type"] == "diagnostic");
        diagnostics.map(|line| Self::read(&line["diagnostic"], dir)).collect()
    }

    fn read(json: &Value, dir: &Path) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let context = text(&json["snippet"]["context"]);
        let mut labels = context.split('"').skip(1).step_by(2);
        let label = labels.next().zip(labels.next()).map(|(kind, label)| format!("{kind}.{label}"));
        let address = text(&json["address"]);
        let line = line_at(&json["range"], dir).unwrap_or_default();
        Self {
            address: if address.is_empty() { label.unwrap_or_default() } else { address },
            attribute: line.split_once('=').map(|(name, _)| name.trim().to_owned()).unwrap_or_default(),
            line,
            severity: text(&json["severity"]),
            summary: text(&json["summary"]),
            detail: text(&json["detail"]),
        }
    }

    /// Summary and detail together, without the line breaks that only lay them out.
    pub fn text(&self) -> String {
        let words = format!("{} {}", self.summary, self.detail);
        words.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The diagnostic as a block of text.
    pub fn block(&self) -> String {
        let place = [self.address.as_str(), self.attribute.as_str()].join(" ");
        format!("{} on {}: {}\n{}", self.severity, place.trim(), self.summary, self.detail)
    }

    /// Whether all these words are in the text.
    pub fn says(&self, words: &[&str]) -> bool {
        words.iter().all(|word| self.text().contains(word))
    }
}

fn line_at(range: &Value, dir: &Path) -> Option<String> {
    let text = fs::read_to_string(dir.join(range["filename"].as_str()?)).ok()?;
    let line = text.lines().nth(range["start"]["line"].as_u64()? as usize - 1)?;
    Some(line.trim().to_owned())
}
