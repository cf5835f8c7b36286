//! Saved plans, read back as JSON.

use std::{collections::BTreeMap, fs};

use regex::Regex;
use serde_json::Value;

use crate::harness::{diagnostics::Diagnostic, workspace::Outcome};

/// Attributes that the server moves at every write.
pub const MOVED_BY_ANY_WRITE: [&str; 2] = ["updated_at", "version"];
/// Attributes that the server moves when credentials are written.
pub const MOVED_BY_CREDENTIALS: [&str; 3] = ["credentials_hash", "updated_at", "version"];

/// A saved plan.
#[derive(Debug)]
pub struct Plan {
    pub outcome: Outcome,
    pub json: Value,
    pub file: String,
}

/// What a plan does to one resource instance.
#[derive(Debug, PartialEq, Eq)]
pub struct Change {
    pub actions: Vec<String>,
    /// The attributes that get another value, or one known only after apply; sorted.
    pub attributes: Vec<String>,
}

impl Change {
    /// An in-place update of these attributes and of no others.
    pub fn update(attributes: &[&[&str]]) -> Self {
        let mut attributes: Vec<_> = attributes.concat().into_iter().map(str::to_owned).collect();
        attributes.sort();
        Self { actions: vec!["update".into()], attributes }
    }

    pub fn actions(&self) -> Vec<&str> {
        self.actions.iter().map(String::as_str).collect()
    }
}

/// Holds what people read of a plan to a snapshot. OpenTofu words plans in its own way, and has a snapshot of its own; the
/// provider's warnings are the same.
macro_rules! assert_plan_snapshot {
    ($name:literal, $workspace:ident, $plan:ident) => {
        assert_plan_snapshot!($name, $workspace, $plan, concat!($name, "_in_opentofu"))
    };
    ($name:literal, $workspace:ident, $plan:ident, $in_opentofu:expr) => {
        if $workspace.is_tofu() {
            insta::assert_snapshot!($in_opentofu, $workspace.shown_alone(&$plan));
            $plan.assert_warnings_of(module_path!(), $name);
        } else {
            insta::assert_snapshot!($name, $workspace.shown(&$plan));
        }
    };
}
pub(crate) use assert_plan_snapshot;

impl Plan {
    /// What is planned, for all instances that are not left alone.
    pub fn changes(&self) -> BTreeMap<String, Change> {
        let changes = self.json["resource_changes"].as_array().map(Vec::as_slice).unwrap_or_default();
        let changes = changes.iter().map(|change| {
            (change["address"].as_str().expect("an address").to_owned(), read(&change["change"]))
        });
        changes.filter(|(_, change)| change.actions != ["no-op"]).collect()
    }

    /// What is planned for one instance.
    pub fn change(&self, address: &str) -> Change {
        let mut changes = self.changes();
        changes.remove(address).unwrap_or_else(|| panic!("no change of {address} in {changes:#?}"))
    }

    /// The warnings of the provider, without what differs in each run.
    pub fn warnings(&self) -> String {
        let mut warnings: Vec<String> = self.outcome.warnings().into_iter().map(Diagnostic::block).collect();
        warnings.sort();
        without_variation(&warnings.join("\n\n"))
    }

    /// Holds the warnings to those in the snapshot of a module for Terraform.
    pub fn assert_warnings_of(&self, module: &str, name: &str) {
        let file = format!("{}__{name}.snap", module.replace("::", "__"));
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/terraform/snapshots/");
        let snapshot = fs::read_to_string(format!("{path}{file}")).expect("a snapshot for Terraform");
        let warnings = snapshot.trim_end().split_once("\n\nwarning on ");
        let warnings = warnings.map(|(_, rest)| format!("warning on {rest}")).unwrap_or_default();
        assert_eq!(self.warnings(), warnings, "{file}");
    }

    /// The addresses that a warning belongs to, sorted.
    pub fn warned(&self) -> Vec<String> {
        let mut addresses: Vec<_> =
            self.outcome.warnings().iter().map(|warning| warning.address.clone()).collect();
        addresses.sort();
        addresses
    }
}

/// Errors and warnings as blocks of text, without what differs in each run.
pub fn diagnostics(outcome: &Outcome) -> String {
    let all = outcome.errors().into_iter().chain(outcome.warnings());
    let mut blocks: Vec<_> = all.map(Diagnostic::block).collect();
    blocks.sort();
    without_variation(&blocks.join("\n\n"))
}

/// A text with placeholders for what differs in each run.
pub fn without_variation(text: &str) -> String {
    let variations = [
        (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
        (r"[0-9a-f]{64}", "HASH"),
        (r"\breq-\w+", "REQUEST"),
    ];
    variations.iter().fold(text.to_owned(), |text, (pattern, placeholder)| {
        Regex::new(pattern).expect("a pattern").replace_all(&text, *placeholder).into_owned()
    })
}

fn read(change: &Value) -> Change {
    let actions = change["actions"].as_array().expect("actions");
    let empty = serde_json::Map::new();
    let fields = |name: &str| change[name].as_object().unwrap_or(&empty).clone();
    let (before, after, unknown) = (fields("before"), fields("after"), fields("after_unknown"));
    let mut attributes: Vec<String> =
        before.keys().chain(after.keys()).chain(unknown.keys()).cloned().collect();
    attributes.sort();
    attributes.dedup();
    attributes.retain(|name| {
        unknown.get(name) == Some(&Value::Bool(true))
            || before.get(name).unwrap_or(&Value::Null) != after.get(name).unwrap_or(&Value::Null)
    });
    Change {
        actions: actions.iter().map(|action| action.as_str().expect("a name").to_owned()).collect(),
        attributes,
    }
}
