//! Issues, as zod reports them: each broken rule has a code, a path and a message.

use serde_json::{Map, Value, json};
use url::Url;

use super::{
    answer::Refusal,
    credentials::Credentials,
    javascript::{js_length, js_trim},
    options::NameRule,
};

const NOT_SUPPORTED: &str = "Not supported for DBT Connections";

/// The issues found so far in a body.
#[derive(Default)]
pub(super) struct Issues(pub(super) Vec<Value>);

impl Issues {
    /// The body itself, which must be an object.
    pub(super) fn object<'v>(&mut self, body: Option<&'v Value>) -> Result<&'v Map<String, Value>, Refusal> {
        match body {
            Some(Value::Object(fields)) => Ok(fields),
            other => {
                // The framework hands over null where there is no body.
                self.wrong_type(Some(other.unwrap_or(&Value::Null)), "object", &[]);
                Err(Refusal::validation(std::mem::take(&mut self.0)))
            }
        }
    }

    /// The body of a connection. Its rules come in two halves, each of which complains when it is no object.
    pub(super) fn halves<'v>(&mut self, body: Option<&'v Value>) -> Result<&'v Map<String, Value>, Refusal> {
        self.object(body).map_err(|mut refusal| {
            if let Some(issues) = refusal.message.as_array_mut() {
                issues.extend_from_within(..);
            }
            refusal
        })
    }

    pub(super) fn required(&mut self, fields: &Map<String, Value>, path: &[&str]) -> Option<String> {
        match path.last().and_then(|field| fields.get(*field)) {
            Some(Value::String(text)) => Some(js_trim(text).to_owned()),
            other => {
                self.wrong_type(other, "string", path);
                None
            }
        }
    }

    pub(super) fn optional(&mut self, fields: &Map<String, Value>, path: &[&str]) -> Option<String> {
        path.last().and_then(|field| fields.get(*field))?;
        self.required(fields, path)
    }

    pub(super) fn untrimmed(&mut self, fields: &Map<String, Value>, field: &str) -> Option<String> {
        match fields.get(field)? {
            Value::String(text) => Some(text.clone()),
            other => {
                self.wrong_type(Some(other), "string", &[field]);
                None
            }
        }
    }

    pub(super) fn name(&mut self, name: String, rule: NameRule) -> String {
        let (longest, name) = match rule {
            NameRule::Current => (64, name),
            NameRule::Older => (32, name.to_lowercase()),
        };
        self.slug(&name, "name", longest, &["name"]);
        name
    }

    pub(super) fn uuid(&mut self, fields: &Map<String, Value>, field: &str) -> Option<String> {
        match fields.get(field) {
            Some(Value::String(text)) => {
                self.uuid_text(text, field);
                Some(text.clone())
            }
            other => {
                self.wrong_type(other, "string", &[field]);
                None
            }
        }
    }

    pub(super) fn uuid_text(&mut self, text: &str, field: &str) {
        if text.len() != 36 || uuid::Uuid::try_parse(text).is_err() {
            self.0.push(json!({
                "validation": "uuid", "code": "invalid_string", "message": "Invalid uuid", "path": [field],
            }));
        }
    }

    pub(super) fn boolean(&mut self, fields: &Map<String, Value>, field: &str) -> Option<bool> {
        match fields.get(field)? {
            Value::Bool(value) => Some(*value),
            other => {
                self.wrong_type(Some(other), "boolean", &[field]);
                None
            }
        }
    }

    /// The values of an enumeration, as zod lists them.
    pub(super) fn one_of(
        &mut self,
        found: Option<&Value>,
        options: &[&str],
        path: &[&str],
    ) -> Option<String> {
        let expected = options.iter().map(|option| format!("'{option}'")).collect::<Vec<_>>().join(" | ");
        match found {
            Some(Value::String(text)) if options.contains(&text.as_str()) => Some(text.clone()),
            Some(received @ (Value::String(_) | Value::Number(_))) => {
                let text = received.as_str().map_or_else(|| received.to_string(), str::to_owned);
                self.0.push(json!({
                    "received": received,
                    "code": "invalid_enum_value",
                    "options": options,
                    "path": path,
                    "message": format!("Invalid enum value. Expected {expected}, received '{text}'"),
                }));
                None
            }
            other => {
                self.wrong_type(other, &expected, path);
                None
            }
        }
    }

    pub(super) fn not_less(&mut self, number: f64, least: u32, path: &[&str]) {
        if number < f64::from(least) {
            self.0.push(json!({
                "code": "too_small", "minimum": least, "type": "number", "inclusive": true, "exact": false,
                "message": format!("Number must be greater than or equal to {least}"), "path": path,
            }));
        }
    }

    pub(super) fn not_more(&mut self, number: f64, most: u32, path: &[&str]) {
        if number > f64::from(most) {
            self.0.push(json!({
                "code": "too_big", "maximum": most, "type": "number", "inclusive": true, "exact": false,
                "message": format!("Number must be less than or equal to {most}"), "path": path,
            }));
        }
    }

    pub(super) fn not_a_number(&mut self, path: &[&str]) {
        self.0.push(json!({
            "code": "invalid_type", "expected": "number", "received": "nan", "path": path,
            "message": "Expected number, received nan",
        }));
    }

    pub(super) fn slug(&mut self, text: &str, called: &str, longest: usize, path: &[&str]) {
        self.at_least(text, 1, path, &format!("{called} field must be at least 1 lowercase character"));
        self.at_most(
            text,
            longest,
            path,
            &format!("{called} field must be at most {longest} lowercase characters"),
        );
        let is_slug = text.split('-').all(|word| {
            !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        });
        if !is_slug && !text.is_empty() {
            let message = format!("{called} field can only contain lowercase letters, numbers, and hyphens");
            self.0.push(json!({"code": "custom", "message": message, "path": path}));
        }
    }

    /// `None` when absent, `Some(None)` when null.
    pub(super) fn description(&mut self, fields: &Map<String, Value>) -> Option<Option<String>> {
        if fields.get("description")?.is_null() {
            return Some(None);
        }
        let text = self.required(fields, &["description"])?;
        self.at_most(&text, 256, &["description"], "Description cannot exceed 256 characters");
        Some(Some(text))
    }

    pub(super) fn method(&mut self, fields: &Map<String, Value>) -> bool {
        let known = fields.get("method").and_then(Value::as_str) == Some("api-token");
        if !known {
            self.0.push(json!({
                "code": "invalid_union_discriminator",
                "options": ["api-token"],
                "path": ["method"],
                "message": "Invalid discriminator value. Expected 'api-token'",
            }));
        }
        known
    }

    pub(super) fn credentials(&mut self, value: Option<&Value>) -> Option<Credentials> {
        let Some(Value::Object(fields)) = value else {
            self.wrong_type(value, "object", &["credentials"]);
            return None;
        };
        let api_token = self.bounded(fields, "apiToken", "API Token required");
        let instance_url = self.required(fields, &["credentials", "instanceUrl"]);
        if let Some(text) = &instance_url {
            self.at_least(text, 1, &["credentials", "instanceUrl"], "Instance URL required");
            if Url::parse(text).is_err() {
                self.0.push(json!({
                    "validation": "url",
                    "code": "invalid_string",
                    "message": "Invalid Instance URL",
                    "path": ["credentials", "instanceUrl"],
                }));
            }
        }
        let account_id = self.bounded(fields, "accountId", "Account ID required");
        Some(Credentials { instance_url: instance_url?, account_id: account_id?, api_token: api_token? })
    }

    pub(super) fn bounded(
        &mut self,
        fields: &Map<String, Value>,
        field: &str,
        required: &str,
    ) -> Option<String> {
        let path = ["credentials", field];
        let text = self.required(fields, &path)?;
        self.at_least(&text, 1, &path, required);
        self.at_most(&text, 255, &path, "String must contain at most 255 character(s)");
        Some(text)
    }

    pub(super) fn not_for_dbt(&mut self, fields: &Map<String, Value>) {
        self.absent_or_false(fields, "isPlatformManagedCredentials");
        self.absent_or_null(fields, "gatewayId");
    }

    /// Newer servers can rotate the credentials of some connections, but not those of dbt.
    pub(super) fn no_rotation(&mut self, fields: &Map<String, Value>) {
        self.absent_or_false(fields, "isAutoRotationEnabled");
        self.absent_or_null(fields, "rotation");
    }

    fn absent_or_false(&mut self, fields: &Map<String, Value>, field: &str) {
        if let Some(value) = fields.get(field).filter(|value| **value != Value::Bool(false)) {
            self.0.push(json!({
                "received": value,
                "code": "invalid_literal",
                "expected": false,
                "path": [field],
                "message": NOT_SUPPORTED,
            }));
        }
    }

    fn absent_or_null(&mut self, fields: &Map<String, Value>, field: &str) {
        if let Some(value) = fields.get(field).filter(|value| !value.is_null()) {
            let union = |expected: &str| {
                json!({"name": "ZodError", "issues": [{
                    "code": "invalid_type",
                    "expected": expected,
                    "received": type_of(Some(value)),
                    "path": [field],
                    "message": NOT_SUPPORTED,
                }]})
            };
            self.0.push(json!({
                "code": "invalid_union",
                "unionErrors": [union("undefined"), union("null")],
                "path": [field],
                "message": "Invalid input",
            }));
        }
    }

    pub(super) fn at_least(&mut self, text: &str, shortest: usize, path: &[&str], message: &str) {
        if js_length(text) < shortest {
            self.0.push(json!({
                "code": "too_small", "minimum": shortest, "type": "string", "inclusive": true, "exact": false,
                "message": message, "path": path,
            }));
        }
    }

    pub(super) fn at_most(&mut self, text: &str, longest: usize, path: &[&str], message: &str) {
        if js_length(text) > longest {
            self.0.push(json!({
                "code": "too_big", "maximum": longest, "type": "string", "inclusive": true, "exact": false,
                "message": message, "path": path,
            }));
        }
    }

    pub(super) fn wrong_type(&mut self, found: Option<&Value>, expected: &str, path: &[&str]) {
        let received = type_of(found);
        let message = match found {
            None => "Required".to_owned(),
            Some(_) => format!("Expected {expected}, received {received}"),
        };
        self.0.push(json!({
            "code": "invalid_type", "expected": expected, "received": received, "path": path, "message": message,
        }));
    }
}

pub(super) fn type_of(value: Option<&Value>) -> &'static str {
    match value {
        None => "undefined",
        Some(Value::Null) => "null",
        Some(Value::Bool(_)) => "boolean",
        Some(Value::Number(_)) => "number",
        Some(Value::String(_)) => "string",
        Some(Value::Array(_)) => "array",
        Some(Value::Object(_)) => "object",
    }
}
