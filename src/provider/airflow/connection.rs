//! A dbt connection in Airflow: its two written forms, and what Airflow reads in them.
//!
//! Airflow's connection type `dbt_cloud` has the account ID as login, the API token as password, and the host
//! name of the dbt instance as host; without host it means `cloud.getdbt.com`. It always calls
//! `https://HOST/`, and uses neither schema nor port. The forms are written here exactly as Airflow's
//! `Connection.get_uri` and `as_json` write them, and read as [`Fields`] says.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value as Json;
use url::Url;

use super::fields::Fields;
use crate::{
    plugin::{
        function::{FunctionError, Parameter},
        model::AttributeType,
        value::{Type, Value},
    },
    provider::{
        messages::{airflow as reason, rules::NOT_AN_INSTANCE_URL},
        rules,
    },
    secret::Secret,
};

/// The host of a connection that has none.
const DEFAULT_HOST: &str = "cloud.getdbt.com";

/// All but the characters that RFC 3986 calls unreserved, which is what Python's `quote` leaves alone.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What the two functions that write a connection take.
pub(super) fn connection_parameters() -> Vec<Parameter> {
    let parameter = |name, description| Parameter { name, description, value_type: Type::String };
    vec![
        parameter(
            "instance_url",
            "URL of the dbt instance, such as `https://emea.dbt.com`. Only the host name is used, in lower \
             case, as in the KMS: Airflow always connects over HTTPS, without a port or path.",
        ),
        parameter("account_id", "ID of the dbt account. Airflow's dbt operators only accept digits."),
        parameter("api_token", "API token for dbt."),
    ]
}

/// The arguments of a function that takes only strings.
pub(super) fn texts<const N: usize>(arguments: Vec<Value>) -> Result<[String; N], FunctionError> {
    let wrong = || FunctionError { text: format!("takes {N} strings"), argument: None };
    let texts: Result<Vec<_>, _> = arguments.into_iter().map(String::from_value).collect();
    texts.map_err(|_| wrong())?.try_into().map_err(|_| wrong())
}

/// A dbt connection as Airflow has it.
pub(super) struct AirflowConnection {
    /// As [`Url::host_str`] gives it.
    host: String,
    /// Empty if it has none.
    account_id: String,
    api_token: Secret,
}

impl AirflowConnection {
    /// Takes the arguments for [`connection_parameters`].
    ///
    /// # Errors
    /// The URL has no host, or another argument is empty.
    pub(super) fn from_arguments(arguments: Vec<Value>) -> Result<Self, FunctionError> {
        let [instance_url, account_id, api_token] = texts(arguments)?;
        // Terraform puts the argument's name before the text and a full stop after it.
        let refusal = |argument, text: &str| FunctionError {
            text: text.strip_suffix('.').unwrap_or(text).to_owned(),
            argument: Some(argument),
        };
        let host = host_name(&instance_url).map_err(|problem| refusal(0, &problem))?;
        for (argument, text) in [(1, &account_id), (2, &api_token)] {
            rules::not_empty(text).map_err(|problem| refusal(argument, &problem))?;
        }
        Ok(Self { host, account_id, api_token: Secret::new(api_token) })
    }

    /// Writes a URI.
    pub(super) fn to_uri(&self) -> String {
        let [host, login, password] = self.fields().map(|text| utf8_percent_encode(text, RESERVED));
        format!("dbt-cloud://{login}:{password}@{host}")
    }

    /// Writes JSON. The default host is written as well, so the text means the same wherever it is read.
    pub(super) fn to_json(&self) -> String {
        let [host, login, password] = self.fields().map(json_string);
        format!(r#"{{"conn_type": "dbt_cloud", "host": {host}, "login": {login}, "password": {password}}}"#)
    }

    /// Host, login and password.
    fn fields(&self) -> [&str; 3] {
        [&self.host, &self.account_id, self.api_token.expose()]
    }

    /// Reads either form. The connection may have no account.
    ///
    /// # Errors
    /// What is wrong, to follow the argument's name. Quotes nothing of the text.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let Fields { host, login, password } = Fields::read(text)?;
        if password.is_empty() {
            return Err(reason::NO_PASSWORD.into());
        }
        let host = match host.as_str() {
            "" => DEFAULT_HOST.into(),
            host => tenant_host(host).ok_or(reason::INVALID_HOST)?,
        };
        Ok(Self { host, account_id: login, api_token: password })
    }

    /// The object with the arguments of a `kms_dbt_connection`.
    pub(super) fn into_value(self) -> Value {
        let attributes = [
            ("instance_url", Value::String(format!("https://{}", self.host))),
            ("account_id", if self.account_id.is_empty() { Value::Null } else { self.account_id.into() }),
            ("api_token", self.api_token.into_value()),
        ];
        Value::Map(attributes.map(|(name, value)| (name.into(), value)).into())
    }
}

/// The host name in a dbt instance's URL, as the KMS takes it.
fn host_name(instance_url: &str) -> Result<String, String> {
    rules::instance_url(instance_url)?;
    let url = Url::parse(instance_url).ok();
    let host = url.as_ref().and_then(Url::host_str).filter(|host| is_host(host));
    host.map(str::to_owned).ok_or_else(|| NOT_AN_INSTANCE_URL.into())
}

/// Whether Airflow can call a host: it is an address, or has only what a URL can have unencoded.
fn is_host(host: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&b);
    host.starts_with('[') || !host.starts_with(['*', '.']) && host.bytes().all(is_plain)
}

/// The host that Airflow calls with `https://TENANT/`, or the host of a tenant that is a URL itself.
fn tenant_host(tenant: &str) -> Option<String> {
    let rest = match tenant.split_once("://") {
        None => tenant,
        Some((scheme, rest)) if ["http", "https"].iter().any(|http| scheme.eq_ignore_ascii_case(http)) => {
            rest
        }
        Some(_) => return None,
    };
    let authority = rest.split(['/', '\\', '?', '#']).next()?;
    let location = authority.rsplit_once('@').map_or(authority, |(_, location)| location);
    // `Url` drops white space and invisible characters, where Airflow's HTTP library refuses the name.
    let is_visible = |c: char| c.is_ascii_graphic() || !c.is_ascii() && c.is_alphanumeric();
    let host = host_name(&format!("https://{location}"));
    host.ok().filter(|_| location.chars().all(is_visible))
}

/// Writes a JSON string in ASCII, as Python's `json.dumps` does.
fn json_string(text: &str) -> String {
    let mut ascii = String::new();
    for c in Json::from(text).to_string().chars() {
        if (' '..='~').contains(&c) {
            ascii.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                ascii.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    ascii
}

#[cfg(test)]
#[path = "../../../tests/airflow/cases.rs"]
mod generated;

#[cfg(test)]
pub(super) mod cases {
    pub(in crate::provider::airflow) use super::generated::{generate, texts};
    use crate::plugin::value::Value;

    pub(in crate::provider::airflow) fn arguments(texts: &[&str]) -> Vec<Value> {
        texts.iter().map(|text| Value::string(*text)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_instance_url_only_the_host_name_counts() {
        for url in [
            "https://emea.dbt.com",
            "https://emea.dbt.com/",
            "https://EMEA.dbt.com/deploy/1?x=y#z",
            "https://emea.dbt.com:8443",
            "http://emea.dbt.com:80",
        ] {
            assert_eq!(host_name(url).as_deref(), Ok("emea.dbt.com"), "{url}");
        }
        assert_eq!(host_name("https://bücher.example").as_deref(), Ok("xn--bcher-kva.example"));
    }

    #[test]
    fn a_bad_argument_is_named_and_not_quoted() {
        let url = "must be a URL with a host, such as \"https://cloud.getdbt.com\"";
        let userinfo = "must not contain a user name or password: it is stored and shown in plain text";
        let cases = [
            (["", "1", "t"], 0, "must not be empty"),
            (["emea_SECRET", "1", "t"], 0, url),
            (["ftp://SECRET", "1", "t"], 0, url),
            (["https://", "1", "t"], 0, url),
            (["https://u:SECRET@emea.dbt.com", "1", "t"], 0, userinfo),
            (["https://emea.dbt.com", "", "t"], 1, "must not be empty"),
            (["https://emea.dbt.com", "1", ""], 2, "must not be empty"),
        ];
        for (texts, argument, text) in cases {
            let error = AirflowConnection::from_arguments(cases::arguments(&texts)).err();
            assert_eq!(
                error,
                Some(FunctionError { text: text.into(), argument: Some(argument) }),
                "{texts:?}"
            );
        }
    }
}
