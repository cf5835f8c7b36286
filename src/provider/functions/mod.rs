//! Functions.

mod airflow;
mod airflow_connection_json;
mod airflow_connection_uri;
mod parse_airflow_connection;

pub(super) use airflow_connection_json::AirflowConnectionJson;
pub(super) use airflow_connection_uri::AirflowConnectionUri;
pub(super) use parse_airflow_connection::ParseAirflowConnection;
