//! The claims of the provider's diagnostics. Only this file depends on their wording.

use crate::{
    host::proto,
    model::{Action, Place},
};

/// A diagnostic and its subject.
#[derive(Clone, Debug)]
pub struct Said {
    /// The number of the run.
    pub run: u32,
    pub slot: u8,
    /// The action of the RPC; `Nothing` for reads, plans and imports.
    pub action: Action,
    /// The place of the object.
    pub place: Place,
    pub is_error: bool,
    pub summary: String,
    pub detail: String,
}

impl Said {
    pub fn names(&self, id: &str) -> bool {
        self.detail.contains(id)
    }

    /// Claims that the object may exist.
    pub fn says_it_may_exist(&self) -> bool {
        self.is_error
            && (self.summary == "Unconfirmed create"
                || self.detail.contains("may have performed the request"))
    }

    /// Warns that a request for the object may be performed after the create that succeeded, and names the object.
    pub fn warns_of_an_earlier_create(&self) -> bool {
        !self.is_error
            && self.summary == "Create sent more than once"
            && self.detail.contains(&format!("\"{}\"", self.place.name))
    }

    /// Claims that nothing was changed.
    pub fn says_nothing_changed(&self) -> bool {
        self.detail.contains("Nothing was changed")
    }

    /// Claims that somebody else wrote the credentials.
    pub fn says_credentials_are_foreign(&self) -> bool {
        !self.is_error && self.summary == "Credentials changed outside of Terraform"
    }

    /// Warns that the last rotation failed.
    pub fn says_the_rotation_failed(&self) -> bool {
        !self.is_error && self.summary == "The last rotation failed"
    }

    /// Warns that a create may have left a token of this name at dbt.
    pub fn warns_of_a_leftover(&self, token_name: &str) -> bool {
        !self.is_error
            && self.summary == "Something may be left over"
            && self.detail.contains(&format!("named \"{token_name}\""))
    }

    /// Advises to import or adopt a connection, whether or not another resource manages it.
    pub fn advises_to_take_over(&self) -> bool {
        let advises = ["terraform import", "set adopt_existing = true", "adopt_existing takes it over"]
            .iter()
            .any(|advice| self.detail.contains(advice));
        advises && !self.detail.to_lowercase().contains("if no other resource manages it")
    }

    /// Warns in a plan that an object of nobody in this run has the name.
    pub fn warns_of_a_taken_name(&self) -> bool {
        !self.is_error && self.summary == "Name already taken"
    }

    /// Claims that the name, or that of the secret, is taken.
    pub fn says_the_name_is_lost(&self) -> bool {
        self.summary.ends_with("with this name can't be shown")
            || ["Name already taken", "Secret already exists"].contains(&self.summary.as_str())
    }
}

/// Whether the provider panicked.
pub fn is_of_a_crash(diagnostic: &proto::Diagnostic) -> bool {
    diagnostic.summary.contains("crash")
}
