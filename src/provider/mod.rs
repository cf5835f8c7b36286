//! The provider `hanzoai/kms`: what Terraform sees of the KMS. The only layer that knows both.
//!
//! Each kind of object has a folder with all that is its own; `lifecycle` has what all kinds share, `messages` the
//! texts of diagnostics. [`KmsProvider::types`] is
//! the registry.

mod access;
mod airflow;
mod config;
mod dbt_connection;
mod dbt_service_token_rotation;
mod lifecycle;
mod messages;
mod project;
mod redaction;
mod rules;
mod secret;
mod secret_attribute;

use self::{
    access::{Access, State},
    config::{Environment, ProviderConfig, Resolved},
    dbt_connection::DbtConnection,
    dbt_service_token_rotation::ServiceTokenRotation,
    lifecycle::{ObjectDataSource, ObjectList, ObjectResource, ObjectsDataSource},
};
use crate::{
    kms,
    plugin::{
        diagnostics::Diagnostics,
        provider::{Provider, Types},
        schema::Schema,
    },
};

/// The provider.
pub struct KmsProvider {
    environment: Environment,
    access: Access,
}

impl KmsProvider {
    /// A provider that takes from the environment what its block leaves out.
    pub fn new(environment: Environment) -> Self {
        Self { environment, access: Access::default() }
    }
}

impl Provider for KmsProvider {
    type Config = ProviderConfig;

    fn address(&self) -> &'static str {
        "registry.terraform.io/hanzoai/kms"
    }

    fn help(&self) -> String {
        config::help()
    }

    fn schema(&self) -> Schema {
        config::schema(
            "Manages the dbt connections of [Hanzo KMS](https://hanzo.ai/kms) and the dbt service tokens that it rotates. \
             API tokens are never written to Terraform's state.",
        )
    }

    fn validate(&self, config: &ProviderConfig, diagnostics: &mut Diagnostics) {
        config::validate(config, diagnostics);
    }

    fn configure(&self, terraform_version: &str, config: ProviderConfig, diagnostics: &mut Diagnostics) {
        match config::resolve(&config, self.environment, user_agent(terraform_version)) {
            Ok(Resolved::Ready(config)) => {
                self.access
                    .begin(|managed, redactor| State::Ready(kms::Client::new(*config, managed, redactor)));
            }
            Ok(Resolved::Waiting(unknown)) => self.access.begin(|_, _| State::Waiting(unknown)),
            Ok(Resolved::NoCredentials(error)) => self.access.begin(|_, _| State::NoCredentials(error)),
            Err(errors) => diagnostics.extend(errors),
        }
    }

    fn types(&self) -> Types {
        let access = || self.access.clone();
        Types::new()
            .resource("kms_dbt_connection", ObjectResource::<DbtConnection>::new(access()))
            .data_source("kms_dbt_connection", ObjectDataSource::<DbtConnection>::new(access()))
            .data_source("kms_dbt_connections", ObjectsDataSource::<DbtConnection>::new(access()))
            .data_source("kms_dbt_projects", dbt_connection::DbtProjectsDataSource::new(access()))
            .resource("kms_dbt_service_token_rotation", ObjectResource::<ServiceTokenRotation>::new(access()))
            .data_source(
                "kms_dbt_service_token_rotation",
                ObjectDataSource::<ServiceTokenRotation>::new(access()),
            )
            .list_resource(
                "kms_dbt_service_token_rotation",
                ObjectList::<ServiceTokenRotation>::new(access()),
            )
            .action(
                "kms_dbt_service_token_rotate",
                dbt_service_token_rotation::RotateServiceToken::new(access()),
            )
            .data_source("kms_project", project::ProjectDataSource::new(access()))
            .ephemeral_resource("kms_secret", secret::SecretEphemeral::new(access()))
            .list_resource("kms_dbt_connection", ObjectList::<DbtConnection>::new(access()))
            .action("kms_dbt_connection_test", dbt_connection::DbtConnectionTest::new(access()))
            .function("airflow_connection_json", airflow::AirflowConnectionJson)
            .function("airflow_connection_uri", airflow::AirflowConnectionUri)
            .function("parse_airflow_connection", airflow::ParseAirflowConnection)
    }
}

fn user_agent(terraform_version: &str) -> String {
    format!("terraform-provider-kms/{} (terraform/{terraform_version})", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_agent_names_both_versions() {
        let expected = format!("terraform-provider-kms/{} (terraform/1.15.5)", env!("CARGO_PKG_VERSION"));
        assert_eq!(user_agent("1.15.5"), expected);
    }
}
