//! Known defects of the provider. Random lives avoid or forgive them. Their tests in [`crate::regressions`] do neither, and
//! are ignored until they pass. Remove an entry together with the `ignore` of its test.

use crate::{
    model::{Config, Place},
    steps::{Run, Step, Tokens},
    world::World,
};

/// The defects that a life forgives. By default none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Forgiven {
    /// An error about a taken name advises to import or adopt a connection that another resource manages.
    pub bad_advice: bool,
    /// An adoption takes over another resource's connection. No block gets the chance to.
    pub adoption_of_managed: bool,
}

/// All known defects.
pub const KNOWN: Forgiven = Forgiven { bad_advice: true, adoption_of_managed: true };

/// Steps that random lives leave out.
pub fn is_left_out(step: &Step) -> bool {
    match step {
        // The plan depends on the token where it must not.
        Step::Apply(Run { tokens: Tokens::Others, .. }) => true,
        _ => false,
    }
}

/// Removes `adopt_existing` where the adoption would hit another resource's connection.
pub fn avoid(world: &mut World<'_>) {
    if !world.forgiven.adoption_of_managed {
        return;
    }
    let managed = world.managed();
    let kms = world.kms();
    let configs: Vec<Option<Config>> = world.slots.iter().map(|slot| slot.config).collect();
    for (number, slot) in (0..).zip(&mut world.slots) {
        let Some(config) = &mut slot.config else { continue };
        let place = config.place();
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
