//! The error of decoding a value.

use std::fmt;

use super::super::{
    messages,
    path::{Path, Step},
};

/// A value of another type than expected: the expected type, and the path. Never contains the value itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodecError {
    expected: String,
    path: Path,
}

impl CodecError {
    /// An error at the root. `expected` completes the sentences "It is not ..." and "Expected ...".
    pub fn new(expected: impl Into<String>) -> Self {
        Self { expected: expected.into(), path: Path::root() }
    }

    /// The same error with its path extended by one step at the front.
    pub fn within(mut self, step: Step) -> Self {
        self.path.0.insert(0, step);
        self
    }

    /// The same error as one of the set around the element. Elements of a set have no path, so the path ends there.
    pub fn within_set(self) -> Self {
        Self::new(messages::expected::set_of(&self.path, &self.expected))
    }

    /// The path of the value.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was expected there, to complete the sentence "It is not ...".
    pub fn expected(&self) -> &str {
        &self.expected
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&messages::undecodable(&self.path, &self.expected))
    }
}

impl std::error::Error for CodecError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_its_path_and_stops_at_sets() {
        let error = CodecError::new("a string").within(Step::Attribute("name".into()));
        let listed = error.clone().within(Step::Index(2)).within(Step::Attribute("items".into()));
        assert_eq!(listed.to_string(), "expected a string at items[2].name");
        let in_set = error.within_set().within(Step::Attribute("items".into()));
        assert_eq!(in_set.to_string(), "expected a set where each element has a string at name at items");
        assert_eq!(in_set.path(), &Path::attribute("items"));
    }
}
