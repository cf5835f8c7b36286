//! A dbt connection in Airflow: its two written forms, and what Airflow reads in them.
//!
//! Airflow's connection type `dbt_cloud` has the account ID as login, the API token as password, and the host name of
//! the dbt instance as host; without host it means `cloud.getdbt.com`. It always calls `https://HOST/`, and uses neither
//! schema nor port. A URI is taken apart by Python's `urlsplit` and its parts are percent-decoded; JSON is taken as it
//! is. Both forms are written here exactly as Airflow's `Connection.get_uri` and `as_json` write them.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Map, Value as Json};
use url::Url;

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
            "URL of the dbt instance, such as `https://emea.dbt.com`. Only the host name is used, in lower case, as in \
             the KMS: Airflow always connects over HTTPS, without a port or path.",
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

    /// Reads either form.
    ///
    /// # Errors
    /// What is wrong, to follow the argument's name. Quotes nothing of the text.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        // Airflow distinguishes the forms in the same way.
        match text.trim() {
            "" => Err(reason::EMPTY.into()),
            json if json.starts_with('{') => Self::parse_json(json),
            uri => Self::parse_uri(uri),
        }
    }

    fn parse_json(json: &str) -> Result<Self, String> {
        let fields: Map<String, Json> =
            serde_json::from_str(json).map_err(|error| reason::invalid_json(error.line(), error.column()))?;
        let field = |name: &str| match fields.get(name) {
            None | Some(Json::Null) => Ok(String::new()),
            Some(Json::String(text)) => Ok(text.clone()),
            Some(_) => Err(reason::not_a_string(name)),
        };
        match field("conn_type")? {
            name if is_dbt_cloud(&name) => {}
            name if name.is_empty() => return Err(reason::NO_TYPE.into()),
            _ => return Err(reason::OTHER_TYPE.into()),
        }
        Self::from_fields(&field("host")?, field("login")?, field("password")?)
    }

    fn parse_uri(uri: &str) -> Result<Self, String> {
        // `urlsplit` drops these wherever they are, for instance where a long line was folded.
        let uri: String = uri.chars().filter(|c| !matches!(c, '\t' | '\n' | '\r')).collect();
        let (_, rest) =
            uri.split_once("://").filter(|(scheme, _)| is_dbt_cloud(scheme)).ok_or(reason::NEITHER_FORM)?;
        // Where the host is a URL, Airflow puts that URL's scheme first: `dbt-cloud://https://LOGIN:PASSWORD@HOST`.
        let rest =
            ["https://", "http://"].iter().find_map(|scheme| rest.strip_prefix(scheme)).unwrap_or(rest);
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (userinfo, location) = authority.rsplit_once('@').ok_or(reason::NO_USER_INFO)?;
        let (login, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
        let host = decoded("host", without_port(location)?)?;
        Self::from_fields(&host, decoded("login", login)?, decoded("password", password)?)
    }

    fn from_fields(host: &str, login: String, password: String) -> Result<Self, String> {
        if login.is_empty() {
            return Err(reason::NO_LOGIN.into());
        }
        if password.is_empty() {
            return Err(reason::NO_PASSWORD.into());
        }
        let url = match host {
            "" => format!("https://{DEFAULT_HOST}"),
            url if url.contains("://") => url.to_owned(),
            name => format!("https://{name}"),
        };
        let host = host_name(&url).map_err(|_| reason::INVALID_HOST)?;
        Ok(Self { host, account_id: login, api_token: Secret::new(password) })
    }

    /// The object with the arguments of a `kms_dbt_connection`.
    pub(super) fn into_value(self) -> Value {
        let attributes = [
            ("instance_url", Value::String(format!("https://{}", self.host))),
            ("account_id", Value::String(self.account_id)),
            ("api_token", self.api_token.into_value()),
        ];
        Value::Map(attributes.map(|(name, value)| (name.into(), value)).into())
    }
}

/// Whether this is the type's name. Only the hyphen is legal in a URI's scheme, but people write the underscore too.
fn is_dbt_cloud(name: &str) -> bool {
    name.eq_ignore_ascii_case("dbt_cloud") || name.eq_ignore_ascii_case("dbt-cloud")
}

/// The host name in a dbt instance's URL, as the KMS takes it.
fn host_name(instance_url: &str) -> Result<String, String> {
    rules::instance_url(instance_url)?;
    let url = Url::parse(instance_url).ok();
    url.as_ref().and_then(Url::host_str).map(str::to_owned).ok_or_else(|| NOT_AN_INSTANCE_URL.into())
}

/// What is before the port, which must be a number if there is one.
fn without_port(location: &str) -> Result<&str, String> {
    // The colons of an IPv6 address are within brackets.
    let after_address = location.find(']').unwrap_or(0);
    match location[after_address..].split_once(':') {
        None => Ok(location),
        Some((_, port)) if !port.is_empty() && port.parse::<u16>().is_err() => {
            Err(reason::INVALID_PORT.into())
        }
        Some((rest, _)) => Ok(&location[..after_address + rest.len()]),
    }
}

fn decoded(part: &str, text: &str) -> Result<String, String> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(Cow::into_owned).map_err(|_| reason::not_utf8(part))
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
    pub(in crate::provider::airflow) use super::generated::generate;
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
