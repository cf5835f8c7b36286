//! Redacts secrets in texts from servers.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use zeroize::Zeroizing;

use super::text::{is_hidden, line};
use crate::secret::Secret;

/// The replacement of a secret.
const REDACTED: &str = "(redacted)";

/// What replaces a field of an object that contains a secret.
pub const PLACEHOLDER: &str = "(redacted: contains a secret)";

/// The length of the shortest secret that is looked for in fields, in bytes. Shorter ones are in many texts
/// by chance, and the tokens of dbt and of the KMS are far longer.
const SHORTEST_IN_FIELDS: usize = 8;

/// The same for the value of a KMS secret, which can be anything, such as the number of an account.
const SHORTEST_VALUE_IN_FIELDS: usize = 16;

/// The maximum length of a text. The server's own messages are far shorter.
const MAX_SHOWN: usize = 1000;

/// The characters that JavaScript's `encodeURIComponent` doesn't escape.
const URI_COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// The forms of a secret that are looked for in fields; none if it is in many texts by chance.
type InFields = Vec<Zeroizing<String>>;

/// The secrets that the process knows and redacts. Clones share them.
#[derive(Clone, Default)]
pub struct Redactor {
    secrets: Arc<Mutex<HashMap<Secret, InFields>>>,
}

impl Redactor {
    /// Adds a secret to redact: a token, a password or another credential.
    pub fn add(&self, secret: &Secret) {
        self.insert(secret, plain(secret).len() >= SHORTEST_IN_FIELDS);
    }

    /// Adds the value of a KMS secret to redact. It is looked for in fields only if it can't be mistaken
    /// for an ID, a URL or a name.
    pub(super) fn add_value(&self, value: &Secret) {
        let text = plain(value);
        let is_address = uuid::Uuid::try_parse(text).is_ok() || text.contains("://");
        self.insert(value, text.len() >= SHORTEST_VALUE_IN_FIELDS && !is_address);
    }

    fn insert(&self, secret: &Secret, is_distinctive: bool) {
        if secret.is_empty() {
            return;
        }
        let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        let in_fields = secrets.entry(secret.clone()).or_default();
        if is_distinctive && in_fields.is_empty() {
            *in_fields = forms(plain(secret)).into_iter().map(Zeroizing::new).collect();
        }
    }

    /// Whether the value of a field contains a secret, in one of the forms that [`clean`](Self::clean)
    /// redacts. Very short secrets don't count.
    pub fn is_in(&self, field: &str) -> bool {
        if field.len() < SHORTEST_IN_FIELDS {
            return false;
        }
        let bare = without_control_characters(field);
        let is_escaped = field.contains(['%', '\\', '+']);
        let others = if is_escaped { unescaped(&bare) } else { Vec::new() };
        let texts: Vec<&str> = [field, &*bare].into_iter().chain(others.iter().map(String::as_str)).collect();
        let longest = texts.iter().map(|text| text.len()).max().unwrap_or_default();
        let secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        // Most fields are shorter than any secret.
        let mut forms = secrets.values().flatten().filter(|form| form.len() <= longest);
        forms.any(|form| texts.iter().any(|text| text.contains(form.as_str())))
    }

    /// Replaces the value of a field that contains a secret.
    pub(super) fn hide(&self, field: &mut String) {
        if self.is_in(field) {
            PLACEHOLDER.clone_into(field);
        }
    }

    /// The text without secrets in plain, percent-encoded, base64 or JSON-escaped form, on one line, with
    /// hidden characters made visible, and truncated to a reasonable length.
    pub(super) fn clean(&self, text: &str) -> String {
        // Before and after: a secret may contain control characters, and they may have been inserted into a secret.
        let text = self.without_secrets(text);
        let bare = without_control_characters(&text);
        let without_secrets = self.without_secrets(&bare);
        let mut text = if without_secrets == bare {
            line(&text).into_owned()
        } else {
            line(&without_secrets).into_owned()
        };
        if let Some((end, _)) = text.char_indices().nth(MAX_SHOWN) {
            text.truncate(end);
            text.push_str(" ...");
        }
        text
    }

    fn without_secrets(&self, text: &str) -> String {
        let mut text = text.to_owned();
        let secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        let mut plain_forms = Vec::new();
        for secret in secrets.keys() {
            let plain = plain(secret);
            let visible = without_control_characters(plain);
            let other = (visible != plain).then(|| visible.clone());
            for secret in [Cow::Borrowed(plain)].into_iter().chain(other) {
                for form in forms(&secret) {
                    text = replace_ignoring_case_of_hex(text, &form);
                }
            }
            plain_forms.extend([Cow::Borrowed(plain), visible]);
        }
        // A secret that is escaped in another way takes the whole text with it.
        let is_in = |text: &str| plain_forms.iter().any(|form| !form.is_empty() && text.contains(&**form));
        if unescaped(&text).iter().any(|text| is_in(text)) { REDACTED.to_owned() } else { text }
    }
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redactor")
    }
}

/// The text of a secret as it is sent. Pasted secrets may end with a newline.
fn plain(secret: &Secret) -> &str {
    secret.expose().trim()
}

/// The text without the escapes of JSON and of URLs, after each of several rounds: what was escaped may be escaped again.
fn unescaped(text: &str) -> Vec<String> {
    const ROUNDS: usize = 4;
    let mut forms = Vec::new();
    // In forms, plus is a space.
    for last in [text.to_owned(), text.replace('+', " ")] {
        let mut last = last;
        for _ in 0..ROUNDS {
            let next = without_json_escapes(&percent_decode_str(&last).decode_utf8_lossy());
            let is_done = next == last;
            last.clone_from(&next);
            forms.push(next);
            if is_done {
                break;
            }
        }
    }
    forms
}

/// The text with each escape of JSON replaced by its character.
fn without_json_escapes(text: &str) -> String {
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let mut after = rest.clone();
        let escaped = if c == '\\' { escaped_unit(&mut after) } else { None };
        match escaped {
            Some(unit) => {
                units.push(unit);
                rest = after;
            }
            None => units.extend_from_slice(c.encode_utf16(&mut [0; 2])),
        }
    }
    String::from_utf16_lossy(&units)
}

/// The character after a backslash in JSON, as one unit of UTF-16.
fn escaped_unit(rest: &mut std::str::Chars<'_>) -> Option<u16> {
    let c = match rest.next()? {
        'u' => {
            let unit = u16::from_str_radix(rest.as_str().get(..4)?, 16).ok()?;
            rest.nth(3)?;
            return Some(unit);
        }
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'b' => '\u{8}',
        'f' => '\u{c}',
        c @ ('"' | '\\' | '/') => c,
        _ => return None,
    };
    u16::try_from(u32::from(c)).ok()
}

/// The text without hidden characters, which can be inserted into a secret. White space becomes a space.
fn without_control_characters(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let spaced = text.chars().filter_map(|c| match c {
        '\n' | '\r' | '\t' => Some(' '),
        c if is_hidden(c) => None,
        c => Some(c),
    });
    Cow::Owned(spaced.collect())
}

/// The encoded forms of a secret, longest first.
fn forms(secret: &str) -> Vec<String> {
    if secret.is_empty() {
        return Vec::new();
    }
    let json = serde_json::Value::from(secret).to_string();
    let json = &json[1..json.len() - 1];
    let mut forms = vec![
        secret.to_owned(),
        json.to_owned(),
        // PHP escapes slashes, Go what HTML would read, and Python what isn't ASCII.
        json.replace('/', "\\/"),
        json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026"),
        json.chars().map(ascii).collect(),
        // JSON as a string in JSON.
        json.replace('\\', r"\\").replace('"', "\\\""),
        utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string(),
        utf8_percent_encode(secret, URI_COMPONENT).to_string(),
    ];
    forms.extend(base64_forms(secret.as_bytes()));
    // Base64 of JSON.
    forms.extend(base64_forms(json.as_bytes()));
    forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
    forms.dedup();
    forms
}

/// A character as JSON writes it in ASCII.
fn ascii(c: char) -> String {
    if c.is_ascii() {
        return c.to_string();
    }
    c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect()
}

/// Base64 of a text that contains the secret, in both alphabets. Characters that also depend on the surrounding text
/// are omitted. Very short secrets are skipped, because they would match by chance.
fn base64_forms(secret: &[u8]) -> Vec<String> {
    let mut forms = Vec::new();
    if secret.len() < 6 {
        return vec![STANDARD_NO_PAD.encode(secret)];
    }
    for before in 0..3 {
        let padded = [&[0; 2][..before.min(2)], secret].concat();
        let skipped = [0, 2, 3][before];
        let whole = padded.len() / 3 * 4;
        forms.extend([STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)].map(|encoded| {
            let end = whole.min(encoded.len());
            encoded[skipped..end].to_owned()
        }));
    }
    forms.push(STANDARD_NO_PAD.encode(secret));
    forms.push(URL_SAFE_NO_PAD.encode(secret));
    forms
}

/// Replaces a form wherever it occurs. Some encoders write `%2f` and some `%2F`.
fn replace_ignoring_case_of_hex(text: String, form: &str) -> String {
    // A run may have a thousand secrets, and few texts contain one.
    let replace =
        |text: String, form: &str| if text.contains(form) { text.replace(form, REDACTED) } else { text };
    let text = replace(text, form);
    if form.contains('%') { replace(text, &lower_hex(form)) } else { text }
}

fn lower_hex(text: &str) -> String {
    let mut since_percent = 3;
    let lowered = text.chars().map(|c| {
        since_percent = if c == '%' { 0 } else { since_percent + 1 };
        if since_percent <= 2 { c.to_ascii_lowercase() } else { c }
    });
    lowered.collect()
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};

    use super::*;

    const SECRET: &str = "dbtu_a/b+\"c\\é?";

    fn redactor() -> Redactor {
        let redactor = Redactor::default();
        redactor.add(&Secret::new(SECRET));
        redactor
    }

    #[test]
    fn a_secret_is_taken_out_in_every_form() {
        let percent = utf8_percent_encode(SECRET, NON_ALPHANUMERIC).to_string();
        let json = serde_json::Value::from(SECRET).to_string();
        let forms = [
            SECRET.to_owned(),
            percent.to_lowercase(),
            percent,
            utf8_percent_encode(SECRET, URI_COMPONENT).to_string(),
            json[1..json.len() - 1].to_owned(),
            r#"dbtu_a\/b+\"c\\é?"#.to_owned(),
            r#"dbtu_a/b+\"c\\\u00e9?"#.to_owned(),
            r#"dbtu_a/b+\\\"c\\\\é?"#.to_owned(),
            BASE64_STANDARD.encode(SECRET),
            BASE64_URL_SAFE.encode(SECRET),
        ];
        for form in forms {
            let cleaned = redactor().clean(&format!("token {form} is bad"));
            assert_eq!(cleaned, "token (redacted) is bad", "{form}");
        }
    }

    #[test]
    fn a_secret_inside_other_base64_is_taken_out() {
        for around in ["", "c", "cl", "client:"] {
            let encoded = BASE64_STANDARD.encode(format!("{around}{SECRET}{around}"));
            let cleaned = redactor().clean(&encoded);
            assert!(cleaned.contains(REDACTED), "{around}: {cleaned}");
        }
    }

    #[test]
    fn a_partly_encoded_secret_takes_the_whole_text_with_it() {
        let text = format!("bad {}", SECRET.replace('/', "%2F"));
        assert_eq!(redactor().clean(&text), REDACTED);
    }

    #[test]
    fn a_secret_in_an_unusual_form_takes_the_whole_text_with_it() {
        let all: String = SECRET.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
        let percent = utf8_percent_encode(SECRET, NON_ALPHANUMERIC).to_string();
        for form in [
            all.replace('\\', r"\\"),
            all,
            SECRET.replace('\\', r"\\").replace('é', "\\u00E9"),
            utf8_percent_encode(&percent, NON_ALPHANUMERIC).to_string(),
        ] {
            assert_eq!(redactor().clean(&format!("token {form} is bad")), REDACTED, "{form}");
        }
        let spaced = Redactor::default();
        spaced.add(&Secret::new("a token/with spaces"));
        assert_eq!(spaced.clean("bad a+token%2Fwith+spaces"), REDACTED);
        assert_eq!(spaced.clean(r"C:\new\table + 50%"), r"C:\new\table + 50%");
    }

    #[test]
    fn a_secret_in_base64_of_json_is_taken_out() {
        let json = serde_json::json!({ "apiToken": SECRET }).to_string();
        let cleaned = redactor().clean(&BASE64_STANDARD.encode(json));
        assert!(cleaned.contains(REDACTED), "{cleaned}");
    }

    #[test]
    fn control_characters_hide_no_secret() {
        let broken: String = SECRET.chars().flat_map(|c| [c, '\u{0}', '\u{200b}']).collect();
        assert_eq!(redactor().clean(&broken), REDACTED);
        assert_eq!(redactor().clean("a\u{1b}[31mb\r\nc\u{61c}"), r"a\u{1b}[31mb\r\nc\u{61c}");
        let broken = format!("\u{1b}x {}", SECRET.replace('_', "_\u{ad}"));
        assert_eq!(redactor().clean(&broken), "x (redacted)");
    }

    #[test]
    fn a_secret_with_a_control_character_is_taken_out_in_every_form() {
        let secret = "dbtu_a\tb\u{1}c-1";
        let redactor = Redactor::default();
        redactor.add(&Secret::new(format!("{secret}\n")));
        let json = serde_json::Value::from(secret).to_string();
        for form in [
            secret.to_owned(),
            without_control_characters(secret).into_owned(),
            json[1..json.len() - 1].to_owned(),
            utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string(),
            BASE64_STANDARD.encode(secret),
        ] {
            assert_eq!(
                redactor.clean(&format!("token {form} is bad")),
                "token (redacted) is bad",
                "{form:?}"
            );
        }
    }

    #[test]
    fn texts_are_cut() {
        let cleaned = redactor().clean(&"é".repeat(5000));
        assert_eq!(cleaned.chars().count(), MAX_SHOWN + 4);
        // Truncated after redaction, so that no part of a secret remains at the end.
        let cleaned = redactor().clean(&format!("{}{SECRET}", "x".repeat(MAX_SHOWN - 5)));
        assert!(!cleaned.contains("dbtu"), "{cleaned}");
    }

    #[test]
    fn a_field_with_a_secret_in_any_form_is_replaced() {
        let percent = utf8_percent_encode(SECRET, NON_ALPHANUMERIC).to_string();
        let json = serde_json::Value::from(SECRET).to_string();
        for form in [
            SECRET.to_owned(),
            percent,
            json[1..json.len() - 1].to_owned(),
            SECRET.replace('/', "%2F"),
            BASE64_STANDARD.encode(SECRET),
            BASE64_URL_SAFE.encode(format!("c:{SECRET}")),
            SECRET.replace('_', "_\u{ad}"),
        ] {
            let mut field = format!("org-{form}");
            redactor().hide(&mut field);
            assert_eq!(field, PLACEHOLDER, "{form}");
        }
        for plain in ["", "analytics", "2026-01-01T00:00:00.000Z", "https://cloud.getdbt.com/a%20b"] {
            let mut field = plain.to_owned();
            redactor().hide(&mut field);
            assert_eq!(field, plain);
        }
    }

    #[test]
    fn a_secret_that_is_in_many_texts_by_chance_replaces_no_field() {
        let redactor = Redactor::default();
        for short in ["a", "1", "prod", "api-tok"] {
            redactor.add(&Secret::new(short));
        }
        // Values of KMS secrets that are no secrets.
        let id = "3f0c5c1e-9d0f-4d43-8c6e-6a8f7f4f1a01";
        for value in [id, "https://cloud.getdbt.com", "70403103919", "analytics"] {
            redactor.add_value(&Secret::new(value));
            assert!(!redactor.is_in(value), "{value}");
        }
        for field in ["api-token", "analytics-prod", "2026-01-01T00:00:00.000Z"] {
            assert!(!redactor.is_in(field), "{field}");
        }
        redactor.add_value(&Secret::new("dbtu_0123456789abcdef"));
        assert!(redactor.is_in("dbtu_0123456789abcdef"));
        // The same text as a token is a secret.
        redactor.add(&Secret::new("70403103919"));
        assert!(redactor.is_in("70403103919"));
    }

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(format!("{:?}", redactor()), "Redactor");
    }
}
