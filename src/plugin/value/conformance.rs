//! Comparisons that depend on a type: whether a value conforms to it, and whether two values of it are equal.

use super::{Type, Value};

impl Value {
    /// Whether this is a value of the given type. Null and unknown values are of every type.
    pub fn conforms_to(&self, value_type: &Type) -> bool {
        match (self, value_type) {
            (Self::Null | Self::Unknown(_), _)
            | (Self::String(_), Type::String)
            | (Self::Number(_), Type::Number)
            | (Self::Bool(_), Type::Bool) => true,
            (Self::Dynamic(inner, value), Type::Dynamic) => value.conforms_to(inner),
            (Self::Sequence(elements), Type::List(element) | Type::Set(element)) => {
                elements.iter().all(|value| value.conforms_to(element))
            }
            (Self::Sequence(elements), Type::Tuple(types)) => {
                elements.len() == types.len()
                    && elements.iter().zip(types).all(|(value, element)| value.conforms_to(element))
            }
            (Self::Map(elements), Type::Map(element)) => {
                elements.values().all(|value| value.conforms_to(element))
            }
            (Self::Map(attributes), Type::Object(types)) => {
                attributes.len() == types.len()
                    && types.iter().all(|(name, value_type)| {
                        attributes.get(name).is_some_and(|value| value.conforms_to(value_type))
                    })
            }
            _ => false,
        }
    }

    /// Whether two values of one type are equal. The order of a set's elements doesn't matter.
    pub fn same_as(&self, other: &Self, value_type: &Type) -> bool {
        match (self, other, value_type) {
            (Self::Sequence(a), Self::Sequence(b), Type::List(element)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same_as(b, element))
            }
            (Self::Sequence(a), Self::Sequence(b), Type::Set(element)) => {
                let mut left: Vec<&Self> = b.iter().collect();
                let found =
                    |a: &Self, left: &mut Vec<&Self>| match left.iter().position(|b| a.same_as(b, element)) {
                        Some(position) => {
                            left.swap_remove(position);
                            true
                        }
                        None => false,
                    };
                a.len() == b.len() && a.iter().all(|a| found(a, &mut left))
            }
            (Self::Sequence(a), Self::Sequence(b), Type::Tuple(types)) => {
                a.len() == b.len()
                    && a.iter().zip(b).zip(types).all(|((a, b), element)| a.same_as(b, element))
            }
            (Self::Map(a), Self::Map(b), Type::Map(element)) => {
                a.len() == b.len()
                    && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| a.same_as(b, element)))
            }
            (Self::Map(a), Self::Map(b), Type::Object(types)) => {
                types.iter().all(|(name, value_type)| match (a.get(name), b.get(name)) {
                    (Some(a), Some(b)) => a.same_as(b, value_type),
                    (a, b) => a.is_none_or(Self::is_null) && b.is_none_or(Self::is_null),
                })
            }
            (Self::Dynamic(a_type, a), Self::Dynamic(b_type, b), _) => {
                a_type == b_type && a.same_as(b, a_type)
            }
            (a, b, _) => a == b,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn sequence(texts: &[&str]) -> Value {
        Value::Sequence(texts.iter().copied().map(Value::from).collect())
    }

    #[test]
    fn only_sets_forget_the_order() {
        let list = Type::List(Box::new(Type::String));
        let set = Type::Set(Box::new(Type::String));
        let (ab, ba) = (sequence(&["a", "b"]), sequence(&["b", "a"]));
        assert!(ab.same_as(&ba, &set) && !ab.same_as(&ba, &list));
        assert!(!sequence(&["a", "a", "b"]).same_as(&sequence(&["a", "b", "b"]), &set));
        let object = Type::Object(BTreeMap::from([("of".into(), set)]));
        let wrap = |value| Value::Map(BTreeMap::from([("of".into(), value)]));
        assert!(wrap(ab).same_as(&wrap(ba), &object));
    }

    #[test]
    fn an_attribute_that_is_missing_is_the_same_as_null() {
        let object = Type::Object(BTreeMap::from([("a".into(), Type::String)]));
        let null = Value::Map(BTreeMap::from([("a".into(), Value::Null)]));
        assert!(null.same_as(&Value::Map(BTreeMap::new()), &object));
        assert!(!null.same_as(&Value::Null, &object));
    }

    #[test]
    fn values_conform_to_their_type_at_every_depth() {
        let object = Type::Object(BTreeMap::from([("a".into(), Type::List(Box::new(Type::Number)))]));
        let with = |value| Value::Map(BTreeMap::from([("a".into(), value)]));
        assert!(with(Value::Sequence(vec![Value::from(1), Value::unknown()])).conforms_to(&object));
        assert!(!with(sequence(&["1"])).conforms_to(&object));
        assert!(
            !Value::Map(BTreeMap::new()).conforms_to(&object),
            "an object has each attribute of its type"
        );
        assert!(!Value::from("1").conforms_to(&Type::Number));
    }
}
