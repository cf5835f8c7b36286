//! Redacts secrets in texts from servers.
//!
//! A text is read in all its encodings, and each reading is searched for all secrets at once. So the cost
//! grows with the text and the number of secrets, not with their product.

use std::{
    collections::HashSet,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use super::{encodings, text::line};
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

/// The maximum length of a text, in characters. The server's own messages are far shorter.
const MAX_SHOWN: usize = 1000;

/// How much of a text is shown at most, in bytes. Redaction can shorten it.
const MAX_SOURCE: usize = 16 * 1024;

/// How many bytes an encoding takes for one byte of a secret, at most. A secret that begins in the shown part
/// of a text is searched as far as this.
const MAX_EXPANSION: usize = 12;

/// How many bytes all secrets of the process may have: more than ten thousand tokens. Beyond this, no text of
/// a server is shown.
const MAX_SECRETS: usize = 512 * 1024;

/// The secrets that the process knows and redacts. Clones share them.
#[derive(Clone, Default)]
pub struct Redactor {
    known: Arc<Mutex<Known>>,
    /// Those that are looked for in fields, because they are in no other text by chance.
    distinctive: Arc<Mutex<Known>>,
}

impl Redactor {
    /// Adds a secret to redact: a token, a password or another credential.
    pub fn add(&self, secret: &Secret) {
        self.insert(secret, secret.expose().trim().len() >= SHORTEST_IN_FIELDS);
    }

    /// Adds the value of a KMS secret to redact. It is looked for in fields only if it can't be mistaken
    /// for an ID, a URL or a name.
    pub(super) fn add_value(&self, value: &Secret) {
        let text = value.expose().trim();
        let is_address = uuid::Uuid::try_parse(text).is_ok() || text.contains("://");
        self.insert(value, text.len() >= SHORTEST_VALUE_IN_FIELDS && !is_address);
    }

    fn insert(&self, secret: &Secret, is_distinctive: bool) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).add(secret);
        if is_distinctive {
            self.distinctive.lock().unwrap_or_else(PoisonError::into_inner).add(secret);
        }
    }

    /// Whether the value of a field contains a secret, in one of the forms that `clean`
    /// redacts. Very short secrets don't count.
    pub fn is_in(&self, field: &str) -> bool {
        if field.len() < SHORTEST_IN_FIELDS {
            return false;
        }
        let found = self.distinctive.lock().unwrap_or_else(PoisonError::into_inner).find(field);
        found.is_some_and(|found| !found.is_empty())
    }

    /// Replaces the value of a field that contains a secret.
    pub(super) fn hide(&self, field: &mut String) {
        if self.is_in(field) {
            PLACEHOLDER.clone_into(field);
        }
    }

    /// The text without secrets in the forms that `SECURITY.md` lists.
    pub fn redact(&self, text: &str) -> String {
        let secrets = self.known.lock().unwrap_or_else(PoisonError::into_inner).find(text);
        secrets.map_or_else(|| REDACTED.to_owned(), |secrets| replaced(text, &secrets, text.len()))
    }

    /// The text without secrets, on one line, with hidden characters made visible, and truncated to a reasonable
    /// length.
    pub(super) fn clean(&self, text: &str) -> String {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let searched = &text[..text.floor_char_boundary(MAX_SOURCE + MAX_EXPANSION * known.longest)];
        let Some(secrets) = known.find(searched) else { return REDACTED.to_owned() };
        drop(known);
        let shown = text.floor_char_boundary(MAX_SOURCE);
        let mut cleaned = line(&replaced(text, &secrets, shown)).into_owned();
        let end = cleaned.char_indices().nth(MAX_SHOWN).map(|(end, _)| end);
        if let Some(end) = end {
            cleaned.truncate(end);
        }
        if end.is_some() || shown < text.len() {
            cleaned.push_str(" ...");
        }
        cleaned
    }
}

/// The text up to `end`, with each of the secrets replaced.
fn replaced(text: &str, secrets: &[Range<usize>], end: usize) -> String {
    let (mut replaced, mut at) = (String::new(), 0);
    for secret in secrets.iter().filter(|secret| secret.start < end) {
        replaced.push_str(&text[at..text.floor_char_boundary(secret.start)]);
        replaced.push_str(REDACTED);
        at = text.ceil_char_boundary(secret.end);
    }
    replaced.push_str(text.get(at..end).unwrap_or_default());
    replaced
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redactor")
    }
}

/// The secrets, and the matchers for them.
#[derive(Default)]
struct Known {
    all: HashSet<Secret>,
    /// In the order of their arrival.
    secrets: Vec<Secret>,
    /// Each searches for the secrets that follow those of the one before.
    matchers: Vec<Matcher>,
    /// The length of the longest.
    longest: usize,
    /// The length of all.
    size: usize,
    /// Whether not all secrets could be added.
    is_full: bool,
}

/// Searches a text for some of the secrets at once.
struct Matcher {
    automaton: AhoCorasick,
    secrets: usize,
}

impl Known {
    fn add(&mut self, secret: &Secret) {
        let length = secret.expose().len();
        if secret.is_empty() || self.all.contains(secret) {
            return;
        }
        if self.size + length > MAX_SECRETS {
            self.is_full = true;
            return;
        }
        self.size += length;
        self.longest = self.longest.max(length);
        self.all.insert(secret.clone());
        self.secrets.push(secret.clone());
    }

    /// Brings the matchers up to date. Small ones are merged, so that there are few of them, and a secret is
    /// seldom built into another one.
    fn build(&mut self) -> Option<()> {
        let mut begin = self.matchers.iter().map(|matcher| matcher.secrets).sum();
        if begin == self.secrets.len() {
            return Some(());
        }
        while let Some(last) = self.matchers.pop_if(|last| last.secrets <= self.secrets.len() - begin) {
            begin -= last.secrets;
        }
        let new = &self.secrets[begin..];
        // Pasted secrets may end with a newline, but they are sent trimmed.
        let forms = new.iter().flat_map(|secret| encodings::plain_forms(secret.expose().trim()));
        let automaton = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .match_kind(MatchKind::Standard)
            .ascii_case_insensitive(true)
            .prefilter(false)
            .build(forms)
            .ok()?;
        self.matchers.push(Matcher { automaton, secrets: new.len() });
        Some(())
    }

    /// Where secrets stand in a text, in order and without overlaps. `None` if they can't be found.
    fn find(&mut self, text: &str) -> Option<Vec<Range<usize>>> {
        if self.is_full {
            return None;
        }
        self.build()?;
        let mut found = Vec::new();
        if self.matchers.is_empty() {
            return Some(found);
        }
        let is_read = encodings::readings(text, |reading| {
            for matcher in &self.matchers {
                let matches = matcher.automaton.find_overlapping_iter(reading.bytes());
                found.extend(matches.map(|found| reading.place(found.range())));
            }
        });
        is_read.then(|| union(found))
    }
}

/// The ranges in order, those that overlap or touch as one.
fn union(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_unstable_by_key(|range| range.start);
    let mut union: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match union.last_mut().filter(|last| range.start <= last.end) {
            Some(last) => last.end = last.end.max(range.end),
            None => union.push(range),
        }
    }
    union
}

#[cfg(test)]
mod tests {
    use base64::{
        Engine as _,
        prelude::{BASE64_STANDARD, BASE64_URL_SAFE},
    };
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

    use super::*;

    const SECRET: &str = "dbtu_a/b+\"c\\é?";

    fn redactor() -> Redactor {
        knowing(&[SECRET])
    }

    fn knowing(secrets: &[&str]) -> Redactor {
        let redactor = Redactor::default();
        secrets.iter().for_each(|secret| redactor.add(&Secret::new(*secret)));
        redactor
    }

    fn hex(text: &str) -> String {
        text.bytes().map(|byte| format!("{byte:02x}")).collect()
    }

    fn base32(text: &str) -> String {
        let bits: String = text.bytes().map(|byte| format!("{byte:08b}")).collect();
        let digits = bits.as_bytes().chunks(5).map(|digit| {
            let digit = format!("{:0<5}", str::from_utf8(digit).unwrap());
            char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[usize::from_str_radix(&digit, 2).unwrap()])
        });
        let mut encoded: String = digits.collect();
        while !encoded.len().is_multiple_of(8) {
            encoded.push('=');
        }
        encoded
    }

    /// The forms that `SECURITY.md` lists, by the words that it uses for them.
    fn forms(secret: &str) -> Vec<(&'static str, String)> {
        let percent = utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string();
        let json = serde_json::Value::from(secret).to_string();
        let json = &json[1..json.len() - 1];
        let units: String = secret.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
        let html: String = secret.chars().map(|c| format!("&#{};", u32::from(c))).collect();
        let mail: String = secret.bytes().map(|byte| format!("={byte:02X}")).collect();
        let base64 = BASE64_STANDARD.encode(secret);
        let (start, end) = secret.split_at(7);
        vec![
            ("as it is", secret.to_owned()),
            ("other case", secret.to_ascii_uppercase()),
            ("percent-encoded", percent.clone()),
            ("percent-encoded", percent.to_lowercase()),
            ("percent-encoded", secret.replace('/', "%2F")),
            ("percent-encoded", utf8_percent_encode(&percent, NON_ALPHANUMERIC).to_string()),
            ("JSON", json.to_owned()),
            ("JSON", json.replace('/', r"\/")),
            ("JSON", json.replace('é', r"\u00e9")),
            ("JSON", json.replace('\\', r"\\").replace('"', "\\\"")),
            ("JSON", units.replace('\\', r"\\")),
            ("JSON", units),
            ("HTML", html.clone()),
            ("HTML", secret.replace('"', "&quot;").replace('/', "&#x2f;")),
            ("quoted-printable", mail.clone()),
            ("quoted-printable", format!("{start}=\r\n{end}").replace("=3D", "=3D3D")),
            ("base64", base64.clone()),
            ("base64", BASE64_URL_SAFE.encode(secret)),
            ("base64", BASE64_STANDARD.encode(&base64)),
            ("base64", BASE64_STANDARD.encode(json)),
            ("base64", format!("{}\r\n  {}", &base64[..8], &base64[8..])),
            ("base64", utf8_percent_encode(&base64, NON_ALPHANUMERIC).to_string()),
            ("base32", base32(secret)),
            ("base32", base32(secret).to_lowercase()),
            ("hexadecimal", hex(secret)),
            ("hexadecimal", hex(secret).to_uppercase()),
            ("hexadecimal", BASE64_STANDARD.encode(hex(&html))),
            ("split", format!("{start}\n    {end}")),
            ("split", format!("{start}\r\n{end}")),
            ("split", format!("{start}\u{1b}[1;31m{end}")),
            ("split", format!("{start}\u{1b}]8;;https://example.com\u{1b}\\{end}")),
            ("split", format!("{start}\u{ad}{end}")),
            ("split", secret.chars().flat_map(|c| [c, '\u{0}', '\u{200b}']).collect()),
        ]
    }

    #[test]
    fn a_secret_is_taken_out_in_every_form() {
        for secret in [SECRET, "dbtu_a b+c&amp;d%41=3D", "ab\tcd\u{1}ef-1"] {
            for (name, form) in forms(secret) {
                let cleaned = knowing(&[secret]).clean(&format!("token {form} is bad"));
                // What isn't visible may stand after it.
                let cleaned = cleaned.replace(r"\u{0}\u{200b} is", " is");
                assert_eq!(cleaned, "token (redacted) is bad", "{name}: {form:?}");
            }
        }
    }

    #[test]
    fn the_security_policy_names_every_form() {
        let root = env!("CARGO_MANIFEST_DIR");
        let policy = std::fs::read_to_string(std::path::Path::new(root).join("SECURITY.md")).unwrap();
        let (_, list) = policy.split_once("### Redaction").unwrap();
        for (name, _) in forms(SECRET) {
            assert!(list.contains(name), "{name}");
        }
    }

    #[test]
    fn forms_that_the_security_policy_excludes_are_shown() {
        let reversed: String = SECRET.chars().rev().collect();
        let spaced: Vec<_> = SECRET.chars().map(String::from).collect();
        let pairs: Vec<_> =
            hex(SECRET).as_bytes().chunks(2).map(|pair| str::from_utf8(pair).unwrap().to_owned()).collect();
        for form in [reversed, spaced.join(" "), pairs.join(":"), SECRET[..9].to_owned()] {
            assert_eq!(redactor().clean(&form), form);
        }
    }

    #[test]
    fn a_secret_inside_other_base64_is_taken_out() {
        for around in ["", "c", "cl", "client:"] {
            let encoded = BASE64_STANDARD.encode(format!("{around}{SECRET}{around}"));
            let cleaned = redactor().clean(&encoded);
            assert!(cleaned.contains(REDACTED), "{around}: {cleaned}");
            let rest = cleaned.replace(REDACTED, "");
            assert!(rest.len() <= 2 * around.len().div_ceil(3) * 4, "{around}: {cleaned}");
        }
        let json = serde_json::json!({ "apiToken": SECRET }).to_string();
        let cleaned = redactor().clean(&BASE64_STANDARD.encode(json));
        assert!(cleaned.contains(REDACTED), "{cleaned}");
    }

    #[test]
    fn secrets_that_share_characters_are_all_taken_out() {
        for (secrets, text, expected) in [
            (vec!["abcdef", "defghi"], "x abcdefghi y", "x (redacted) y"),
            (vec!["defghi", "abcdef"], "x abcdefghi y", "x (redacted) y"),
            (
                vec!["token", "token-long", "n-lo"],
                "token-long, token, n-lo",
                "(redacted), (redacted), (redacted)",
            ),
            (vec!["abc", "abcd"], "abce abcd", "(redacted)e (redacted)"),
            (vec!["aa"], "aaaaa", "(redacted)"),
            (vec!["abc"], "abcabc", "(redacted)"),
            (vec!["x"], "x-y", "(redacted)-y"),
            (vec!["", " \n"], "a b", "a b"),
        ] {
            assert_eq!(knowing(&secrets).clean(text), expected, "{secrets:?}");
        }
    }

    #[test]
    fn a_secret_that_is_added_later_is_taken_out_too() {
        let redactor = Redactor::default();
        for number in 0..100 {
            redactor.add(&Secret::new(format!("dbtu_{number:03}x")));
            for known in 0..=number {
                assert_eq!(redactor.clean(&format!("dbtu_{known:03}x")), REDACTED);
            }
        }
    }

    #[test]
    fn ordinary_texts_stay_as_they_are() {
        let texts = [
            r"C:\new\table + 50%",
            "Failed to validate credentials: Request failed with status code 401",
            "An App Connection with the name \"analytics_prod\" already exists",
            "https://kms.example.com/api/v1/x/0b6f3a52-7c1e-4b53-8a7e-0123456789ab?x=%2F&amp;y=1",
        ];
        for text in texts {
            assert_eq!(redactor().clean(text), text);
        }
        assert_eq!(redactor().clean("a\u{1b}[31mb\r\nc\u{ad}"), r"a\u{1b}[31mb\r\nc\u{ad}");
    }

    #[test]
    fn pasted_secrets_count_without_the_line_end() {
        assert_eq!(knowing(&[" dbtu_1\n"]).clean("token dbtu_1 is bad"), "token (redacted) is bad");
    }

    #[test]
    fn texts_of_the_caller_keep_their_lines_and_their_length() {
        let text = format!("a\n\n\u{1b}{}", "x ".repeat(MAX_SOURCE));
        assert_eq!(redactor().redact(&text), text);
        assert_eq!(redactor().redact(&format!("a\n{}\nb", hex(SECRET))), "a\n(redacted)\nb");
    }

    #[test]
    fn texts_are_cut() {
        let cleaned = redactor().clean(&"é".repeat(5000));
        assert_eq!(cleaned.chars().count(), MAX_SHOWN + 4);
        let cleaned = redactor().clean(&"\u{0}".repeat(100_000));
        assert_eq!(cleaned.chars().count(), MAX_SHOWN + 4);
        // Truncated after redaction, so that no part of a secret remains at the end.
        for length in [MAX_SHOWN, MAX_SOURCE] {
            for (_, form) in forms(SECRET).into_iter().step_by(if length == MAX_SHOWN { 1 } else { 8 }) {
                let filler = if length == MAX_SHOWN { "x " } else { "\u{0} " };
                let before = filler.repeat(length / 2 - 2);
                let cleaned = redactor().clean(&format!("{before}{form} {}", "y ".repeat(MAX_SOURCE)));
                let end: String = cleaned.trim_end_matches(" ...").chars().rev().take(4).collect();
                assert!(!end.contains('b') && !cleaned.contains("dbt"), "{form:?}: {end}");
            }
        }
    }

    #[test]
    fn the_work_grows_with_the_text_and_the_secrets_only() {
        let redactor = Redactor::default();
        let mut built = 0;
        for number in 0..1000 {
            redactor.add(&Secret::new(format!("{:016x}dbtu_{number:019}", u64::reverse_bits(number))));
            redactor.clean("a text between two secrets");
            let known = redactor.known.lock().unwrap();
            built += known.matchers.last().unwrap().secrets;
            assert!(known.matchers.len() <= 11, "{} matchers for {number}", known.matchers.len());
        }
        assert!(built <= 1000 * 10, "built {built} secrets");
        let known = redactor.known.lock().unwrap();
        let memory: usize = known.matchers.iter().map(|matcher| matcher.automaton.memory_usage()).sum();
        assert!(memory <= 40 * known.size, "{memory} bytes for {}", known.size);
        // What is read of a text doesn't depend on the secrets, and is a small multiple of it.
        for text in ["m1", "Failed to validate credentials: Request failed with status code 401"] {
            let (mut count, mut bytes) = (0, 0);
            assert!(encodings::readings(text, |reading| {
                count += 1;
                bytes += reading.bytes().len();
            }));
            assert!(bytes <= 4 * text.len(), "{count} readings of {text} have {bytes} bytes");
        }
    }

    #[test]
    fn texts_that_can_not_be_searched_are_not_shown() {
        let nested = "%252525\\\\\\\\&amp;amp;amp;=3D3D3D".repeat(MAX_SOURCE);
        let many = redactor();
        assert_eq!(many.clean(&nested), REDACTED);
        // Too many secrets.
        many.add(&Secret::new("y".repeat(MAX_SECRETS)));
        assert_eq!(many.clean("anything"), REDACTED);
    }

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(format!("{:?}", redactor()), "Redactor");
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
}
