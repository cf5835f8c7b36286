//! What the plans of one run claim. Each name belongs to one resource at the end of the run, and each object to one
//! resource instance.

use std::collections::HashMap;

use aws_lc_rs::rand;
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};

use super::secret;
use crate::plugin::private::Private;

/// Length of a mark, in bytes. Only the marks of instances that manage the same object must differ, so a few are enough: the
/// state file may have one for each object.
const MARK_LENGTH: usize = 3;

/// Private state: the mark of a resource instance that has no digest of a secret.
const MARK: &str = "mark";

/// The mark of a resource instance. It is in the private state, so it stays when the resource moves, and two instances
/// that manage the same object have different ones. The digest of a secret serves as well.
pub fn mark(private: &Private) -> Option<String> {
    private.get(MARK).or_else(|| secret::digest(private))
}

/// Gives a resource instance a mark, unless it has one or the system has no random bytes to give.
pub fn set_mark(private: &mut Private) {
    let mut bytes = [0; MARK_LENGTH];
    if mark(private).is_none() && rand::fill(&mut bytes).is_ok() {
        private.set(MARK, Some(STANDARD_NO_PAD.encode(bytes)));
    }
}

/// What becomes of an object in a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is kept, with or without changes.
    Kept,
    /// It is destroyed.
    Destroyed,
}

/// Who has a place at the end of the run.
#[derive(Debug, PartialEq, Eq)]
enum Owner {
    /// An object that doesn't exist yet.
    New,
    /// The object with this ID, which this run created.
    Created(String),
    /// The object with this ID, or its replacement.
    Existing(String),
}

/// Whether a place can be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// No other resource has claimed it.
    Free,
    /// This run creates another object there.
    OfNewObject,
    /// A resource has an object that exists there.
    OfExistingObject,
}

/// The claims of the plans so far.
#[derive(Debug, Default)]
pub struct PlannedObjects {
    places: HashMap<String, Owner>,
    /// The marks of the instances that keep an object, by the object's ID.
    kept: HashMap<String, String>,
    /// The marks of the instances that destroy an object, by the object's ID.
    destroyed: HashMap<String, String>,
}

impl PlannedObjects {
    /// Claims a place for the end of the run. `owner` is the ID of the object that will be there or, for a replacement,
    /// of the one that it replaces. It stays with the one that has claimed it first.
    pub fn claim_place(&mut self, place: String, owner: Option<&str>) -> Claim {
        let owner = owner.map(str::to_ascii_lowercase);
        match (self.places.get(&place), owner) {
            (None, owner) => {
                self.places.insert(place, owner.map_or(Owner::New, Owner::Existing));
                Claim::Free
            }
            (Some(Owner::Created(id) | Owner::Existing(id)), Some(owner)) if *id == owner => Claim::Free,
            // A run plans each create once, so another create is of another resource.
            (Some(Owner::New | Owner::Created(_)), None) => Claim::OfNewObject,
            (Some(_), _) => Claim::OfExistingObject,
        }
    }

    /// Notes that an instance that keeps an object has another mark now.
    pub fn remarked(&mut self, id: &str, mark: &str) {
        self.kept.insert(id.to_ascii_lowercase(), mark.to_owned());
    }

    /// Notes that the object with this ID was created at a place.
    pub fn created(&mut self, place: String, id: &str) {
        self.places.insert(place, Owner::Created(id.to_ascii_lowercase()));
    }

    /// Notes that the create of an object at a place failed.
    pub fn create_failed(&mut self, place: &str) {
        if self.places.get(place) == Some(&Owner::New) {
            self.places.remove(place);
        }
    }

    /// Notes that an object was deleted.
    pub fn deleted(&mut self, id: &str) {
        let is_of_it = |owner: &Owner| match owner {
            Owner::New => false,
            Owner::Created(owner) | Owner::Existing(owner) => owner.eq_ignore_ascii_case(id),
        };
        self.places.retain(|_, owner| !is_of_it(owner));
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
        use Claim::{Free, OfExistingObject, OfNewObject};
        let mut planned = PlannedObjects::default();
        let mut claim = |place: &str, owner| planned.claim_place(place.to_owned(), owner);
        assert_eq!(claim("a", Some("One")), Free);
        assert_eq!(claim("a", Some("one")), Free, "the same object, or its replacement");
        assert_eq!(claim("a", Some("two")), OfExistingObject);
        assert_eq!(claim("a", None), OfExistingObject);
        assert_eq!(claim("b", None), Free);
        assert_eq!(claim("b", None), OfNewObject, "a second create");
        assert_eq!(claim("b", Some("one")), OfExistingObject);
        planned.create_failed("b");
        assert_eq!(planned.claim_place("b".into(), None), Free);
        planned.created("b".into(), "Made");
        let mut claim = |place: &str, owner| planned.claim_place(place.to_owned(), owner);
        assert_eq!(claim("b", Some("made")), Free);
        assert_eq!(claim("b", None), OfNewObject);
        planned.deleted("MADE");
        assert_eq!(planned.claim_place("b".into(), None), Free);
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
    fn marks_differ_and_stay() {
        let marked = || {
            let mut private = Private::default();
            set_mark(&mut private);
            private
        };
        let marks: std::collections::HashSet<_> = (0..10).map(|_| mark(&marked()).unwrap()).collect();
        assert!(marks.len() >= 9, "{marks:?}");
        let mut private = marked();
        let before = mark(&private);
        set_mark(&mut private);
        assert_eq!(mark(&private), before);
    }
}
