//! Data sources.

mod dbt_connection;
mod dbt_connections;
mod dbt_projects;

pub(super) use dbt_connection::DbtConnectionDataSource;
pub(super) use dbt_connections::DbtConnectionsDataSource;
pub(super) use dbt_projects::DbtProjectsDataSource;
