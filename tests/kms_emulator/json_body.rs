//! Bodies of requests, read as the framework does: by their type, and with JavaScript's patience for odd texts.

use serde_json::{Map, Value};

/// A body that can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

/// Reads a body of some type. `None` when the parser makes nothing of it.
pub fn read(content_type: &str, body: &[u8]) -> Result<Option<Value>, Unreadable> {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    // What isn't UTF-8 is replaced, as Node does.
    let text = String::from_utf8_lossy(body);
    match kind.as_str() {
        "application/json" => {
            let json = parse(text.strip_prefix('\u{feff}').unwrap_or(&text))?;
            if is_poisoned(&json) { Err(Unreadable) } else { Ok(Some(json)) }
        }
        // A parser of the server's own, which passes over nothing and looks for nothing.
        "application/scim+json" if text.is_empty() => Ok(None),
        "application/scim+json" => parse(&text).map(Some),
        "application/x-www-form-urlencoded" => Ok(Some(form(&text))),
        "text/plain" => Ok(Some(Value::from(text))),
        _ => Err(Unreadable),
    }
}

fn parse(text: &str) -> Result<Value, Unreadable> {
    serde_json::from_str(&replace_lone_surrogates(text)).map_err(|_| Unreadable)
}

/// JavaScript reads half a surrogate pair, which becomes U+FFFD at the latest in the database.
fn replace_lone_surrogates(text: &str) -> String {
    let code = |at: usize| -> Option<u32> {
        let escape = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u32::from_str_radix(escape, 16).ok()
    };
    let mut mended = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(next) = text[at..].chars().next() {
        let length = match (next, code(at), code(at + 6)) {
            ('\\', Some(0xd800..0xdc00), Some(0xdc00..0xe000)) => 12,
            ('\\', Some(0xd800..0xe000), _) => {
                mended.push_str("\\ufffd");
                at += 6;
                continue;
            }
            // An escaped backslash isn't the beginning of another escape.
            ('\\', ..) => 1 + text[at + 1..].chars().next().map_or(0, char::len_utf8),
            _ => next.len_utf8(),
        };
        mended.push_str(&text[at..at + length]);
        at += length;
    }
    mended
}

/// Whether JavaScript could take a key for the prototype of an object.
fn is_poisoned(value: &Value) -> bool {
    match value {
        Value::Object(fields) => {
            let has_prototype =
                |value: &Value| value.as_object().is_some_and(|fields| fields.contains_key("prototype"));
            fields.contains_key("__proto__")
                || fields.get("constructor").is_some_and(has_prototype)
                || fields.values().any(is_poisoned)
        }
        Value::Array(values) => values.iter().any(is_poisoned),
        _ => false,
    }
}

/// A name that is there more than once has all its values.
fn form(text: &str) -> Value {
    let mut fields = Map::new();
    for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
        let value = Value::from(value);
        match fields.get_mut(name.as_ref()) {
            None => drop(fields.insert(name.into_owned(), value)),
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::from(vec![first.take(), value]),
        }
    }
    Value::Object(fields)
}
