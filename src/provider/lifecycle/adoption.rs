//! Taking over an object that exists already: saying so in the plan, and doing it in the apply.

use super::object::{ManagedObject, ObjectModel as _, ObjectOf, PlaceOf, scope_of};
use crate::{
    kms::{self, Adoption, ApiErrorKind, Object as _},
    plugin::{context::Context, diagnostics::Diagnostics, model::AttributeType as _},
    provider::{access::Access, messages::lifecycle as messages},
    secret::Secret,
};

/// Whether the configuration asks to take an existing object over.
pub fn is_wanted<T: ManagedObject>(planned: &T::Model) -> bool {
    planned.adopt_existing().known() == Some(&true)
}

/// Whether it is known where the object will be.
pub fn is_placed<T: ManagedObject>(planned: &T::Model) -> bool {
    let planned = planned.clone().into_value();
    T::PLACE.iter().all(|name| planned.attribute(name).is_none_or(|value| !value.is_unknown()))
}

/// Whether a plan can decide what the apply takes over: all is known that decides it, and the KMS can be asked.
pub fn is_decidable<T: ManagedObject>(access: &Access, planned: &T::Model) -> bool {
    !planned.adopt_existing().is_unknown() && is_placed::<T>(planned) && access.is_ready()
}

/// Says in the plan of a create which object the apply will take over, or why it won't. Says nothing where the KMS can't be
/// asked yet. `replaced` is the ID of the object that is being replaced. Returns the ID of the object that the apply may take
/// over.
///
/// # Errors
/// Another resource of the plan manages the object or adopts it. Or the KMS did not respond.
pub async fn forecast<T: ManagedObject>(
    access: &Access,
    cx: &mut Context,
    planned: &T::Model,
    replaced: Option<&str>,
) -> Result<Option<String>, Diagnostics> {
    let Some(existing) = look_for::<T>(access, cx, planned, replaced).await? else { return Ok(None) };
    let (place, id) = (T::place(planned), existing.id());
    match access.managed().plan_adoption(id, T::name_of(&place)) {
        Adoption::Free => messages::will_adopt::<T>(&place, &existing, &mut cx.diagnostics),
        // A tainted resource has this one, and it will be destroyed. Or another resource has it, whose plan then fails.
        Adoption::Read => {}
        Adoption::Managed => return Err(messages::taken_by_another::<T>(&place, &existing)),
        Adoption::Planned => return Err(messages::adopted_twice::<T>(&place, &existing)),
    }
    Ok(Some(id.to_owned()))
}

/// Says in the plan of an object that the schema replaces what [`forecast`] will say of the new one: Terraform plans that
/// next, and drops the warnings of that plan. Of a replacement that the user forces, the provider isn't told.
///
/// # Errors
/// The KMS did not respond.
pub async fn forecast_replacement<T: ManagedObject>(
    access: &Access,
    cx: &mut Context,
    planned: &T::Model,
    replaced: &str,
) -> Result<(), Diagnostics> {
    // The plan of the new object refuses what another resource has.
    if let Some(existing) = look_for::<T>(access, cx, planned, Some(replaced)).await?
        && !access.managed().contains(existing.id())
    {
        messages::will_adopt::<T>(&T::place(planned), &existing, &mut cx.diagnostics);
    }
    Ok(())
}

/// The object that the apply may take over. Warns if there is one that it won't, or if that can't be told. `replaced` is the
/// ID of the object that is being replaced: if that has the name, it is no other one. Nothing if the KMS can't be asked yet.
async fn look_for<T: ManagedObject>(
    access: &Access,
    cx: &mut Context,
    planned: &T::Model,
    replaced: Option<&str>,
) -> Result<Option<ObjectOf<T>>, Diagnostics> {
    if !is_wanted::<T>(planned) || !is_decidable::<T>(access, planned) {
        return Ok(None);
    }
    let place = T::place(planned);
    let operation = access.operation(cx)?;
    let existing = match operation.forecast_by_name::<ObjectOf<T>>(&place).await {
        Ok(Some(existing)) => existing,
        Ok(None) => return Ok(None),
        Err(error) if is_refusal(&error) => {
            messages::adoption_unknown::<T>(&place, &error, &mut cx.diagnostics);
            return Ok(None);
        }
        // The apply may find what the plan could not, and it doesn't know which objects other resources manage.
        Err(error) => {
            let label = messages::quoted(T::name_of(&place));
            return Err(messages::failure::<T>("look for", &label, scope_of::<T>(&place), &error));
        }
    };
    if replaced.is_some_and(|id| id.eq_ignore_ascii_case(existing.id())) {
        return Ok(None);
    }
    let differences = T::differences(planned, &existing);
    if !differences.is_empty() {
        messages::will_not_adopt::<T>(&place, &existing, &differences, &mut cx.diagnostics);
        return Ok(None);
    }
    Ok(Some(existing))
}

/// Whether the KMS itself refused a look-up. Unless the permissions change, it refuses that of the apply too.
fn is_refusal(error: &kms::Error) -> bool {
    error.api().is_some_and(|api| {
        let is_passing = matches!(api.kind, ApiErrorKind::RateLimited | ApiErrorKind::Unauthorized);
        api.status.is_client_error() && !is_passing
    })
}

/// Takes over an object that nothing in this run manages, and gives it the planned values.
pub async fn adopt<T: ManagedObject>(
    operation: &kms::Operation,
    planned: &T::Model,
    place: &PlaceOf<T>,
    existing: &ObjectOf<T>,
    secret: Option<Secret>,
) -> Result<ObjectOf<T>, Diagnostics> {
    let id = existing.id();
    tracing::info!(id, "adopting the object that has the name");
    let patch = T::patch(&T::Model::found(existing), planned, secret);
    operation
        .adopt::<ObjectOf<T>>(id, place, &patch)
        .await
        .map_err(|error| messages::adopt_failure::<T>(place, existing, &error))
}
