//! What is refused before anything is planned, and where Terraform shows it.

use crate::{
    harness::releases::Capability,
    kitchen_sink::workspace::{Workspace, under_each_terraform},
};

/// A thing with each of these lines in its block.
fn configure(workspace: &Workspace, lines: &str) {
    workspace.configure(&format!("resource \"sink_thing\" \"it\" {{\n{lines}\n}}\n"));
}

/// The lines of a block, the summary of its only error, words of its detail, and the line that it points to.
type Case<'c> = (&'c str, &'c str, &'c str, &'c str);

/// Holds a configuration with a thing for each case to their errors.
fn assert_refused(workspace: &Workspace, cases: &[Case<'_>]) {
    let things = cases.iter().enumerate();
    let things: Vec<String> = things
        .map(|(number, (lines, ..))| format!("resource \"sink_thing\" \"c{number}\" {{\n{lines}\n}}\n"))
        .collect();
    workspace.configure(&format!("resource \"terraform_data\" \"u\" {{}}\n{}", things.concat()));
    let refused = workspace.validate();
    for (number, (lines, summary, words, line)) in cases.iter().enumerate() {
        let address = format!("sink_thing.c{number}");
        let errors: Vec<_> = refused.errors().into_iter().filter(|error| error.address == address).collect();
        let [error] = errors[..] else { panic!("one error was expected of {lines}: {refused:#?}") };
        assert_eq!(error.summary, *summary, "{lines}");
        assert!(error.detail.contains(words), "{words}: {}", error.detail);
        // Some releases look for an attribute inside of another one in the block around.
        if workspace.has(Capability::NestedLines) || !line.contains(" = ") || !words.contains('.') {
            assert_eq!(error.line, *line, "{lines}");
        }
    }
}

#[test]
fn broken_rules_are_shown_on_the_very_line() {
    under_each_terraform(|workspace| {
        assert_refused(
            workspace,
            &[
                ("name = \"A\"", "Invalid name", "\"name\" must be of a-z, 0-9", "name = \"A\""),
                (
                    "name = \"a\"\nlabels = [\n\"x\",\n\"Y\",\n]",
                    "Invalid labels",
                    "\"labels[1]\" must be of a-z",
                    "\"Y\",",
                ),
                (
                    "name = \"a\"\ntags = {\nx = \"x\"\ny = \"Y\"\n}",
                    "Invalid tags",
                    "\"tags[\"y\"]\" must be of a-z",
                    "y = \"Y\"",
                ),
                (
                    "name = \"a\"\ngroups = [\n\"Y\",\n]",
                    "Invalid groups",
                    "\"groups[*]\" must be of a-z",
                    "groups = [",
                ),
                (
                    "name = \"a\"\nowner = {\nname = \"O\"\n}",
                    "Invalid name",
                    "\"owner.name\" must be of a-z",
                    "name = \"O\"",
                ),
                (
                    "name = \"a\"\ndisks = [\n{ size = 1 },\n{ size = 0 },\n]",
                    "Invalid size",
                    "\"disks[1].size\" must be positive.",
                    "{ size = 0 },",
                ),
                (
                    "name = \"a\"\nports = {\nhttp = {\nnumber = 80\nprotocol = \"T\"\n}\n}",
                    "Invalid protocol",
                    "\"ports[\"http\"].protocol\" must be of a-z",
                    "protocol = \"T\"",
                ),
            ],
        );
    });
}

#[test]
fn what_only_the_provider_sets_cannot_be_configured_not_even_with_something_unknown() {
    under_each_terraform(|workspace| {
        let summary = "Read-only attribute";
        assert_refused(
            workspace,
            &[
                (
                    "name = \"a\"\nnetwork = {\ngateway = \"1\"\n}",
                    summary,
                    "\"network.gateway\" is set by the provider",
                    "gateway = \"1\"",
                ),
                (
                    "name = \"a\"\nowner = {\nname = \"o\"\nid = \"1\"\n}",
                    summary,
                    "\"owner.id\" is set by the provider",
                    "id = \"1\"",
                ),
                (
                    "name = \"a\"\ndisks = [\n{\nsize = 1\nid = terraform_data.u.id\n},\n]",
                    summary,
                    "\"disks[0].id\" is set by the provider",
                    "id = terraform_data.u.id",
                ),
                (
                    "name = \"a\"\nrules = [\n{ id = terraform_data.u.id },\n]",
                    summary,
                    "\"rules[*].id\" is set by the provider",
                    "rules = [",
                ),
                // Terraform itself knows better of an attribute of the resource, but not of an ephemeral or unknown one.
                (
                    "name = \"a\"\nrevision = length(terraform_data.u.id)",
                    summary,
                    "\"revision\" is set by the provider",
                    "revision = length(terraform_data.u.id)",
                ),
            ],
        );
    });
}

#[test]
fn required_values_that_are_null_and_values_of_a_wrong_shape_are_shown_where_they_are() {
    under_each_terraform(|workspace| {
        let missing = "Missing required attribute";
        assert_refused(
            workspace,
            &[
                ("name = null", missing, "\"name\" is required", "name = null"),
                (
                    "name = \"a\"\nowner = {\nname = null\n}",
                    missing,
                    "\"owner.name\" is required",
                    "name = null",
                ),
                (
                    "name = \"a\"\nsize = 1.5",
                    "Invalid value",
                    "\"size\" is not a whole number that fits in 64 bits.",
                    "size = 1.5",
                ),
            ],
        );
    });
}

#[test]
fn the_types_own_check_runs_too() {
    under_each_terraform(|workspace| {
        let lines = "name = \"a\"\npassword = \"p\"\npin = \"1\"";
        assert_refused(workspace, &[(lines, "Two ways to lock", "Set either", "pin = \"1\"")]);
    });
}

/// Terraform's core crashes on such an element, so it must not get that far.
#[test]
fn a_null_element_around_a_write_only_attribute_is_refused() {
    under_each_terraform(|workspace| {
        let lines = "name = \"a\"\nports = {\na = null\n}";
        assert_refused(workspace, &[(lines, "Null element", "\"ports[\"a\"]\" is null.", "a = null")]);
        assert_eq!(workspace.run(&["plan", "-json"]).error().summary, "Null element");
    });
}

#[test]
fn a_deprecated_attribute_is_warned_of() {
    under_each_terraform(|workspace| {
        configure(workspace, "name = \"a\"\nlabel = \"b\"");
        let outcome = workspace.validate().succeeded();
        let warnings = outcome.warnings();
        assert_eq!(warnings.len(), 1, "{outcome:#?}");
        assert_eq!(warnings[0].detail, "\"label\" is deprecated. Use name instead.");
        assert_eq!(warnings[0].line, "label = \"b\"");
    });
}

#[test]
fn a_provider_with_faults_refuses_to_serve_and_names_them() {
    under_each_terraform(|workspace| {
        configure(workspace, "name = \"a\"");
        let refused = workspace.run_with(&[("SINK_FAULTY", "1")], &["validate", "-json"]);
        assert_eq!(refused.code, Some(1), "{refused:#?}");
        let said: String = refused
            .diagnostics
            .iter()
            .map(|diagnostic| format!("{} {}\n", diagnostic.summary, diagnostic.detail))
            .collect();
        assert!(said.contains("Invalid provider schema"), "{said}");
        assert!(said.contains("data source sink_faulty: token: write-only and computed"), "{said}");
        assert!(
            said.contains("data source sink_faulty: token: write_only exists in managed resources only"),
            "{said}"
        );
    });
}
