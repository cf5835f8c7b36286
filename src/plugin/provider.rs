//! Providers: the trait, and the types that a provider offers.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    action::{Action, AnyAction},
    data_source::{AnyDataSource, DataSource},
    diagnostics::Diagnostics,
    entry::Entry,
    ephemeral::{AnyEphemeralResource, EphemeralResource},
    function::{Function, Signature},
    list_resource::{AnyListResource, ListResource},
    managed::{AnyResource, Managed},
    model::Model,
    resource::Resource,
    schema::{Role, Schema},
};

/// A provider: its configuration and its types.
pub trait Provider: Send + Sync + 'static {
    /// The attributes of the provider block.
    type Config: Model;

    /// The source address with its host, such as `registry.terraform.io/hashicorp/random`.
    fn address(&self) -> &'static str;

    /// What `--help` prints besides the options, such as the environment variables that configure the provider.
    fn help(&self) -> String {
        String::new()
    }

    /// The schema of the provider block.
    fn schema(&self) -> Schema;

    /// Checks rules that involve several attributes of the provider block. Values may be unknown.
    fn validate(&self, _config: &Self::Config, _diagnostics: &mut Diagnostics) {}

    /// Configures the provider. Values may be unknown while planning; operations that need them must fail
    /// later, with an error that is [`Diagnostics::or_deferred`]. `terraform_version` is the version of the
    /// client, such as `1.15.5`.
    fn configure(&self, terraform_version: &str, config: Self::Config, diagnostics: &mut Diagnostics);

    /// The types that it offers.
    fn types(&self) -> Types;

    /// Faults in the declarations of the provider and its types, such as a write-only attribute that is computed. A
    /// provider with faults refuses to serve, so a test should check that there are none.
    fn faults(&self) -> Vec<String> {
        faults(&self.schema(), &self.types())
    }
}

/// See [`Provider::faults`].
pub(super) fn faults(schema: &Schema, types: &Types) -> Vec<String> {
    let own = schema.faults(Role::Provider).into_iter().map(|fault| format!("provider: {fault}"));
    own.chain(types.faults()).collect()
}

/// The types that a provider offers, by name.
#[derive(Clone, Default)]
pub struct Types {
    pub(super) resources: BTreeMap<&'static str, Arc<dyn AnyResource>>,
    pub(super) data_sources: BTreeMap<&'static str, Arc<dyn AnyDataSource>>,
    pub(super) ephemeral_resources: BTreeMap<&'static str, Arc<dyn AnyEphemeralResource>>,
    pub(super) list_resources: BTreeMap<&'static str, Arc<dyn AnyListResource>>,
    pub(super) actions: BTreeMap<&'static str, Arc<dyn AnyAction>>,
    pub(super) functions: BTreeMap<&'static str, Arc<dyn Function>>,
    repeated: Vec<String>,
}

impl Types {
    /// No types.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a managed resource type.
    pub fn resource(mut self, name: &'static str, resource: impl Resource) -> Self {
        let before = self.resources.insert(name, Arc::new(Managed::new(resource)));
        self.repeat("resource", name, before.is_some())
    }

    /// Adds a data source type.
    pub fn data_source<D: DataSource>(mut self, name: &'static str, data_source: D) -> Self {
        let before = self.data_sources.insert(name, Arc::new(Entry::new(data_source, D::schema)));
        self.repeat("data source", name, before.is_some())
    }

    /// Adds an ephemeral resource type.
    pub fn ephemeral_resource<E: EphemeralResource>(mut self, name: &'static str, ephemeral: E) -> Self {
        let before = self.ephemeral_resources.insert(name, Arc::new(Entry::new(ephemeral, E::schema)));
        self.repeat("ephemeral resource", name, before.is_some())
    }

    /// Adds a list resource type, under the name of its managed resource type.
    pub fn list_resource<L: ListResource>(mut self, name: &'static str, list_resource: L) -> Self {
        let before = self.list_resources.insert(name, Arc::new(Entry::new(list_resource, L::schema)));
        self.repeat("list resource", name, before.is_some())
    }

    /// Adds an action type.
    pub fn action<A: Action>(mut self, name: &'static str, action: A) -> Self {
        let before = self.actions.insert(name, Arc::new(Entry::new(action, A::schema)));
        self.repeat("action", name, before.is_some())
    }

    /// Adds a function.
    pub fn function(mut self, name: &'static str, function: impl Function) -> Self {
        let before = self.functions.insert(name, Arc::new(function));
        self.repeat("function", name, before.is_some())
    }

    fn repeat(mut self, what: &str, name: &str, repeated: bool) -> Self {
        if repeated {
            self.repeated.push(format!("{what} {name}: declared twice"));
        }
        self
    }

    /// The schemas of all types of a kind, by name: for documentation, and for tests of every type.
    pub fn schemas(&self, kind: TypeKind) -> Vec<(&'static str, &Schema)> {
        macro_rules! schemas {
            ($table:ident) => {
                self.$table.iter().map(|(name, entry)| (*name, entry.schema())).collect()
            };
        }
        match kind {
            TypeKind::Resource => schemas!(resources),
            TypeKind::DataSource => schemas!(data_sources),
            TypeKind::EphemeralResource => schemas!(ephemeral_resources),
            TypeKind::ListResource => schemas!(list_resources),
            TypeKind::Action => schemas!(actions),
        }
    }

    /// The identity schemas of all managed resource types, by name. One without attributes means that the type has none.
    pub fn identity_schemas(&self) -> Vec<(&'static str, &Schema)> {
        self.resources.iter().map(|(name, entry)| (*name, entry.identity_schema())).collect()
    }

    /// The signatures of all functions, by name.
    pub fn signatures(&self) -> Vec<(&'static str, Signature)> {
        self.functions.iter().map(|(name, function)| (*name, function.signature())).collect()
    }

    /// Faults in the declarations of these types: see [`Provider::faults`].
    pub fn faults(&self) -> Vec<String> {
        let mut faults = self.repeated.clone();
        for (kind, what, role) in [
            (TypeKind::Resource, "resource", Role::Resource),
            (TypeKind::DataSource, "data source", Role::DataSource),
            (TypeKind::EphemeralResource, "ephemeral resource", Role::EphemeralResource),
            (TypeKind::ListResource, "list resource", Role::ListConfig),
            (TypeKind::Action, "action", Role::ActionConfig),
        ] {
            for (name, schema) in self.schemas(kind) {
                let of = |fault: &str| format!("{what} {name}: {fault}");
                faults.extend(name_fault(name).map(of));
                faults.extend(schema.faults(role).iter().map(|fault| of(fault)));
            }
        }
        for (name, schema) in self.identity_schemas() {
            let of = |fault| format!("identity of resource {name}: {fault}");
            faults.extend(schema.faults(Role::Identity).into_iter().map(of));
        }
        for (name, list) in &self.list_resources {
            let fault = match self.resources.get(name) {
                None => "there is no managed resource of this name",
                Some(resource) if resource.rust_type() != list.resource_type_id() => {
                    "the managed resource of this name is of another Rust type"
                }
                Some(resource) if resource.identity_schema().attributes.is_empty() => {
                    "the managed resource has no identity, which a list needs"
                }
                Some(_) => continue,
            };
            faults.push(format!("list resource {name}: {fault}"));
        }
        for (name, signature) in self.signatures() {
            let of = |fault: String| format!("function {name}: {fault}");
            faults.extend(name_fault(name).map(|fault| of(fault.to_owned())));
            for (index, parameter) in signature.parameters.iter().enumerate() {
                if name_fault(parameter.name).is_some()
                    || signature.parameters[..index].iter().any(|other| other.name == parameter.name)
                {
                    faults.push(of(format!(
                        "the parameter name \"{}\" is invalid or used twice",
                        parameter.name
                    )));
                }
            }
        }
        faults
    }
}

fn name_fault(name: &str) -> Option<&'static str> {
    let mut characters = name.chars();
    let legal = characters.next().is_some_and(|first| first.is_ascii_lowercase())
        && characters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    (!legal).then_some("the name must consist of a-z, 0-9 and _, and begin with a letter")
}

/// The kinds of types that have a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypeKind {
    /// Managed resources.
    Resource,
    /// Data sources.
    DataSource,
    /// Ephemeral resources.
    EphemeralResource,
    /// List resources.
    ListResource,
    /// Actions.
    Action,
}
