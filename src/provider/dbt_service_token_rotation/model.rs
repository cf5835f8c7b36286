//! The attributes of a rotation.

use crate::{
    kms::{self, PermissionGrant, TimeOfDay, TokenParameters},
    model,
    plugin::{
        model::{Field, Set},
        schema::{computed, optional, required},
        value::Value,
    },
    provider::{lifecycle::object, rules},
};

/// dbt's sets of permissions that the server knows, separated by spaces.
pub const PERMISSION_SETS: &str = "account_admin account_viewer admin analyst billing_admin cost_insights_admin \
     cost_insights_viewer cost_management_admin cost_management_viewer database_admin developer fusion_admin git_admin job_admin \
     job_runner job_viewer manage_marketplace_apps member metadata_only owner project_creator readonly scim_only security_admin \
     semantic_layer_only stakeholder team_admin webhooks_only";

/// The longest interval, in days, that the server's database has room for. The server accepts a fraction and then fails, after
/// it has created a token.
const LONGEST_INTERVAL: i64 = i32::MAX as i64;

model! {
    /// A permission of the tokens.
    pub struct Grant {
        /// Name of a dbt permission set, such as `job_admin`, `developer` or `semantic_layer_only`.
        permission_set: String = required().rule(rules::trimmed_text),
        /// ID of the dbt project that the permissions apply to. If not set, they apply to all projects.
        project_id: i64 = optional(),
    }
}

model! {
    /// A time of day.
    pub struct RotateAt {
        /// Hour, from 0 to 23. Default: 0.
        hours: i64 = optional().default(0).between(0, 23),
        /// Minute, from 0 to 59. Default: 0.
        minutes: i64 = optional().default(0).between(0, 59),
    }
}

object! {
    /// A rotation of dbt service tokens as Terraform sees it.
    pub struct RotationModel shows kms::ServiceTokenRotation {
        /// Name of the rotation, unique in its folder. A slug: lower-case letters, digits and single inner hyphens, at most 64
        /// characters.
        name: String = required().rule(rules::slug) => |it| it.name.clone(),
        /// Description of the rotation. At most 255 characters.
        description: String = optional().rule(rules::description) => |it| it.description.clone(),
        /// ID of the project that holds the secret.
        project_id: String = required().rule(rules::project_id).requires_replace() => |it| it.project_id.clone(),
        /// ID of the dbt connection that the KMS uses to create the tokens. The token of the connection needs permission to
        /// manage service tokens in dbt.
        connection_id: String = required().rule(rules::canonical_uuid).requires_replace() => |it| it.connection_id.clone(),
        /// Slug of the environment that holds the secret, such as `prod`.
        environment: String = required().rule(rules::slug).requires_replace() => |it| it.environment.slug.clone(),
        /// Path of the folder that holds the secret. The folder must exist. Default: `/`.
        secret_path: String = optional().default("/").rule(rules::canonical_folder_path).requires_replace()
            => |it| it.folder.path.clone(),
        /// Name of the KMS secret that holds the current token. Changing this renames the secret in place.
        secret_name: String = required().rule(rules::secret_name)
            => "secretsMapping.serviceToken" |it| it.secrets_mapping.service_token.clone(),
        /// Name of the tokens in dbt. A change takes effect at the next rotation.
        token_name: String = required().rule(rules::trimmed_text)
            => "parameters.tokenName" |it| it.parameters.token_name.clone(),
        /// Permissions of the tokens: at least one grant. A change takes effect at the next rotation.
        permission_grants: Set<Field<Grant>> = required().filled()
            => "parameters.permissionGrants" |it| grants(&it.parameters),
        /// Number of days between rotations. Default: 30.
        rotation_interval: i64 = optional().default(30).between(1, LONGEST_INTERVAL) => |it| it.rotation_interval,
        /// Time of day, in UTC, at which the KMS rotates the token. Default: midnight.
        rotate_at_utc: RotateAt = optional().default(midnight()) => |it| RotateAt {
            hours: it.rotate_at_utc.hours.into(),
            minutes: it.rotate_at_utc.minutes.into(),
        },
        /// Whether the KMS rotates the token automatically. Default: `true`.
        auto_rotation_enabled: bool = optional().default(true)
            => "isAutoRotationEnabled" |it| it.is_auto_rotation_enabled,
        /// Whether destroying the rotation revokes its tokens in dbt. If `false`, they remain valid and are no longer managed.
        /// Default: `true`.
        revoke_tokens_on_destroy: bool = optional().default(true),
        /// Whether destroying the rotation deletes the secret. If `false`, the secret keeps the last token. Default: `true`.
        delete_secret_on_destroy: bool = optional().default(true),
        /// Whether to adopt an existing rotation with the same name, folder and connection instead of failing. The apply then
        /// writes the configured values to it. The plan shows which rotation will be adopted, and fails if another
        /// resource in the plan manages or adopts that rotation. Changing only this attribute sends nothing to the KMS.
        /// Default: `false`.
        adopt_existing: bool = optional(),
        /// ID of the rotation, a UUID.
        id: String = computed().stable().not_null() => |it| it.id.clone(),
        /// Result of the last rotation: `success` or `failed`.
        status: String = computed().not_null() => |it| it.rotation_status.clone(),
        /// Reason why the last rotation failed, if it failed.
        last_rotation_message: String = computed() => |it| it.last_rotation_message.clone(),
        /// Time of the last successful rotation, in RFC 3339 format.
        last_rotated_at: String = computed().not_null() => |it| it.last_rotated_at.clone(),
        /// Time of the next scheduled rotation, in RFC 3339 format, if one is scheduled.
        next_rotation_at: String = computed() => |it| it.next_rotation_at.clone(),
        /// Time when the rotation was created, in RFC 3339 format.
        created_at: String = computed().stable().not_null() => |it| it.created_at.clone(),
        /// Time of the last change of the rotation, in RFC 3339 format. Rotating the token changes it too.
        updated_at: String = computed().not_null() => |it| it.updated_at.clone(),
    }
}

/// The default time of day.
pub fn midnight() -> Value {
    let zero = |name: &'static str| (name.into(), Value::from(0));
    Value::Map([zero("hours"), zero("minutes")].into())
}

/// The grants as the KMS shows them.
pub fn grants(parameters: &TokenParameters) -> Set<Field<Grant>> {
    let grant = |grant: &PermissionGrant| {
        Field::Known(Grant {
            permission_set: grant.permission_set.clone().into(),
            project_id: grant.project_id.into(),
        })
    };
    parameters.permission_grants.iter().map(grant).collect()
}

/// What to ask dbt for.
pub fn parameters(planned: &RotationModel) -> TokenParameters {
    let grants = planned.permission_grants.known().map(|Set(grants)| grants.as_slice()).unwrap_or_default();
    let grant = |grant: &Grant| PermissionGrant {
        permission_set: grant.permission_set.text().to_owned(),
        project_id: grant.project_id.known().copied(),
    };
    TokenParameters {
        token_name: planned.token_name.text().to_owned(),
        permission_grants: grants.iter().filter_map(Field::known).map(grant).collect(),
    }
}

/// When to rotate.
pub fn time_of_day(planned: &RotationModel) -> TimeOfDay {
    let part = |part: fn(&RotateAt) -> &Field<i64>| {
        planned.rotate_at_utc.known().and_then(|time| part(time).known().copied()).unwrap_or_default()
    };
    TimeOfDay { hours: part(|time| &time.hours), minutes: part(|time| &time.minutes) }
}
