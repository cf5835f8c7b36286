//! Where a value comes from: the provider block first, the environment second.

use crate::{plugin::model::Field, secret::Secret};

/// An attribute of the provider block and the environment variable that stands in for it.
#[derive(Debug)]
pub struct Setting {
    /// The attribute's path in the block, such as `auth.token`.
    pub attribute: &'static str,
    /// The variable.
    pub variable: &'static str,
}

impl Setting {
    pub const fn new(attribute: &'static str, variable: &'static str) -> Self {
        Self { attribute, variable }
    }

    /// The subject of a sentence about its value: the attribute if the block has it, otherwise the variable.
    pub fn subject(&self, in_block: bool) -> String {
        if in_block { format!("\"{}\"", self.attribute) } else { format!("The variable {}", self.variable) }
    }
}

/// Whether the block sets this. An empty text counts as not set, in the block as in the environment: `host = var.host`
/// with a default of `""` leaves it to the environment.
pub fn is_set(field: &Field<String>) -> bool {
    field.as_str().is_some_and(|text| !text.is_empty())
}

/// As [`is_set`], for secrets.
pub fn is_secret_set(field: &Field<Secret>) -> bool {
    field.known().is_some_and(|secret| !secret.is_empty())
}

/// Looks values up.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    pub environment: &'a dyn Fn(&str) -> Option<String>,
}

impl Source<'_> {
    pub fn variable(&self, name: &str) -> Option<String> {
        (self.environment)(name).filter(|value| !value.is_empty())
    }

    pub fn has(&self, name: &str) -> bool {
        self.variable(name).is_some()
    }

    pub fn text(&self, setting: &Setting, field: Option<&Field<String>>) -> Option<String> {
        let configured = field.filter(|field| is_set(field)).and_then(Field::known).cloned();
        configured.or_else(|| self.variable(setting.variable))
    }

    pub fn secret(&self, setting: &Setting, field: Option<&Field<Secret>>) -> Option<Secret> {
        let configured = field.filter(|field| is_secret_set(field)).and_then(Field::known).cloned();
        configured.or_else(|| self.variable(setting.variable).map(Secret::new))
    }
}
