//! Secret text as an attribute's value.

use crate::{
    plugin::{
        model::AttributeType,
        schema::Kind,
        value::{CodecError, Value},
    },
    secret::Secret,
};

impl AttributeType for Secret {
    const SENSITIVE: bool = true;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::model::Field;

    #[test]
    fn a_secret_keeps_its_text_and_shows_nothing() {
        let field: Field<Secret> = Field::from_value(Value::string("dbtu_x")).unwrap();
        assert_eq!(format!("{field:?}"), "Known((secret))");
        assert_eq!(field.into_value(), Value::string("dbtu_x"));
    }
}
