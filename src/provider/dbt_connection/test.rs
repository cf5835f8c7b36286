//! `kms_dbt_connection_test`: the *Test* button of a dbt connection.

use crate::{
    model,
    plugin::{
        action::{Action, Progress},
        context::Context,
        diagnostics::Diagnostics,
        model::Model as _,
        schema::{Schema, required},
    },
    provider::{
        access::Access,
        dbt_connection::projects::STORED_CREDENTIALS,
        messages::{actions, failures},
        rules,
    },
};

model! {
    /// Which connection to test.
    pub struct DbtConnectionTestConfig {
        /// ID of the dbt connection, a UUID.
        connection_id: String = required().rule(rules::uuid),
    }
}

/// The action type.
pub(in crate::provider) struct DbtConnectionTest {
    access: Access,
}

impl DbtConnectionTest {
    pub(in crate::provider) fn new(access: Access) -> Self {
        Self { access }
    }
}

impl Action for DbtConnectionTest {
    type Config = DbtConnectionTestConfig;

    fn schema(&self) -> Schema {
        DbtConnectionTestConfig::schema(
            "Tests the stored token of a dbt connection: reports the dbt projects that the token can access, and fails if \
             dbt rejects it.",
        )
    }

    async fn plan(&self, cx: &mut Context, _: DbtConnectionTestConfig) -> Result<(), Diagnostics> {
        self.access.ensure_plannable(cx)
    }

    async fn invoke(
        &self,
        cx: &mut Context,
        config: DbtConnectionTestConfig,
        progress: &Progress,
    ) -> Result<(), Diagnostics> {
        let operation = self.access.operation(cx)?;
        let id = config.connection_id.text();
        progress.report(actions::testing(id)).await;
        let result = operation.dbt_projects(id).await;
        failures::note_waiting(&operation, &mut cx.diagnostics);
        let task = format!("test the dbt connection {id}");
        let projects = result.map_err(|error| failures::failure(&task, &error, STORED_CREDENTIALS))?;
        let mut names: Vec<_> = projects.iter().map(|project| project.name.as_str()).collect();
        names.sort_unstable();
        progress.report(actions::tested(&names)).await;
        Ok(())
    }
}
