//! What the provider writes to stderr, which Terraform puts into its log.

use kms_emulator::{CLIENT_SECRET, CONNECTIONS};
use terraform_provider_kms::plugin::value::Value;

use crate::{
    host::{Host, proto, provider_config},
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
    let login = kms_emulator::LOGIN;
    assert_eq!(
        summary,
        [
            ("POST", login, &200.into()),
            ("GET", CONNECTIONS, &200.into()),
            ("POST", CONNECTIONS, &200.into()),
            ("POST", CONNECTIONS, &400.into())
        ]
    );
    for (number, request) in requests.iter().enumerate() {
        assert_eq!(request["@level"], "debug");
        assert_eq!(request["attempt"], 1);
        let rpc = if number < 2 { "PlanResourceChange" } else { "ApplyResourceChange" };
        assert_eq!(request["tf_rpc"], rpc);
        assert_eq!(request["tf_resource_type"], "kms_dbt_connection");
        assert!(request["duration_ms"].is_u64(), "{request}");
    }
    // The server tells the ID of a request only with an error.
    assert!(requests[3]["req_id"].is_string(), "{}", requests[3]);
    for secret in [TOKEN, CLIENT_SECRET] {
        assert!(!log.join("\n").contains(secret), "the log holds a secret");
    }
}

/// The lines that a provider logs at a level while it creates a connection.
async fn lines_at(level: &str) -> Vec<serde_json::Value> {
    let emulator = emulator().await;
    let host = Host::start_with(&[("TF_LOG", level)]).await;
    let mut provider = host.provider();
    configure(&mut provider, &provider_config(&emulator.url(), &[])).await;
    apply(&mut provider, None, &config("analytics", &[])).await;
    let (_, _, log) = host.shut_down().await;
    log.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn is_own(line: &serde_json::Value) -> bool {
    line["@module"].as_str().unwrap().starts_with("terraform_provider_kms.")
}

#[tokio::test]
async fn at_debug_nothing_hides_the_requests() {
    let lines = lines_at("DEBUG").await;
    assert_eq!(lines.iter().filter(|line| line["path"].is_string()).count(), 3, "{lines:#?}");
    assert!(lines.iter().all(is_own), "{lines:#?}");
    let lines = lines_at("TRACE").await;
    assert!(lines.iter().all(is_own), "lines of other crates quote what a peer sends: {lines:#?}");
    assert!(lines.iter().any(|line| line["@message"] == "responded"), "{lines:#?}");
}

#[tokio::test]
async fn each_kind_of_type_has_a_key_of_its_own() {
    let host = Host::start_with(&[("TF_LOG", "TRACE")]).await;
    let mut provider = host.provider();
    let (connection, secret) = (|| "kms_dbt_connection".to_owned(), || "kms_secret".to_owned());
    let resource = proto::validate_resource_config::Request { type_name: connection(), ..Default::default() };
    provider.validate_resource_config(resource).await.unwrap();
    let source =
        proto::validate_data_resource_config::Request { type_name: connection(), ..Default::default() };
    provider.validate_data_resource_config(source).await.unwrap();
    let ephemeral =
        proto::validate_ephemeral_resource_config::Request { type_name: secret(), ..Default::default() };
    provider.validate_ephemeral_resource_config(ephemeral).await.unwrap();
    let list =
        proto::validate_list_resource_config::Request { type_name: connection(), ..Default::default() };
    provider.validate_list_resource_config(list).await.unwrap();
    let type_name = "kms_dbt_connection_test".to_owned();
    let action = proto::validate_action_config::Request { type_name, ..Default::default() };
    provider.validate_action_config(action).await.unwrap();
    provider.get_metadata(proto::get_metadata::Request {}).await.unwrap();
    let (_, _, log) = host.shut_down().await;

    let lines = log.iter().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let responses = lines.filter(|line| line["@message"] == "responded");
    let types: Vec<(String, String, String)> = responses
        .map(|line| {
            let fields = line.as_object().unwrap().iter();
            let mut types = fields.filter(|(key, _)| key.starts_with("tf_") && key.ends_with("_type"));
            let (key, name) = types.next().map(|(key, name)| (key.as_str(), name.as_str().unwrap())).unzip();
            assert_eq!(types.next(), None, "{line}");
            let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
            (text(line["tf_rpc"].as_str()), text(key), text(name))
        })
        .collect();
    let types: Vec<_> =
        types.iter().map(|(rpc, key, name)| (rpc.as_str(), key.as_str(), name.as_str())).collect();
    let expected = [
        ("ValidateResourceConfig", "tf_resource_type", "kms_dbt_connection"),
        ("ValidateDataResourceConfig", "tf_data_source_type", "kms_dbt_connection"),
        ("ValidateEphemeralResourceConfig", "tf_ephemeral_resource_type", "kms_secret"),
        ("ValidateListResourceConfig", "tf_list_resource_type", "kms_dbt_connection"),
        ("ValidateActionConfig", "tf_action_type", "kms_dbt_connection_test"),
        ("GetMetadata", "", ""),
    ];
    assert_eq!(types, expected);
}
