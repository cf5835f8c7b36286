//! Which objects of the KMS belong to which resource of this run, as far as the run has shown.
//!
//! Adopting an object that another resource manages would put it into the state twice, and the destruction of either
//! would break the other.

use std::collections::HashSet;

/// How many imported objects a run warns of. Terraform looks each warning's lines up in the configuration, which for a
/// thousand of them takes longer than the import.
const MOST_IMPORTS_TOLD: usize = 20;

/// The objects, by ID, that resources of this run have.
#[derive(Debug, Default)]
pub(super) struct Claims {
    managed: HashSet<String>,
    adopted: HashSet<String>,
    imports_told: usize,
}

/// Whether to warn of an imported object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Telling {
    /// Yes.
    Yes,
    /// Yes, and say that it is the last one.
    Last,
    /// There were enough.
    No,
}

impl Claims {
    /// A resource has this object: it made it, or its state says so.
    pub(super) fn claim(&mut self, id: &str) {
        self.managed.insert(id.to_owned());
    }

    /// A resource wants to take this object over. `false` if another one has it.
    pub(super) fn adopt(&mut self, id: &str) -> bool {
        let free = self.managed.insert(id.to_owned());
        if free {
            self.adopted.insert(id.to_owned());
        }
        free
    }

    /// Whether a resource took this object over in this run. If it is then to be deleted for another one, such as the
    /// object that a replacement was created before, that other one must leave it alone.
    pub(super) fn is_adopted(&self, id: &str) -> bool {
        self.adopted.contains(id)
    }

    /// Counts an imported object, and says whether to warn of it.
    pub(super) fn tell_import(&mut self) -> Telling {
        self.imports_told += 1;
        match self.imports_told {
            count if count < MOST_IMPORTS_TOLD => Telling::Yes,
            MOST_IMPORTS_TOLD => Telling::Last,
            _ => Telling::No,
        }
    }

    /// No resource has this object any more.
    pub(super) fn release(&mut self, id: &str) {
        self.managed.remove(id);
        self.adopted.remove(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_has_one_owner() {
        let mut claims = Claims::default();
        claims.claim("made");
        assert!(!claims.adopt("made") && !claims.is_adopted("made"));
        assert!(claims.adopt("found") && claims.is_adopted("found"));
        assert!(!claims.adopt("found"), "a second resource wants it too");
        claims.release("found");
        assert!(!claims.is_adopted("found") && claims.adopt("found"));
    }

    #[test]
    fn many_imports_are_told_of_up_to_a_limit() {
        let mut claims = Claims::default();
        let told: Vec<_> = (0..1000).map(|_| claims.tell_import()).collect();
        assert_eq!(told.iter().filter(|telling| **telling == Telling::Yes).count(), MOST_IMPORTS_TOLD - 1);
        assert_eq!(told.iter().position(|telling| *telling == Telling::Last), Some(MOST_IMPORTS_TOLD - 1));
        assert_eq!(told.iter().filter(|telling| **telling == Telling::Last).count(), 1);
    }
}
