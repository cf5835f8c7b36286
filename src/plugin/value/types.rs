//! Types and their JSON form, such as `["list","string"]`, which schemas and dynamic values use.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::{super::messages, Name, error::CodecError};

/// The type of a [`super::Value`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// Text.
    String,
    /// A number of any size.
    Number,
    /// True or false.
    Bool,
    /// Any type: each value carries its own.
    Dynamic,
    /// Elements of one type, in order.
    List(Box<Type>),
    /// Distinct elements of one type, without order.
    Set(Box<Type>),
    /// Elements of one type by key.
    Map(Box<Type>),
    /// Attributes, each with its own type.
    Object(BTreeMap<Name, Type>),
    /// A fixed number of elements, each with its own type.
    Tuple(Vec<Type>),
}

impl Type {
    /// The JSON form.
    pub fn to_json(&self) -> Json {
        match self {
            Self::String => json!("string"),
            Self::Number => json!("number"),
            Self::Bool => json!("bool"),
            Self::Dynamic => json!("dynamic"),
            Self::List(element) => json!(["list", element.to_json()]),
            Self::Set(element) => json!(["set", element.to_json()]),
            Self::Map(element) => json!(["map", element.to_json()]),
            Self::Object(attributes) => {
                let attributes: serde_json::Map<_, _> =
                    attributes.iter().map(|(name, t)| (name.to_string(), t.to_json())).collect();
                json!(["object", attributes])
            }
            Self::Tuple(elements) => json!(["tuple", elements.iter().map(Self::to_json).collect::<Vec<_>>()]),
        }
    }

    /// The JSON form as bytes, as in schemas.
    pub fn to_json_bytes(&self) -> Vec<u8> {
        self.to_json().to_string().into_bytes()
    }

    /// Reads the JSON form.
    ///
    /// # Errors
    /// It is not a type.
    pub fn from_json(json: &Json) -> Result<Self, CodecError> {
        let not_a_type = || CodecError::new(messages::expected::TYPE);
        if let Some(name) = json.as_str() {
            return match name {
                "string" => Ok(Self::String),
                "number" => Ok(Self::Number),
                "bool" => Ok(Self::Bool),
                "dynamic" => Ok(Self::Dynamic),
                _ => Err(not_a_type()),
            };
        }
        // An object type may have a third element, the names of its optional attributes. It doesn't change the encoding.
        let parts = json.as_array().filter(|parts| matches!(parts.len(), 2 | 3)).ok_or_else(not_a_type)?;
        let element = || Self::from_json(&parts[1]).map(Box::new);
        match parts[0].as_str() {
            Some("list") => Ok(Self::List(element()?)),
            Some("set") => Ok(Self::Set(element()?)),
            Some("map") => Ok(Self::Map(element()?)),
            Some("object") => parts[1]
                .as_object()
                .ok_or_else(not_a_type)?
                .iter()
                .map(|(name, t)| Ok((name.clone().into(), Self::from_json(t)?)))
                .collect::<Result<_, _>>()
                .map(Self::Object),
            Some("tuple") => parts[1]
                .as_array()
                .ok_or_else(not_a_type)?
                .iter()
                .map(Self::from_json)
                .collect::<Result<_, _>>()
                .map(Self::Tuple),
            _ => Err(not_a_type()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_survive_their_json_form() {
        for text in [
            r#""string""#,
            r#""dynamic""#,
            r#"["list","number"]"#,
            r#"["set",["map","bool"]]"#,
            r#"["object",{"a":"string","b":["tuple",["string","number"]]}]"#,
        ] {
            let json: Json = serde_json::from_str(text).unwrap();
            assert_eq!(Type::from_json(&json).unwrap().to_json_bytes(), text.as_bytes());
        }
        let optional: Json = serde_json::from_str(r#"["object",{"a":"string"},["a"]]"#).unwrap();
        assert_eq!(
            Type::from_json(&optional),
            Ok(Type::Object(BTreeMap::from([("a".into(), Type::String)])))
        );
        for bad in ["null", r#""text""#, r#"["list"]"#, r#"["bag","string"]"#, "7"] {
            assert!(Type::from_json(&serde_json::from_str(bad).unwrap()).is_err(), "{bad}");
        }
    }
}
