//! The types that a provider offers, each with its schema.

use std::sync::OnceLock;

use super::{
    diagnostics::Diagnostics,
    model::{Model, typed},
    schema::Schema,
    value::Value,
};

/// A type with its schema, which is built once, at its first use.
pub(super) struct Entry<T> {
    item: T,
    build: fn(&T) -> Schema,
    schema: OnceLock<Schema>,
}

impl<T> Entry<T> {
    pub(super) fn new(item: T, build: fn(&T) -> Schema) -> Self {
        Self { item, build, schema: OnceLock::new() }
    }

    /// The type itself.
    pub(super) fn item(&self) -> &T {
        &self.item
    }

    pub(super) fn schema(&self) -> &Schema {
        self.schema.get_or_init(|| (self.build)(&self.item))
    }

    /// Validates a configuration against the schema, and then with the type's own check.
    pub(super) fn validate<M: Model>(
        &self,
        config: Value,
        write_only_allowed: bool,
        own: impl FnOnce(&T, &M, &mut Diagnostics),
    ) -> Diagnostics {
        let mut diagnostics = self.schema().validate(&config, write_only_allowed);
        match typed(config) {
            Ok(config) => own(&self.item, &config, &mut diagnostics),
            Err(error) => diagnostics.extend(error),
        }
        diagnostics
    }
}

/// A type with a schema.
pub(super) trait Described {
    fn schema(&self) -> &Schema;
}

impl<T> Described for Entry<T> {
    fn schema(&self) -> &Schema {
        self.schema()
    }
}
