//! Rotations of dbt service tokens: the KMS makes a new token every so many days, and keeps the current one in a secret.

pub(super) mod model;
mod rotate;

use self::model::{PERMISSION_SETS, RotationModel, parameters, time_of_day};
pub(super) use self::rotate::RotateServiceToken;
use super::{
    lifecycle::{Folder, ManagedObject, SecretAttribute},
    messages::{
        attribute_map::{self, AttributeMap},
        lifecycle as lifecycle_messages, rotation as messages,
    },
    rules,
};
use crate::{
    kms::{self, NewServiceTokenRotation, RotationDeletion, RotationPlace, Scope, ServiceTokenRotationPatch},
    plugin::{
        diagnostics::Diagnostics,
        model::{Field, Set},
    },
    secret::Secret,
};

/// The kind of object.
#[derive(Clone, Debug)]
pub(super) struct ServiceTokenRotation;

impl ManagedObject for ServiceTokenRotation {
    type Model = RotationModel;

    const TYPE: &'static str = "kms_dbt_service_token_rotation";
    const NOUN: &'static str = "dbt service token rotation";
    const MANY: &'static str = "rotations";
    const DESCRIPTION: &'static str = "Manages a rotation of dbt service tokens. At a fixed interval, the KMS creates a new \
                                       service token through a dbt connection, stores it in a secret, and revokes the token \
                                       before the previous one. The previous token remains valid for one more interval.";
    const PLACE: &'static [&'static str] = &["name", "project_id", "environment", "secret_path"];
    const IMPORT_FORMS: &'static str =
        "PROJECT_ID/ENVIRONMENT/PATH/NAME, where PATH may be empty or have slashes";
    const ATTRIBUTES: AttributeMap = AttributeMap {
        project: Some("project_id"),
        name: Some("name"),
        credentials: Some("connection_id"),
        credentials_advice: attribute_map::ROTATING_CREDENTIALS,
        account: Some("connection_id"),
        instance: Some("connection_id"),
        whose: attribute_map::OF_THE_CONNECTION,
        connection: Some("connection_id"),
        environment: Some("environment"),
        feature: Some("secret rotations"),
        folder: Some("secret_path"),
        secret: Some("secret_name"),
        other_kind: "a secret rotation of another type",
        ..AttributeMap::NONE
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

    fn folder(place: &RotationPlace) -> Option<Folder<'_>> {
        let RotationPlace { project_id, environment, secret_path, .. } = place;
        Some(Folder { project_id, environment, path: secret_path })
    }

    fn parse_place(text: &str) -> Option<RotationPlace> {
        let (rest, name) = text.rsplit_once('/')?;
        let (project_id, rest) = rest.split_once('/')?;
        let (environment, path) = rest.split_once('/').unwrap_or((rest, ""));
        let secret_path = format!("/{path}");
        let is_legal = rules::slug(name).is_ok()
            && rules::project_id(project_id).is_ok()
            && rules::slug(environment).is_ok()
            && rules::canonical_folder_path(&secret_path).is_ok();
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
            .then(|| lifecycle_messages::difference("connection_id", &existing.connection_id))
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
        // What isn't known yet may turn out to be the same.
        let may_be_same =
            |prior: &Field<String>, planned: &Field<String>| planned.is_unknown() || prior == planned;
        may_be_same(&prior.project_id, &planned.project_id)
            && may_be_same(&prior.environment, &planned.environment)
            && may_be_same(&prior.secret_path, &planned.secret_path)
            && may_be_same(&prior.secret_name, &planned.secret_name)
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
            if prior.revoke_tokens_on_destroy.known() == Some(&false) {
                messages::tokens_stay(prior, diagnostics);
            }
            if Self::takes_place(prior, planned) {
                messages::secret_is_deleted_first(prior.secret_name.text(), diagnostics);
            }
            return;
        }
        if prior.token_name != planned.token_name {
            messages::takes_effect_later("token_name", "name", prior, planned, diagnostics);
        }
        if prior.permission_grants != planned.permission_grants {
            messages::takes_effect_later("permission_grants", "permissions", prior, planned, diagnostics);
        }
    }

    fn review_destroy(prior: &RotationModel, diagnostics: &mut Diagnostics) {
        if prior.status.as_str() == Some("failed") {
            messages::last_rotation_failed(prior, diagnostics);
        }
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

    fn keep_spelling(prior: &RotationModel, state: &mut RotationModel) {
        // Some servers don't show it.
        if state.token_name.text().is_empty() {
            state.token_name = prior.token_name.clone();
        }
    }

    fn validate(config: &RotationModel, diagnostics: &mut Diagnostics) {
        let Some(Set(grants)) = config.permission_grants.known() else { return };
        let sets = grants.iter().filter_map(|grant| grant.known()?.permission_set.as_str());
        for set in sets.filter(|set| PERMISSION_SETS.split(' ').all(|known| known != *set)) {
            messages::unknown_permission_set(set, diagnostics);
        }
    }
}
