//! `parse_airflow_connection`: a dbt connection from either form in which Airflow has it.

use std::collections::BTreeMap;

use super::connection::{self, AirflowConnection};
use crate::plugin::{
    function::{Function, FunctionError, Parameter, Signature},
    value::{Type, Value},
};

/// The function.
pub(in crate::provider) struct ParseAirflowConnection;

impl Function for ParseAirflowConnection {
    fn signature(&self) -> Signature {
        Signature {
            summary: "Parses an Airflow connection to dbt",
            description: "Parses an Airflow connection of the type `dbt_cloud`, in either of Airflow's formats, URI or \
                          JSON. The result is an object with `instance_url`, `account_id` and `api_token`: the \
                          arguments of `kms_dbt_connection`.\n\n\
                          If the connection has no host, the host is `cloud.getdbt.com`, as in Airflow. If the host \
                          is a URL or has a port or path, only the host name is used, as in the KMS: `instance_url` \
                          is always `https://` followed by the host name in lower case. The fields `extra`, `schema`, \
                          `port` and `description` are ignored.\n\n\
                          The result contains the API token. It is ephemeral or sensitive if the argument is.",
            parameters: vec![Parameter {
                name: "text",
                description: "The connection: a URI such as `dbt-cloud://ACCOUNT_ID:API_TOKEN@HOST`, or JSON with \
                              `conn_type`, `host`, `login` and `password`. Surrounding white space is ignored.",
                value_type: Type::String,
            }],
            result: Type::Object(BTreeMap::from(
                ["instance_url", "account_id", "api_token"].map(|name| (name.into(), Type::String)),
            )),
        }
    }

    fn call(&self, arguments: Vec<Value>) -> Result<Value, FunctionError> {
        let [text] = connection::texts(arguments)?;
        let refusal = |text| FunctionError { text, argument: Some(0) };
        AirflowConnection::parse(&text).map(AirflowConnection::into_value).map_err(refusal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::airflow::{
        AirflowConnectionJson, AirflowConnectionUri,
        connection::cases::{self, arguments},
    };

    fn parse(text: &str) -> Result<[String; 3], FunctionError> {
        let value = ParseAirflowConnection.call(arguments(&[text]))?;
        Ok(["instance_url", "account_id", "api_token"].map(|name| match value.attribute(name) {
            Some(Value::String(text)) => text.clone(),
            other => panic!("{name}: {other:?}"),
        }))
    }

    #[test]
    fn both_forms_come_back_as_they_went_in() {
        for case in cases::generate(2_000) {
            let expected =
                [format!("https://{}", case.host), case.account_id.clone(), case.api_token.clone()];
            let given = || arguments(&[&case.instance_url, &case.account_id, &case.api_token]);
            let functions: [&dyn Function; 2] = [&AirflowConnectionUri, &AirflowConnectionJson];
            for function in functions {
                let Ok(Value::String(text)) = function.call(given()) else { panic!("{case:?}") };
                assert_eq!(parse(&text).unwrap(), expected, "{text}");
                // The canonical instance URL gives the same connection.
                let again = function.call(arguments(&[&expected[0], &expected[1], &expected[2]]));
                assert_eq!(again, Ok(Value::String(text)));
            }
        }
    }

    #[test]
    fn connections_written_by_hand_are_read() {
        let cases = [
            // No host, in every way of having none.
            ("dbt-cloud://1:t@", "https://cloud.getdbt.com"),
            ("dbt-cloud://1:t@/?proxies=x", "https://cloud.getdbt.com"),
            (r#"{"conn_type":"dbt_cloud","login":"1","password":"t"}"#, "https://cloud.getdbt.com"),
            (
                r#"{"conn_type":"dbt_cloud","login":"1","password":"t","host":null}"#,
                "https://cloud.getdbt.com",
            ),
            (r#"{"conn_type":"dbt_cloud","login":"1","password":"t","host":""}"#, "https://cloud.getdbt.com"),
            // Either spelling of the type, in any case.
            ("dbt_cloud://1:t@emea.dbt.com", "https://emea.dbt.com"),
            ("DBT-CLOUD://1:t@emea.dbt.com", "https://emea.dbt.com"),
            (
                r#"{"conn_type":"dbt-cloud","login":"1","password":"t","host":"emea.dbt.com"}"#,
                "https://emea.dbt.com",
            ),
            // All that is ignored.
            ("dbt-cloud://1:t@emea.dbt.com:443/schema?__extra__=%7B%22a%22%3A1%7D#f", "https://emea.dbt.com"),
            (
                r#"{"conn_type":"dbt_cloud","description":"d","host":"emea.dbt.com","login":"1","password":"t",
                    "schema":"","port":443,"extra":{"proxies":{"http":"http://p"}},"more":[]}"#,
                "https://emea.dbt.com",
            ),
            // A host written as a URL; Airflow gives the first of them for such a connection.
            ("dbt-cloud://https://1:t@emea.dbt.com", "https://emea.dbt.com"),
            ("dbt-cloud://1:t@https%3A%2F%2Femea.dbt.com%2F", "https://emea.dbt.com"),
            (
                r#"{"conn_type":"dbt_cloud","login":"1","password":"t","host":"https://EMEA.dbt.com:8443/deploy/"}"#,
                "https://emea.dbt.com",
            ),
            (
                r#"{"conn_type":"dbt_cloud","login":"1","password":"t","host":"http://emea.dbt.com"}"#,
                "https://emea.dbt.com",
            ),
            // Letter case, port, path, an address.
            ("dbt-cloud://1:t@EMEA.dbt.com", "https://emea.dbt.com"),
            ("dbt-cloud://1:t@emea.dbt.com:8443", "https://emea.dbt.com"),
            (
                r#"{"conn_type":"dbt_cloud","login":"1","password":"t","host":"emea.dbt.com:8443/x"}"#,
                "https://emea.dbt.com",
            ),
            ("dbt-cloud://1:t@[::1]:8443", "https://[::1]"),
            // White space around a URI, and in one that was folded.
            ("\n dbt-cloud://1:\tt@emea.\ndbt.com\r\n", "https://emea.dbt.com"),
            (
                "\n {\"conn_type\":\"dbt_cloud\",\"login\":\"1\",\"password\":\"t\"}\n",
                "https://cloud.getdbt.com",
            ),
        ];
        for (text, instance_url) in cases {
            let expected = [instance_url, "1", "t"].map(str::to_owned);
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_uri_is_read_as_airflow_reads_it() {
        // The last @ and the first : part, a plus sign stays one, and stray percent signs do too.
        for (text, login, password) in [
            ("dbt-cloud://a:b:c@d@host", "a", "b:c@d"),
            ("dbt-cloud://a+b:c+d%2Be@host", "a+b", "c+d+e"),
            ("dbt-cloud://a%:100%25%zz@host", "a%", "100%%zz"),
            ("dbt-cloud://é:😀@host", "é", "😀"),
            ("dbt-cloud://%20a:b%20%0A@host", " a", "b \n"),
        ] {
            assert_eq!(parse(text).unwrap(), ["https://host", login, password].map(str::to_owned), "{text}");
        }
    }

    #[test]
    fn what_is_no_dbt_connection_is_refused_and_never_quoted() {
        const TOKEN: &str = "dbtc_SECRET";
        let no_login = "has no login, which holds the account ID";
        let no_password = "has no password, which holds the API token";
        let no_userinfo = "has no login and password before its host. Special characters in them must be \
                           percent-encoded, such as \"/\" as \"%2F\"";
        let neither = "must be an Airflow connection of the type dbt_cloud: a URI that begins with \"dbt-cloud://\", \
                       or JSON";
        let host = "has an invalid host. A host is a name such as \"emea.dbt.com\"";
        let cases = [
            ("".to_owned(), "must not be empty"),
            (" \n".to_owned(), "must not be empty"),
            (TOKEN.to_owned(), neither),
            (format!("https://1:{TOKEN}@emea.dbt.com"), neither),
            (format!("dbt-cloud:1:{TOKEN}@emea.dbt.com"), neither),
            (format!("[\"{TOKEN}\"]"), neither),
            (
                format!("{{\"conn_type\": \"dbt_cloud\",\n \"password\": \"{TOKEN}\""),
                "is not valid JSON (line 2, column 26)",
            ),
            (
                format!(r#"{{"conn_type":"http_SECRET","login":"1","password":"{TOKEN}"}}"#),
                "has a conn_type other than \"dbt_cloud\"",
            ),
            (
                format!(r#"{{"login":"1","password":"{TOKEN}"}}"#),
                "has no conn_type, which must be \"dbt_cloud\"",
            ),
            (
                format!(r#"{{"conn_type":"dbt_cloud","login":1,"password":"{TOKEN}"}}"#),
                "has a login that is not a string",
            ),
            (format!(r#"{{"conn_type":"dbt_cloud","password":"{TOKEN}"}}"#), no_login),
            (format!(r#"{{"conn_type":"dbt_cloud","login":"{TOKEN}","password":""}}"#), no_password),
            (format!("dbt-cloud://:{TOKEN}@emea.dbt.com"), no_login),
            (format!("dbt-cloud://1:{TOKEN}/x@emea.dbt.com"), no_userinfo),
            (format!("dbt-cloud://{TOKEN}@emea.dbt.com"), no_password),
            ("dbt-cloud://emea.dbt.com".to_owned(), no_userinfo),
            (
                format!("dbt-cloud://1:{TOKEN}%FF@emea.dbt.com"),
                "has a password whose percent-encoding is not of UTF-8 text",
            ),
            (format!("dbt-cloud://1:{TOKEN}@emea.dbt.com:SECRET"), "has a port that is not a number"),
            (format!("dbt-cloud://1:{TOKEN}@em%20ea"), host),
            (format!("dbt-cloud://1:{TOKEN}@%20"), host),
            (format!("dbt-cloud://1:{TOKEN}@ftp%3A%2F%2Fx"), host),
            (format!("dbt-cloud://1:{TOKEN}@u%40x"), host),
        ];
        for (text, expected) in cases {
            let error = parse(&text).unwrap_err();
            assert_eq!(error, FunctionError { text: expected.to_owned(), argument: Some(0) }, "{text}");
            assert!(!error.text.contains("SECRET"));
        }
    }
}
