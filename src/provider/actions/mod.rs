//! Actions.

mod dbt_connection_test;

pub(super) use dbt_connection_test::DbtConnectionTest;
