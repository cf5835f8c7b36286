//! Checks of every type that the provider registers.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "a test: a panic is a failure")]

use std::path::Path;

use terraform_provider_kms::{
    plugin::{
        provider::{Provider as _, TypeKind, Types},
        schema::Schema,
    },
    provider::KmsProvider,
};

const KINDS: [(TypeKind, &str, &str); 5] = [
    (TypeKind::Resource, "resources", "resource.tf"),
    (TypeKind::DataSource, "data-sources", "data-source.tf"),
    (TypeKind::EphemeralResource, "ephemeral-resources", "ephemeral-resource.tf"),
    (TypeKind::ListResource, "list-resources", "list-resource.tfquery.hcl"),
    (TypeKind::Action, "actions", "action.tf"),
];

fn provider() -> KmsProvider {
    KmsProvider::new(|_| None)
}

fn missing(path: &str) -> bool {
    !Path::new(env!("CARGO_MANIFEST_DIR")).join(path).is_file()
}

fn assert_described(what: &str, schema: &Schema) {
    assert_sentences(what, &schema.description);
    for attribute in &schema.attributes {
        assert_sentences(&format!("{what}.{}", attribute.name), &attribute.description);
    }
}

/// A description consists of complete sentences.
fn assert_sentences(what: &str, description: &str) {
    let text = description.trim();
    assert!(text.starts_with(|c: char| c.is_uppercase() || c == '`'), "{what}: {text:?}");
    assert!(text.ends_with(['.', ')']), "{what}: {text:?}");
}

fn each_schema(types: &Types, mut check: impl FnMut(&'static str, &str, &Schema)) {
    for (kind, folder, _) in KINDS {
        for (name, schema) in types.schemas(kind) {
            check(folder, name, schema);
        }
    }
}

#[test]
fn the_provider_declares_nothing_that_cannot_be_served() {
    assert_eq!(provider().faults(), Vec::<String>::new());
}

#[test]
fn each_schema_is_described() {
    let provider = provider();
    assert_described("provider", &provider.schema());
    let types = provider.types();
    each_schema(&types, |folder, name, schema| assert_described(&format!("{folder}/{name}"), schema));
}

#[test]
fn each_identity_is_described() {
    let types = provider().types();
    for (name, schema) in types.identity_schemas() {
        assert!(!schema.attributes.is_empty(), "{name} has no identity");
        for attribute in &schema.attributes {
            assert_sentences(&format!("{name}.{}", attribute.name), &attribute.description);
        }
    }
}

#[test]
fn each_function_is_described() {
    for (name, signature) in provider().types().signatures() {
        assert_sentences(name, signature.description);
        assert!(!signature.summary.is_empty(), "{name}");
        for parameter in &signature.parameters {
            assert_sentences(&format!("{name}({})", parameter.name), parameter.description);
        }
    }
}

#[test]
fn each_name_has_the_prefix() {
    each_schema(&provider().types(), |folder, name, _| {
        assert!(name.starts_with("kms_"), "{folder}/{name}");
    });
}

/// A list resource finds objects to import, so it needs the managed resource of the same name.
#[test]
fn each_list_resource_has_its_managed_resource() {
    let types = provider().types();
    let managed: Vec<_> = types.schemas(TypeKind::Resource).into_iter().map(|(name, _)| name).collect();
    for (name, _) in types.schemas(TypeKind::ListResource) {
        assert!(managed.contains(&name), "{name}");
    }
}

#[test]
fn each_type_has_its_page_and_its_examples() {
    let types = provider().types();
    let mut needed = vec!["docs/index.md".to_owned(), "examples/provider/provider.tf".to_owned()];
    for (kind, folder, example) in KINDS {
        for (name, _) in types.schemas(kind) {
            needed.push(format!("docs/{folder}/{}.md", name.trim_start_matches("kms_")));
            needed.push(format!("examples/{folder}/{name}/{example}"));
            if kind == TypeKind::Resource {
                needed.push(format!("examples/{folder}/{name}/import.sh"));
            }
        }
    }
    for (name, _) in types.signatures() {
        needed.push(format!("docs/functions/{name}.md"));
        needed.push(format!("examples/functions/{name}/function.tf"));
    }
    needed.retain(|path| missing(path));
    assert!(needed.is_empty(), "missing: {}", needed.join(", "));
}

/// Registry tooling silently ignores misnamed files.
#[test]
fn each_example_folder_belongs_to_a_type() {
    let types = provider().types();
    let mut known: Vec<String> = Vec::new();
    each_schema(&types, |folder, name, _| known.push(format!("{folder}/{name}")));
    known.extend(types.signatures().into_iter().map(|(name, _)| format!("functions/{name}")));
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    for folder in KINDS.iter().map(|(_, folder, _)| *folder).chain(["functions"]) {
        let Ok(entries) = std::fs::read_dir(examples.join(folder)) else { continue };
        for entry in entries {
            let name = format!("{folder}/{}", entry.unwrap().file_name().to_str().unwrap());
            assert!(known.contains(&name), "examples/{name} belongs to no type");
        }
    }
}
