//! What the provider is known to do wrong today. Random lives keep out of its way, or forgive it; the tests in
//! [`crate::regressions`] don't, and are ignored until they pass. An entry goes when its test does.

use crate::{
    model::{Config, Place},
    steps::{Run, Step, Tokens},
    world::World,
};

/// What a life is forgiven. By default nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Forgiven {
    /// A taken name is said to be adoptable or importable, though a resource has that connection.
    pub bad_advice: bool,
    /// Another resource's connection is taken over, if the apply doesn't hear of that resource in time: no resource asks
    /// for that.
    pub adoption_of_managed: bool,
}

/// All that is known.
pub const KNOWN: Forgiven = Forgiven { bad_advice: true, adoption_of_managed: true };

/// Steps that random lives leave out.
pub fn is_left_out(step: &Step) -> bool {
    match step {
        // A known planned hash follows from the token.
        Step::Apply(Run { tokens: Tokens::Others, .. }) => true,
        _ => false,
    }
}

/// Changes a configuration that is known to end badly.
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
