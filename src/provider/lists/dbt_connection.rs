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
    provider::{access::Access, listing, resources::DbtConnectionResource, rules},
};

model! {
    /// Which connections to find.
    pub struct DbtConnectionListConfig {
        /// ID of the project. Without it, the connections of the organization itself are found.
        project_id: String = optional().rule(rules::project_id),
        /// Finds the connections of the organization and of all its projects, as far as the machine identity may read
        /// them. It needs the permission to read app connections of the organization. Default: `false`.
        all_projects: bool = optional(),
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
            "Finds the dbt connections of a project, of the organization itself, or of the organization and all its \
             projects, such as those that people made by hand, so that `terraform query` can generate the \
             configuration that imports them.",
        )
    }

    fn validate(&self, config: &DbtConnectionListConfig, diagnostics: &mut Diagnostics) {
        listing::validate(&config.project_id, &config.all_projects, diagnostics);
    }

    async fn list(
        &self,
        cx: &mut Context,
        config: DbtConnectionListConfig,
        mut found: FoundSender<DbtConnectionResource>,
    ) -> Result<(), Diagnostics> {
        let connections =
            listing::dbt_connections(&self.access, cx, &config.project_id, &config.all_projects).await?;
        let prefix = config.name_prefix.text();
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
