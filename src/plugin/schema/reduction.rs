//! Removes attributes from values: write-only ones, and those that don't belong in a configuration.

use super::{super::value::Value, Attribute, Kind, Nesting, Schema, Usage};

impl Schema {
    /// Sets every write-only attribute to null. Every value that leaves the provider goes through this.
    pub fn without_write_only(&self, mut value: Value) -> Value {
        nullify(&self.attributes, &mut value, &|attribute, _| attribute.write_only);
        value
    }

    /// The configuration that describes a state. Attributes are null if only the provider sets them, if they can't be
    /// read back, if they are deprecated, or if they have their default value.
    pub fn config_of(&self, mut state: Value) -> Value {
        nullify(&self.attributes, &mut state, &|attribute, value| {
            let is_default = |default: &Value| default.same_as(value, &attribute.value_type());
            attribute.write_only
                || attribute.usage == Usage::Computed
                || attribute.deprecated.is_some()
                || attribute.default.as_ref().is_some_and(is_default)
        });
        state
    }
}

/// Sets the selected attributes of an object to null, at any depth.
fn nullify(attributes: &[Attribute], object: &mut Value, selects: &impl Fn(&Attribute, &Value) -> bool) {
    let Value::Map(elements) = object else { return };
    for attribute in attributes {
        let Some(value) = elements.get_mut(attribute.name) else { continue };
        if selects(attribute, value) {
            *value = Value::Null;
        } else if let Kind::Nested(nesting, nested) = &attribute.kind {
            match (nesting, &mut *value) {
                (Nesting::Single, object) => nullify(nested, object, selects),
                (Nesting::List | Nesting::Set, Value::Sequence(objects)) => {
                    objects.iter_mut().for_each(|object| nullify(nested, object, selects));
                }
                (Nesting::Map, Value::Map(objects)) => {
                    objects.values_mut().for_each(|object| nullify(nested, object, selects));
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{computed, optional, required, testing::*},
        *,
    };

    fn schema() -> Schema {
        let inner = || {
            vec![
                string("key", required()),
                string("token", optional().write_only()),
                string("id", computed()),
                string("mode", optional().default("fast")),
            ]
        };
        let nested = |name, nesting| attribute(name, optional(), Kind::Nested(nesting, inner()));
        Schema::new(
            "Test.",
            vec![
                string("token", required().write_only()),
                string("old", optional().deprecated("Use key.")),
                nested("single", Nesting::Single),
                nested("list", Nesting::List),
                nested("map", Nesting::Map),
            ],
        )
    }

    fn with(inner: Value) -> Value {
        object([
            ("token", "t".into()),
            ("old", "o".into()),
            ("single", inner.clone()),
            ("list", Value::Sequence(vec![Value::Null, inner.clone()])),
            ("map", object([("a", inner)])),
        ])
    }

    fn inner(token: Value, id: Value, mode: Value) -> Value {
        object([("key", "k".into()), ("token", token), ("id", id), ("mode", mode)])
    }

    #[test]
    fn write_only_values_are_null_at_every_depth() {
        let value = schema().without_write_only(with(inner("t".into(), "1".into(), "slow".into())));
        let mut expected = with(inner(Value::Null, "1".into(), "slow".into()));
        set(&mut expected, "token", Value::Null);
        assert_eq!(value, expected);
    }

    #[test]
    fn a_generated_configuration_has_only_what_a_user_would_write() {
        let value = schema().config_of(with(inner("t".into(), "1".into(), "slow".into())));
        let mut expected = with(inner(Value::Null, Value::Null, "slow".into()));
        set(&mut expected, "token", Value::Null);
        set(&mut expected, "old", Value::Null);
        assert_eq!(value, expected);
        let value = schema().config_of(with(inner(Value::Null, "1".into(), "fast".into())));
        assert_eq!(value.attribute("single").and_then(|v| v.attribute("mode")), Some(&Value::Null));
    }
}
