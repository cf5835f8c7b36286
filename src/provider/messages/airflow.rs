//! Why a text is not an Airflow connection to dbt. Each reason completes the sentence that begins with the
//! argument's name, and none quotes the text.

pub const EMPTY: &str = "must not be empty";
pub const NEITHER_FORM: &str =
    "must be an Airflow connection of the type dbt_cloud: a URI that begins with \"dbt-cloud://\", or JSON";
pub const UNDERSCORE: &str = "must begin with \"dbt-cloud://\", with a hyphen: Airflow reads nothing from a \
                              URI whose scheme has an underscore";
pub const NO_TYPE: &str = "has no conn_type, which must be \"dbt_cloud\"";
pub const OTHER_TYPE: &str = "has a conn_type other than \"dbt_cloud\"";
pub const NO_USER_INFO: &str = "has no password before its host, which holds the API token. Special \
                                characters in it must be percent-encoded, such as \"/\" as \"%2F\"";
pub const NO_PASSWORD: &str = "has no password, which holds the API token";
pub const FURTHER_URL: &str = "has another \"://\" after its scheme, where Airflow accepts only \"https://\" \
                               of a host. Write others as \"%3A%2F%2F\"";
pub const BRACKET: &str =
    "has a square bracket before its path. In a URI, write \"[\" as \"%5B\" and \"]\" as \"%5D\"";
pub const LOOKALIKE: &str = "has a character before its path that Airflow refuses because it can be mistaken \
                             for \"/\", \"?\", \"#\", \"@\" or \":\". It must be percent-encoded";
pub const UNKNOWN_FIELD: &str = "has a field that is not one of an Airflow connection: conn_type, \
                                 description, extra, host, login, password, port, schema and uri";
pub const URI_AND_FIELDS: &str = "has both a uri and other fields. Airflow accepts one or the other";
pub const INVALID_HOST: &str = "has an invalid host. A host is a name such as \"emea.dbt.com\"";
pub const INVALID_PORT: &str = "has a port that is not a number";

/// JSON that can't be parsed.
pub fn invalid_json(line: usize, column: usize) -> String {
    format!("is not valid JSON (line {line}, column {column})")
}

/// A field of another type.
pub fn not_text(field: &str) -> String {
    format!("has a {field} that is not valid text")
}

/// A field of a type that is neither of these.
pub fn not_text_or_number(field: &str) -> String {
    format!("has a {field} that is neither text nor a number with digits")
}
