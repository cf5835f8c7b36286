//! The part of Terraform's core that follows from a resource type's schema: the values that it sends to a provider, and
//! its checks of the values that come back. No I/O; the RPCs are in [`crate::calls`].

use std::sync::LazyLock;

use terraform_provider_kms::{
    plugin::{
        provider::{Provider as _, TypeKind},
        schema::Usage,
        value::{Number, Type, Value},
    },
    provider::KmsProvider,
};

use crate::{
    host::{proto, value},
    steps::FIRST_ROTATION,
};

/// A resource type, as core knows it from the provider's schema.
pub struct ResourceType {
    pub name: &'static str,
    pub value_type: Type,
    pub identity_type: Type,
    attributes: Vec<Attribute>,
}

/// The type of a resource.
pub fn kind_of(slot: u8) -> &'static ResourceType {
    if slot < FIRST_ROTATION { &DBT_CONNECTION } else { &ROTATION }
}

struct Attribute {
    name: &'static str,
    usage: Usage,
    write_only: bool,
}

pub static DBT_CONNECTION: LazyLock<ResourceType> = LazyLock::new(|| ResourceType::new("kms_dbt_connection"));
pub static ROTATION: LazyLock<ResourceType> =
    LazyLock::new(|| ResourceType::new("kms_dbt_service_token_rotation"));

impl ResourceType {
    fn new(name: &'static str) -> Self {
        let types = KmsProvider::new(|_| None).types();
        let schemas = types.schemas(TypeKind::Resource);
        let (_, schema) = schemas.iter().find(|(known, _)| *known == name).expect("the type exists");
        let identities = types.identity_schemas();
        let (_, identity) = identities.iter().find(|(known, _)| *known == name).expect("it has an identity");
        let attributes = schema.attributes.iter().map(|attribute| Attribute {
            name: attribute.name,
            // As the schema on the wire has it.
            usage: if attribute.default.is_some() { Usage::OptionalComputed } else { attribute.usage },
            write_only: attribute.write_only,
        });
        Self {
            name,
            value_type: schema.value_type().clone(),
            identity_type: identity.value_type().clone(),
            attributes: attributes.collect(),
        }
    }

    /// The proposed new state: the configuration, with the prior values of computed attributes. Write-only values are still
    /// in it.
    pub fn proposed(&self, prior: &Value, config: &Value) -> Value {
        let one = |attribute: &Attribute| {
            let (before, wanted) = (get(prior, attribute.name), get(config, attribute.name));
            let value = match attribute.usage {
                Usage::Computed => before,
                Usage::OptionalComputed if wanted.is_null() => before,
                _ => wanted,
            };
            (attribute.name.into(), value.clone())
        };
        Value::Map(self.attributes.iter().map(one).collect())
    }

    /// Why a planned state isn't valid for this configuration. Empty if it is.
    pub fn faults_of_plan(&self, prior: &Value, config: &Value, planned: &Value) -> Vec<String> {
        let mut faults = Vec::new();
        if planned.is_null() != config.is_null() {
            faults.push("planned for absence or presence against the configuration".to_owned());
            return faults;
        }
        for Attribute { name, usage, write_only } in &self.attributes {
            let (before, wanted, after) = (get(prior, name), get(config, name), get(planned, name));
            let is_prior = same(after, before) && !before.is_null() && !wanted.is_null();
            let is_fine = match usage {
                _ if *write_only => after.is_null(),
                _ if same(after, wanted) || is_prior => true,
                Usage::Computed => true,
                Usage::OptionalComputed => wanted.is_null(),
                Usage::Required | Usage::Optional => false,
            };
            if !is_fine {
                faults.push(format!("the plan of {name} is neither what is configured nor what was"));
            }
        }
        faults
    }

    /// Why a value isn't compatible with a planned one: known values must stay, and refinements must hold.
    pub fn faults_of_completion(&self, planned: &Value, actual: &Value) -> Vec<String> {
        if planned.is_null() != actual.is_null() {
            return vec!["the object is there against the plan, or missing against it".to_owned()];
        }
        let mut faults = Vec::new();
        for Attribute { name, .. } in &self.attributes {
            let is_fine = match (get(planned, name), get(actual, name)) {
                (Value::Unknown(_), Value::Unknown(_)) => true,
                (Value::Unknown(promise), actual) => promise.null != Some(false) || !actual.is_null(),
                (planned, actual) => planned == actual,
            };
            if !is_fine {
                faults.push(format!("{name} is not what was planned"));
            }
        }
        faults
    }

    /// Why a value can't be stored as a state.
    pub fn faults_of_state(&self, state: &Value) -> Vec<String> {
        let mut faults = Vec::new();
        for Attribute { name, write_only, .. } in &self.attributes {
            let value = get(state, name);
            if !value.is_wholly_known() {
                faults.push(format!("{name} is unknown"));
            }
            if *write_only && !value.is_null() {
                faults.push(format!("{name} is write-only, and not null"));
            }
        }
        faults
    }

    /// The identity in a response.
    ///
    /// # Errors
    /// It has unknown values.
    pub fn identity(&self, identity: &Option<proto::ResourceIdentityData>) -> Result<Option<Value>, String> {
        let Some(identity) = identity else { return Ok(None) };
        let identity = value(identity.identity_data.clone(), &self.identity_type);
        if identity.is_wholly_known() {
            Ok(Some(identity))
        } else {
            Err("the identity is unknown".to_owned())
        }
    }

    /// Whether the paths that the provider returned require a replacement. Core ignores paths whose value doesn't change.
    pub fn replaced(&self, prior: &Value, planned: &Value, paths: &[proto::AttributePath]) -> bool {
        use proto::attribute_path::step::Selector;
        paths.iter().any(|path| {
            let first = path.steps.first().and_then(|step| step.selector.as_ref());
            let Some(Selector::AttributeName(name)) = first else { return false };
            let is_write_only = self.attributes.iter().any(|one| one.name == name && one.write_only);
            is_write_only || get(prior, name) != get(planned, name)
        })
    }

    /// The state in the JSON form of state files.
    pub fn stored(&self, state: &Value) -> Vec<u8> {
        json(state).to_string().into_bytes()
    }
}

/// An attribute of an object; null if there is no object.
pub fn get<'v>(object: &'v Value, name: &str) -> &'v Value {
    object.attribute(name).unwrap_or(&Value::Null)
}

/// The text of an attribute, if it has one.
pub fn text<'v>(object: &'v Value, name: &str) -> Option<&'v str> {
    match get(object, name) {
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// Equal, apart from refinements of unknown values.
fn same(one: &Value, other: &Value) -> bool {
    one == other || (one.is_unknown() && other.is_unknown())
}

fn json(value: &Value) -> serde_json::Value {
    match value {
        Value::Null | Value::Unknown(_) | Value::Dynamic(..) => serde_json::Value::Null,
        Value::String(text) => text.as_str().into(),
        Value::Bool(yes) => (*yes).into(),
        Value::Number(Number::Int(number)) => (*number).into(),
        Value::Number(number) => panic!("no attribute has such a number: {number:?}"),
        Value::Sequence(elements) => elements.iter().map(json).collect(),
        Value::Map(elements) => elements.iter().map(|(name, value)| (name.as_ref(), json(value))).collect(),
    }
}
