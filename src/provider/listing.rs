//! The connections of a scope, as what lists them wants them.

use super::{
    Access,
    errors::{self, Blame},
};
use crate::{
    kms::{Connection, DbtCredentials},
    plugin::{context::Context, diagnostics::Diagnostics, model::Field},
};

/// All dbt connections of a project, or without one those of the organization, sorted by name.
///
/// # Errors
/// The KMS doesn't list them; what is wrong with the project is said of the attribute `project_id`.
pub(super) async fn dbt_connections(
    access: &Access,
    cx: &mut Context,
    project_id: &Field<String>,
) -> Result<Vec<Connection<DbtCredentials>>, Diagnostics> {
    let operation = access.operation(cx)?;
    let result = operation.list_connections(project_id.as_str()).await;
    errors::note_waiting(&operation, &mut cx.diagnostics);
    let blame = Blame { project: Some("project_id"), ..Blame::default() };
    let mut connections =
        result.map_err(|error| errors::failure("list the dbt connections", &error, blame))?;
    // The server sorts by its database's rules; plans must not depend on those.
    connections.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    Ok(connections)
}
