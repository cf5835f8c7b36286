//! Conversions from generated messages.

use super::super::{
    proto::tfplugin6 as proto,
    value::{CodecError, Type, Value},
};

/// Null in msgpack.
const NIL: u8 = 0xc0;

/// A value of a known type. A message that is absent or empty means null.
pub fn value(message: Option<proto::DynamicValue>, value_type: &Type) -> Result<Value, CodecError> {
    match message {
        Some(message) if !message.msgpack.is_empty() => Value::from_msgpack(&message.msgpack, value_type),
        Some(message) if !message.json.is_empty() => Value::from_json(&message.json, value_type),
        _ => Ok(Value::Null),
    }
}

/// Whether a value is null, without decoding it: one that can't be decoded is not.
pub fn is_null(message: Option<&proto::DynamicValue>) -> bool {
    message.is_none_or(|message| match message.msgpack.as_slice() {
        [] => message.json.is_empty() || message.json == b"null",
        msgpack => msgpack == [NIL],
    })
}

/// The identity of an object, if the client sent one.
pub fn identity(
    message: Option<proto::ResourceIdentityData>,
    value_type: &Type,
) -> Result<Option<Value>, CodecError> {
    match message.and_then(|message| message.identity_data) {
        Some(data) => value(Some(data), value_type).map(|value| Some(value).filter(|value| !value.is_null())),
        None => Ok(None),
    }
}

/// Whether the client keeps write-only values out of its state. Old clients don't report it.
pub fn write_only_allowed(capabilities: Option<proto::ClientCapabilities>) -> bool {
    capabilities.is_some_and(|capabilities| capabilities.write_only_attributes_allowed)
}

/// Whether the client accepts deferred responses. Old clients don't report it.
pub fn deferral_allowed(capabilities: Option<proto::ClientCapabilities>) -> bool {
    capabilities.is_some_and(|capabilities| capabilities.deferral_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_and_empty_values_are_null_and_msgpack_wins() {
        let message = |msgpack: &[u8], json: &[u8]| {
            Some(proto::DynamicValue { msgpack: msgpack.to_vec(), json: json.to_vec() })
        };
        assert_eq!(value(None, &Type::String), Ok(Value::Null));
        assert_eq!(value(message(b"", b""), &Type::String), Ok(Value::Null));
        assert_eq!(value(message(b"", b"\"j\""), &Type::String), Ok(Value::string("j")));
        assert_eq!(value(message(b"\xa1m", b"\"j\""), &Type::String), Ok(Value::string("m")));
        for null in [None, message(b"", b""), message(b"\xc0", b"\"j\""), message(b"", b"null")] {
            assert!(is_null(null.as_ref()), "{null:?}");
        }
        assert!(!is_null(message(b"\xa1m", b"null").as_ref()) && !is_null(message(b"", b"\"j\"").as_ref()));
        assert!(value(message(b"\xc3", b""), &Type::String).is_err());
    }

    #[test]
    fn an_identity_that_is_absent_or_null_is_none() {
        let data = |msgpack: &[u8]| {
            Some(proto::ResourceIdentityData {
                identity_data: Some(proto::DynamicValue { msgpack: msgpack.to_vec(), json: vec![] }),
            })
        };
        assert_eq!(identity(None, &Type::String), Ok(None));
        assert_eq!(
            identity(Some(proto::ResourceIdentityData { identity_data: None }), &Type::String),
            Ok(None)
        );
        assert_eq!(identity(data(b"\xc0"), &Type::String), Ok(None));
        assert_eq!(identity(data(b"\xa1x"), &Type::String), Ok(Some(Value::string("x"))));
    }

    #[test]
    fn clients_that_say_nothing_have_no_capabilities() {
        assert!(!write_only_allowed(None));
        assert!(!write_only_allowed(Some(proto::ClientCapabilities::default())));
        let capable = proto::ClientCapabilities { write_only_attributes_allowed: true, ..Default::default() };
        assert!(write_only_allowed(Some(capable)) && !deferral_allowed(Some(capable)));
        assert!(!deferral_allowed(None));
        let capable = proto::ClientCapabilities { deferral_allowed: true, ..Default::default() };
        assert!(deferral_allowed(Some(capable)) && !write_only_allowed(Some(capable)));
    }
}
