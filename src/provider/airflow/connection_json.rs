//! `airflow_connection_json`: a dbt connection as Airflow takes it, in JSON form.

use super::connection::{self, AirflowConnection};
use crate::plugin::{
    function::{Function, FunctionError, Signature},
    value::{Type, Value},
};

/// The function.
pub(in crate::provider) struct AirflowConnectionJson;

impl Function for AirflowConnectionJson {
    fn signature(&self) -> Signature {
        Signature {
            summary: "Formats a dbt connection as an Airflow connection in JSON",
            description: "Formats a dbt connection as JSON for Airflow's connection type `dbt_cloud`, with \
                          `conn_type`, `host`, `login` (the account ID) and `password` (the API token). Use \
                          it for the environment variable `AIRFLOW_CONN_<ID>` or for an Airflow secrets \
                          backend. The result is byte for byte the same as Airflow's own output: keys in \
                          this order, ASCII only.\n\n\
                          The result contains the API token. It is ephemeral or sensitive if an argument is. \
                          To keep the token out of state, pass an ephemeral value, and pass the result to a \
                          write-only attribute.",
            parameters: connection::connection_parameters(),
            result: Type::String,
        }
    }

    fn call(&self, arguments: Vec<Value>) -> Result<Value, FunctionError> {
        Ok(Value::String(AirflowConnection::from_arguments(arguments)?.to_json()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::airflow::connection::cases::{self, arguments};

    fn json(instance_url: &str, account_id: &str, api_token: &str) -> String {
        match AirflowConnectionJson.call(arguments(&[instance_url, account_id, api_token])) {
            Ok(Value::String(json)) => json,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_text_is_what_pythons_json_module_writes() {
        assert_eq!(
            json("https://emea.dbt.com", "12345", "dbtc_x"),
            r#"{"conn_type": "dbt_cloud", "host": "emea.dbt.com", "login": "12345", "password": "dbtc_x"}"#
        );
        assert_eq!(
            json("https://cloud.getdbt.com", "\"\\/", "é😀\n\0\u{7f}\u{2028}"),
            r#"{"conn_type": "dbt_cloud", "host": "cloud.getdbt.com", "login": "\"\\/", "password": "\u00e9\ud83d\ude00\n\u0000\u007f\u2028"}"#
        );
    }

    #[test]
    fn the_json_is_one_line_of_ascii_that_holds_just_what_was_given() {
        for case in cases::generate(2_000) {
            let json = json(&case.instance_url, &case.account_id, &case.api_token);
            assert!(json.bytes().all(|b| (b' '..=b'~').contains(&b)), "{json}");
            let expected = serde_json::json!({
                "conn_type": "dbt_cloud",
                "host": case.host,
                "login": case.account_id,
                "password": case.api_token,
            });
            assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap(), expected);
        }
    }
}
