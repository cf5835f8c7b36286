//! The JSON encoding of state files. It can't represent unknown values.

use serde_json::Value as Json;

use super::{
    super::{messages::expected, path::Step},
    CodecError, Number, Type, Value,
};

/// How to treat an attribute that the type lacks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ExtraAttributes {
    Refuse,
    Drop,
}

impl Value {
    /// Decodes JSON strictly: attributes that the type lacks are an error, missing ones are null.
    ///
    /// # Errors
    /// The bytes are not JSON of that type.
    pub fn from_json(bytes: &[u8], value_type: &Type) -> Result<Self, CodecError> {
        decode(bytes, value_type, ExtraAttributes::Refuse)
    }

    /// Decodes JSON from a state file that another release of the provider may have written: attributes that the type
    /// lacks are dropped, missing ones are null.
    ///
    /// # Errors
    /// The bytes are not JSON, or an attribute has another type now.
    pub fn from_stored_json(bytes: &[u8], value_type: &Type) -> Result<Self, CodecError> {
        decode(bytes, value_type, ExtraAttributes::Drop)
    }
}

fn decode(bytes: &[u8], value_type: &Type, extra: ExtraAttributes) -> Result<Value, CodecError> {
    let json: Json = serde_json::from_slice(bytes).map_err(|_| CodecError::new(expected::JSON))?;
    convert(json, value_type, extra)
}

fn convert(json: Json, value_type: &Type, extra: ExtraAttributes) -> Result<Value, CodecError> {
    let all = |elements: Vec<Json>, element: &Type| {
        elements
            .into_iter()
            .enumerate()
            .map(|(i, e)| convert(e, element, extra).map_err(|error| error.within(Step::Index(i as i64))))
            .collect::<Result<Vec<_>, _>>()
            .map(Value::Sequence)
    };
    match (value_type, json) {
        (Type::Dynamic, Json::Null) | (_, Json::Null) => Ok(Value::Null),
        (Type::String, Json::String(text)) => Ok(Value::String(text)),
        (Type::Bool, Json::Bool(bool)) => Ok(Value::Bool(bool)),
        // serde_json's arbitrary precision keeps the digits as written.
        (Type::Number, Json::Number(number)) => Number::parse(&number.to_string()).map(Value::Number),
        (Type::Number, Json::String(text)) => Number::parse(&text).map(Value::Number),
        (Type::List(element) | Type::Set(element), Json::Array(elements)) => all(elements, element),
        (Type::Tuple(types), Json::Array(elements)) => {
            if types.len() != elements.len() {
                return Err(CodecError::new(expected::tuple(types.len())));
            }
            let pairs = elements.into_iter().zip(types).enumerate();
            pairs
                .map(|(i, (e, t))| convert(e, t, extra).map_err(|error| error.within(Step::Index(i as i64))))
                .collect::<Result<Vec<_>, _>>()
                .map(Value::Sequence)
        }
        (Type::Map(element), Json::Object(elements)) => elements
            .into_iter()
            .map(|(key, e)| match convert(e, element, extra) {
                Ok(value) => Ok((key.into(), value)),
                Err(error) => Err(error.within(Step::Key(key))),
            })
            .collect::<Result<_, _>>()
            .map(Value::Map),
        (Type::Object(types), Json::Object(mut attributes)) => {
            let known = types
                .iter()
                .map(|(name, t)| {
                    let json = attributes.remove(name.as_ref()).unwrap_or(Json::Null);
                    let value = convert(json, t, extra)
                        .map_err(|error| error.within(Step::Attribute(name.to_string())))?;
                    Ok((name.clone(), value))
                })
                .collect::<Result<_, _>>()?;
            // Their names aren't part of the error: they may be secrets, if the bytes are damaged.
            match extra == ExtraAttributes::Refuse && !attributes.is_empty() {
                true => Err(CodecError::new(expected::ONLY_ATTRIBUTES)),
                false => Ok(Value::Map(known)),
            }
        }
        (Type::Dynamic, Json::Object(mut parts)) => {
            let value_type = Type::from_json(parts.get("type").unwrap_or(&Json::Null))?;
            let value = convert(parts.remove("value").unwrap_or(Json::Null), &value_type, extra)?;
            Ok(Value::Dynamic(value_type, Box::new(value)))
        }
        (value_type, _) => Err(CodecError::new(expected::of_type(&value_type.to_json().to_string()))),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn object() -> Type {
        Type::Object(BTreeMap::from([
            ("name".into(), Type::String),
            ("size".into(), Type::Number),
            ("tags".into(), Type::Map(Box::new(Type::String))),
            ("any".into(), Type::Dynamic),
        ]))
    }

    #[test]
    fn missing_attributes_are_null_and_digits_are_kept() {
        let json =
            br#"{"name":null,"size":123456789012345678901234567890.5,"any":{"type":"string","value":"x"}}"#;
        let value = Value::from_json(json, &object()).unwrap();
        assert_eq!(value.attribute("name"), Some(&Value::Null));
        assert_eq!(value.attribute("tags"), Some(&Value::Null));
        let digits = Number::Decimal("123456789012345678901234567890.5".into());
        assert_eq!(value.attribute("size"), Some(&Value::Number(digits)));
        let dynamic = Value::Dynamic(Type::String, Box::new(Value::string("x")));
        assert_eq!(value.attribute("any"), Some(&dynamic));
    }

    #[test]
    fn extra_attributes_are_refused_unless_stored() {
        let json = br#"{"name":"a","gone":true}"#;
        let error = Value::from_json(json, &object()).unwrap_err();
        assert_eq!(error.to_string(), "expected an object with the attributes of the schema only");
        assert!(Value::from_stored_json(json, &object()).is_ok());
    }

    #[test]
    fn an_error_names_the_path_and_not_the_content() {
        let error = Value::from_json(br#"{"tags":{"a":{"b":"secret"}}}"#, &object()).unwrap_err();
        assert_eq!(error.to_string(), r#"expected a value of type "string" at tags["a"]"#);
    }
}
