//! The IDs of the objects that this process manages.
//!
//! A managed object must not be mistaken for the result of another create, and must not be adopted. Two managers of one
//! object would undo each other's changes, and destroying one would destroy the object of the other.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep};

/// How long to wait for further objects to become known. The caller learns of the objects that it manages one by one, and
/// in no particular order.
const QUIET: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(3);

/// The IDs of managed objects. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct ManagedIds(Arc<Mutex<Ids>>);

/// Whether an object can be adopted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adoption {
    /// It has no manager that this process knows of.
    Free,
    /// It was read. Either the plan of its manager follows, and fails then; or that manager is the one that adopts it,
    /// and its old object will be destroyed.
    Read,
    /// A plan keeps, changes or destroys it.
    Managed,
    /// Another plan adopts it.
    Planned,
}

#[derive(Debug, Default)]
struct Ids {
    managed: HashSet<String>,
    /// The IDs that a plan keeps, changes or destroys.
    planned: HashSet<String>,
    /// The IDs that a plan adopts, with their name in the new manager.
    planned_adoptions: HashMap<String, String>,
    adopted: HashSet<String>,
    /// The number of creates in progress, by place. Their objects may exist before their IDs are known.
    creating: HashMap<String, usize>,
}

impl ManagedIds {
    /// Adds an object. Returns false if it is already managed.
    pub fn add(&self, id: &str) -> bool {
        self.ids().managed.insert(id.to_ascii_lowercase())
    }

    /// Whether the object is managed.
    pub fn contains(&self, id: &str) -> bool {
        self.ids().managed.contains(&id.to_ascii_lowercase())
    }

    /// Whether the object is managed, or becomes known as managed soon: as long as other objects become known, this one
    /// may follow.
    pub async fn becomes_known(&self, id: &str) -> bool {
        let latest = Instant::now() + LONGEST_WAIT;
        loop {
            let known = self.ids().managed.len();
            if self.contains(id) {
                return true;
            }
            sleep(QUIET).await;
            if self.ids().managed.len() == known || Instant::now() >= latest {
                return self.contains(id);
            }
        }
    }

    /// Claims an object that is to be deleted, so that it isn't adopted in the meantime. Returns false if it was adopted
    /// before, as in a replacement that creates the new object first: it must be kept then.
    ///
    /// The plan can't always prevent both: of a tainted object it has only the create that follows.
    pub fn claim_for_deletion(&self, id: &str) -> bool {
        let id = id.to_ascii_lowercase();
        let mut ids = self.ids();
        let is_free = !ids.adopted.contains(&id);
        if is_free {
            ids.managed.insert(id);
        }
        is_free
    }

    /// Removes an object.
    pub fn remove(&self, id: &str) {
        let id = id.to_ascii_lowercase();
        let mut ids = self.ids();
        ids.managed.remove(&id);
        ids.adopted.remove(&id);
    }

    /// Adds an object that a plan keeps, changes or destroys. An adopted object may be planned for its previous manager.
    ///
    /// # Errors
    /// A plan adopts it under the name in the error.
    pub fn plan(&self, id: &str) -> Result<(), String> {
        let id = id.to_ascii_lowercase();
        let mut ids = self.ids();
        if !ids.adopted.contains(&id) {
            if let Some(name) = ids.planned_adoptions.get(&id) {
                return Err(name.clone());
            }
            ids.managed.insert(id.clone());
            ids.planned.insert(id);
        }
        Ok(())
    }

    /// Plans to adopt an object under `name`. A run plans each create once, so a second plan is that of another
    /// manager.
    pub fn plan_adoption(&self, id: &str, name: &str) -> Adoption {
        let id = id.to_ascii_lowercase();
        let mut ids = self.ids();
        if ids.planned.contains(&id) {
            return Adoption::Managed;
        }
        if ids.planned_adoptions.insert(id.clone(), name.to_owned()).is_some() {
            return Adoption::Planned;
        }
        if ids.managed.contains(&id) { Adoption::Read } else { Adoption::Free }
    }

    /// Adds an object that was found at a place, to adopt it. Returns false if it is already managed, or may be the
    /// result of a create in progress.
    pub(super) fn adopt(&self, id: &str, place: &str) -> bool {
        let id = id.to_ascii_lowercase();
        let mut ids = self.ids();
        let is_free = !ids.creating.contains_key(place) && ids.managed.insert(id.clone());
        if is_free {
            ids.adopted.insert(id);
        }
        is_free
    }

    /// Registers a create at a place, until the result is dropped.
    pub(super) fn creating(&self, place: String) -> Creating<'_> {
        *self.ids().creating.entry(place.clone()).or_default() += 1;
        Creating { ids: self, place }
    }

    fn ids(&self) -> MutexGuard<'_, Ids> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A create in progress.
pub(super) struct Creating<'a> {
    ids: &'a ManagedIds,
    place: String,
}

impl Drop for Creating<'_> {
    fn drop(&mut self) {
        let mut ids = self.ids.ids();
        if let Some(count) = ids.creating.get_mut(&self.place) {
            *count -= 1;
            if *count == 0 {
                ids.creating.remove(&self.place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_has_one_manager() {
        let ids = ManagedIds::default();
        assert!(ids.add("Made") && !ids.add("made"));
        assert!(!ids.adopt("made", "a") && ids.claim_for_deletion("made"));
        assert!(ids.adopt("found", "b") && !ids.claim_for_deletion("FOUND"));
        assert!(!ids.adopt("found", "b"), "a second one wants it too");
        ids.remove("found");
        assert!(!ids.contains("found") && ids.adopt("found", "b"));
    }

    #[tokio::test(start_paused = true)]
    async fn an_object_may_become_known_while_others_do() {
        let ids = ManagedIds::default();
        assert!(!ids.becomes_known("late").await);
        let others = ids.clone();
        let showing = tokio::spawn(async move {
            for number in 0..20 {
                sleep(QUIET / 2).await;
                others.add(&number.to_string());
            }
            others.add("Late");
        });
        assert!(ids.becomes_known("late").await);
        showing.await.unwrap();
    }

    #[test]
    fn what_is_being_deleted_is_not_adopted() {
        let ids = ManagedIds::default();
        assert!(ids.claim_for_deletion("Tainted"));
        assert!(!ids.adopt("tainted", "b"));
        ids.remove("tainted");
        assert!(ids.adopt("tainted", "b"));
    }

    #[test]
    fn a_plan_has_one_manager_of_each_object_in_whatever_order() {
        let ids = ManagedIds::default();
        assert_eq!(ids.plan("Kept"), Ok(()));
        assert_eq!(ids.plan("kept"), Ok(()), "by the same manager");
        assert_eq!(ids.plan_adoption("kept", "a"), Adoption::Managed);
        assert_eq!(ids.plan_adoption("Found", "a"), Adoption::Free);
        assert_eq!(ids.plan_adoption("found", "a"), Adoption::Planned, "another one wants it too");
        assert_eq!(ids.plan("FOUND"), Err("a".to_owned()));
        assert!(ids.contains("kept") && !ids.contains("found"));
        ids.add("read");
        assert_eq!(ids.plan_adoption("read", "c"), Adoption::Read, "whose it is follows");
    }

    #[test]
    fn what_was_adopted_may_be_planned_for_the_manager_that_it_was_adopted_from() {
        let ids = ManagedIds::default();
        assert_eq!(ids.plan_adoption("found", "a"), Adoption::Free);
        assert!(ids.adopt("found", "place"));
        assert_eq!(ids.plan("found"), Ok(()));
    }

    #[test]
    fn what_a_create_under_way_may_have_made_is_not_adopted() {
        let ids = ManagedIds::default();
        let (first, second) = (ids.creating("a".to_owned()), ids.creating("a".to_owned()));
        assert!(!ids.adopt("found", "a"));
        drop(first);
        assert!(!ids.adopt("found", "a"));
        drop(second);
        assert!(ids.adopt("found", "a"));
    }
}
