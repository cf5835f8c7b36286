//! The emulator's own paths, for programs that can't call it: the benchmarks, the demonstration, curl.
//!
//! They need no token, count for no limit, and are not in the request log. All bodies are JSON.
//!
//! | call | body, answer |
//! |---|---|
//! | `GET /__admin/about` | ids of the organization, the projects and the identity |
//! | `GET /__admin/connections` | all, sorted by name, each with `apiTokenFingerprint` and `inUse` |
//! | `POST /__admin/connections` | `count` (1), `name` (`seeded`; numbered when there are several), `projectId`, `description`, `instanceUrl`, `accountId`, `apiToken`, `app` → `{ids}` |
//! | `POST /__admin/projects` | `{"id", "name", "type"}`: a further project, of type `secret-manager` by default |
//! | `POST /__admin/folders` | `{"projectId", "environment", "path"}`: a folder for secrets, and those on the way to it |
//! | `POST /__admin/imports` | `{"projectId", "environment", "path", "fromEnvironment", "fromPath"}` |
//! | `GET /__admin/rotations` | all, each with `tokenFingerprints` and `inProgress` |
//! | `POST /__admin/rotations` | the body of a creation over the API, whatever the rights → `{id}` |
//! | `PATCH /__admin/rotations/:id` | any of `name`, `description`, `isAutoRotationEnabled`, `inProgress`, `shownAs` |
//! | `DELETE /__admin/rotations/:id` | its secret and its tokens stay |
//! | `POST /__admin/rotations/:id/rotate` | as when the time has come → `{rotates, failed}` |
//! | `PATCH /__admin/connections/:id` | any of `name`, `description`, `projectId`, `app`, `inUse`, `platformManaged`, `shownAs`, `instanceUrl`, `accountId`, `apiToken`; one of the last three writes the credentials; an empty body moves `updatedAt` only |
//! | `DELETE /__admin/connections/:id`, `DELETE /__admin/connections` | one; all |
//! | `GET`, `POST`, `DELETE /__admin/faults` | list; add `{"method", "path", "skip", "times", "fault"}`, for example `{"method": "POST", "times": 1, "fault": "reset-after"}`, `{"fault": {"slow": {"before_ms": 500}}}` or `{"fault": {"respond": {"status": 502, "reply": "html", "performed": {"later": {"ms": 500}}}}}`; clear |
//! | `PUT /__admin/options` | any of `server` (`hanzo`, `infisical`), `nameRule` (`current`, `older`), `emptyFields` (`as-stored`, `null`, `absent`), `connectKnown`, `rotations` (`licensed`, `unlicensed`, `absent`), `secretRoutes`, `projectRoutes` (`both`, `older`, `newer`), `idleMs`, `requestMs`, `replicaLagMs` |
//! | `POST`, `DELETE /__admin/denials` | the first identity lacks `{"action", "scope"}` from now on, for example `{"action": "read", "scope": {"connection": ID}}`; clear |
//! | `PUT /__admin/limits` | `{"reads", "writes", "secrets", "window_seconds", "shared_by_kind"}`, or `null` for none |
//! | `GET`, `DELETE /__admin/requests` | the log with secrets fingerprinted; clear |
//! | `POST /__admin/requests/search` | `{"text"}` → which requests carried it, in which part |
//! | `POST /__admin/tokens/expire`, `POST /__admin/tokens/revoke` | expires, or revokes, every access token from a login |
//! | `PUT /__admin/tokens/lifetime` | `{"seconds", "uses"}` of tokens issued from now on |
//! | `POST /__admin/dbt/revoked` | `{"apiToken"}`: dbt refuses it from now on |
//! | `GET /__admin/dbt/service-tokens` | all that were made: `{id, host, accountId, name, permissionGrants, live, tokenFingerprint}` |
//! | `PUT /__admin/dbt/refusals` | `{"create", "delete"}`, each `{"status", "reason"}` or null: dbt refuses to make, or to revoke, service tokens |
//! | `POST /__admin/secrets` | `{"workspaceId", "environment", "path", "name", "value"}` |

use std::time::Duration;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    answer::{Answer, Refusal},
    credentials::Credentials,
    dbt_cloud::{DbtRefusal, Grant},
    faults::{Fault, Target},
    options::{EmptyFields, NameRule, Rotations, Routes, Server},
    projects::{Folder, Project},
    rate_limit::RateLimits,
    request_log::fingerprint,
    rights::{Caller, Denial},
    rotation_rules,
    routes::Request,
    secrets::StoredSecret,
    state::State,
};

/// Performs one of the emulator's own calls.
pub fn handle(state: &mut State, request: &Request) -> Answer {
    let body = match &request.body[..] {
        [] => Ok(Value::Null),
        body => serde_json::from_slice(body),
    };
    let outcome = match body {
        Ok(body) => perform(state, &request.method, request.path.trim_start_matches("/__admin/"), &body),
        Err(error) => Err(Refusal::bad_request(error.to_string())),
    };
    match outcome {
        Ok(body) => Answer::json(200, &body),
        Err(refusal) => refusal.into(),
    }
}

fn perform(state: &mut State, method: &str, path: &str, body: &Value) -> Result<Value, Refusal> {
    let segments: Vec<_> = path.split('/').collect();
    let text = |field: &str| body.get(field).and_then(Value::as_str);
    let required = |field: &'static str| {
        text(field).map(str::to_owned).ok_or_else(|| Refusal::bad_request(format!("{field} is missing")))
    };
    match (method, &segments[..]) {
        ("GET", ["about"]) => Ok(about(state)),
        ("GET", ["connections"]) => Ok(connections(state)),
        ("POST", ["connections"]) => Ok(seed(state, body)),
        ("DELETE", ["connections"]) => {
            state.connections.clear();
            Ok(Value::Null)
        }
        ("PATCH", ["connections", id]) => edit(state, id, body),
        ("DELETE", ["connections", id]) => {
            state.connections.retain(|connection| connection.id != *id);
            Ok(Value::Null)
        }
        ("GET", ["faults"]) => Ok(json!(state.faults.all())),
        ("POST", ["faults"]) => {
            let fault: Fault = parse(body.get("fault").unwrap_or(&Value::Null))?;
            let target: Target = parse(body)?;
            state.faults.add(target, fault);
            Ok(Value::Null)
        }
        ("DELETE", ["faults"]) => {
            state.faults.clear();
            Ok(Value::Null)
        }
        ("PUT", ["options"]) => set_options(state, body),
        ("POST", ["denials"]) => {
            let denial: Denial = parse(body)?;
            state.identities.identities[0].denied.push(denial);
            Ok(Value::Null)
        }
        ("DELETE", ["denials"]) => {
            state.identities.identities[0].denied.clear();
            Ok(Value::Null)
        }
        ("PUT", ["limits"]) => {
            let limits: Option<RateLimits> = parse(body)?;
            state.limiter.set(limits);
            Ok(Value::Null)
        }
        ("GET", ["requests"]) => Ok(json!(state.log.all().collect::<Vec<_>>())),
        ("DELETE", ["requests"]) => {
            state.log.clear();
            Ok(Value::Null)
        }
        ("POST", ["requests", "search"]) => {
            let found = state.log.search(&required("text")?).into_iter();
            Ok(found.map(|(request, part)| json!({"request": request, "part": part})).collect())
        }
        ("POST", ["tokens", "expire"]) => {
            state.identities.expire_tokens();
            Ok(Value::Null)
        }
        ("POST", ["tokens", "revoke"]) => {
            state.identities.revoke_tokens();
            Ok(Value::Null)
        }
        ("PUT", ["tokens", "lifetime"]) => {
            if let Some(seconds) = body.get("seconds").and_then(Value::as_u64) {
                state.identities.token_ttl = Duration::from_secs(seconds);
            }
            state.identities.token_uses = body.get("uses").and_then(Value::as_u64);
            Ok(Value::Null)
        }
        ("POST", ["projects"]) => {
            let org_id = state.options.organizations[0].id.clone();
            let mut project = Project::new(&required("id")?, &required("name")?, &org_id);
            if let Some(kind) = text("type") {
                project.kind = kind.into();
            }
            state.projects.push(project);
            Ok(Value::Null)
        }
        ("POST", ["folders"]) => {
            let (project_id, environment) = (required("projectId")?, required("environment")?);
            state.make_folder(&project_id, &environment, &required("path")?);
            Ok(Value::Null)
        }
        ("POST", ["imports"]) => {
            let project_id = required("projectId")?;
            let into = Folder::new(&project_id, &required("environment")?, &required("path")?);
            let from = Folder::new(&project_id, &required("fromEnvironment")?, &required("fromPath")?);
            state.import_folder(into, from);
            Ok(Value::Null)
        }
        (method, ["rotations", rest @ ..]) => rotations(state, method, rest, body),
        ("GET", ["dbt", "service-tokens"]) => Ok(service_tokens(state)),
        ("PUT", ["dbt", "refusals"]) => {
            let refusals: Refusals = parse(body)?;
            state.dbt.refuses_to_create = refusals.create;
            state.dbt.refuses_to_delete = refusals.delete;
            Ok(Value::Null)
        }
        ("POST", ["dbt", "revoked"]) => {
            state.dbt.revoked.push(required("apiToken")?);
            Ok(Value::Null)
        }
        ("POST", ["secrets"]) => {
            state.secrets.push(StoredSecret {
                workspace_id: required("workspaceId")?,
                environment: required("environment")?,
                path: text("path").unwrap_or("/").into(),
                name: required("name")?,
                value: required("value")?,
                metadata: Vec::new(),
            });
            Ok(Value::Null)
        }
        _ => Err(Refusal::not_found(format!("no such call: {method} /__admin/{path}"))),
    }
}

fn parse<T: DeserializeOwned>(value: &Value) -> Result<T, Refusal> {
    T::deserialize(value).map_err(|error| Refusal::bad_request(error.to_string()))
}

/// What of the options can be changed while the emulator runs.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Changes {
    server: Option<Server>,
    name_rule: Option<NameRule>,
    empty_fields: Option<EmptyFields>,
    connect_known: Option<bool>,
    rotations: Option<Rotations>,
    secret_routes: Option<Routes>,
    project_routes: Option<Routes>,
    idle_ms: Option<u64>,
    request_ms: Option<u64>,
    replica_lag_ms: Option<u64>,
}

fn set_options(state: &mut State, body: &Value) -> Result<Value, Refusal> {
    let changes: Changes = parse(body)?;
    let options = &mut state.options;
    options.server = changes.server.unwrap_or(options.server);
    options.name_rule = changes.name_rule.unwrap_or(options.name_rule);
    options.empty_fields = changes.empty_fields.unwrap_or(options.empty_fields);
    options.connect_known = changes.connect_known.unwrap_or(options.connect_known);
    options.rotations = changes.rotations.unwrap_or(options.rotations);
    options.secret_routes = changes.secret_routes.unwrap_or(options.secret_routes);
    options.project_routes = changes.project_routes.unwrap_or(options.project_routes);
    options.idle_timeout = changes.idle_ms.map_or(options.idle_timeout, Duration::from_millis);
    options.request_timeout = changes.request_ms.map_or(options.request_timeout, Duration::from_millis);
    options.replica_lag = changes.replica_lag_ms.map_or(options.replica_lag, Duration::from_millis);
    Ok(Value::Null)
}

/// How dbt refuses what is about service tokens.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refusals {
    create: Option<DbtRefusal>,
    delete: Option<DbtRefusal>,
}

fn service_tokens(state: &State) -> Value {
    let live: Vec<_> = state.dbt.live_service_tokens().map(|token| token.id).collect();
    let shown = state.dbt.service_tokens.iter().map(|token| {
        json!({
            "id": token.id,
            "host": token.host,
            "accountId": token.account_id,
            "name": token.name,
            "permissionGrants": token.grants.iter().map(Grant::to_json).collect::<Vec<_>>(),
            "live": live.contains(&token.id),
            "tokenFingerprint": fingerprint(&token.token),
        })
    });
    shown.collect()
}

fn rotations(state: &mut State, method: &str, path: &[&str], body: &Value) -> Result<Value, Refusal> {
    let unknown = || Refusal::not_found("no such rotation");
    match (method, path) {
        ("GET", []) => Ok(state
            .rotations
            .iter()
            .filter_map(|rotation| {
                let connection = state.find(&rotation.connection_id).ok()?;
                let mut shown = state.show(rotation, connection);
                if let Some(fields) = shown.as_object_mut() {
                    let tokens = rotation.tokens.iter().map(|token| fingerprint(&token.value));
                    fields.insert("tokenFingerprints".into(), tokens.collect());
                    fields.insert("inProgress".into(), rotation.in_progress.into());
                }
                Some(shown)
            })
            .collect()),
        ("POST", []) => {
            let caller = Caller::almighty(&state.options);
            let body = rotation_rules::create(Some(body), state.options.name_rule)?;
            let made = state.create_rotation(&caller, body)?;
            Ok(json!({"id": made["secretRotation"]["id"]}))
        }
        ("PATCH", [id]) => {
            let text = |field: &str| body.get(field).and_then(Value::as_str).map(str::to_owned);
            let flag = |field: &str| body.get(field).and_then(Value::as_bool);
            let changed = state.write_rotation(id, |rotation| {
                rotation.name = text("name").unwrap_or_else(|| rotation.name.clone());
                if body.get("description").is_some() {
                    rotation.description = text("description");
                }
                rotation.auto = flag("isAutoRotationEnabled").unwrap_or(rotation.auto);
                rotation.in_progress = flag("inProgress").unwrap_or(rotation.in_progress);
                if let Some(shown_as) = body.get("shownAs") {
                    rotation.shown_as = Some(shown_as.clone());
                }
            });
            changed.ok_or_else(unknown)?;
            Ok(Value::Null)
        }
        ("DELETE", [id]) => {
            state.forget_rotation(id);
            Ok(Value::Null)
        }
        ("POST", [id, "rotate"]) => {
            let rotates = state.rotate_by_clock(id);
            let rotation = state.rotations.iter().find(|rotation| rotation.id == *id).ok_or_else(unknown)?;
            Ok(json!({"rotates": rotates, "failed": rotation.failed}))
        }
        _ => Err(Refusal::not_found(format!("no such call: {method} /__admin/rotations/{}", path.join("/")))),
    }
}

fn about(state: &State) -> Value {
    let projects = state.projects.iter().map(|project| json!({"id": project.id, "name": project.name}));
    json!({
        "orgId": state.options.organizations[0].id,
        "projects": projects.collect::<Vec<_>>(),
        "identityId": state.identities.identities[0].id,
        "clientId": state.identities.identities[0].client_id,
    })
}

fn connections(state: &State) -> Value {
    let mut all: Vec<_> = state.connections.iter().collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    let shown = all.into_iter().map(|connection| {
        let mut shown = state.to_json(connection, false);
        let token = state.sealer.open(&connection.credentials).api_token;
        if let Some(fields) = shown.as_object_mut() {
            fields.insert("apiTokenFingerprint".into(), fingerprint(&token).into());
            fields.insert("inUse".into(), connection.in_use.into());
        }
        shown
    });
    shown.collect()
}

fn seed(state: &mut State, body: &Value) -> Value {
    let text = |field: &str, default: &'static str| {
        body.get(field).and_then(Value::as_str).unwrap_or(default).to_owned()
    };
    let credentials = Credentials {
        instance_url: text("instanceUrl", "https://cloud.getdbt.com"),
        account_id: text("accountId", "12345"),
        api_token: text("apiToken", "dbtu_seeded"),
    };
    let org_id = state.options.organizations[0].id.clone();
    let (name, app) = (text("name", "seeded"), text("app", "dbt"));
    let optional = |field: &str| body.get(field).and_then(Value::as_str);
    let count = body.get("count").and_then(Value::as_u64).unwrap_or(1);
    let ids = (0..count).map(|number| {
        let name = if count == 1 { name.clone() } else { format!("{name}-{number:05}") };
        let inserted =
            state.insert(&name, optional("description"), optional("projectId"), &org_id, &credentials);
        inserted.app.clone_from(&app);
        Value::from(inserted.id.clone())
    });
    json!({"ids": ids.collect::<Vec<_>>()})
}

fn edit(state: &mut State, id: &str, body: &Value) -> Result<Value, Refusal> {
    let text = |field: &str| body.get(field).and_then(Value::as_str).map(str::to_owned);
    let changed = state.write(id, |connection, sealer| {
        if let Some(name) = text("name") {
            connection.name = name;
        }
        if body.get("description").is_some() {
            connection.description = text("description");
        }
        if body.get("projectId").is_some() {
            connection.project_id = text("projectId");
        }
        if let Some(app) = text("app") {
            connection.app = app;
        }
        if let Some(in_use) = body.get("inUse").and_then(Value::as_bool) {
            connection.in_use = in_use;
        }
        if let Some(platform_managed) = body.get("platformManaged").and_then(Value::as_bool) {
            connection.platform_managed = platform_managed;
        }
        if let Some(shown_as) = body.get("shownAs") {
            connection.shown_as = Some(shown_as.clone());
        }
        let (instance_url, account_id, api_token) =
            (text("instanceUrl"), text("accountId"), text("apiToken"));
        if instance_url.is_some() || account_id.is_some() || api_token.is_some() {
            let stored = sealer.open(&connection.credentials);
            connection.credentials = sealer.seal(&Credentials {
                instance_url: instance_url.unwrap_or(stored.instance_url),
                account_id: account_id.unwrap_or(stored.account_id),
                api_token: api_token.unwrap_or(stored.api_token),
            });
        }
    });
    changed.ok_or_else(|| Refusal::not_found("no such connection"))?;
    Ok(Value::Null)
}
