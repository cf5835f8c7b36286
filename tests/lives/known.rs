//! What the provider is known to do wrong today. Random sequences keep out of its way, and each entry has its test in
//! [`crate::regressions`], ignored until it passes. An entry goes when its test does.

use crate::{
    faults::{Body, Call, Failure},
    model::{Config, Place},
    world::World,
};

/// Weight of runs whose apply sees other tokens than their plan did.
pub const OTHER_TOKENS_AT_APPLY: u32 = 1;

/// A delete that fails may return its object without an identity.
pub const FAILED_DELETES_LOSE_IDENTITY: bool = true;

/// Faults after which a life goes wrong.
pub fn fails(call: Call, failure: Failure) -> bool {
    let quotes = matches!(failure, Failure::Status { body: Body::Quoting, .. });
    quotes || call.is_write() && is_foreign_refusal(failure)
}

/// Whether a single fault of this kind is got over.
pub fn survives(_call: Call, failure: Failure) -> bool {
    let is_too_large = matches!(failure, Failure::Status { body: Body::TooLarge, .. } | Failure::Endless);
    !is_foreign_refusal(failure) && !is_too_large
}

/// A page of something in between with a status that the KMS would refuse with.
fn is_foreign_refusal(failure: Failure) -> bool {
    matches!(failure, Failure::Status { status: 400..=428 | 430..=499, body, .. } if body != Body::Kms)
}

/// Changes a configuration that is known to end badly.
pub fn avoid(world: &mut World<'_>) {
    let managed = world.managed();
    let kms = world.kms();
    let configs: Vec<Option<Config>> = world.slots.iter().map(|slot| slot.config).collect();
    for (number, slot) in (0..).zip(&mut world.slots) {
        let Some(config) = &mut slot.config else { continue };
        let place = config.place();
        // Another resource's connection is taken over, if the apply doesn't hear of that resource in time.
        let is_managed = managed.iter().any(|(id, owner)| {
            *owner != number && kms.get(id).is_some_and(|(connection, _)| Place::of(connection) == place)
        });
        let others = (0..).zip(&configs).filter(|(other, _)| *other != number);
        let is_wanted = others.filter_map(|(_, config)| *config).any(|config| config.place() == place);
        if is_managed || is_wanted {
            config.adopt = false;
        }
    }
}
