//! The table of releases, which follows from what the tests on Terraform and OpenTofu hold each of them to.

use std::fmt::Write as _;

use crate::releases::{Capability, Program, Release};

const MARKS: (&str, &str) = ("<!-- releases: begin -->\n", "<!-- releases: end -->\n");

const TERRAFORM: [u64; 6] = [11, 12, 13, 14, 15, 16];
const OPENTOFU: [u64; 2] = [11, 12];

/// The rows: a piece of the provider, and what a release needs for it. Without a need, every release has it.
const ROWS: [(&str, Option<Capability>); 13] = [
    ("resources and data sources", None),
    ("write-only `api_token`", Some(Capability::WriteOnlyAttributes)),
    ("ephemeral resource `kms_secret`", Some(Capability::EphemeralValues)),
    ("functions", Some(Capability::Functions)),
    ("import by ID or names", None),
    ("`plan -generate-config-out`", None),
    ("import by identity", Some(Capability::Identities)),
    ("list resources, `terraform query`", Some(Capability::Queries)),
    ("actions", Some(Capability::Actions)),
    ("`mock_provider \"kms\"` in module tests", None),
    ("the same for a module with an ephemeral resource", Some(Capability::MockedEphemerals)),
    ("what the plan decides about `adopt_existing` counts in the apply", Some(Capability::PlannedPrivate)),
    ("errors point into nested attributes", Some(Capability::NestedLines)),
];

/// The guide with the table as it should be.
pub fn with_table(guide: &str) -> String {
    let (before, rest) = guide.split_once(MARKS.0).expect("the mark before the table");
    let (_, after) = rest.split_once(MARKS.1).expect("the mark after the table");
    format!("{before}{}{}{}{after}", MARKS.0, table(), MARKS.1)
}

fn table() -> String {
    let of = |program, minors: &[u64]| {
        minors.iter().map(|minor| Release { program, version: (1, *minor) }).collect::<Vec<_>>()
    };
    let releases = [of(Program::Terraform, &TERRAFORM), of(Program::OpenTofu, &OPENTOFU)].concat();
    let names: Vec<_> = releases.iter().map(ToString::to_string).collect();
    let mut table = format!("| | {} |\n|---|{}\n", names.join(" | "), "---|".repeat(releases.len()));
    for (piece, needed) in ROWS {
        let cells = releases.iter().map(|release| match needed.is_none_or(|needed| needed.is_in(*release)) {
            true => "yes",
            false => "no",
        });
        let _ = writeln!(table, "| {piece} | {} |", cells.collect::<Vec<_>>().join(" | "));
    }
    table
}
