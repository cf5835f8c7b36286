//! Text that must not appear in any output: a provider's own attribute type.

use std::fmt;

use terraform_provider_kms::plugin::{
    model::AttributeType,
    schema::Kind,
    value::{CodecError, Value},
};

#[derive(Clone, PartialEq)]
pub struct SecretText(pub String);

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
