//! The life of a `kms_dbt_connection`, call by call.

use std::time::Duration;

use kms_emulator::{Credentials, Emulator, Fault, Options, Target};
use terraform_provider_kms::{
    plugin::{
        provider::{Provider as _, TypeKind},
        value::{Number, Type, Value},
    },
    provider::KmsProvider,
};

use crate::host::{
    Host, Provider, message, object, proto, provider_config, told, unknown_with_prefix, value,
};

pub const TYPE_NAME: &str = "kms_dbt_connection";
pub const TOKEN: &str = "dbtc_grpc_distinctive_0123456789";

/// The type of the resource's state, as the schema says.
pub fn resource_type() -> Type {
    let types = KmsProvider::new(|_| None).types();
    let schemas = types.schemas(TypeKind::Resource);
    let (_, schema) = schemas.into_iter().find(|(name, _)| *name == TYPE_NAME).unwrap();
    schema.value_type().clone()
}

pub async fn configure(provider: &mut Provider, config: &Value) -> Vec<String> {
    let request = proto::configure_provider::Request {
        terraform_version: "1.15.5".into(),
        config: message(config),
        ..Default::default()
    };
    told(&provider.configure_provider(request).await.unwrap().into_inner().diagnostics)
}

/// A configuration of the resource, with these attributes besides the required ones.
pub fn config(name: &str, extra: &[(&str, Value)]) -> Value {
    let mut attributes = vec![
        ("name", Value::string(name)),
        ("instance_url", Value::string("https://cloud.getdbt.com")),
        ("account_id", Value::string("12345")),
        ("api_token", Value::string(TOKEN)),
    ];
    attributes.extend(extra.iter().cloned());
    object(&resource_type(), &attributes)
}

pub fn set(state: &Value, name: &str, value: Value) -> Value {
    let Value::Map(mut attributes) = state.clone() else { panic!("no object") };
    attributes.insert(name.to_owned().into(), value);
    Value::Map(attributes)
}

/// What core proposes: the configuration, over the prior values of computed attributes.
pub fn proposed(prior: &Value, config: &Value) -> Value {
    let Value::Map(mut attributes) = config.clone() else { panic!("no object") };
    for name in [
        "id",
        "org_id",
        "method",
        "version",
        "is_platform_managed_credentials",
        "created_at",
        "updated_at",
        "credentials_hash",
    ] {
        attributes.insert(name.to_owned().into(), prior.attribute(name).cloned().unwrap_or(Value::Null));
    }
    Value::Map(attributes)
}

/// An object as Terraform stores it.
#[derive(Clone, Debug)]
pub struct Stored {
    pub state: Value,
    pub private: Vec<u8>,
    pub identity: Option<proto::ResourceIdentityData>,
}

pub async fn plan(
    provider: &mut Provider,
    prior: Option<&Stored>,
    config: &Value,
) -> proto::plan_resource_change::Response {
    plan_after(provider, prior, config, Vec::new()).await
}

/// A plan that is handed what an earlier one of the same change said, as Terraform 1.16 does in the apply.
pub async fn plan_after(
    provider: &mut Provider,
    prior: Option<&Stored>,
    config: &Value,
    planned_private: Vec<u8>,
) -> proto::plan_resource_change::Response {
    let prior_state = prior.map_or(Value::Null, |prior| prior.state.clone());
    let request = proto::plan_resource_change::Request {
        type_name: TYPE_NAME.into(),
        proposed_new_state: message(&proposed(&prior_state, config)),
        prior_state: message(&prior_state),
        config: message(config),
        prior_private: prior.map(|prior| prior.private.clone()).unwrap_or_default(),
        prior_identity: prior.and_then(|prior| prior.identity.clone()),
        planned_private,
        ..Default::default()
    };
    provider.plan_resource_change(request).await.unwrap().into_inner()
}

pub async fn apply(
    provider: &mut Provider,
    prior: Option<&Stored>,
    config: &Value,
) -> (proto::apply_resource_change::Response, Stored) {
    let planned = plan(provider, prior, config).await;
    if planned.diagnostics.iter().any(|diagnostic| diagnostic.severity == 1) {
        // Terraform doesn't apply it, and keeps what it has.
        let gone = Stored { state: Value::Null, private: Vec::new(), identity: None };
        let stored = prior.cloned().unwrap_or(gone);
        let diagnostics = planned.diagnostics;
        return (proto::apply_resource_change::Response { diagnostics, ..Default::default() }, stored);
    }
    apply_planned(provider, prior, config, planned).await
}

/// Applies a plan.
pub async fn apply_planned(
    provider: &mut Provider,
    prior: Option<&Stored>,
    config: &Value,
    planned: proto::plan_resource_change::Response,
) -> (proto::apply_resource_change::Response, Stored) {
    let request = proto::apply_resource_change::Request {
        type_name: TYPE_NAME.into(),
        prior_state: message(&prior.map_or(Value::Null, |prior| prior.state.clone())),
        planned_state: planned.planned_state,
        config: message(config),
        planned_private: planned.planned_private,
        planned_identity: planned.planned_identity,
        ..Default::default()
    };
    let answer = provider.apply_resource_change(request).await.unwrap().into_inner();
    let stored = Stored {
        state: value(answer.new_state.clone(), &resource_type()),
        private: answer.private.clone(),
        identity: answer.new_identity.clone(),
    };
    (answer, stored)
}

/// Deletes an object. As in Terraform, the request has no identity.
pub async fn delete(mut provider: Provider, stored: Stored) -> proto::apply_resource_change::Response {
    let request = proto::apply_resource_change::Request {
        type_name: TYPE_NAME.into(),
        prior_state: message(&stored.state),
        planned_state: message(&Value::Null),
        config: message(&Value::Null),
        planned_private: stored.private,
        ..Default::default()
    };
    provider.apply_resource_change(request).await.unwrap().into_inner()
}

pub async fn read(provider: &mut Provider, stored: &Stored) -> (proto::read_resource::Response, Stored) {
    let request = proto::read_resource::Request {
        type_name: TYPE_NAME.into(),
        current_state: message(&stored.state),
        private: stored.private.clone(),
        current_identity: stored.identity.clone(),
        ..Default::default()
    };
    let answer = provider.read_resource(request).await.unwrap().into_inner();
    let stored = Stored {
        state: value(answer.new_state.clone(), &resource_type()),
        private: answer.private.clone(),
        identity: answer.new_identity.clone(),
    };
    (answer, stored)
}

pub async fn configured(emulator: &Emulator) -> (Host, Provider) {
    let host = Host::start().await;
    let mut provider = host.provider();
    assert_eq!(configure(&mut provider, &provider_config(&emulator.url(), &[])).await, Vec::<String>::new());
    (host, provider)
}

pub async fn emulator() -> Emulator {
    Emulator::start(Options::default().without_rate_limits()).await
}

fn unknown_attributes(state: &Value) -> Vec<String> {
    let Value::Map(attributes) = state else { return Vec::new() };
    attributes.iter().filter(|(_, value)| value.is_unknown()).map(|(name, _)| name.to_string()).collect()
}

#[tokio::test]
async fn a_kms_on_this_machine_is_reached_past_any_proxy() {
    let emulator = emulator().await;
    // Nobody listens there.
    let proxy = "http://127.0.0.1:9";
    let host = Host::start_with(&[("http_proxy", proxy), ("ALL_PROXY", proxy)]).await;
    let mut provider = host.provider();
    let block = provider_config(&emulator.url(), &[("max_retries", Value::Number(Number::Int(0)))]);
    assert_eq!(configure(&mut provider, &block).await, Vec::<String>::new());
    let (answer, _) = apply(&mut provider, None, &config("analytics", &[])).await;
    assert_eq!(told(&answer.diagnostics), Vec::<String>::new());
}

#[tokio::test]
async fn a_connection_lives_from_create_to_delete_and_never_shows_its_token() {
    let emulator = emulator().await;
    let (host, mut provider) = configured(&emulator).await;
    let schema = resource_type();

    let wanted = config("analytics", &[("description", Value::string("d"))]);
    let planned = plan(&mut provider, None, &wanted).await;
    let state = value(planned.planned_state, &schema);
    assert_eq!(state.attribute("api_token"), Some(&Value::Null));
    assert_eq!(
        unknown_attributes(&state),
        [
            "created_at",
            "credentials_hash",
            "id",
            "is_platform_managed_credentials",
            "method",
            "org_id",
            "updated_at",
            "version"
        ]
    );

    let (answer, stored) = apply(&mut provider, None, &wanted).await;
    assert_eq!(told(&answer.diagnostics), Vec::<String>::new());
    assert!(stored.state.is_wholly_known());
    assert_eq!(stored.state.attribute("api_token"), Some(&Value::Null));
    assert!(stored.identity.is_some());
    assert_eq!(emulator.stored_credentials(&emulator.connection("analytics").id).api_token, TOKEN);

    let (_, refreshed) = read(&mut provider, &stored).await;
    assert_eq!(refreshed.state, stored.state);
    assert_eq!(refreshed.private, stored.private, "private state is lost unless it is sent back");
    assert_eq!(refreshed.identity, stored.identity);
    let planned = plan(&mut provider, Some(&refreshed), &wanted).await;
    assert_eq!(value(planned.planned_state, &schema), stored.state, "nothing to do");

    let renamed = set(&wanted, "name", Value::string("finance"));
    let planned = plan(&mut provider, Some(&stored), &renamed).await;
    assert_eq!(
        unknown_attributes(&value(planned.planned_state, &schema)),
        ["credentials_hash", "updated_at", "version"]
    );
    emulator.clear_requests();
    let (_, stored) = apply(&mut provider, Some(&stored), &renamed).await;
    let writes = emulator.writes();
    assert_eq!(writes.len(), 1);
    assert_eq!(writes[0].body_keys(), ["name"]);

    for _ in 0..2 {
        // The second time it is gone already.
        let answer = delete(provider.clone(), stored.clone()).await;
        assert_eq!(told(&answer.diagnostics), Vec::<String>::new());
        assert_eq!(value(answer.new_state, &schema), Value::Null);
    }
    assert!(emulator.connections().is_empty());
    let (answer, gone) = read(&mut provider, &stored).await;
    assert_eq!((told(&answer.diagnostics), gone.state), (vec![], Value::Null));

    let (_, rest, log) = host.shut_down().await;
    assert!(!rest.contains(TOKEN) && !log.join("\n").contains(TOKEN));
}

#[tokio::test]
async fn unknown_and_refined_unknown_values_pass_and_come_back() {
    let emulator = emulator().await;
    let (_host, mut provider) = configured(&emulator).await;
    let schema = resource_type();
    let wanted = config(
        "later",
        &[
            ("instance_url", unknown_with_prefix("https://")),
            ("account_id", Value::unknown()),
            ("api_token", Value::unknown()),
            ("description", unknown_with_prefix("made by ")),
        ],
    );
    let request = proto::validate_resource_config::Request {
        type_name: TYPE_NAME.into(),
        config: message(&wanted),
        client_capabilities: Some(proto::ClientCapabilities {
            write_only_attributes_allowed: true,
            ..Default::default()
        }),
    };
    let answer = provider.validate_resource_config(request).await.unwrap().into_inner();
    assert_eq!(told(&answer.diagnostics), Vec::<String>::new());
    let planned = plan(&mut provider, None, &wanted).await;
    let state = value(planned.planned_state, &schema);
    assert_eq!(state.attribute("instance_url"), wanted.attribute("instance_url"));
    assert_eq!(state.attribute("api_token"), Some(&Value::Null));
}

#[tokio::test]
async fn a_token_that_is_unknown_while_planning_is_an_update_that_may_become_none() {
    let emulator = emulator().await;
    let (_host, mut provider) = configured(&emulator).await;
    let schema = resource_type();
    let wanted = config("analytics", &[]);
    let (_, stored) = apply(&mut provider, None, &wanted).await;

    let unknown = set(&wanted, "api_token", Value::unknown());
    let planned = plan(&mut provider, Some(&stored), &unknown).await;
    let state = value(planned.planned_state, &schema);
    assert_eq!(unknown_attributes(&state), ["credentials_hash", "updated_at", "version"]);
    // Apply plans again with what the token turned out to be.
    let planned = plan(&mut provider, Some(&stored), &wanted).await;
    assert_eq!(value(planned.planned_state, &schema), stored.state);

    // With a version, the version alone decides.
    let versioned = set(&wanted, "api_token_version", Value::string("1"));
    let (_, stored) = apply(&mut provider, Some(&stored), &versioned).await;
    let unknown = set(&versioned, "api_token", Value::unknown());
    let planned = plan(&mut provider, Some(&stored), &unknown).await;
    assert_eq!(value(planned.planned_state, &schema), stored.state);
    assert!(!String::from_utf8_lossy(&stored.private).contains("digest"), "a version needs no digest");
}

#[tokio::test]
async fn an_adoption_is_decided_once_everything_that_decides_it_is_known() {
    let by_hand = Credentials::new("https://cloud.getdbt.com", "12345", "dbtu_by_hand");
    let wanted = config("analytics", &[("adopt_existing", Value::Bool(true))]);
    // The first plan knows all, or lacks an argument; the connection is there before it, or only after it.
    for (unknown, is_there_first, is_adopted) in [
        (None, true, true),
        (None, false, false),
        (Some("name"), true, true),
        (Some("project_id"), true, true),
        (Some("adopt_existing"), true, true),
    ] {
        let emulator = emulator().await;
        let (_host, mut provider) = configured(&emulator).await;
        let create = || emulator.create("analytics", None, &by_hand);
        let before = is_there_first.then(create);
        let first = unknown.map_or(wanted.clone(), |name| set(&wanted, name, Value::unknown()));
        let planned = plan(&mut provider, None, &first).await;
        let id = before.unwrap_or_else(create);
        // The apply is a run of its own, in a new process.
        let (_host, mut provider) = configured(&emulator).await;
        let planned = plan_after(&mut provider, None, &wanted, planned.planned_private).await;
        let (answer, stored) = apply_planned(&mut provider, None, &wanted, planned).await;
        let errors = answer.diagnostics.iter().filter(|told| told.severity == 1).count();
        assert_eq!(errors == 0, is_adopted, "{unknown:?}: {:?}", told(&answer.diagnostics));
        assert_eq!(stored.state.attribute("id") == Some(&Value::string(&id)), is_adopted, "{unknown:?}");
    }
}

/// Terraform plans no deletion of a tainted object, only the create that follows. So the plan of another resource that adopts
/// the object isn't refused.
#[tokio::test]
async fn what_is_being_deleted_is_not_adopted() {
    let emulator = emulator().await;
    let (_host, mut provider) = configured(&emulator).await;
    let (_, tainted) = apply(&mut provider, None, &config("analytics", &[])).await;
    let (_host, mut provider) = configured(&emulator).await;
    emulator.fault(
        Target::once("DELETE", "/api/v1/app-connections/dbt/*"),
        Fault::slow(Duration::from_secs(2), Duration::ZERO),
    );
    let deletion = tokio::spawn(delete(provider.clone(), tainted));
    while !emulator.requests().iter().any(|request| request.method == "DELETE") {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let wanted = config("analytics", &[("adopt_existing", Value::Bool(true))]);
    let (answer, stored) = apply(&mut provider, None, &wanted).await;
    assert_eq!(told(&answer.diagnostics), ["error [name] Name already taken"]);
    assert_eq!(stored.state, Value::Null);
    assert_eq!(told(&deletion.await.unwrap().diagnostics), Vec::<String>::new());
    let (answer, _) = apply(&mut provider, None, &wanted).await;
    assert_eq!(told(&answer.diagnostics), Vec::<String>::new());
}

#[tokio::test]
async fn an_old_client_is_told_about_write_only_attributes_once() {
    let host = Host::start().await;
    let request = proto::validate_resource_config::Request {
        type_name: TYPE_NAME.into(),
        config: message(&config("analytics", &[])),
        client_capabilities: None,
    };
    let answer = host.provider().validate_resource_config(request).await.unwrap().into_inner();
    let expected = "error [api_token] Write-only attributes require Terraform 1.11 or later";
    assert_eq!(told(&answer.diagnostics), [expected]);
}

#[tokio::test]
async fn an_unknown_provider_block_is_no_error_until_the_kms_is_needed() {
    let emulator = emulator().await;
    let host = Host::start().await;
    let mut provider = host.provider();
    let unknown = set(&provider_config(&emulator.url(), &[]), "host", unknown_with_prefix("https://"));
    assert_eq!(configure(&mut provider, &unknown).await, Vec::<String>::new());
    let wanted = config("analytics", &[]);
    let planned = plan(&mut provider, None, &wanted).await;
    assert_eq!(told(&planned.diagnostics), Vec::<String>::new());
    let (answer, stored) = apply(&mut provider, None, &wanted).await;
    assert_eq!(told(&answer.diagnostics), ["error [] The provider's configuration is not known yet"]);
    assert!(answer.diagnostics[0].detail.contains("host"), "{}", answer.diagnostics[0].detail);
    assert_eq!(stored.state, Value::Null);
    assert!(emulator.requests().is_empty());
}

#[tokio::test]
async fn state_of_another_shape_is_read_leniently() {
    let host = Host::start().await;
    let mut provider = host.provider();
    let upgrade = |json: &str| proto::upgrade_resource_state::Request {
        type_name: TYPE_NAME.into(),
        version: 0,
        raw_state: Some(proto::RawState { json: json.as_bytes().to_vec(), ..Default::default() }),
    };
    let request = upgrade(r#"{"id":"1","dropped":true,"api_token":"left over","version":3}"#);
    let answer = provider.upgrade_resource_state(request).await.unwrap().into_inner();
    let state = value(answer.upgraded_state, &resource_type());
    assert_eq!(state.attribute("id"), Some(&Value::string("1")));
    assert_eq!(state.attribute("api_token"), Some(&Value::Null));
    assert_eq!(state.attribute("name"), Some(&Value::Null));
    let answer = provider.upgrade_resource_state(upgrade("[]")).await.unwrap().into_inner();
    assert_eq!(told(&answer.diagnostics), ["error [] Stored state can't be read"]);
}
