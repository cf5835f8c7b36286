//! From a request to the operation it asks for, in the server's order: access token, route, body, rate limit, fields,
//! and then rights and whatever else the operation itself looks at.

use std::{borrow::Cow, net::IpAddr};

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::{
    answer::{Answer, Refusal},
    identities::JwtMethod,
    projects::SecretQuery,
    rate_limit::Kind,
    rights::Caller,
    state::State,
    validation,
};

/// The longest body that the server reads.
const BODY_LIMIT: usize = 1 << 20;

/// A request, read whole.
#[derive(Clone, Debug)]
pub struct Request {
    pub client: IpAddr,
    pub method: String,
    /// As it came, percent-encoded.
    pub path: String,
    pub query: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn url(&self) -> String {
        if self.query.is_empty() { self.path.clone() } else { format!("{}?{}", self.path, self.query) }
    }

    /// The JSON body; `None` when there is no body at all. The server's error handler knows none of the errors of
    /// reading a body, so each is an internal one.
    fn json(&self) -> Result<Option<Value>, Refusal> {
        if self.method == "GET" {
            return Ok(None);
        }
        let content_type = self.header("content-type");
        if self.body.is_empty() && (content_type.is_none() || self.method == "DELETE") {
            return Ok(None);
        }
        if content_type.and_then(|name| name.split(';').next()).map(str::trim) != Some("application/json") {
            return Err(Refusal::internal());
        }
        serde_json::from_slice(&self.body).map(Some).map_err(|_| Refusal::internal())
    }

    /// A query parameter; `None` when it is absent.
    fn parameter(&self, name: &str) -> Result<Option<String>, Refusal> {
        let mut found = url::form_urlencoded::parse(self.query.as_bytes()).filter(|(known, _)| known == name);
        match (found.next(), found.next()) {
            (found, None) => Ok(found.map(|(_, value)| value.into_owned())),
            (_, Some(_)) => Err(Refusal::validation(vec![serde_json::json!({
                "code": "invalid_type",
                "expected": "string",
                "received": "array",
                "path": [name],
                "message": "Expected string, received array",
            })])),
        }
    }

    /// A parameter that counts as absent when it is empty.
    fn scope(&self) -> Result<Option<String>, Refusal> {
        Ok(self.parameter("projectId")?.filter(|id| !id.is_empty()))
    }

    fn trimmed(&self, name: &str) -> Result<Option<String>, Refusal> {
        Ok(self.parameter(name)?.map(|text| validation::js_trim(&text).to_owned()))
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
    Secret(String),
    Projects,
    Project(String),
    ProjectBySlug(String),
}

/// Performs the request.
pub fn handle(state: &mut State, request: &Request) -> Answer {
    if !well_encoded(&request.path) {
        return Answer::bad_url(&request.path);
    }
    // The header is looked at before the route is, so a token that is no good spoils a login, and a 404 too.
    let caller = match state.identities.authenticate(request.header("authorization"), &state.options) {
        Ok(caller) => caller,
        Err(refusal) => return refusal.into(),
    };
    let Some((pattern, kind, call)) = route(&request.method, &request.path) else {
        let api = request.path.starts_with("/api");
        return match request.method.as_str() {
            "GET" if !api => {
                Answer::html(200, "<!DOCTYPE html><html><body><div id=\"root\"></div></body></html>")
            }
            _ => Answer::no_route(&request.method, &request.url()),
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
    let standing = state.limiter.count(request.client, kind, pattern);
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

fn route(method: &str, path: &str) -> Option<(&'static str, Kind, Call)> {
    let path = path.strip_prefix('/')?;
    // One trailing slash is ignored, a second one isn't.
    let path = path.strip_suffix('/').unwrap_or(path);
    let segments: Vec<Cow<'_, str>> =
        path.split('/').map(|part| percent_decode_str(part).decode_utf8_lossy()).collect();
    let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
    if let ["api", "v3", "secrets", "raw", name] = segments[..] {
        return (method == "GET").then(|| ("secret", Kind::Secret, Call::Secret(name.into())));
    }
    let ["api", "v1", rest @ ..] = &segments[..] else {
        return None;
    };
    Some(match (method, rest) {
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
        (method, ["app-connections", "dbt", rest @ ..]) => match (method, rest) {
            ("GET", []) => ("list", Kind::Read, Call::List),
            ("POST", []) => ("create", Kind::Write, Call::Create),
            ("GET", ["available"]) => ("available", Kind::Read, Call::Available),
            ("GET", ["connection-name", name]) => ("by name", Kind::Read, Call::GetByName((*name).into())),
            ("GET", [id, "projects"]) => ("projects", Kind::Read, Call::DbtProjects((*id).into())),
            ("GET", [id]) => ("get", Kind::Read, Call::Get((*id).into())),
            ("PATCH", [id]) => ("update", Kind::Write, Call::Update((*id).into())),
            ("DELETE", [id]) => ("delete", Kind::Write, Call::Delete((*id).into())),
            _ => return None,
        },
        _ => return None,
    })
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
    if let Call::Get(id) | Call::Update(id) | Call::Delete(id) | Call::DbtProjects(id) = &call {
        validation::uuid(id, "connectionId")?;
    }
    let name_rule = state.options.name_rule;
    match call {
        Call::List => state.list(caller, request.scope()?.as_deref()),
        Call::Available => state.available(caller, request.scope()?.as_deref()),
        Call::GetByName(name) => {
            let name = validation::connection_name(&name)?;
            let project_id = request.trimmed("projectId")?.filter(|id| !id.is_empty());
            state.get_by_name(caller, &name, project_id.as_deref())
        }
        Call::Get(id) => state.get(caller, &id),
        Call::DbtProjects(id) => state.dbt_projects(caller, &id),
        Call::Create => state.create(caller, validation::create(body, name_rule)?),
        Call::Update(id) => state.update(caller, &id, validation::update(body, name_rule)?),
        Call::Delete(id) => state.delete(caller, &id),
        Call::Secret(name) => {
            let query = SecretQuery {
                workspace_id: request.trimmed("workspaceId")?,
                environment: request.trimmed("environment")?,
                path: request.trimmed("secretPath")?.unwrap_or_else(|| "/".into()),
            };
            validation::secret_type(request.parameter("type")?.as_deref())?;
            state.secret(caller, validation::js_trim(&name), query)
        }
        Call::Projects => Ok(state.list_projects(caller)),
        Call::Project(id) => state.project_by_id(caller, validation::js_trim(&id)),
        Call::ProjectBySlug(slug) => state.project_by_slug(caller, &validation::slug(&slug, "slug")?),
        Call::UniversalLogin | Call::JwtLogin(_) | Call::AwsLogin => log_in(state, call, body),
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
