//! What the plans of one run claim. Each name belongs to one resource at the end of the run, and each object to one
//! resource instance.

use std::collections::HashMap;

use aws_lc_rs::rand;
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};

/// Length of a mark, in bytes. Marks of the instances of one state must differ, and nothing else depends on them.
const MARK_LENGTH: usize = 9;

/// A new mark for a resource instance. `None` if the system has no random bytes to give.
///
/// It is in the private state of an instance. So it stays when the resource moves, and two instances that manage the
/// same object have different ones.
pub fn new_mark() -> Option<String> {
    let mut bytes = [0; MARK_LENGTH];
    rand::fill(&mut bytes).ok()?;
    Some(STANDARD_NO_PAD.encode(bytes))
}

/// What becomes of an object in a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is kept, with or without changes.
    Kept,
    /// It is destroyed.
    Destroyed,
}

/// The claims of the plans so far.
#[derive(Debug, Default)]
pub struct PlannedObjects {
    /// The owner of each place: the ID of an object, or `None` for an object that doesn't exist yet.
    places: HashMap<String, Option<String>>,
    /// The marks of the instances that keep an object, by the object's ID.
    kept: HashMap<String, String>,
    /// The marks of the instances that destroy an object, by the object's ID.
    destroyed: HashMap<String, String>,
}

impl PlannedObjects {
    /// Claims a place for the end of the run. `owner` is the ID of the object that will be there or, for a replacement,
    /// of the one that it replaces. Returns false if another resource has claimed it.
    pub fn claim_place(&mut self, place: String, owner: Option<&str>) -> bool {
        let owner = owner.map(str::to_ascii_lowercase);
        match self.places.get(&place) {
            None => {
                self.places.insert(place, owner);
                true
            }
            // A run plans each create once, so another claim without an owner is of another resource.
            Some(claimed) => owner.is_some() && *claimed == owner,
        }
    }

    /// Claims an object for the instance with this mark. Returns false if another instance has it, unless both destroy
    /// it.
    pub fn claim_object(&mut self, id: &str, mark: &str, fate: Fate) -> bool {
        let id = id.to_ascii_lowercase();
        let is_of_another =
            |marks: &HashMap<String, String>| marks.get(&id).is_some_and(|known| known != mark);
        let is_free =
            !is_of_another(&self.kept) && (fate == Fate::Destroyed || !is_of_another(&self.destroyed));
        if is_free {
            let marks = if fate == Fate::Kept { &mut self.kept } else { &mut self.destroyed };
            marks.insert(id, mark.to_owned());
        }
        is_free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_one_owner() {
        let mut planned = PlannedObjects::default();
        assert!(planned.claim_place("a".into(), Some("One")));
        assert!(planned.claim_place("a".into(), Some("one")), "the same object, or its replacement");
        assert!(!planned.claim_place("a".into(), Some("two")));
        assert!(!planned.claim_place("a".into(), None));
        assert!(planned.claim_place("b".into(), None));
        assert!(!planned.claim_place("b".into(), None), "a second create");
        assert!(!planned.claim_place("b".into(), Some("one")));
    }

    #[test]
    fn an_object_belongs_to_one_instance() {
        let mut planned = PlannedObjects::default();
        assert!(planned.claim_object("Id", "m", Fate::Kept) && planned.claim_object("id", "m", Fate::Kept));
        assert!(!planned.claim_object("id", "n", Fate::Kept));
        assert!(!planned.claim_object("id", "n", Fate::Destroyed), "the other instance keeps it");
        assert!(planned.claim_object("other", "m", Fate::Destroyed));
        assert!(planned.claim_object("other", "n", Fate::Destroyed), "both destroy it");
        assert!(!planned.claim_object("other", "o", Fate::Kept));
    }

    #[test]
    fn marks_differ() {
        assert_ne!(new_mark().unwrap(), new_mark().unwrap());
    }
}
