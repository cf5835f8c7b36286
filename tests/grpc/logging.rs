//! What the provider writes to stderr, which Terraform puts into its log.

use terraform_provider_kms::plugin::value::Value;

use crate::{
    host::{Host, provider_config},
    kms_emulator::{CLIENT_SECRET, CONNECTIONS},
    resource::{TOKEN, apply, config, configure, emulator},
};

#[tokio::test]
async fn without_a_level_nothing_is_logged() {
    let emulator = emulator().await;
    let host = Host::start().await;
    let mut provider = host.provider();
    configure(&mut provider, &provider_config(&emulator.url(), &[])).await;
    apply(&mut provider, None, &config("analytics", &[])).await;
    let (_, _, log) = host.shut_down().await;
    assert_eq!(log, Vec::<String>::new());
}

#[tokio::test]
async fn lines_are_what_terraform_parses_and_each_request_is_one_without_secrets() {
    let emulator = emulator().await;
    let host = Host::start_with(&[("TF_LOG_PROVIDER", "TRACE")]).await;
    let mut provider = host.provider();
    configure(&mut provider, &provider_config(&emulator.url(), &[])).await;
    apply(&mut provider, None, &config("analytics", &[])).await;
    apply(&mut provider, None, &config("refused", &[("account_id", Value::string("not-a-number"))])).await;
    let (_, _, log) = host.shut_down().await;

    let timestamp = regex::Regex::new(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$").unwrap();
    let lines: Vec<serde_json::Value> =
        log.iter().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    for line in &lines {
        assert!(timestamp.is_match(line["@timestamp"].as_str().unwrap()), "{line}");
        assert!(line["@message"].is_string() && line["@level"].is_string(), "{line}");
    }
    let requests: Vec<_> = lines.iter().filter(|line| line["path"].is_string()).collect();
    let summary: Vec<_> = requests
        .iter()
        .map(|line| (line["method"].as_str().unwrap(), line["path"].as_str().unwrap(), &line["status"]))
        .collect();
    let login = crate::kms_emulator::LOGIN;
    assert_eq!(
        summary,
        [
            ("POST", login, &200.into()),
            ("POST", CONNECTIONS, &200.into()),
            ("POST", CONNECTIONS, &400.into())
        ]
    );
    for request in &requests {
        assert_eq!(request["@level"], "debug");
        assert_eq!(request["attempt"], 1);
        assert_eq!(request["tf_rpc"], "ApplyResourceChange");
        assert_eq!(request["tf_resource_type"], "kms_dbt_connection");
        assert!(request["duration_ms"].is_u64(), "{request}");
    }
    // The server tells the ID of a request only with an error.
    assert!(requests[2]["req_id"].is_string(), "{}", requests[2]);
    for secret in [TOKEN, CLIENT_SECRET] {
        assert!(!log.join("\n").contains(secret), "the log holds a secret");
    }
}
