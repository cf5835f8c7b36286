//! Which objects of the KMS belong to which resource of this run, as far as the run has shown.
//!
//! Adopting an object that another resource manages would put it into the state twice, and the destruction of either
//! would break the other.

use std::collections::HashSet;

/// The objects, by ID, that resources of this run have.
#[derive(Debug, Default)]
pub(super) struct Claims {
    managed: HashSet<String>,
    adopted: HashSet<String>,
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
}
