//! Faults of a schema: declarations that make Terraform's core reject the whole provider, and declarations that this
//! runtime doesn't support. A provider with a faulty schema refuses to serve, so that no declaration is silently
//! ignored.

use std::collections::BTreeSet;

use super::{super::path::Path, Attribute, Kind, Nesting, Role, Rule, Schema, Type, Usage};

/// Names that Terraform reserves.
const RESERVED_IN_RESOURCES: [&str; 7] =
    ["connection", "count", "depends_on", "for_each", "lifecycle", "provider", "provisioner"];
const RESERVED_IN_PROVIDERS: [&str; 2] = ["alias", "version"];

impl Schema {
    /// Each fault of the schema, with the path of the attribute that has it. Empty for a sound schema.
    pub fn faults(&self, role: Role) -> Vec<String> {
        let mut check = Check { role, faults: Vec::new() };
        if !self.upgrade_steps().is_empty() && !matches!(role, Role::Resource | Role::Identity) {
            check.faults.push("has upgrade steps, but is not stored".to_owned());
        }
        let reserved: &[&str] = match role {
            Role::Resource | Role::DataSource | Role::EphemeralResource => &RESERVED_IN_RESOURCES,
            Role::Provider => &RESERVED_IN_PROVIDERS,
            Role::Identity | Role::ListConfig | Role::ActionConfig => &[],
        };
        for attribute in self.attributes.iter().filter(|attribute| reserved.contains(&attribute.name)) {
            check.fault(&Path::attribute(attribute.name), "the name is reserved by Terraform");
        }
        check.attributes(&self.attributes, &Around::default());
        check.faults
    }
}

/// The context of an attribute.
#[derive(Clone, Debug, Default)]
struct Around {
    path: Path,
    in_set: bool,
    in_computed: bool,
    in_write_only: bool,
}

struct Check {
    role: Role,
    faults: Vec<String>,
}

impl Check {
    fn fault(&mut self, path: &Path, text: &str) {
        self.faults.push(format!("{path}: {text}"));
    }

    fn attributes(&mut self, attributes: &[Attribute], around: &Around) {
        let mut seen = BTreeSet::new();
        for attribute in attributes {
            let path = around.path.and(attribute.name);
            let mut characters = attribute.name.chars();
            let legal = characters.next().is_some_and(|first| first.is_ascii_lowercase() || first == '_')
                && characters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
            if !legal {
                self.fault(&path, "the name must consist of a-z, 0-9 and _, and not begin with a digit");
            }
            if !seen.insert(attribute.name) {
                self.fault(&path, "declared twice");
            }
            if attribute.description.is_empty() {
                self.fault(&path, "no description");
            }
            self.kind(attribute, &path);
            self.role(attribute, &path);
            self.computed(attribute, &path, around);
            self.write_only(attribute, &path, around);
            self.default(attribute, &path);
            if let Kind::Nested(nesting, nested) = &attribute.kind {
                let inside = Around {
                    path,
                    in_set: around.in_set || *nesting == Nesting::Set,
                    in_computed: around.in_computed || attribute.usage == Usage::Computed,
                    in_write_only: attribute.write_only,
                };
                self.attributes(nested, &inside);
            }
        }
    }

    fn kind(&mut self, attribute: &Attribute, path: &Path) {
        if let Kind::Plain(Type::List(element) | Type::Set(element) | Type::Map(element)) = &attribute.kind
            && contains_dynamic(element)
        {
            self.fault(path, "a list, set or map of a dynamic type");
        }
        if matches!(&attribute.kind, Kind::Plain(plain) if contains_object(plain)) {
            self.fault(
                path,
                "an object that is neither the attribute itself nor an element of it, or a tuple",
            );
        }
        if let Kind::Nested(Nesting::List | Nesting::Set | Nesting::Map, _) = &attribute.kind
            && contains_dynamic(&attribute.value_type())
        {
            self.fault(path, "a list, set or map of objects with an attribute of a dynamic type");
        }
        for rule in &attribute.rules {
            let element = match &attribute.kind {
                Kind::Plain(Type::List(element) | Type::Set(element) | Type::Map(element)) => {
                    Some(&**element)
                }
                Kind::Plain(plain) => Some(plain),
                Kind::Nested(..) => None,
            };
            match (rule, element) {
                (Rule::String(_), Some(Type::String))
                | (Rule::Number(_) | Rule::Between(..), Some(Type::Number)) => {}
                (Rule::String(_), _) => {
                    self.fault(path, "a rule for strings, but neither a string nor a collection of strings")
                }
                (Rule::Number(_) | Rule::Between(..), _) => {
                    self.fault(path, "a rule for numbers, but neither a number nor a collection of numbers")
                }
            }
        }
        let is_collection = matches!(attribute.value_type(), Type::List(_) | Type::Set(_) | Type::Map(_));
        if attribute.filled && !(is_collection && attribute.is_configurable()) {
            self.fault(path, "filled, but not a list, set or map that the configuration may set");
        }
        if attribute.is_configurable() && !attribute.elements_may_be_unknown {
            self.fault(
                path,
                "the configuration may set it, but its Rust type has no room for unknown or null elements; use \
                 elements of type Field",
            );
        }
    }

    /// Features that exist only for some roles.
    fn role(&mut self, attribute: &Attribute, path: &Path) {
        if self.role != Role::Resource {
            for (has, name) in [
                (attribute.write_only, "write_only"),
                (attribute.requires_replace, "requires_replace"),
                (attribute.stable, "stable"),
                (attribute.not_null, "not_null"),
                (attribute.default.is_some(), "default"),
            ] {
                if has {
                    self.fault(path, &format!("{name} exists in managed resources only"));
                }
            }
        }
        match self.role {
            Role::Provider | Role::ListConfig | Role::ActionConfig if attribute.is_computed() => {
                self.fault(path, "computed, but is not returned to Terraform");
            }
            Role::Identity => {
                if attribute.is_computed() {
                    self.fault(path, "an identity attribute must be required or optional, not computed");
                }
                if attribute.sensitive || attribute.deprecated.is_some() {
                    self.fault(path, "an identity attribute can be neither sensitive nor deprecated");
                }
                let primitive =
                    |value_type: &Type| matches!(value_type, Type::String | Type::Number | Type::Bool);
                let supported = match &attribute.kind {
                    Kind::Plain(Type::List(element)) => primitive(element),
                    Kind::Plain(plain) => primitive(plain),
                    Kind::Nested(..) => false,
                };
                if !supported {
                    self.fault(path, "an identity attribute is a string, number, bool, or a list of those");
                }
            }
            _ => {}
        }
    }

    fn computed(&mut self, attribute: &Attribute, path: &Path, around: &Around) {
        let provider_sets = matches!(attribute.usage, Usage::Computed | Usage::OptionalComputed);
        if around.in_computed {
            if attribute.usage != Usage::Computed {
                self.fault(path, "inside a computed attribute, but not computed");
            }
            if attribute.stable || attribute.not_null {
                self.fault(path, "stable or not_null has no effect inside a computed attribute");
            }
        }
        if attribute.stable && !provider_sets {
            self.fault(path, "stable, but not computed");
        }
        if attribute.not_null && !provider_sets {
            self.fault(path, "not_null, but not computed");
        }
        if attribute.requires_replace {
            match attribute.usage {
                Usage::Computed => self.fault(path, "requires_replace, but no configuration can change it"),
                Usage::OptionalComputed if !attribute.stable => {
                    self.fault(
                        path,
                        "requires_replace and computed, but not stable: each update would replace",
                    );
                }
                _ => {}
            }
        }
        if !attribute.rules.is_empty() && attribute.usage == Usage::Computed {
            self.fault(path, "has a rule, but no configuration can set it");
        }
    }

    fn write_only(&mut self, attribute: &Attribute, path: &Path, around: &Around) {
        if around.in_write_only && !attribute.write_only {
            self.fault(path, "inside a write-only attribute, but not write-only");
        }
        if !attribute.write_only {
            return;
        }
        if attribute.is_computed() {
            self.fault(path, "write-only and computed, or with a default");
        }
        if around.in_computed {
            self.fault(path, "write-only inside a computed attribute");
        }
        let is_set = matches!(attribute.kind, Kind::Plain(Type::Set(_)) | Kind::Nested(Nesting::Set, _));
        if around.in_set || is_set {
            self.fault(path, "write-only in a set");
        }
        if attribute.requires_replace {
            self.fault(path, "write-only and requires_replace, but nothing shows that the value changed");
        }
    }

    fn default(&mut self, attribute: &Attribute, path: &Path) {
        let Some(default) = &attribute.default else { return };
        if attribute.usage != Usage::Optional {
            self.fault(path, "has a default, but is not optional");
        }
        if default.is_null() || !default.is_wholly_known() {
            self.fault(path, "the default is null or unknown");
        }
        let value_type = attribute.value_type();
        if value_type == Type::Dynamic || !default.conforms_to(&value_type) {
            self.fault(path, "the default has another type");
        }
        let declared =
            Attribute { name: "default", usage: Usage::Optional, default: None, ..attribute.clone() };
        let config = super::Value::Map([("default".into(), default.clone())].into());
        let problems = Schema::new("", vec![declared]).validate(&config, true);
        for problem in problems.iter() {
            self.fault(path, &format!("the default breaks a rule of the attribute: {}", problem.detail));
        }
    }
}

fn contains_object(value_type: &Type) -> bool {
    match value_type {
        Type::Object(_) | Type::Tuple(_) => true,
        Type::List(element) | Type::Set(element) | Type::Map(element) => contains_object(element),
        Type::String | Type::Number | Type::Bool | Type::Dynamic => false,
    }
}

fn contains_dynamic(value_type: &Type) -> bool {
    match value_type {
        Type::Dynamic => true,
        Type::List(element) | Type::Set(element) | Type::Map(element) => contains_dynamic(element),
        Type::Object(attributes) => attributes.values().any(contains_dynamic),
        Type::Tuple(elements) => elements.iter().any(contains_dynamic),
        Type::String | Type::Number | Type::Bool => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{super::value::Value, computed, optional, optional_computed, required, testing::*, *};

    fn list_of(element: Type) -> Kind {
        Kind::Plain(Type::List(Box::new(element)))
    }

    fn set_of(element: Type) -> Kind {
        Kind::Plain(Type::Set(Box::new(element)))
    }

    fn nested(nesting: Nesting, attributes: Vec<Attribute>) -> Kind {
        Kind::Nested(nesting, attributes)
    }

    fn fine(_: &str) -> Result<(), String> {
        Ok(())
    }

    fn never(_: &str) -> Result<(), String> {
        Err("is never right.".into())
    }

    /// Each schema that can't be served, with its one fault.
    #[test]
    fn each_unsound_schema_shows_its_fault() {
        use Nesting::{List, Map, Set, Single};
        use Role::*;
        let a = |declaration, kind| attribute("a", declaration, kind);
        let plain = |declaration| string("a", declaration);
        let inside = |nesting, around: Attribute, inner| a(around, nested(nesting, vec![string("b", inner)]));
        let cases: Vec<(Role, Vec<Attribute>, &str)> = vec![
            // Names and descriptions.
            (Resource, vec![string("Name", required())], "Name: the name must consist of a-z"),
            (Resource, vec![string("1st", required())], "1st: the name must consist of a-z"),
            (Resource, vec![string("", required())], ": the name must consist of a-z"),
            (Resource, vec![plain(required()), plain(optional())], "a: declared twice"),
            (
                Resource,
                vec![Attribute { name: "a", kind: Kind::Plain(Type::String), ..required() }],
                "a: no description",
            ),
            (Resource, vec![string("count", required())], "count: the name is reserved by Terraform"),
            (DataSource, vec![string("provider", required())], "provider: the name is reserved by Terraform"),
            (EphemeralResource, vec![string("lifecycle", required())], "lifecycle: the name is reserved"),
            (Provider, vec![string("alias", required())], "alias: the name is reserved by Terraform"),
            // Types.
            (
                Resource,
                vec![a(required(), list_of(Type::Dynamic))],
                "a: a list, set or map of a dynamic type",
            ),
            (
                Resource,
                vec![a(
                    optional(),
                    nested(List, vec![attribute("b", optional(), Kind::Plain(Type::Dynamic))]),
                )],
                "a: a list, set or map of objects with an attribute of a dynamic type",
            ),
            (
                Resource,
                vec![a(required(), Kind::Plain(Type::Object([("x".into(), Type::Bool)].into())))],
                "a: an object that is neither the attribute itself nor",
            ),
            (Resource, vec![a(required(), Kind::Plain(Type::Tuple(vec![])))], "a: an object that is neither"),
            (
                Resource,
                vec![a(required(), list_of(Type::List(Box::new(Type::Object([].into())))))],
                "a: an object that is neither the attribute itself nor",
            ),
            (Resource, vec![a(required().rule(fine), Kind::Plain(Type::Bool))], "a: a rule for strings"),
            (Resource, vec![inside(Single, optional().rule(fine), required())], "a: a rule for strings"),
            (Resource, vec![plain(required().number_rule(|_| Ok(())))], "a: a rule for numbers"),
            (Resource, vec![plain(required().between(1, 2))], "a: a rule for numbers"),
            (Resource, vec![plain(required().filled())], "a: filled, but not a list"),
            (Resource, vec![a(computed().filled(), list_of(Type::String))], "a: filled, but not a list"),
            (
                Resource,
                vec![a(Attribute { elements_may_be_unknown: false, ..optional() }, list_of(Type::String))],
                "a: the configuration may set it, but its Rust type has no room",
            ),
            // Computed attributes.
            (Resource, vec![plain(required().stable())], "a: stable, but not computed"),
            (Resource, vec![plain(optional().default("x").stable())], "a: stable, but not computed"),
            (Resource, vec![plain(optional().not_null())], "a: not_null, but not computed"),
            (
                Resource,
                vec![plain(computed().requires_replace())],
                "a: requires_replace, but no configuration",
            ),
            (
                Resource,
                vec![plain(optional_computed().requires_replace())],
                "a: requires_replace and computed, but not stable",
            ),
            (Resource, vec![plain(computed().rule(fine))], "a: has a rule, but no configuration can set it"),
            (
                Resource,
                vec![inside(List, computed(), required())],
                "a.b: inside a computed attribute, but not",
            ),
            (
                Resource,
                vec![inside(Map, computed(), computed().stable())],
                "a.b: stable or not_null has no effect",
            ),
            (
                Resource,
                vec![inside(Set, computed(), computed().not_null())],
                "a.b: stable or not_null has no",
            ),
            // Write-only attributes.
            (Resource, vec![plain(optional_computed().write_only())], "a: write-only and computed"),
            (Resource, vec![plain(computed().write_only())], "a: write-only and computed"),
            (
                Resource,
                vec![plain(optional().default("x").write_only())],
                "a: write-only and computed, or with",
            ),
            (Resource, vec![inside(Set, optional(), optional().write_only())], "a.b: write-only in a set"),
            (Resource, vec![a(optional().write_only(), set_of(Type::String))], "a: write-only in a set"),
            (
                Resource,
                vec![inside(List, optional().write_only(), optional())],
                "a.b: inside a write-only attribute, but not write-only",
            ),
            (
                Resource,
                vec![plain(required().write_only().requires_replace())],
                "a: write-only and requires_rep",
            ),
            // Defaults.
            (Resource, vec![plain(required().default("x"))], "a: has a default, but is not optional"),
            (
                Resource,
                vec![plain(optional_computed().default("x"))],
                "a: has a default, but is not optional",
            ),
            (Resource, vec![plain(computed().default("x"))], "a: has a default, but is not optional"),
            (Resource, vec![plain(optional().default(Value::Null))], "a: the default is null or unknown"),
            (
                Resource,
                vec![plain(optional().default(Value::unknown()))],
                "a: the default is null or unknown",
            ),
            (Resource, vec![plain(optional().default(1))], "a: the default has another type"),
            (
                Resource,
                vec![a(optional().default("x"), Kind::Plain(Type::Dynamic))],
                "a: the default has another type",
            ),
            (
                Resource,
                vec![plain(optional().default("x").rule(never))],
                "a: the default breaks a rule of the attribute: \"default\" is never right.",
            ),
            (
                Resource,
                vec![inside(Single, optional().default(object([("b", Value::Null)])), required())],
                "a: the default breaks a rule of the attribute: \"default.b\" is required",
            ),
            // Features of managed resources only.
            (
                DataSource,
                vec![plain(required().write_only())],
                "a: write_only exists in managed resources only",
            ),
            (DataSource, vec![plain(required().requires_replace())], "a: requires_replace exists in managed"),
            (DataSource, vec![plain(computed().stable())], "a: stable exists in managed resources only"),
            (
                EphemeralResource,
                vec![plain(computed().not_null())],
                "a: not_null exists in managed resources",
            ),
            (
                EphemeralResource,
                vec![plain(optional().default("x"))],
                "a: default exists in managed resources",
            ),
            (
                Provider,
                vec![plain(optional().write_only())],
                "a: write_only exists in managed resources only",
            ),
            (Provider, vec![plain(computed())], "a: computed, but is not returned"),
            (ListConfig, vec![plain(optional_computed())], "a: computed, but is not returned"),
            (ActionConfig, vec![plain(computed())], "a: computed, but is not returned"),
            // Identities.
            (Identity, vec![plain(computed())], "a: an identity attribute must be required or optional"),
            (
                Identity,
                vec![plain(required().sensitive())],
                "a: an identity attribute can be neither sensitive",
            ),
            (Identity, vec![a(required(), set_of(Type::String))], "a: an identity attribute is a string"),
            (Identity, vec![inside(Single, required(), required())], "a: an identity attribute is a string"),
            (
                Identity,
                vec![a(required(), list_of(Type::List(Box::new(Type::String))))],
                "a: an identity attribute is a string",
            ),
        ];
        for (role, attributes, expected) in cases {
            let faults = Schema::new("Test.", attributes).faults(role);
            assert!(
                faults.iter().any(|fault| fault.starts_with(expected)),
                "{role:?}: {expected:?} is not in {faults:?}"
            );
        }
    }

    #[test]
    fn write_only_inside_something_computed_is_a_fault() {
        let inner = vec![string("b", computed().write_only())];
        let schema = Schema::new("Test.", vec![attribute("a", computed(), nested(Nesting::Single, inner))]);
        let faults = schema.faults(Role::Resource);
        assert!(faults.contains(&"a.b: write-only inside a computed attribute".to_owned()), "{faults:?}");
    }

    #[test]
    fn upgrade_steps_of_what_is_not_stored_are_a_fault() {
        for role in [Role::Provider, Role::DataSource, Role::EphemeralResource, Role::ListConfig] {
            let schema = Schema::new("Test.", vec![string("a", required())]).upgrades([Ok]);
            assert_eq!(schema.faults(role), ["has upgrade steps, but is not stored"]);
        }
    }

    #[test]
    fn a_schema_with_everything_has_no_faults() {
        use Nesting::{List, Map, Set, Single};
        let inner = |write_only: bool| {
            let mut attributes = vec![
                string("type", required().requires_replace().rule(fine)),
                string("mode", optional().default("fast")),
                string("id", computed().stable().not_null()),
                string("zone", optional_computed().stable().requires_replace()),
            ];
            if write_only {
                attributes.push(string("token", optional().write_only().sensitive()));
            }
            attributes
        };
        let schema = Schema::new(
            "Test.",
            vec![
                attribute("single", optional(), nested(Single, inner(true))),
                attribute("list", required(), nested(List, inner(true))),
                attribute("map", optional_computed(), nested(Map, inner(true))),
                attribute("set", optional(), nested(Set, inner(false))),
                attribute("found", computed(), nested(List, vec![string("b", computed())])),
                attribute("any", optional(), Kind::Plain(Type::Dynamic)),
                attribute("tags", optional().rule(fine).default(list(["x".into()])), list_of(Type::String)),
                attribute(
                    "pair",
                    optional().write_only(),
                    nested(Single, vec![string("b", required().write_only())]),
                ),
            ],
        );
        let schema = schema.upgrades([Ok]);
        assert_eq!(schema.faults(Role::Resource), Vec::<String>::new());
    }
}
