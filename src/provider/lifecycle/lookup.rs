//! The data source that looks up one object, by ID or by its name.

use std::marker::PhantomData;

use super::{
    environment,
    object::{ManagedObject, ObjectModel as _, ObjectOf},
};
use crate::{
    kms::Scope,
    plugin::{
        context::Context,
        data_source::DataSource,
        diagnostics::Diagnostics,
        model::{AttributeType, Model},
        schema::{Attribute, Kind, Schema, computed, optional_computed},
        value::{CodecError, Value},
    },
    provider::{
        access::Access,
        messages::{arguments, attribute_map::AttributeMap, failures},
        redaction, rules,
    },
};

/// An object that is looked up: what the KMS shows of it. Its ID or its place is configured.
#[derive(Clone, Debug)]
pub struct Lookup<T: ManagedObject>(T::Model);

/// The attributes that the KMS shows, to be read only.
pub fn shown_attributes<T: ManagedObject>() -> Vec<Attribute> {
    let attributes = T::Model::attributes().into_iter();
    let shown = attributes.filter(|attribute| T::Model::SHOWN.contains(&attribute.name));
    shown.map(read_only).collect()
}

/// An attribute that only the provider sets, with all that it contains.
fn read_only(attribute: Attribute) -> Attribute {
    let Attribute { name, description, kind, sensitive, elements_may_be_unknown, .. } = attribute;
    let kind = match kind {
        Kind::Nested(nesting, attributes) => {
            Kind::Nested(nesting, attributes.into_iter().map(read_only).collect())
        }
        plain => plain,
    };
    Attribute { name, description, kind, sensitive, elements_may_be_unknown, ..computed() }
}

/// Whether the resource requires an attribute.
fn is_required<T: ManagedObject>(name: &str) -> bool {
    T::Model::attributes().iter().any(|attribute| attribute.name == name && attribute.is_required())
}

/// The value of an object, without what the KMS doesn't show.
pub fn shown_value<T: ManagedObject>(model: T::Model) -> Value {
    match model.into_value() {
        Value::Map(mut attributes) => {
            attributes.retain(|name, _| T::Model::SHOWN.contains(&name.as_ref()));
            Value::Map(attributes)
        }
        other => other,
    }
}

impl<T: ManagedObject> Model for Lookup<T> {
    fn attributes() -> Vec<Attribute> {
        let declared = T::Model::attributes();
        let mut attributes = shown_attributes::<T>();
        for attribute in &mut attributes {
            let rules = match attribute.name {
                "id" => optional_computed().rule(rules::uuid).rules,
                name if T::PLACE.contains(&name) => {
                    let declared = declared.iter().find(|declared| declared.name == name);
                    declared.map(|declared| declared.rules.clone()).unwrap_or_default()
                }
                _ => continue,
            };
            attribute.usage = optional_computed().usage;
            attribute.rules = rules;
            if attribute.name == "id" {
                attribute.description += " Set this or `name`.";
            }
        }
        attributes
    }
}

impl<T: ManagedObject> AttributeType for Lookup<T> {
    fn kind() -> Kind {
        Kind::Nested(crate::plugin::schema::Nesting::Single, Self::attributes())
    }

    fn from_value(value: Value) -> Result<Self, CodecError> {
        T::Model::from_value(value).map(Self)
    }

    fn into_value(self) -> Value {
        shown_value::<T>(self.0)
    }
}

/// The data source type.
pub struct ObjectDataSource<T> {
    access: Access,
    kind: PhantomData<fn(T)>,
}

impl<T: ManagedObject> ObjectDataSource<T> {
    pub fn new(access: Access) -> Self {
        Self { access, kind: PhantomData }
    }
}

impl<T: ManagedObject> DataSource for ObjectDataSource<T> {
    type Model = Lookup<T>;

    fn schema(&self) -> Schema {
        let secret = T::SECRET.map(|secret| format!(" The `{}` is never returned.", secret.name));
        let noun = T::NOUN;
        Lookup::<T>::schema(format!("Looks up a {noun} by ID or name.{}", secret.unwrap_or_default()))
    }

    fn validate(&self, config: &Lookup<T>, diagnostics: &mut Diagnostics) {
        let config = &config.0;
        let (has_id, has_name) = (config.id().known().is_some(), config.name().known().is_some());
        if config.id().is_null() && config.name().is_null() {
            arguments::missing_key::<T>(diagnostics);
        } else if has_id && has_name {
            arguments::conflict("id", "name", diagnostics);
        } else {
            let value = config.clone().into_value();
            let is_null = |name: &str| value.attribute(name).is_none_or(Value::is_null);
            for name in &T::PLACE[1..] {
                if has_id && !is_null(name) {
                    arguments::only_by_name(name, diagnostics);
                } else if has_name && is_null(name) && is_required::<T>(name) {
                    arguments::needed_by_name(name, diagnostics);
                }
            }
        }
    }

    async fn read(&self, cx: &mut Context, config: Lookup<T>) -> Result<Lookup<T>, Diagnostics> {
        let config = config.0;
        let operation = self.access.operation(cx)?;
        let (result, task, place) = match (config.id().as_str(), config.name().as_str()) {
            (Some(id), _) => {
                let task = format!("read the {} {id}", T::NOUN);
                (operation.read::<ObjectOf<T>>(id, Scope::Unknown).await, task, None)
            }
            (None, Some(name)) => {
                let place = T::place(&config);
                let task = format!("find a {} named \"{name}\" in {}", T::NOUN, T::scope_words(&place));
                (operation.read_by_name(&place).await, task, Some(place))
            }
            (None, None) => {
                let mut diagnostics = Diagnostics::new();
                arguments::missing_key::<T>(&mut diagnostics);
                return Err(diagnostics);
            }
        };
        failures::note_waiting(&operation, &mut cx.diagnostics);
        let key = if place.is_some() { "name" } else { "id" };
        let attributes = AttributeMap { object: Some(key), project: Some("project_id"), ..T::ATTRIBUTES };
        let object = match (result, place) {
            (Ok(object), _) => object,
            (Err(error), Some(place)) => {
                return Err(environment::failure::<T>(&operation, &task, &place, &error, attributes).await);
            }
            (Err(error), None) => return Err(failures::failure(&task, &error, attributes)),
        };
        let found = configured_or_shown::<T>(config, &object);
        let what = format!("the {} {}", T::NOUN, found.id().text());
        redaction::warn(&what, &found.clone().into_value(), &mut cx.diagnostics);
        Ok(Lookup(found))
    }
}

/// What the configuration sets stays as it is, whatever the server's spelling.
fn configured_or_shown<T: ManagedObject>(config: T::Model, object: &ObjectOf<T>) -> T::Model {
    let mut shown = T::Model::found(object);
    shown.keep_known(config);
    shown
}
