//! Paths to attributes, for diagnostics and replacements.

use std::fmt;

/// One step into a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Into an object's attribute.
    Attribute(String),
    /// To the element of a map.
    Key(String),
    /// To the element of a list, counted from 0.
    Index(i64),
}

/// The path from the root of a configuration or state to a value in it. The empty path is the root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(pub Vec<Step>);

impl Path {
    /// The whole object.
    pub fn root() -> Self {
        Self::default()
    }

    /// A top-level attribute.
    pub fn attribute(name: impl Into<String>) -> Self {
        Self::root().then(Step::Attribute(name.into()))
    }

    /// This path, extended by one step.
    pub fn then(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    /// An attribute of the object at this path.
    pub fn and(&self, name: impl Into<String>) -> Self {
        self.then(Step::Attribute(name.into()))
    }
}

impl fmt::Display for Path {
    /// The path as written in a configuration: `auth.universal.client_id`, `items[0]`, `tags["a"]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.0.iter().enumerate() {
            match step {
                Step::Attribute(name) if i == 0 => write!(f, "{name}")?,
                Step::Attribute(name) => write!(f, ".{name}")?,
                Step::Key(key) => write!(f, "[{key:?}]")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_read_as_in_configuration() {
        let path = Path::attribute("auth").and("universal").then(Step::Index(2)).then(Step::Key("k".into()));
        assert_eq!(path.to_string(), r#"auth.universal[2]["k"]"#);
    }
}
