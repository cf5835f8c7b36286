//! A provider that can't reach the KMS yet: it has no credentials, or its block has unknown values.

use kms_emulator::{CLIENT_ID, CLIENT_SECRET, Emulator, PROJECT_ID};
use terraform_provider_kms::{
    plugin::{
        provider::{Provider as _, TypeKind},
        value::{Type, Value},
    },
    provider::KmsProvider,
};

use crate::{
    host::{Host, Provider, message, object, proto, provider_config, told, unknown_with_prefix, value},
    resource::{TYPE_NAME, config, emulator, proposed, resource_type, set},
};

const ID: &str = "6f1f7c0e-6a5b-4d0e-9c3a-0123456789ab";
const NO_CREDENTIALS: &str = "error [] No credentials configured";
const NOT_KNOWN_YET: &str = "error [] The provider's configuration is not known yet";
const PROVIDER_CONFIG_UNKNOWN: i32 = 2;

/// What a call returned, as far as it concerns these tests.
#[derive(Debug)]
struct Answer {
    call: String,
    told: Vec<String>,
    details: String,
    deferred: Option<i32>,
}

impl Answer {
    fn new(call: &str, diagnostics: &[proto::Diagnostic], deferred: Option<proto::Deferred>) -> Self {
        Self {
            call: call.to_owned(),
            told: told(diagnostics),
            details: diagnostics.iter().map(|diagnostic| diagnostic.detail.as_str()).collect(),
            deferred: deferred.map(|deferred| deferred.reason),
        }
    }
}

pub fn schema(kind: TypeKind, name: &str) -> Type {
    let types = KmsProvider::new(|_| None).types();
    let found = types.schemas(kind).into_iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("no {kind:?} {name}")).1.value_type().clone()
}

fn capabilities(deferral_allowed: bool) -> Option<proto::ClientCapabilities> {
    Some(proto::ClientCapabilities {
        deferral_allowed,
        write_only_attributes_allowed: true,
        ..Default::default()
    })
}

async fn configure(
    provider: &mut Provider,
    version: &str,
    config: &Value,
    deferral_allowed: bool,
) -> Vec<String> {
    let request = proto::configure_provider::Request {
        terraform_version: version.into(),
        config: message(config),
        client_capabilities: capabilities(deferral_allowed),
    };
    told(&provider.configure_provider(request).await.unwrap().into_inner().diagnostics)
}

/// The state of a connection that exists.
fn stored() -> Value {
    let stored = set(&proposed(&Value::Null, &config("analytics", &[])), "api_token", Value::Null);
    ["org_id", "method", "created_at", "updated_at", "credentials_hash"]
        .iter()
        .fold(set(&stored, "id", Value::string(ID)), |state, name| set(&state, name, Value::string("x")))
}

fn identity() -> Option<proto::ResourceIdentityData> {
    let identity = Value::Map([("id".into(), Value::string(ID))].into());
    Some(proto::ResourceIdentityData { identity_data: message(&identity) })
}

fn plan_request(
    prior: &Value,
    config: &Value,
    deferral_allowed: bool,
) -> proto::plan_resource_change::Request {
    let proposed = if config.is_null() { Value::Null } else { proposed(prior, config) };
    proto::plan_resource_change::Request {
        type_name: TYPE_NAME.into(),
        prior_state: message(prior),
        proposed_new_state: message(&proposed),
        config: message(config),
        prior_private: b"{\"kept\":1}".to_vec(),
        prior_identity: if prior.is_null() { None } else { identity() },
        client_capabilities: capabilities(deferral_allowed),
        ..Default::default()
    }
}

async fn plan(
    provider: &mut Provider,
    prior: &Value,
    config: &Value,
    deferral_allowed: bool,
) -> proto::plan_resource_change::Response {
    let request = plan_request(prior, config, deferral_allowed);
    provider.plan_resource_change(request).await.unwrap().into_inner()
}

async fn read(
    provider: &mut Provider,
    state: &Value,
    deferral_allowed: bool,
) -> proto::read_resource::Response {
    let request = proto::read_resource::Request {
        type_name: TYPE_NAME.into(),
        current_state: message(state),
        private: b"{\"kept\":1}".to_vec(),
        current_identity: identity(),
        client_capabilities: capabilities(deferral_allowed),
        ..Default::default()
    };
    provider.read_resource(request).await.unwrap().into_inner()
}

async fn import(
    provider: &mut Provider,
    id: Option<&str>,
    deferral_allowed: bool,
) -> proto::import_resource_state::Response {
    let request = proto::import_resource_state::Request {
        type_name: TYPE_NAME.into(),
        id: id.unwrap_or_default().into(),
        identity: if id.is_none() { identity() } else { None },
        client_capabilities: capabilities(deferral_allowed),
    };
    provider.import_resource_state(request).await.unwrap().into_inner()
}

async fn read_data(
    provider: &mut Provider,
    name: &str,
    config: &Value,
    deferral_allowed: bool,
) -> proto::read_data_source::Response {
    let request = proto::read_data_source::Request {
        type_name: name.into(),
        config: message(config),
        client_capabilities: capabilities(deferral_allowed),
        ..Default::default()
    };
    provider.read_data_source(request).await.unwrap().into_inner()
}

fn secret_config() -> Value {
    object(
        &schema(TypeKind::EphemeralResource, "kms_secret"),
        &[
            ("name", Value::string("DBT_TOKEN")),
            ("workspace_id", Value::string(PROJECT_ID)),
            ("env_slug", Value::string("prod")),
        ],
    )
}

async fn open(provider: &mut Provider, deferral_allowed: bool) -> proto::open_ephemeral_resource::Response {
    let request = proto::open_ephemeral_resource::Request {
        type_name: "kms_secret".into(),
        config: message(&secret_config()),
        client_capabilities: capabilities(deferral_allowed),
    };
    provider.open_ephemeral_resource(request).await.unwrap().into_inner()
}

/// The data sources, each with a configuration.
fn data_sources() -> Vec<(&'static str, Value)> {
    let config =
        |name, attributes: &[(&str, Value)]| (name, object(&schema(TypeKind::DataSource, name), attributes));
    vec![
        config("kms_dbt_connection", &[("id", Value::string(ID))]),
        config("kms_dbt_connections", &[]),
        config("kms_dbt_projects", &[("connection_id", Value::string(ID))]),
        config("kms_dbt_service_token_rotation", &[("id", Value::string(ID))]),
        config("kms_project", &[("slug", Value::string("analytics"))]),
    ]
}

/// Calls that may be deferred, of every kind of type.
async fn deferrable_calls(provider: &mut Provider, deferral_allowed: bool) -> Vec<Answer> {
    let mut answers = Vec::new();
    // Without a token, so that nothing is to say about one.
    let changed = config("analytics", &[("description", Value::string("new")), ("api_token", Value::Null)]);
    for (call, prior, config) in [
        ("plan of a create", Value::Null, config("orders", &[])),
        ("plan of an update", stored(), changed),
        ("plan of a destroy", stored(), Value::Null),
    ] {
        let answer = plan(provider, &prior, &config, deferral_allowed).await;
        answers.push(Answer::new(call, &answer.diagnostics, answer.deferred));
    }
    let answer = read(provider, &stored(), deferral_allowed).await;
    answers.push(Answer::new("read", &answer.diagnostics, answer.deferred));
    for id in [Some(ID), Some("analytics"), None] {
        let answer = import(provider, id, deferral_allowed).await;
        answers.push(Answer::new(&format!("import of {id:?}"), &answer.diagnostics, answer.deferred));
    }
    let known = KmsProvider::new(|_| None).types().schemas(TypeKind::DataSource).len();
    assert_eq!(data_sources().len(), known, "a data source is missing here");
    for (name, config) in data_sources() {
        let answer = read_data(provider, name, &config, deferral_allowed).await;
        answers.push(Answer::new(name, &answer.diagnostics, answer.deferred));
    }
    let answer = open(provider, deferral_allowed).await;
    answers.push(Answer::new("ephemeral kms_secret", &answer.diagnostics, answer.deferred));
    for (name, config) in actions() {
        let request = proto::plan_action::Request {
            action_type: name.into(),
            config: message(&config),
            client_capabilities: capabilities(deferral_allowed),
        };
        let answer = provider.plan_action(request).await.unwrap().into_inner();
        answers.push(Answer::new(&format!("plan of {name}"), &answer.diagnostics, answer.deferred));
    }
    answers
}

fn actions() -> [(&'static str, Value); 2] {
    let config =
        |name, attribute| (name, object(&schema(TypeKind::Action, name), &[(attribute, Value::string(ID))]));
    [
        config("kms_dbt_connection_test", "connection_id"),
        config("kms_dbt_service_token_rotate", "rotation_id"),
    ]
}

/// Calls that the protocol can't defer.
async fn other_calls(provider: &mut Provider) -> Vec<Answer> {
    let mut answers = Vec::new();
    for (call, prior, config) in
        [("create", Value::Null, config("analytics", &[])), ("delete", stored(), Value::Null)]
    {
        let planned = if config.is_null() { Value::Null } else { set(&config, "api_token", Value::Null) };
        let request = proto::apply_resource_change::Request {
            type_name: TYPE_NAME.into(),
            prior_state: message(&prior),
            planned_state: message(&planned),
            config: message(&config),
            ..Default::default()
        };
        let answer = provider.apply_resource_change(request).await.unwrap().into_inner();
        assert_eq!(value(answer.new_state, &resource_type()), prior, "{call}");
        answers.push(Answer::new(call, &answer.diagnostics, None));
    }
    for name in ["kms_dbt_connection", "kms_dbt_service_token_rotation"] {
        let request = proto::list_resource::Request {
            type_name: name.into(),
            config: message(&object(&schema(TypeKind::ListResource, name), &[])),
            limit: 100,
            ..Default::default()
        };
        let mut events = provider.list_resource(request).await.unwrap().into_inner();
        let event = events.message().await.unwrap().unwrap();
        answers.push(Answer::new(&format!("list of {name}"), &event.diagnostic, None));
    }
    for (name, config) in actions() {
        use proto::invoke_action::event::Type;
        let request = proto::invoke_action::Request {
            action_type: name.into(),
            config: message(&config),
            client_capabilities: capabilities(true),
        };
        let mut events = provider.invoke_action(request).await.unwrap().into_inner();
        let Some(Type::Completed(completed)) = events.message().await.unwrap().unwrap().r#type else {
            panic!("{name} began");
        };
        answers.push(Answer::new(name, &completed.diagnostics, None));
    }
    answers
}

/// The provider block for a KMS, without a login.
fn block_without_login(url: &str) -> Value {
    set(&provider_config(url, &[]), "auth", Value::Null)
}

async fn without_credentials(emulator: &Emulator, environment: &[(&str, &str)]) -> (Host, Provider) {
    let host = Host::start_with(environment).await;
    let mut provider = host.provider();
    let block = block_without_login(&emulator.url());
    assert_eq!(configure(&mut provider, "1.15.5", &block, false).await, Vec::<String>::new());
    (host, provider)
}

#[tokio::test]
async fn missing_credentials_are_an_error_of_whatever_needs_the_kms() {
    let emulator = emulator().await;
    let (_host, mut provider) = without_credentials(&emulator, &[]).await;
    // What is missing doesn't become known by waiting.
    for deferral_allowed in [false, true] {
        for answer in deferrable_calls(&mut provider, deferral_allowed).await {
            assert_eq!(
                (&answer.told[..], answer.deferred),
                (&[NO_CREDENTIALS.to_owned()][..], None),
                "{answer:?}"
            );
            assert!(answer.details.contains("auth.universal, or KMS_UNIVERSAL_AUTH_CLIENT_ID"), "{answer:?}");
        }
    }
    for answer in other_calls(&mut provider).await {
        assert_eq!(answer.told, [NO_CREDENTIALS], "{answer:?}");
    }
    assert!(emulator.requests().is_empty());
}

#[tokio::test]
async fn what_needs_no_kms_needs_no_credentials() {
    let emulator = emulator().await;
    let (_host, mut provider) = without_credentials(&emulator, &[]).await;
    let request = proto::validate_resource_config::Request {
        type_name: TYPE_NAME.into(),
        config: message(&config("analytics", &[])),
        client_capabilities: capabilities(false),
    };
    let answer = provider.validate_resource_config(request).await.unwrap().into_inner();
    assert_eq!(told(&answer.diagnostics), Vec::<String>::new());
    let arguments = ["https://cloud.getdbt.com", "12345", "dbtu_x"];
    let request = proto::call_function::Request {
        name: "airflow_connection_uri".into(),
        arguments: arguments.iter().filter_map(|text| message(&Value::string(*text))).collect(),
    };
    let answer = provider.call_function(request).await.unwrap().into_inner();
    assert_eq!(answer.error, None);
    // As `plan -refresh=false` without a change.
    let answer = plan(&mut provider, &stored(), &set(&stored(), "id", Value::Null), false).await;
    assert_eq!(told(&answer.diagnostics), Vec::<String>::new());
    assert_eq!(value(answer.planned_state, &resource_type()), stored());
}

#[tokio::test]
async fn an_incomplete_login_is_an_error_of_the_first_call() {
    let emulator = emulator().await;
    let id = ("KMS_UNIVERSAL_AUTH_CLIENT_ID", CLIENT_ID);
    let (_host, mut provider) = without_credentials(&emulator, &[id]).await;
    let answer = read(&mut provider, &stored(), false).await;
    assert_eq!(told(&answer.diagnostics), ["error [] Incomplete login"]);
    assert!(answer.diagnostics[0].detail.contains("KMS_UNIVERSAL_AUTH_CLIENT_SECRET"));
    assert!(!answer.diagnostics[0].detail.contains(CLIENT_ID));

    let oidc = [("KMS_OIDC_AUTH_TOKEN_NAME", "CI_JWT"), ("KMS_MACHINE_IDENTITY_ID", ID)];
    let (_host, mut provider) = without_credentials(&emulator, &oidc).await;
    let answer = open(&mut provider, false).await;
    assert_eq!(told(&answer.diagnostics), ["error [] Incomplete login"]);
    assert!(answer.diagnostics[0].detail.contains("CI_JWT"), "{}", answer.diagnostics[0].detail);
}

#[tokio::test]
async fn contradictions_in_the_provider_block_are_errors_at_once() {
    let emulator = emulator().await;
    let both = [
        ("KMS_UNIVERSAL_AUTH_CLIENT_ID", CLIENT_ID),
        ("KMS_UNIVERSAL_AUTH_CLIENT_SECRET", CLIENT_SECRET),
        ("KMS_TOKEN", "t"),
    ];
    let block = block_without_login(&emulator.url());
    let host = Host::start_with(&both).await;
    let refused = configure(&mut host.provider(), "1.15.5", &block, true).await;
    assert_eq!(refused, ["error [auth] Several ways to log in"]);
    let host = Host::start().await;
    for (attribute, bad) in
        [("host", "kms.example.com"), ("request_timeout", "soon"), ("max_retry_wait", "-1s")]
    {
        let block = set(&block, attribute, Value::string(bad));
        let refused = configure(&mut host.provider(), "1.15.5", &block, true).await;
        assert_eq!(refused, [format!("error [{attribute}] Invalid {attribute}")]);
    }
}

#[tokio::test]
async fn a_file_with_a_token_is_read_at_the_first_login() {
    let emulator = emulator().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let environment = [
        ("KMS_MACHINE_IDENTITY_ID", kms_emulator::IDENTITY_ID),
        ("KMS_KUBERNETES_SERVICE_ACCOUNT_TOKEN_PATH", file.to_str().unwrap()),
    ];
    let (_host, mut provider) = without_credentials(&emulator, &environment).await;
    let planned = plan(&mut provider, &Value::Null, &config("analytics", &[]), false).await;
    assert!(planned.deferred.is_none());
    let answer = read(&mut provider, &stored(), false).await;
    assert_eq!(answer.diagnostics.len(), 1);
    assert!(answer.diagnostics[0].detail.contains("token"), "{:?}", answer.diagnostics);
    std::fs::write(&file, kms_emulator::JWT).unwrap();
    let answer = read_data(&mut provider, "kms_dbt_connections", &data_sources()[1].1, false).await;
    assert_eq!(told(&answer.diagnostics), Vec::<String>::new());
}

async fn with_unknown_host(emulator: &Emulator, version: &str, deferral_allowed: bool) -> (Host, Provider) {
    let host = Host::start().await;
    let mut provider = host.provider();
    let block = set(&provider_config(&emulator.url(), &[]), "host", unknown_with_prefix("https://"));
    assert_eq!(configure(&mut provider, version, &block, deferral_allowed).await, Vec::<String>::new());
    (host, provider)
}

#[tokio::test]
async fn an_unknown_provider_block_defers_what_needs_the_kms() {
    let emulator = emulator().await;
    let (_host, mut provider) = with_unknown_host(&emulator, "1.15.5", true).await;
    for answer in deferrable_calls(&mut provider, true).await {
        assert_eq!(
            (&answer.told[..], answer.deferred),
            (&[][..], Some(PROVIDER_CONFIG_UNKNOWN)),
            "{answer:?}"
        );
    }
    for answer in other_calls(&mut provider).await {
        assert_eq!(answer.told, [NOT_KNOWN_YET], "{answer:?}");
    }
    assert!(emulator.requests().is_empty());
}

#[tokio::test]
async fn an_unknown_provider_block_fails_what_needs_the_kms_without_deferral() {
    let emulator = emulator().await;
    let (_host, mut provider) = with_unknown_host(&emulator, "1.15.5", false).await;
    for answer in deferrable_calls(&mut provider, false).await {
        assert_eq!(answer.deferred, None, "{answer:?}");
        let expected: &[&str] = match answer.call.as_str() {
            // The apply needs the KMS, and by then the block is known. An import by ID is read next.
            call if call.starts_with("plan of") => &[],
            call if call.starts_with("import of") && !call.contains("analytics") => &[],
            _ => &[NOT_KNOWN_YET],
        };
        assert_eq!(answer.told, expected, "{answer:?}");
    }
    assert!(emulator.requests().is_empty());
}

#[tokio::test]
async fn a_deferred_response_has_what_is_known_and_nothing_write_only() {
    let emulator = emulator().await;
    let (_host, mut provider) = with_unknown_host(&emulator, "1.15.5", true).await;
    let state_type = resource_type();

    let answer = plan(&mut provider, &Value::Null, &config("analytics", &[]), true).await;
    let planned = value(answer.planned_state, &state_type);
    assert_eq!(planned.attribute("name"), Some(&Value::string("analytics")));
    assert_eq!(planned.attribute("api_token"), Some(&Value::Null));
    assert!(planned.attribute("id").unwrap().is_unknown());

    let moved = config("analytics", &[("project_id", Value::string(PROJECT_ID))]);
    let answer = plan(&mut provider, &stored(), &moved, true).await;
    let planned = value(answer.planned_state, &state_type);
    assert_eq!(planned.attribute("project_id"), Some(&Value::string(PROJECT_ID)));
    assert_eq!(planned.attribute("api_token"), Some(&Value::Null));
    assert_eq!(answer.requires_replace.len(), 1);
    assert_eq!(answer.planned_private, b"{\"kept\":1}");
    assert_eq!(answer.planned_identity, identity());

    let answer = plan(&mut provider, &stored(), &Value::Null, true).await;
    assert_eq!(value(answer.planned_state, &state_type), Value::Null);

    let answer = read(&mut provider, &stored(), true).await;
    assert_eq!(value(answer.new_state, &state_type), stored());
    assert_eq!((answer.private, answer.new_identity), (b"{\"kept\":1}".to_vec(), identity()));

    let (name, config) = &data_sources()[4];
    let answer = read_data(&mut provider, name, config, true).await;
    let state = value(answer.state, &schema(TypeKind::DataSource, name));
    assert_eq!(state.attribute("slug"), Some(&Value::string("analytics")));
    assert!(state.attribute("environments").unwrap().is_unknown());

    let answer = open(&mut provider, true).await;
    let result = value(answer.result, &schema(TypeKind::EphemeralResource, "kms_secret"));
    assert_eq!(result.attribute("name"), Some(&Value::string("DBT_TOKEN")));
    assert!(result.attribute("value").unwrap().is_unknown());
}

/// Core reads and plans what a deferred import returned, as with any import.
#[tokio::test]
async fn a_deferred_import_is_unknown_until_it_can_be_read() {
    let emulator = emulator().await;
    let (_host, mut provider) = with_unknown_host(&emulator, "1.15.5", true).await;
    for id in [Some(ID), Some("analytics"), None] {
        let answer = import(&mut provider, id, true).await;
        let [imported] = &answer.imported_resources[..] else { panic!("{answer:?}") };
        assert_eq!(imported.type_name, TYPE_NAME);
        // Core insists on an identity after an import by identity.
        assert_eq!(imported.identity, if id.is_none() { identity() } else { None });
        let state = value(imported.state.clone(), &resource_type());
        assert!(state.is_unknown());

        let answer = read(&mut provider, &state, true).await;
        assert_eq!(told(&answer.diagnostics), Vec::<String>::new());
        assert!(answer.deferred.is_some());
        assert!(value(answer.new_state, &resource_type()).is_unknown());
        let answer = plan(&mut provider, &state, &config("analytics", &[]), true).await;
        assert_eq!(told(&answer.diagnostics), Vec::<String>::new());
        assert!(answer.deferred.is_some());
        let planned = value(answer.planned_state, &resource_type());
        assert_eq!(planned.attribute("name"), Some(&Value::string("analytics")));
        assert_eq!(planned.attribute("api_token"), Some(&Value::Null));
        assert!(answer.requires_replace.is_empty());
    }
}

/// Terraform says in ConfigureProvider alone whether an ephemeral resource may be deferred.
#[tokio::test]
async fn an_ephemeral_resource_is_deferred_if_the_client_said_so_at_first() {
    let emulator = emulator().await;
    let (_host, mut provider) = with_unknown_host(&emulator, "1.15.5", true).await;
    let answer = open(&mut provider, false).await;
    assert_eq!((told(&answer.diagnostics), answer.deferred.map(|it| it.reason)), (vec![], Some(2)));
}

/// OpenTofu 1.11.0 to 1.11.3 allows deferral and fails whatever is deferred.
#[tokio::test]
async fn a_client_that_can_not_defer_is_not_believed() {
    let emulator = emulator().await;
    let wanted = config("analytics", &[]);
    for (version, is_believed) in [
        ("1.11.0", false),
        ("1.11.3", false),
        ("1.11.4", true),
        ("1.11.0-alpha20241211", true),
        ("1.12.0", true),
    ] {
        let (_host, mut provider) = with_unknown_host(&emulator, version, true).await;
        let answer = plan(&mut provider, &Value::Null, &wanted, true).await;
        assert_eq!(told(&answer.diagnostics), Vec::<String>::new(), "{version}");
        assert_eq!(answer.deferred.is_some(), is_believed, "{version}");
        let answer = open(&mut provider, true).await;
        assert_eq!(answer.deferred.is_some(), is_believed, "{version}");
    }
}

#[tokio::test]
async fn a_provider_block_that_is_known_defers_nothing() {
    let emulator = emulator().await;
    let host = Host::start().await;
    let mut provider = host.provider();
    let block = provider_config(&emulator.url(), &[]);
    assert_eq!(configure(&mut provider, "1.15.5", &block, true).await, Vec::<String>::new());
    for answer in deferrable_calls(&mut provider, true).await {
        assert_eq!(answer.deferred, None, "{answer:?}");
    }
}
