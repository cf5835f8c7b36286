//! `kms_dbt_connection`: finding dbt connections that Terraform doesn't manage yet.

use crate::{
    model,
    plugin::{
        context::Context,
        diagnostics::Diagnostics,
        list_resource::{Found, FoundSender, ListResource},
        model::Model as _,
        resource::Resource as _,
        schema::{Schema, optional},
    },
    provider::{Access, listing, resources::DbtConnectionResource, rules},
};

model! {
    /// Which connections to find.
    pub struct DbtConnectionListConfig {
        /// ID of the project. Without it, the connections of the organization are found.
        project_id: String = optional().rule(rules::project_id),
        /// Finds only connections whose names begin with this.
        name_prefix: String = optional(),
    }
}

/// The list resource type.
pub(in crate::provider) struct DbtConnectionList {
    access: Access,
    resource: DbtConnectionResource,
}

impl DbtConnectionList {
    pub(in crate::provider) fn new(access: Access) -> Self {
        Self { resource: DbtConnectionResource::new(access.clone()), access }
    }
}

impl ListResource for DbtConnectionList {
    type Config = DbtConnectionListConfig;
    type Resource = DbtConnectionResource;

    fn schema(&self) -> Schema {
        DbtConnectionListConfig::schema(
            "Finds the dbt connections of a project or of the organization, such as those that people made by hand, \
             so that `terraform query` can generate the configuration that imports them.",
        )
    }

    async fn list(
        &self,
        cx: &mut Context,
        config: DbtConnectionListConfig,
        mut found: FoundSender<DbtConnectionResource>,
    ) -> Result<(), Diagnostics> {
        let connections = listing::dbt_connections(&self.access, cx, &config.project_id).await?;
        let prefix = config.name_prefix.as_str().unwrap_or_default();
        for connection in connections.into_iter().filter(|connection| connection.name.starts_with(prefix)) {
            let display_name = connection.name.clone();
            let state = DbtConnectionResource::imported(connection);
            let identity = self.resource.identity(&state);
            if !found.send(Found { display_name, identity, state }).await {
                break;
            }
        }
        Ok(())
    }
}
