//! What Python's library does to a text, where a connection's meaning depends on it.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use serde_json::{Number, Value as Json};

/// Python reads and writes no number with more digits.
const MOST_DIGITS: usize = 4300;

/// White space, as `str.strip` removes it: Unicode's, and four control characters.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

/// Decodes a part of a URI as `unquote` does: what is not UTF-8 becomes a replacement character.
pub(super) fn unquote(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// The parts of a URL that `urlsplit` finds before its path.
pub(super) struct UrlStart {
    /// In lower case. Empty if there is none.
    pub scheme: String,
    /// What is between `//` and the path, query or fragment. Empty if there is none.
    pub authority: String,
}

impl UrlStart {
    /// Splits a text. All text can be split.
    pub(super) fn of(url: &str) -> Self {
        let url: String = url
            .trim_start_matches(|c| c <= ' ')
            .chars()
            .filter(|c| !matches!(c, '\t' | '\n' | '\r'))
            .collect();
        let (scheme, rest) = match url.split_once(':') {
            Some((scheme, rest)) if is_scheme(scheme) => (scheme, rest),
            _ => ("", url.as_str()),
        };
        let authority = rest.strip_prefix("//").unwrap_or_default().split(['/', '?', '#']).next();
        Self { scheme: scheme.to_ascii_lowercase(), authority: authority.unwrap_or_default().to_owned() }
    }

    /// Whether the authority has a bracket, which `urlsplit` refuses but for an IPv6 address as host. Such an
    /// address loses its brackets there, and is no host without them.
    pub(super) fn has_bracket(&self) -> bool {
        self.authority.contains(['[', ']'])
    }

    /// Whether the authority has a character that Unicode's compatibility forms turn into text with `/`, `?`,
    /// `#`, `@` or `:`. `urlsplit` refuses these.
    pub(super) fn has_lookalike(&self) -> bool {
        self.authority.contains(|c| "⁇⁈⁉℀℁℅℆⩴︓︖﹕﹖﹟﹫＃／：？＠".contains(c))
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
}

/// Whether a URL's port can be one: nothing, or ASCII digits up to 65535.
pub(super) fn is_port(text: &str) -> bool {
    text.is_empty() || text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

/// Whether Python takes the value for false: nothing, zero, or empty.
pub(super) fn is_false(value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::Bool(value) => !value,
        Json::Number(number) => as_float(number) == Some(0.0),
        Json::String(text) => text.is_empty(),
        Json::Array(items) => items.is_empty(),
        Json::Object(members) => members.is_empty(),
    }
}

/// The digits of what `int` makes of a value, if it takes the value.
pub(super) fn int(value: &Json) -> Option<String> {
    match value {
        Json::Bool(value) => Some(u8::from(*value).to_string()),
        Json::Number(number) => whole(number).or_else(|| {
            // Python has it in floating point. Adding zero makes a plain zero of a negative one.
            let float = as_float(number).filter(|float| float.is_finite())?;
            Some(format!("{:.0}", float.trunc() + 0.0))
        }),
        Json::String(text) => {
            let text = text.trim_matches(is_space);
            let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
            let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            digits.split('_').all(is_number).then(|| text.replace('_', ""))
        }
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
    .filter(|digits| is_readable(digits))
}

/// The digits of a number that is written as a whole one.
pub(super) fn whole(number: &Number) -> Option<String> {
    Some(number.to_string()).filter(|text| !text.contains(['.', 'e', 'E']) && is_readable(text))
}

fn is_readable(digits: &str) -> bool {
    digits.trim_start_matches(['+', '-']).len() <= MOST_DIGITS
}

fn as_float(number: &Number) -> Option<f64> {
    number.to_string().parse().ok()
}

/// JSON without the three words that only Python has for numbers. Each becomes a number too large for
/// floating point, of which `int` can make nothing either.
pub(super) fn without_number_words(json: &str) -> Cow<'_, str> {
    const WORDS: [&str; 3] = ["-Infinity", "Infinity", "NaN"];
    if !WORDS[1..].iter().any(|word| json.contains(word)) {
        return json.into();
    }
    let mut plain = String::new();
    let (mut in_string, mut escaped) = (false, false);
    let mut rest = json;
    while let Some(c) = rest.chars().next() {
        let word = WORDS.iter().find(|word| !in_string && rest.starts_with(**word));
        // The spaces keep it apart from what it must not stand next to.
        plain.push_str(word.map_or(&rest[..c.len_utf8()], |_| " 1e999 "));
        rest = &rest[word.map_or(c.len_utf8(), |word| word.len())..];
        in_string ^= c == '"' && !escaped;
        escaped = in_string && c == '\\' && !escaped;
    }
    plain.into()
}
