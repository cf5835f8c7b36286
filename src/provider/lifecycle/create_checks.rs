//! What a plan asks the KMS about the place of an object, so that it fails where the apply would.
//!
//! All checks in a scope share one list: see [`forecast`](kms::Operation::forecast). What the list can't show, such as the
//! permission to create, is left to the apply.

use super::{
    adoption,
    object::{ManagedObject, ObjectModel as _, ObjectOf, PlaceOf},
    planned_objects::Claim,
};
use crate::{
    kms::{self, ApiErrorKind, Effect, Error, Forecast, Object as _, ProjectKey, Reason, Scope},
    plugin::{context::Context, diagnostics::Diagnostics, model::AttributeType as _},
    provider::{access::Access, messages::lifecycle as messages},
};

/// Checks the scope and the name of an object to create. `replaced` is the ID of the object that it replaces.
///
/// # Errors
/// The apply would fail: another resource has the same name; the login fails; the KMS can't be reached, or has no such
/// project.
pub async fn check_create<T: ManagedObject>(
    access: &Access,
    cx: &mut Context,
    planned: &T::Model,
    replaced: Option<&str>,
) -> Result<(), Diagnostics> {
    // The plan of an adoption says which resource has the object at the place.
    if !adoption::is_wanted::<T>(planned) {
        claim_place::<T>(access, planned, replaced, &mut cx.diagnostics)?;
    }
    if !access.is_ready() || is_unknown::<T>(planned, SCOPE) {
        return Ok(());
    }
    let operation = access.operation(cx)?;
    // Once something was changed, this is an apply, and the create itself follows at once.
    if operation.has_written() {
        return Ok(());
    }
    let scope = T::scope(planned);
    let place = adoption::is_placed::<T>(planned).then(|| T::place(planned));
    match operation.forecast::<ObjectOf<T>>(scope, place.as_ref()).await {
        Ok(Forecast::Taken(existing)) => {
            warn_of_taken_name::<T>(access, cx, planned, &existing, replaced).await
        }
        Ok(Forecast::Free) => {}
        Ok(Forecast::Unknown) => check_project::<T>(&operation, planned, scope).await?,
        Err(error) if prevents_create(&error) => return Err(failure::<T>(planned, &error)),
        Err(_) => {}
    }
    Ok(())
}

/// Checks the place of an object that is kept or replaced. Terraform drops the warnings of the plan of a replacement, so they
/// belong here. A new name isn't compared with the list: in a swap of names, the other object may not be known yet.
///
/// # Errors
/// Another resource has the same name.
pub async fn check_update<T: ManagedObject>(
    access: &Access,
    cx: &mut Context,
    prior: &T::Model,
    planned: &T::Model,
    replaces: bool,
) -> Result<(), Diagnostics> {
    let id = prior.id().text();
    claim_place::<T>(access, planned, Some(id), &mut cx.diagnostics)?;
    // Most objects are kept, and nothing more is worked out for them.
    if !replaces || !access.is_ready() || !adoption::is_placed::<T>(planned) {
        return Ok(());
    }
    if T::place(prior) == T::place(planned) {
        return Ok(());
    }
    let operation = access.operation(cx)?;
    if !operation.has_written()
        && let Ok(Forecast::Taken(existing)) =
            operation.forecast::<ObjectOf<T>>(T::scope(planned), Some(&T::place(planned))).await
    {
        warn_of_taken_name::<T>(access, cx, planned, &existing, Some(id)).await;
    }
    Ok(())
}

/// The attribute that decides which list shows an object.
const SCOPE: &str = "project_id";

fn is_unknown<T: ManagedObject>(planned: &T::Model, attribute: &str) -> bool {
    let value = planned.clone().into_value();
    value.attribute(attribute).is_some_and(crate::plugin::value::Value::is_unknown)
}

/// Claims the place that an object will have at the end of the run.
fn claim_place<T: ManagedObject>(
    access: &Access,
    planned: &T::Model,
    owner: Option<&str>,
    diagnostics: &mut Diagnostics,
) -> Result<(), Diagnostics> {
    if !adoption::is_placed::<T>(planned) {
        return Ok(());
    }
    let place = T::place(planned);
    match access.claim(|planned| planned.claim_place(place_key::<T>(&place), owner)) {
        Claim::Free => {}
        Claim::OfNewObject => messages::same_new_name::<T>(&place, diagnostics),
        Claim::OfExistingObject => return Err(messages::same_name::<T>(&place)),
    }
    Ok(())
}

/// A key that distinguishes the places of all kinds of objects.
pub fn place_key<T: ManagedObject>(place: &PlaceOf<T>) -> String {
    format!("{} {place:?}", T::TYPE)
}

/// Warns of an object that has the name, unless this run manages it. `own` is the ID of the object that has the name now or
/// makes room for it.
async fn warn_of_taken_name<T: ManagedObject>(
    access: &Access,
    cx: &mut Context,
    planned: &T::Model,
    existing: &ObjectOf<T>,
    own: Option<&str>,
) {
    let id = existing.id();
    // With adopt_existing, the plan says what becomes of the object.
    let may_adopt = planned.adopt_existing().is_unknown() || adoption::is_wanted::<T>(planned);
    if may_adopt || own.is_some_and(|own| own.eq_ignore_ascii_case(id)) {
        return;
    }
    if !access.managed().becomes_known(id).await {
        messages::taken_in_plan::<T>(planned, existing, &mut cx.diagnostics);
    }
}

/// Checks whether a project exists whose objects can't be listed. Some servers refuse the list of an unknown project like one
/// without permission.
async fn check_project<T: ManagedObject>(
    operation: &kms::Operation,
    planned: &T::Model,
    scope: Scope<'_>,
) -> Result<(), Diagnostics> {
    let Scope::Project(id) = scope else { return Ok(()) };
    match operation.project(&ProjectKey::Id(id.to_owned())).await {
        Err(error) if error.api_kind() == Some(ApiErrorKind::UnknownProject) => {
            Err(failure::<T>(planned, &error))
        }
        _ => Ok(()),
    }
}

/// Whether a failed list shows that the apply can't succeed either. A passing fault doesn't.
fn prevents_create(error: &Error) -> bool {
    match error {
        Error::Auth(_) | Error::Config { .. } | Error::Unreachable { .. } | Error::Cancelled => true,
        Error::Request(failed) if failed.effect == Effect::Login => true,
        Error::Request(failed) => match &failed.reason {
            Reason::Api(api) => api.status.is_client_error() && api.kind != ApiErrorKind::RateLimited,
            Reason::NoConnection { .. } | Reason::NoRoute | Reason::Redirected { .. } => true,
            _ => false,
        },
        _ => false,
    }
}

fn failure<T: ManagedObject>(planned: &T::Model, error: &Error) -> Diagnostics {
    let label = messages::quoted(planned.name().text());
    messages::prevented_create::<T>(&label, T::scope(planned), error)
}
