//! Every rule of the server that can be checked without it is checked in validation, on the attribute that breaks it.

use std::collections::BTreeMap;

use crate::harness::{
    diagnostics::Diagnostic,
    workspace::{Workspace, address, configuration, connection, under_each_terraform},
};

const TOKEN: &str = "dbtu_b4d1nputV5b6n7m8k9";

/// Label, attribute, and an expression with a value that the server would refuse or change.
const BAD: &[(&str, &str, &str)] = &[
    ("name_empty", "name", "\"\""),
    ("name_of_spaces", "name", "\"  \""),
    ("name_with_capitals", "name", "\"Orders\""),
    ("name_with_space_before", "name", "\" orders\""),
    ("name_with_space_inside", "name", "\"dbt orders\""),
    ("name_with_line_break", "name", "\"orders\\n\""),
    ("name_with_underscore", "name", "\"dbt_orders\""),
    ("name_with_two_hyphens", "name", "\"dbt--orders\""),
    ("name_begins_with_hyphen", "name", "\"-orders\""),
    ("name_ends_with_hyphen", "name", "\"orders-\""),
    ("name_with_umlaut", "name", "\"aufträge\""),
    ("name_too_long", "name", "join(\"\", [for number in range(65) : \"a\"])"),
    ("description_too_long", "description", "join(\"\", [for number in range(256) : \"a\"])"),
    ("description_too_long_in_unicode", "description", "join(\"\", [for number in range(256) : \"é\"])"),
    ("description_with_zero_character", "description", "\"a\\u0000b\""),
    (
        "description_too_long_in_utf16",
        "description",
        "join(\"\", [for number in range(129) : \"\\U0001F600\"])",
    ),
    ("description_with_space_before", "description", "\" orders\""),
    ("description_with_line_break_after", "description", "\"orders\\n\""),
    ("instance_url_empty", "instance_url", "\"\""),
    ("instance_url_with_space_after", "instance_url", "\"https://cloud.getdbt.com \""),
    ("instance_url_without_scheme", "instance_url", "\"cloud.getdbt.com\""),
    ("instance_url_without_host", "instance_url", "\"https://\""),
    ("instance_url_without_slashes", "instance_url", "\"https:cloud.getdbt.com\""),
    ("instance_url_with_one_slash", "instance_url", "\"https:/cloud.getdbt.com\""),
    ("instance_url_of_mail", "instance_url", "\"mailto:x@cloud.getdbt.com\""),
    ("instance_url_of_ftp", "instance_url", "\"ftp://cloud.getdbt.com\""),
    ("account_id_with_zero_character", "account_id", "\"1\\u0000\""),
    ("account_id_empty", "account_id", "\"\""),
    ("account_id_with_space_before", "account_id", "\" 12345\""),
    ("account_id_too_long", "account_id", "join(\"\", [for number in range(256) : \"1\"])"),
    ("api_token_empty", "api_token", "\"\""),
    ("api_token_with_line_break_after", "api_token", "\"${var.token}\\n\""),
    ("api_token_with_byte_order_mark", "api_token", "\"\\uFEFF${var.token}\""),
    ("api_token_too_long", "api_token", "join(\"\", [for number in range(20) : var.token])"),
    ("project_id_empty", "project_id", "\"\""),
];

/// Values at the very limits, which the server takes.
const GOOD: &[(&str, &str, &str)] = &[
    ("name_longest", "name", "join(\"\", [for number in range(64) : \"a\"])"),
    ("name_of_digits", "name", "\"1-2-3\""),
    ("description_empty", "description", "\"\""),
    ("description_longest", "description", "join(\"\", [for number in range(255) : \"é\"])"),
    (
        "description_longest_in_utf16",
        "description",
        "join(\"\", [for number in range(128) : \"\\U0001F600\"])",
    ),
    ("instance_url_with_path", "instance_url", "\"https://ab123.us1.dbt.com/deploy/\""),
    ("account_id_longest", "account_id", "join(\"\", [for number in range(255) : \"1\"])"),
    ("api_token_longest", "api_token", "substr(join(\"\", [for number in range(20) : var.token]), 0, 255)"),
];

#[test]
fn bad_values_are_refused_in_validation_on_their_attribute() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        // Validation knows variables only by type, unless they have a default.
        let bad = BAD.iter().map(|(label, attribute, expression)| {
            let expression = expression.replace("var.token", "\"dbtu_b4d1nput\"");
            connection(label, &[(attribute, &expression)])
        });
        workspace.write("main.tf", &configuration(&bad.collect::<Vec<_>>()));
        let outcome = workspace.validate();
        assert_eq!(outcome.code, Some(1));

        let mut found: BTreeMap<String, Vec<&Diagnostic>> = BTreeMap::new();
        for error in outcome.errors() {
            found.entry(error.address.clone()).or_default().push(error);
        }
        let mut texts = String::new();
        for (label, attribute, expression) in BAD {
            let errors = found.remove(&address(label)).unwrap_or_default();
            assert_eq!(errors.len(), 1, "{label} = {expression}: {errors:#?}");
            assert_eq!(errors[0].attribute, *attribute, "{label}");
            assert!(!errors[0].text().contains("dbtu_b4d1nput"), "the token is echoed: {errors:#?}");
            texts +=
                &format!("{label}\n  {}\n  {}\n", errors[0].summary, errors[0].detail.replace('\n', "\n  "));
        }
        assert!(found.is_empty(), "{found:#?}");
        insta::assert_snapshot!("refused_values", texts);
    });
}

#[test]
fn bad_values_of_variables_are_refused_in_the_plan() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        let tokens = BAD.iter().filter(|(_, _, expression)| expression.contains("var.token"));
        let connections: Vec<_> = tokens
            .clone()
            .map(|(label, attribute, expression)| connection(label, &[(attribute, expression)]))
            .collect();
        workspace.write("main.tf", &configuration(&connections));
        workspace.validate().succeeded();
        let outcome = workspace.failing_plan();
        let mut blamed: Vec<_> =
            outcome.errors().iter().map(|error| (error.address.clone(), error.attribute.clone())).collect();
        blamed.sort();
        let mut expected: Vec<_> =
            tokens.map(|(label, attribute, _)| (address(label), (*attribute).to_owned())).collect();
        expected.sort();
        assert_eq!(blamed, expected);
        assert!(workspace.emulator.writes().is_empty());
    });
}

#[test]
fn odd_values_that_the_server_takes_are_one_warning_in_the_plan() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        let odd = [
            (
                "path",
                "instance_url",
                "https://ab123.us1.dbt.com/deploy/1",
                "calls https://ab123.us1.dbt.com.",
            ),
            ("port", "instance_url", "https://emea.dbt.com:8443", "calls https://emea.dbt.com."),
            ("plain", "instance_url", "http://emea.dbt.com", "calls https://emea.dbt.com."),
            ("fraction", "account_id", "7047.5", "digits"),
            ("negative", "account_id", "-5", "digits"),
            ("named", "account_id", "my-account", "digits"),
        ];
        let mut connections: Vec<_> = odd
            .iter()
            .map(|(label, attribute, value, _)| connection(label, &[(*attribute, &format!("{value:?}"))]))
            .collect();
        // As it is usually written.
        connections.push(connection("slash", &[("instance_url", "\"https://emea.dbt.com/\"")]));
        workspace.write("main.tf", &configuration(&connections));
        let plan = workspace.plan();
        let mut warnings = plan.outcome.warnings();
        // Older releases of Terraform show the warnings of a validation twice in a plan.
        let mut seen = std::collections::BTreeSet::new();
        warnings.retain(|warning| seen.insert((warning.address.clone(), warning.text())));
        for (label, attribute, _, text) in odd {
            let of_one: Vec<_> =
                warnings.iter().filter(|warning| warning.address == address(label)).collect();
            let [warning] = &of_one[..] else { panic!("one warning of {label}: {of_one:#?}") };
            assert_eq!(warning.attribute, attribute);
            assert!(warning.says(&[attribute, text]), "{warning:#?}");
        }
        assert_eq!(warnings.len(), odd.len(), "{warnings:#?}");
    });
}

#[test]
fn values_at_the_limits_are_taken_as_they_are() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        let good =
            GOOD.iter().map(|(label, attribute, expression)| connection(label, &[(attribute, expression)]));
        workspace.write("main.tf", &configuration(&good.collect::<Vec<_>>()));
        workspace.apply().succeeded();
        assert_eq!(workspace.emulator.connections().len(), GOOD.len());
        workspace.assert_clean();
    });
}
