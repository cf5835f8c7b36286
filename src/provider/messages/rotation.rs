//! The texts about rotations.

use crate::{
    plugin::{diagnostics::Diagnostics, path::Path, text::line},
    provider::dbt_service_token_rotation::model::{PERMISSION_SETS, RotationModel},
};

/// The KMS failed to rotate.
pub fn last_rotation_failed(prior: &RotationModel, diagnostics: &mut Diagnostics) {
    let reason = line(prior.last_rotation_message.as_str().unwrap_or("The KMS gives no reason."));
    let is_auto = prior.auto_rotation_enabled.known() == Some(&true);
    let next = match prior.next_rotation_at.as_str().filter(|_| is_auto) {
        Some(time) => format!("The KMS tries again at {}.", line(time)),
        None => "It does not try again by itself.".to_owned(),
    };
    diagnostics.warning(
        None,
        "The last rotation failed",
        format!(
            "The KMS could not rotate the token of \"{}\": {reason}\n\nThe secret keeps the token of {}. {next}",
            line(prior.name.text()),
            line(prior.last_rotated_at.text())
        ),
    );
}

/// A replacement needs the secret's name.
pub fn secret_is_deleted_first(secret_name: &str, diagnostics: &mut Diagnostics) {
    let secret_name = line(secret_name);
    diagnostics.warning(
        Some(Path::attribute("secret_name")),
        "The secret is deleted before its replacement",
        format!(
            "The rotation is replaced, and the new one needs the secret's name \"{secret_name}\". The KMS refuses a second \
             secret of that name, so the old rotation and its secret are deleted first, whatever delete_secret_on_destroy says. \
             Until the new token is stored, readers find no secret. With create_before_destroy the create fails, because the \
             secret still exists: remove it, or choose another secret_name."
        ),
    );
}

/// A change of the tokens' parameters.
pub fn takes_effect_later(
    attribute: &str,
    property: &str,
    prior: &RotationModel,
    planned: &RotationModel,
    diagnostics: &mut Diagnostics,
) {
    let keeps_time = prior.auto_rotation_enabled == planned.auto_rotation_enabled
        && prior.rotation_interval == planned.rotation_interval
        && prior.rotate_at_utc == planned.rotate_at_utc;
    let due = match prior.next_rotation_at.as_str().filter(|_| keeps_time) {
        _ if planned.auto_rotation_enabled.known() == Some(&false) => {
            "; none is due, because auto_rotation_enabled is false".to_owned()
        }
        Some(time) => format!("; it is due at {}", line(time)),
        None => String::new(),
    };
    diagnostics.warning(
        Some(Path::attribute(attribute)),
        "Takes effect at the next rotation",
        format!(
            "The tokens that exist keep their {property}. The next rotation uses the new {attribute}{due}. To rotate now, invoke \
             the action kms_dbt_service_token_rotate."
        ),
    );
}

/// A destroy that leaves live tokens.
pub fn tokens_stay(prior: &RotationModel, diagnostics: &mut Diagnostics) {
    let detail = format!(
        "revoke_tokens_on_destroy is false: the tokens of the rotation \"{}\", named \"{}\" at dbt, stay valid, and nothing \
         manages them any more. Revoke them at dbt, or apply revoke_tokens_on_destroy = true first.",
        line(prior.name.text()),
        line(prior.token_name.text())
    );
    diagnostics.warning(None, "Live tokens stay at dbt", detail);
}

/// A destroy that leaves the secret.
pub fn secret_stays(prior: &RotationModel, diagnostics: &mut Diagnostics) {
    let detail = format!(
        "delete_secret_on_destroy is false: the secret \"{}\" of the rotation \"{}\" stays in the KMS, with the last token.",
        line(prior.secret_name.text()),
        line(prior.name.text())
    );
    diagnostics.warning(None, "The secret stays in the KMS", detail);
}

/// What a failed create may have left at dbt.
pub fn leftover(token_name: &str) -> String {
    format!(
        "To create a rotation, the KMS first creates a service token at dbt, and asks up to four times if dbt \
         fails. If this or a later step fails, tokens can remain there. Check dbt for service tokens named \
         \"{token_name}\" that no rotation uses, and revoke them. The provider does not send the request again by \
         itself, because each create can leave more of them."
    )
}

/// A permission set that only a newer server may know.
pub fn unknown_permission_set(set: &str, diagnostics: &mut Diagnostics) {
    diagnostics.warning(
        Some(Path::attribute("permission_grants")),
        "Unknown permission set",
        format!(
            "This version of the provider does not know the permission set \"{set}\". If the KMS does not know it either, the \
             apply fails. Known are: {}.",
            PERMISSION_SETS.replace(' ', ", ")
        ),
    );
}
