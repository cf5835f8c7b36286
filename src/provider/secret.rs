//! `kms_secret`: one secret of the KMS, for the length of a run.

use std::collections::BTreeMap;

use crate::{
    kms::{Scope, SecretQuery},
    model,
    plugin::{
        context::Context,
        diagnostics::Diagnostics,
        ephemeral::EphemeralResource,
        model::{Field, Model as _},
        schema::{Schema, computed, optional, optional_computed, required},
    },
    provider::{
        access::Access,
        lifecycle::{self, Folder},
        messages::{
            attribute_map::{AttributeMap, DESTROY_WITHOUT_SECRET},
            failures,
        },
        rules,
    },
    secret::Secret,
};

/// The folder at the top of an environment.
const ROOT_FOLDER: &str = "/";

model! {
    /// A secret, named and read.
    pub struct SecretData {
        /// Name of the secret.
        name: String = required().rule(rules::searchable),
        /// ID of the project that holds the secret.
        workspace_id: String = required().rule(rules::searchable),
        /// Slug of the environment, such as `prod`.
        env_slug: String = required().rule(rules::searchable),
        /// Path of the folder. Default: `/`.
        folder_path: String = optional_computed().rule(rules::folder_path),
        /// Version of the secret to read. Versions start at 1 and increase with every change of the secret.
        /// If the secret was renamed, use the name that it had at that version. If not set, the current
        /// version is read.
        secret_version: i64 = optional().between(1, i32::MAX.into()),
        /// Whether references to other secrets in the value, such as `${prod.dbt.TOKEN}`, are replaced by the
        /// values of those secrets. A reference that can't be replaced is an error. Default: `true`.
        expand_references: bool = optional_computed(),
        /// Whether a secret that the folder doesn't have itself is looked for in the folders that it imports.
        /// With `secret_version`, only the folder itself is searched. Default: `true`.
        include_imports: bool = optional_computed(),
        /// Value of the secret.
        value: Secret = computed().sensitive(),
        /// Metadata of the secret, as keys and values.
        metadata: BTreeMap<String, String> = computed(),
    }
}

/// The ephemeral resource type.
pub(in crate::provider) struct SecretEphemeral {
    access: Access,
}

impl SecretEphemeral {
    pub(in crate::provider) fn new(access: Access) -> Self {
        Self { access }
    }
}

impl EphemeralResource for SecretEphemeral {
    type Model = SecretData;

    fn schema(&self) -> Schema {
        SecretData::schema(
            "Reads a KMS secret for the duration of a run. The value is not written to state or plan files, so a dbt token \
             stored in the KMS can be passed to `api_token` of a `kms_dbt_connection`.",
        )
    }

    async fn open(&self, cx: &mut Context, config: SecretData) -> Result<SecretData, Diagnostics> {
        let operation = self.access.operation(cx)?;
        let folder = config.folder_path.known().cloned().unwrap_or_else(|| ROOT_FOLDER.to_owned());
        let query = SecretQuery {
            name: config.name.text().to_owned(),
            project_id: config.workspace_id.text().to_owned(),
            environment: config.env_slug.text().to_owned(),
            path: folder.clone(),
            version: config.secret_version.known().copied(),
            expand_references: config.expand_references.known().copied().unwrap_or(true),
            include_imports: config.include_imports.known().copied().unwrap_or(true),
        };
        let result = operation.get_secret(&query).await;
        failures::note_waiting(&operation, &mut cx.diagnostics);
        let version = query.version.map(|version| format!("version {version} of ")).unwrap_or_default();
        let task = format!(
            "read {version}the secret \"{}\" in {folder} of the environment \"{}\"",
            query.name, query.environment
        );
        let object = if query.version.is_some() { "secret_version" } else { "name" };
        let attributes = AttributeMap {
            object: Some(object),
            project: Some("workspace_id"),
            environment: Some("env_slug"),
            folder: Some("folder_path"),
            secret: Some("name"),
            if_missing: DESTROY_WITHOUT_SECRET,
            ..AttributeMap::NONE
        };
        let secret = match result {
            Ok(secret) => secret,
            Err(error) => {
                let place = Folder {
                    project_id: &query.project_id,
                    environment: &query.environment,
                    path: &query.path,
                };
                let unknown = lifecycle::unknown_in(place, &operation, &task, &error, attributes).await;
                let scope = Scope::Project(&query.project_id);
                return Err(unknown.unwrap_or_else(|| failures::failure_in(&task, &error, attributes, scope)));
            }
        };
        let value = secret.value.ok_or_else(|| failures::value_hidden(&task, None, "name"))?;
        if !secret.unresolved.is_empty() {
            return Err(failures::unresolved_references(&task, &secret.unresolved, "name"));
        }
        Ok(SecretData {
            folder_path: Field::Known(folder),
            expand_references: Field::Known(query.expand_references),
            include_imports: Field::Known(query.include_imports),
            value: Field::Known(value),
            metadata: Field::Known(secret.metadata.into_iter().collect()),
            ..config
        })
    }
}
