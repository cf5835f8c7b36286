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
            description: "Parses an Airflow connection of the type `dbt_cloud`, in either of Airflow's \
                          formats, URI or JSON. The result is an object with `instance_url`, `account_id` \
                          and `api_token`: the arguments of `kms_dbt_connection`. The function accepts the \
                          connections that Airflow accepts, and reads the same values in them.\n\n\
                          `account_id` is null if the connection has no login, which Airflow allows. A login \
                          that is a number in JSON becomes its digits.\n\n\
                          If the connection has no host, the host is `cloud.getdbt.com`, as in Airflow. If \
                          the host is a URL or has a port or path, only the host name is used, as in the \
                          KMS: `instance_url` is always `https://` followed by the host name in lower case. \
                          The fields `extra`, `schema`, `port` and `description` are ignored.\n\n\
                          The result contains the API token. It is ephemeral or sensitive if the argument \
                          is.",
            parameters: vec![Parameter {
                name: "text",
                description: "The connection: a URI such as `dbt-cloud://ACCOUNT_ID:API_TOKEN@HOST`, or JSON \
                              with `conn_type`, `host`, `login` and `password`. Surrounding white space is \
                              ignored.",
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
        parse_optional(text).map(|[instance_url, account_id, api_token]| {
            [instance_url, account_id, api_token].map(Option::unwrap)
        })
    }

    /// With an attribute that is null as none.
    fn parse_optional(text: &str) -> Result<[Option<String>; 3], FunctionError> {
        let value = ParseAirflowConnection.call(arguments(&[text]))?;
        assert!(value.conforms_to(&ParseAirflowConnection.signature().result), "{value:?}");
        Ok(["instance_url", "account_id", "api_token"].map(|name| match value.attribute(name) {
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Null) => None,
            other => panic!("{name}: {other:?}"),
        }))
    }

    /// JSON of a connection with a token, and with further members.
    fn json_with(members: &str) -> String {
        format!(r#"{{"conn_type":"dbt_cloud","password":"t"{members}}}"#)
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
    fn hosts_are_read_as_airflow_calls_them() {
        let json = |host: &str| json_with(&format!(r#","login":"1","host":{host}"#));
        let cases = [
            // No host, in every way of having none.
            ("dbt-cloud://1:t@".to_owned(), "https://cloud.getdbt.com"),
            ("dbt-cloud://1:t@/?proxies=x".to_owned(), "https://cloud.getdbt.com"),
            (json_with(r#","login":"1""#), "https://cloud.getdbt.com"),
            (json("null"), "https://cloud.getdbt.com"),
            (json(r#""""#), "https://cloud.getdbt.com"),
            (json("false"), "https://cloud.getdbt.com"),
            // Letter case, port, path, user info, an address.
            ("dbt-cloud://1:t@EMEA.dbt.com".to_owned(), "https://emea.dbt.com"),
            ("dbt-cloud://1:t@emea.dbt.com:8443".to_owned(), "https://emea.dbt.com"),
            ("dbt-cloud://1:t@emea.dbt.com:".to_owned(), "https://emea.dbt.com"),
            ("dbt-cloud://1:t@u%40emea.dbt.com".to_owned(), "https://emea.dbt.com"),
            (json(r#""emea.dbt.com:8443/x y""#), "https://emea.dbt.com"),
            (json(r#""u:p@emea.dbt.com""#), "https://emea.dbt.com"),
            ("dbt-cloud://1:t@%5B%3A%3A1%5D:8443".to_owned(), "https://[::1]"),
            (json(r#""[::1]:8443""#), "https://[::1]"),
            // A host written as a URL; Airflow gives the first of them for such a connection.
            ("dbt-cloud://https://1:t@emea.dbt.com".to_owned(), "https://emea.dbt.com"),
            ("dbt-cloud://HTTP://1:t@emea.dbt.com".to_owned(), "https://emea.dbt.com"),
            ("dbt-cloud://1:t@https%3A%2F%2Femea.dbt.com%2F".to_owned(), "https://emea.dbt.com"),
            (json(r#""https://EMEA.dbt.com:8443/deploy/""#), "https://emea.dbt.com"),
            (json(r#""http://emea.dbt.com""#), "https://emea.dbt.com"),
        ];
        for (text, instance_url) in cases {
            assert_eq!(parse(&text), Ok([instance_url, "1", "t"].map(str::to_owned)), "{text}");
        }
    }

    #[test]
    fn an_account_may_be_missing_or_a_number() {
        let json = |login: &str| json_with(&format!(r#","login":{login}"#));
        let cases = [
            ("dbt-cloud://:t@".to_owned(), None),
            (json_with(""), None),
            (json("null"), None),
            (json(r#""""#), None),
            // What Python has for false.
            (json("false"), None),
            (json("0"), None),
            (json("-0.0"), None),
            (json("1e-400"), None),
            (json("[]"), None),
            (json("{}"), None),
            // What Python's `int` makes of the rest.
            (json("12345"), Some("12345")),
            (json("-5"), Some("-5")),
            (json("123456789012345678901234567890"), Some("123456789012345678901234567890")),
            (json("12345.0"), Some("12345")),
            (json("12345.9"), Some("12345")),
            (json("-0.5"), Some("0")),
            (json("1E+22"), Some("10000000000000000000000")),
            (json("true"), Some("1")),
            // Text is taken as it is.
            (json(r#""0""#), Some("0")),
            (json(r#"" 12_345 ""#), Some(" 12_345 ")),
        ];
        for (text, account_id) in cases {
            let [_, got, api_token] = parse_optional(&text).unwrap();
            assert_eq!((got.as_deref(), api_token.as_deref()), (account_id, Some("t")), "{text}");
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
            // What is not UTF-8 is replaced.
            ("dbt-cloud://a%FF:b%C3é%F0%9F%98@host", "a\u{fffd}", "b\u{fffd}é\u{fffd}"),
            // White space around, and in a URI that was folded.
            ("\n dbt-cloud://a:\tb@ho\nst\r\n\u{1c}\u{a0}", "a", "b"),
            ("\u{1}dbt-\ncloud://a:b@host", "a", "b"),
            ("dbt-cloud:\n//a:b@host", "a", "b"),
            ("DBT-CLOUD://a:b@host", "a", "b"),
            ("dbt-cloud://a:b@host:443/schema?__extra__=%7B%22a%22%3A1%7D&a=b@c#f", "a", "b"),
        ] {
            assert_eq!(parse(text).unwrap(), ["https://host", login, password].map(str::to_owned), "{text}");
        }
    }

    #[test]
    fn json_is_read_as_airflow_reads_it() {
        for members in [
            r#","schema":"","port":443,"extra":{"proxies":{"http":"http://p"}},"description":"d""#,
            r#","port":" +4_43 ""#,
            r#","port":443.9"#,
            r#","port":[],"extra":"not JSON","uri":null"#,
            // Python writes and reads numbers that JSON doesn't have, and half surrogates.
            r#","extra":[NaN,-Infinity,{"a":Infinity,"NaN\"Infinity":"NaN"}]"#,
            r#","description":"\ud800""#,
            // The last of two counts.
            r#","password":"x","password":"t""#,
            r#","conn_type":"http","conn_type":"dbt-cloud""#,
        ] {
            let text = format!("\n{}\u{85}", json_with(members));
            let [_, account_id, api_token] = parse_optional(&text).unwrap();
            assert_eq!((account_id, api_token.as_deref()), (None, Some("t")), "{text}");
        }
        let deep = format!(r#","extra":{}{}"#, "[".repeat(500), "]".repeat(500));
        assert!(parse_optional(&json_with(&deep)).is_ok());
        for (text, api_token) in [
            (r#"{"conn_type":"dbt_cloud","password":5}"#, "5"),
            (r#"{"uri":"dbt-cloud://:t@","conn_type":"","port":0,"extra":{}}"#, "t"),
        ] {
            let [_, _, got] = parse_optional(text).unwrap();
            assert_eq!(got.as_deref(), Some(api_token), "{text}");
        }
    }

    #[test]
    fn what_is_no_dbt_connection_is_refused_and_never_quoted() {
        const TOKEN: &str = "dbtc_SECRET";
        let no_password = "has no password, which holds the API token";
        let no_userinfo = "has no password before its host, which holds the API token. Special characters in \
                           it must be percent-encoded, such as \"/\" as \"%2F\"";
        let neither = "must be an Airflow connection of the type dbt_cloud: a URI that begins with \
                       \"dbt-cloud://\", or JSON";
        let host = "has an invalid host. A host is a name such as \"emea.dbt.com\"";
        let port = "has a port that is not a number";
        let further = "has another \"://\" after its scheme, where Airflow accepts only \"https://\" of a \
                       host. Write others as \"%3A%2F%2F\"";
        let bracket =
            "has a square bracket before its path. In a URI, write \"[\" as \"%5B\" and \"]\" as \"%5D\"";
        let lookalike = "has a character before its path that Airflow refuses because it can be mistaken for \
                         \"/\", \"?\", \"#\", \"@\" or \":\". It must be percent-encoded";
        let unknown = "has a field that is not one of an Airflow connection: conn_type, description, extra, \
                       host, login, password, port, schema and uri";
        let uri_and_fields = "has both a uri and other fields. Airflow accepts one or the other";
        let other_type = "has a conn_type other than \"dbt_cloud\"";
        let json = |members: &str| format!(r#"{{"conn_type":"dbt_cloud","password":"{TOKEN}"{members}}}"#);
        let cases = [
            ("".to_owned(), "must not be empty"),
            (" \n".to_owned(), "must not be empty"),
            (TOKEN.to_owned(), neither),
            (format!("https://1:{TOKEN}@emea.dbt.com"), neither),
            (format!("[\"{TOKEN}\"]"), neither),
            (format!("\u{feff}{}", json("")), neither),
            (format!("\u{feff}dbt-cloud://1:{TOKEN}@"), neither),
            (
                format!("dbt_cloud://1:{TOKEN}@emea.dbt.com"),
                "must begin with \"dbt-cloud://\", with a hyphen: Airflow reads nothing from a URI whose \
                 scheme has an underscore",
            ),
            (
                format!("{{\"conn_type\": \"dbt_cloud\",\n \"password\": \"{TOKEN}\""),
                "is not valid JSON (line 2, column 26)",
            ),
            (json(",}").replace("}}", "}"), "is not valid JSON (line 1, column 51)"),
            (json(r#","conn_type":"http_SECRET""#), other_type),
            (json(r#","conn_type":"DBT_CLOUD""#), other_type),
            (json(r#","conn_type":["dbt_cloud"]"#), other_type),
            (format!(r#"{{"password":"{TOKEN}"}}"#), "has no conn_type, which must be \"dbt_cloud\""),
            (json(r#","login":["SECRET"]"#), "has a login that is neither text nor a number with digits"),
            (json(r#","login":NaN"#), "has a login that is neither text nor a number with digits"),
            (json(r#","login":-1e309"#), "has a login that is neither text nor a number with digits"),
            (
                json(&format!(r#","login":{}"#, "1".repeat(4_301))),
                "has a login that is neither text nor a number with digits",
            ),
            (
                json(r#","password":["SECRET"]"#),
                "has a password that is neither text nor a number with digits",
            ),
            (
                json(&format!(r#","password":{}"#, "1".repeat(4_301))),
                "has a password that is neither text nor a number with digits",
            ),
            (json(r#","login":"\ud800""#), "has a login that is not valid text"),
            (json(r#","password":"SECRET\ud800""#), "has a password that is not valid text"),
            (json(r#","host":5"#), "has a host that is not valid text"),
            (json(r#","uri":5"#), "has a uri that is not valid text"),
            (json(r#","port":"SECRET""#), port),
            (json(r#","port":"4__3""#), port),
            (json(r#","port":Infinity"#), port),
            (json(r#","port":[443]"#), port),
            (json(r#","SECRET":1"#), unknown),
            (json(r#","conn_id":"dbt_cloud_default""#), unknown),
            (json(&format!(r#","uri":"dbt-cloud://:{TOKEN}@""#)), uri_and_fields),
            (format!(r#"{{"uri":"dbt-cloud://:{TOKEN}@","host":null}}"#), uri_and_fields),
            (format!(r#"{{"conn_type":"dbt_cloud","login":"{TOKEN}","password":""}}"#), no_password),
            (format!(r#"{{"conn_type":"dbt_cloud","login":"{TOKEN}","password":0}}"#), no_password),
            (format!("dbt-cloud://1:{TOKEN}/x@emea.dbt.com"), no_userinfo),
            (format!("dbt-cloud:1:{TOKEN}@emea.dbt.com"), no_userinfo),
            (format!("dbt-cloud://{TOKEN}@emea.dbt.com"), no_password),
            ("dbt-cloud://emea.dbt.com".to_owned(), no_userinfo),
            (format!("dbt-cloud://1:{TOKEN}@emea.dbt.com/?proxy=http://p"), further),
            (format!("dbt-cloud://1:{TOKEN}://@emea.dbt.com"), further),
            (format!("dbt-cloud://https://1:{TOKEN}@emea.dbt.com/?proxy=http://p"), further),
            (format!("dbt-cloud://1:{TOKEN}[@emea.dbt.com"), bracket),
            (format!("dbt-cloud://1:{TOKEN}[x]@emea.dbt.com"), bracket),
            (format!("dbt-cloud://1:{TOKEN}@[::1]:8443"), bracket),
            (format!("dbt-cloud://1:{TOKEN}＠@emea.dbt.com"), lookalike),
            (format!("dbt-cloud://1:{TOKEN}℀@emea.dbt.com"), lookalike),
            (format!("dbt-cloud://1:{TOKEN}@emea.dbt.com:SECRET"), port),
            (format!("dbt-cloud://1:{TOKEN}@emea.dbt.com:+443"), port),
            (format!("dbt-cloud://1:{TOKEN}@emea.dbt.com:65536"), port),
            (format!("dbt-cloud://1:{TOKEN}@em%20ea"), host),
            (format!("dbt-cloud://1:{TOKEN}@em%09ea"), host),
            (format!("dbt-cloud://1:{TOKEN}@em%22ea"), host),
            (format!("dbt-cloud://1:{TOKEN}@emea\u{200b}"), host),
            (format!("dbt-cloud://1:{TOKEN}@em%C2%ADea"), host),
            (format!("dbt-cloud://1:{TOKEN}@%20"), host),
            (format!("dbt-cloud://1:{TOKEN}@%2Fx"), host),
            (format!("dbt-cloud://1:{TOKEN}@*.dbt.com"), host),
            (format!("dbt-cloud://1:{TOKEN}@ftp%3A%2F%2Fx"), host),
            (format!("dbt-cloud://1:{TOKEN}@%3A%3A1"), host),
        ];
        for (text, expected) in cases {
            let error = parse_optional(&text).unwrap_err();
            assert_eq!(error, FunctionError { text: expected.to_owned(), argument: Some(0) }, "{text}");
            assert!(!error.text.contains("SECRET"));
        }
    }

    #[test]
    fn errors_never_quote_a_text() {
        let texts = cases::texts(10_000);
        let errors: Vec<_> = texts.iter().filter_map(|text| parse_optional(text).err()).collect();
        assert!(errors.iter().all(|error| error.argument == Some(0) && !error.text.contains("S3CR3T")));
        assert!(errors.len() > 2_000 && errors.len() < texts.len() - 2_000, "{} refused", errors.len());
    }
}
