//! What pages show of `examples/`.

use std::{fs, path::Path};

use crate::root;

/// One example: what it says about itself, and its code.
pub struct Example {
    pub introduction: String,
    pub code: String,
}

impl Example {
    /// As Markdown.
    pub fn shown(&self, language: &str) -> String {
        let code = format!("```{language}\n{}```\n", self.code);
        if self.introduction.is_empty() { code } else { format!("{}\n\n{code}", self.introduction) }
    }
}

/// The examples in a folder: `STEM.EXTENSION` first, then `STEM-*.EXTENSION`.
pub fn of(folder: &str, stem: &str, extension: &str) -> Vec<Example> {
    let others = format!("{stem}-");
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let mut names: Vec<String> = crate::files_under(folder).iter().map(|path| name(path)).collect();
    names.retain(|name| name.starts_with(&others) && name.ends_with(extension));
    names.insert(0, format!("{stem}{extension}"));
    names.iter().map(|name| single(&format!("{folder}/{name}"))).collect()
}

/// The example in a file.
pub fn single(path: &str) -> Example {
    introduced(&read(path))
}

/// A file of an example as it is.
///
/// # Panics
/// There is none: every type has to have its examples.
pub fn read(path: &str) -> String {
    fs::read_to_string(root().join(path))
        .unwrap_or_else(|error| panic!("the example {path} is needed: {error}"))
}

/// Takes a comment at the beginning, if an empty line follows, as the introduction.
fn introduced(text: &str) -> Example {
    let comment: Vec<&str> = text.lines().map_while(|line| line.strip_prefix('#')).map(str::trim).collect();
    let rest: String = text.split_inclusive('\n').skip(comment.len()).collect();
    match rest.strip_prefix('\n') {
        Some(code) if !comment.is_empty() => {
            Example { introduction: comment.join(" "), code: code.to_owned() }
        }
        _ => Example { introduction: String::new(), code: text.to_owned() },
    }
}

#[test]
fn a_comment_before_an_empty_line_introduces_the_example() {
    let parts = |text| {
        let example = introduced(text);
        (example.introduction, example.code)
    };
    assert_eq!(parts("# In two\n# lines:\n\na = 1\n"), ("In two lines:".to_owned(), "a = 1\n".to_owned()));
    assert_eq!(parts("# Of a.\na = 1\n"), (String::new(), "# Of a.\na = 1\n".to_owned()));
    assert_eq!(parts("a = 1\n"), (String::new(), "a = 1\n".to_owned()));
}
