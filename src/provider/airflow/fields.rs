//! The fields of an Airflow connection to dbt, read from its two written forms.
//!
//! They are read as by the class that Airflow's tasks use, `airflow.sdk.Connection`: `from_uri` and
//! `from_json` refuse the same texts here, and give the same fields. `make test-airflow` compares them.

use std::collections::HashMap;

use serde_json::{Value as Json, value::RawValue};

use super::python::{self, UrlStart};
use crate::{provider::messages::airflow as reason, secret::Secret};

/// The scheme of a URI. Airflow turns its hyphens into the underscores of the type's name.
const SCHEME: &str = "dbt-cloud";

/// The type's name, in JSON.
const CONN_TYPE: &str = "dbt_cloud";

/// Fields that JSON may have and a connection to dbt doesn't use.
const UNUSED: [&str; 3] = ["description", "extra", "schema"];

/// What the hook for dbt uses of a connection. Empty text is as good as none.
pub(super) struct Fields {
    pub host: String,
    pub login: String,
    pub password: Secret,
}

impl Fields {
    /// Reads either form.
    ///
    /// # Errors
    /// What is wrong, to follow the argument's name. Quotes nothing of the text.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        // Airflow distinguishes the forms in the same way.
        match text.trim_matches(python::is_space) {
            "" => Err(reason::EMPTY.into()),
            json if json.starts_with('{') => Self::from_json(json),
            uri => Self::from_uri(uri),
        }
    }

    fn from_uri(uri: &str) -> Result<Self, String> {
        let whole = UrlStart::of(uri);
        if whole.scheme != SCHEME {
            let written = uri.split(':').next().unwrap_or_default();
            let is_type = written.eq_ignore_ascii_case(CONN_TYPE);
            return Err(if is_type { reason::UNDERSCORE } else { reason::NEITHER_FORM }.into());
        }
        // A second `://` is the host's: where the host is a URL, Airflow writes
        // `dbt-cloud://https://LOGIN:PASSWORD@HOST`. The scheme is removed wherever it is, but only if it is
        // in lower case.
        let host_is_url = match uri.matches("://").count() {
            0 | 1 => false,
            2 => true,
            _ => return Err(reason::FURTHER_URL.into()),
        };
        let rest = uri.replace(&format!("{SCHEME}://"), if host_is_url { "" } else { "//" });
        if host_is_url && rest.split("://").next().is_some_and(|before| before.contains(['@', ':'])) {
            return Err(reason::FURTHER_URL.into());
        }
        let url = UrlStart::of(&rest);
        if whole.has_bracket() || url.has_bracket() {
            return Err(reason::BRACKET.into());
        }
        if whole.has_lookalike() || url.has_lookalike() {
            return Err(reason::LOOKALIKE.into());
        }
        let (user_info, location) = url.authority.rsplit_once('@').ok_or(reason::NO_USER_INFO)?;
        let (login, password) = user_info.split_once(':').unwrap_or((user_info, ""));
        let (name, port) = location.split_once(':').unwrap_or((location, ""));
        if !python::is_port(port) {
            return Err(reason::INVALID_PORT.into());
        }
        let mut host = python::unquote(name);
        if host_is_url && !url.scheme.is_empty() && !host.is_empty() {
            host = format!("{}://{host}", url.scheme);
        }
        let password = Secret::new(python::unquote(password));
        Ok(Self { host, login: python::unquote(login), password })
    }

    fn from_json(json: &str) -> Result<Self, String> {
        let json = python::without_number_words(json);
        // Of the fields that aren't used, only the syntax is checked.
        let fields: HashMap<String, &RawValue> = serde_json::from_str(&json)
            .map_err(|error| reason::invalid_json(error.line(), error.column()))?;
        let value = |name: &str| match fields.get(name) {
            None => Ok(Json::Null),
            // An escaped surrogate without its other half passes for syntax and isn't text.
            Some(raw) => serde_json::from_str(raw.get()).map_err(|_| reason::not_text(name)),
        };
        let is_given = |name: &str| value(name).map_or(true, |value| !python::is_false(&value));
        const READ: [&str; 6] = ["conn_type", "host", "login", "password", "port", "uri"];
        if fields.keys().any(|name| !READ.contains(&name.as_str()) && !UNUSED.contains(&name.as_str())) {
            return Err(reason::UNKNOWN_FIELD.into());
        }
        let port = value("port")?;
        if !python::is_false(&port) && python::int(&port).is_none() {
            return Err(reason::INVALID_PORT.into());
        }
        match value("uri")? {
            Json::Null => {}
            Json::String(uri) => {
                let others = ["description", "host", "login", "password", "schema"];
                if others.iter().any(|name| fields.contains_key(*name))
                    || ["conn_type", "extra", "port"].iter().any(|name| is_given(name))
                {
                    return Err(reason::URI_AND_FIELDS.into());
                }
                return Self::from_uri(&uri);
            }
            _ => return Err(reason::not_text("uri")),
        }
        match value("conn_type")? {
            name if python::is_false(&name) => return Err(reason::NO_TYPE.into()),
            Json::String(name) if name.replace('-', "_") == CONN_TYPE => {}
            _ => return Err(reason::OTHER_TYPE.into()),
        }
        let host = match value("host")? {
            host if python::is_false(&host) => String::new(),
            Json::String(host) => host,
            _ => return Err(reason::not_text("host")),
        };
        // The hook asks for the account that `int` makes of a login other than text.
        let login = match value("login")? {
            login if python::is_false(&login) => String::new(),
            Json::String(login) => login,
            login => python::int(&login).ok_or(reason::not_text_or_number("login"))?,
        };
        let password = match value("password")? {
            password if python::is_false(&password) => String::new(),
            Json::String(password) => password,
            Json::Number(number) => python::whole(&number).ok_or(reason::not_text_or_number("password"))?,
            _ => return Err(reason::not_text_or_number("password")),
        };
        Ok(Self { host, login, password: Secret::new(password) })
    }
}
