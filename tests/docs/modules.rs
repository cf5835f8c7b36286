//! The READMEs of the modules under `examples/modules/`: what goes into a module and what comes out, in tables written
//! from its code.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use crate::{files_under, first_difference, links, root};

const MARKS: (&str, &str) =
    ("<!-- inputs and outputs: written by make docs -->\n", "<!-- end of inputs and outputs -->\n");

/// The attributes of a block, by name, as they are written.
type Attributes = BTreeMap<String, String>;

/// The blocks of a kind in formatted code, with the attributes at their top.
fn blocks(code: &str, kind: &str) -> Vec<(String, Attributes)> {
    let mut blocks: Vec<(String, Attributes)> = Vec::new();
    let mut inside = false;
    for line in code.lines() {
        if let Some(rest) = line.strip_prefix(&format!("{kind} \"")) {
            blocks.push((rest.split('"').next().unwrap().to_owned(), Attributes::new()));
            inside = true;
        } else if line == "}" {
            inside = false;
        } else if let Some((name, value)) = line.strip_prefix("  ").and_then(|line| line.split_once('='))
            && inside
            && !name.starts_with(' ')
        {
            let attributes = &mut blocks.last_mut().unwrap().1;
            attributes.insert(name.trim().to_owned(), value.trim().to_owned());
        }
    }
    blocks
}

/// The tables of a module.
fn tables(module: &Path) -> String {
    let code = |name: &str| fs::read_to_string(root().join(module).join(name)).unwrap();
    let description = |name: &str, attributes: &Attributes| {
        let text = attributes.get("description").unwrap_or_else(|| panic!("{name} has no description"));
        text.trim_matches('"').to_owned()
    };
    let kind = |attributes: &Attributes| {
        let kind = attributes["type"].trim_end_matches("({");
        let marks = ["ephemeral", "sensitive"].into_iter().filter(|mark| attributes.contains_key(*mark));
        marks.fold(kind.to_owned(), |kind, mark| format!("{kind}, {mark}"))
    };
    let mut text = String::from("\n## Inputs\n\n| name | type | default | what it is |\n|---|---|---|---|\n");
    for (name, attributes) in blocks(&code("variables.tf"), "variable") {
        let default = match attributes.get("default") {
            Some(default) => format!("`{default}`"),
            None => "required".to_owned(),
        };
        let what = description(&name, &attributes);
        let _ = writeln!(text, "| `{name}` | {} | {default} | {what} |", kind(&attributes));
    }
    text += "\n## Outputs\n\n| name | what it is |\n|---|---|\n";
    for (name, attributes) in blocks(&code("outputs.tf"), "output") {
        let ephemeral = if attributes.contains_key("ephemeral") { " Ephemeral." } else { "" };
        let _ = writeln!(text, "| `{name}` | {}{ephemeral} |", description(&name, &attributes));
    }
    text.push('\n');
    text
}

fn modules() -> Vec<PathBuf> {
    let files = files_under("examples/modules").into_iter();
    files.filter(|path| path.ends_with("README.md")).map(|path| path.parent().unwrap().to_owned()).collect()
}

#[test]
fn each_module_says_what_goes_in_and_what_comes_out() {
    assert!(!modules().is_empty());
    for module in modules() {
        let page = module.join("README.md");
        let actual = fs::read_to_string(root().join(&page)).unwrap();
        let (before, rest) = actual.split_once(MARKS.0).expect("the mark where the tables begin");
        let (_, after) = rest.split_once(MARKS.1).expect("the mark where the tables end");
        let expected = format!("{before}{}{}{}{after}", MARKS.0, tables(&module), MARKS.1);
        if std::env::var_os("UPDATE_DOCS").is_some() {
            fs::write(root().join(&page), &expected).unwrap();
        } else if actual != expected {
            panic!("`make docs` would change {}{}", page.display(), first_difference(&actual, &expected));
        }
        assert_eq!(links::broken(&page), Vec::<String>::new());
    }
}

#[test]
fn attributes_are_read_at_the_top_of_blocks_only() {
    let code = "variable \"a\" {\n  description = \"Of a.\"\n  type = object({\n    b = string\n  })\n  default = null\n}\n\nlocals {\n  c = 1\n}\n";
    let attributes = [("description", "\"Of a.\""), ("type", "object({"), ("default", "null")];
    let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    assert_eq!(blocks(code, "variable"), [("a".to_owned(), attributes)]);
}
