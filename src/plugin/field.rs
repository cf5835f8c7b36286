//! Fields of models, and the Rust types that they can have.

use std::collections::BTreeMap;

use super::{
    messages::expected,
    path::Step,
    schema::{Kind, Nesting, object_type},
    value::{CodecError, Name, Number, Refinement, Type, Value},
};

/// The value of one attribute: null, unknown or known.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Field<T> {
    /// Not set.
    #[default]
    Null,
    /// Known only after apply.
    Unknown(Box<Refinement>),
    /// Set.
    Known(T),
}

impl<T> Field<T> {
    /// A value that is known after apply and will not be null.
    pub fn unknown() -> Self {
        Self::Unknown(Box::new(Refinement::not_null()))
    }

    /// A value that is known after apply and may be null.
    pub fn unknown_or_null() -> Self {
        Self::Unknown(Box::default())
    }

    /// The value, if it is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Null | Self::Unknown(_) => None,
        }
    }

    /// A mutable reference to the value, if it is known.
    pub fn known_mut(&mut self) -> Option<&mut T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Null | Self::Unknown(_) => None,
        }
    }

    /// The value, if it is known.
    pub fn into_known(self) -> Option<T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Null | Self::Unknown(_) => None,
        }
    }

    /// Whether the value is known only after apply.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }

    /// Whether the value is null.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
}

impl Field<String> {
    /// The text, if it is known.
    pub fn as_str(&self) -> Option<&str> {
        self.known().map(String::as_str)
    }

    /// The text, or an empty one if it is null or unknown. Use it for required attributes in apply, which are always
    /// known.
    pub fn text(&self) -> &str {
        self.as_str().unwrap_or_default()
    }
}

impl<T> From<T> for Field<T> {
    fn from(value: T) -> Self {
        Self::Known(value)
    }
}

impl<T> From<Option<T>> for Field<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Self::Known)
    }
}

impl<T: AttributeType> Field<T> {
    /// Converts from any value.
    ///
    /// # Errors
    /// The value is of another type.
    pub fn from_value(value: Value) -> Result<Self, CodecError> {
        match value {
            Value::Null => Ok(Self::Null),
            Value::Unknown(refinement) => Ok(Self::Unknown(refinement)),
            value => T::from_value(value).map(Self::Known),
        }
    }

    /// Converts to a value.
    pub fn into_value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Unknown(refinement) => Value::Unknown(refinement),
            Self::Known(value) => value.into_value(),
        }
    }
}

/// A Rust type that an attribute can have.
///
/// A provider may implement it for its own types. A type for secret text sets [`AttributeType::SENSITIVE`].
pub trait AttributeType: Sized {
    /// Whether its attributes are always sensitive.
    const SENSITIVE: bool = false;

    /// Whether a known value of this type can contain unknown and null values.
    const ELEMENTS_MAY_BE_UNKNOWN: bool = true;

    /// Its kind in the schema.
    fn kind() -> Kind;

    /// Converts from a known value.
    ///
    /// # Errors
    /// The value is of another type.
    fn from_value(value: Value) -> Result<Self, CodecError>;

    /// Converts to a value.
    fn into_value(self) -> Value;
}

impl AttributeType for String {
    fn kind() -> Kind {
        Kind::Plain(Type::String)
    }

    fn from_value(value: Value) -> Result<Self, CodecError> {
        match value {
            Value::String(text) => Ok(text),
            _ => Err(CodecError::new(expected::STRING)),
        }
    }

    fn into_value(self) -> Value {
        Value::String(self)
    }
}

impl AttributeType for bool {
    fn kind() -> Kind {
        Kind::Plain(Type::Bool)
    }

    fn from_value(value: Value) -> Result<Self, CodecError> {
        match value {
            Value::Bool(bool) => Ok(bool),
            _ => Err(CodecError::new(expected::BOOL)),
        }
    }

    fn into_value(self) -> Value {
        Value::Bool(self)
    }
}

impl AttributeType for Number {
    fn kind() -> Kind {
        Kind::Plain(Type::Number)
    }

    fn from_value(value: Value) -> Result<Self, CodecError> {
        match value {
            Value::Number(number) => Ok(number),
            _ => Err(CodecError::new(expected::NUMBER)),
        }
    }

    fn into_value(self) -> Value {
        Value::Number(self)
    }
}

impl AttributeType for i64 {
    fn kind() -> Kind {
        Number::kind()
    }

    fn from_value(value: Value) -> Result<Self, CodecError> {
        let number = Number::from_value(value)?;
        number.as_i64().ok_or_else(|| CodecError::new(expected::INTEGER))
    }

    fn into_value(self) -> Value {
        Value::Number(Number::Int(self))
    }
}

/// A value of a dynamic type.
impl AttributeType for Value {
    fn kind() -> Kind {
        Kind::Plain(Type::Dynamic)
    }

    fn from_value(value: Value) -> Result<Self, CodecError> {
        Ok(value)
    }

    fn into_value(self) -> Value {
        self
    }
}

/// An element of a collection: a value, or a [`Field`] of one if elements may be unknown or null.
pub trait Element: Sized {
    /// The type of the values.
    type Value: AttributeType;

    /// Whether an element may be unknown or null.
    const MAY_BE_UNKNOWN: bool;

    /// Converts from an element.
    ///
    /// # Errors
    /// It is of another type, or is unknown or null and the type can't represent that.
    fn from_element(value: Value) -> Result<Self, CodecError>;

    /// Converts to an element.
    fn into_element(self) -> Value;
}

impl<T: AttributeType> Element for T {
    type Value = T;

    const MAY_BE_UNKNOWN: bool = false;

    fn from_element(value: Value) -> Result<Self, CodecError> {
        match value {
            Value::Null | Value::Unknown(_) => Err(CodecError::new(expected::KNOWN)),
            value => T::from_value(value),
        }
    }

    fn into_element(self) -> Value {
        self.into_value()
    }
}

impl<T: AttributeType> Element for Field<T> {
    type Value = T;

    const MAY_BE_UNKNOWN: bool = T::ELEMENTS_MAY_BE_UNKNOWN;

    fn from_element(value: Value) -> Result<Self, CodecError> {
        Self::from_value(value)
    }

    fn into_element(self) -> Value {
        self.into_value()
    }
}

/// The kind of a collection: plain, or nested if its elements are objects.
fn collection<E: Element>(plain: fn(Box<Type>) -> Type, nesting: Nesting) -> Kind {
    match E::Value::kind() {
        Kind::Plain(element) => Kind::Plain(plain(Box::new(element))),
        Kind::Nested(Nesting::Single, attributes) => Kind::Nested(nesting, attributes),
        // Terraform doesn't support nested attributes in collections of collections. The schema check rejects such a
        // type.
        Kind::Nested(_, attributes) => {
            let object = object_type(&attributes);
            Kind::Plain(plain(Box::new(Type::List(Box::new(object)))))
        }
    }
}

impl<E: Element> AttributeType for Vec<E> {
    const SENSITIVE: bool = E::Value::SENSITIVE;
    const ELEMENTS_MAY_BE_UNKNOWN: bool = E::MAY_BE_UNKNOWN;

    fn kind() -> Kind {
        collection::<E>(Type::List, Nesting::List)
    }

    fn from_value(value: Value) -> Result<Self, CodecError> {
        let Value::Sequence(elements) = value else { return Err(CodecError::new(expected::LIST)) };
        let decode = |(index, element)| {
            E::from_element(element).map_err(|error| error.within(Step::Index(index as i64)))
        };
        elements.into_iter().enumerate().map(decode).collect()
    }

    fn into_value(self) -> Value {
        Value::Sequence(self.into_iter().map(E::into_element).collect())
    }
}

/// A set: distinct elements, without order.
#[derive(Clone, Debug, Default)]
pub struct Set<E>(pub Vec<E>);

impl<E: PartialEq> PartialEq for Set<E> {
    fn eq(&self, other: &Self) -> bool {
        let all_in = |these: &[E], those: &[E]| these.iter().all(|element| those.contains(element));
        self.0.len() == other.0.len() && all_in(&self.0, &other.0) && all_in(&other.0, &self.0)
    }
}

impl<E> FromIterator<E> for Set<E> {
    fn from_iter<I: IntoIterator<Item = E>>(elements: I) -> Self {
        Self(elements.into_iter().collect())
    }
}

impl<E: Element> AttributeType for Set<E> {
    const SENSITIVE: bool = E::Value::SENSITIVE;
    const ELEMENTS_MAY_BE_UNKNOWN: bool = E::MAY_BE_UNKNOWN;

    fn kind() -> Kind {
        collection::<E>(Type::Set, Nesting::Set)
    }

    fn from_value(value: Value) -> Result<Self, CodecError> {
        let Value::Sequence(elements) = value else { return Err(CodecError::new(expected::SET)) };
        elements.into_iter().map(|element| E::from_element(element).map_err(CodecError::within_set)).collect()
    }

    fn into_value(self) -> Value {
        Value::Sequence(self.0.into_iter().map(E::into_element).collect())
    }
}

impl<E: Element> AttributeType for BTreeMap<String, E> {
    const SENSITIVE: bool = E::Value::SENSITIVE;
    const ELEMENTS_MAY_BE_UNKNOWN: bool = E::MAY_BE_UNKNOWN;

    fn kind() -> Kind {
        collection::<E>(Type::Map, Nesting::Map)
    }

    fn from_value(value: Value) -> Result<Self, CodecError> {
        let Value::Map(elements) = value else { return Err(CodecError::new(expected::MAP)) };
        let decode = |(key, element): (Name, Value)| match E::from_element(element) {
            Ok(element) => Ok((key.into_owned(), element)),
            Err(error) => Err(error.within(Step::Key(key.into_owned()))),
        };
        elements.into_iter().map(decode).collect()
    }

    fn into_value(self) -> Value {
        Value::Map(self.into_iter().map(|(key, element)| (key.into(), element.into_element())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Value {
        Value::Sequence(texts.iter().copied().map(Value::from).collect())
    }

    #[test]
    fn elements_may_be_unknown_or_null_where_the_type_has_room_for_it() {
        let mixed = Value::Sequence(vec!["a".into(), Value::unknown(), Value::Null]);
        let fields = vec![Field::Known("a".to_owned()), Field::unknown_or_null(), Field::Null];
        assert_eq!(Vec::<Field<String>>::from_value(mixed.clone()), Ok(fields.clone()));
        assert_eq!(fields.into_value(), mixed);
        let error = Vec::<String>::from_value(mixed.clone()).unwrap_err();
        assert_eq!(error.to_string(), "expected a known value at [1]");
        let error = Set::<String>::from_value(mixed.clone()).unwrap_err();
        assert_eq!(error.to_string(), "expected a set where each element is a known value");
        let map = Value::Map(BTreeMap::from([("k".into(), Value::Null)]));
        assert!(BTreeMap::<String, Field<bool>>::from_value(map.clone()).is_ok());
        let error = BTreeMap::<String, bool>::from_value(map).unwrap_err();
        assert_eq!(error.to_string(), "expected a known value at [\"k\"]");
    }

    #[test]
    fn whether_there_is_room_is_known_at_every_depth() {
        const {
            assert!(String::ELEMENTS_MAY_BE_UNKNOWN);
            assert!(!<Vec<String>>::ELEMENTS_MAY_BE_UNKNOWN);
            assert!(<Vec<Field<String>>>::ELEMENTS_MAY_BE_UNKNOWN);
            assert!(!<Vec<Field<Vec<String>>>>::ELEMENTS_MAY_BE_UNKNOWN);
            assert!(<BTreeMap<String, Field<Set<Field<i64>>>>>::ELEMENTS_MAY_BE_UNKNOWN);
        }
    }

    #[test]
    fn sets_are_equal_in_any_order() {
        let set = |elements: &[&str]| Set::<String>::from_value(texts(elements)).unwrap();
        assert_eq!(set(&["a", "b"]), set(&["b", "a"]));
        assert_ne!(set(&["a", "b"]), set(&["a", "c"]));
        assert_ne!(set(&["a"]), set(&["a", "b"]));
    }

    #[test]
    fn numbers_of_other_kinds_than_wanted_are_refused() {
        assert_eq!(i64::from_value(Value::from(7)), Ok(7));
        let fraction = Value::Number(Number::Decimal("0.1".into()));
        let error = i64::from_value(fraction.clone()).unwrap_err();
        assert_eq!(error.to_string(), "expected a whole number that fits in 64 bits");
        assert_eq!(Number::from_value(fraction.clone()).map(AttributeType::into_value), Ok(fraction));
    }
}
