//! Secrets that the KMS repeats in its responses. The client puts a placeholder in their place, and the
//! provider says so.

use crate::{
    kms::PLACEHOLDER,
    plugin::{
        diagnostics::Diagnostics,
        path::{Path, Step},
        value::Value,
    },
    provider::messages::failures,
};

/// The attributes in a value that have a placeholder, each with its path.
pub fn attributes(value: &Value) -> Vec<Path> {
    let mut found = Vec::new();
    collect(value, &Path::root(), &mut found);
    found
}

fn collect(value: &Value, path: &Path, found: &mut Vec<Path>) {
    let is_new = |found: &[Path]| !found.contains(path);
    match value {
        Value::String(text) if text == PLACEHOLDER && is_new(found) => found.push(path.clone()),
        // Elements of sets have no index, so those of lists go without one too.
        Value::Sequence(elements) => elements.iter().for_each(|element| collect(element, path, found)),
        Value::Map(attributes) => {
            for (name, value) in attributes {
                match name == PLACEHOLDER {
                    true if is_new(found) => found.push(path.clone()),
                    true => {}
                    false => collect(value, &path.then(Step::Attribute(name.to_string())), found),
                }
            }
        }
        Value::Dynamic(_, value) => collect(value, path, found),
        _ => {}
    }
}

/// Warns of the placeholders in a value, once for all of them. `what` is the object, such as `the project
/// "shop"`.
pub fn warn(what: &str, value: &Value, diagnostics: &mut Diagnostics) {
    let attributes = attributes(value);
    if !attributes.is_empty() {
        failures::secret_in_response(what, &attributes, diagnostics);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_found_at_every_depth_and_named_once() {
        let hidden = || Value::string(PLACEHOLDER);
        let object = |fields: Vec<(&'static str, Value)>| {
            Value::Map(fields.into_iter().map(|(name, value)| (name.into(), value)).collect())
        };
        let listed = || object(vec![("name", hidden()), ("id", Value::string("x"))]);
        let value = object(vec![
            ("org_id", hidden()),
            ("name", Value::string("orders")),
            ("projects", Value::Sequence(vec![listed(), listed()])),
            ("environments", object(vec![(PLACEHOLDER, Value::string("x"))])),
        ]);
        let paths: Vec<_> = attributes(&value).iter().map(Path::to_string).collect();
        assert_eq!(paths, ["environments", "org_id", "projects.name"]);
    }
}
