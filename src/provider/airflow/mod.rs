//! A dbt connection as Airflow takes it: three functions over its two written forms.

mod connection;
mod connection_json;
mod connection_uri;
mod fields;
mod parse_connection;
mod python;

pub(super) use self::{
    connection_json::AirflowConnectionJson, connection_uri::AirflowConnectionUri,
    parse_connection::ParseAirflowConnection,
};
