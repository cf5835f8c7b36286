//! Why a value could not be decoded.

use std::fmt;

use super::super::path::{Path, Step};

/// A value is not what it has to be: what was wanted, and where. Never holds the value that was found there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodecError {
    wanted: String,
    path: Path,
}

impl CodecError {
    /// An error right here. `wanted` completes the sentence "It is not ...".
    pub fn new(wanted: impl Into<String>) -> Self {
        Self { wanted: wanted.into(), path: Path::root() }
    }

    /// The same error seen from one level further out.
    pub fn within(mut self, step: Step) -> Self {
        self.path.0.insert(0, step);
        self
    }

    /// The same error seen from the set around the element. Elements of a set have no address, so the path ends there.
    pub fn within_set(self) -> Self {
        let wanted = match self.path.0.is_empty() {
            true => format!("a set of which each element is {}", self.wanted),
            false => format!("a set of which each element has {} at {}", self.wanted, self.path),
        };
        Self::new(wanted)
    }

    /// Where the value is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was wanted there, to complete the sentence "It is not ...".
    pub fn wanted(&self) -> &str {
        &self.wanted
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not {}", self.wanted)?;
        if !self.path.0.is_empty() {
            write!(f, " at {}", self.path)?;
        }
        Ok(())
    }
}

impl std::error::Error for CodecError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_its_place_and_stops_at_sets() {
        let error = CodecError::new("a string").within(Step::Attribute("name".into()));
        let listed = error.clone().within(Step::Index(2)).within(Step::Attribute("items".into()));
        assert_eq!(listed.to_string(), "not a string at items[2].name");
        let in_set = error.within_set().within(Step::Attribute("items".into()));
        assert_eq!(in_set.to_string(), "not a set of which each element has a string at name at items");
        assert_eq!(in_set.path(), &Path::attribute("items"));
    }
}
