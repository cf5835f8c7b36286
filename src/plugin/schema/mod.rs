//! Schemas: attributes and their rules.

use serde_json::{Map, Value as Json};

use super::value::{Number, Type, Value};

mod faults;
mod reduction;
mod validation;

/// The attributes of a provider block, resource, data source or another kind of type.
#[derive(Debug)]
pub struct Schema {
    /// The description, in Markdown.
    pub description: String,
    /// Its attributes.
    pub attributes: Vec<Attribute>,
    upgrades: Vec<UpgradeStep>,
    value_type: Type,
}

/// What a schema describes. Some features of attributes exist only for some roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The provider block.
    Provider,
    /// A managed resource.
    Resource,
    /// The identity of a managed resource.
    Identity,
    /// A data source.
    DataSource,
    /// An ephemeral resource.
    EphemeralResource,
    /// The `config` block of a list resource.
    ListConfig,
    /// The `config` block of an action.
    ActionConfig,
}

/// The kind of values that an attribute holds.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Plain values.
    Plain(Type),
    /// Objects whose attributes have their own rules.
    Nested(Nesting, Vec<Attribute>),
}

/// The collection that nested objects are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nesting {
    /// One object.
    Single,
    /// A list of objects.
    List,
    /// A set of objects.
    Set,
    /// A map of objects.
    Map,
}

/// Checks a known string. The error completes the sentence `Attribute X ...` and must not quote the value.
pub type StringRule = fn(&str) -> Result<(), String>;

/// Checks a known number, as a [`StringRule`] checks a string.
pub type NumberRule = fn(&Number) -> Result<(), String>;

/// A rule for known values: for the attribute's own value or, if it is a collection, for each element.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// For strings.
    String(StringRule),
    /// For numbers.
    Number(NumberRule),
    /// For integers: the minimum and the maximum. The type of the attribute refuses fractions.
    Between(i64, i64),
}

/// The attributes of a stored state or identity, in JSON.
pub type StoredJson = Map<String, Json>;

/// Converts the JSON stored by one version of a schema to the next version. The error follows "Could not upgrade the
/// state ...: " and must not quote values.
pub type UpgradeStep = fn(StoredJson) -> Result<StoredJson, String>;

/// Who sets an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// The configuration must set it.
    Required,
    /// The configuration may set it.
    Optional,
    /// The configuration may set it; otherwise, the provider does.
    OptionalComputed,
    /// Only the provider sets it.
    Computed,
}

/// One attribute.
#[derive(Clone, Debug)]
pub struct Attribute {
    /// Its name in configuration.
    pub name: &'static str,
    /// The description, in Markdown.
    pub description: String,
    /// The kind of its values.
    pub kind: Kind,
    /// Who sets it.
    pub usage: Usage,
    /// Terraform masks the value in its output. State still holds it.
    pub sensitive: bool,
    /// The value goes from configuration to the provider and is stored nowhere.
    pub write_only: bool,
    /// Deprecated: the text names the replacement.
    pub deprecated: Option<&'static str>,
    /// A changed value replaces the resource.
    pub requires_replace: bool,
    /// For a computed attribute: an update never changes the value.
    pub stable: bool,
    /// For a computed attribute: the value is never null. Plans state this, and Terraform rejects an apply that
    /// contradicts the plan.
    pub not_null: bool,
    /// The value that an optional attribute has when the configuration doesn't set it.
    pub default: Option<Value>,
    /// Rules for known values.
    pub rules: Vec<Rule>,
    /// Whether a collection must have elements, none of which is null.
    pub filled: bool,
    /// Whether the Rust type can represent unknown and null elements, which a configuration may contain.
    pub elements_may_be_unknown: bool,
}

/// A required attribute. `model!` adds its name, description and type.
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
        not_null: false,
        default: None,
        rules: Vec::new(),
        filled: false,
        elements_may_be_unknown: true,
    }
}

/// An optional attribute.
pub fn optional() -> Attribute {
    Attribute { usage: Usage::Optional, ..required() }
}

/// An attribute that the provider sets if the configuration doesn't.
pub fn optional_computed() -> Attribute {
    Attribute { usage: Usage::OptionalComputed, ..required() }
}

/// A read-only attribute, which only the provider sets.
pub fn computed() -> Attribute {
    Attribute { usage: Usage::Computed, ..required() }
}

impl Attribute {
    /// Adds a rule that known strings must satisfy.
    pub fn rule(mut self, rule: StringRule) -> Self {
        self.rules.push(Rule::String(rule));
        self
    }

    /// Adds a rule that known numbers must satisfy.
    pub fn number_rule(mut self, rule: NumberRule) -> Self {
        self.rules.push(Rule::Number(rule));
        self
    }

    /// Adds a range for known integers, including both bounds.
    pub fn between(mut self, least: i64, greatest: i64) -> Self {
        self.rules.push(Rule::Between(least, greatest));
        self
    }

    /// Requires that a list, set or map has elements, none of which is null.
    pub fn filled(mut self) -> Self {
        self.filled = true;
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

    /// States that an update never changes this computed value, so that plans keep it.
    pub fn stable(mut self) -> Self {
        self.stable = true;
        self
    }

    /// States that this computed value is never null, so that configurations can compare it with null before it is
    /// known.
    pub fn not_null(mut self) -> Self {
        self.not_null = true;
        self
    }

    /// Gives an optional attribute the value that it has when the configuration doesn't set it.
    pub fn default(mut self, value: impl Into<Value>) -> Self {
        self.default = Some(value.into());
        self
    }

    /// Deprecates the attribute. The text names the replacement.
    pub fn deprecated(mut self, instead: &'static str) -> Self {
        self.deprecated = Some(instead);
        self
    }

    /// Whether the configuration must set it.
    pub fn is_required(&self) -> bool {
        self.usage == Usage::Required
    }

    /// Whether the configuration may set it.
    pub fn is_configurable(&self) -> bool {
        self.usage != Usage::Computed
    }

    /// Whether the provider may set it, so that the planned value can differ from a configured null.
    pub fn is_computed(&self) -> bool {
        matches!(self.usage, Usage::Computed | Usage::OptionalComputed) || self.default.is_some()
    }

    /// The type of its values.
    pub fn value_type(&self) -> Type {
        let boxed = |attributes: &[Self]| Box::new(object_type(attributes));
        match &self.kind {
            Kind::Plain(value_type) => value_type.clone(),
            Kind::Nested(Nesting::Single, attributes) => object_type(attributes),
            Kind::Nested(Nesting::List, attributes) => Type::List(boxed(attributes)),
            Kind::Nested(Nesting::Set, attributes) => Type::Set(boxed(attributes)),
            Kind::Nested(Nesting::Map, attributes) => Type::Map(boxed(attributes)),
        }
    }
}

/// Whether `holds` is true of an attribute at any depth.
pub(super) fn any_attribute(attributes: &[Attribute], holds: fn(&Attribute) -> bool) -> bool {
    attributes.iter().any(|attribute| {
        holds(attribute) || matches!(&attribute.kind, Kind::Nested(_, nested) if any_attribute(nested, holds))
    })
}

pub(super) fn object_type(attributes: &[Attribute]) -> Type {
    Type::Object(attributes.iter().map(|a| (a.name.into(), a.value_type())).collect())
}

impl Schema {
    /// A schema of version 0.
    pub fn new(description: impl Into<String>, attributes: Vec<Attribute>) -> Self {
        let value_type = object_type(&attributes);
        Self { description: description.into(), attributes, upgrades: Vec::new(), value_type }
    }

    /// Adds the steps that upgrade what older versions of this schema stored: the first one from version 0 to 1, the
    /// second one from 1 to 2, and so on. Their number is the schema's version.
    pub fn upgrades<const N: usize>(mut self, steps: [UpgradeStep; N]) -> Self {
        self.upgrades.extend(steps);
        self
    }

    /// The version of the stored format.
    pub fn version(&self) -> i64 {
        self.upgrades.len() as i64
    }

    /// The steps that upgrade what older versions stored, from version 0 on.
    pub fn upgrade_steps(&self) -> &[UpgradeStep] {
        &self.upgrades
    }

    /// The object type of its values.
    pub fn value_type(&self) -> &Type {
        &self.value_type
    }
}

/// Builders of schemas and values for tests.
#[cfg(test)]
pub(super) mod testing {
    use super::{Attribute, Kind, Type, Value};

    pub fn attribute(name: &'static str, attribute: Attribute, kind: Kind) -> Attribute {
        Attribute { name, kind, description: "It is.".into(), ..attribute }
    }

    pub fn string(name: &'static str, declaration: Attribute) -> Attribute {
        attribute(name, declaration, Kind::Plain(Type::String))
    }

    pub fn object<const N: usize>(attributes: [(&str, Value); N]) -> Value {
        Value::Map(attributes.into_iter().map(|(name, value)| (name.to_owned().into(), value)).collect())
    }

    pub fn list<const N: usize>(elements: [Value; N]) -> Value {
        Value::Sequence(elements.into())
    }

    pub fn set(value: &mut Value, name: &str, to: Value) {
        let Value::Map(attributes) = value else { panic!("not an object") };
        attributes.insert(name.to_owned().into(), to);
    }
}
