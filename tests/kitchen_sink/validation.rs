//! What is refused before anything is planned, and where Terraform shows it.

use crate::terraform::{Workspace, under_each_terraform};

/// A thing with each of these lines in its block.
fn configure(workspace: &Workspace, lines: &str) {
    workspace.configure(&format!("resource \"sink_thing\" \"it\" {{\n{lines}\n}}\n"));
}

/// Holds a configuration to one error, with these words, on the line that contains the mark.
fn assert_refused(workspace: &Workspace, lines: &str, summary: &str, words: &str, line: &str) {
    configure(workspace, lines);
    let refused = workspace.validate();
    let error = refused.error();
    assert_eq!(error.summary, summary, "{refused:#?}");
    assert!(error.detail.contains(words), "{words}: {refused:#?}");
    // Terraform 1.11 looks for an attribute inside of another one in the block around.
    if workspace.has(15) || !line.contains(" = ") || !words.contains('.') {
        assert_eq!(error.line, line, "{refused:#?}");
    }
}

#[test]
fn broken_rules_are_shown_on_the_very_line() {
    under_each_terraform(|workspace| {
        let invalid = "must be of a-z, 0-9 and hyphens.";
        for (lines, name, words, line) in [
            ("name = \"A\"", "name", format!("\"name\" {invalid}"), "name = \"A\""),
            (
                "name = \"a\"\nlabels = [\n\"x\",\n\"Y\",\n]",
                "labels",
                format!("\"labels[1]\" {invalid}"),
                "\"Y\",",
            ),
            (
                "name = \"a\"\ntags = {\nx = \"x\"\ny = \"Y\"\n}",
                "tags",
                format!("\"tags[\"y\"]\" {invalid}"),
                "y = \"Y\"",
            ),
            (
                "name = \"a\"\ngroups = [\n\"Y\",\n]",
                "groups",
                format!("\"groups[*]\" {invalid}"),
                "groups = [",
            ),
            (
                "name = \"a\"\nowner = {\nname = \"O\"\n}",
                "name",
                format!("\"owner.name\" {invalid}"),
                "name = \"O\"",
            ),
            (
                "name = \"a\"\ndisks = [\n{ size = 1 },\n{ size = 0 },\n]",
                "size",
                "\"disks[1].size\" must be positive.".to_owned(),
                "{ size = 0 },",
            ),
            (
                "name = \"a\"\nports = {\nhttp = {\nnumber = 80\nprotocol = \"T\"\n}\n}",
                "protocol",
                format!("\"ports[\"http\"].protocol\" {invalid}"),
                "protocol = \"T\"",
            ),
        ] {
            assert_refused(workspace, lines, &format!("Invalid {name}"), &words, line);
        }
    });
}

#[test]
fn what_only_the_provider_sets_cannot_be_configured_not_even_with_something_unknown() {
    under_each_terraform(|workspace| {
        let summary = "Attribute can't be set";
        let words = |text: &str| format!("\"{text}\" is set by the provider alone");
        assert_refused(
            workspace,
            "name = \"a\"\nnetwork = {\ngateway = \"1\"\n}",
            summary,
            &words("network.gateway"),
            "gateway = \"1\"",
        );
        assert_refused(
            workspace,
            "name = \"a\"\nowner = {\nname = \"o\"\nid = \"1\"\n}",
            summary,
            &words("owner.id"),
            "id = \"1\"",
        );
        let unknown = "disks = [\n{\nsize = 1\nid = terraform_data.u.id\n},\n]";
        let lines = format!("name = \"a\"\n{unknown}");
        workspace.write("u.tf", "resource \"terraform_data\" \"u\" {}\n");
        assert_refused(workspace, &lines, summary, &words("disks[0].id"), "id = terraform_data.u.id");
        let in_set = "name = \"a\"\nrules = [\n{ id = terraform_data.u.id },\n]";
        assert_refused(workspace, in_set, summary, &words("rules[*].id"), "rules = [");
    });
}

#[test]
fn required_values_that_are_null_and_values_of_a_wrong_shape_are_shown_where_they_are() {
    under_each_terraform(|workspace| {
        let missing = "Missing value for a required attribute";
        assert_refused(workspace, "name = null", missing, "\"name\" is required", "name = null");
        assert_refused(
            workspace,
            "name = \"a\"\nowner = {\nname = null\n}",
            missing,
            "\"owner.name\" is required",
            "name = null",
        );
        let fraction = "name = \"a\"\nports = {\na = {\nnumber = 1.5\n}\n}";
        configure(workspace, fraction);
        let refused = workspace.validate();
        let shape = refused.errors().into_iter().find(|error| error.summary == "Invalid value").unwrap();
        assert_eq!(shape.detail, "\"ports[\"a\"].number\" is not a whole number of 64 bits.");
        if workspace.has(15) {
            assert_eq!(shape.line, "number = 1.5");
        }
    });
}

/// Terraform's core crashes on such an element, so it must not get that far.
#[test]
fn a_null_element_around_a_write_only_attribute_is_refused() {
    under_each_terraform(|workspace| {
        let lines = "name = \"a\"\nports = {\na = null\n}";
        assert_refused(workspace, lines, "Null element", "\"ports[\"a\"]\" is null.", "a = null");
        assert_eq!(workspace.run(&["plan", "-json"]).error().summary, "Null element");
    });
}

#[test]
fn the_types_own_check_runs_too() {
    under_each_terraform(|workspace| {
        let lines = "name = \"a\"\npassword = \"p\"\npin = \"1\"";
        assert_refused(workspace, lines, "Two ways to lock", "Set either", "pin = \"1\"");
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
            .problems
            .iter()
            .map(|problem| format!("{} {}\n", problem.summary, problem.detail))
            .collect();
        assert!(said.contains("The provider's schema has faults"), "{said}");
        assert!(said.contains("data source sink_faulty: token: write-only and computed"), "{said}");
        assert!(
            said.contains("data source sink_faulty: token: write_only exists in managed resources only"),
            "{said}"
        );
    });
}
