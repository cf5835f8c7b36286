//! Words of a server or a library, as messages can show them: on one line, with hidden characters visible.

use std::borrow::Cow;

use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{DefaultIgnorableCodePoint, GeneralCategory},
};

/// The text on one line, with escapes such as `\n` and `\u{202e}` in the place of hidden characters.
pub fn line(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_hidden(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    Cow::Owned(shown)
}

/// Whether a character has no shape of its own: terminals interpret it, or it reorders or hides text.
pub(super) fn is_hidden(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    let category = CodePointMapData::<GeneralCategory>::new().get(c);
    matches!(
        category,
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
    ) || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_server_stay_on_one_line() {
        let hostile =
            "\u{1b}[31mRED\u{1b}]0;OWNED\u{7}\u{202e}gnp\u{2066}x\u{2069}\r\nError: fake line\u{e0041}";
        assert_eq!(
            line(hostile),
            r"\u{1b}[31mRED\u{1b}]0;OWNED\u{7}\u{202e}gnp\u{2066}x\u{2069}\r\nError: fake line\u{e0041}"
        );
        assert!(matches!(line("Größe \u{1f680} \\n"), Cow::Borrowed(_)));
    }
}
