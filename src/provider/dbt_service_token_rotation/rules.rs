//! The server's rules for the fields of rotations.

use crate::{plugin::value::Number, provider::rules};

/// The sets of permissions that dbt has.
pub const PERMISSION_SETS: [&str; 28] = [
    "account_admin",
    "account_viewer",
    "admin",
    "analyst",
    "billing_admin",
    "cost_insights_admin",
    "cost_insights_viewer",
    "cost_management_admin",
    "cost_management_viewer",
    "database_admin",
    "developer",
    "fusion_admin",
    "git_admin",
    "job_admin",
    "job_runner",
    "job_viewer",
    "manage_marketplace_apps",
    "member",
    "metadata_only",
    "owner",
    "project_creator",
    "readonly",
    "scim_only",
    "security_admin",
    "semantic_layer_only",
    "stakeholder",
    "team_admin",
    "webhooks_only",
];

/// The longest interval that the server's database has room for, in days.
const LONGEST_INTERVAL: i64 = i32::MAX as i64;

fn within(number: &Number, least: i64, most: i64) -> Result<(), String> {
    match number.as_i64() {
        Some(number) if !(least..=most).contains(&number) => {
            Err(format!("must be a whole number from {least} to {most}."))
        }
        // The attribute's type refuses what isn't a whole number.
        _ => Ok(()),
    }
}

/// Days between rotations. The server takes a fraction and then fails, after it has made a token.
pub fn interval(number: &Number) -> Result<(), String> {
    within(number, 1, LONGEST_INTERVAL)
}

/// An hour of the day.
pub fn hours(number: &Number) -> Result<(), String> {
    within(number, 0, 23)
}

/// A minute of the hour.
pub fn minutes(number: &Number) -> Result<(), String> {
    within(number, 0, 59)
}

/// The path of a folder, in the form in which the server shows it.
pub fn secret_path(text: &str) -> Result<(), String> {
    rules::folder_path(text)?;
    rules::trimmed_text(text)?;
    if text != "/" && (text.ends_with('/') || text.contains("//")) {
        return Err("must not end with \"/\" or have two in a row, unless it is \"/\" alone.".into());
    }
    Ok(())
}

/// The ID of a connection, in the spelling of the server: in another one, it would be another connection to Terraform.
pub fn connection_id(text: &str) -> Result<(), String> {
    rules::uuid(text)?;
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err("must be in lower case, as the KMS writes it.".into());
    }
    Ok(())
}

/// The name of a secret.
pub fn secret_name(text: &str) -> Result<(), String> {
    rules::trimmed_text(text)?;
    if text.contains(|c: char| c.is_whitespace() || c == ':' || c == '/') {
        return Err("must not have spaces, colons or slashes.".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_draws_the_servers_line() {
        for (rule, good, bad) in [
            (
                secret_path as fn(&str) -> _,
                vec!["/", "/dbt", "/a/b"],
                vec!["", "dbt", "/a/", "//", "/a//b", "/a "],
            ),
            (secret_name, vec!["DBT_TOKEN", "a.b-c"], vec!["", "A B", "a\tb", "a:b", "a/b", " a"]),
            (
                connection_id,
                vec!["6f1f7c0e-6a5b-4d0e-9c3a-0123456789ab"],
                vec!["", "x", "6F1F7C0E-6a5b-4d0e-9c3a-0123456789ab"],
            ),
        ] {
            assert!(good.iter().all(|text| rule(text).is_ok()), "{good:?}");
            assert!(bad.iter().all(|text| rule(text).is_err()), "{bad:?}");
        }
        let int = Number::Int;
        assert!([1, 30, LONGEST_INTERVAL].iter().all(|days| interval(&int(*days)).is_ok()));
        assert!([0, -1, LONGEST_INTERVAL + 1].iter().all(|days| interval(&int(*days)).is_err()));
        assert!(hours(&int(23)).is_ok() && hours(&int(24)).is_err() && minutes(&int(60)).is_err());
    }
}
