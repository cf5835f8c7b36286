//! Links between the pages.

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

use crate::root;

/// The links of a page to files or headings that aren't there.
pub fn broken(page: &Path) -> Vec<String> {
    let text = fs::read_to_string(root().join(page)).unwrap_or_default();
    let link = regex::Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let targets = link.captures_iter(&text).map(|found| found[1].to_owned());
    let inside = targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:"));
    let broken = inside.filter(|target| !leads_somewhere(page, &text, target));
    broken.map(|target| format!("{}: {target}", page.display())).collect()
}

fn leads_somewhere(page: &Path, text: &str, target: &str) -> bool {
    let (file, heading) = target.split_once('#').unwrap_or((target, ""));
    if file.is_empty() {
        return has_heading(text, heading);
    }
    let path = root().join(without_dots(&page.parent().unwrap().join(file)));
    if heading.is_empty() {
        return path.exists();
    }
    fs::read_to_string(path).is_ok_and(|text| has_heading(&text, heading))
}

fn has_heading(text: &str, wanted: &str) -> bool {
    let anchored = text.contains(&format!("<a id=\"{wanted}\"></a>"));
    let headings = text.lines().filter_map(|line| line.strip_prefix('#'));
    anchored
        || headings.map(|heading| slug(heading.trim_start_matches('#').trim())).any(|slug| slug == wanted)
}

/// A heading as links call it.
fn slug(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    heading.to_lowercase().chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}
