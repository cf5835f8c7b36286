//! Reads a text in the encodings that servers use, and in encodings of those, to search it for secrets.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    ops::Range,
};

use zeroize::Zeroizing;

/// How many encodings are undone one after the other.
const MAX_DEPTH: u32 = 4;

/// How many bytes are read in all encodings of one text: this many for each of its bytes, and for a short
/// text at least as many as the other number. A text in ordinary words takes less than four for each.
const MAX_FACTOR: usize = 16;
const MAX_OF_SHORT: usize = 64 * 1024;

/// The shortest piece that counts as the content of base64, base32 or hex. Shorter pieces of text look like
/// these encodings by chance.
pub(super) const SHORTEST: usize = 4;

/// Separates the pieces of a reading. It is in no valid text.
const SEPARATOR: u8 = 0xff;

/// A text after some encodings were undone, with the place of each byte in the original.
pub(super) struct Reading {
    bytes: Zeroizing<Vec<u8>>,
    places: Vec<(u32, u32)>,
}

/// What one step of a decoder makes of the bytes that it takes.
enum Piece {
    Nothing,
    Byte(u8),
    Char(char),
}

/// Looks at the beginning of its argument. Returns how many bytes it takes, and what they stand for.
type Decoder = fn(&[u8]) -> Option<(usize, Piece)>;

/// The value of a digit, if it is one.
type DigitValue = fn(u8) -> Option<u32>;

/// The decoders of escapes. Each is used alone, because a secret may contain what looks like another escape,
/// and the last one is all of them.
const ESCAPES: [Decoder; 8] = [joined, shown, form, percent, backslash, entity, quoted_printable, any_escape];

/// The encodings in digits: the bits of a digit, the value of a digit, and after how many digits the bits of
/// a byte begin at a digit again.
const RADIXES: [(u32, DigitValue, usize); 3] =
    [(6, base64_value, 4), (5, base32_value, 8), (4, hex_value, 2)];

/// Calls `read` with the text, and with all that it is an encoding of. Returns `false` if that is too much.
pub(super) fn readings(text: &str, mut read: impl FnMut(&Reading)) -> bool {
    let (mut seen, mut left) = (HashSet::new(), MAX_OF_SHORT.max(MAX_FACTOR * text.len()));
    let mut level = vec![Reading::of(text)];
    for depth in 0..=MAX_DEPTH {
        let mut next = Vec::new();
        for reading in &level {
            read(reading);
            let mut add = |decoded: Option<Reading>| {
                let Some(decoded) = decoded.filter(|it| seen.insert(it.hash())) else { return true };
                match left.checked_sub(decoded.bytes.len()) {
                    Some(rest) => left = rest,
                    None => return false,
                }
                next.push(decoded);
                true
            };
            if depth == MAX_DEPTH {
                continue;
            }
            for decoder in ESCAPES {
                if !add(reading.unescaped(decoder)) {
                    return false;
                }
            }
            for (bits, value, period) in RADIXES {
                for skipped in 0..period {
                    if !add(reading.in_radix(bits, value, skipped)) {
                        return false;
                    }
                }
            }
        }
        level = next;
    }
    true
}

/// The forms in which a secret stands in a reading: as it is, as it is shown, and without line breaks.
pub(super) fn plain_forms(secret: &str) -> Vec<Zeroizing<Vec<u8>>> {
    let whole = Reading::of(secret);
    let mut forms: Vec<_> = [shown, joined]
        .into_iter()
        .filter_map(|decoder| whole.unescaped(decoder))
        .map(|it| it.bytes)
        .collect();
    forms.push(whole.bytes);
    forms.retain(|form| !form.trim_ascii().is_empty());
    forms
}

impl Reading {
    fn of(text: &str) -> Self {
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        Self {
            bytes: Zeroizing::new(text.as_bytes().to_vec()),
            places: (0..length).map(|at| (at, at + 1)).collect(),
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where these bytes stand in the original.
    pub(super) fn place(&self, range: Range<usize>) -> Range<usize> {
        let place = |at: usize| self.places.get(at).copied().unwrap_or_default();
        place(range.start).0 as usize..place(range.end.saturating_sub(1)).1 as usize
    }

    fn empty(capacity: usize) -> Self {
        // A growing buffer would leave copies behind that aren't zeroed.
        Self { bytes: Zeroizing::new(Vec::with_capacity(capacity)), places: Vec::with_capacity(capacity) }
    }

    fn push(&mut self, bytes: &[u8], place: (u32, u32)) {
        self.bytes.extend_from_slice(bytes);
        self.places.extend(bytes.iter().map(|_| place));
    }

    fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        // The same bytes can stand in a longer place, such as with escaped padding.
        (&*self.bytes, &self.places).hash(&mut hasher);
        hasher.finish()
    }

    /// The reading without the escapes that the decoder knows. `None` if there are none.
    fn unescaped(&self, decode: Decoder) -> Option<Self> {
        let (mut decoded, mut at, mut is_changed) = (Self::empty(self.bytes.len()), 0, false);
        while let Some(byte) = self.bytes.get(at) {
            let Some((length, piece)) = decode(&self.bytes[at..]) else {
                decoded.push(&[*byte], self.places[at]);
                at += 1;
                continue;
            };
            let place = (self.places[at].0, self.places[at + length - 1].1);
            match piece {
                Piece::Nothing => {}
                Piece::Byte(byte) => decoded.push(&[byte], place),
                Piece::Char(c) => decoded.push(c.encode_utf8(&mut [0; 4]).as_bytes(), place),
            }
            is_changed = true;
            at += length;
        }
        is_changed.then_some(decoded)
    }

    /// What the runs of digits stand for, if it is text, without the first digits of each run. `None` if
    /// there is none.
    fn in_radix(&self, bits: u32, value: DigitValue, skipped: usize) -> Option<Self> {
        let mut decoded = Self::empty(self.bytes.len());
        let mut at = 0;
        while at < self.bytes.len() {
            let run = self.bytes[at..].iter().take_while(|byte| value(**byte).is_some()).count();
            if run.saturating_sub(skipped) * bits as usize >= SHORTEST * 8 {
                self.decode_run(at + skipped..at + run, bits, value, &mut decoded);
            }
            at += run + 1;
        }
        (!decoded.bytes.is_empty()).then_some(decoded)
    }

    fn decode_run(&self, run: Range<usize>, bits: u32, value: DigitValue, decoded: &mut Self) {
        let mut content = Self::empty(run.len());
        let (mut buffer, mut filled, mut first) = (0_u32, 0, run.start);
        for at in run.clone() {
            if filled == 0 {
                first = at;
            }
            buffer = (buffer << bits | value(self.bytes[at]).unwrap_or_default()) & 0xffff;
            filled += bits;
            if filled >= 8 {
                filled -= 8;
                let byte = u8::try_from(buffer >> filled & 0xff).unwrap_or_default();
                content.push(&[byte], (self.places[first].0, self.places[at].1));
                first = at;
            }
        }
        // Padding belongs to the last byte.
        let padding = self.bytes[run.end..].iter().take_while(|byte| **byte == b'=').count();
        if let Some(place) = content.places.last_mut()
            && padding > 0
        {
            place.1 = self.places[run.end + padding - 1].1;
        }
        let mut at = 0;
        for chunk in content.bytes.utf8_chunks() {
            let text = chunk.valid().as_bytes();
            if text.len() >= SHORTEST {
                decoded.bytes.extend_from_slice(text);
                decoded.places.extend_from_slice(&content.places[at..at + text.len()]);
                decoded.push(&[SEPARATOR], content.places[at]);
            }
            at += text.len() + chunk.invalid().len();
        }
    }
}

/// Characters that terminals interpret, and those that nobody sees.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

fn first_char(text: &[u8]) -> Option<char> {
    let start = &text[..text.len().min(4)];
    start.utf8_chunks().next()?.valid().chars().next()
}

fn invisible(text: &[u8]) -> Option<usize> {
    // All of them are controls of ASCII, or begin with one of these bytes.
    if !matches!(text.first()?, 0..0x20 | 0x7f | 0xc2..0xf5) {
        return None;
    }
    first_char(text).filter(|c| is_invisible(*c)).map(char::len_utf8)
}

/// Text as it is shown.
fn shown(text: &[u8]) -> Option<(usize, Piece)> {
    match text.first()? {
        b'\n' | b'\r' | b'\t' => Some((1, Piece::Byte(b' '))),
        _ => Some((invisible(text)?, Piece::Nothing)),
    }
}

/// Text that was wrapped, coloured or hyphenated: without line breaks and the indentation after them, without
/// escape sequences of terminals, and without invisible characters.
fn joined(text: &[u8]) -> Option<(usize, Piece)> {
    let length = match text.first()? {
        b'\n' | b'\r' => 1 + text[1..].iter().take_while(|byte| byte.is_ascii_whitespace()).count(),
        0x1b => escape_sequence(text).unwrap_or(1),
        _ => invisible(text)?,
    };
    Some((length, Piece::Nothing))
}

/// The length of an escape sequence with parameters, or of one with a text.
fn escape_sequence(text: &[u8]) -> Option<usize> {
    match text.get(1)? {
        b'[' => {
            let parameters = text[2..].iter().take_while(|byte| matches!(byte, 0x20..=0x3f)).count();
            text.get(2 + parameters).filter(|byte| matches!(byte, 0x40..=0x7e)).map(|_| parameters + 3)
        }
        b']' => {
            let end = text.iter().position(|byte| *byte == 0x07);
            let other = text.windows(2).position(|pair| pair == b"\x1b\\");
            match (end, other) {
                (Some(end), other) if other.is_none_or(|other| end < other) => Some(end + 1),
                (_, other) => other.map(|other| other + 2),
            }
        }
        _ => None,
    }
}

/// The value of a number in these hexadecimal digits.
fn hex(digits: Option<&[u8]>) -> Option<u32> {
    digits?.iter().try_fold(0_u32, |number, digit| Some(number.checked_mul(16)? + hex_value(*digit)?))
}

fn hex_byte(digits: Option<&[u8]>) -> Option<u8> {
    u8::try_from(hex(digits)?).ok()
}

/// The escapes of URLs, and those of JavaScript's `escape`.
fn percent(text: &[u8]) -> Option<(usize, Piece)> {
    match text {
        [b'%', b'u', ..] => Some((6, Piece::Char(char::from_u32(hex(text.get(2..6))?)?))),
        [b'%', ..] => Some((3, Piece::Byte(hex_byte(text.get(1..3))?))),
        _ => None,
    }
}

/// The escapes of forms, where plus is a space.
fn form(text: &[u8]) -> Option<(usize, Piece)> {
    if text.first()? == &b'+' { Some((1, Piece::Byte(b' '))) } else { percent(text) }
}

/// The escapes of JSON, and of strings in programming languages.
fn backslash(text: &[u8]) -> Option<(usize, Piece)> {
    let [b'\\', escape, rest @ ..] = text else { return None };
    let c = match escape {
        b'u' if rest.first() == Some(&b'{') => {
            let digits = rest[1..].iter().take(7).position(|byte| *byte == b'}')?;
            return Some((digits + 4, Piece::Char(char::from_u32(hex(rest.get(1..=digits))?)?)));
        }
        b'u' => {
            let unit = hex(rest.get(..4))?;
            let pair = rest.get(4..6) == Some(b"\\u");
            let low = hex(rest.get(6..10)).filter(|low| pair && (0xdc00..0xe000).contains(low));
            return match (unit, low) {
                (0xd800..0xdc00, Some(low)) => {
                    let c = char::from_u32(0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00))?;
                    Some((12, Piece::Char(c)))
                }
                _ => Some((6, Piece::Char(char::from_u32(unit)?))),
            };
        }
        b'x' => return Some((4, Piece::Byte(hex_byte(rest.get(..2))?))),
        b'\n' => return Some((2, Piece::Nothing)),
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'f' => 0x0c,
        b'"' | b'\\' | b'/' | b'\'' => *escape,
        _ => return None,
    };
    Some((2, Piece::Byte(c)))
}

/// The names of HTML for the characters of ASCII.
const ENTITIES: [(&str, u8); 37] = [
    ("amp", b'&'),
    ("lt", b'<'),
    ("gt", b'>'),
    ("quot", b'"'),
    ("apos", b'\''),
    ("nbsp", b' '),
    ("excl", b'!'),
    ("num", b'#'),
    ("dollar", b'$'),
    ("percnt", b'%'),
    ("lpar", b'('),
    ("rpar", b')'),
    ("ast", b'*'),
    ("midast", b'*'),
    ("plus", b'+'),
    ("comma", b','),
    ("period", b'.'),
    ("sol", b'/'),
    ("colon", b':'),
    ("semi", b';'),
    ("equals", b'='),
    ("quest", b'?'),
    ("commat", b'@'),
    ("lsqb", b'['),
    ("lbrack", b'['),
    ("bsol", b'\\'),
    ("rsqb", b']'),
    ("rbrack", b']'),
    ("Hat", b'^'),
    ("lowbar", b'_'),
    ("grave", b'`'),
    ("lcub", b'{'),
    ("lbrace", b'{'),
    ("verbar", b'|'),
    ("vert", b'|'),
    ("rcub", b'}'),
    ("rbrace", b'}'),
];

/// The character references of HTML and XML.
fn entity(text: &[u8]) -> Option<(usize, Piece)> {
    const LONGEST: usize = 12;
    if text.first()? != &b'&' {
        return None;
    }
    let end = text.iter().take(LONGEST).position(|byte| *byte == b';')?;
    let name = std::str::from_utf8(&text[1..end]).ok()?;
    let piece = match name.strip_prefix('#') {
        Some(number) => {
            let digits = number.strip_prefix(['x', 'X']);
            let code = digits.map_or_else(|| number.parse().ok(), |digits| hex(Some(digits.as_bytes())));
            Piece::Char(char::from_u32(code?)?)
        }
        None => Piece::Byte(ENTITIES.iter().find(|(known, _)| *known == name)?.1),
    };
    Some((end + 1, piece))
}

/// The escapes of mail, including those of line breaks.
fn quoted_printable(text: &[u8]) -> Option<(usize, Piece)> {
    match text {
        [b'=', b'\r', b'\n', ..] => Some((3, Piece::Nothing)),
        [b'=', b'\n', ..] => Some((2, Piece::Nothing)),
        [b'=', ..] => Some((3, Piece::Byte(hex_byte(text.get(1..3))?))),
        _ => None,
    }
}

fn any_escape(text: &[u8]) -> Option<(usize, Piece)> {
    [percent, backslash, entity, quoted_printable, joined].into_iter().find_map(|decode| decode(text))
}

/// In both alphabets of base64.
fn base64_value(digit: u8) -> Option<u32> {
    Some(u32::from(match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    }))
}

fn base32_value(digit: u8) -> Option<u32> {
    Some(u32::from(match digit.to_ascii_uppercase() {
        letter @ b'A'..=b'Z' => letter - b'A',
        b'2'..=b'7' => digit - b'2' + 26,
        _ => return None,
    }))
}

fn hex_value(digit: u8) -> Option<u32> {
    char::from(digit).to_digit(16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, decode: Decoder) -> Option<String> {
        let decoded = Reading::of(text).unescaped(decode)?;
        Some(String::from_utf8_lossy(&decoded.bytes).into_owned())
    }

    #[test]
    fn escapes_are_replaced_by_what_they_stand_for() {
        let table: [(Decoder, &str, &str); 12] = [
            (percent, "a%2fb%C3%A9%u00e9", "a/béé"),
            (form, "a+b%2B", "a b+"),
            (backslash, r#"a\/b\"\u00e9\ud83d\ude00\x41\u{e9}\n"#, "a/b\"é😀Aé\n"),
            (entity, "a&amp;b&#47;&#x2F;&sol;", "a&b///"),
            (quoted_printable, "a=3Db=\r\nc=\nd", "a=bcd"),
            (joined, "a\r\n   b\u{1b}[31;1mc\u{1b}]8;;x\u{7}d\u{ad}e\u{200b}f\u{0}g", "abcdefg"),
            (shown, "a\nb\u{1b}[1mc\u{ad}", "a b[1mc"),
            (any_escape, r"a%2Fb\/c&#47;d=2Fe", "a/b/c/d/e"),
            (percent, "%zz%2fok%", "%zz/ok%"),
            (backslash, r"\q\u12\\", r"\q\u12\"),
            (entity, "&unknown; &#xD800; &#65;", "&unknown; &#xD800; A"),
            (backslash, r"\ud83d\u0041 \u0041", r"\ud83dA A"),
        ];
        for (decode, text, expected) in table {
            assert_eq!(read(text, decode).as_deref(), Some(expected), "{text}");
        }
        for decode in ESCAPES {
            assert_eq!(read("nothing to do: 1.5 & 2", decode), None);
            // Whatever stands at the end isn't read beyond it.
            for text in [
                "%",
                "%u",
                "%u1",
                "\\",
                r"\u",
                r"\u{",
                r"\ud83d\u",
                r"\x",
                "&",
                "&#",
                "&#x",
                "=",
                "\u{1b}",
                "\u{1b}[",
            ] {
                read(text, decode);
            }
        }
    }

    #[test]
    fn a_reading_knows_the_place_of_each_byte() {
        let text = "x %61%62c dG9rZW4=";
        let mut places = Vec::new();
        assert!(readings(text, |reading| {
            for word in ["abc", "token"] {
                let bytes = reading.bytes();
                if let Some(at) = bytes.windows(word.len()).position(|found| found == word.as_bytes()) {
                    places.push(&text[reading.place(at..at + word.len())]);
                }
            }
        }));
        places.sort_unstable();
        places.dedup();
        assert_eq!(places, ["%61%62c", "dG9rZW4="]);
    }

    #[test]
    fn a_text_that_says_too_many_things_is_not_read_to_its_end() {
        let text = "%252525\\\\\\\\&amp;amp;amp;=3D3D3D".repeat(4000);
        let mut bytes = 0;
        assert!(!readings(&text, |reading| bytes += reading.bytes().len()));
        assert!(bytes <= (MAX_FACTOR + 1) * text.len(), "{bytes}");
    }
}
