//! What a hostile server puts into its responses: text for the terminal, and secrets of the provider.

use kms_emulator::{CLIENT_SECRET, CONNECTIONS, Credentials, Emulator, Fault, Target};
use serde_json::{Value as Json, json};
use terraform_provider_kms::{
    plugin::{
        provider::{Provider as _, TypeKind},
        value::{Type, Value},
    },
    provider::KmsProvider,
};

use crate::{
    host::{Provider, message, object, proto, told, value},
    resource::{TOKEN, TYPE_NAME, apply, config, configured, emulator, plan, read, resource_type},
};

/// Colors, a title of the window, bidirectional marks, a line break and a line that looks like Terraform's.
const HOSTILE: &str = "\u{1b}[31mRED\u{1b}]0;OWNED\u{7}\u{202e}gnp\u{2066}x\u{2069}\r\nError: fake line";
const SHOWN: &str = r"\u{1b}[31mRED\u{1b}]0;OWNED\u{7}\u{202e}gnp\u{2066}x\u{2069}\r\nError: fake line";

/// What the state has in the place of a text with a secret.
const PLACEHOLDER: &str = "(redacted: contains a secret)";
const WARNING: &str = "Secret in a response of the KMS";

fn schema(kind: TypeKind, name: &str) -> Type {
    let types = KmsProvider::new(|_| None).types();
    let schemas = types.schemas(kind);
    schemas.into_iter().find(|(other, _)| *other == name).unwrap().1.value_type().clone()
}

fn credentials() -> Credentials {
    Credentials::new("https://cloud.getdbt.com", "12345", TOKEN)
}

async fn progress(provider: &mut Provider, id: &str) -> Vec<String> {
    use proto::invoke_action::event::Type as Event;
    let name = "kms_dbt_connection_test";
    let config = object(&schema(TypeKind::Action, name), &[("connection_id", Value::string(id))]);
    let request = proto::invoke_action::Request {
        action_type: name.into(),
        config: message(&config),
        ..Default::default()
    };
    let mut events = provider.invoke_action(request).await.unwrap().into_inner();
    let mut messages = Vec::new();
    while let Some(event) = events.message().await.unwrap() {
        match event.r#type.unwrap() {
            Event::Progress(progress) => messages.push(progress.message),
            Event::Completed(completed) => {
                assert_eq!(told(&completed.diagnostics), Vec::<String>::new());
            }
        }
    }
    messages
}

/// All events of a list of the organization's connections, with their objects.
async fn list(provider: &mut Provider) -> Vec<proto::list_resource::Event> {
    let request = proto::list_resource::Request {
        type_name: TYPE_NAME.into(),
        config: message(&object(&schema(TypeKind::ListResource, TYPE_NAME), &[])),
        include_resource_object: true,
        limit: 100,
    };
    let mut events = provider.list_resource(request).await.unwrap().into_inner();
    let mut all = Vec::new();
    while let Some(event) = events.message().await.unwrap() {
        all.push(event);
    }
    all
}

#[tokio::test]
async fn names_of_dbt_projects_do_not_reach_the_terminal_raw() {
    let emulator = emulator().await;
    let id = emulator.create("orders", None, &credentials());
    let (_host, mut provider) = configured(&emulator).await;
    let projects = json!({"projects": [{"id": 1, "name": HOSTILE}]});
    let path = format!("{CONNECTIONS}/{id}/projects");
    emulator.fault(Target::every("GET", &path), Fault::Answer { status: 200, body: projects });
    let messages = progress(&mut provider, &id).await;
    assert_eq!(messages[1], format!("dbt accepts the token. Projects: {SHOWN}."));
}

#[tokio::test]
async fn display_names_of_a_list_do_not_reach_the_terminal_raw() {
    let emulator = emulator().await;
    let id = emulator.create("orders", None, &credentials());
    emulator.edit(&id, |connection| connection.name = HOSTILE.to_owned());
    let (_host, mut provider) = configured(&emulator).await;
    let events = list(&mut provider).await;
    assert_eq!(events[0].display_name, SHOWN);
    // The name itself is data.
    let state = value(events[0].resource_object.clone(), &resource_type());
    assert_eq!(state.attribute("name"), Some(&Value::string(HOSTILE)));
}

const ID: &str = "3f0c5c1e-9d0f-4d43-8c6e-6a8f7f4f1a01";

/// A connection as the KMS returns it, with some fields set to other values.
fn connection(fields: Json) -> Json {
    let mut connection = json!({
        "id": ID, "name": "orders", "description": null, "projectId": null, "version": 1, "orgId": "org-1",
        "app": "dbt", "method": "api-token", "createdAt": "2026-01-01T00:00:00.000Z",
        "updatedAt": "2026-01-01T00:00:00.000Z", "isPlatformManagedCredentials": false,
        "credentialsHash": "0123",
        "credentials": {"instanceUrl": "https://cloud.getdbt.com", "accountId": "12345"},
    });
    connection.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    connection
}

/// From now on, the KMS returns this for each request about connections.
fn always(emulator: &Emulator, connection: &Json) {
    emulator.clear_faults();
    let one = Fault::Answer { status: 200, body: json!({"appConnection": connection}) };
    for (method, path) in [
        ("POST", CONNECTIONS.to_owned()),
        ("GET", format!("{CONNECTIONS}/*")),
        ("PATCH", format!("{CONNECTIONS}/*")),
    ] {
        emulator.fault(Target::every(method, &path), one.clone());
    }
    let many = Fault::Answer { status: 200, body: json!({"appConnections": [connection]}) };
    emulator.fault(Target::every("GET", CONNECTIONS), many);
}

fn text<'v>(state: &'v Value, name: &str) -> &'v str {
    match state.attribute(name) {
        Some(Value::String(text)) => text,
        other => panic!("{name}: {other:?}"),
    }
}

/// Fails if a state, or a private state, has a secret.
fn assert_no_secret(state: &Value, private: &[u8]) {
    for bytes in [&state.to_msgpack()[..], private] {
        let text = String::from_utf8_lossy(bytes);
        assert!(!text.contains(TOKEN) && !text.contains(CLIENT_SECRET), "{text}");
    }
}

#[tokio::test]
async fn a_token_in_any_computed_field_is_not_in_state() {
    for (field, attribute) in [
        ("orgId", "org_id"),
        ("credentialsHash", "credentials_hash"),
        ("createdAt", "created_at"),
        ("updatedAt", "updated_at"),
        ("method", "method"),
    ] {
        for secret in [TOKEN, CLIENT_SECRET] {
            let emulator = emulator().await;
            let (_host, mut provider) = configured(&emulator).await;
            always(&emulator, &connection(json!({ field: format!("x {secret}") })));
            let wanted = config("orders", &[]);
            let (answer, stored) = apply(&mut provider, None, &wanted).await;
            assert_eq!(told(&answer.diagnostics), [format!("warning [] {WARNING}")], "{field}");
            assert!(answer.diagnostics[0].detail.contains(&format!("\"{attribute}\"")), "{answer:?}");
            assert_eq!(text(&stored.state, attribute), PLACEHOLDER);
            assert_eq!(text(&stored.state, "id"), ID);
            assert_no_secret(&stored.state, &stored.private);

            // The next run sees the same, and has nothing to do.
            let (answer, refreshed) = read(&mut provider, &stored).await;
            assert_eq!(told(&answer.diagnostics), [format!("warning [] {WARNING}")], "{field}");
            assert_eq!(refreshed.state, stored.state);
            assert_no_secret(&refreshed.state, &refreshed.private);
            let planned = plan(&mut provider, Some(&refreshed), &wanted).await;
            assert_eq!(value(planned.planned_state, &resource_type()), stored.state);
            assert_eq!(emulator.writes().len(), 1, "created once");
        }
    }
}

#[tokio::test]
async fn a_token_in_an_argument_leaves_the_planned_value() {
    let of_credentials =
        |url: &str, account: &str| json!({"credentials": {"instanceUrl": url, "accountId": account}});
    for (fields, attribute) in [
        (json!({"description": format!("made with {TOKEN}")}), "description"),
        (of_credentials(&format!("https://{TOKEN}"), "12345"), "instance_url"),
        (of_credentials("https://cloud.getdbt.com", TOKEN), "account_id"),
    ] {
        let emulator = emulator().await;
        let (_host, mut provider) = configured(&emulator).await;
        always(&emulator, &connection(fields));
        let wanted = config("orders", &[("description", Value::string("d"))]);
        let (answer, stored) = apply(&mut provider, None, &wanted).await;
        assert_eq!(told(&answer.diagnostics), [format!("warning [] {WARNING}")], "{attribute}");
        assert!(answer.diagnostics[0].detail.contains(&format!("\"{attribute}\"")), "{answer:?}");
        assert_eq!(stored.state.attribute(attribute), wanted.attribute(attribute));
        let (answer, refreshed) = read(&mut provider, &stored).await;
        let warning = answer.diagnostics.iter().find(|diagnostic| diagnostic.summary == WARNING).unwrap();
        assert!(warning.detail.contains(&format!("\"{attribute}\"")), "{warning:?}");
        assert_eq!(refreshed.state.attribute(attribute), wanted.attribute(attribute));
        assert_no_secret(&refreshed.state, &refreshed.private);
    }
}

#[tokio::test]
async fn an_argument_with_the_secret_in_plain_text_is_no_news() {
    let emulator = emulator().await;
    let (_host, mut provider) = configured(&emulator).await;
    let wanted = config("orders", &[("description", Value::string(format!("made with {TOKEN}")))]);
    let (answer, stored) = apply(&mut provider, None, &wanted).await;
    assert_eq!(told(&answer.diagnostics), Vec::<String>::new());
    assert_eq!(stored.state.attribute("description"), wanted.attribute("description"));
    let (answer, refreshed) = read(&mut provider, &stored).await;
    assert_eq!(told(&answer.diagnostics), Vec::<String>::new());
    assert_eq!(refreshed.state, stored.state);
}

#[tokio::test]
async fn an_id_with_a_secret_is_refused_and_the_create_is_unconfirmed() {
    let emulator = emulator().await;
    let (_host, mut provider) = configured(&emulator).await;
    let wanted = config("orders", &[("api_token", Value::string("dbtc-0123456789abcdef"))]);
    let (answer, stored) = {
        let planned = plan(&mut provider, None, &wanted).await;
        always(&emulator, &connection(json!({"id": "dbtc-0123456789abcdef"})));
        crate::resource::apply_planned(&mut provider, None, &wanted, planned).await
    };
    assert_eq!(told(&answer.diagnostics), ["error [name] Unconfirmed create"]);
    let detail = &answer.diagnostics[0].detail;
    assert!(detail.contains("its ID contains a secret") && !detail.contains("dbtc-0"), "{detail}");
    assert_eq!(stored.state, Value::Null);
    assert_eq!(emulator.writes().len(), 1, "created once");
}

#[tokio::test]
async fn an_import_that_needs_a_redacted_field_fails() {
    let emulator = emulator().await;
    let (_host, mut provider) = configured(&emulator).await;
    always(&emulator, &connection(json!({"projectId": CLIENT_SECRET})));
    let request = proto::import_resource_state::Request {
        type_name: TYPE_NAME.into(),
        id: ID.into(),
        ..Default::default()
    };
    let imported = provider.import_resource_state(request).await.unwrap().into_inner();
    let imported = imported.imported_resources.into_iter().next().unwrap();
    let stored = crate::resource::Stored {
        state: value(imported.state, &resource_type()),
        private: imported.private,
        identity: imported.identity,
    };
    let (answer, _) = read(&mut provider, &stored).await;
    assert_eq!(told(&answer.diagnostics), [format!("error [] {WARNING}")]);
    assert!(answer.diagnostics[0].detail.contains("\"project_id\""), "{answer:?}");

    // Without consequences for its identity, it is imported.
    always(&emulator, &connection(json!({"orgId": CLIENT_SECRET, "description": CLIENT_SECRET})));
    let (answer, stored) = read(&mut provider, &stored).await;
    assert_eq!(told(&answer.diagnostics), [format!("warning [] {WARNING}")]);
    assert_eq!(text(&stored.state, "org_id"), PLACEHOLDER);
    assert_eq!(text(&stored.state, "description"), PLACEHOLDER);
    assert_no_secret(&stored.state, &stored.private);
}

#[tokio::test]
async fn a_secret_is_not_in_data_sources_and_lists() {
    let emulator = emulator().await;
    let (_host, mut provider) = configured(&emulator).await;
    always(&emulator, &connection(json!({"orgId": CLIENT_SECRET, "name": format!("x{CLIENT_SECRET}")})));
    for (name, attributes) in
        [("kms_dbt_connection", vec![("id", Value::string(ID))]), ("kms_dbt_connections", vec![])]
    {
        let types = schema(TypeKind::DataSource, name);
        let request = proto::read_data_source::Request {
            type_name: name.into(),
            config: message(&object(&types, &attributes)),
            ..Default::default()
        };
        let answer = provider.read_data_source(request).await.unwrap().into_inner();
        assert_eq!(told(&answer.diagnostics), [format!("warning [] {WARNING}")], "{name}");
        let state = value(answer.state, &types);
        assert_no_secret(&state, &[]);
        assert!(String::from_utf8_lossy(&state.to_msgpack()).contains(PLACEHOLDER), "{name}");
    }
    let events = list(&mut provider).await;
    assert_eq!(events[0].display_name, PLACEHOLDER);
    assert_no_secret(&value(events[0].resource_object.clone(), &resource_type()), &[]);
    assert_eq!(told(&events[1].diagnostic), [format!("warning [] {WARNING}")]);

    let projects = json!({"projects": [{"id": 1, "name": CLIENT_SECRET, "createdAt": CLIENT_SECRET}]});
    let path = format!("{CONNECTIONS}/{ID}/projects");
    emulator.clear_faults();
    emulator.fault(Target::every("GET", &path), Fault::Answer { status: 200, body: projects });
    let types = schema(TypeKind::DataSource, "kms_dbt_projects");
    let request = proto::read_data_source::Request {
        type_name: "kms_dbt_projects".into(),
        config: message(&object(&types, &[("connection_id", Value::string(ID))])),
        ..Default::default()
    };
    let answer = provider.read_data_source(request).await.unwrap().into_inner();
    assert_eq!(told(&answer.diagnostics), [format!("warning [] {WARNING}")]);
    assert_no_secret(&value(answer.state, &types), &[]);
}
