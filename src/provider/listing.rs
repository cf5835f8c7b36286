//! Listing the connections of a scope, for the types that do.

use super::{
    access::Access,
    errors::{self, Blame},
};
use crate::{
    kms::{DbtConnection, ListScope},
    plugin::{context::Context, diagnostics::Diagnostics, model::Field, path::Path},
};

/// Checks the attributes that choose the scope.
pub(super) fn validate(
    project_id: &Field<String>,
    all_projects: &Field<bool>,
    diagnostics: &mut Diagnostics,
) {
    if project_id.known().is_some() && all_projects.known() == Some(&true) {
        let detail = "\"project_id\" and \"all_projects\" are both set. Remove one of them.";
        diagnostics.error(Some(Path::attribute("all_projects")), "Conflicting scopes", detail);
    }
}

/// All dbt connections of a project, or without one those of the organization itself, or with `all_projects` those of the
/// organization and all its projects; sorted by name.
///
/// # Errors
/// The KMS doesn't list them. An unknown project is an error on the attribute `project_id`.
pub(super) async fn dbt_connections(
    access: &Access,
    cx: &mut Context,
    project_id: &Field<String>,
    all_projects: &Field<bool>,
) -> Result<Vec<DbtConnection>, Diagnostics> {
    let operation = access.operation(cx)?;
    let scope = match (project_id.as_str(), all_projects.known()) {
        (Some(id), _) => ListScope::Project(id),
        (None, Some(true)) => ListScope::All,
        (None, _) => ListScope::Organization,
    };
    let result = operation.list::<DbtConnection>(scope).await;
    errors::note_waiting(&operation, &mut cx.diagnostics);
    let blame = Blame { project: Some("project_id"), ..Blame::default() };
    let list = result.map_err(|error| errors::failure("list the dbt connections", &error, blame))?;
    if list.unreadable > 0 {
        cx.diagnostics.warning(
            None,
            "Incomplete list",
            format!(
                "The KMS listed {} connections in a form that this version of the provider can't read. They are left \
                 out.",
                list.unreadable
            ),
        );
    }
    let mut connections = list.objects;
    // The server sorts by its own rules; plans must not depend on those.
    connections.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    Ok(connections)
}
