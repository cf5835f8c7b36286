//! Text that a terminal shows as it is: control characters and invisible characters become visible.
//!
//! Terraform prints texts of a provider unchanged, and they may have words of a server in them. Terminals
//! interpret control characters, and others reorder or hide what is around them.

use std::borrow::Cow;

use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{DefaultIgnorableCodePoint, GeneralCategory},
};

/// The text on one line, with escapes such as `\n` and `\u{202e}` in the place of hidden characters.
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, is_hidden)
}

/// The same for a text of several lines: newlines and tabs stay.
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| is_hidden(c) && c != '\n' && c != '\t')
}

fn escaped(text: &str, is_hidden: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_hidden(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    Cow::Owned(shown)
}

/// Whether a character has no shape of its own. Unicode's categories are complete, a list of known tricks
/// is not.
fn is_hidden(c: char) -> bool {
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
    fn hidden_characters_are_shown() {
        for c in "\u{0}\u{7}\u{8}\u{b}\u{1b}\r\u{7f}\u{80}\u{9b}\u{9d}\u{ad}\u{61c}\u{180e}\u{200b}\u{200c}\
                  \u{200d}\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2060}\
                  \u{2066}\u{2067}\u{2068}\u{2069}\u{feff}\u{fe0f}\u{115f}\u{3164}\u{fff9}\u{e0001}\u{e0020}\
                  \u{e0041}\u{e007f}\u{e0100}"
            .chars()
        {
            let (text, shown) = (format!("a{c}b"), format!("a{}b", c.escape_default()));
            assert!(shown.is_ascii(), "{shown}");
            assert_eq!((line(&text), lines(&text)), (shown.as_str().into(), shown.as_str().into()));
        }
    }

    #[test]
    fn newlines_stay_where_there_are_several_lines() {
        assert_eq!(line("a\n\tb"), "a\\n\\tb");
        assert_eq!(lines("a\n\tb\r\n"), "a\n\tb\\r\n");
    }

    #[test]
    fn visible_characters_stay() {
        let text = "Größe 名前 עברית ع é \u{1f680} a\\b \"c\" %\u{a0}e\u{301}";
        assert!(matches!(line(text), Cow::Borrowed(same) if same == text));
        assert!(matches!(lines(text), Cow::Borrowed(same) if same == text));
    }
}
