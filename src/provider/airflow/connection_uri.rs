//! `airflow_connection_uri`: a dbt connection as Airflow takes it, in URI form.

use super::connection::{self, AirflowConnection};
use crate::plugin::{
    function::{Function, FunctionError, Signature},
    value::{Type, Value},
};

/// The function.
pub(in crate::provider) struct AirflowConnectionUri;

impl Function for AirflowConnectionUri {
    fn signature(&self) -> Signature {
        Signature {
            summary: "Formats a dbt connection as an Airflow connection URI",
            description: "Formats a dbt connection as a URI for Airflow's connection type `dbt_cloud`: \
                          `dbt-cloud://ACCOUNT_ID:API_TOKEN@HOST`. Use it for the environment variable \
                          `AIRFLOW_CONN_<ID>` or for an Airflow secrets backend. Special characters are \
                          percent-encoded, and the result is byte for byte the same as Airflow's own \
                          output.\n\n\
                          The result contains the API token. It is ephemeral or sensitive if an argument is. \
                          To keep the token out of state, pass an ephemeral value, and pass the result to a \
                          write-only attribute.",
            parameters: connection::connection_parameters(),
            result: Type::String,
        }
    }

    fn call(&self, arguments: Vec<Value>) -> Result<Value, FunctionError> {
        Ok(Value::String(AirflowConnection::from_arguments(arguments)?.to_uri()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::airflow::connection::cases::{self, arguments};

    fn uri(instance_url: &str, account_id: &str, api_token: &str) -> String {
        match AirflowConnectionUri.call(arguments(&[instance_url, account_id, api_token])) {
            Ok(Value::String(uri)) => uri,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn everything_special_is_percent_encoded() {
        let cases = [
            (("https://emea.dbt.com", "12345", "dbtc_a-B.9~"), "dbt-cloud://12345:dbtc_a-B.9~@emea.dbt.com"),
            (
                ("https://x", "a:b@c/d", "?#[]%20+ &="),
                "dbt-cloud://a%3Ab%40c%2Fd:%3F%23%5B%5D%2520%2B%20%26%3D@x",
            ),
            (("https://x", "é", "😀\n\0\u{7f}"), "dbt-cloud://%C3%A9:%F0%9F%98%80%0A%00%7F@x"),
            (("https://x", "://", "dbt-cloud://"), "dbt-cloud://%3A%2F%2F:dbt-cloud%3A%2F%2F@x"),
            // Bare brackets would be lost on Airflow, which takes what is between them for the host.
            (("https://[::1]", "1", "t"), "dbt-cloud://1:t@%5B%3A%3A1%5D"),
        ];
        for ((instance_url, account_id, api_token), expected) in cases {
            assert_eq!(uri(instance_url, account_id, api_token), expected);
        }
    }

    #[test]
    fn the_uri_has_one_login_one_password_and_one_host_whatever_they_hold() {
        for case in cases::generate(2_000) {
            let uri = uri(&case.instance_url, &case.account_id, &case.api_token);
            let rest = uri.strip_prefix("dbt-cloud://").unwrap();
            let plain = |part: &str| {
                !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b))
            };
            let (userinfo, host) = rest.split_once('@').unwrap();
            let (login, password) = userinfo.split_once(':').unwrap();
            assert!(plain(login) && plain(password) && plain(host), "{uri}");
        }
    }
}
