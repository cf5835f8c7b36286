//! Failures because of an environment that doesn't exist. The KMS only responds that it finds no folder.

use super::object::{Folder, ManagedObject, PlaceOf, scope_of};
use crate::{
    kms::{self, ApiErrorKind, Operation},
    plugin::diagnostics::Diagnostics,
    provider::messages::{attribute_map::AttributeMap, failures},
};

/// The failure of a call, if the KMS doesn't find the folder because the project has no such environment. `task`
/// completes the sentence "Could not ...".
pub async fn unknown_in(
    folder: Folder<'_>,
    operation: &Operation,
    task: &str,
    error: &kms::Error,
    attributes: AttributeMap,
) -> Option<Diagnostics> {
    if error.api_kind() != Some(ApiErrorKind::UnknownFolder) {
        return None;
    }
    let known = operation.environments_without(folder.project_id, folder.environment).await;
    let known = known.or((folder.path == "/").then(Vec::new))?;
    Some(failures::unknown_environment(task, folder.environment, &known, error, attributes))
}

/// As [`unknown_in`], for the folder of an object.
pub async fn unknown<T: ManagedObject>(
    operation: &Operation,
    task: &str,
    place: &PlaceOf<T>,
    error: &kms::Error,
    attributes: AttributeMap,
) -> Option<Diagnostics> {
    unknown_in(T::folder(place)?, operation, task, error, attributes).await
}

/// The failure of a call for the object at a place.
pub async fn failure<T: ManagedObject>(
    operation: &Operation,
    task: &str,
    place: &PlaceOf<T>,
    error: &kms::Error,
    attributes: AttributeMap,
) -> Diagnostics {
    match unknown::<T>(operation, task, place, error, attributes).await {
        Some(diagnostics) => diagnostics,
        None => failures::failure_in(task, error, attributes, scope_of::<T>(place)),
    }
}
