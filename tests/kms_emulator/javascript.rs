//! What JavaScript makes of values, where that differs from Rust.

use serde_json::Value;

/// What JavaScript's `trim` removes. Not what Rust's does: U+FEFF goes, U+0085 stays.
pub fn js_trim(text: &str) -> &str {
    text.trim_matches(|c: char| (c.is_whitespace() && c != '\u{85}') || c == '\u{feff}')
}

/// What JavaScript's `Number` makes of a value: not a number where it makes no sense of it.
pub fn js_number(value: Option<&Value>) -> f64 {
    match value {
        None | Some(Value::Object(_)) => f64::NAN,
        Some(Value::Null) => 0.0,
        Some(Value::Bool(value)) => f64::from(u8::from(*value)),
        Some(Value::Number(number)) => number.as_f64().unwrap_or(f64::NAN),
        Some(Value::String(text)) => match js_trim(text) {
            "" => 0.0,
            "Infinity" | "+Infinity" => f64::INFINITY,
            "-Infinity" => f64::NEG_INFINITY,
            text if text.contains(|c: char| c.is_alphabetic() && !matches!(c, 'e' | 'E')) => f64::NAN,
            text => text.parse().unwrap_or(f64::NAN),
        },
        Some(Value::Array(values)) => match &values[..] {
            [] => 0.0,
            [Value::Bool(_)] => f64::NAN,
            [value] => js_number(Some(value)),
            _ => f64::NAN,
        },
    }
}

/// A length as JavaScript counts it.
pub fn js_length(text: &str) -> usize {
    text.encode_utf16().count()
}
