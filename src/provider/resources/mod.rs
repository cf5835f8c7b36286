//! Managed resources.

mod dbt_connection;

pub(super) use dbt_connection::DbtConnectionResource;
