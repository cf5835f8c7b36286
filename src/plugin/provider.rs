//! What a provider is made of.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    action::{self, Action, AnyAction},
    data_source::{self, AnyDataSource, DataSource},
    diagnostics::Diagnostics,
    ephemeral::{self, AnyEphemeralResource, EphemeralResource},
    function::{Function, Signature},
    list_resource::{self, AnyListResource, ListResource},
    model::Model,
    resource::{self, AnyResource, Resource},
    schema::Schema,
};

/// A provider: its configuration, and the types it offers.
pub trait Provider: Send + Sync + 'static {
    /// The attributes of the provider block.
    type Config: Model;

    /// The source address with its host, such as `registry.terraform.io/hanzoai/kms`.
    fn address(&self) -> &'static str;

    /// The schema of the provider block.
    fn schema(&self) -> Schema;

    /// Checks what concerns several attributes of the provider block. Values may be unknown.
    fn validate(&self, _config: &Self::Config, _diagnostics: &mut Diagnostics) {}

    /// Takes the provider block over. Values may be unknown while planning: what needs them must fail later, when it is
    /// asked for. `terraform_version` is that of the client, for instance `1.15.5`.
    fn configure(&self, terraform_version: &str, config: Self::Config, diagnostics: &mut Diagnostics);

    /// The types it offers.
    fn types(&self) -> Types;
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
}

impl Types {
    /// No types.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a managed resource type.
    pub fn resource(mut self, name: &'static str, resource: impl Resource) -> Self {
        self.resources.insert(name, Arc::new(resource::Entry::new(resource)));
        self
    }

    /// Adds a data source type.
    pub fn data_source(mut self, name: &'static str, data_source: impl DataSource) -> Self {
        self.data_sources.insert(name, Arc::new(data_source::Entry::new(data_source)));
        self
    }

    /// Adds an ephemeral resource type.
    pub fn ephemeral_resource(mut self, name: &'static str, ephemeral: impl EphemeralResource) -> Self {
        self.ephemeral_resources.insert(name, Arc::new(ephemeral::Entry::new(ephemeral)));
        self
    }

    /// Adds a list resource type, under the name of its managed resource type.
    pub fn list_resource(mut self, name: &'static str, list_resource: impl ListResource) -> Self {
        self.list_resources.insert(name, Arc::new(list_resource::Entry::new(list_resource)));
        self
    }

    /// Adds an action type.
    pub fn action(mut self, name: &'static str, action: impl Action) -> Self {
        self.actions.insert(name, Arc::new(action::Entry::new(action)));
        self
    }

    /// Adds a function.
    pub fn function(mut self, name: &'static str, function: impl Function) -> Self {
        self.functions.insert(name, Arc::new(function));
        self
    }

    /// The schemas of all types of a kind, by name: for documentation, and for tests that hold for every type.
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

    /// The identity schemas of all managed resource types, by name.
    pub fn identity_schemas(&self) -> Vec<(&'static str, &Schema)> {
        self.resources.iter().map(|(name, entry)| (*name, entry.identity_schema())).collect()
    }

    /// The signatures of all functions, by name.
    pub fn signatures(&self) -> Vec<(&'static str, Signature)> {
        self.functions.iter().map(|(name, function)| (*name, function.signature())).collect()
    }
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
