//! What the provider's diagnostics claim. The only place that reads their words.

use crate::{
    host::proto,
    model::{Action, Place},
};

/// A diagnostic, and what it is about.
#[derive(Clone, Debug)]
pub struct Said {
    /// The number of the run.
    pub run: u32,
    pub slot: u8,
    /// What the call was to do; `Nothing` for reads, plans and imports.
    pub action: Action,
    /// Where the object was to be, or is.
    pub place: Place,
    pub is_error: bool,
    pub summary: String,
    pub detail: String,
}

impl Said {
    pub fn names(&self, id: &str) -> bool {
        self.detail.contains(id)
    }

    /// That the object may have been made, though nothing shows it.
    pub fn says_it_may_exist(&self) -> bool {
        self.is_error
            && (self.summary == "Unconfirmed create"
                || self.detail.contains("may have performed the request"))
    }

    /// That all is as it was.
    pub fn says_nothing_changed(&self) -> bool {
        self.detail.contains("Nothing was changed")
    }

    /// That somebody else wrote the credentials.
    pub fn says_credentials_are_foreign(&self) -> bool {
        !self.is_error && self.summary == "Credentials changed outside of Terraform"
    }

    /// That some connection can be managed by importing or adopting it.
    pub fn advises_to_take_over(&self) -> bool {
        ["terraform import", "adopt_existing = true", "adopt_existing takes it over"]
            .iter()
            .any(|advice| self.detail.contains(advice))
    }

    /// That what has the name can't be managed here, whatever it is.
    pub fn says_the_name_is_lost(&self) -> bool {
        self.summary == "The connection with this name can't be shown" || self.summary == "Name already taken"
    }
}

/// Whether the provider's own code failed.
pub fn is_of_a_crash(diagnostic: &proto::Diagnostic) -> bool {
    diagnostic.summary.contains("crash")
}
