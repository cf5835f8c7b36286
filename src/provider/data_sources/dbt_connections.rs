//! `kms_dbt_connections`: all dbt connections of a project or of the organization.

use crate::{
    kms::DbtConnection,
    model,
    plugin::{
        context::Context,
        data_source::DataSource,
        diagnostics::Diagnostics,
        model::{Field, Model as _},
        schema::{Schema, computed, optional},
    },
    provider::{access::Access, listing, rules},
};

model! {
    /// The dbt connections of one scope.
    pub struct DbtConnectionsData {
        /// ID of the project. Without it, the connections of the organization itself are listed.
        project_id: String = optional().rule(rules::project_id),
        /// Lists the connections of the organization and of all its projects, as far as the machine identity may read
        /// them. It needs the permission to read app connections of the organization. Default: `false`.
        all_projects: bool = optional(),
        /// The connections, sorted by name.
        connections: Vec<ListedConnection> = computed(),
    }
}

model! {
    /// One of them.
    pub struct ListedConnection {
        /// ID of the connection, a UUID.
        id: String = computed(),
        /// Name of the connection.
        name: String = computed(),
        /// What the connection is for.
        description: String = computed(),
        /// ID of the project that the connection belongs to, if it belongs to one.
        project_id: String = computed(),
        /// URL of the dbt instance.
        instance_url: String = computed(),
        /// ID of the dbt account.
        account_id: String = computed(),
        /// ID of the organization.
        org_id: String = computed(),
        /// Version number that the server keeps of the connection.
        version: i64 = computed(),
        /// When the connection was created, as an RFC 3339 time.
        created_at: String = computed(),
        /// When the connection was last changed, as an RFC 3339 time.
        updated_at: String = computed(),
        /// The server's fingerprint of the credentials that it stores. It changes at each write of credentials.
        credentials_hash: String = computed(),
    }
}

/// The data source type.
pub(in crate::provider) struct DbtConnectionsDataSource {
    access: Access,
}

impl DbtConnectionsDataSource {
    pub(in crate::provider) fn new(access: Access) -> Self {
        Self { access }
    }
}

impl DataSource for DbtConnectionsDataSource {
    type Model = DbtConnectionsData;

    fn schema(&self) -> Schema {
        DbtConnectionsData::schema(
            "Lists all dbt connections of a project, of the organization itself, or of the organization and all its \
             projects.",
        )
    }

    fn validate(&self, config: &DbtConnectionsData, diagnostics: &mut Diagnostics) {
        listing::validate(&config.project_id, &config.all_projects, diagnostics);
    }

    async fn read(
        &self,
        cx: &mut Context,
        config: DbtConnectionsData,
    ) -> Result<DbtConnectionsData, Diagnostics> {
        let connections =
            listing::dbt_connections(&self.access, cx, &config.project_id, &config.all_projects).await?;
        let connections = Field::Known(connections.into_iter().map(listed).collect());
        Ok(DbtConnectionsData { connections, ..config })
    }
}

fn listed(connection: DbtConnection) -> ListedConnection {
    ListedConnection {
        id: Field::Known(connection.id),
        name: Field::Known(connection.name),
        description: connection.description.into(),
        project_id: connection.project_id.into(),
        instance_url: Field::Known(connection.credentials.instance_url),
        account_id: Field::Known(connection.credentials.account_id),
        org_id: Field::Known(connection.org_id),
        version: Field::Known(connection.version),
        created_at: Field::Known(connection.created_at),
        updated_at: Field::Known(connection.updated_at),
        credentials_hash: Field::Known(connection.credentials_hash),
    }
}
