//! `kms_dbt_projects`: the dbt projects that a connection's stored token sees. A live test of that token.

use crate::{
    kms::DbtProject,
    model,
    plugin::{
        context::Context,
        data_source::DataSource,
        diagnostics::Diagnostics,
        model::{AttributeType as _, Field, Model as _},
        schema::{Schema, computed, required},
    },
    provider::{
        access::Access,
        messages::{
            attribute_map::{self, AttributeMap},
            failures,
        },
        redaction, rules,
    },
};

/// The attributes that failures belong to when dbt refuses what a connection stores.
pub(super) const STORED_CREDENTIALS: AttributeMap = AttributeMap {
    object: Some("connection_id"),
    connection: Some("connection_id"),
    credentials: Some("connection_id"),
    credentials_advice: attribute_map::STORED_CREDENTIALS,
    account: Some("connection_id"),
    instance: Some("connection_id"),
    whose: attribute_map::OF_THE_CONNECTION,
    ..AttributeMap::NONE
};

model! {
    /// The dbt projects behind a connection.
    pub struct DbtProjectsData {
        /// ID of the dbt connection, a UUID.
        connection_id: String = required().rule(rules::uuid),
        /// The dbt projects that the stored token can access, sorted by name.
        projects: Vec<Project> = computed(),
    }
}

model! {
    /// One of them.
    pub struct Project {
        /// ID of the project in dbt.
        id: i64 = computed(),
        /// Name of the project.
        name: String = computed(),
        /// Description of the project.
        description: String = computed(),
        /// Time when the project was created, as returned by dbt.
        created_at: String = computed(),
        /// Time of the last change of the project, as returned by dbt.
        updated_at: String = computed(),
    }
}

/// The data source type.
pub(in crate::provider) struct DbtProjectsDataSource {
    access: Access,
}

impl DbtProjectsDataSource {
    pub(in crate::provider) fn new(access: Access) -> Self {
        Self { access }
    }
}

impl DataSource for DbtProjectsDataSource {
    type Model = DbtProjectsData;

    fn schema(&self) -> Schema {
        DbtProjectsData::schema(
            "Lists the dbt projects that the stored token of a connection can access. The KMS queries dbt on every read, \
             and the read fails if dbt rejects the token, so this data source in a `check` block monitors the token in \
             every plan. (Terraform also reads data sources in `check` blocks during apply, so `plan \
             -detailed-exitcode` then always returns 2.)",
        )
    }

    async fn read(&self, cx: &mut Context, config: DbtProjectsData) -> Result<DbtProjectsData, Diagnostics> {
        let operation = self.access.operation(cx)?;
        let id = config.connection_id.text().to_owned();
        let result = operation.dbt_projects(&id).await;
        failures::note_waiting(&operation, &mut cx.diagnostics);
        let task = format!("read the dbt projects of the connection {id}");
        let mut projects = result.map_err(|error| failures::failure(&task, &error, STORED_CREDENTIALS))?;
        projects.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
        let projects = Field::Known(projects.into_iter().map(project).collect());
        let data = DbtProjectsData { projects, ..config };
        let what = format!("the dbt projects of the connection {id}");
        redaction::warn(&what, &data.clone().into_value(), &mut cx.diagnostics);
        Ok(data)
    }
}

fn project(project: DbtProject) -> Project {
    Project {
        id: Field::Known(project.id),
        name: Field::Known(project.name),
        description: project.description.into(),
        created_at: project.created_at.into(),
        updated_at: project.updated_at.into(),
    }
}
