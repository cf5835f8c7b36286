//! Whole pages.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::PathBuf};

use terraform_provider_kms::plugin::{
    provider::{TypeKind, Types},
    schema::Schema,
};

use crate::{examples, files_under, functions, root, schema};

const BY_HAND: (&str, &str) = ("<!-- written by hand -->\n", "<!-- end of what is written by hand -->\n");

/// A kind of types: where its pages and examples are, and what readers call it.
struct Section {
    folder: &'static str,
    stem: &'static str,
    extension: &'static str,
    title: &'static str,
}

fn section_of(kind: TypeKind) -> Section {
    let (folder, stem, extension, title) = match kind {
        TypeKind::Resource => ("resources", "resource", ".tf", "Resource"),
        TypeKind::DataSource => ("data-sources", "data-source", ".tf", "Data Source"),
        TypeKind::EphemeralResource => {
            ("ephemeral-resources", "ephemeral-resource", ".tf", "Ephemeral Resource")
        }
        TypeKind::ListResource => ("list-resources", "list-resource", ".tfquery.hcl", "List Resource"),
        TypeKind::Action => ("actions", "action", ".tf", "Action"),
    };
    Section { folder, stem, extension, title }
}

const KINDS: [TypeKind; 5] = [
    TypeKind::Resource,
    TypeKind::DataSource,
    TypeKind::EphemeralResource,
    TypeKind::ListResource,
    TypeKind::Action,
];

/// Where the registry's menu has a type or function.
///
/// # Panics
/// None is named here yet.
fn subcategory(name: &str) -> &'static str {
    let of_prefix = [("kms_dbt_", "App Connections"), ("kms_project", "Projects"), ("kms_secret", "Secrets")];
    let found = of_prefix.into_iter().find(|(prefix, _)| name.starts_with(prefix));
    found.unwrap_or_else(|| panic!("tests/docs/pages.rs has to name the subcategory of {name}")).1
}

/// All pages that are not guides, by path.
pub fn all(provider: &Schema, types: &Types) -> BTreeMap<PathBuf, String> {
    let mut pages = BTreeMap::from([(PathBuf::from("docs/index.md"), index(provider))]);
    for kind in KINDS {
        for (name, schema) in types.schemas(kind) {
            let path = format!("docs/{}/{}.md", section_of(kind).folder, short(name));
            let identity = types.identity_schemas().into_iter().find(|(of, _)| *of == name);
            let import = identity.filter(|_| kind == TypeKind::Resource).map(|(_, schema)| schema);
            let text = of_type(name, &section_of(kind), schema, import, &path);
            pages.insert(path.into(), text);
        }
    }
    for (name, signature) in types.signatures() {
        let path = format!("docs/functions/{name}.md");
        let mut text = front_matter(&format!("{name} (Function) - kms"), "", signature.summary);
        let _ = write!(text, "# function: {name}\n\n{}\n\n{}", signature.description.trim(), by_hand(&path));
        text += &example_usage(&format!("examples/functions/{name}"), "function", ".tf");
        text += &functions::section(name, &signature);
        pages.insert(path.into(), text);
    }
    pages
}

fn short(name: &str) -> &str {
    name.strip_prefix("kms_").expect("the names of types begin with kms_")
}

fn index(provider: &Schema) -> String {
    let mut text = front_matter("Hanzo KMS Provider", "", &first_paragraph(&provider.description));
    let _ = write!(text, "# Hanzo KMS Provider\n\n{}\n\n{}", provider.description, by_hand("docs/index.md"));
    text += &example_usage("examples/provider", "provider", ".tf");
    text += "## Guides\n\n";
    for guide in files_under("docs/guides") {
        let title = fs::read_to_string(root().join(&guide)).unwrap();
        let title =
            title.lines().find_map(|line| line.strip_prefix("# ")).expect("a guide has a title").to_owned();
        let link = guide.strip_prefix("docs").unwrap().display().to_string();
        let _ = writeln!(text, "- [{title}]({link})");
    }
    text.push('\n');
    text += &schema::section(provider);
    text
}

fn of_type(name: &str, section: &Section, schema: &Schema, import: Option<&Schema>, path: &str) -> String {
    let description = schema.description.trim();
    let title = format!("{name} ({})", section.title);
    let mut text = front_matter(&format!("{title} - kms"), subcategory(name), &first_paragraph(description));
    let _ = write!(text, "# {title}\n\n{description}\n\n{}", by_hand(path));
    let folder = format!("examples/{}/{name}", section.folder);
    text += &example_usage(&folder, section.stem, section.extension);
    text += &schema::section(schema);
    if let Some(identity) = import {
        text += &import_section(&folder, identity);
    }
    text
}

fn front_matter(title: &str, subcategory: &str, description: &str) -> String {
    format!(
        "---\n# Written by `make docs` from the schema and from examples/, but for what stands between the marks.\n\
         page_title: \"{title}\"\nsubcategory: \"{subcategory}\"\ndescription: |-\n  {description}\n---\n\n"
    )
}

fn example_usage(folder: &str, stem: &str, extension: &str) -> String {
    let examples = examples::of(folder, stem, extension);
    let shown: Vec<String> = examples.iter().map(|example| example.shown("terraform")).collect();
    format!("## Example Usage\n\n{}\n", shown.join("\n"))
}

fn import_section(folder: &str, identity: &Schema) -> String {
    let mut text = String::from("\n## Import\n");
    let code = |name: &str| fs::read_to_string(root().join(format!("{folder}/{name}"))).ok();
    if let Some(code) = code("import-by-string-id.tf") {
        let _ = write!(text, "\nWith an `import` block, by ID or by names:\n\n```terraform\n{code}```\n");
    }
    if let Some(code) = code("import-by-identity.tf") {
        let _ = write!(
            text,
            "\nWith an `import` block, by identity (Terraform 1.12 or later):\n\n```terraform\n{code}```\n\n\
             <!-- identity schema generated by make docs -->\n### Identity Schema\n{}",
            schema::identity(identity)
        );
    }
    let command = examples::read(&format!("{folder}/import.sh"));
    let _ = write!(text, "\nWith the command `terraform import`:\n\n```shell\n{command}```\n");
    text
}

/// The part that people wrote into the page as it is now, with its marks.
fn by_hand(path: &str) -> String {
    let page = fs::read_to_string(root().join(path)).unwrap_or_default();
    let inside = page.split_once(BY_HAND.0).and_then(|(_, rest)| rest.split_once(BY_HAND.1));
    inside.map(|(text, _)| format!("{}{text}{}\n", BY_HAND.0, BY_HAND.1)).unwrap_or_default()
}

/// The first paragraph, as plain text in one line: links by their words, no marks of code.
fn first_paragraph(markdown: &str) -> String {
    let paragraph = markdown.trim().split("\n\n").next().unwrap_or_default();
    let link = regex::Regex::new(r"\[([^\]]*)\]\([^)]*\)").unwrap();
    let words = link.replace_all(paragraph, "$1").replace('`', "");
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}
