//! `kms_secret`: one secret of the KMS, for the length of a run.

use std::collections::BTreeMap;

use crate::{
    kms::SecretQuery,
    model,
    plugin::{
        context::Context,
        diagnostics::Diagnostics,
        ephemeral::EphemeralResource,
        model::{Field, Model as _},
        schema::{Schema, computed, optional_computed, required},
    },
    provider::{
        access::Access,
        errors::{self, Blame},
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
        name: String = required().rule(rules::not_empty),
        /// ID of the project that holds the secret.
        workspace_id: String = required().rule(rules::not_empty),
        /// Slug of the environment, such as `prod`.
        env_slug: String = required().rule(rules::not_empty),
        /// Path of the folder. Default: `/`.
        folder_path: String = optional_computed().rule(rules::folder_path),
        /// Value of the secret.
        value: Secret = computed().sensitive(),
        /// Metadata of the secret: keys and values.
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
            "Reads one secret of the KMS for the length of a run. Its value is written to no file, so a dbt token that \
             the KMS keeps can be handed to `api_token` of a `kms_dbt_connection`.",
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
        };
        let result = operation.get_secret(&query).await;
        errors::note_waiting(&operation, &mut cx.diagnostics);
        let task = format!(
            "read the secret \"{}\" in {folder} of the environment \"{}\"",
            query.name, query.environment
        );
        let blame = Blame { object: Some("name"), project: Some("workspace_id"), ..Blame::NONE };
        let secret = result.map_err(|error| errors::failure(&task, &error, blame))?;
        Ok(SecretData {
            folder_path: Field::Known(folder),
            value: Field::Known(secret.value),
            metadata: Field::Known(secret.metadata.into_iter().collect()),
            ..config
        })
    }
}
