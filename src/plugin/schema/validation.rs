//! Checks of a configuration that Terraform's core leaves to the provider.

use super::{
    super::{
        diagnostics::Diagnostics,
        messages,
        path::{Path, Step},
        value::{Number, Value},
    },
    Attribute, Kind, Nesting, Rule, Schema, Usage, any_attribute,
};

impl Schema {
    /// Checks what core leaves to the provider: required attributes that are null, computed ones that are set, and each
    /// attribute's own rules, at every depth. Unknown values satisfy every rule. Deprecated attributes cause a warning.
    ///
    /// `write_only_allowed` is whether the client keeps write-only values out of state.
    pub fn validate(&self, config: &Value, write_only_allowed: bool) -> Diagnostics {
        let mut validation = Validation { write_only_allowed, diagnostics: Diagnostics::new() };
        validation.object(&self.attributes, config, &Location::default());
        validation.diagnostics
    }
}

/// The location of a value: its path, and the text that messages show. Elements of a set have no path of their own, so the
/// path ends at the outermost set, while the text continues.
#[derive(Clone, Debug, Default)]
struct Location {
    path: Path,
    text: String,
    in_set: bool,
}

impl Location {
    fn step(&self, step: Step) -> Self {
        // A path of one step reads as an attribute's name, without the dot of an inner one.
        let outer = if self.text.is_empty() { Path::root() } else { Path::attribute(self.text.as_str()) };
        let text = outer.then(step.clone()).to_string();
        let path = if self.in_set { self.path.clone() } else { self.path.then(step) };
        Self { path, text, in_set: self.in_set }
    }

    fn attribute(&self, name: &str) -> Self {
        self.step(Step::Attribute(name.to_owned()))
    }

    fn index(&self, index: usize) -> Self {
        self.step(Step::Index(index as i64))
    }

    fn key(&self, key: &str) -> Self {
        self.step(Step::Key(key.to_owned()))
    }

    fn any_element(&self) -> Self {
        Self { path: self.path.clone(), text: format!("{}[*]", self.text), in_set: true }
    }
}

struct Validation {
    write_only_allowed: bool,
    diagnostics: Diagnostics,
}

impl Validation {
    fn object(&mut self, attributes: &[Attribute], object: &Value, location: &Location) {
        // A null or unknown object has no attributes to check.
        if !matches!(object, Value::Map(_)) {
            return;
        }
        for attribute in attributes {
            let value = object.attribute_or_null(attribute.name);
            self.attribute(attribute, value, &location.attribute(attribute.name));
        }
    }

    fn attribute(&mut self, attribute: &Attribute, value: &Value, location: &Location) {
        if value.is_null() {
            if attribute.usage == Usage::Required {
                self.diagnostics.push(messages::missing_attribute(location.path.clone(), &location.text));
            }
            return;
        }
        if attribute.usage == Usage::Computed {
            self.diagnostics.push(messages::read_only_attribute(location.path.clone(), &location.text));
            return;
        }
        if attribute.write_only && !self.write_only_allowed {
            // An old client would write the value to its state and then fail with an inconsistent plan.
            self.diagnostics.push(messages::write_only_unsupported(location.path.clone(), &location.text));
            return;
        }
        if let (Some(instead), false) = (attribute.deprecated, value.is_unknown()) {
            self.diagnostics.push(messages::deprecated_attribute(
                location.path.clone(),
                &location.text,
                instead,
            ));
        }
        if attribute.filled {
            self.filled(attribute, value, location);
        }
        match &attribute.kind {
            Kind::Plain(_) => self.plain(attribute, value, location),
            Kind::Nested(nesting, nested) => self.nested(*nesting, nested, value, location),
        }
    }

    fn filled(&mut self, attribute: &Attribute, collection: &Value, location: &Location) {
        let elements: Vec<&Value> = match collection {
            Value::Sequence(elements) => elements.iter().collect(),
            Value::Map(elements) => elements.values().collect(),
            _ => return,
        };
        let problem = match elements.as_slice() {
            [] => messages::EMPTY_COLLECTION,
            elements if elements.iter().any(|element| element.is_null()) => messages::NULL_ELEMENTS,
            _ => return,
        };
        self.invalid(attribute, location, problem);
    }

    fn nested(&mut self, nesting: Nesting, attributes: &[Attribute], value: &Value, location: &Location) {
        match (nesting, value) {
            (Nesting::Single, object) => self.object(attributes, object, location),
            (Nesting::List, Value::Sequence(objects)) => {
                for (index, object) in objects.iter().enumerate() {
                    self.element(attributes, object, &location.index(index));
                }
            }
            (Nesting::Set, Value::Sequence(objects)) => {
                for object in objects {
                    self.object(attributes, object, &location.any_element());
                }
            }
            (Nesting::Map, Value::Map(objects)) => {
                for (key, object) in objects {
                    self.element(attributes, object, &location.key(key));
                }
            }
            // Unknown as a whole.
            _ => {}
        }
    }

    /// An element of a list or map. Terraform's core crashes on a null element when it searches for write-only
    /// attributes.
    fn element(&mut self, attributes: &[Attribute], object: &Value, location: &Location) {
        if object.is_null() && any_attribute(attributes, |attribute| attribute.write_only) {
            self.diagnostics.push(messages::null_element(location.path.clone(), &location.text));
        } else {
            self.object(attributes, object, location);
        }
    }

    /// Applies the rules to a value or, if it is a collection, to each of its elements.
    fn plain(&mut self, attribute: &Attribute, value: &Value, location: &Location) {
        if attribute.rules.is_empty() {
            return;
        }
        let is_set = matches!(attribute.kind, Kind::Plain(super::Type::Set(_)));
        match value {
            Value::Sequence(elements) => {
                for (index, element) in elements.iter().enumerate() {
                    let location = if is_set { location.any_element() } else { location.index(index) };
                    self.rules(attribute, element, &location);
                }
            }
            Value::Map(elements) => {
                for (key, element) in elements {
                    self.rules(attribute, element, &location.key(key));
                }
            }
            value => self.rules(attribute, value, location),
        }
    }

    fn rules(&mut self, attribute: &Attribute, value: &Value, location: &Location) {
        for rule in &attribute.rules {
            let result = match (rule, value) {
                (Rule::String(rule), Value::String(text)) => rule(text),
                (Rule::Number(rule), Value::Number(number)) => rule(number),
                (Rule::Between(least, greatest), Value::Number(number)) => between(number, *least, *greatest),
                _ => Ok(()),
            };
            if let Err(problem) = result {
                self.invalid(attribute, location, &problem);
            }
        }
    }

    fn invalid(&mut self, attribute: &Attribute, location: &Location, problem: &str) {
        let (path, text) = (location.path.clone(), &location.text);
        self.diagnostics.push(messages::invalid_attribute(path, attribute.name, text, problem));
    }
}

fn between(number: &Number, least: i64, greatest: i64) -> Result<(), String> {
    match number.as_i64() {
        Some(number) if !(least..=greatest).contains(&number) => Err(messages::out_of_range(least, greatest)),
        // The type of the attribute refuses fractions.
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{super::value::Type, computed, optional, required, testing::*},
        *,
    };

    fn short(text: &str) -> Result<(), String> {
        if text.len() < 4 { Ok(()) } else { Err("is too long.".into()) }
    }

    fn positive(number: &Number) -> Result<(), String> {
        if number.as_i64().is_some_and(|int| int > 0) { Ok(()) } else { Err("must be positive.".into()) }
    }

    fn inner() -> Vec<Attribute> {
        vec![
            string("key", required().rule(short)),
            string("token", optional().write_only()),
            string("id", computed()),
        ]
    }

    fn schema() -> Schema {
        let nested = |name, nesting| attribute(name, optional(), Kind::Nested(nesting, inner()));
        Schema::new(
            "Test.",
            vec![
                string("id", computed()),
                string("name", optional().rule(short)),
                string("token", optional().write_only()),
                string("old", optional().deprecated("Use name instead.")),
                attribute("count", optional().number_rule(positive), Kind::Plain(Type::Number)),
                attribute("tags", optional().rule(short), Kind::Plain(Type::List(Box::new(Type::String)))),
                attribute("labels", optional().rule(short), Kind::Plain(Type::Map(Box::new(Type::String)))),
                attribute("names", optional().rule(short), Kind::Plain(Type::Set(Box::new(Type::String)))),
                attribute("any", required(), Kind::Plain(Type::Dynamic)),
                nested("single", Nesting::Single),
                nested("list", Nesting::List),
                nested("set", Nesting::Set),
                nested("map", Nesting::Map),
            ],
        )
    }

    fn problems_with(name: &str, value: Value, write_only_allowed: bool) -> Vec<String> {
        let mut config = object([("any", "x".into())]);
        set(&mut config, name, value);
        let diagnostics = schema().validate(&config, write_only_allowed);
        let line = |d: &super::super::super::diagnostics::Diagnostic| {
            format!("{}: {}: {}", d.attribute.clone().unwrap_or_default(), d.summary, d.detail)
        };
        diagnostics.iter().map(line).collect()
    }

    fn problems(name: &str, value: Value) -> Vec<String> {
        problems_with(name, value, true)
    }

    #[test]
    fn ranges_and_filled_collections_are_checked() {
        let schema = Schema::new(
            "Test.",
            vec![
                attribute("port", optional().between(1, 9), Kind::Plain(Type::Number)),
                attribute("tags", optional().filled(), Kind::Plain(Type::List(Box::new(Type::String)))),
                attribute("sets", optional().filled(), Kind::Nested(Nesting::Set, inner())),
            ],
        );
        let problem = |name, value| {
            let diagnostics = schema.validate(&object([(name, value)]), true);
            diagnostics.iter().map(|found| found.detail.clone()).collect::<Vec<_>>().join(" ")
        };
        for number in [1, 9] {
            assert_eq!(problem("port", number.into()), "");
        }
        for number in [0, 10] {
            assert_eq!(problem("port", number.into()), "\"port\" must be a whole number from 1 to 9.");
        }
        for name in ["tags", "sets"] {
            assert_eq!(problem(name, list([])), format!("\"{name}\" must have at least one element."));
            assert_eq!(
                problem(name, list([Value::Null])),
                format!("\"{name}\" must not have null elements.")
            );
            assert_eq!(problem(name, list([Value::unknown()])), "");
            assert_eq!(problem(name, Value::unknown()), "");
        }
    }

    #[test]
    fn a_sound_configuration_has_no_problems_and_unknown_values_satisfy_every_rule() {
        let element = || object([("key", "k".into()), ("token", "t".into()), ("id", Value::Null)]);
        for (name, value) in [
            ("name", "abc".into()),
            ("name", Value::unknown()),
            ("count", 1.into()),
            ("tags", list(["a".into(), Value::unknown(), Value::Null])),
            ("single", element()),
            ("single", Value::unknown()),
            ("list", list([element(), Value::unknown()])),
            ("list", list([object([("key", Value::unknown())])])),
            ("set", Value::unknown()),
            ("map", object([("a", element()), ("b", Value::unknown())])),
        ] {
            assert_eq!(problems(name, value.clone()), Vec::<String>::new(), "{name} = {value:?}");
        }
    }

    #[test]
    fn a_computed_attribute_that_is_set_is_refused_also_if_unknown_and_at_every_depth() {
        let refused = |path: &str, text: &str| {
            vec![format!(
                "{path}: Read-only attribute: \"{text}\" is set by the provider. Remove it from the configuration."
            )]
        };
        let element = |id| object([("key", "k".into()), ("id", id)]);
        assert_eq!(problems("id", "1".into()), refused("id", "id"));
        assert_eq!(problems("id", Value::unknown()), refused("id", "id"));
        assert_eq!(problems("single", element(Value::unknown())), refused("single.id", "single.id"));
        assert_eq!(
            problems("list", list([Value::unknown(), element("1".into())])),
            refused("list[1].id", "list[1].id")
        );
        assert_eq!(problems("set", list([element("1".into())])), refused("set", "set[*].id"));
        let map = object([("a.b", element(Value::unknown()))]);
        assert_eq!(problems("map", map), refused("map[\"a.b\"].id", "map[\"a.b\"].id"));
    }

    #[test]
    fn a_required_attribute_that_is_null_is_named_at_every_depth() {
        let missing = |path: &str, text: &str| {
            vec![format!(
                "{path}: Missing required attribute: \"{text}\" is required, but its value is null."
            )]
        };
        assert_eq!(problems("any", Value::Null), missing("any", "any"));
        let typed_null = Value::Dynamic(Type::String, Box::new(Value::Null));
        assert_eq!(problems("any", typed_null), missing("any", "any"));
        assert_eq!(problems("list", list([object([])])), missing("list[0].key", "list[0].key"));
        assert_eq!(problems("set", list([object([])])), missing("set", "set[*].key"));
    }

    #[test]
    fn a_broken_rule_names_the_exact_value() {
        let long = || Value::from("too long");
        let invalid = |path: &str, name: &str, text: &str| {
            vec![format!("{path}: Invalid {name}: \"{text}\" is too long.")]
        };
        assert_eq!(problems("name", long()), invalid("name", "name", "name"));
        assert_eq!(problems("tags", list(["a".into(), long()])), invalid("tags[1]", "tags", "tags[1]"));
        assert_eq!(
            problems("labels", object([("x", long())])),
            invalid("labels[\"x\"]", "labels", "labels[\"x\"]")
        );
        assert_eq!(problems("names", list([long()])), invalid("names", "names", "names[*]"));
        let element = || object([("key", long())]);
        assert_eq!(problems("single", element()), invalid("single.key", "key", "single.key"));
        assert_eq!(
            problems("map", object([("a", element())])),
            invalid("map[\"a\"].key", "key", "map[\"a\"].key")
        );
        assert_eq!(problems("set", list([element()])), invalid("set", "key", "set[*].key"));
        assert_eq!(problems("count", 0.into()), ["count: Invalid count: \"count\" must be positive."]);
    }

    #[test]
    fn a_null_element_is_refused_where_core_would_crash_on_it() {
        let refused = |path: &str| {
            vec![format!("{path}: Null element: \"{path}\" is null. Remove the element, or set its value.")]
        };
        let element = || object([("key", "k".into())]);
        assert_eq!(problems("list", list([element(), Value::Null])), refused("list[1]"));
        assert_eq!(problems("map", object([("a", Value::Null)])), refused("map[\"a\"]"));
        let harmless = Kind::Nested(Nesting::List, vec![string("key", required())]);
        let schema = Schema::new("Test.", vec![attribute("list", optional(), harmless)]);
        assert!(schema.validate(&object([("list", list([Value::Null]))]), true).is_empty());
    }

    #[test]
    fn a_deprecated_attribute_that_is_set_is_warned_of() {
        let expected = ["old: Deprecated attribute: \"old\" is deprecated. Use name instead."];
        assert_eq!(problems("old", "x".into()), expected);
        assert_eq!(problems("old", Value::unknown()), [""; 0], "it may be null");
    }

    #[test]
    fn an_old_client_gets_one_clear_error_for_a_write_only_attribute() {
        for value in ["t".into(), Value::unknown()] {
            let problems = problems_with("token", value, false);
            assert_eq!(problems.len(), 1);
            assert!(
                problems[0].starts_with("token: Write-only attributes require Terraform 1.11"),
                "{problems:?}"
            );
        }
        let element = object([("key", "k".into()), ("token", "t".into())]);
        let problems = problems_with("list", list([element]), false);
        assert!(problems[0].starts_with("list[0].token: Write-only"), "{problems:?}");
        assert_eq!(problems_with("token", Value::Null, false), Vec::<String>::new());
    }
}
