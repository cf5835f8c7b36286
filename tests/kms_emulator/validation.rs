//! The server's rules for request bodies, and its way of saying which one was broken.
//!
//! The server validates with zod: each broken rule is an issue with a code, a path and a message; texts are trimmed
//! before they are measured; lengths count UTF-16 units; unknown fields are dropped silently.

use serde_json::Value;

use super::{
    answer::Refusal,
    credentials::Credentials,
    issues::Issues,
    javascript::{js_number, js_trim},
    options::{NameRule, Server},
};

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
pub fn create(body: Option<&Value>, rule: NameRule, server: Server) -> Result<CreateBody, Refusal> {
    let mut issues = Issues::default();
    let fields = issues.halves(body)?;
    // The method decides which credentials are asked for, so without a good one they aren't looked at.
    let credentials = issues.method(fields).then(|| issues.credentials(fields.get("credentials"))).flatten();
    let name = issues.required(fields, &["name"]);
    let name = name.map(|text| issues.name(text, rule));
    let description = issues.description(fields);
    let project_id = issues.untrimmed(fields, "projectId");
    issues.not_for_dbt(fields);
    if server == Server::Infisical {
        issues.no_rotation(fields);
    }
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
    let mut issues = Issues::default();
    issues.uuid_text(text, field);
    if issues.0.is_empty() { Ok(()) } else { Err(Refusal::validation(issues.0)) }
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

/// Checks a query parameter that has to be a text, and may be left out.
///
/// # Errors
/// A 422 when it is given more than once.
pub fn text(value: Option<Value>, field: &str) -> Result<Option<String>, Refusal> {
    let mut issues = Issues::default();
    let Some(value) = value else {
        return Ok(None);
    };
    match value {
        Value::String(text) => Ok(Some(text)),
        other => {
            issues.wrong_type(Some(&other), "string", &[field]);
            Err(Refusal::validation(issues.0))
        }
    }
}

/// Checks a query parameter with a few values, which may be left out.
///
/// # Errors
/// A 422 when there is no such value, or when it is given more than once.
pub fn choice(value: Option<&Value>, options: &[&str], field: &str) -> Result<Option<String>, Refusal> {
    let mut issues = Issues::default();
    let chosen = value.and_then(|value| issues.one_of(Some(value), options, &[field]));
    if issues.0.is_empty() { Ok(chosen) } else { Err(Refusal::validation(issues.0)) }
}

/// Checks a query parameter that has to be a number, and may be left out.
///
/// # Errors
/// A 422 when it is none.
pub fn number(value: Option<&Value>, field: &str) -> Result<Option<f64>, Refusal> {
    let Some(value) = value else {
        return Ok(None);
    };
    let number = js_number(Some(value));
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

/// A path as the server keeps it: one slash at the end goes, unless it is the whole path.
pub fn remove_trailing_slash(path: &str) -> &str {
    match path.strip_suffix('/') {
        Some("") | None => path,
        Some(rest) => rest,
    }
}
