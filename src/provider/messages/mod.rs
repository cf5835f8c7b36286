//! Every text that users read in errors, warnings and reports of actions. The other modules decide when, and pass the facts.
//!
//! ```text
//! attribute_map   which attribute a failure belongs to
//! failures        failed calls to the KMS
//! lifecycle       create, update, import and adoption, for every kind of object
//! rotation        rotations of dbt service tokens
//! settings        the provider block and the environment
//! arguments       arguments of data sources and list resources
//! rules           invalid values
//! airflow         texts that are not an Airflow connection
//! actions         reports of actions
//! ```

pub mod actions;
pub mod airflow;
pub mod arguments;
pub mod attribute_map;
pub mod failures;
pub mod lifecycle;
pub mod rotation;
pub mod rules;
pub mod settings;
#[cfg(test)]
mod tests;
