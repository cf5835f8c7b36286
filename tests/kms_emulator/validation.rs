//! The server's rules for request bodies, and its way of saying which one was broken.
//!
//! The server validates with zod: each broken rule is an issue with a code, a path and a message; texts are trimmed
//! before they are measured; lengths count UTF-16 units; unknown fields are dropped silently.

use serde_json::{Map, Value, json};
use url::Url;

use super::{answer::Refusal, credentials::Credentials};

/// Which generation of the name rule the server has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NameRule {
    /// At most 64 characters; capitals are refused.
    #[default]
    Current,
    /// At most 32 characters; capitals become small letters without a word.
    Older,
}

/// A body of `POST /app-connections/dbt` that keeps all rules.
#[derive(Clone, Debug)]
pub struct CreateBody {
    pub name: String,
    pub description: Option<String>,
    pub project_id: Option<String>,
    pub credentials: Credentials,
}

/// A body of `PATCH /app-connections/dbt/:id` that keeps all rules. The outer `None` is an absent field.
#[derive(Clone, Debug)]
pub struct UpdateBody {
    pub name: Option<String>,
    pub description: Option<Option<String>>,
    pub credentials: Option<Credentials>,
}

/// Checks a body of `POST /app-connections/dbt`.
///
/// # Errors
/// A 422 with every broken rule.
pub fn create(body: Option<&Value>, rule: NameRule) -> Result<CreateBody, Refusal> {
    let mut issues = Issues::default();
    let fields = issues.object(body, &[])?;
    let name = issues.required(fields, &["name"]);
    let name = name.map(|text| issues.name(text, rule));
    let description = issues.description(fields);
    let project_id = issues.optional(fields, &["projectId"]);
    issues.method(fields);
    let credentials = issues.credentials(fields.get("credentials"));
    issues.not_for_dbt(fields);
    match (name, credentials) {
        (Some(name), Some(credentials)) if issues.0.is_empty() => {
            Ok(CreateBody { name, description: description.flatten(), project_id, credentials })
        }
        _ => Err(Refusal::validation(issues.0)),
    }
}

/// Checks a body of `PATCH /app-connections/dbt/:id`.
///
/// # Errors
/// A 422 with every broken rule.
pub fn update(body: Option<&Value>, rule: NameRule) -> Result<UpdateBody, Refusal> {
    let mut issues = Issues::default();
    let fields = issues.object(body, &[])?;
    let name = issues.optional(fields, &["name"]);
    let name = name.map(|text| issues.name(text, rule));
    let description = issues.description(fields);
    let credentials = fields.get("credentials").and_then(|value| issues.credentials(Some(value)));
    issues.not_for_dbt(fields);
    if issues.0.is_empty() {
        Ok(UpdateBody { name, description, credentials })
    } else {
        Err(Refusal::validation(issues.0))
    }
}

/// Checks that a path parameter is a UUID.
///
/// # Errors
/// A 422 that says so.
pub fn uuid(text: &str, field: &str) -> Result<(), Refusal> {
    if text.len() == 36 && uuid::Uuid::try_parse(text).is_ok() {
        return Ok(());
    }
    let issue =
        json!({"validation": "uuid", "code": "invalid_string", "path": [field], "message": "Invalid uuid"});
    Err(Refusal::validation(vec![issue]))
}

/// Checks the texts of a login body and returns them in the order asked for.
///
/// # Errors
/// A 422 with every text that is missing or of another type.
pub fn texts<const N: usize>(body: Option<&Value>, names: [&'static str; N]) -> Result<[String; N], Refusal> {
    let mut issues = Issues::default();
    let fields = issues.object(body, &[])?;
    let found = names.map(|name| issues.required(fields, &[name]).unwrap_or_default());
    if issues.0.is_empty() { Ok(found) } else { Err(Refusal::validation(issues.0)) }
}

/// Checks an optional text of a body.
///
/// # Errors
/// A 422 when it is there and no text.
pub fn optional_text(body: Option<&Value>, name: &'static str) -> Result<Option<String>, Refusal> {
    let mut issues = Issues::default();
    let fields = issues.object(body, &[])?;
    let found = issues.optional(fields, &[name]);
    if issues.0.is_empty() { Ok(found) } else { Err(Refusal::validation(issues.0)) }
}

/// What JavaScript's `trim` removes. Not what Rust's does: U+FEFF goes, U+0085 stays.
pub fn js_trim(text: &str) -> &str {
    text.trim_matches(|c: char| (c.is_whitespace() && c != '\u{85}') || c == '\u{feff}')
}

/// A length as JavaScript counts it.
pub fn js_length(text: &str) -> usize {
    text.encode_utf16().count()
}

#[derive(Default)]
struct Issues(Vec<Value>);

impl Issues {
    fn object<'v>(
        &mut self,
        value: Option<&'v Value>,
        path: &[&str],
    ) -> Result<&'v Map<String, Value>, Refusal> {
        match value {
            Some(Value::Object(fields)) => Ok(fields),
            other => {
                self.wrong_type(other, "object", path);
                Err(Refusal::validation(std::mem::take(&mut self.0)))
            }
        }
    }

    fn required(&mut self, fields: &Map<String, Value>, path: &[&str]) -> Option<String> {
        match path.last().and_then(|field| fields.get(*field)) {
            Some(Value::String(text)) => Some(js_trim(text).to_owned()),
            other => {
                self.wrong_type(other, "string", path);
                None
            }
        }
    }

    fn optional(&mut self, fields: &Map<String, Value>, path: &[&str]) -> Option<String> {
        path.last().and_then(|field| fields.get(*field))?;
        self.required(fields, path)
    }

    fn name(&mut self, name: String, rule: NameRule) -> String {
        let (longest, name) = match rule {
            NameRule::Current => (64, name),
            NameRule::Older => (32, name.to_lowercase()),
        };
        self.at_least(&name, 1, &["name"]);
        self.at_most(&name, longest, &["name"]);
        let is_slug = name.split('-').all(|word| {
            !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        });
        if !is_slug {
            self.custom(&["name"], "Name field can only contain lowercase letters, numbers, and hyphens");
        }
        name
    }

    /// `None` when absent, `Some(None)` when null.
    fn description(&mut self, fields: &Map<String, Value>) -> Option<Option<String>> {
        if fields.get("description")?.is_null() {
            return Some(None);
        }
        let text = self.required(fields, &["description"])?;
        self.at_most(&text, 256, &["description"]);
        Some(Some(text))
    }

    fn method(&mut self, fields: &Map<String, Value>) {
        if fields.get("method").and_then(Value::as_str) != Some("api-token") {
            self.0.push(json!({
                "code": "invalid_union_discriminator",
                "options": ["api-token"],
                "path": ["method"],
                "message": "Invalid discriminator value. Expected 'api-token'",
            }));
        }
    }

    fn credentials(&mut self, value: Option<&Value>) -> Option<Credentials> {
        let Some(Value::Object(fields)) = value else {
            self.wrong_type(value, "object", &["credentials"]);
            return None;
        };
        let instance_url = self.required(fields, &["credentials", "instanceUrl"]);
        if let Some(text) = &instance_url {
            self.at_least(text, 1, &["credentials", "instanceUrl"]);
            if Url::parse(text).is_err() {
                self.0.push(json!({
                    "validation": "url",
                    "code": "invalid_string",
                    "path": ["credentials", "instanceUrl"],
                    "message": "Invalid url",
                }));
            }
        }
        let mut bounded = |field| {
            let text = self.required(fields, &["credentials", field])?;
            self.at_least(&text, 1, &["credentials", field]);
            self.at_most(&text, 255, &["credentials", field]);
            Some(text)
        };
        let account_id = bounded("accountId");
        let api_token = bounded("apiToken");
        Some(Credentials { instance_url: instance_url?, account_id: account_id?, api_token: api_token? })
    }

    fn not_for_dbt(&mut self, fields: &Map<String, Value>) {
        if fields.get("isPlatformManagedCredentials").is_some_and(|value| *value != Value::Bool(false)) {
            self.0.push(json!({
                "code": "invalid_literal",
                "expected": false,
                "path": ["isPlatformManagedCredentials"],
                "message": "Invalid literal value, expected false",
            }));
        }
        if fields.get("gatewayId").is_some_and(|value| !value.is_null()) {
            self.custom(&["gatewayId"], "Gateways are not supported for this app connection");
        }
    }

    fn at_least(&mut self, text: &str, shortest: usize, path: &[&str]) {
        if js_length(text) < shortest {
            let message = format!("String must contain at least {shortest} character(s)");
            self.0.push(json!({
                "code": "too_small", "minimum": shortest, "type": "string", "inclusive": true, "exact": false,
                "path": path, "message": message,
            }));
        }
    }

    fn at_most(&mut self, text: &str, longest: usize, path: &[&str]) {
        if js_length(text) > longest {
            let message = format!("String must contain at most {longest} character(s)");
            self.0.push(json!({
                "code": "too_big", "maximum": longest, "type": "string", "inclusive": true, "exact": false,
                "path": path, "message": message,
            }));
        }
    }

    fn custom(&mut self, path: &[&str], message: &str) {
        self.0.push(json!({"code": "custom", "path": path, "message": message}));
    }

    fn wrong_type(&mut self, found: Option<&Value>, expected: &str, path: &[&str]) {
        let received = match found {
            None => "undefined",
            Some(Value::Null) => "null",
            Some(Value::Bool(_)) => "boolean",
            Some(Value::Number(_)) => "number",
            Some(Value::String(_)) => "string",
            Some(Value::Array(_)) => "array",
            Some(Value::Object(_)) => "object",
        };
        let message = match found {
            None => "Required".to_owned(),
            Some(_) => format!("Expected {expected}, received {received}"),
        };
        self.0.push(json!({
            "code": "invalid_type", "expected": expected, "received": received, "path": path, "message": message,
        }));
    }
}
