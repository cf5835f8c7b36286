//! The reasons of rules for single values. Each completes the sentence that begins with the name of the attribute or variable,
//! and none quotes the value. And warnings about values that the server takes, but most likely not as they are meant.

use crate::{
    kms::{HeaderProblem, HostError, Reservation},
    plugin::{diagnostics::Diagnostics, path::Path},
};

pub const EMPTY: &str = "must not be empty.";
pub const EMPTY_PROJECT: &str =
    "must not be empty. Leave it out, or set it to null, for a connection of the whole organization.";
pub const NOT_TRIMMED: &str = "must not begin or end with white space, because the server would remove it. \
                               Remove it from the value, for instance with trimspace().";
pub const BYTE_ORDER_MARK: &str = "must not begin or end with a byte-order mark (U+FEFF), because the server would \
                                   remove it. Remove it from the value, for instance with trim(VALUE, \"\\uFEFF\").";
pub const ZERO_CHARACTER: &str = "must not contain the character U+0000: the server can't store it.";
pub const NOT_A_SLUG: &str = "must be a slug: lower-case letters, digits, and single hyphens between them, such as \
                              \"analytics-prod\".";
pub const NOT_AN_INSTANCE_URL: &str = "must be a URL with a host, such as \"https://cloud.getdbt.com\".";
pub const NO_SLASHES: &str =
    "must begin with \"https://\", with both slashes, such as \"https://cloud.getdbt.com\".";
pub const CREDENTIALS_IN_URL: &str =
    "must not contain a user name or password: it is stored and shown in plain text.";
pub const NOT_A_UUID: &str = "must be a UUID, such as 6f1f7c0e-6a5b-4d0e-9c3a-0123456789ab.";
pub const UPPER_CASE: &str = "must be in lower case, as the KMS writes it.";
pub const NOT_A_PATH: &str = "must begin with \"/\".";
pub const NOT_CANONICAL_PATH: &str = "must not end with \"/\" or contain \"//\", unless it is \"/\" alone.";
pub const NOT_A_SECRET_NAME: &str = "must not contain spaces, colons or slashes.";
pub const NOT_A_DURATION: &str = "must be a duration, such as \"30s\", \"1m30s\" or \"500ms\".";
pub const ZERO_DURATION: &str = "must be longer than zero.";

/// A text with more characters than the server takes.
pub fn too_long(limit: usize, length: usize) -> String {
    format!("must have at most {limit} characters, and has {length}.")
}

/// A text with few enough characters, which the server still counts as too many.
pub fn too_many_units(limit: usize, units: usize) -> String {
    format!(
        "must have at most {limit} characters as the server counts them, and has {units}: it counts emoji and \
         other characters beyond U+FFFF twice."
    )
}

/// A number of retries out of range.
pub fn not_retries(most: u32) -> String {
    format!("must be a whole number from 0 to {most}.")
}

/// A header that can't be sent.
pub fn header(problem: HeaderProblem, name: &str) -> String {
    let reserved = |reason: &str| format!("must not contain the header {name:?}: {reason}");
    match problem {
        HeaderProblem::InvalidName => format!(
            "must not contain {name:?}, which is not a valid name of a header. Use letters, digits and \
             hyphens."
        ),
        HeaderProblem::Reserved(Reservation::AccessToken) => {
            reserved("the provider sends its access token in it.")
        }
        HeaderProblem::Reserved(Reservation::Request) => {
            reserved("it describes the request, and the provider sets it as the KMS needs it.")
        }
        HeaderProblem::Reserved(Reservation::Connection) => {
            reserved("it concerns the connection, which the provider manages.")
        }
        HeaderProblem::Reserved(Reservation::Proxy) => reserved(
            "it is meant for a proxy. Set the proxy's user name and password in its URL, such as in \
             HTTPS_PROXY.",
        ),
        HeaderProblem::Reserved(Reservation::Condition) => {
            reserved("with it, the KMS might not return the complete response.")
        }
        HeaderProblem::Repeated => {
            format!("must contain the header {name:?} only once. Upper and lower case make no difference.")
        }
        HeaderProblem::InvalidValue => format!(
            "must have a value of printable ASCII characters, without line breaks, for the header {name:?}."
        ),
        HeaderProblem::SurroundingSpace => format!(
            "must have no white space at the beginning or end of the value of the header {name:?}, and no \
             line break. Remove it, for example with trimspace()."
        ),
    }
}

/// A part of the environment variable for headers that isn't one. It isn't quoted, because it may be a part
/// of a value.
pub fn not_a_header(number: usize) -> String {
    format!(
        "must have the form Name=value Name2=value2, but header {number} does not have it. A value with \
         spaces needs quotes, as in Name=\"a value\"."
    )
}

/// An invalid URL of the KMS.
pub fn host(error: HostError) -> &'static str {
    match error {
        HostError::NotAUrl => "must be a full URL, such as \"https://kms.example.com\".",
        HostError::Scheme => "must begin with \"https://\" (or \"http://\").",
        HostError::Credentials => "must not contain a user name or password: use `auth`.",
        HostError::QueryOrFragment => "must not contain \"?\" or \"#\".",
    }
}

/// A URL of which the KMS uses the host alone.
pub fn only_the_host_is_used(host: &str, diagnostics: &mut Diagnostics) {
    let detail = format!(
        "The KMS uses the host name of \"instance_url\" alone, and calls https://{host}. It ignores http://, a \
         port, and a path and what follows it. If this host is right, set \"instance_url\" to \
         \"https://{host}\"."
    );
    let attribute = Some(Path::attribute("instance_url"));
    diagnostics.warning(attribute, "Only the host of instance_url is used", detail);
}

/// An account that dbt most likely doesn't have.
pub fn account_is_no_number(diagnostics: &mut Diagnostics) {
    let detail = "The IDs of dbt accounts consist of digits alone. \"account_id\" has other characters, so dbt will \
                  probably not find the account, and the apply will fail. Copy the number from the account settings \
                  of dbt.";
    diagnostics.warning(Some(Path::attribute("account_id")), "account_id is not a number", detail);
}
