//! List resources, for `terraform query`.

mod dbt_connection;

pub(super) use dbt_connection::DbtConnectionList;
