//! `kms_dbt_connection`: one dbt connection, by ID or by name.

use crate::{
    kms::{ConnectionPlace, DbtConnection, Scope},
    model,
    plugin::{
        context::Context,
        data_source::DataSource,
        diagnostics::Diagnostics,
        model::{Field, Model as _},
        path::Path,
        schema::{Schema, computed, optional_computed},
    },
    provider::{
        access::Access,
        errors::{self, Blame},
        rules,
    },
};

model! {
    /// A dbt connection, looked up.
    pub struct DbtConnectionData {
        /// ID of the connection, a UUID. Give this or `name`.
        id: String = optional_computed().rule(rules::connection_id),
        /// Name of the connection. Give this or `id`.
        name: String = optional_computed().rule(rules::connection_name),
        /// ID of the project to look for the name in. Without it, the name is looked for among the connections of the
        /// organization.
        project_id: String = optional_computed().rule(rules::project_id),
        /// What the connection is for.
        description: String = computed(),
        /// URL of the dbt instance.
        instance_url: String = computed(),
        /// ID of the dbt account.
        account_id: String = computed(),
        /// ID of the organization.
        org_id: String = computed(),
        /// How the KMS logs in to dbt: always `api-token`.
        method: String = computed(),
        /// Version number that the server keeps of the connection.
        version: i64 = computed(),
        /// Whether the KMS manages the credentials by itself: always `false` for dbt.
        is_platform_managed_credentials: bool = computed(),
        /// When the connection was created, as an RFC 3339 time.
        created_at: String = computed(),
        /// When the connection was last changed, as an RFC 3339 time.
        updated_at: String = computed(),
        /// The server's fingerprint of the credentials that it stores. It changes at each write of credentials.
        credentials_hash: String = computed(),
    }
}

/// The data source type.
pub(in crate::provider) struct DbtConnectionDataSource {
    access: Access,
}

impl DbtConnectionDataSource {
    pub(in crate::provider) fn new(access: Access) -> Self {
        Self { access }
    }
}

impl DataSource for DbtConnectionDataSource {
    type Model = DbtConnectionData;

    fn schema(&self) -> Schema {
        DbtConnectionData::schema(
            "Looks up one dbt connection, by its ID or by its name. Tells everything but the token.",
        )
    }

    fn validate(&self, config: &DbtConnectionData, diagnostics: &mut Diagnostics) {
        if config.id.is_null() && config.name.is_null() {
            let detail = "Give \"id\", or \"name\" with or without \"project_id\".";
            diagnostics.error(None, "Which connection?", detail);
        } else if config.id.known().is_some() && config.name.known().is_some() {
            let detail = "\"id\" and \"name\" are both set. Keep one of them.";
            diagnostics.error(Some(Path::attribute("name")), "Two ways to look up", detail);
        } else if config.id.known().is_some() && config.project_id.known().is_some() {
            let detail = "\"project_id\" says where to look for a name. An ID needs no project: remove \"project_id\".";
            diagnostics.error(Some(Path::attribute("project_id")), "Project without a name", detail);
        }
    }

    async fn read(
        &self,
        cx: &mut Context,
        config: DbtConnectionData,
    ) -> Result<DbtConnectionData, Diagnostics> {
        let operation = self.access.operation(cx)?;
        let project = config.project_id.as_str();
        let (result, task, by) = match (config.id.as_str(), config.name.as_str()) {
            (Some(id), _) => {
                let task = format!("read the dbt connection {id}");
                (operation.read(id, Scope::Unknown).await, task, "id")
            }
            (None, Some(name)) => {
                let task = format!("find a dbt connection named \"{name}\" in {}", errors::scope(project));
                (operation.read_by_name(&ConnectionPlace::new(name, project)).await, task, "name")
            }
            (None, None) => {
                let detail = "Neither \"id\" nor \"name\" has a value.";
                return Err(Diagnostics::from_error("Which connection?", detail));
            }
        };
        errors::note_waiting(&operation, &mut cx.diagnostics);
        let blame = Blame { object: Some(by), project: Some("project_id"), ..Blame::default() };
        result
            .map(|connection| found(config, connection))
            .map_err(|error| errors::failure(&task, &error, blame))
    }
}

/// What the configuration sets stays as it is, whatever the server's spelling.
fn found(config: DbtConnectionData, connection: DbtConnection) -> DbtConnectionData {
    let configured_or = |configured: Field<String>, found: Option<String>| match configured {
        Field::Known(configured) => Field::Known(configured),
        _ => found.into(),
    };
    DbtConnectionData {
        id: configured_or(config.id, Some(connection.id)),
        name: configured_or(config.name, Some(connection.name)),
        project_id: configured_or(config.project_id, connection.project_id),
        description: connection.description.into(),
        instance_url: Field::Known(connection.credentials.instance_url),
        account_id: Field::Known(connection.credentials.account_id),
        org_id: Field::Known(connection.org_id),
        method: Field::Known(connection.method),
        version: Field::Known(connection.version),
        is_platform_managed_credentials: Field::Known(connection.is_platform_managed_credentials),
        created_at: Field::Known(connection.created_at),
        updated_at: Field::Known(connection.updated_at),
        credentials_hash: Field::Known(connection.credentials_hash),
    }
}
