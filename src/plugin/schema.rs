//! Schemas: what attributes there are, and the rules about them that hold for every type.

use std::collections::BTreeMap;

use super::{
    diagnostics::Diagnostics,
    path::{Path, Step},
    value::{Refinement, Type, Value},
};

/// The attributes of a provider block, resource, data source or the like.
#[derive(Debug)]
pub struct Schema {
    /// The version of the stored state's shape. A higher one asks for an upgrade of older states.
    pub version: i64,
    /// What it is for, in Markdown.
    pub description: String,
    /// Its attributes.
    pub attributes: Vec<Attribute>,
    value_type: Type,
}

/// What an attribute holds.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Plain values.
    Plain(Type),
    /// Objects whose attributes have rules of their own.
    Nested(Nesting, Vec<Attribute>),
}

/// How nested objects are gathered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nesting {
    /// One object.
    Single,
    /// A list of objects.
    List,
}

/// Checks a known string. The error completes the sentence `Attribute X ...` and must not quote the value.
pub type StringRule = fn(&str) -> Result<(), String>;

/// Who sets an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// The configuration must.
    Required,
    /// The configuration may.
    Optional,
    /// The configuration may, else the provider does.
    OptionalComputed,
    /// Only the provider does.
    Computed,
}

/// One attribute.
#[derive(Clone, Debug)]
pub struct Attribute {
    /// Its name in configuration.
    pub name: &'static str,
    /// What it is for, in Markdown.
    pub description: String,
    /// What it holds.
    pub kind: Kind,
    /// Who sets it.
    pub usage: Usage,
    /// Terraform masks the value in its output. State holds it all the same.
    pub sensitive: bool,
    /// The value goes from configuration to the provider and is stored nowhere.
    pub write_only: bool,
    /// Why not to use it any more, and what instead.
    pub deprecated: Option<&'static str>,
    /// A new value can't be had by an update.
    pub requires_replace: bool,
    /// For a computed attribute: an update never changes the value.
    pub stable: bool,
    /// What known strings must satisfy.
    pub rules: Vec<StringRule>,
}

/// The beginning of an attribute's declaration; [`crate::model!`] adds name, description and type.
pub fn required() -> Attribute {
    Attribute {
        name: "",
        description: String::new(),
        kind: Kind::Plain(Type::Dynamic),
        usage: Usage::Required,
        sensitive: false,
        write_only: false,
        deprecated: None,
        requires_replace: false,
        stable: false,
        rules: Vec::new(),
    }
}

/// As [`required`], for an attribute that the configuration may leave out.
pub fn optional() -> Attribute {
    Attribute { usage: Usage::Optional, ..required() }
}

/// As [`required`], for an attribute that the provider sets where the configuration doesn't.
pub fn optional_computed() -> Attribute {
    Attribute { usage: Usage::OptionalComputed, ..required() }
}

/// As [`required`], for an attribute that only the provider sets.
pub fn computed() -> Attribute {
    Attribute { usage: Usage::Computed, ..required() }
}

impl Attribute {
    /// Adds a rule that known strings must satisfy.
    pub fn rule(mut self, rule: StringRule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Makes Terraform mask the value in its output.
    pub fn sensitive(mut self) -> Self {
        self.sensitive = true;
        self
    }

    /// Keeps the value out of plan and state.
    pub fn write_only(mut self) -> Self {
        self.write_only = true;
        self
    }

    /// Makes a changed value replace the resource.
    pub fn requires_replace(mut self) -> Self {
        self.requires_replace = true;
        self
    }

    /// Says that an update never changes this computed value.
    pub fn stable(mut self) -> Self {
        self.stable = true;
        self
    }

    /// Warns users off, saying what to use instead.
    pub fn deprecated(mut self, instead: &'static str) -> Self {
        self.deprecated = Some(instead);
        self
    }

    /// The type of its values.
    pub fn value_type(&self) -> Type {
        match &self.kind {
            Kind::Plain(value_type) => value_type.clone(),
            Kind::Nested(Nesting::Single, attributes) => object_type(attributes),
            Kind::Nested(Nesting::List, attributes) => Type::List(Box::new(object_type(attributes))),
        }
    }
}

fn object_type(attributes: &[Attribute]) -> Type {
    Type::Object(attributes.iter().map(|a| (a.name.to_owned(), a.value_type())).collect())
}

impl Schema {
    /// A schema of version 0.
    pub fn new(description: impl Into<String>, attributes: Vec<Attribute>) -> Self {
        let value_type = object_type(&attributes);
        Self { version: 0, description: description.into(), attributes, value_type }
    }

    /// The object type of its values.
    pub fn value_type(&self) -> &Type {
        &self.value_type
    }

    /// Faults that Terraform's core would refuse the whole provider for, and some that it would not notice until a
    /// user does. Empty for a sound schema.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        attribute_faults(&self.attributes, &Path::root(), &mut faults);
        faults
    }

    /// Checks a configuration against what core leaves to the provider: required attributes set to null, computed ones
    /// set at all, and every attribute's own rules. Unknown values pass.
    ///
    /// `write_only_allowed` says whether the client keeps write-only values out of state.
    pub fn validate(&self, config: &Value, write_only_allowed: bool) -> Diagnostics {
        let mut diagnostics = Diagnostics::new();
        let walk = Validation { write_only_allowed };
        walk.object(&self.attributes, config, &Path::root(), &mut diagnostics);
        diagnostics
    }

    /// Sets every write-only attribute to null, as every value that leaves the provider must have it.
    pub fn without_write_only(&self, value: Value) -> Value {
        nullify_write_only(&self.attributes, value)
    }

    /// For a create: makes the attributes unknown that the provider decides, but not null once they are known.
    pub fn with_computed_unknown(&self, planned: Value, config: &Value) -> Value {
        self.map_computed(planned, config, |_| true)
    }

    /// For an update: makes those attributes unknown that the provider decides and that an update may change.
    pub fn with_unstable_unknown(&self, planned: Value, config: &Value) -> Value {
        self.map_computed(planned, config, |attribute| !attribute.stable)
    }

    fn map_computed(&self, planned: Value, config: &Value, affected: impl Fn(&Attribute) -> bool) -> Value {
        let Value::Map(mut attributes) = planned else { return planned };
        let decided = |attribute: &&Attribute| match attribute.usage {
            Usage::Computed => true,
            Usage::OptionalComputed => config.attribute(attribute.name).is_none_or(Value::is_null),
            Usage::Required | Usage::Optional => false,
        };
        for attribute in self.attributes.iter().filter(decided).filter(|a| affected(a)) {
            attributes.insert(attribute.name.to_owned(), Value::Unknown(Refinement::not_null()));
        }
        Value::Map(attributes)
    }

    /// What a configuration would have to say for this state: what only the provider decides is null, and so is what
    /// can't be read back or shouldn't be used any more.
    pub fn config_of(&self, state: Value) -> Value {
        let Value::Map(mut attributes) = self.without_write_only(state) else { return Value::Null };
        let left_out = |a: &&Attribute| a.usage == Usage::Computed || a.deprecated.is_some();
        for attribute in self.attributes.iter().filter(left_out) {
            attributes.insert(attribute.name.to_owned(), Value::Null);
        }
        Value::Map(attributes)
    }

    /// The attributes whose planned value can't be had by an update of the prior one.
    pub fn replaced_by(&self, prior: &Value, planned: &Value) -> Vec<Path> {
        let changed = |name: &str| prior.attribute(name) != planned.attribute(name);
        let replacing = self.attributes.iter().filter(|a| a.requires_replace && changed(a.name));
        replacing.map(|a| Path::attribute(a.name)).collect()
    }
}

fn attribute_faults(attributes: &[Attribute], path: &Path, faults: &mut Vec<String>) {
    let mut seen = BTreeMap::new();
    for attribute in attributes {
        let path = path.and(attribute.name);
        let mut fault = |text: &str| faults.push(format!("{path}: {text}"));
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if attribute.name.is_empty() || !attribute.name.chars().all(legal) {
            fault("the name has other characters than a-z, 0-9 and _");
        }
        if seen.insert(attribute.name, ()).is_some() {
            fault("declared twice");
        }
        if attribute.description.is_empty() {
            fault("no description");
        }
        if attribute.write_only && matches!(attribute.usage, Usage::Computed | Usage::OptionalComputed) {
            fault("write-only and computed");
        }
        if attribute.stable && matches!(attribute.usage, Usage::Required | Usage::Optional) {
            fault("stable, but not computed");
        }
        if !attribute.rules.is_empty() && !matches!(attribute.kind, Kind::Plain(Type::String)) {
            fault("has string rules, but is no string");
        }
        if let Kind::Nested(_, nested) = &attribute.kind {
            if attribute.write_only && nested.iter().any(|a| !a.write_only) {
                faults.push(format!("{path}: write-only, but something inside is not"));
            }
            attribute_faults(nested, &path, faults);
        }
    }
}

fn nullify_write_only(attributes: &[Attribute], value: Value) -> Value {
    match value {
        Value::Map(mut elements) => {
            for attribute in attributes {
                if let Some(element) = elements.get_mut(attribute.name) {
                    if attribute.write_only {
                        *element = Value::Null;
                    } else if let Kind::Nested(_, nested) = &attribute.kind {
                        *element = nullify_write_only(nested, std::mem::replace(element, Value::Null));
                    }
                }
            }
            Value::Map(elements)
        }
        Value::Sequence(objects) => Value::Sequence(
            objects.into_iter().map(|object| nullify_write_only(attributes, object)).collect(),
        ),
        other => other,
    }
}

struct Validation {
    write_only_allowed: bool,
}

impl Validation {
    fn object(&self, attributes: &[Attribute], object: &Value, path: &Path, diagnostics: &mut Diagnostics) {
        // An unknown object has no attributes to look at yet.
        if !matches!(object, Value::Map(_)) {
            return;
        }
        for attribute in attributes {
            let value = object.attribute(attribute.name).unwrap_or(&Value::Null);
            self.attribute(attribute, value, path.and(attribute.name), diagnostics);
        }
    }

    fn attribute(&self, attribute: &Attribute, value: &Value, path: Path, diagnostics: &mut Diagnostics) {
        let name = attribute.name;
        match (attribute.usage, value) {
            (Usage::Required, Value::Null) => {
                let detail = format!("\"{name}\" is required, but its value here is null.");
                diagnostics.error(Some(path), "Missing value for a required attribute", detail);
                return;
            }
            (Usage::Computed, Value::Null) | (_, Value::Null | Value::Unknown(_)) => {
                if attribute.write_only && value.is_unknown() {
                    self.check_capability(name, path, diagnostics);
                }
                return;
            }
            (Usage::Computed, _) => {
                let detail =
                    format!("\"{name}\" is decided by the server. Remove it from the configuration.");
                diagnostics.error(Some(path), "Attribute can't be set", detail);
                return;
            }
            _ => {}
        }
        if attribute.write_only && !self.check_capability(name, path.clone(), diagnostics) {
            return;
        }
        if let Value::String(text) = value {
            for problem in attribute.rules.iter().filter_map(|rule| rule(text).err()) {
                diagnostics.error(
                    Some(path.clone()),
                    format!("Invalid {name}"),
                    format!("\"{name}\" {problem}"),
                );
            }
        }
        if let Kind::Nested(nesting, nested) = &attribute.kind {
            match (nesting, value) {
                (Nesting::List, Value::Sequence(objects)) => {
                    for (i, object) in objects.iter().enumerate() {
                        self.object(nested, object, &path.then(Step::Index(i as i64)), diagnostics);
                    }
                }
                _ => self.object(nested, value, &path, diagnostics),
            }
        }
    }

    /// An old client would write the value to its state and then fail on an inconsistent plan: better one clear error.
    fn check_capability(&self, name: &str, path: Path, diagnostics: &mut Diagnostics) -> bool {
        if !self.write_only_allowed {
            diagnostics.error(
                Some(path),
                "Write-only attributes need Terraform 1.11 or later",
                format!(
                    "\"{name}\" is write-only, so that its value is never stored. The client that runs this provider \
                     can't keep such values out of its state file. Use Terraform 1.11 or later, or OpenTofu 1.11 or \
                     later."
                ),
            );
        }
        self.write_only_allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(name: &'static str, attribute: Attribute, kind: Kind) -> Attribute {
        Attribute { name, kind, description: "d".into(), ..attribute }
    }

    fn string() -> Kind {
        Kind::Plain(Type::String)
    }

    fn schema() -> Schema {
        fn short(text: &str) -> Result<(), String> {
            if text.len() < 4 { Ok(()) } else { Err("is too long.".into()) }
        }
        Schema::new(
            "test",
            vec![
                attribute("id", computed().stable(), string()),
                attribute("hash", computed(), string()),
                attribute("name", required().rule(short).requires_replace(), string()),
                attribute("token", required().write_only(), string()),
                attribute(
                    "items",
                    optional(),
                    Kind::Nested(
                        Nesting::List,
                        vec![
                            attribute("key", required(), string()),
                            attribute("secret", optional().write_only(), string()),
                        ],
                    ),
                ),
            ],
        )
    }

    fn object<const N: usize>(attributes: [(&str, Value); N]) -> Value {
        Value::Map(attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    fn problems(config: Value, write_only_allowed: bool) -> Vec<String> {
        let diagnostics = schema().validate(&config, write_only_allowed);
        diagnostics
            .iter()
            .map(|d| format!("{}: {}", d.attribute.clone().unwrap_or_default(), d.summary))
            .collect()
    }

    #[test]
    fn a_sound_schema_has_no_faults_and_an_unsound_one_has() {
        assert_eq!(schema().faults(), Vec::<String>::new());
        let bad = Schema::new(
            "bad",
            vec![
                attribute("Name", computed().write_only(), string()),
                attribute("x", optional().stable(), Kind::Plain(Type::Bool)),
                attribute("x", optional().rule(|_| Ok(())), Kind::Plain(Type::Bool)),
            ],
        );
        assert_eq!(bad.faults().len(), 5, "{:?}", bad.faults());
    }

    #[test]
    fn null_computed_and_broken_rules_are_named_by_attribute() {
        let config = object([
            ("id", Value::string("x")),
            ("name", Value::string("long")),
            ("token", Value::Null),
            ("items", Value::Sequence(vec![object([("key", Value::Null)])])),
        ]);
        assert_eq!(
            problems(config, true),
            [
                "id: Attribute can't be set",
                "name: Invalid name",
                "token: Missing value for a required attribute",
                "items[0].key: Missing value for a required attribute",
            ]
        );
    }

    #[test]
    fn unknown_values_pass() {
        let config = object([
            ("name", Value::unknown()),
            ("token", Value::unknown()),
            ("items", Value::Sequence(vec![Value::unknown()])),
        ]);
        assert_eq!(problems(config, true), Vec::<String>::new());
    }

    #[test]
    fn old_clients_are_told_about_write_only_attributes() {
        let config = object([("name", Value::string("a")), ("token", Value::string("t"))]);
        assert_eq!(problems(config, false), ["token: Write-only attributes need Terraform 1.11 or later"]);
        let config = object([("name", Value::string("a")), ("token", Value::unknown())]);
        assert_eq!(problems(config, false), ["token: Write-only attributes need Terraform 1.11 or later"]);
    }

    #[test]
    fn write_only_values_are_nulled_at_every_depth() {
        let value = object([
            ("token", Value::string("t")),
            (
                "items",
                Value::Sequence(vec![object([("key", Value::string("k")), ("secret", Value::string("s"))])]),
            ),
        ]);
        let expected = object([
            ("token", Value::Null),
            ("items", Value::Sequence(vec![object([("key", Value::string("k")), ("secret", Value::Null)])])),
        ]);
        assert_eq!(schema().without_write_only(value), expected);
    }

    #[test]
    fn computed_values_become_unknown_unless_an_update_keeps_them() {
        let prior = || object([("id", Value::string("1")), ("hash", Value::string("h"))]);
        let created = schema().with_computed_unknown(prior(), &object([]));
        assert_eq!(created.attribute("id"), Some(&Value::Unknown(Refinement::not_null())));
        let updated = schema().with_unstable_unknown(prior(), &object([]));
        assert_eq!(updated.attribute("id"), Some(&Value::string("1")));
        assert_eq!(updated.attribute("hash"), Some(&Value::Unknown(Refinement::not_null())));
    }

    #[test]
    fn only_changed_attributes_replace() {
        let a = object([("name", Value::string("a"))]);
        let b = object([("name", Value::string("b"))]);
        assert_eq!(schema().replaced_by(&a, &b), [Path::attribute("name")]);
        assert_eq!(schema().replaced_by(&a, &a), []);
    }
}
