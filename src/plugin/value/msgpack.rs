//! The msgpack encoding, which every call uses. Unknown values are extension values: code 12 has refinements, any other
//! code has none.

use std::collections::BTreeMap;

use rmp::{Marker, decode as read, encode as write};

use super::{
    super::{messages::expected, path::Step},
    CodecError, Name, Number, Refinement, Type, Value,
};

/// The extension code of an unknown value with refinements.
const REFINED_UNKNOWN: i8 = 12;

/// The maximum size of refinements in bytes, as in core's own decoder.
const LONGEST_REFINEMENT: usize = 1024;

impl Value {
    /// Decodes msgpack.
    ///
    /// # Errors
    /// The bytes are not msgpack of that type, or something follows the value.
    pub fn from_msgpack(mut bytes: &[u8], value_type: &Type) -> Result<Self, CodecError> {
        let value = decode_value(&mut bytes, value_type)?;
        if bytes.is_empty() { Ok(value) } else { Err(CodecError::new(expected::END)) }
    }

    /// Encodes as msgpack.
    pub fn to_msgpack(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        encode_value(&mut out, self);
        out
    }
}

/// The next marker, without consuming it.
fn peek(bytes: &[u8]) -> Result<Marker, CodecError> {
    bytes.first().map(|byte| Marker::from_u8(*byte)).ok_or_else(|| CodecError::new(expected::MSGPACK))
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Result<&'a [u8], CodecError> {
    let (head, tail) = bytes.split_at_checked(length).ok_or_else(|| CodecError::new(expected::COMPLETE))?;
    *bytes = tail;
    Ok(head)
}

fn decode_value(bytes: &mut &[u8], value_type: &Type) -> Result<Value, CodecError> {
    match peek(bytes)? {
        Marker::Null => {
            take(bytes, 1)?;
            return Ok(Value::Null);
        }
        marker if is_extension(marker) => {
            return decode_unknown(bytes).map(|refinement| Value::Unknown(Box::new(refinement)));
        }
        _ => {}
    }
    let error = || CodecError::new(expected::of_type(&value_type.to_json().to_string()));
    match value_type {
        Type::String => decode_str(bytes).map(|text| Value::String(text.to_owned())),
        Type::Number => decode_number(bytes).map(Value::Number),
        Type::Bool => read::read_bool(bytes).map(Value::Bool).map_err(|_| error()),
        Type::List(element) | Type::Set(element) => {
            let length = read::read_array_len(bytes).map_err(|_| error())?;
            (0..length)
                .map(|i| decode_value(bytes, element).map_err(|e| e.within(Step::Index(i64::from(i)))))
                .collect::<Result<_, _>>()
                .map(Value::Sequence)
        }
        Type::Tuple(types) => {
            let length = read::read_array_len(bytes).map_err(|_| error())?;
            if length as usize != types.len() {
                return Err(error());
            }
            let elements = types.iter().enumerate();
            elements
                .map(|(i, t)| decode_value(bytes, t).map_err(|e| e.within(Step::Index(i as i64))))
                .collect::<Result<_, _>>()
                .map(Value::Sequence)
        }
        Type::Map(element) => {
            decode_map(bytes, |_| None, |key| Some((key.to_owned().into(), element.as_ref()))).map(Value::Map)
        }
        Type::Object(types) => {
            // Core sends them in the order of their names.
            let mut in_order = types.iter();
            let of = |name: &str| {
                let next = in_order.next().filter(|(next, _)| *next == name);
                next.or_else(|| types.get_key_value(name))
                    .map(|(name, value_type)| (name.clone(), value_type))
            };
            let mut attributes = decode_map(bytes, |name| Some(Step::Attribute(name.into_owned())), of)?;
            for name in types.keys().filter(|_| attributes.len() < types.len()).cloned().collect::<Vec<_>>() {
                attributes.entry(name).or_insert(Value::Null);
            }
            Ok(Value::Map(attributes))
        }
        Type::Dynamic => {
            if read::read_array_len(bytes).map_err(|_| error())? != 2 {
                return Err(error());
            }
            let length = read::read_bin_len(bytes).map_err(|_| error())?;
            let json = serde_json::from_slice(take(bytes, length as usize)?).map_err(|_| error())?;
            let value_type = Type::from_json(&json)?;
            let value = decode_value(bytes, &value_type)?;
            Ok(Value::Dynamic(value_type, Box::new(value)))
        }
    }
}

/// Keys and names of the bytes aren't part of errors: in damaged bytes, one of them may be a secret. `step`
/// is the step to a name of the schema.
fn decode_map<'t>(
    bytes: &mut &[u8],
    step: fn(Name) -> Option<Step>,
    mut of: impl FnMut(&str) -> Option<(Name, &'t Type)>,
) -> Result<BTreeMap<Name, Value>, CodecError> {
    let length = read::read_map_len(bytes).map_err(|_| CodecError::new(expected::MAP))?;
    (0..length)
        .map(|_| {
            let name = decode_str(bytes)?;
            let (name, element) = of(name).ok_or_else(|| CodecError::new(expected::ONLY_ATTRIBUTES))?;
            match decode_value(bytes, element) {
                Ok(value) => Ok((name, value)),
                Err(error) => Err(match step(name) {
                    Some(step) => error.within(step),
                    None => error,
                }),
            }
        })
        .collect()
}

fn decode_str<'a>(bytes: &mut &'a [u8]) -> Result<&'a str, CodecError> {
    let error = || CodecError::new(expected::STRING);
    let length = read::read_str_len(bytes).map_err(|_| error())?;
    std::str::from_utf8(take(bytes, length as usize)?).map_err(|_| error())
}

fn decode_number(bytes: &mut &[u8]) -> Result<Number, CodecError> {
    let error = || CodecError::new(expected::NUMBER);
    match peek(bytes)? {
        Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => Number::parse(decode_str(bytes)?),
        Marker::F32 => Ok(float(f64::from(read::read_f32(bytes).map_err(|_| error())?))),
        Marker::F64 => Ok(float(read::read_f64(bytes).map_err(|_| error())?)),
        Marker::U64 => {
            let int: u64 = read::read_int(bytes).map_err(|_| error())?;
            Ok(i64::try_from(int).map_or_else(|_| Number::Decimal(int.to_string()), Number::Int))
        }
        _ => read::read_int(bytes).map(Number::Int).map_err(|_| error()),
    }
}

/// Normalizes a number: an integer that floating point holds exactly becomes [`Number::Int`].
fn float(float: f64) -> Number {
    if float.fract() == 0.0 && float.abs() < 9_007_199_254_740_992.0 {
        Number::Int(float as i64)
    } else {
        Number::Float(float)
    }
}

fn is_extension(marker: Marker) -> bool {
    use Marker::{Ext8, Ext16, Ext32, FixExt1, FixExt2, FixExt4, FixExt8, FixExt16};
    matches!(marker, Ext8 | Ext16 | Ext32 | FixExt1 | FixExt2 | FixExt4 | FixExt8 | FixExt16)
}

fn decode_unknown(bytes: &mut &[u8]) -> Result<Refinement, CodecError> {
    let extension = read::read_ext_meta(bytes).map_err(|_| CodecError::new(expected::EXTENSION))?;
    let payload = take(bytes, extension.size as usize)?;
    if extension.typeid != REFINED_UNKNOWN {
        return Ok(Refinement::default());
    }
    if payload.len() > LONGEST_REFINEMENT {
        return Err(CodecError::new(expected::SHORT_REFINEMENT));
    }
    decode_refinement(payload).map_err(|_| CodecError::new(expected::REFINEMENT))
}

fn decode_refinement(mut bytes: &[u8]) -> Result<Refinement, CodecError> {
    let bytes = &mut bytes;
    let error = || CodecError::new(expected::REFINEMENT);
    let mut refinement = Refinement::default();
    for _ in 0..read::read_map_len(bytes).map_err(|_| error())? {
        let key: i64 = read::read_int(bytes).map_err(|_| error())?;
        match key {
            1 => refinement.null = Some(read::read_bool(bytes).map_err(|_| error())?),
            2 => refinement.prefix = Some(decode_str(bytes)?.to_owned()),
            3 => refinement.lower = Some(decode_bound(bytes)?),
            4 => refinement.upper = Some(decode_bound(bytes)?),
            5 => refinement.min_length = Some(read::read_int(bytes).map_err(|_| error())?),
            6 => refinement.max_length = Some(read::read_int(bytes).map_err(|_| error())?),
            _ => skip(bytes)?,
        }
    }
    Ok(refinement)
}

fn decode_bound(bytes: &mut &[u8]) -> Result<(Number, bool), CodecError> {
    match read::read_array_len(bytes) {
        Ok(2) => {
            let number = decode_number(bytes)?;
            let inclusive = read::read_bool(bytes).map_err(|_| CodecError::new(expected::BOUND))?;
            Ok((number, inclusive))
        }
        _ => Err(CodecError::new(expected::BOUND)),
    }
}

/// Skips one value: a refinement that this release doesn't know.
fn skip(bytes: &mut &[u8]) -> Result<(), CodecError> {
    let error = |_| CodecError::new(expected::MSGPACK);
    let marker = peek(bytes)?;
    let length = match marker {
        Marker::FixArray(_) | Marker::Array16 | Marker::Array32 => {
            let length = read::read_array_len(bytes).map_err(error)?;
            return (0..length).try_for_each(|_| skip(bytes));
        }
        Marker::FixMap(_) | Marker::Map16 | Marker::Map32 => {
            let length = read::read_map_len(bytes).map_err(error)?;
            return (0..length).try_for_each(|_| skip(bytes).and_then(|()| skip(bytes)));
        }
        Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => {
            decode_str(bytes)?;
            return Ok(());
        }
        Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => read::read_bin_len(bytes).map_err(error)? as usize,
        marker if is_extension(marker) => read::read_ext_meta(bytes).map_err(error)?.size as usize,
        Marker::Null | Marker::True | Marker::False | Marker::FixPos(_) | Marker::FixNeg(_) => 1,
        Marker::U8 | Marker::I8 => 2,
        Marker::U16 | Marker::I16 => 3,
        Marker::U32 | Marker::I32 | Marker::F32 => 5,
        Marker::U64 | Marker::I64 | Marker::F64 => 9,
        _ => return Err(CodecError::new(expected::MSGPACK)),
    };
    take(bytes, length).map(drop)
}

/// Writing to a `Vec` can't fail, so the results of `rmp` are ignored.
fn encode_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => {
            let _ = write::write_nil(out);
        }
        Value::Unknown(refinement) => encode_unknown(out, refinement),
        Value::String(text) => {
            let _ = write::write_str(out, text);
        }
        Value::Number(number) => encode_number(out, number),
        Value::Bool(bool) => {
            let _ = write::write_bool(out, *bool);
        }
        Value::Sequence(elements) => {
            let _ = write::write_array_len(out, elements.len() as u32);
            for element in elements {
                encode_value(out, element);
            }
        }
        Value::Map(elements) => {
            let _ = write::write_map_len(out, elements.len() as u32);
            for (name, element) in elements {
                let _ = write::write_str(out, name);
                encode_value(out, element);
            }
        }
        Value::Dynamic(value_type, value) => {
            let _ = write::write_array_len(out, 2);
            let _ = write::write_bin(out, &value_type.to_json_bytes());
            encode_value(out, value);
        }
    }
}

fn encode_number(out: &mut Vec<u8>, number: &Number) {
    match number {
        Number::Int(int) => {
            let _ = write::write_sint(out, *int);
        }
        Number::Float(float) => {
            let _ = write::write_f64(out, *float);
        }
        Number::Decimal(digits) => {
            let _ = write::write_str(out, digits);
        }
    }
}

fn encode_unknown(out: &mut Vec<u8>, refinement: &Refinement) {
    let mut payload = Vec::new();
    let mut count = 0_u8;
    let mut key = |payload: &mut Vec<u8>, key: u8| {
        count += 1;
        payload.push(key);
    };
    if let Some(null) = refinement.null {
        key(&mut payload, 1);
        let _ = write::write_bool(&mut payload, null);
    }
    if let Some(prefix) = &refinement.prefix {
        key(&mut payload, 2);
        let _ = write::write_str(&mut payload, prefix);
    }
    for (number, bound) in [(3, &refinement.lower), (4, &refinement.upper)] {
        if let Some((limit, inclusive)) = bound {
            key(&mut payload, number);
            let _ = write::write_array_len(&mut payload, 2);
            encode_number(&mut payload, limit);
            let _ = write::write_bool(&mut payload, *inclusive);
        }
    }
    for (number, length) in [(5, refinement.min_length), (6, refinement.max_length)] {
        if let Some(length) = length {
            key(&mut payload, number);
            let _ = write::write_sint(&mut payload, length);
        }
    }
    if count == 0 {
        // For core, any code but 12 means unknown without refinements, if the payload is at most one byte.
        out.extend_from_slice(&[0xd4, 0, 0]);
        return;
    }
    payload.insert(0, 0x80 | count);
    let _ = write::write_ext_meta(out, payload.len() as u32, REFINED_UNKNOWN);
    out.extend_from_slice(&payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(value: Value, value_type: Type) {
        let bytes = value.to_msgpack();
        assert_eq!(Value::from_msgpack(&bytes, &value_type), Ok(value));
    }

    #[test]
    fn every_kind_of_value_survives() {
        let list = || Type::List(Box::new(Type::String));
        round_trip(Value::Null, list());
        round_trip(Value::unknown(), list());
        round_trip(Value::Sequence(vec![]), list());
        round_trip(Value::Sequence(vec![Value::string("a"), Value::Null, Value::unknown()]), list());
        round_trip(Value::Bool(true), Type::Bool);
        for number in [
            Number::Int(0),
            Number::Int(-1),
            Number::Int(i64::MAX),
            Number::Int(i64::MIN),
            Number::Float(2.5),
            Number::Decimal("0.1".into()),
            Number::Decimal("9223372036854775808".into()),
        ] {
            round_trip(Value::Number(number), Type::Number);
        }
        let object = Type::Object(BTreeMap::from([
            ("any".into(), Type::Dynamic),
            ("pair".into(), Type::Tuple(vec![Type::String, Type::Bool])),
            ("map".into(), Type::Map(Box::new(Type::Number))),
        ]));
        round_trip(
            Value::Map(BTreeMap::from([
                ("any".into(), Value::Dynamic(list(), Box::new(Value::Sequence(vec![Value::string("x")])))),
                ("pair".into(), Value::Sequence(vec![Value::string("x"), Value::Bool(false)])),
                ("map".into(), Value::Map(BTreeMap::from([("k".into(), Value::Number(Number::Int(7)))]))),
            ])),
            object,
        );
    }

    #[test]
    fn refinements_survive() {
        round_trip(
            Value::Unknown(Box::new(Refinement {
                null: Some(false),
                prefix: Some("https://".into()),
                lower: Some((Number::Int(1), true)),
                upper: Some((Number::Decimal("0.1".into()), false)),
                min_length: Some(1),
                max_length: Some(300),
            })),
            Type::String,
        );
        assert_eq!(Value::unknown_not_null().to_msgpack(), [0xc7, 3, 12, 0x81, 1, 0xc2]);
        assert_eq!(Value::unknown().to_msgpack(), [0xd4, 0, 0]);
    }

    #[test]
    fn any_extension_code_means_unknown_and_unheard_of_refinements_are_passed_over() {
        assert_eq!(Value::from_msgpack(&[0xd4, 5, 0], &Type::Bool), Ok(Value::unknown()));
        assert_eq!(Value::from_msgpack(&[0xc7, 0, 0], &Type::Bool), Ok(Value::unknown()));
        // {9: {"a": [1.5, bin]}, 1: false}
        let payload =
            [0x82, 9, 0x81, 0xa1, b'a', 0x92, 0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0, 0xc4, 1, 0xff, 1, 0xc2];
        let mut bytes = vec![0xc7, payload.len() as u8, 12];
        bytes.extend_from_slice(&payload);
        assert_eq!(Value::from_msgpack(&bytes, &Type::String), Ok(Value::unknown_not_null()));
    }

    #[test]
    fn numbers_arrive_in_many_forms() {
        let decode = |bytes: &[u8]| match Value::from_msgpack(bytes, &Type::Number) {
            Ok(Value::Number(number)) => number,
            other => panic!("{other:?}"),
        };
        assert_eq!(decode(&[0x07]), Number::Int(7));
        assert_eq!(decode(&[0xff]), Number::Int(-1));
        assert_eq!(decode(&[0xcd, 1, 0]), Number::Int(256));
        assert_eq!(decode(&[0xa3, b'0', b'.', b'1']), Number::Decimal("0.1".into()));
        assert_eq!(decode(&[0xa2, b'4', b'2']), Number::Int(42));
        let big = [0xcf, 0x80, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(decode(&big), Number::Decimal("9223372036854775808".into()));
        let two = [0xcb, 0x40, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(decode(&two), Number::Int(2));
    }

    #[test]
    fn missing_attributes_are_null_and_strange_ones_refused() {
        let object = Type::Object(BTreeMap::from([("a".into(), Type::String), ("b".into(), Type::String)]));
        let value = Value::from_msgpack(&[0x81, 0xa1, b'a', 0xa1, b'x'], &object).unwrap();
        assert_eq!(value.attribute("b"), Some(&Value::Null));
        // {"b": "y", "a": "x"}
        let reversed = [0x82, 0xa1, b'b', 0xa1, b'y', 0xa1, b'a', 0xa1, b'x'];
        let value = Value::from_msgpack(&reversed, &object).unwrap();
        assert_eq!((value.attribute("a"), value.attribute("b")), (Some(&"x".into()), Some(&"y".into())));
        let error = Value::from_msgpack(&[0x81, 0xa1, b'c', 0xa1, b'x'], &object).unwrap_err();
        assert_eq!(error.to_string(), "expected an object with the attributes of the schema only");
    }

    #[test]
    fn no_name_of_damaged_bytes_is_part_of_an_error() {
        let headers = Type::Map(Box::new(Type::String));
        let object =
            Type::Object(BTreeMap::from([("headers".into(), headers), ("token".into(), Type::String)]));
        // {"dbtu_x": "a"} and {"headers": {"dbtu_x": true}}
        let unknown = [&[0x81, 0xa6][..], b"dbtu_x", &[0xa1, b'a']].concat();
        let key = [&[0x81, 0xa7][..], b"headers", &[0x81, 0xa6], b"dbtu_x", &[0xc3]].concat();
        for bytes in [unknown, key] {
            let error = Value::from_msgpack(&bytes, &object).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("dbtu"), "{error:?}");
        }
    }

    #[test]
    fn a_refinement_that_core_would_not_take_is_refused() {
        // An unknown refinement with nested arrays.
        let payload = [&[0x81, 99][..], &[0x91; 2000], &[0xc0]].concat();
        let bytes = [&[0xc8, 0x07, 0xd3, 12][..], &payload].concat();
        assert_eq!(payload.len(), 0x07d3);
        assert!(Value::from_msgpack(&bytes, &Type::String).is_err());
        let short = [&[0xc7, 5, 12, 0x81, 99, 0x91, 0x91, 0xc0][..]].concat();
        assert!(Value::from_msgpack(&short, &Type::String).is_ok());
    }

    #[test]
    fn broken_bytes_are_errors_and_never_panics() {
        let object = Type::Object(BTreeMap::from([("a".into(), Type::List(Box::new(Type::Dynamic)))]));
        for bytes in [
            &[][..],
            &[0xc1],
            &[0x81],
            &[0x81, 0xa1],
            &[0x81, 0xa1, b'a', 0xdd, 0xff, 0xff, 0xff, 0xff],
            &[0xc7, 200, 12],
            &[0xc7, 1, 12, 0x81],
            &[0xc0, 0xc0],
        ] {
            assert!(Value::from_msgpack(bytes, &object).is_err(), "{bytes:x?}");
        }
    }
}
