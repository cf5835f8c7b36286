//! The rules for the bodies of secret rotations.

use serde_json::{Map, Number, Value, json};

use super::{
    answer::Refusal, dbt_cloud::Grant, issues::Issues, javascript::js_number, options::NameRule,
    validation::remove_trailing_slash,
};

const PERMISSION_SETS: [&str; 28] = [
    "account_admin",
    "account_viewer",
    "admin",
    "analyst",
    "billing_admin",
    "cost_insights_admin",
    "cost_insights_viewer",
    "cost_management_admin",
    "cost_management_viewer",
    "database_admin",
    "developer",
    "fusion_admin",
    "git_admin",
    "job_admin",
    "job_runner",
    "job_viewer",
    "manage_marketplace_apps",
    "member",
    "metadata_only",
    "owner",
    "project_creator",
    "readonly",
    "scim_only",
    "security_admin",
    "semantic_layer_only",
    "stakeholder",
    "team_admin",
    "webhooks_only",
];

/// A time of day.
#[derive(Clone, Debug, PartialEq)]
pub struct RotateAt {
    pub hours: Number,
    pub minutes: Number,
}

impl Default for RotateAt {
    fn default() -> Self {
        Self { hours: 0.into(), minutes: 0.into() }
    }
}

impl RotateAt {
    pub fn to_json(&self) -> Value {
        json!({"hours": self.hours, "minutes": self.minutes})
    }
}

/// What dbt is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    pub token_name: String,
    pub grants: Vec<Grant>,
}

impl Parameters {
    pub fn to_json(&self) -> Value {
        let grants = self.grants.iter().map(Grant::to_json).collect::<Vec<_>>();
        json!({"tokenName": self.token_name, "permissionGrants": grants})
    }
}

/// A body of `POST /secret-rotations/dbt-service-token` that keeps all rules.
#[derive(Clone, Debug)]
pub struct CreateRotation {
    pub name: String,
    pub project_id: String,
    pub description: Option<String>,
    pub connection_id: String,
    pub environment: String,
    pub path: String,
    pub auto: bool,
    pub interval: f64,
    pub rotate_at: RotateAt,
    pub parameters: Parameters,
    pub secret_name: String,
}

/// A body of `PATCH /secret-rotations/dbt-service-token/:id` that keeps all rules. The outer `None` is an absent field.
#[derive(Clone, Debug, Default)]
pub struct UpdateRotation {
    pub name: Option<String>,
    pub description: Option<Option<String>>,
    pub auto: Option<bool>,
    pub interval: Option<f64>,
    pub rotate_at: Option<RotateAt>,
    pub parameters: Option<Parameters>,
    pub secret_name: Option<String>,
}

/// Checks a body of `POST /secret-rotations/dbt-service-token`.
///
/// # Errors
/// A 422 with every broken rule.
pub fn create(body: Option<&Value>, rule: NameRule) -> Result<CreateRotation, Refusal> {
    let mut issues = Issues::default();
    let fields = issues.object(body)?;
    let name = issues.required(fields, &["name"]);
    let name = name.map(|text| issues.name(text, rule));
    let project_id = issues.required(fields, &["projectId"]);
    if let Some(text) = &project_id {
        issues.at_least(text, 1, &["projectId"], "Project ID required");
    }
    let description = issues.description(fields);
    let connection_id = issues.uuid(fields, "connectionId");
    let environment = issues.required(fields, &["environment"]);
    let environment = environment.map(|text| match rule {
        NameRule::Current => text,
        NameRule::Older => text.to_lowercase(),
    });
    if let Some(text) = &environment {
        issues.slug(text, "environment", 64, &["environment"]);
    }
    let path = issues.required(fields, &["secretPath"]);
    if let Some(text) = &path {
        issues.at_least(text, 1, &["secretPath"], "Secret path required");
    }
    let auto = issues.boolean(fields, "isAutoRotationEnabled");
    let interval = interval(&mut issues, fields.get("rotationInterval"));
    let rotate_at = fields.get("rotateAtUtc").and_then(|value| rotate_at(&mut issues, value));
    let parameters = parameters(&mut issues, fields.get("parameters"));
    let secret_name = secret_name(&mut issues, fields.get("secretsMapping"), rule);
    match (name, project_id, connection_id, environment, path, parameters, secret_name) {
        (
            Some(name),
            Some(project_id),
            Some(connection_id),
            Some(environment),
            Some(path),
            Some(parameters),
            Some(secret_name),
        ) if issues.0.is_empty() => Ok(CreateRotation {
            name,
            project_id,
            description: description.flatten(),
            connection_id,
            environment,
            path: remove_trailing_slash(&path).into(),
            auto: auto.unwrap_or(true),
            interval,
            rotate_at: rotate_at.unwrap_or_default(),
            parameters,
            secret_name,
        }),
        _ => Err(Refusal::validation(issues.0)),
    }
}

/// Checks a body of `PATCH /secret-rotations/dbt-service-token/:id`.
///
/// # Errors
/// A 422 with every broken rule.
pub fn update(body: Option<&Value>, rule: NameRule) -> Result<UpdateRotation, Refusal> {
    let mut issues = Issues::default();
    let fields = issues.object(body)?;
    let name = issues.optional(fields, &["name"]);
    let changes = UpdateRotation {
        name: name.map(|text| issues.name(text, rule)),
        description: issues.description(fields),
        auto: issues.boolean(fields, "isAutoRotationEnabled"),
        interval: fields.get("rotationInterval").map(|value| interval(&mut issues, Some(value))),
        rotate_at: fields.get("rotateAtUtc").and_then(|value| rotate_at(&mut issues, value)),
        parameters: fields.get("parameters").and_then(|value| parameters(&mut issues, Some(value))),
        secret_name: fields
            .get("secretsMapping")
            .and_then(|value| secret_name(&mut issues, Some(value), rule)),
    };
    if issues.0.is_empty() { Ok(changes) } else { Err(Refusal::validation(issues.0)) }
}

/// Any value that can be read as a number, an absent one excepted.
fn interval(issues: &mut Issues, value: Option<&Value>) -> f64 {
    let path = ["rotationInterval"];
    let days = js_number(value);
    if days.is_nan() {
        issues.not_a_number(&path);
    }
    issues.not_less(days, 1, &path);
    days
}

fn rotate_at(issues: &mut Issues, value: &Value) -> Option<RotateAt> {
    let Value::Object(fields) = value else {
        issues.wrong_type(Some(value), "object", &["rotateAtUtc"]);
        return None;
    };
    let mut part = |field: &str, most: u32| {
        let path = ["rotateAtUtc", field];
        match fields.get(field) {
            Some(Value::Number(number)) => {
                let value = number.as_f64().unwrap_or_default();
                issues.not_less(value, 0, &path);
                issues.not_more(value, most, &path);
                Some(number.clone())
            }
            other => {
                issues.wrong_type(other, "number", &path);
                None
            }
        }
    };
    let (hours, minutes) = (part("hours", 23), part("minutes", 59));
    Some(RotateAt { hours: hours?, minutes: minutes? })
}

fn parameters(issues: &mut Issues, value: Option<&Value>) -> Option<Parameters> {
    let Some(Value::Object(fields)) = value else {
        issues.wrong_type(value, "object", &["parameters"]);
        return None;
    };
    let token_name = not_empty(issues, fields, &["parameters", "tokenName"]);
    let path = ["parameters", "permissionGrants"];
    let grants = match fields.get("permissionGrants") {
        Some(Value::Array(grants)) => {
            if grants.is_empty() {
                issues.0.push(json!({
                    "code": "too_small", "minimum": 1, "type": "array", "inclusive": true, "exact": false,
                    "message": "Array must contain at least 1 element(s)", "path": path,
                }));
            }
            grants.iter().enumerate().map(|(index, value)| grant(issues, index, value)).collect()
        }
        other => {
            issues.wrong_type(other, "array", &path);
            None
        }
    };
    Some(Parameters { token_name: token_name?, grants: grants? })
}

fn grant(issues: &mut Issues, index: usize, value: &Value) -> Option<Grant> {
    let mut own = Issues::default();
    let grant = match value {
        Value::Object(fields) => {
            let set = own.one_of(fields.get("permissionSet"), &PERMISSION_SETS, &["permissionSet"]);
            let project_id = match fields.get("projectId") {
                None => None,
                Some(Value::Number(number)) => Some(number.clone()),
                other => {
                    own.wrong_type(other, "number", &["projectId"]);
                    None
                }
            };
            set.map(|permission_set| Grant { permission_set, project_id })
        }
        other => {
            own.wrong_type(Some(other), "object", &[]);
            None
        }
    };
    for mut issue in own.0 {
        let mut path = vec![json!("parameters"), json!("permissionGrants"), json!(index)];
        path.extend(issue["path"].as_array().into_iter().flatten().cloned());
        issue["path"] = json!(path);
        issues.0.push(issue);
    }
    grant
}

fn secret_name(issues: &mut Issues, value: Option<&Value>, rule: NameRule) -> Option<String> {
    let Some(Value::Object(fields)) = value else {
        issues.wrong_type(value, "object", &["secretsMapping"]);
        return None;
    };
    let path = ["secretsMapping", "serviceToken"];
    let name = not_empty(issues, fields, &path)?;
    let mut broken = |broken: bool, message: &str| {
        if broken {
            issues.0.push(json!({"code": "custom", "message": message, "path": path}));
        }
    };
    match rule {
        NameRule::Current => {
            broken(name.contains([':', '/']), "Secret name cannot contain colon or forward slash.");
        }
        NameRule::Older => {
            broken(name.contains(' '), "Secret name cannot contain spaces.");
            broken(name.contains(':'), "Secret name cannot contain colon.");
        }
    }
    Some(name)
}

fn not_empty(issues: &mut Issues, fields: &Map<String, Value>, path: &[&str]) -> Option<String> {
    let text = issues.required(fields, path)?;
    issues.at_least(&text, 1, path, "String must contain at least 1 character(s)");
    Some(text)
}

/// The database has an integer for the days.
pub(super) fn days(interval: f64) -> Option<i32> {
    (interval.fract() == 0.0 && interval.abs() <= f64::from(i32::MAX)).then_some(interval as i32)
}

/// `None` when the database can't store one of these.
pub(super) fn storable(
    description: Option<&str>,
    parameters: Option<&Parameters>,
    secret_name: Option<&str>,
) -> Option<()> {
    let token_name = parameters.map(|parameters| parameters.token_name.as_str());
    let mut texts = [token_name, secret_name].into_iter().flatten();
    (fits_description(description) && !texts.any(|text| text.contains('\0'))).then_some(())
}

/// Whether the database can store a description. The column has room for 255 characters of Unicode, which are other
/// ones than those that the validation counts, and no text can have U+0000.
pub(super) fn fits_description(text: Option<&str>) -> bool {
    text.is_none_or(|text| text.chars().count() <= 255 && !text.contains('\0'))
}
