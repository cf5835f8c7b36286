//! Which right an operation needs, on what, and how the two servers refuse who lacks it.

use kms_emulator::{
    CLIENT_ID, CLIENT_SECRET, CONNECTIONS, Credentials, Emulator, IDENTITY_ID, LOGIN, OTHER_PROJECT_ID,
    Options, PROJECT_ID, Server,
    identities::{Action, Identity, Scope},
};
use serde_json::{Value, json};

use crate::client::{Client, valid, with};

fn identity() -> Identity {
    Identity::new(IDENTITY_ID, CLIENT_ID, CLIENT_SECRET)
}

fn of_hand() -> Credentials {
    Credentials::new("https://au.dbt.com", "1", "dbtc_x")
}

async fn start(server: Server, identity: Identity) -> Emulator {
    Emulator::start(Options { server, identities: vec![identity], ..Options::default() }).await
}

fn denied(action: &str) -> (u16, &'static str, String) {
    (403, "PermissionDenied", format!("You are not allowed to {action} on app-connections"))
}

async fn assert_denied(client: &Client<'_>, method: &str, path: &str, body: Option<&Value>, action: &str) {
    let refused = client.call(method, path, body).await;
    let (status, error, message) = denied(action);
    assert_eq!(refused.refusal(), (status, error, message.as_str()), "{method} {path}");
    assert!(refused.body["details"].is_array() && refused.body["reqId"].is_string());
}

// H services/app-connection/app-connection-service.ts @ 8fca3735, server/plugins/error-handler.ts @ 5a78334c.
#[tokio::test]
async fn a_missing_right_is_named_with_action_and_subject() {
    let every = [Action::Read, Action::Create, Action::Edit, Action::Delete, Action::Connect];
    let identity =
        every.into_iter().fold(identity(), |identity, action| identity.without(action, Scope::Everywhere));
    for server in [Server::Hanzo, Server::Infisical] {
        let emulator = start(server, identity.clone()).await;
        let client = Client::new(&emulator);
        let id = emulator.create("orders", None, &of_hand());
        let path = format!("{CONNECTIONS}/{id}");
        assert_denied(&client, "GET", CONNECTIONS, None, "read").await;
        assert_denied(&client, "GET", &format!("{CONNECTIONS}?projectId={PROJECT_ID}"), None, "read").await;
        assert_denied(&client, "GET", &path, None, "read").await;
        assert_denied(&client, "GET", &format!("{CONNECTIONS}/connection-name/orders"), None, "read").await;
        assert_denied(&client, "POST", CONNECTIONS, Some(&valid()), "create").await;
        assert_denied(&client, "PATCH", &path, Some(&json!({"name": "x"})), "edit").await;
        assert_denied(&client, "DELETE", &path, None, "delete").await;
        assert_denied(&client, "GET", &format!("{path}/projects"), None, "connect").await;
        let available = format!("{CONNECTIONS}/available?projectId={PROJECT_ID}");
        assert_denied(&client, "GET", &available, None, "connect").await;
        assert_eq!(client.get(&format!("{CONNECTIONS}/available")).await.names(), [""; 0]);
    }
}

// H app-connection-service.ts @ 8fca3735 (`listAppConnections`): without a project, only the right of the organization is
// looked at.
#[tokio::test]
async fn the_list_of_the_organization_ignores_project_membership() {
    for server in [Server::Hanzo, Server::Infisical] {
        let mut member = identity();
        member.member_of = Some(vec![PROJECT_ID.into()]);
        let emulator = start(server, member).await;
        let client = Client::new(&emulator);
        emulator.create("own", Some(PROJECT_ID), &of_hand());
        emulator.create("foreign", Some(OTHER_PROJECT_ID), &of_hand());
        assert_eq!(client.get(CONNECTIONS).await.names(), ["foreign", "own"]);
        let of_project = client.get(&format!("{CONNECTIONS}?projectId={OTHER_PROJECT_ID}")).await;
        assert_eq!(of_project.status, 403);
    }
}

// As above: rights are looked at before the app and before dbt, and after the connection or the project was found.
#[tokio::test]
async fn what_does_not_exist_is_not_found_before_rights_are_looked_at() {
    let identity =
        identity().without(Action::Create, Scope::Everywhere).without(Action::Read, Scope::Everywhere);
    let emulator = start(Server::Hanzo, identity).await;
    let client = Client::new(&emulator);
    assert_eq!(client.get(&format!("{CONNECTIONS}/{PROJECT_ID}")).await.status, 404);
    assert_eq!(client.get(&format!("{CONNECTIONS}/connection-name/x")).await.status, 404);
    assert_eq!(client.create(&with(|body| body["projectId"] = json!("nope"))).await.status, 404);
    let wrong = with(|body| body["credentials"]["apiToken"] = json!("wrong"));
    assert_eq!(client.create(&wrong).await.status, 403);
    let id = emulator.create("orders", None, &of_hand());
    emulator.edit(&id, |connection| connection.app = "github".into());
    assert_eq!(client.get(&format!("{CONNECTIONS}/{id}")).await.status, 403);
}

// H app-connection-service.ts @ 8fca3735: the rights of the organization alone decide over the list without a project.
#[tokio::test]
async fn rights_in_a_project_are_worth_nothing_for_the_list_of_the_organization() {
    for server in [Server::Hanzo, Server::Infisical] {
        let emulator = start(server, identity().only_in(&[PROJECT_ID])).await;
        let client = Client::new(&emulator);
        let id = emulator.create("orders", Some(PROJECT_ID), &of_hand());
        emulator.create("sales", None, &of_hand());
        assert_denied(&client, "GET", CONNECTIONS, None, "read").await;
        assert_denied(&client, "GET", &format!("{CONNECTIONS}/connection-name/sales"), None, "read").await;
        let of_project = client.get(&format!("{CONNECTIONS}?projectId={PROJECT_ID}")).await;
        assert_eq!(of_project.names(), ["orders"]);
        assert_eq!(client.get(&format!("{CONNECTIONS}/{id}")).await.status, 200);
        assert_eq!(
            client.create(&with(|body| body["projectId"] = json!(PROJECT_ID))).await.status,
            400,
            "taken"
        );
    }
}

// As above, the other way round.
#[tokio::test]
async fn the_list_of_the_organization_has_what_the_caller_could_not_read_by_itself() {
    let identity = identity().without(Action::Read, Scope::Project(PROJECT_ID.into()));
    let emulator = start(Server::Hanzo, identity).await;
    let client = Client::new(&emulator);
    let id = emulator.create("orders", Some(PROJECT_ID), &of_hand());
    assert_eq!(client.get(CONNECTIONS).await.names(), ["orders"]);
    assert_denied(&client, "GET", &format!("{CONNECTIONS}/{id}"), None, "read").await;
    assert_denied(&client, "GET", &format!("{CONNECTIONS}?projectId={PROJECT_ID}"), None, "read").await;
}

// As above: each entry is held against rules with its `connectionId`.
#[tokio::test]
async fn a_list_leaves_out_what_a_rule_of_its_own_forbids() {
    let emulator = start(Server::default(), identity()).await;
    let client = Client::new(&emulator);
    let hidden = emulator.create("hidden", Some(PROJECT_ID), &of_hand());
    emulator.create("shown", Some(PROJECT_ID), &of_hand());
    let denial =
        kms_emulator::rights::Denial { action: Action::Read, scope: Scope::Connection(hidden.clone()) };
    emulator.state().identities.identities[0].denied.push(denial);
    assert_eq!(client.get(CONNECTIONS).await.names(), ["shown"]);
    assert_eq!(client.get(&format!("{CONNECTIONS}?projectId={PROJECT_ID}")).await.names(), ["shown"]);
    assert_denied(&client, "GET", &format!("{CONNECTIONS}/{hidden}"), None, "read").await;
    let by_name = format!("{CONNECTIONS}/connection-name/hidden?projectId={PROJECT_ID}");
    assert_denied(&client, "GET", &by_name, None, "read").await;
}

// H services/permission/permission-service.ts @ 154dfe38: no membership is no rights, and no project is looked up.
#[tokio::test]
async fn at_hanzo_a_caller_that_is_not_a_member_lacks_the_right() {
    let emulator = start(Server::Hanzo, identity().only_in(&[OTHER_PROJECT_ID])).await;
    let client = Client::new(&emulator);
    let id = emulator.create("orders", Some(PROJECT_ID), &of_hand());
    for project in [PROJECT_ID, "nope"] {
        assert_denied(&client, "GET", &format!("{CONNECTIONS}?projectId={project}"), None, "read").await;
    }
    assert_denied(&client, "GET", &format!("{CONNECTIONS}/{id}"), None, "read").await;
    assert_denied(&client, "PATCH", &format!("{CONNECTIONS}/{id}"), Some(&json!({})), "edit").await;
    let in_project = with(|body| body["projectId"] = json!(PROJECT_ID));
    assert_denied(&client, "POST", CONNECTIONS, Some(&in_project), "create").await;
}

// I ee/services/permission/permission-service.ts @ 5c5be1d7; the reason is the error's `name` (lib/errors/index.ts @
// d45b5625), so it comes as `error`.
#[tokio::test]
async fn at_infisical_the_error_field_says_that_the_caller_is_not_a_member() {
    let emulator = start(Server::Infisical, identity().only_in(&[OTHER_PROJECT_ID])).await;
    let client = Client::new(&emulator);
    let id = emulator.create("orders", Some(PROJECT_ID), &of_hand());
    let path = format!("{CONNECTIONS}/{id}");
    let no_member =
        (403, "You are not member of this project", "You are not allowed to access this resource");
    let in_project = with(|body| body["projectId"] = json!(PROJECT_ID));
    for (method, path, body) in [
        ("GET", format!("{CONNECTIONS}?projectId={PROJECT_ID}"), None),
        ("GET", path.clone(), None),
        ("GET", format!("{CONNECTIONS}/connection-name/orders?projectId={PROJECT_ID}"), None),
        ("GET", format!("{path}/projects"), None),
        ("PATCH", path.clone(), Some(json!({}))),
        ("DELETE", path, None),
        ("POST", CONNECTIONS.into(), Some(in_project)),
    ] {
        assert_eq!(client.call(method, &path, body.as_ref()).await.refusal(), no_member, "{method} {path}");
    }
    let unknown = client.get(&format!("{CONNECTIONS}?projectId=nope")).await;
    assert_eq!(unknown.refusal(), (404, "NotFound", "Project with nope not found"));
}

// The two files above: Infisical's server compares the organization of the login, Hanzo's asks for the rights in the
// organization that the connection belongs to.
#[tokio::test]
async fn by_id_another_organization_is_out_of_bounds_at_infisical_only() {
    for (server, of_organization, of_project) in [
        (Server::Hanzo, (200, "", ""), (200, "", "")),
        (
            Server::Infisical,
            (
                403,
                "You are not allowed to access organization resource",
                "You are not allowed to access this resource",
            ),
            (
                403,
                "This project does not belong to your selected organization.",
                "You are not allowed to access this resource",
            ),
        ),
    ] {
        let emulator = start(server, identity()).await;
        let login =
            json!({"clientId": CLIENT_ID, "clientSecret": CLIENT_SECRET, "organizationSlug": "branch"});
        let client = Client::without_token(&emulator);
        let granted = client.post(LOGIN, login).await;
        let branch = client.with_token(granted.body["accessToken"].as_str().unwrap());
        let id = emulator.create("orders", None, &of_hand());
        assert_eq!(branch.get(&format!("{CONNECTIONS}/{id}")).await.refusal(), of_organization);
        let id = emulator.create("orders", Some(PROJECT_ID), &of_hand());
        assert_eq!(branch.get(&format!("{CONNECTIONS}/{id}")).await.refusal(), of_project);
        assert_eq!(branch.get(CONNECTIONS).await.names(), [""; 0]);
        assert_eq!(branch.get(&format!("{CONNECTIONS}/connection-name/orders")).await.status, 404);
    }
}

// H services/permission/org-permission.ts @ 8fca3735 and project-permission.ts @ 0838a90e: `Connect` is missing among the
// actions, so what app-connection-service.ts asks for is `undefined`, which no rule allows.
#[tokio::test]
async fn a_server_that_does_not_know_the_right_to_connect_grants_it_to_nobody() {
    let emulator = Emulator::start(Options { connect_known: false, ..Options::default() }).await;
    let client = Client::new(&emulator);
    let id = emulator.create("orders", None, &of_hand());
    assert_denied(&client, "GET", &format!("{CONNECTIONS}/{id}/projects"), None, "undefined").await;
    assert_eq!(client.get(&format!("{CONNECTIONS}/available")).await.names(), [""; 0]);
    assert_eq!(client.get(&format!("{CONNECTIONS}/{id}")).await.status, 200);
}
