//! Why a text is not an Airflow connection to dbt. Each reason completes the sentence that begins with the argument's name, and
//! none quotes the text.

pub const EMPTY: &str = "must not be empty";
pub const NEITHER_FORM: &str =
    "must be an Airflow connection of the type dbt_cloud: a URI that begins with \"dbt-cloud://\", or JSON";
pub const NO_TYPE: &str = "has no conn_type, which must be \"dbt_cloud\"";
pub const OTHER_TYPE: &str = "has a conn_type other than \"dbt_cloud\"";
pub const NO_USER_INFO: &str = "has no login and password before its host. Special characters in them must be \
                                percent-encoded, such as \"/\" as \"%2F\"";
pub const NO_LOGIN: &str = "has no login, which holds the account ID";
pub const NO_PASSWORD: &str = "has no password, which holds the API token";
pub const INVALID_HOST: &str = "has an invalid host. A host is a name such as \"emea.dbt.com\"";
pub const INVALID_PORT: &str = "has a port that is not a number";

/// JSON that can't be parsed.
pub fn invalid_json(line: usize, column: usize) -> String {
    format!("is not valid JSON (line {line}, column {column})")
}

/// A field of another type.
pub fn not_a_string(field: &str) -> String {
    format!("has a {field} that is not a string")
}

/// A part of the URI that can't be decoded.
pub fn not_utf8(part: &str) -> String {
    format!("has a {part} whose percent-encoding is not of UTF-8 text")
}
