//! From a request to the operation it asks for, in the server's order: route, rate limit, access token, body, rights.

use std::{borrow::Cow, net::IpAddr};

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::{
    answer::{Answer, Refusal},
    identities::Presented,
    rate_limit::Kind,
    state::State,
    validation,
};

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

    /// The JSON body; `None` when there is no body at all.
    fn json(&self) -> Result<Option<Value>, Refusal> {
        if self.body.is_empty() {
            return Ok(None);
        }
        let content_type = self.header("content-type").unwrap_or("undefined");
        if content_type.split(';').next().map(str::trim) != Some("application/json") {
            let message = format!("Unsupported Media Type: {content_type}");
            return Err(Refusal::new(415, "Unsupported Media Type", message));
        }
        let parsed = serde_json::from_slice(&self.body);
        parsed.map(Some).map_err(|_| Refusal::bad_request("Unexpected token in JSON body"))
    }

    /// A query parameter; `None` when it is absent.
    fn parameter(&self, name: &str) -> Result<Option<String>, Refusal> {
        let mut found = url::form_urlencoded::parse(self.query.as_bytes()).filter(|(known, _)| known == name);
        match (found.next(), found.next()) {
            (None, _) => Ok(None),
            (Some((_, value)), None) if !value.is_empty() => Ok(Some(value.into_owned())),
            (Some(_), None) => Err(bad_parameter(name, "String must contain at least 1 character(s)")),
            (Some(_), Some(_)) => Err(bad_parameter(name, "Expected string, received array")),
        }
    }

    fn required_parameter(&self, name: &str) -> Result<String, Refusal> {
        self.parameter(name)?.ok_or_else(|| bad_parameter(name, "Required"))
    }
}

fn bad_parameter(name: &str, message: &str) -> Refusal {
    let issue = serde_json::json!({"code": "invalid_type", "path": [name], "message": message});
    Refusal::validation(vec![issue])
}

enum Call {
    UniversalLogin,
    JwtLogin,
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
}

/// Performs the request.
pub fn handle(state: &mut State, request: &Request) -> Answer {
    let Some((pattern, kind, call)) = route(&request.method, &request.path) else {
        let message = format!("Route {}:{} not found", request.method, request.path);
        return Refusal::not_found(message).into();
    };
    let standing = state.limiter.count(request.client, kind, pattern);
    let mut answer: Answer = match standing {
        Some(standing) if standing.refused => Refusal::rate_limited(standing.reset_seconds).into(),
        _ => match perform(state, request, call) {
            Ok(body) => Answer::json(200, &body),
            Err(refusal) => refusal.into(),
        },
    };
    answer.headers.extend(standing.iter().flat_map(|standing| standing.headers()));
    answer
}

fn route(method: &str, path: &str) -> Option<(&'static str, Kind, Call)> {
    let segments: Vec<Cow<'_, str>> =
        path.strip_prefix('/')?.split('/').map(|part| percent_decode_str(part).decode_utf8_lossy()).collect();
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
        ("POST", ["auth", "oidc-auth", "login"]) => ("oidc login", Kind::Write, Call::JwtLogin),
        ("POST", ["auth", "kubernetes-auth", "login"]) => ("kubernetes login", Kind::Write, Call::JwtLogin),
        ("POST", ["auth", "aws-auth", "login"]) => ("aws login", Kind::Write, Call::AwsLogin),
        (method, ["app-connections", "dbt", rest @ ..]) => match (method, rest) {
            ("GET", [] | [""]) => ("list", Kind::Read, Call::List),
            ("POST", [] | [""]) => ("create", Kind::Write, Call::Create),
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

fn perform(state: &mut State, request: &Request, call: Call) -> Result<Value, Refusal> {
    let presented = state.identities.authenticate(request.header("authorization"))?;
    if matches!(call, Call::UniversalLogin | Call::JwtLogin | Call::AwsLogin) {
        // The header is looked at before the route is, so a token that is no good spoils the login too.
        if matches!(presented, Presented::UnknownToken) {
            return Err(Refusal::token_error("Your token is invalid"));
        }
        let body = request.json()?;
        return match call {
            Call::UniversalLogin => state.identities.universal_login(body.as_ref()),
            Call::JwtLogin => state.identities.jwt_login(body.as_ref()),
            _ => state.identities.aws_login(body.as_ref()),
        };
    }
    let caller = match presented {
        Presented::Caller(caller) => caller,
        Presented::Nothing => return Err(Refusal::unauthorized("Token missing")),
        Presented::UnknownToken => return Err(Refusal::unauthorized("Token not found")),
    };
    if let Call::Get(id) | Call::Update(id) | Call::Delete(id) | Call::DbtProjects(id) = &call {
        validation::uuid(id, "connectionId")?;
    }
    let project_id = || request.parameter("projectId");
    let name_rule = state.options.name_rule;
    match call {
        Call::List => state.list(&caller, project_id()?.as_deref()),
        Call::Available => state.available(&caller, project_id()?.as_deref()),
        Call::GetByName(name) => state.get_by_name(&caller, &name, project_id()?.as_deref()),
        Call::Get(id) => state.get(&caller, &id),
        Call::DbtProjects(id) => state.dbt_projects(&caller, &id),
        Call::Create => state.create(&caller, validation::create(request.json()?.as_ref(), name_rule)?),
        Call::Update(id) => {
            state.update(&caller, &id, validation::update(request.json()?.as_ref(), name_rule)?)
        }
        Call::Delete(id) => state.delete(&caller, &id),
        Call::Secret(name) => {
            let workspace_id = request.required_parameter("workspaceId")?;
            let environment = request.required_parameter("environment")?;
            let path = request.required_parameter("secretPath")?;
            if request.required_parameter("type")? != "shared" {
                return Err(bad_parameter("type", "Invalid enum value. Expected 'shared'"));
            }
            state.secret(&caller, [&workspace_id, &environment, &path, &name])
        }
        Call::UniversalLogin | Call::JwtLogin | Call::AwsLogin => Err(Refusal::not_found("not reached")),
    }
}
