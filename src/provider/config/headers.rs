//! The headers for gateways in front of the KMS.

use super::{
    block::{CUSTOM_HEADERS, ProviderConfig},
    source::Source,
};
use crate::{
    kms::{self, HeaderProblem},
    plugin::diagnostics::Diagnostics,
    provider::messages::{rules as reason, settings},
    secret::Secret,
};

/// Refuses headers of the block that can't be sent.
pub fn validate(config: &ProviderConfig, diagnostics: &mut Diagnostics) {
    of_block(config, diagnostics);
}

/// The headers of the block if it has the attribute, even if the map is empty; otherwise those of the
/// environment. Validation has reported what is wrong with the block.
pub fn custom_headers(
    config: &ProviderConfig,
    source: Source<'_>,
    diagnostics: &mut Diagnostics,
) -> kms::CustomHeaders {
    if let Some(headers) = of_block(config, &mut Diagnostics::new()) {
        return headers;
    }
    let Some(text) = source.variable(CUSTOM_HEADERS.variable) else { return kms::CustomHeaders::default() };
    let mut headers = kms::CustomHeaders::default();
    match parse(&text) {
        Ok(parsed) => {
            for (number, (name, value)) in (1..).zip(&parsed) {
                match add(&mut headers, name, value) {
                    Ok(()) => {}
                    Err(HeaderProblem::InvalidName) => {
                        invalid(false, &reason::not_a_header(number), diagnostics)
                    }
                    Err(problem) => invalid(false, &reason::header(problem, name), diagnostics),
                }
            }
        }
        Err(number) => invalid(false, &reason::not_a_header(number), diagnostics),
    }
    headers
}

fn of_block(config: &ProviderConfig, diagnostics: &mut Diagnostics) -> Option<kms::CustomHeaders> {
    let mut headers = kms::CustomHeaders::default();
    for (name, value) in config.custom_headers.known()? {
        // What is unknown is checked once it is known, and null is left out.
        if let Some(value) = value.known()
            && let Err(problem) = add(&mut headers, name, value)
        {
            invalid(true, &reason::header(problem, name), diagnostics);
        }
    }
    Some(headers)
}

/// Adds a header, unless its value is empty: that counts as not set, as everywhere.
fn add(headers: &mut kms::CustomHeaders, name: &str, value: &Secret) -> Result<(), HeaderProblem> {
    if value.is_empty() && !name.is_empty() { Ok(()) } else { headers.add(name, value) }
}

fn invalid(in_block: bool, problem: &str, diagnostics: &mut Diagnostics) {
    settings::invalid(CUSTOM_HEADERS.attribute, &CUSTOM_HEADERS.subject(in_block), problem, diagnostics);
}

/// Parses the variable as the KMS's own CLI does (`packages/util/common.go`): headers of the form `Name=value` or
/// `Name="a value"`, separated by white space, which may also follow the equals sign. A backslash before a quote
/// keeps the quote from ending the value, and stays in it. A quote that isn't closed ends with the text.
///
/// # Errors
/// The number of the header that has no equals sign, or nothing else as its value: that is the end of a token
/// in base64, whose beginning must not pass for a name, because errors show names.
fn parse(text: &str) -> Result<Vec<(String, Secret)>, usize> {
    let is_space = |c: char| matches!(c, '\t'..='\r' | ' ');
    let mut headers = Vec::new();
    let mut rest = text.trim_start_matches(is_space);
    while !rest.is_empty() {
        let end = rest.find(|c| c == '=' || is_space(c)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let after = after.strip_prefix('=').ok_or(headers.len() + 1)?.trim_start_matches(is_space);
        let (value, after) = match after.chars().next() {
            Some(quote @ ('"' | '\'')) => quoted(&after[1..], quote),
            _ => after.split_at(after.find(is_space).unwrap_or(after.len())),
        };
        if !value.is_empty() && value.bytes().all(|byte| byte == b'=') {
            return Err(headers.len() + 1);
        }
        headers.push((name.to_owned(), Secret::new(value)));
        rest = after.trim_start_matches(is_space);
    }
    Ok(headers)
}

/// A text up to the quote that ends it, and what follows the quote.
fn quoted(text: &str, quote: char) -> (&str, &str) {
    let is_end = |(at, _): &(usize, &str)| !text[..*at].ends_with('\\');
    match text.match_indices(quote).find(is_end) {
        Some((at, _)) => (&text[..at], &text[at + 1..]),
        None => (text, ""),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        plugin::model::Field,
        provider::config::tests::{error, known, ready, with_token},
    };

    type Headers = BTreeMap<String, Field<Secret>>;

    fn block(headers: &[(&str, &str)]) -> ProviderConfig {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), known(Secret::new(*value))));
        ProviderConfig { custom_headers: known(headers.collect()), ..with_token() }
    }

    fn names(config: &ProviderConfig, variables: &[(&str, &str)]) -> Vec<String> {
        ready(config, variables).custom_headers.names()
    }

    fn parsed(text: &str) -> Result<Vec<(String, String)>, usize> {
        let headers = parse(text)?;
        Ok(headers.into_iter().map(|(name, value)| (name, value.expose().to_owned())).collect())
    }

    #[test]
    fn the_variable_has_the_form_of_the_cli_of_the_kms() {
        for (text, expected) in [
            ("", &[][..]),
            (" \n\t", &[]),
            ("A=1", &[("A", "1")]),
            ("A=1 B=2", &[("A", "1"), ("B", "2")]),
            ("  A=1\n\tB=2  ", &[("A", "1"), ("B", "2")]),
            // Only the first equals sign separates.
            ("A=a=b==", &[("A", "a=b==")]),
            ("A=\"one two\" B='three four'", &[("A", "one two"), ("B", "three four")]),
            ("A=\"it's\" B='say \"x\"'", &[("A", "it's"), ("B", "say \"x\"")]),
            // An escaped quote doesn't end the value, and keeps its backslash.
            (r#"A="a\"b" B=2"#, &[("A", r#"a\"b"#), ("B", "2")]),
            // A quote inside a value has no meaning.
            ("A=a\"b B=c'd", &[("A", "a\"b"), ("B", "c'd")]),
            ("A=\"1\"B=2", &[("A", "1"), ("B", "2")]),
            ("A=\"open B=2", &[("A", "open B=2")]),
            ("A= 1", &[("A", "1")]),
            ("A= B=2", &[("A", "B=2")]),
            ("A=", &[("A", "")]),
            ("A=\"\" B=2", &[("A", ""), ("B", "2")]),
            ("=1", &[("", "1")]),
        ] {
            let expected: Vec<_> =
                expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            assert_eq!(parsed(text), Ok(expected), "{text:?}");
        }
        for (text, number) in
            [("A", 1), ("A=1 B", 2), ("A=1 B =2", 2), ("A=1 2 C=3", 2), ("A=Basic YTpi==", 2)]
        {
            assert_eq!(parsed(text), Err(number), "{text:?}");
        }
    }

    #[test]
    fn the_block_wins_over_the_environment_as_a_whole() {
        let variables = [("KMS_CUSTOM_HEADERS", "X-Env=1 X-Both=2")];
        assert_eq!(names(&with_token(), &[]), Vec::<String>::new());
        assert_eq!(names(&with_token(), &[("KMS_CUSTOM_HEADERS", "")]), Vec::<String>::new());
        assert_eq!(names(&with_token(), &[("KMS_CUSTOM_HEADERS", " ")]), Vec::<String>::new());
        assert_eq!(names(&with_token(), &variables), ["X-Env", "X-Both"]);
        assert_eq!(names(&block(&[("X-Both", "3")]), &variables), ["X-Both"]);
        assert_eq!(names(&block(&[]), &variables), Vec::<String>::new());
    }

    #[test]
    fn what_has_no_value_is_not_sent() {
        assert_eq!(names(&block(&[("X-A", ""), ("X-B", "1")]), &[]), ["X-B"]);
        assert_eq!(names(&with_token(), &[("KMS_CUSTOM_HEADERS", "X-A=\"\" X-B=1")]), ["X-B"]);
        let null =
            Headers::from([("X-A".to_owned(), Field::Null), ("X-B".to_owned(), known(Secret::new("1")))]);
        let config = ProviderConfig { custom_headers: known(null), ..with_token() };
        assert_eq!(names(&config, &[]), ["X-B"]);
    }

    #[test]
    fn what_can_not_be_sent_is_refused_by_name_without_its_value() {
        for (headers, said) in [
            (&[("Authorization", "hunter2")][..], "\"Authorization\""),
            (&[("X A", "hunter2")], "\"X A\""),
            (&[("", "hunter2")], "\"\""),
            (&[("X-A", "hunter2\n")], "\"X-A\""),
            (&[("X-A", "hunter2\u{e9}")], "\"X-A\""),
            (&[("X-A", "hunter2"), ("x-a", "hunter2")], "\"x-a\""),
        ] {
            let refused = error(&block(headers), &[]);
            assert!(refused.starts_with("Invalid custom_headers: \"custom_headers\" "), "{refused}");
            assert!(refused.contains(said) && !refused.contains("hunter2"), "{refused}");
        }
        for (text, said) in [
            ("Host=hunter2", "\"Host\""),
            ("X-A=1 X-A=hunter2", "\"X-A\""),
            ("X-A=\"hunter2\u{1}\"", "\"X-A\""),
            // Parts of a value with spaces, of which nothing is shown.
            ("X-A=a hunter2", "header 2"),
            ("X-A=a hunter2/+==", "header 2"),
            ("=hunter2", "header 1"),
        ] {
            let refused = error(&with_token(), &[("KMS_CUSTOM_HEADERS", text)]);
            assert!(
                refused.starts_with("Invalid custom_headers: The variable KMS_CUSTOM_HEADERS "),
                "{refused}"
            );
            assert!(refused.contains(said) && !refused.contains("hunter2"), "{refused}");
        }
    }

    #[test]
    fn validation_checks_what_is_known_already() {
        let mut headers = Headers::from([("X-A".to_owned(), Field::unknown())]);
        let count = |headers: &Headers| {
            let config = ProviderConfig { custom_headers: known(headers.clone()), ..with_token() };
            let mut diagnostics = Diagnostics::new();
            validate(&config, &mut diagnostics);
            diagnostics.iter().count()
        };
        assert_eq!(count(&headers), 0);
        headers.insert("Host".to_owned(), known(Secret::new("x")));
        assert_eq!(count(&headers), 1);
    }
}
