//! Rotations of dbt service tokens: their fields in requests and responses.

use serde::{Deserialize, Serialize};

use super::{
    error::Error,
    object::{NewObject, Object, ObjectPatch, or_default},
    request::Request,
};
use crate::secret::Secret;

/// The name of the type in routes and responses.
const TYPE: &str = "dbt-service-token";

/// The tokens that the KMS creates at dbt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenParameters {
    /// The name of the tokens at dbt.
    #[serde(default)]
    pub token_name: String,
    /// The permissions of the tokens, without order.
    pub permission_grants: Vec<PermissionGrant>,
}

/// A permission of a token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PermissionGrant {
    /// dbt's name of the permission set, such as `job_admin`.
    pub permission_set: String,
    /// The number of a dbt project; absent for all projects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<i64>,
}

/// A time of day, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TimeOfDay {
    /// From 0 to 23.
    pub hours: i64,
    /// From 0 to 59.
    pub minutes: i64,
}

/// The names of the secrets that a rotation writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretsMapping {
    /// The name of the secret with the current token.
    pub service_token: String,
}

/// The place of a rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RotationPlace {
    /// The name, unique in its folder.
    pub name: String,
    /// The project's ID.
    pub project_id: String,
    /// The slug of the environment.
    pub environment: String,
    /// The path of the folder; `/` is the root.
    pub secret_path: String,
}

/// A rotation to create. The KMS creates its first token at once.
#[derive(Debug, Clone)]
pub struct NewServiceTokenRotation {
    /// Its name and folder.
    pub place: RotationPlace,
    /// A description, if any.
    pub description: Option<String>,
    /// The ID of the dbt connection with which the KMS creates tokens.
    pub connection_id: String,
    /// Whether it rotates automatically.
    pub is_auto_rotation_enabled: bool,
    /// Days between rotations.
    pub rotation_interval: i64,
    /// The time of day at which it rotates.
    pub rotate_at_utc: TimeOfDay,
    /// The parameters of the tokens.
    pub parameters: TokenParameters,
    /// The name of the secret with the current token.
    pub secret_name: String,
}

/// A change of a rotation; `None` keeps a field unchanged.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceTokenRotationPatch {
    /// The new name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The new description; `Some(None)` removes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Option<String>>,
    /// Whether it rotates automatically.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_auto_rotation_enabled: Option<bool>,
    /// Days between rotations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotation_interval: Option<i64>,
    /// The time of day at which it rotates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotate_at_utc: Option<TimeOfDay>,
    /// The parameters of the tokens from the next rotation on, always complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<TokenParameters>,
    /// The names of the secrets, always complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secrets_mapping: Option<SecretsMapping>,
}

/// Options for the deletion of a rotation. By default, its tokens and its secret are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RotationDeletion {
    /// Revokes the tokens at dbt. If dbt refuses, the rotation is not deleted.
    pub revoke_tokens: bool,
    /// Deletes the secret. Otherwise it is kept as a static secret.
    pub delete_secret: bool,
}

/// A rotation as the KMS returns it, without tokens.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceTokenRotation {
    /// The ID, a UUID.
    pub id: String,
    /// The name.
    pub name: String,
    /// The description, if it has one.
    #[serde(default)]
    pub description: Option<String>,
    /// The type; absent in the responses of some servers.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    /// The project's ID.
    pub project_id: String,
    /// The ID of the dbt connection.
    pub connection_id: String,
    /// The environment.
    pub environment: Environment,
    /// The folder.
    pub folder: Folder,
    /// Whether it rotates automatically.
    #[serde(default, deserialize_with = "or_default")]
    pub is_auto_rotation_enabled: bool,
    /// Days between rotations.
    pub rotation_interval: i64,
    /// The time of day at which it rotates.
    #[serde(default, deserialize_with = "or_default")]
    pub rotate_at_utc: TimeOfDay,
    /// The parameters of the tokens from the next rotation on.
    pub parameters: TokenParameters,
    /// The names of the secrets.
    pub secrets_mapping: SecretsMapping,
    /// `success` or `failed`.
    #[serde(default, deserialize_with = "or_default")]
    pub rotation_status: String,
    /// Why the last rotation failed, if it did.
    #[serde(default)]
    pub last_rotation_message: Option<String>,
    /// When a rotation last succeeded, in RFC 3339.
    #[serde(default, deserialize_with = "or_default")]
    pub last_rotated_at: String,
    /// When the next rotation is due, if any.
    #[serde(default)]
    pub next_rotation_at: Option<String>,
    /// When it was created.
    #[serde(default, deserialize_with = "or_default")]
    pub created_at: String,
    /// When it was last changed.
    #[serde(default, deserialize_with = "or_default")]
    pub updated_at: String,
}

/// The environment of a rotation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Environment {
    /// Its slug.
    pub slug: String,
}

/// The folder of a rotation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Folder {
    /// Its path.
    pub path: String,
}

impl Object for ServiceTokenRotation {
    const COLLECTION: &'static str = "/api/v2/secret-rotations/dbt-service-token";
    const ONE: &'static str = "secretRotation";
    const MANY: &'static str = "secretRotations";
    const HAS_LIST_OF_ALL: bool = false;

    type Place = RotationPlace;
    type New = NewServiceTokenRotation;
    type Patch = ServiceTokenRotationPatch;
    type Deletion = RotationDeletion;

    fn id(&self) -> &str {
        &self.id
    }

    fn project_id(&self) -> Option<&str> {
        Some(&self.project_id)
    }

    fn created_at(&self) -> &str {
        &self.created_at
    }

    fn updated_at(&self) -> &str {
        &self.updated_at
    }

    fn is_of_kind(&self) -> bool {
        self.kind.as_deref().is_none_or(|kind| kind == TYPE)
    }

    fn is_whole(&self) -> bool {
        let Self { rotation_status, last_rotated_at, created_at, updated_at, .. } = self;
        [rotation_status, last_rotated_at, created_at, updated_at].iter().all(|text| !text.is_empty())
    }

    fn texts(&mut self) -> Vec<&mut String> {
        // Listed one by one, so that nobody forgets a new field.
        let Self {
            id: _,
            name,
            description,
            kind: _,
            project_id,
            connection_id,
            environment: Environment { slug },
            folder: Folder { path },
            is_auto_rotation_enabled: _,
            rotation_interval: _,
            rotate_at_utc: _,
            parameters: TokenParameters { token_name, permission_grants },
            secrets_mapping: SecretsMapping { service_token },
            rotation_status,
            last_rotation_message: _,
            last_rotated_at,
            next_rotation_at,
            created_at,
            updated_at,
        } = self;
        let mut texts = vec![name, project_id, connection_id, slug, path, token_name, service_token];
        texts.extend([rotation_status, last_rotated_at, created_at, updated_at]);
        texts.extend(description.iter_mut().chain(next_rotation_at));
        texts.extend(permission_grants.iter_mut().map(|grant| &mut grant.permission_set));
        texts
    }

    fn message(&mut self) -> Option<&mut String> {
        // What dbt responded.
        self.last_rotation_message.as_mut()
    }

    fn is_at(&self, place: &RotationPlace) -> bool {
        // Older servers store names in lower case.
        self.name.eq_ignore_ascii_case(&place.name)
            && self.project_id == place.project_id
            && self.environment.slug == place.environment
            && self.folder.path == place.secret_path
    }

    fn project_of(place: &RotationPlace) -> Option<&str> {
        Some(&place.project_id)
    }

    fn get_by_name(place: &RotationPlace) -> Result<Request, Error> {
        let route = format!("{}/rotation-name/:name", Self::COLLECTION);
        Ok(Request::get(route, &[&place.name])?
            .with_query("projectId", Some(&place.project_id))
            .with_query("environment", Some(&place.environment))
            .with_query("secretPath", Some(&place.secret_path)))
    }

    fn delete(id: &str, deletion: RotationDeletion) -> Result<Request, Error> {
        let flag = |is_set: bool| Some(if is_set { "true" } else { "false" });
        Ok(Request::delete(format!("{}/:id", Self::COLLECTION), &[id])?
            .with_query("deleteSecrets", flag(deletion.delete_secret))
            .with_query("revokeGeneratedCredentials", flag(deletion.revoke_tokens)))
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewBody<'a> {
    name: &'a str,
    project_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    connection_id: &'a str,
    environment: &'a str,
    secret_path: &'a str,
    is_auto_rotation_enabled: bool,
    rotation_interval: i64,
    rotate_at_utc: TimeOfDay,
    parameters: &'a TokenParameters,
    secrets_mapping: SecretsMapping,
}

impl NewObject<ServiceTokenRotation> for NewServiceTokenRotation {
    // Each attempt creates a token at dbt, even if the KMS doesn't store it.
    const IS_REPEATABLE: bool = false;

    fn body(&self) -> impl Serialize {
        NewBody {
            name: &self.place.name,
            project_id: &self.place.project_id,
            description: self.description.as_deref(),
            connection_id: &self.connection_id,
            environment: &self.place.environment,
            secret_path: &self.place.secret_path,
            is_auto_rotation_enabled: self.is_auto_rotation_enabled,
            rotation_interval: self.rotation_interval,
            rotate_at_utc: self.rotate_at_utc,
            parameters: &self.parameters,
            secrets_mapping: SecretsMapping { service_token: self.secret_name.clone() },
        }
    }

    fn secrets(&self) -> Vec<&Secret> {
        Vec::new()
    }

    fn place(&self) -> RotationPlace {
        self.place.clone()
    }

    fn is_shown_by(&self, found: &ServiceTokenRotation) -> bool {
        found.is_at(&self.place)
            && found.name == self.place.name
            && found.description == self.description
            && found.connection_id == self.connection_id
            && found.is_auto_rotation_enabled == self.is_auto_rotation_enabled
            && found.rotation_interval == self.rotation_interval
            && found.rotate_at_utc == self.rotate_at_utc
            && found.parameters.is_same(&self.parameters)
            && found.secrets_mapping.service_token == self.secret_name
    }
}

impl TokenParameters {
    /// Whether the parameters are equal, in any order.
    fn is_same(&self, other: &Self) -> bool {
        let all_in = |these: &Self, those: &Self| {
            these.permission_grants.iter().all(|grant| those.permission_grants.contains(grant))
        };
        self.token_name == other.token_name && all_in(self, other) && all_in(other, self)
    }
}

impl ObjectPatch<ServiceTokenRotation> for ServiceTokenRotationPatch {
    fn body(&self) -> impl Serialize {
        self
    }

    fn secrets(&self) -> Vec<&Secret> {
        Vec::new()
    }

    fn is_empty(&self) -> bool {
        let Self { name, description, is_auto_rotation_enabled, rotation_interval, .. } = self;
        name.is_none()
            && description.is_none()
            && is_auto_rotation_enabled.is_none()
            && rotation_interval.is_none()
            && self.rotate_at_utc.is_none()
            && self.parameters.is_none()
            && self.secrets_mapping.is_none()
    }

    fn is_shown_by(&self, seen: &ServiceTokenRotation, _: bool) -> bool {
        self.name.as_ref().is_none_or(|name| *name == seen.name)
            && self.description.as_ref().is_none_or(|description| *description == seen.description)
            && self.is_auto_rotation_enabled.is_none_or(|auto| auto == seen.is_auto_rotation_enabled)
            && self.rotation_interval.is_none_or(|interval| interval == seen.rotation_interval)
            && self.rotate_at_utc.is_none_or(|time| time == seen.rotate_at_utc)
            && self.parameters.as_ref().is_none_or(|parameters| parameters.is_same(&seen.parameters))
            && self.secrets_mapping.as_ref().is_none_or(|mapping| *mapping == seen.secrets_mapping)
    }

    fn leaves_a_mark(&self) -> bool {
        false
    }
}
