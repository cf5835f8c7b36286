//! Secrets of projects: read one by one, and kept by rotations.

use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{
    answer::Refusal,
    options::Server,
    projects::{Folder, SECRET_MANAGER},
    random,
    references::Imported,
    rights::{Action, Caller, Object},
    state::State,
};

/// What stands for a value that isn't asked for.
const HIDDEN: &str = "<hidden-by-infisical>";

/// A secret of a project, as somebody has written it once.
#[derive(Clone, Debug)]
pub struct StoredSecret {
    pub workspace_id: String,
    pub environment: String,
    pub path: String,
    pub name: String,
    pub value: String,
    pub metadata: Vec<(String, String)>,
}

/// A secret that a rotation has created and overwrites.
#[derive(Clone, Debug)]
pub struct VersionedSecret {
    pub id: String,
    pub folder: Folder,
    /// The oldest comes first. A change of the name is a version too.
    pub versions: Vec<SecretVersion>,
    /// The rotation that writes it; `None` once that is gone.
    pub rotation_id: Option<String>,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

#[derive(Clone, Debug)]
pub struct SecretVersion {
    pub name: String,
    pub value: String,
}

impl VersionedSecret {
    pub fn latest(&self) -> &SecretVersion {
        self.versions.last().expect("there is a first version")
    }
}

/// What a request for one secret asks for.
#[derive(Debug)]
pub struct SecretQuery {
    pub project_id: Option<String>,
    pub environment: Option<String>,
    pub path: String,
    pub version: Option<f64>,
    pub view_value: bool,
    pub expand_references: bool,
    pub include_imports: bool,
    /// What the route says when no project is named.
    pub without_project: &'static str,
}

/// One version of a secret.
pub(crate) struct Found<'s> {
    id: String,
    version: usize,
    pub value: &'s str,
    metadata: &'s [(String, String)],
    /// Since when there is the secret, since when the version, and the rotation that writes it.
    kept: Option<(OffsetDateTime, OffsetDateTime, Option<&'s str>)>,
}

impl State {
    pub fn secret(&self, caller: &Caller, name: &str, query: SecretQuery) -> Result<Value, Refusal> {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let environment =
            given(query.environment).ok_or_else(|| Refusal::bad_request("Missing environment"))?;
        let project_id =
            given(query.project_id).ok_or_else(|| Refusal::bad_request(query.without_project))?;
        self.project_with_bot(&project_id)?;
        let rights = match caller.server {
            Server::Hanzo => caller.in_project(&project_id, &self.projects)?,
            Server::Infisical => caller.in_project_of_type(&project_id, &self.projects, SECRET_MANAGER)?,
        };
        let folder = self.folder(&project_id, &environment, &query.path)?;
        let folder = folder.ok_or_else(|| {
            let path = &query.path;
            Refusal::new(
                404,
                "GetSecretByName",
                format!("Folder with path '{path}' in environment with slug '{environment}' not found"),
            )
        })?;
        if query.version.is_some_and(|version| version.fract() != 0.0 || version.abs() > f64::from(i32::MAX))
        {
            return Err(Refusal::database("Find one"));
        }
        let own = self.find_secret(self.seen_secrets(), &folder, name, query.version);
        rights.require_on(Action::DescribeSecret, Object::in_folder(&folder))?;
        let expands = query.expand_references && query.view_value;
        let expand = |folder: &Folder, value: &str| match expands {
            true => self.expand(&rights, folder, name, value),
            false => Ok(value.to_owned()),
        };
        // The version asked for is one of the folder's own secret. An imported one is shown as it is now.
        let imported = match &own {
            None if query.include_imports => self.imported_secret(&rights, &folder, name),
            _ => None,
        };
        let (folder, found, value, asked) = match (own, imported) {
            (Some(own), _) => {
                let value = expand(&folder, own.value)?;
                (folder.clone(), own, value, (folder, "secret value"))
            }
            (None, Some(Imported { through, home, found })) => {
                // The right is checked for the path of the import and the environment of the secret.
                let asked = Folder { environment: home.environment, ..through.clone() };
                // Of an imported secret the server keeps no error, but the value with the reference.
                let value = expand(&through, found.value).unwrap_or_else(|_| found.value.to_owned());
                (through, found, value, (asked, "secret import value"))
            }
            (None, None) => return Err(Refusal::not_found(format!("Secret with name '{name}' not found"))),
        };
        let (asked, what) = asked;
        if query.view_value && !rights.allow_on(Action::ReadSecret, Object::in_folder(&asked)) {
            let message = format!("You do not have permission to view {what} on secret with name '{name}'");
            return Err(Refusal::new(403, "ForbiddenReadSecretError", message));
        }
        let environment = &folder.environment;
        let metadata = found.metadata.iter().map(|(key, value)| json!({"key": key, "value": value}));
        let now = self.now();
        let (created, updated, rotation_id) = found.kept.unwrap_or((now, now, None));
        let mut shown = json!({
            "id": found.id,
            "_id": found.id,
            "workspace": project_id,
            "environment": environment,
            "version": found.version,
            "type": "shared",
            "secretKey": name,
            "secretValue": if query.view_value { &value } else { HIDDEN },
            "secretComment": "",
            "skipMultilineEncoding": false,
            "createdAt": self.timestamp(created),
            "updatedAt": self.timestamp(updated),
            "secretValueHidden": !query.view_value,
            "secretPath": folder.path,
            "tags": [],
            "secretMetadata": metadata.collect::<Vec<_>>(),
        });
        if let Some(rotation_id) = rotation_id {
            shown["isRotatedSecret"] = json!(true);
            shown["rotationId"] = json!(rotation_id);
        }
        Ok(json!({"secret": shown}))
    }

    /// The current version by its name, or an older one by the name that it had.
    pub(crate) fn find_secret<'s>(
        &'s self,
        kept: &'s [VersionedSecret],
        folder: &Folder,
        name: &str,
        version: Option<f64>,
    ) -> Option<Found<'s>> {
        let kept = kept.iter().filter(|secret| secret.folder == *folder);
        let mut kept = kept.filter_map(|secret| {
            let number = version.map_or(secret.versions.len(), |version| version.max(0.0) as usize);
            let version = secret.versions.get(number.checked_sub(1)?)?;
            (version.name == name).then(|| Found {
                id: secret.id.clone(),
                version: number,
                value: &version.value,
                metadata: &[],
                kept: Some((secret.created_at, secret.updated_at, secret.rotation_id.as_deref())),
            })
        });
        kept.next().or_else(|| {
            let secret = self.plain_secret(folder, name)?;
            version.is_none_or(|version| version == 1.0).then(|| Found {
                id: random::derived_uuid(&[&folder.id(), name]),
                version: 1,
                value: &secret.value,
                metadata: &secret.metadata,
                kept: None,
            })
        })
    }

    fn plain_secret(&self, folder: &Folder, name: &str) -> Option<&StoredSecret> {
        self.secrets.iter().find(|secret| Folder::of_secret(secret) == *folder && secret.name == name)
    }

    /// The current value of a secret.
    pub fn secret_value(&self, folder: &Folder, name: &str) -> Option<&str> {
        self.find_secret(&self.versioned_secrets, folder, name, None).map(|found| found.value)
    }

    /// # Errors
    /// A 400 when the folder has a secret of this name, as far as these go.
    pub fn check_secret_name_free(
        &self,
        kept: &[VersionedSecret],
        folder: &Folder,
        name: &str,
    ) -> Result<(), Refusal> {
        if self.find_secret(kept, folder, name, None).is_none() {
            return Ok(());
        }
        Err(Refusal::bad_request(format!(
            "The following secrets already exist at the path \"{}\": {name}",
            folder.path
        )))
    }

    pub fn make_secret(&mut self, folder: &Folder, name: &str, value: &str, rotation_id: &str) {
        let now = self.now();
        self.versioned_secrets.push(VersionedSecret {
            id: random::uuid(),
            folder: folder.clone(),
            versions: vec![SecretVersion { name: name.into(), value: value.into() }],
            rotation_id: Some(rotation_id.into()),
            created_at: now,
            updated_at: now,
        });
    }

    /// Writes a version of a secret.
    ///
    /// # Errors
    /// The database's, which the caller has to put into words, when there is no such secret.
    pub fn write_secret(
        &mut self,
        folder: &Folder,
        name: &str,
        change: impl FnOnce(&mut SecretVersion),
    ) -> Result<(), NoSuchSecret> {
        let now = self.now();
        let secret = self
            .versioned_secrets
            .iter_mut()
            .find(|secret| secret.folder == *folder && secret.latest().name == name)
            .ok_or(NoSuchSecret)?;
        let mut version = secret.latest().clone();
        change(&mut version);
        secret.versions.push(version);
        secret.updated_at = now;
        Ok(())
    }

    pub fn delete_secret(&mut self, folder: &Folder, name: &str) {
        self.versioned_secrets.retain(|secret| secret.folder != *folder || secret.latest().name != name);
        self.secrets.retain(|secret| Folder::of_secret(secret) != *folder || secret.name != name);
    }
}

/// An update of a secret that has hit nothing.
#[derive(Clone, Copy, Debug)]
pub struct NoSuchSecret;

impl NoSuchSecret {
    pub const MESSAGE: &str = "Failed to update document";
}

impl From<NoSuchSecret> for Refusal {
    fn from(_: NoSuchSecret) -> Self {
        Self::database("bulk update secret")
    }
}
