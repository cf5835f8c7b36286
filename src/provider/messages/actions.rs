//! What actions report while they run.

use crate::{kms::ServiceTokenRotation, plugin::text::line};

/// A connection's test begins.
pub fn testing(id: &str) -> String {
    format!("Testing the dbt connection {id} ...")
}

/// dbt accepted the token, and returned these projects.
pub fn tested(projects: &[&str]) -> String {
    match projects {
        [] => "dbt accepts the token. It has access to no projects.".to_owned(),
        names => {
            let names: Vec<_> = names.iter().map(|name| line(name)).collect();
            format!("dbt accepts the token. Projects: {}.", names.join(", "))
        }
    }
}

/// A rotation begins.
pub fn rotating(id: &str) -> String {
    format!("Rotating the dbt service token of {id} ...")
}

/// The secret has a new token.
pub fn rotated(rotation: &ServiceTokenRotation) -> String {
    let next =
        rotation.next_rotation_at.as_ref().map(|time| format!(", at {}", line(time))).unwrap_or_default();
    format!(
        "The secret {} in {} of {} has a new token since {}. Readers of the secret have to read it again: the token before it is \
         revoked at the next rotation{next}.",
        line(&rotation.secrets_mapping.service_token),
        line(&rotation.folder.path),
        line(&rotation.environment.slug),
        line(&rotation.last_rotated_at),
    )
}
