//! Typed values: structs whose fields are the attributes of a type, declared once with `model!`.

use std::{collections::BTreeMap, mem};

pub use super::field::{AttributeType, Element, Field, Set};
use super::{
    diagnostics::Diagnostics,
    messages::{self, expected},
    path::Step,
    schema::{Attribute, Kind, Nesting, Schema},
    value::{CodecError, Name, Value},
};

/// A struct whose fields are the attributes of a schema. `model!` implements it.
pub trait Model: AttributeType + Clone + Send + Sync + 'static {
    /// Its attributes, in the order of declaration.
    fn attributes() -> Vec<Attribute>;

    /// A schema of these attributes.
    fn schema(description: impl Into<String>) -> Schema {
        Schema::new(description, Self::attributes())
    }
}

/// No attributes: the identity of a resource type without identity.
impl Model for () {
    fn attributes() -> Vec<Attribute> {
        Vec::new()
    }
}

impl AttributeType for () {
    fn kind() -> Kind {
        Kind::Nested(Nesting::Single, Vec::new())
    }

    fn from_value(value: Value) -> Result<Self, CodecError> {
        Attributes::of(value)?.finish(&[])
    }

    fn into_value(self) -> Value {
        Value::Map(BTreeMap::new())
    }
}

/// Takes attributes out of an object one by one, and fails at the end if any are left.
pub struct Attributes {
    values: BTreeMap<Name, Value>,
    /// How many of them were taken. Each is taken once.
    taken: usize,
}

impl Attributes {
    /// Starts with a known object.
    ///
    /// # Errors
    /// The value isn't an object.
    pub fn of(value: Value) -> Result<Self, CodecError> {
        match value {
            Value::Map(values) => Ok(Self { values, taken: 0 }),
            _ => Err(CodecError::new(expected::OBJECT)),
        }
    }

    /// Takes the attribute with this name, or null if there is none.
    ///
    /// # Errors
    /// It is of another type.
    pub fn take<T: AttributeType>(&mut self, name: &str) -> Result<Field<T>, CodecError> {
        let Some(value) = self.values.get_mut(name) else { return Ok(Field::Null) };
        self.taken += 1;
        Field::from_value(mem::replace(value, Value::Null))
            .map_err(|error| error.within(Step::Attribute(name.to_owned())))
    }

    /// Checks that no attribute is left. `names` are those of the attributes that were taken.
    ///
    /// # Errors
    /// An attribute is left.
    pub fn finish(self, names: &[&str]) -> Result<(), CodecError> {
        if self.taken == self.values.len() {
            return Ok(());
        }
        match self.values.into_keys().find(|name| !names.contains(&name.as_ref())) {
            Some(name) => {
                Err(CodecError::new(expected::ATTRIBUTE).within(Step::Attribute(name.into_owned())))
            }
            None => Ok(()),
        }
    }
}

/// Converts a whole configuration or state.
///
/// # Errors
/// A value has the right Terraform type, but its attribute allows only some values of it, such as integers. The
/// diagnostic names the path of the value.
pub fn typed<M: Model>(value: Value) -> Result<M, Diagnostics> {
    M::from_value(value).map_err(|error| messages::invalid_value(error.path(), error.expected()).into())
}

/// Joins the lines of a doc comment into a Markdown description.
pub fn description(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join("\n")
}

/// The name of a field's attribute. A Rust keyword as a field name is written as `r#type`.
pub fn attribute_name(field: &'static str) -> &'static str {
    field.strip_prefix("r#").unwrap_or(field)
}

/// Declares a [`Model`]: each attribute once, with its description as the doc comment, its type, and its rules.
///
/// ```text
/// model! {
///     /// A thing.
///     pub struct Thing {
///         /// What it is called.
///         name: String = required(),
///         /// Which kind of thing it is.
///         r#type: String = optional().default("plain"),
///         /// What it is made of.
///         parts: Vec<Field<Part>> = optional(),
///         /// ID of the thing.
///         id: String = computed().stable().not_null(),
///     }
/// }
/// ```
///
/// The struct has a [`Field`] for each attribute, and derives `Clone`, `Debug`, `Default` and `PartialEq`.
#[macro_export]
macro_rules! model {
    ($(#[$outer:meta])* pub struct $model:ident {
        $($(#[doc = $doc:expr])+ $name:ident: $type:ty = $attribute:expr,)*
    }) => {
        $(#[$outer])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $model {
            $($(#[doc = $doc])+ pub $name: $crate::model_macro::Field<$type>,)*
        }

        impl $crate::model_macro::Model for $model {
            fn attributes() -> Vec<$crate::model_macro::Attribute> {
                vec![$({
                    let declared = $attribute;
                    $crate::model_macro::Attribute {
                        name: $crate::model_macro::attribute_name(stringify!($name)),
                        description: $crate::model_macro::description(&[$($doc),+]),
                        kind: <$type as $crate::model_macro::AttributeType>::kind(),
                        sensitive: declared.sensitive
                            || <$type as $crate::model_macro::AttributeType>::SENSITIVE,
                        elements_may_be_unknown:
                            <$type as $crate::model_macro::AttributeType>::ELEMENTS_MAY_BE_UNKNOWN,
                        ..declared
                    }
                },)*]
            }
        }

        impl $crate::model_macro::AttributeType for $model {
            fn kind() -> $crate::model_macro::Kind {
                let attributes = <Self as $crate::model_macro::Model>::attributes();
                $crate::model_macro::Kind::Nested($crate::model_macro::Nesting::Single, attributes)
            }

            fn from_value(
                value: $crate::model_macro::Value,
            ) -> Result<Self, $crate::model_macro::CodecError> {
                let mut attributes = $crate::model_macro::Attributes::of(value)?;
                let model = Self {
                    $($name: attributes.take($crate::model_macro::attribute_name(stringify!($name)))?,)*
                };
                attributes.finish(&[$($crate::model_macro::attribute_name(stringify!($name))),*])?;
                Ok(model)
            }

            fn into_value(self) -> $crate::model_macro::Value {
                $crate::model_macro::Value::Map(::std::collections::BTreeMap::from([
                    $((
                        $crate::model_macro::attribute_name(stringify!($name)).into(),
                        self.$name.into_value(),
                    ),)*
                ]))
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::{
        super::schema::{Role, computed, optional, required},
        *,
    };

    /// Text that must not appear in any output.
    #[derive(Clone, PartialEq)]
    pub struct SecretText(String);

    impl std::fmt::Debug for SecretText {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("(hidden)")
        }
    }

    impl AttributeType for SecretText {
        const SENSITIVE: bool = true;

        fn kind() -> Kind {
            String::kind()
        }

        fn from_value(value: Value) -> Result<Self, CodecError> {
            String::from_value(value).map(Self)
        }

        fn into_value(self) -> Value {
            Value::String(self.0)
        }
    }

    model! {
        /// Inner.
        pub struct Inner {
            /// A key.
            key: String = optional(),
            /// A size.
            size: i64 = optional(),
        }
    }

    model! {
        /// Found.
        pub struct Found {
            /// A key.
            key: String = computed(),
        }
    }

    model! {
        /// Outer.
        pub struct Outer {
            /// The name.
            /// In two lines.
            name: String = required(),
            /// A keyword of Rust.
            r#type: String = optional(),
            /// A count.
            count: i64 = optional(),
            /// A secret.
            token: SecretText = optional().write_only(),
            /// More of them.
            tokens: Vec<Field<SecretText>> = optional(),
            /// One object.
            single: Inner = optional(),
            /// Many objects.
            many: Vec<Field<Inner>> = optional(),
            /// Many objects, in no order.
            any: Set<Field<Inner>> = optional(),
            /// Objects by name.
            named: BTreeMap<String, Field<Inner>> = optional(),
            /// What was found.
            found: Vec<Found> = computed(),
            /// Plain texts by name.
            tags: BTreeMap<String, Field<String>> = optional(),
        }
    }

    #[test]
    fn null_unknown_and_known_values_round_trip() {
        let inner = || Field::Known(Inner { key: Field::unknown(), size: Field::Null });
        let null = Outer::default();
        let known = Outer {
            name: Field::Known("n".into()),
            r#type: Field::Known("t".into()),
            count: Field::Known(7),
            token: Field::Known(SecretText("s".into())),
            tokens: Field::Known(vec![Field::unknown()]),
            single: inner(),
            many: Field::Known(vec![inner(), Field::unknown(), Field::Null]),
            any: Field::Known(Set(vec![inner(), Field::Known(Inner::default())])),
            named: Field::Known(BTreeMap::from([("a".into(), inner()), ("b".into(), Field::Null)])),
            found: Field::Known(vec![Found::default()]),
            tags: Field::Known(BTreeMap::from([("a".into(), Field::unknown())])),
        };
        let unknown = Outer { name: Field::unknown(), many: Field::unknown(), ..Outer::default() };
        for outer in [null, known, unknown] {
            assert_eq!(Outer::from_value(outer.clone().into_value()), Ok(outer));
        }
    }

    #[test]
    fn the_schema_follows_the_declaration() {
        // A count is a meta-argument of resources, but not of an action.
        let schema = Outer::schema("Outer.");
        let faults = schema.faults(Role::Resource);
        assert_eq!(faults, ["count: the name is reserved by Terraform"]);
        assert_eq!(schema.attributes[0].description, "The name.\nIn two lines.");
        let inner = r#"["object",{"key":"string","size":"number"}]"#;
        let expected = format!(
            r#"["object",{{"any":["set",{inner}],"count":"number","found":["list",["object",{{"key":"string"}}]],"many":["list",{inner}],"name":"string","named":["map",{inner}],"single":{inner},"tags":["map","string"],"token":"string","tokens":["list","string"],"type":"string"}}]"#
        );
        assert_eq!(schema.value_type().to_json().to_string(), expected);
    }

    #[test]
    fn an_attribute_is_sensitive_by_its_type() {
        let sensitive: Vec<_> =
            Outer::attributes().into_iter().filter(|a| a.sensitive).map(|a| a.name).collect();
        assert_eq!(sensitive, ["token", "tokens"]);
    }

    #[test]
    fn an_error_is_on_the_very_value() {
        let fraction = || Value::Number(super::super::value::Number::Decimal("0.5".into()));
        let inner = || Value::Map(BTreeMap::from([("size".into(), fraction())]));
        let number = "is not a whole number that fits in 64 bits.";
        let cases = [
            ("count", fraction(), "count", format!("\"count\" {number}")),
            ("single", inner(), "single.size", format!("\"single.size\" {number}")),
            (
                "many",
                Value::Sequence(vec![Value::Null, inner()]),
                "many[1].size",
                format!("\"many[1].size\" {number}"),
            ),
            (
                "named",
                Value::Map(BTreeMap::from([("a".into(), inner())])),
                "named[\"a\"].size",
                format!("\"named[\"a\"].size\" {number}"),
            ),
            (
                "any",
                Value::Sequence(vec![inner()]),
                "any",
                "\"any\" is not a set where each element has a whole number that fits in 64 bits at size."
                    .to_owned(),
            ),
        ];
        for (name, value, path, detail) in cases {
            let diagnostics = typed::<Outer>(Value::Map(BTreeMap::from([(name.into(), value)]))).unwrap_err();
            let diagnostic = diagnostics.iter().next().unwrap();
            assert_eq!(diagnostic.attribute.as_ref().map(ToString::to_string).as_deref(), Some(path));
            assert_eq!(diagnostic.detail, detail);
        }
    }

    #[test]
    fn an_attribute_that_nobody_takes_is_an_error() {
        let extra = || ("extra".into(), Value::Null);
        for value in [BTreeMap::from([extra()]), BTreeMap::from([extra(), ("size".into(), Value::from(1))])] {
            let error = Inner::from_value(Value::Map(value)).unwrap_err();
            assert_eq!(error.to_string(), "expected an attribute of the schema at extra");
        }
    }

    #[test]
    fn debug_of_a_model_hides_what_its_types_hide() {
        let outer = Outer { token: Field::Known(SecretText("dbtu_x".into())), ..Outer::default() };
        assert!(!format!("{outer:?}").contains("dbtu_x"));
    }
}
