//! The code blocks of the pages, with the comments before them that name how they are tested.

#![allow(dead_code, reason = "each test binary that includes this file uses a part of it")]

use std::{fs, path::Path};

/// A code block.
#[derive(Debug, PartialEq)]
pub struct Block {
    /// The page, as a path from the top of the project.
    pub page: String,
    /// The number of the line with its fence.
    pub line: usize,
    pub language: String,
    /// The comments in the lines before it, without their marks.
    pub comments: Vec<String>,
    pub code: String,
}

impl Block {
    /// Where it is, for messages.
    pub fn place(&self) -> String {
        format!("{}:{}", self.page, self.line)
    }

    /// What follows a prefix such as `not run: ` in one of its comments.
    pub fn comment(&self, prefix: &str) -> Option<&str> {
        self.comments.iter().find_map(|comment| comment.strip_prefix(prefix))
    }
}

/// The blocks of a page.
pub fn of(page: &str) -> Vec<Block> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{page}: {error}"));
    parse(page, &text)
}

fn parse(page: &str, text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut comments = Vec::new();
    let mut open: Option<(Block, usize)> = None;
    for (number, line) in (1..).zip(text.lines()) {
        let trimmed = line.trim_start();
        let indent = line.len() - trimmed.len();
        match (&mut open, trimmed.strip_prefix("```")) {
            (Some(_), Some(_)) => blocks.extend(open.take().map(|(block, _)| block)),
            (Some((block, indent)), None) => {
                block.code += line.get(*indent..).unwrap_or_default();
                block.code.push('\n');
            }
            (None, Some(language)) => {
                let comments = std::mem::take(&mut comments);
                let language = language.trim().to_owned();
                let block =
                    Block { page: page.into(), line: number, language, comments, code: String::new() };
                open = Some((block, indent));
            }
            (None, None) => {
                let comment =
                    trimmed.strip_prefix("<!-- ").and_then(|rest| rest.trim_end().strip_suffix(" -->"));
                match comment {
                    Some(comment) => comments.push(comment.to_owned()),
                    None => comments.clear(),
                }
            }
        }
    }
    assert!(open.is_none(), "{page}: a block without an end");
    blocks
}

#[test]
fn a_block_has_the_comments_right_before_it() {
    let text = "<!-- far -->\ntext\n<!-- not run: why -->\n```shell\na\n  b\n```\n- item\n\n  ```text\n  c\n\n  ```\n";
    let block = |line, language: &str, comments: &[&str], code: &str| Block {
        page: "p".into(),
        line,
        language: language.into(),
        comments: comments.iter().map(|&comment| comment.into()).collect(),
        code: code.into(),
    };
    let expected = [block(4, "shell", &["not run: why"], "a\n  b\n"), block(10, "text", &[], "c\n\n")];
    assert_eq!(parse("p", text), expected);
    assert_eq!(expected[0].comment("not run: "), Some("why"));
}
