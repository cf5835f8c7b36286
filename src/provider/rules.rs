//! The server's rules for fields, as far as they can be checked without it.
//!
//! A rule's reason is one of [`messages::rules`](super::messages::rules). The server trims most texts before it looks at them, and would then store something else than what was
//! planned: so whatever it would trim is refused here.

use std::time::Duration;

use super::messages::rules as reason;
use crate::kms::Host;

/// The longest name, in characters. Servers of older releases take only 32.
const NAME_LENGTH: usize = 64;
/// The longest description that the server's database has room for, in characters of Unicode.
const DESCRIPTION_LENGTH: usize = 255;
/// The longest description that the server's validation takes, in UTF-16 units.
const DESCRIPTION_UNITS: usize = 256;
/// The longest account ID or token, likewise.
const CREDENTIAL_LENGTH: usize = 255;

type Checked = Result<(), String>;

/// White space to JavaScript, but not to `trimspace`.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// What JavaScript's `trim` takes away. Rust's own notion of white space differs by two characters.
fn is_trimmed_by_server(c: char) -> bool {
    (c.is_whitespace() && c != '\u{85}') || c == BYTE_ORDER_MARK
}

/// The length as the server counts it: in UTF-16 units.
fn server_length(text: &str) -> usize {
    text.encode_utf16().count()
}

fn trimmed(text: &str) -> Checked {
    storable(text)?;
    if text.starts_with(BYTE_ORDER_MARK) || text.ends_with(BYTE_ORDER_MARK) {
        return Err(reason::BYTE_ORDER_MARK.into());
    }
    if text.starts_with(is_trimmed_by_server) || text.ends_with(is_trimmed_by_server) {
        return Err(reason::NOT_TRIMMED.into());
    }
    Ok(())
}

/// The server's database fails for a text with U+0000, after the server has asked dbt.
fn storable(text: &str) -> Checked {
    if text.contains('\0') { Err(reason::ZERO_CHARACTER.into()) } else { Ok(()) }
}

/// Any text but an empty one.
pub fn not_empty(text: &str) -> Checked {
    if text.is_empty() { Err(reason::EMPTY.into()) } else { Ok(()) }
}

/// Any text but an empty one, for the server to look for.
pub fn searchable(text: &str) -> Checked {
    storable(text)?;
    not_empty(text)
}

/// Any text but an empty one, without white space around it.
pub fn trimmed_text(text: &str) -> Checked {
    not_empty(text)?;
    trimmed(text)
}

fn at_most(text: &str, limit: usize) -> Checked {
    let length = server_length(text);
    if length > limit {
        return Err(reason::too_long(limit, length));
    }
    Ok(())
}

/// An object's name: a slug.
pub fn slug(text: &str) -> Checked {
    not_empty(text)?;
    trimmed(text)?;
    let legal =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if !text.split('-').all(legal) {
        return Err(reason::NOT_A_SLUG.into());
    }
    at_most(text, NAME_LENGTH)
}

/// An object's description.
pub fn description(text: &str) -> Checked {
    trimmed(text)?;
    let characters = text.chars().count();
    if characters > DESCRIPTION_LENGTH {
        return Err(reason::too_long(DESCRIPTION_LENGTH, characters));
    }
    let units = server_length(text);
    if units > DESCRIPTION_UNITS {
        return Err(reason::too_many_units(DESCRIPTION_UNITS, units));
    }
    Ok(())
}

/// A project's ID where there has to be one.
pub fn known_project_id(text: &str) -> Checked {
    not_empty(text)?;
    trimmed(text)
}

/// A project's ID.
pub fn project_id(text: &str) -> Checked {
    if text.is_empty() {
        return Err(reason::EMPTY_PROJECT.into());
    }
    trimmed(text)
}

/// The URL of a dbt instance. The KMS uses only the host name in it and always calls it by HTTPS.
pub fn instance_url(text: &str) -> Checked {
    not_empty(text)?;
    trimmed(text)?;
    let wrong = || reason::NOT_AN_INSTANCE_URL.to_owned();
    let url = url::Url::parse(text).map_err(|_| wrong())?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(wrong());
    }
    // The URL standard adds missing slashes, but the server reads another URL then.
    if !text[url.scheme().len()..].starts_with("://") {
        return Err(reason::NO_SLASHES.into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(reason::CREDENTIALS_IN_URL.into());
    }
    Ok(())
}

/// The host that the KMS calls, if it ignores a part of this URL of a dbt instance. `None` if the URL has nothing but
/// a host.
pub fn host_without_the_rest(text: &str) -> Option<String> {
    let url = url::Url::parse(text).ok()?;
    let has_more = url.scheme() != "https"
        || url.port().is_some()
        || !matches!(url.path(), "" | "/")
        || url.query().is_some()
        || url.fragment().is_some();
    has_more.then(|| url.host_str().map(str::to_owned))?
}

/// Whether this can be the ID of a dbt account: dbt's are numbers.
pub fn is_account_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A dbt account's ID.
pub fn account_id(text: &str) -> Checked {
    not_empty(text)?;
    trimmed(text)?;
    at_most(text, CREDENTIAL_LENGTH)
}

/// A dbt API token.
pub fn api_token(text: &str) -> Checked {
    account_id(text)
}

/// The ID of an object of the KMS: a UUID, with hyphens.
pub fn uuid(text: &str) -> Checked {
    if is_uuid(text) { Ok(()) } else { Err(reason::NOT_A_UUID.into()) }
}

/// A UUID in the spelling of the server. In another one, it would be another object to Terraform.
pub fn canonical_uuid(text: &str) -> Checked {
    uuid(text)?;
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(reason::UPPER_CASE.into());
    }
    Ok(())
}

/// Whether this is a UUID in its usual form, with hyphens.
pub fn is_uuid(text: &str) -> bool {
    text.len() == 36 && uuid::Uuid::try_parse(text).is_ok()
}

/// The path of a folder of secrets.
pub fn folder_path(text: &str) -> Checked {
    storable(text)?;
    if text.starts_with('/') { Ok(()) } else { Err(reason::NOT_A_PATH.into()) }
}

/// The path of a folder of secrets in the form in which the server shows it. In another one, it would be another folder to
/// Terraform.
pub fn canonical_folder_path(text: &str) -> Checked {
    folder_path(text)?;
    trimmed(text)?;
    if text != "/" && (text.ends_with('/') || text.contains("//")) {
        return Err(reason::NOT_CANONICAL_PATH.into());
    }
    Ok(())
}

/// The name of a secret.
pub fn secret_name(text: &str) -> Checked {
    trimmed_text(text)?;
    if text.contains(|c: char| c.is_whitespace() || c == ':' || c == '/') {
        return Err(reason::NOT_A_SECRET_NAME.into());
    }
    Ok(())
}

/// The KMS's address.
pub fn host(text: &str) -> Checked {
    // An empty text counts as not set.
    if text.is_empty() {
        return Ok(());
    }
    Host::parse(text).map(drop).map_err(|error| reason::host(error).to_owned())
}

/// A duration, such as `30s` or `1m 30s`.
pub fn duration(text: &str) -> Checked {
    if text.is_empty() { Ok(()) } else { parse_duration(text).map(drop) }
}

/// Reads a duration.
///
/// # Errors
/// What is wrong, to follow the name of the attribute or variable.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| reason::NOT_A_DURATION.to_owned())
}

/// A duration that is not zero.
pub fn positive_duration(text: &str) -> Checked {
    match text {
        "" => Ok(()),
        text if parse_duration(text)?.is_zero() => Err(reason::ZERO_DURATION.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_url_with_more_than_a_host_loses_a_part() {
        for url in ["https://cloud.getdbt.com", "https://cloud.getdbt.com/", "HTTPS://x:443", "not a URL", ""]
        {
            assert_eq!(host_without_the_rest(url), None, "{url}");
        }
        for url in [
            "http://x",
            "http://x:80/",
            "https://x:8443",
            "https://x/deploy",
            "https://x//",
            "https://x/?a",
            "https://x#a",
        ] {
            assert_eq!(host_without_the_rest(url).as_deref(), Some("x"), "{url}");
        }
    }

    #[test]
    fn accounts_of_dbt_are_numbers() {
        assert!(is_account_number("70471823"));
        for text in ["7047.5", "-5", "my-account", "1e5", "٣", "0x1"] {
            assert!(!is_account_number(text), "{text}");
        }
    }

    #[test]
    fn white_space_and_a_byte_order_mark_have_their_own_remedies() {
        assert_eq!(trimmed("x\n").unwrap_err(), reason::NOT_TRIMMED);
        assert_eq!(trimmed("\u{feff}x").unwrap_err(), reason::BYTE_ORDER_MARK);
        assert!(reason::NOT_TRIMMED.contains("trimspace()"));
    }

    /// Every rule with what it takes and what it refuses.
    #[test]
    fn each_rule_draws_the_servers_line() {
        let x = |count: usize| "x".repeat(count);
        type Case = (&'static str, fn(&str) -> Checked, Vec<String>, Vec<String>);
        let cases: Vec<Case> = vec![
            (
                "name",
                slug,
                vec!["a".into(), "a-b-1".into(), "7".into(), x(64)],
                ["", "A", "a_b", "-a", "a-", "a--b", "a b", " a", "a.", "ä"]
                    .map(String::from)
                    .into_iter()
                    .chain([x(65)])
                    .collect(),
            ),
            (
                "description",
                description,
                vec![
                    "".into(),
                    "Any text, with ünïcode.".into(),
                    x(255),
                    "é".repeat(255),
                    "😀".repeat(128),
                    // 129 characters, and 256 units.
                    format!("{}xx", "😀".repeat(127)),
                    "\u{85}x".into(),
                ],
                vec![
                    " x".into(),
                    "x\n".into(),
                    x(256),
                    "é".repeat(256),
                    "😀".repeat(129),
                    format!("{}x", "😀".repeat(128)),
                    "\u{feff}x".into(),
                    "x\u{a0}".into(),
                    "a\0b".into(),
                ],
            ),
            ("id", known_project_id, vec!["p".into()], vec!["".into(), " p".into()]),
            ("project_id", project_id, vec!["p".into()], vec!["".into(), " p".into()]),
            (
                "instance_url",
                instance_url,
                vec![
                    "https://cloud.getdbt.com".into(),
                    "https://ab123.us1.dbt.com/".into(),
                    "http://x".into(),
                    "HTTPS://cloud.getdbt.com:443/path".into(),
                ],
                [
                    "",
                    "emea.dbt.com",
                    " https://x",
                    "https://",
                    "https:cloud.getdbt.com",
                    "https:/cloud.getdbt.com",
                    "https:\\\\cloud.getdbt.com",
                    "ftp://x",
                    "mailto:a@b",
                    "javascript:alert(1)",
                    "data:text/plain,x",
                    "urn:a:b",
                    "https://u:p@x",
                    "https://x/\0",
                ]
                .map(String::from)
                .into(),
            ),
            (
                "account_id",
                account_id,
                vec!["1".into(), x(255)],
                vec!["".into(), "1 ".into(), x(256), "1\0".into()],
            ),
            (
                "api_token",
                api_token,
                vec!["dbtc_1".into(), x(255)],
                vec!["".into(), "\tt".into(), x(256), "\0t".into()],
            ),
            ("workspace_id", searchable, vec![" ".into()], vec!["".into(), "a\0b".into()]),
            ("token_name", trimmed_text, vec!["orders".into()], vec!["".into(), "a\0b".into()]),
            (
                "id",
                uuid,
                vec!["6f1f7c0e-6a5b-4d0e-9c3a-0123456789ab".into()],
                vec!["".into(), "6f1f7c0e6a5b4d0e9c3a0123456789ab".into(), "analytics".into()],
            ),
            (
                "connection_id",
                canonical_uuid,
                vec!["6f1f7c0e-6a5b-4d0e-9c3a-0123456789ab".into()],
                vec!["".into(), "x".into(), "6F1F7C0E-6a5b-4d0e-9c3a-0123456789ab".into()],
            ),
            (
                "secret_path",
                canonical_folder_path,
                vec!["/".into(), "/dbt".into(), "/a/b".into()],
                ["", "dbt", "/a/", "//", "/a//b", "/a ", "/\0"].map(String::from).into(),
            ),
            (
                "secret_name",
                secret_name,
                vec!["DBT_TOKEN".into(), "a.b-c".into()],
                ["", "A B", "a\tb", "a:b", "a/b", " a", "a\0"].map(String::from).into(),
            ),
            (
                "folder_path",
                folder_path,
                vec!["/".into(), "/dbt".into()],
                vec!["".into(), "dbt".into(), "/\0".into()],
            ),
            (
                "host",
                host,
                vec!["".into(), "https://kms.example.com/api/v1".into(), "http://localhost:8080/".into()],
                vec!["kms.corp.test".into(), "ftp://x".into(), "https://u:p@x".into(), "https://x/?q".into()],
            ),
            (
                "request_timeout",
                positive_duration,
                vec!["".into(), "30s".into(), "1m30s".into(), "500ms".into()],
                vec!["0s".into(), "30".into(), "soon".into(), "-1s".into()],
            ),
            ("max_retry_wait", duration, vec!["0s".into(), "10m".into()], vec!["x".into()]),
        ];
        for (name, rule, good, bad) in cases {
            for text in good {
                assert_eq!(rule(&text), Ok(()), "{name}: {text:?}");
            }
            for text in bad {
                let problem = rule(&text).expect_err(&format!("{name}: {text:?}"));
                assert!(problem.ends_with('.'), "{problem}");
                assert!(text.len() < 9 || !problem.contains(&text), "{name} quotes its value: {problem}");
            }
        }
    }
}
