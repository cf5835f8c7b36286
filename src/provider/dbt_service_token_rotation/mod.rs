//! Rotations of dbt service tokens: the KMS makes a new token every so many days, and keeps the current one in a secret.

mod messages;
mod rotate;
mod rules;

pub(super) use self::rotate::RotateServiceToken;
use super::{
    errors::Blame,
    lifecycle::{ManagedObject, SecretAttribute, object},
    rules as common,
};
use crate::{
    kms::{
        self, NewServiceTokenRotation, PermissionGrant, RotationDeletion, RotationPlace, Scope,
        ServiceTokenRotationPatch, TimeOfDay, TokenParameters,
    },
    model,
    plugin::{
        diagnostics::Diagnostics,
        model::{Field, Set},
        schema::{computed, optional, required},
        value::Value,
    },
    secret::Secret,
};

model! {
    /// What the tokens may do.
    pub struct Grant {
        /// dbt's name of a set of permissions, such as `job_admin`, `developer` or `semantic_layer_only`.
        permission_set: String = required().rule(common::trimmed_text),
        /// Number of the dbt project that the permissions are for. Without it, they are for all projects.
        project_id: i64 = optional(),
    }
}

model! {
    /// A time of day.
    pub struct RotateAt {
        /// Hour, from 0 to 23. Default: 0.
        hours: i64 = optional().default(0).number_rule(rules::hours),
        /// Minute, from 0 to 59. Default: 0.
        minutes: i64 = optional().default(0).number_rule(rules::minutes),
    }
}

object! {
    /// A rotation of dbt service tokens as Terraform sees it.
    pub struct RotationModel shows kms::ServiceTokenRotation {
        /// Name of the rotation, unique in its folder. A slug: lower-case letters, digits and single inner hyphens, at most 64
        /// characters.
        name: String = required().rule(common::slug) => |it| it.name.clone(),
        /// What the rotation is for. At most 256 characters.
        description: String = optional().rule(common::description) => |it| it.description.clone(),
        /// ID of the project that holds the secret.
        project_id: String = required().rule(common::project_id).requires_replace() => |it| it.project_id.clone(),
        /// ID of the dbt connection through which the KMS makes the tokens. Its token must be allowed to manage service tokens
        /// at dbt.
        connection_id: String = required().rule(common::uuid).requires_replace() => |it| it.connection_id.clone(),
        /// Slug of the environment that holds the secret, such as `prod`.
        environment: String = required().rule(common::slug).requires_replace() => |it| it.environment.slug.clone(),
        /// Path of the folder that holds the secret. The folder must exist. Default: `/`.
        secret_path: String = optional().default("/").rule(rules::secret_path).requires_replace()
            => |it| it.folder.path.clone(),
        /// Name of the KMS secret that holds the current token. A changed name renames the secret in place.
        secret_name: String = required().rule(rules::secret_name)
            => "secretsMapping.serviceToken" |it| it.secrets_mapping.service_token.clone(),
        /// Name of the tokens at dbt. A changed name takes effect at the next rotation.
        token_name: String = required().rule(common::trimmed_text)
            => "parameters.tokenName" |it| it.parameters.token_name.clone(),
        /// What the tokens may do, one grant or more. Changed grants take effect at the next rotation.
        permission_grants: Set<Field<Grant>> = required()
            => "parameters.permissionGrants" |it| grants(&it.parameters),
        /// Days between rotations. Default: 30.
        rotation_interval: i64 = optional().default(30).number_rule(rules::interval) => |it| it.rotation_interval,
        /// Time of day at which the KMS rotates, in UTC. Default: midnight.
        rotate_at_utc: RotateAt = optional().default(midnight()) => |it| RotateAt {
            hours: it.rotate_at_utc.hours.into(),
            minutes: it.rotate_at_utc.minutes.into(),
        },
        /// Whether the KMS rotates by itself. Default: `true`.
        auto_rotation_enabled: bool = optional().default(true)
            => "isAutoRotationEnabled" |it| it.is_auto_rotation_enabled,
        /// Whether destroying the rotation revokes its tokens at dbt. Otherwise they stay valid, and nothing manages them any
        /// more. Default: `true`.
        revoke_tokens_on_destroy: bool = optional().default(true),
        /// Whether destroying the rotation deletes the secret. Otherwise it stays, with the last token. Default: `true`.
        delete_secret_on_destroy: bool = optional().default(true),
        /// Whether to take over an existing rotation that has the name in the same folder and uses the same connection, instead
        /// of failing, and to give it the configured values. The plan says which rotation that is. A rotation that another
        /// resource manages is never taken over. Changing this alone sends nothing. Default: `false`.
        adopt_existing: bool = optional(),
        /// ID of the rotation, a UUID.
        id: String = computed().stable().not_null() => |it| it.id.clone(),
        /// Outcome of the last rotation: `success` or `failed`.
        status: String = computed().not_null() => |it| it.rotation_status.clone(),
        /// Why the last rotation failed, if it did.
        last_rotation_message: String = computed() => |it| it.last_rotation_message.clone(),
        /// When a rotation last succeeded, as an RFC 3339 time.
        last_rotated_at: String = computed().not_null() => |it| it.last_rotated_at.clone(),
        /// When the next rotation is due, as an RFC 3339 time, if one is.
        next_rotation_at: String = computed() => |it| it.next_rotation_at.clone(),
        /// When the rotation was created, as an RFC 3339 time.
        created_at: String = computed().stable().not_null() => |it| it.created_at.clone(),
        /// When the rotation was last changed, as an RFC 3339 time. A rotation of the token changes it too.
        updated_at: String = computed().not_null() => |it| it.updated_at.clone(),
    }
}

/// The kind of object.
#[derive(Clone, Debug)]
pub(super) struct ServiceTokenRotation;

impl ManagedObject for ServiceTokenRotation {
    type Model = RotationModel;

    const TYPE: &'static str = "kms_dbt_service_token_rotation";
    const NOUN: &'static str = "dbt service token rotation";
    const MANY: &'static str = "rotations";
    const DESCRIPTION: &'static str = "A rotation of dbt service tokens. Every so many days, the KMS makes a new service token \
                                       through a dbt connection, keeps it in a secret, and revokes the one before the last. So \
                                       readers of the secret have a whole interval to pick up a new token.";
    const PLACE: &'static [&'static str] = &["name", "project_id", "environment", "secret_path"];
    const IMPORT_FORMS: &'static str =
        "PROJECT_ID/ENVIRONMENT/PATH/NAME, where PATH may be empty or have slashes";
    const BLAME: Blame = Blame {
        project: Some("project_id"),
        name: Some("name"),
        credentials: Some("connection_id"),
        credentials_advice: "The token that the connection stores must not be expired or revoked, and must be allowed to \
                             manage service tokens of the dbt account.",
        folder: Some("secret_path"),
        secret: Some("secret_name"),
        ..Blame::NONE
    };
    const SECRET: Option<SecretAttribute<RotationModel>> = None;

    fn place(model: &RotationModel) -> RotationPlace {
        RotationPlace {
            name: model.name.text().to_owned(),
            project_id: model.project_id.text().to_owned(),
            environment: model.environment.text().to_owned(),
            secret_path: model.secret_path.as_str().unwrap_or("/").to_owned(),
        }
    }

    fn name_of(place: &RotationPlace) -> &str {
        &place.name
    }

    fn scope_words(place: &RotationPlace) -> String {
        let RotationPlace { project_id, environment, secret_path, .. } = place;
        format!(
            "the folder \"{secret_path}\" of the environment \"{environment}\" in the project {project_id}"
        )
    }

    fn parse_place(text: &str) -> Option<RotationPlace> {
        let (rest, name) = text.rsplit_once('/')?;
        let (project_id, rest) = rest.split_once('/')?;
        let (environment, path) = rest.split_once('/').unwrap_or((rest, ""));
        let secret_path = format!("/{path}");
        let is_legal = common::slug(name).is_ok()
            && common::project_id(project_id).is_ok()
            && common::slug(environment).is_ok()
            && rules::secret_path(&secret_path).is_ok();
        is_legal.then(|| RotationPlace {
            name: name.to_owned(),
            project_id: project_id.to_owned(),
            environment: environment.to_owned(),
            secret_path,
        })
    }

    fn scope(state: &RotationModel) -> Scope<'_> {
        state.project_id.as_str().map_or(Scope::Unknown, Scope::Project)
    }

    fn new_object(planned: &RotationModel, _: Option<Secret>) -> NewServiceTokenRotation {
        NewServiceTokenRotation {
            place: Self::place(planned),
            description: planned.description.known().cloned(),
            connection_id: planned.connection_id.text().to_owned(),
            is_auto_rotation_enabled: planned.auto_rotation_enabled.known() != Some(&false),
            rotation_interval: planned.rotation_interval.known().copied().unwrap_or_default(),
            rotate_at_utc: time_of_day(planned),
            parameters: parameters(planned),
            secret_name: planned.secret_name.text().to_owned(),
        }
    }

    fn patch(prior: &RotationModel, planned: &RotationModel, _: Option<Secret>) -> ServiceTokenRotationPatch {
        let new = Self::new_object(planned, None);
        let changes_parameters =
            planned.token_name != prior.token_name || planned.permission_grants != prior.permission_grants;
        ServiceTokenRotationPatch {
            name: (planned.name != prior.name).then_some(new.place.name),
            description: (planned.description != prior.description).then_some(new.description),
            is_auto_rotation_enabled: (planned.auto_rotation_enabled != prior.auto_rotation_enabled)
                .then_some(new.is_auto_rotation_enabled),
            rotation_interval: (planned.rotation_interval != prior.rotation_interval)
                .then_some(new.rotation_interval),
            rotate_at_utc: (planned.rotate_at_utc != prior.rotate_at_utc).then_some(new.rotate_at_utc),
            parameters: changes_parameters.then_some(new.parameters),
            secrets_mapping: (planned.secret_name != prior.secret_name)
                .then_some(kms::SecretsMapping { service_token: new.secret_name }),
        }
    }

    fn differences(planned: &RotationModel, existing: &kms::ServiceTokenRotation) -> Vec<String> {
        let is_other = planned
            .connection_id
            .as_str()
            .is_some_and(|id| !id.eq_ignore_ascii_case(&existing.connection_id));
        is_other
            .then(|| format!("connection_id (it has \"{}\")", existing.connection_id))
            .into_iter()
            .collect()
    }

    fn deletion(state: &RotationModel, is_replaced: bool) -> RotationDeletion {
        RotationDeletion {
            revoke_tokens: state.revoke_tokens_on_destroy.known() != Some(&false),
            delete_secret: is_replaced || state.delete_secret_on_destroy.known() != Some(&false),
        }
    }

    fn takes_place(prior: &RotationModel, planned: &RotationModel) -> bool {
        prior.project_id == planned.project_id
            && prior.environment == planned.environment
            && prior.secret_path == planned.secret_path
            && prior.secret_name == planned.secret_name
    }

    fn review(
        prior: Option<&RotationModel>,
        planned: &RotationModel,
        replaces: bool,
        diagnostics: &mut Diagnostics,
    ) {
        let Some(prior) = prior else { return };
        if prior.status.as_str() == Some("failed") {
            messages::last_rotation_failed(prior, diagnostics);
        }
        if replaces {
            if Self::takes_place(prior, planned) {
                messages::secret_is_deleted_first(prior.secret_name.text(), diagnostics);
            }
            return;
        }
        if prior.token_name != planned.token_name {
            messages::takes_effect_later("token_name", "name", prior, diagnostics);
        }
        if prior.permission_grants != planned.permission_grants {
            messages::takes_effect_later("permission_grants", "permissions", prior, diagnostics);
        }
    }

    fn review_destroy(prior: &RotationModel, diagnostics: &mut Diagnostics) {
        if prior.revoke_tokens_on_destroy.known() == Some(&false) {
            messages::tokens_stay(prior, diagnostics);
        }
        if prior.delete_secret_on_destroy.known() == Some(&false) {
            messages::secret_stays(prior, diagnostics);
        }
    }

    fn leftover(planned: &RotationModel) -> Option<String> {
        Some(messages::leftover(planned.token_name.text()))
    }

    fn validate(config: &RotationModel, diagnostics: &mut Diagnostics) {
        let Some(Set(grants)) = config.permission_grants.known() else { return };
        if grants.is_empty() {
            messages::no_grants(diagnostics);
        }
        let sets = grants.iter().filter_map(|grant| grant.known()?.permission_set.as_str());
        for set in sets.filter(|set| !rules::PERMISSION_SETS.contains(set)) {
            messages::unknown_permission_set(set, diagnostics);
        }
    }
}

fn midnight() -> Value {
    let zero = |name: &str| (name.to_owned(), Value::from(0));
    Value::Map([zero("hours"), zero("minutes")].into())
}

fn grants(parameters: &TokenParameters) -> Set<Field<Grant>> {
    let grant = |grant: &PermissionGrant| {
        Field::Known(Grant {
            permission_set: grant.permission_set.clone().into(),
            project_id: grant.project_id.into(),
        })
    };
    parameters.permission_grants.iter().map(grant).collect()
}

fn parameters(planned: &RotationModel) -> TokenParameters {
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

fn time_of_day(planned: &RotationModel) -> TimeOfDay {
    let part = |part: fn(&RotateAt) -> &Field<i64>| {
        planned.rotate_at_utc.known().and_then(|time| part(time).known().copied()).unwrap_or_default()
    };
    TimeOfDay { hours: part(|time| &time.hours), minutes: part(|time| &time.minutes) }
}
