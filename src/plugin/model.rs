//! Typed values: structs whose fields are a type's attributes, each written once in [`crate::model!`].

use std::collections::BTreeMap;

use super::{
    diagnostics::Diagnostics,
    schema::{Attribute, Kind, Nesting, Schema},
    value::{CodecError, Number, Refinement, Type, Value},
};
use crate::secret::Secret;

/// The value of one attribute, of which Terraform knows three states.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Field<T> {
    /// Not set.
    #[default]
    Null,
    /// Known only after apply.
    Unknown(Refinement),
    /// Set.
    Known(T),
}

impl<T> Field<T> {
    /// A value that is decided in apply and will not be null.
    pub fn unknown() -> Self {
        Self::Unknown(Refinement::not_null())
    }

    /// The value, if it is known.
    pub fn known(&self) -> Option<&T> {
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

    /// Whether there is no value, for certain.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
}

impl Field<String> {
    /// The text, if it is known.
    pub fn as_str(&self) -> Option<&str> {
        self.known().map(String::as_str)
    }
}

impl<T> From<Option<T>> for Field<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Self::Known)
    }
}

/// A Rust type that an attribute can have.
pub trait AttributeType: Sized {
    /// What the schema says of it.
    fn kind() -> Kind;

    /// Takes a known value over.
    ///
    /// # Errors
    /// The value is of another type.
    fn from_value(value: Value) -> Result<Self, CodecError>;

    /// Gives the value back.
    fn into_value(self) -> Value;
}

impl<T: AttributeType> Field<T> {
    /// Takes any value over.
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

    /// Gives the value back.
    pub fn into_value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Unknown(refinement) => Value::Unknown(refinement),
            Self::Known(value) => value.into_value(),
        }
    }
}

impl AttributeType for String {
    fn kind() -> Kind {
        Kind::Plain(Type::String)
    }

    fn from_value(value: Value) -> Result<Self, CodecError> {
        match value {
            Value::String(text) => Ok(text),
            _ => Err(CodecError::new("a string")),
        }
    }

    fn into_value(self) -> Value {
        Value::String(self)
    }
}

impl AttributeType for Secret {
    fn kind() -> Kind {
        String::kind()
    }

    fn from_value(value: Value) -> Result<Self, CodecError> {
        String::from_value(value).map(Self::new)
    }

    fn into_value(self) -> Value {
        Value::String(self.expose().to_owned())
    }
}

impl AttributeType for bool {
    fn kind() -> Kind {
        Kind::Plain(Type::Bool)
    }

    fn from_value(value: Value) -> Result<Self, CodecError> {
        match value {
            Value::Bool(bool) => Ok(bool),
            _ => Err(CodecError::new("a bool")),
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
            _ => Err(CodecError::new("a number")),
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
        number.as_i64().ok_or_else(|| CodecError::new("a whole number of 64 bits"))
    }

    fn into_value(self) -> Value {
        Value::Number(Number::Int(self))
    }
}

impl<T: AttributeType> AttributeType for Vec<T> {
    fn kind() -> Kind {
        match T::kind() {
            Kind::Plain(element) => Kind::Plain(Type::List(Box::new(element))),
            Kind::Nested(_, attributes) => Kind::Nested(Nesting::List, attributes),
        }
    }

    fn from_value(value: Value) -> Result<Self, CodecError> {
        match value {
            Value::Sequence(elements) => elements.into_iter().map(T::from_value).collect(),
            _ => Err(CodecError::new("a list")),
        }
    }

    fn into_value(self) -> Value {
        Value::Sequence(self.into_iter().map(T::into_value).collect())
    }
}

impl AttributeType for BTreeMap<String, String> {
    fn kind() -> Kind {
        Kind::Plain(Type::Map(Box::new(Type::String)))
    }

    fn from_value(value: Value) -> Result<Self, CodecError> {
        match value {
            Value::Map(elements) => {
                elements.into_iter().map(|(key, value)| Ok((key, String::from_value(value)?))).collect()
            }
            _ => Err(CodecError::new("a map")),
        }
    }

    fn into_value(self) -> Value {
        Value::Map(self.into_iter().map(|(key, text)| (key, Value::String(text))).collect())
    }
}

/// A struct whose fields are the attributes of a schema. Made by [`crate::model!`].
pub trait Model: AttributeType + Clone + Send + Sync + 'static {
    /// Its attributes, in the order of declaration.
    fn attributes() -> Vec<Attribute>;

    /// A schema of these attributes.
    fn schema(description: impl Into<String>) -> Schema {
        Schema::new(description, Self::attributes())
    }
}

/// Takes attributes out of an object one by one, and fails in the end if some are left.
pub struct Attributes(BTreeMap<String, Value>);

impl Attributes {
    /// Begins with a known object.
    ///
    /// # Errors
    /// The value is no object.
    pub fn of(value: Value) -> Result<Self, CodecError> {
        match value {
            Value::Map(attributes) => Ok(Self(attributes)),
            _ => Err(CodecError::new("an object")),
        }
    }

    /// The attribute of that name, null if there is none.
    ///
    /// # Errors
    /// It is of another type.
    pub fn take<T: AttributeType>(&mut self, name: &str) -> Result<Field<T>, CodecError> {
        Field::from_value(self.0.remove(name).unwrap_or(Value::Null)).map_err(|error| error.within(name))
    }

    /// Ends, and makes sure that nothing was overlooked.
    ///
    /// # Errors
    /// An attribute is left.
    pub fn finish(self) -> Result<(), CodecError> {
        match self.0.into_keys().next() {
            Some(name) => Err(CodecError::new("an attribute of the schema").within(name)),
            None => Ok(()),
        }
    }
}

/// Takes a whole configuration or state over.
///
/// # Errors
/// A value is of the right Terraform type and still not what its attribute needs, such as a fraction for a count.
pub fn typed<M: Model>(value: Value) -> Result<M, Diagnostics> {
    M::from_value(value)
        .map_err(|error| Diagnostics::from_error("Invalid value", format!("A value is {error}.")))
}

/// Joins the lines of a doc comment into a Markdown description.
pub fn description(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join("\n")
}

/// Declares a [`Model`]: each attribute once, with its description as the doc comment, its type, and its rules.
///
/// ```
/// use terraform_provider_kms::{model, plugin::{model::Model, schema::{computed, required}}};
///
/// model! {
///     /// A thing.
///     pub struct Thing {
///         /// What it is called.
///         name: String = required(),
///         /// What the server calls it.
///         id: String = computed().stable(),
///     }
/// }
/// assert_eq!(Thing::attributes()[0].description, "What it is called.");
/// ```
#[macro_export]
macro_rules! model {
    ($(#[$outer:meta])* pub struct $model:ident {
        $($(#[doc = $doc:expr])+ $name:ident: $type:ty = $attribute:expr,)*
    }) => {
        $(#[$outer])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $model {
            $($(#[doc = $doc])+ pub $name: $crate::plugin::model::Field<$type>,)*
        }

        impl $crate::plugin::model::Model for $model {
            fn attributes() -> Vec<$crate::plugin::schema::Attribute> {
                vec![$($crate::plugin::schema::Attribute {
                    name: stringify!($name),
                    description: $crate::plugin::model::description(&[$($doc),+]),
                    kind: <$type as $crate::plugin::model::AttributeType>::kind(),
                    ..$attribute
                },)*]
            }
        }

        impl $crate::plugin::model::AttributeType for $model {
            fn kind() -> $crate::plugin::schema::Kind {
                let attributes = <Self as $crate::plugin::model::Model>::attributes();
                $crate::plugin::schema::Kind::Nested($crate::plugin::schema::Nesting::Single, attributes)
            }

            fn from_value(
                value: $crate::plugin::value::Value,
            ) -> Result<Self, $crate::plugin::value::CodecError> {
                let mut attributes = $crate::plugin::model::Attributes::of(value)?;
                let model = Self { $($name: attributes.take(stringify!($name))?,)* };
                attributes.finish()?;
                Ok(model)
            }

            fn into_value(self) -> $crate::plugin::value::Value {
                $crate::plugin::value::Value::Map(::std::collections::BTreeMap::from([
                    $((stringify!($name).to_owned(), self.$name.into_value()),)*
                ]))
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::schema::{computed, optional, required};

    model! {
        /// Inner.
        pub struct Inner {
            /// A key.
            key: String = required(),
        }
    }

    model! {
        /// Outer.
        pub struct Outer {
            /// The name.
            /// In two lines.
            name: String = required(),
            /// A count.
            count: i64 = optional(),
            /// A secret.
            secret: Secret = optional().write_only(),
            /// One object.
            inner: Inner = optional(),
            /// Many objects.
            many: Vec<Inner> = computed(),
            /// Plain strings.
            tags: BTreeMap<String, String> = optional(),
        }
    }

    #[test]
    fn null_unknown_and_known_values_round_trip() {
        let null = Outer::default();
        let known = Outer {
            name: Field::Known("n".into()),
            count: Field::Known(7),
            secret: Field::Known(Secret::new("s")),
            inner: Field::Known(Inner { key: Field::unknown() }),
            many: Field::Known(vec![Inner::default()]),
            tags: Field::Known(BTreeMap::from([("a".into(), "b".into())])),
        };
        let unknown = Outer { name: Field::unknown(), many: Field::unknown(), ..Outer::default() };
        for outer in [null, known, unknown] {
            assert_eq!(Outer::from_value(outer.clone().into_value()), Ok(outer));
        }
    }

    #[test]
    fn the_schema_follows_the_declaration() {
        let schema = Outer::schema("Outer.");
        assert_eq!(schema.faults(), Vec::<String>::new());
        assert_eq!(schema.attributes[0].description, "The name.\nIn two lines.");
        let object = r#"["object",{"count":"number","inner":["object",{"key":"string"}],"many":["list",["object",{"key":"string"}]],"name":"string","secret":"string","tags":["map","string"]}]"#;
        assert_eq!(schema.value_type().to_json().to_string(), object);
    }

    #[test]
    fn an_attribute_that_nobody_takes_is_an_error() {
        let mut value = match Inner::default().into_value() {
            Value::Map(attributes) => attributes,
            _ => BTreeMap::new(),
        };
        value.insert("extra".into(), Value::Null);
        let error = Inner::from_value(Value::Map(value)).unwrap_err();
        assert_eq!(error.to_string(), "not an attribute of the schema at extra");
    }

    #[test]
    fn debug_of_a_model_hides_secrets() {
        let outer = Outer { secret: Field::Known(Secret::new("dbtu_x")), ..Outer::default() };
        assert!(!format!("{outer:?}").contains("dbtu_x"));
    }
}
