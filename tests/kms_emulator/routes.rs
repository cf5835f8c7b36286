//! From a request to the operation it asks for, in the server's order: access token, route, body, rate limit, fields,
//! and then rights and whatever else the operation itself looks at.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::{
    answer::{Answer, Refusal},
    identities::JwtMethod,
    javascript::{js_length, js_trim},
    json_body,
    options::{Options, Rotations, Server},
    rate_limit::Kind,
    rights::Caller,
    rotation_rules,
    rotations::{ByName, DBT_SERVICE_TOKEN},
    secrets::SecretQuery,
    state::State,
    validation,
};

/// The longest body that the server reads.
const BODY_LIMIT: usize = 1 << 20;

/// A request, read whole.
#[derive(Clone, Debug)]
pub struct Request {
    /// The client's address, or that which a proxy names.
    pub client: String,
    pub method: String,
    /// As it came, percent-encoded.
    pub path: String,
    /// What comes after the first `?` or `;`.
    pub query: String,
    /// Path and query as they came.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as the server's parser for its type reads it; `None` when there is no body at all. The server's error
    /// handler knows none of the errors of reading a body, so each is an internal one.
    fn json(&self) -> Result<Option<Value>, Refusal> {
        let content_type = self.header("content-type");
        let is_unread = content_type.is_none() && (self.body.is_empty() || self.method == "DELETE");
        if is_read(&self.method) || is_unread {
            return Ok(None);
        }
        json_body::read(content_type.unwrap_or_default(), &self.body).map_err(|_| Refusal::internal())
    }

    /// A query parameter; `None` when it is absent, and an array when it is there more than once.
    fn value(&self, name: &str) -> Option<Value> {
        let found = url::form_urlencoded::parse(self.query.as_bytes()).filter(|(known, _)| known == name);
        let mut found: Vec<_> = found.map(|(_, value)| Value::from(value)).collect();
        match found.len() {
            0 => None,
            1 => found.pop(),
            _ => Some(found.into()),
        }
    }

    /// A query parameter that is a text; `None` when it is absent.
    fn parameter(&self, name: &str) -> Result<Option<String>, Refusal> {
        validation::text(self.value(name), name)
    }

    /// A parameter that counts as absent when it is empty.
    fn scope(&self) -> Result<Option<String>, Refusal> {
        storable(self.parameter("projectId")?.filter(|id| !id.is_empty()))
    }

    /// A parameter that is `true` or `false`.
    fn flag(&self, name: &str) -> Result<Option<bool>, Refusal> {
        let chosen = validation::choice(self.value(name).as_ref(), &["true", "false"], name)?;
        Ok(chosen.map(|text| text == "true"))
    }

    fn trimmed(&self, name: &str) -> Result<Option<String>, Refusal> {
        Ok(self.parameter(name)?.map(|text| js_trim(&text).to_owned()))
    }
}

/// The framework reads no body of these.
fn is_read(method: &str) -> bool {
    matches!(method, "GET" | "HEAD")
}

/// The database fails to look for a text with U+0000.
fn storable(text: Option<String>) -> Result<Option<String>, Refusal> {
    match text {
        Some(text) if text.contains('\0') => Err(Refusal::database("Find one")),
        text => Ok(text),
    }
}

enum Call {
    UniversalLogin,
    JwtLogin(JwtMethod),
    AwsLogin,
    List,
    Available,
    Create,
    GetByName(String),
    Get(String),
    Update(String),
    Delete(String),
    DbtProjects(String),
    RotateCredentials(String),
    OlderSecret(String),
    NewerSecret(String),
    Projects,
    Project(String),
    ProjectBySlug(String),
    OlderProject(String),
    OlderProjectBySlug(String),
    Rotation(RotationCall),
}

enum RotationCall {
    Options,
    ListAll,
    List,
    Create,
    GetByName(String),
    Get(String),
    Update(String),
    Delete(String),
    GeneratedCredentials(String),
    RotateNow(String),
}

impl Call {
    /// Whether the server has the route.
    fn is_there(&self, options: &Options) -> bool {
        match self {
            Self::OlderSecret(_) => options.secret_routes.has_older(),
            Self::NewerSecret(_) => options.secret_routes.has_newer(),
            Self::OlderProject(_) | Self::OlderProjectBySlug(_) => options.project_routes.has_older(),
            Self::Projects | Self::Project(_) | Self::ProjectBySlug(_) => options.project_routes.has_newer(),
            Self::Rotation(_) => options.rotations != Rotations::Absent,
            Self::RotateCredentials(_) => options.server == Server::Infisical,
            _ => true,
        }
    }
}

/// Performs the request.
pub fn handle(state: &mut State, request: &Request) -> Answer {
    if !well_encoded(&request.path) {
        return Answer::bad_url(&request.path);
    }
    // The headers are looked at before the route is, so a token that is no good spoils a login, and a 404 too.
    if request.header("x-api-key").is_some_and(|key| !key.is_empty()) {
        return Refusal::bad_request(
            "API key authentication is not supported anymore. Please switch to identity authentication.",
        )
        .into();
    }
    let caller = match state.identities.authenticate(request.header("authorization"), &state.options) {
        Ok(caller) => caller,
        Err(refusal) => return refusal.into(),
    };
    let found = route(&request.method, &request.path).filter(|(_, _, call)| call.is_there(&state.options));
    let Some((pattern, kind, call)) = found else {
        let api = request.path.starts_with("/api");
        return match request.method.as_str() {
            "GET" | "HEAD" if !api => {
                Answer::html(200, "<!DOCTYPE html><html><body><div id=\"root\"></div></body></html>")
            }
            _ => Answer::no_route(&request.method, &request.target),
        };
    };
    let login = matches!(call, Call::UniversalLogin | Call::JwtLogin(_) | Call::AwsLogin);
    if caller.is_none() && !login {
        return Refusal::unauthorized("Token missing").into();
    }
    if request.body.len() > BODY_LIMIT {
        let mut answer = Answer::from(Refusal::internal());
        answer.headers.push(("connection", "close".into()));
        return answer;
    }
    let body = match request.json() {
        Ok(body) => body,
        Err(refusal) => return refusal.into(),
    };
    // HEAD has a route of its own, and so a limit of its own.
    let pattern = (pattern, request.method == "HEAD");
    let standing = state.limiter.count(&request.client, kind, pattern);
    state.replicate();
    let mut answer: Answer = match standing {
        Some(standing) if standing.refused => Refusal::rate_limited(standing.reset_seconds).into(),
        _ => match perform(state, request, caller.as_ref(), call, body.as_ref()) {
            Ok(body) => Answer::json(200, &body),
            Err(refusal) => refusal.into(),
        },
    };
    state.replicate();
    answer.headers.extend(standing.iter().flat_map(|standing| standing.headers()));
    answer
}

fn well_encoded(path: &str) -> bool {
    let whole = path
        .split('%')
        .skip(1)
        .all(|rest| rest.len() >= 2 && rest.as_bytes()[..2].iter().all(u8::is_ascii_hexdigit));
    whole && percent_decode_str(path).decode_utf8().is_ok()
}

/// The name of the route that a request is for, whether the server has it or not.
pub fn name(method: &str, path: &str) -> Option<&'static str> {
    route(method, path).map(|(name, ..)| name)
}

/// The longest parameter in a path, as JavaScript counts.
const LONGEST_PARAMETER: usize = 100;

fn route(method: &str, path: &str) -> Option<(&'static str, Kind, Call)> {
    // Every route of GET has one of HEAD.
    let method = if method == "HEAD" { "GET" } else { method };
    let path = path.strip_prefix('/')?;
    // One trailing slash is ignored, a second one isn't.
    let path = path.strip_suffix('/').unwrap_or(path);
    let segments: Vec<Cow<'_, str>> =
        path.split('/').map(|part| percent_decode_str(part).decode_utf8_lossy()).collect();
    let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
    // All that is not a parameter is short.
    if segments.iter().any(|segment| js_length(segment) > LONGEST_PARAMETER) {
        return None;
    }
    let ("api", version, rest) = (*segments.first()?, *segments.get(1)?, &segments[2..]) else {
        return None;
    };
    Some(match (method, rest) {
        (method, rest) if version != "v1" => return later_route(method, version, rest),
        ("POST", ["auth", "universal-auth", "login"]) => {
            ("universal login", Kind::Write, Call::UniversalLogin)
        }
        ("POST", ["auth", "oidc-auth", "login"]) => {
            ("oidc login", Kind::Write, Call::JwtLogin(JwtMethod::Oidc))
        }
        ("POST", ["auth", "kubernetes-auth", "login"]) => {
            ("kubernetes login", Kind::Write, Call::JwtLogin(JwtMethod::Kubernetes))
        }
        ("POST", ["auth", "aws-auth", "login"]) => ("aws login", Kind::Write, Call::AwsLogin),
        ("GET", ["projects"]) => ("list projects", Kind::Read, Call::Projects),
        ("GET", ["projects", "slug", slug]) => {
            ("project by slug", Kind::Read, Call::ProjectBySlug((*slug).into()))
        }
        ("GET", ["projects", id]) => ("project", Kind::Read, Call::Project((*id).into())),
        ("GET", ["workspace", id]) => ("older project", Kind::Read, Call::OlderProject((*id).into())),
        (method, ["app-connections", "dbt", rest @ ..]) => match (method, rest) {
            ("GET", []) => ("list", Kind::Read, Call::List),
            ("POST", []) => ("create", Kind::Write, Call::Create),
            ("GET", ["available"]) => ("available", Kind::Read, Call::Available),
            ("GET", ["connection-name", name]) => ("by name", Kind::Read, Call::GetByName((*name).into())),
            ("GET", [id, "projects"]) => ("projects", Kind::Read, Call::DbtProjects((*id).into())),
            ("POST", [id, "rotate-credentials"]) => {
                ("rotate credentials", Kind::Write, Call::RotateCredentials((*id).into()))
            }
            ("GET", [id]) => ("get", Kind::Read, Call::Get((*id).into())),
            ("PATCH", [id]) => ("update", Kind::Write, Call::Update((*id).into())),
            ("DELETE", [id]) => ("delete", Kind::Write, Call::Delete((*id).into())),
            _ => return None,
        },
        _ => return None,
    })
}

fn later_route(method: &str, version: &str, rest: &[&str]) -> Option<(&'static str, Kind, Call)> {
    let rotation = |name, kind, call| Some((name, kind, Call::Rotation(call)));
    match (method, version, rest) {
        ("GET", "v3", ["secrets", "raw", name]) => {
            Some(("secret", Kind::Secret, Call::OlderSecret((*name).into())))
        }
        ("GET", "v4", ["secrets", name]) => {
            Some(("newer secret", Kind::Secret, Call::NewerSecret((*name).into())))
        }
        ("GET", "v2", ["workspace", slug]) => {
            Some(("older project by slug", Kind::Read, Call::OlderProjectBySlug((*slug).into())))
        }
        ("GET", "v2", ["secret-rotations"]) => {
            rotation("list all rotations", Kind::Read, RotationCall::ListAll)
        }
        ("GET", "v2", ["secret-rotations", "options"]) => {
            rotation("rotation options", Kind::Read, RotationCall::Options)
        }
        (method, "v2", ["secret-rotations", DBT_SERVICE_TOKEN, rest @ ..]) => match (method, rest) {
            ("GET", []) => rotation("list rotations", Kind::Read, RotationCall::List),
            ("POST", []) => rotation("create rotation", Kind::Write, RotationCall::Create),
            ("GET", ["rotation-name", name]) => {
                rotation("rotation by name", Kind::Read, RotationCall::GetByName((*name).into()))
            }
            ("GET", [id, "generated-credentials"]) => rotation(
                "generated credentials",
                Kind::Read,
                RotationCall::GeneratedCredentials((*id).into()),
            ),
            ("POST", [id, "rotate-secrets"]) => {
                rotation("rotate now", Kind::Write, RotationCall::RotateNow((*id).into()))
            }
            ("GET", [id]) => rotation("get rotation", Kind::Read, RotationCall::Get((*id).into())),
            ("PATCH", [id]) => rotation("update rotation", Kind::Write, RotationCall::Update((*id).into())),
            ("DELETE", [id]) => rotation("delete rotation", Kind::Write, RotationCall::Delete((*id).into())),
            _ => None,
        },
        _ => None,
    }
}

fn perform(
    state: &mut State,
    request: &Request,
    caller: Option<&Caller>,
    call: Call,
    body: Option<&Value>,
) -> Result<Value, Refusal> {
    let Some(caller) = caller else {
        return log_in(state, call, body);
    };
    if let Call::Get(id)
    | Call::Update(id)
    | Call::Delete(id)
    | Call::DbtProjects(id)
    | Call::RotateCredentials(id) = &call
    {
        validation::uuid(id, "connectionId")?;
    }
    if let Call::OlderSecret(name) | Call::NewerSecret(name) = &call {
        storable(Some(name.clone()))?;
    }
    let name_rule = state.options.name_rule;
    match call {
        Call::List => state.list(caller, request.scope()?.as_deref()),
        Call::Available => state.available(caller, request.scope()?.as_deref()),
        Call::GetByName(name) => {
            let [name] = validation::texts([(Some(name), "connectionName", "Connection name")])?;
            let project_id = request.trimmed("projectId")?.filter(|id| !id.is_empty());
            let (name, project_id) = (storable(Some(name))?.unwrap_or_default(), storable(project_id)?);
            state.get_by_name(caller, &name, project_id.as_deref())
        }
        Call::Get(id) => state.get(caller, &id),
        Call::DbtProjects(id) => state.dbt_projects(caller, &id),
        Call::RotateCredentials(id) => state.rotate_credentials(caller, &id),
        Call::Create => state.create(caller, validation::create(body, name_rule, state.options.server)?),
        Call::Update(id) => state.update(caller, &id, validation::update(body, name_rule)?),
        Call::Delete(id) => state.delete(caller, &id),
        Call::OlderSecret(name) => {
            let project_id = request.trimmed("workspaceId");
            let imports = ("include_imports", false);
            let words = "You must provide workspaceSlug or workspaceId";
            state.secret(caller, js_trim(&name), secret_query(request, project_id, words, imports)?)
        }
        Call::NewerSecret(name) => {
            let project_id =
                request.trimmed("projectId").and_then(|id| validation::present(id, "projectId").map(Some));
            // The route began with the words and the defaults of the older one.
            let imports = match caller.server {
                Server::Hanzo => ("includeImports", true),
                Server::Infisical => ("include_imports", false),
            };
            let words = "You must provide  workspaceId";
            state.secret(caller, js_trim(&name), secret_query(request, project_id, words, imports)?)
        }
        Call::Projects => Ok(state.list_projects(caller)),
        Call::Project(id) => state.project_by_id(caller, js_trim(&id), "project"),
        Call::OlderProject(id) => state.project_by_id(caller, js_trim(&id), "workspace"),
        Call::ProjectBySlug(slug) | Call::OlderProjectBySlug(slug) => {
            state.project_by_slug(caller, &validation::slug(&slug, "slug")?)
        }
        Call::Rotation(call) => perform_rotation(state, request, caller, call, body),
        Call::UniversalLogin | Call::JwtLogin(_) | Call::AwsLogin => log_in(state, call, body),
    }
}

fn secret_query(
    request: &Request,
    project_id: Result<Option<String>, Refusal>,
    without_project: &'static str,
    (imports, by_default): (&str, bool),
) -> Result<SecretQuery, Refusal> {
    let version = validation::number(request.value("version").as_ref(), "version");
    let kind = validation::choice(request.value("type").as_ref(), &["shared", "personal"], "type").map(drop);
    let parts = validation::both(project_id, request.trimmed("environment"));
    let parts = validation::both(parts, request.trimmed("secretPath"));
    let parts = validation::both(validation::both(parts, version), kind);
    let parts = validation::both(parts, request.flag("viewSecretValue"));
    let parts = validation::both(parts, request.flag("expandSecretReferences"));
    let (parts, include_imports) = validation::both(parts, request.flag(imports))?;
    let ((((((project_id, environment), path), version), ()), view_value), expand_references) = parts;
    let path = path.unwrap_or_else(|| "/".into());
    Ok(SecretQuery {
        project_id,
        environment,
        path: validation::remove_trailing_slash(&path).into(),
        version,
        view_value: view_value.unwrap_or(true),
        expand_references: expand_references.unwrap_or(by_default),
        include_imports: include_imports.unwrap_or(by_default),
        without_project,
    })
}

fn perform_rotation(
    state: &mut State,
    request: &Request,
    caller: &Caller,
    call: RotationCall,
    body: Option<&Value>,
) -> Result<Value, Refusal> {
    use RotationCall as Call;
    if let Call::Get(id)
    | Call::Update(id)
    | Call::Delete(id)
    | Call::GeneratedCredentials(id)
    | Call::RotateNow(id) = &call
    {
        validation::uuid(id, "rotationId")?;
    }
    let name_rule = state.options.name_rule;
    let project =
        || validation::texts([(request.parameter("projectId")?, "projectId", "Project ID")]).map(|[id]| id);
    match call {
        Call::Options => Ok(state.rotation_options()),
        Call::ListAll => state.list_rotations(caller, &project()?, None),
        Call::List => state.list_rotations(caller, &project()?, Some(DBT_SERVICE_TOKEN)),
        Call::GetByName(name) => {
            let [name] = validation::texts([(Some(name), "rotationName", "Rotation name")])?;
            let [project_id, path, environment] = validation::texts([
                (request.parameter("projectId")?, "projectId", "Project ID"),
                (request.parameter("secretPath")?, "secretPath", "Secret path"),
                (request.parameter("environment")?, "environment", "Environment"),
            ])?;
            let name = storable(Some(name))?.unwrap_or_default();
            state.get_rotation_by_name(caller, &ByName { name, project_id, environment, path })
        }
        Call::Get(id) => state.get_rotation(caller, &id),
        Call::GeneratedCredentials(id) => state.generated_credentials(caller, &id),
        Call::Create => state.create_rotation(caller, rotation_rules::create(body, name_rule)?),
        Call::Update(id) => state.update_rotation(caller, &id, rotation_rules::update(body, name_rule)?),
        Call::Delete(id) => {
            let (secrets, credentials) =
                validation::both(request.flag("deleteSecrets"), request.flag("revokeGeneratedCredentials"))?;
            state.delete_rotation(caller, &id, secrets == Some(true), credentials == Some(true))
        }
        Call::RotateNow(id) => state.rotate_now(caller, &id),
    }
}

fn log_in(state: &mut State, call: Call, body: Option<&Value>) -> Result<Value, Refusal> {
    match call {
        Call::UniversalLogin => state.identities.universal_login(body),
        Call::JwtLogin(method) => state.identities.jwt_login(method, body),
        Call::AwsLogin => state.identities.aws_login(body),
        _ => Err(Refusal::unauthorized("Token missing")),
    }
}
