//! The server's rules for request bodies, and its way of saying which one was broken.
//!
//! The server validates with zod: each broken rule is an issue with a code, a path and a message; texts are trimmed
//! before they are measured; lengths count UTF-16 units; unknown fields are dropped silently.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::Url;

use super::{answer::Refusal, credentials::Credentials};

/// Which generation of the name rule the server has, and of what else changed about that time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NameRule {
    /// At most 64 characters; capitals are refused.
    #[default]
    Current,
    /// At most 32 characters; capitals become small letters without a word. A token that is used up is a 400.
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
    pub platform_managed: Option<bool>,
}

/// Checks a body of `POST /app-connections/dbt`.
///
/// # Errors
/// A 422 with every broken rule.
pub fn create(body: Option<&Value>, rule: NameRule) -> Result<CreateBody, Refusal> {
    let mut issues = Issues::default();
    let fields = issues.halves(body)?;
    // The method decides which credentials are asked for, so without a good one they aren't looked at.
    let credentials = issues.method(fields).then(|| issues.credentials(fields.get("credentials"))).flatten();
    let name = issues.required(fields, &["name"]);
    let name = name.map(|text| issues.name(text, rule));
    let description = issues.description(fields);
    let project_id = issues.untrimmed(fields, "projectId").filter(|id| !id.is_empty());
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
    let fields = issues.halves(body)?;
    let credentials = fields.get("credentials").and_then(|value| issues.credentials(Some(value)));
    let name = issues.optional(fields, &["name"]);
    let name = name.map(|text| issues.name(text, rule));
    let description = issues.description(fields);
    issues.not_for_dbt(fields);
    if !issues.0.is_empty() {
        return Err(Refusal::validation(issues.0));
    }
    let platform_managed = fields.get("isPlatformManagedCredentials").and_then(Value::as_bool);
    Ok(UpdateBody { name, description, credentials, platform_managed })
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
        json!({"validation": "uuid", "code": "invalid_string", "message": "Invalid uuid", "path": [field]});
    Err(Refusal::validation(vec![issue]))
}

/// Checks a path parameter that has to be a slug.
///
/// # Errors
/// A 422 with every broken rule.
pub fn slug(text: &str, field: &str) -> Result<String, Refusal> {
    let mut issues = Issues::default();
    let text = js_trim(text);
    issues.slug(text, "Slug", 64, &[field]);
    if issues.0.is_empty() { Ok(text.to_owned()) } else { Err(Refusal::validation(issues.0)) }
}

/// Checks a query parameter with a few values, which may be left out.
///
/// # Errors
/// A 422 when there is no such value.
pub fn choice(text: Option<&str>, options: &[&str], field: &str) -> Result<(), Refusal> {
    let mut issues = Issues::default();
    if let Some(text) = text {
        issues.one_of(Some(&Value::from(text)), options, &[field]);
    }
    if issues.0.is_empty() { Ok(()) } else { Err(Refusal::validation(issues.0)) }
}

/// Checks a query parameter that has to be a number, and may be left out.
///
/// # Errors
/// A 422 when it is none.
pub fn number(text: Option<&str>, field: &str) -> Result<Option<f64>, Refusal> {
    let Some(text) = text else {
        return Ok(None);
    };
    let number = js_number(Some(&Value::from(text)));
    if number.is_nan() {
        let mut issues = Issues::default();
        issues.not_a_number(&[field]);
        return Err(Refusal::validation(issues.0));
    }
    Ok(Some(number))
}

/// Two outcomes as one, with the issues of both.
///
/// # Errors
/// A 422 when either is one.
pub fn both<A, B>(first: Result<A, Refusal>, second: Result<B, Refusal>) -> Result<(A, B), Refusal> {
    match (first, second) {
        (Ok(first), Ok(second)) => Ok((first, second)),
        (Err(mut refusal), Err(other)) => {
            if let (Some(issues), Some(more)) = (refusal.message.as_array_mut(), other.message.as_array()) {
                issues.extend(more.iter().cloned());
            }
            Err(refusal)
        }
        (Err(refusal), _) | (_, Err(refusal)) => Err(refusal),
    }
}

/// Checks that a text is there.
///
/// # Errors
/// A 422 when it is missing.
pub fn present(text: Option<String>, field: &str) -> Result<String, Refusal> {
    text.ok_or_else(|| {
        let mut issues = Issues::default();
        issues.wrong_type(None, "string", &[field]);
        Refusal::validation(issues.0)
    })
}

/// Checks trimmed texts, each of which has to be there and not empty, with the name that the issue has for it.
///
/// # Errors
/// A 422 with every text that is missing or empty.
pub fn texts<const N: usize>(given: [(Option<String>, &str, &str); N]) -> Result<[String; N], Refusal> {
    let mut issues = Issues::default();
    let texts = given.map(|(text, field, called)| match text {
        Some(text) => {
            let text = js_trim(&text).to_owned();
            issues.at_least(&text, 1, &[field], &format!("{called} required"));
            text
        }
        None => {
            issues.wrong_type(None, "string", &[field]);
            String::new()
        }
    });
    if issues.0.is_empty() { Ok(texts) } else { Err(Refusal::validation(issues.0)) }
}

/// Checks the texts of a login body and returns them in the order asked for, with `organizationSlug`. Some texts may
/// be left out and have a value then.
///
/// # Errors
/// A 422 with every text that is missing or of another type.
pub fn login<const N: usize>(
    body: Option<&Value>,
    names: [&'static str; N],
    defaults: &[(&str, &str)],
) -> Result<([String; N], Option<String>), Refusal> {
    let mut issues = Issues::default();
    let fields = issues.object(body)?;
    let found = names.map(|name| match defaults.iter().find(|(known, _)| *known == name) {
        Some((_, default)) if !fields.contains_key(name) => (*default).to_owned(),
        _ => issues.required(fields, &[name]).unwrap_or_default(),
    });
    let slug = issues.optional(fields, &["organizationSlug"]);
    if let Some(slug) = &slug {
        issues.slug(slug, "Slug", 64, &["organizationSlug"]);
    }
    if issues.0.is_empty() { Ok((found, slug)) } else { Err(Refusal::validation(issues.0)) }
}

/// What JavaScript's `trim` removes. Not what Rust's does: U+FEFF goes, U+0085 stays.
pub fn js_trim(text: &str) -> &str {
    text.trim_matches(|c: char| (c.is_whitespace() && c != '\u{85}') || c == '\u{feff}')
}

/// A path as the server keeps it: one slash at the end goes, unless it is the whole path.
pub fn remove_trailing_slash(path: &str) -> &str {
    match path.strip_suffix('/') {
        Some("") | None => path,
        Some(rest) => rest,
    }
}

/// What JavaScript's `Number` makes of a value: not a number where it makes no sense of it.
pub fn js_number(value: Option<&Value>) -> f64 {
    match value {
        None | Some(Value::Object(_)) => f64::NAN,
        Some(Value::Null) => 0.0,
        Some(Value::Bool(value)) => f64::from(u8::from(*value)),
        Some(Value::Number(number)) => number.as_f64().unwrap_or(f64::NAN),
        Some(Value::String(text)) => match js_trim(text) {
            "" => 0.0,
            "Infinity" | "+Infinity" => f64::INFINITY,
            "-Infinity" => f64::NEG_INFINITY,
            text if text.contains(|c: char| c.is_alphabetic() && !matches!(c, 'e' | 'E')) => f64::NAN,
            text => text.parse().unwrap_or(f64::NAN),
        },
        Some(Value::Array(values)) => match &values[..] {
            [] => 0.0,
            [Value::Bool(_)] => f64::NAN,
            [value] => js_number(Some(value)),
            _ => f64::NAN,
        },
    }
}

/// A length as JavaScript counts it.
pub fn js_length(text: &str) -> usize {
    text.encode_utf16().count()
}

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
                if let Err(refusal) = uuid(text, field) {
                    self.0.extend(refusal.message.as_array().into_iter().flatten().cloned());
                }
                Some(text.clone())
            }
            other => {
                self.wrong_type(other, "string", &[field]);
                None
            }
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
        const NOT_SUPPORTED: &str = "Not supported for DBT Connections";
        if let Some(value) =
            fields.get("isPlatformManagedCredentials").filter(|value| **value != Value::Bool(false))
        {
            self.0.push(json!({
                "received": value,
                "code": "invalid_literal",
                "expected": false,
                "path": ["isPlatformManagedCredentials"],
                "message": NOT_SUPPORTED,
            }));
        }
        if let Some(value) = fields.get("gatewayId").filter(|value| !value.is_null()) {
            let union = |expected: &str| {
                json!({"name": "ZodError", "issues": [{
                    "code": "invalid_type",
                    "expected": expected,
                    "received": type_of(Some(value)),
                    "path": ["gatewayId"],
                    "message": NOT_SUPPORTED,
                }]})
            };
            self.0.push(json!({
                "code": "invalid_union",
                "unionErrors": [union("undefined"), union("null")],
                "path": ["gatewayId"],
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
