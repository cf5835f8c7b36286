//! Terraform's values and types, and their two encodings: msgpack on the wire, JSON in stored state.
//!
//! A value is always decoded against the [`Type`] that a schema implies: the encodings alone don't distinguish a list from
//! a set or a map from an object. Terraform's `docs/plugin-protocol/object-wire-format.md` and go-cty's `cty/msgpack` and
//! `cty/json` packages define the formats.

use std::{borrow::Cow, collections::BTreeMap, fmt};

mod conformance;
mod error;
mod json;
mod msgpack;
mod types;

pub use error::CodecError;
pub use types::Type;

/// The name of an attribute, or the key of a map's element. The names in schemas are static, so values of objects don't
/// allocate theirs.
pub type Name = Cow<'static, str>;

/// One value: null, not known yet, or known.
///
/// `Debug` shows the shape only, because any string may be a secret.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// No value. Of any type.
    Null,
    /// A value that is known only after apply, and what is already known about it.
    Unknown(Box<Refinement>),
    /// Text in NFC, as Terraform's core sends it.
    String(String),
    /// A number of any size.
    Number(Number),
    /// True or false.
    Bool(bool),
    /// A list, set or tuple.
    Sequence(Vec<Value>),
    /// A map or object. An object has every attribute of its type, null where it is not set.
    Map(BTreeMap<Name, Value>),
    /// A value of a dynamic type together with its actual type.
    Dynamic(Type, Box<Value>),
}

/// What is known about an unknown value; nothing by default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Refinement {
    /// `Some(false)`: the value will not be null. `Some(true)`: it will be.
    pub null: Option<bool>,
    /// The prefix of the string.
    pub prefix: Option<String>,
    /// The lower bound of a number, and whether it is inclusive.
    pub lower: Option<(Number, bool)>,
    /// The upper bound of a number, and whether it is inclusive.
    pub upper: Option<(Number, bool)>,
    /// The minimum number of elements.
    pub min_length: Option<i64>,
    /// The maximum number of elements.
    pub max_length: Option<i64>,
}

impl Refinement {
    /// The value will not be null, and nothing else is known.
    pub fn not_null() -> Self {
        Self { null: Some(false), ..Self::default() }
    }
}

/// A Terraform number, of any size and precision.
#[derive(Clone, Debug, PartialEq)]
pub enum Number {
    /// An integer of 64 bits.
    Int(i64),
    /// A fraction that 64-bit floating point holds exactly, or an infinity.
    Float(f64),
    /// Any other number, in decimal digits as received. It isn't parsed, so no digits are lost.
    Decimal(String),
}

impl Number {
    /// Parses decimal digits, as in JSON and in core's msgpack.
    ///
    /// # Errors
    /// The text is not a number.
    pub fn parse(text: &str) -> Result<Self, CodecError> {
        if let Ok(int) = text.parse() {
            return Ok(Self::Int(int));
        }
        let looks_numeric = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
            && text.contains(|c: char| c.is_ascii_digit());
        match text.parse::<f64>() {
            Ok(_) if looks_numeric => Ok(Self::Decimal(text.to_owned())),
            _ => Err(CodecError::new(super::messages::expected::NUMBER)),
        }
    }

    /// The number as an integer, if it is one and fits.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int(int) => Some(*int),
            Self::Float(_) => None,
            Self::Decimal(text) => {
                // `2.0` and `1e3` are whole as well; beyond 2^53 a float could round, so they don't count.
                let float: f64 = text.parse().ok()?;
                (float.fract() == 0.0 && float.abs() <= 9_007_199_254_740_992.0).then_some(float as i64)
            }
        }
    }
}

impl Value {
    /// A string value.
    pub fn string(text: impl Into<String>) -> Self {
        Self::String(text.into())
    }

    /// An unknown value without refinements.
    pub fn unknown() -> Self {
        Self::Unknown(Box::default())
    }

    /// An unknown value that will not be null.
    pub fn unknown_not_null() -> Self {
        Self::Unknown(Box::new(Refinement::not_null()))
    }

    /// Whether this is null, with or without a dynamic type.
    pub fn is_null(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Dynamic(_, value) => value.is_null(),
            _ => false,
        }
    }

    /// Whether the value itself is unknown. For its elements, see [`Value::is_wholly_known`].
    pub fn is_unknown(&self) -> bool {
        match self {
            Self::Unknown(_) => true,
            Self::Dynamic(_, value) => value.is_unknown(),
            _ => false,
        }
    }

    /// Whether neither this value nor anything inside it is unknown.
    pub fn is_wholly_known(&self) -> bool {
        match self {
            Self::Unknown(_) => false,
            Self::Sequence(elements) => elements.iter().all(Self::is_wholly_known),
            Self::Map(elements) => elements.values().all(Self::is_wholly_known),
            Self::Dynamic(_, value) => value.is_wholly_known(),
            Self::Null | Self::String(_) | Self::Number(_) | Self::Bool(_) => true,
        }
    }

    /// This value with everything unknown replaced by null.
    pub fn without_unknown(self) -> Self {
        match self {
            Self::Unknown(_) => Self::Null,
            Self::Sequence(elements) => {
                Self::Sequence(elements.into_iter().map(Self::without_unknown).collect())
            }
            Self::Map(elements) => Self::Map(
                elements.into_iter().map(|(name, element)| (name, element.without_unknown())).collect(),
            ),
            Self::Dynamic(value_type, value) => Self::Dynamic(value_type, Box::new(value.without_unknown())),
            known => known,
        }
    }

    /// The attribute of an object, if this is a known object that has it.
    pub fn attribute(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Map(elements) => elements.get(name),
            _ => None,
        }
    }

    /// The attribute of an object, or null if this isn't a known object with that attribute.
    pub fn attribute_or_null(&self, name: &str) -> &Value {
        self.attribute(name).unwrap_or(&Self::Null)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::string(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<bool> for Value {
    fn from(bool: bool) -> Self {
        Self::Bool(bool)
    }
}

impl From<i64> for Value {
    fn from(int: i64) -> Self {
        Self::Number(Number::Int(int))
    }
}

impl From<Number> for Value {
    fn from(number: Number) -> Self {
        Self::Number(number)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Unknown(_) => f.write_str("unknown"),
            Self::String(_) => f.write_str("string"),
            Self::Number(_) => f.write_str("number"),
            Self::Bool(_) => f.write_str("bool"),
            Self::Sequence(elements) => f.debug_list().entries(elements).finish(),
            Self::Map(elements) => f.debug_map().entries(elements).finish(),
            Self::Dynamic(_, value) => f.debug_tuple("dynamic").field(value).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_shape_not_content() {
        let value = Value::Map(BTreeMap::from([
            ("api_token".into(), Value::string("dbtu_secret")),
            ("tags".into(), Value::Sequence(vec![Value::Number(Number::Int(7))])),
        ]));
        assert_eq!(format!("{value:?}"), r#"{"api_token": string, "tags": [number]}"#);
    }

    #[test]
    fn a_null_that_carries_its_type_along_is_null() {
        assert!(Value::Dynamic(Type::String, Box::new(Value::Null)).is_null());
        assert!(Value::Dynamic(Type::String, Box::new(Value::unknown())).is_unknown());
        assert!(!Value::Dynamic(Type::String, Box::new(Value::string("x"))).is_null());
    }

    #[test]
    fn what_is_unknown_becomes_null_at_every_depth() {
        let value = Value::Map(BTreeMap::from([
            ("a".into(), Value::unknown()),
            ("b".into(), Value::Sequence(vec![Value::unknown(), Value::Bool(true)])),
        ]));
        let expected = Value::Map(BTreeMap::from([
            ("a".into(), Value::Null),
            ("b".into(), Value::Sequence(vec![Value::Null, Value::Bool(true)])),
        ]));
        assert_eq!(value.without_unknown(), expected);
    }

    #[test]
    fn numbers_keep_what_64_bits_cannot_hold() {
        assert_eq!(Number::parse("42"), Ok(Number::Int(42)));
        assert_eq!(Number::parse("9223372036854775808"), Ok(Number::Decimal("9223372036854775808".into())));
        assert_eq!(Number::parse("0.1"), Ok(Number::Decimal("0.1".into())));
        assert_eq!(Number::parse("1e3").map(|n| n.as_i64()), Ok(Some(1000)));
        assert_eq!(Number::parse("2.5").map(|n| n.as_i64()), Ok(None));
        for bad in ["", "nan", "inf", "1x", "--1", "."] {
            assert!(Number::parse(bad).is_err(), "{bad}");
        }
    }
}
