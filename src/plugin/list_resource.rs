//! List resources: finding objects that Terraform doesn't manage yet, for `terraform query`.

use std::sync::OnceLock;

use tokio::sync::mpsc;

use super::{
    context::{BoxFuture, Context},
    diagnostics::Diagnostics,
    model::{AttributeType as _, Model, typed},
    resource::Resource,
    schema::Schema,
    value::Value,
};

/// A list resource type. Its name is that of the managed resource type whose objects it finds.
pub trait ListResource: Send + Sync + 'static {
    /// The attributes of its `config` block.
    type Config: Model;
    /// The managed resource type.
    type Resource: Resource;

    /// The schema of its `config` block.
    fn schema(&self) -> Schema;

    /// Finds objects, and hands them on one by one.
    ///
    /// # Errors
    /// They can't be listed. What was handed on before stays.
    fn list(
        &self,
        cx: &mut Context,
        config: Self::Config,
        found: FoundSender<Self::Resource>,
    ) -> impl Future<Output = Result<(), Diagnostics>> + Send;
}

/// An object that was found.
#[derive(Clone, Debug)]
pub struct Found<R: Resource> {
    /// What people call it.
    pub display_name: String,
    /// What tells it from all others.
    pub identity: R::Identity,
    /// Its state as an import would have it.
    pub state: R::Model,
}

/// Where found objects go.
pub struct FoundSender<R: Resource> {
    sender: mpsc::Sender<FoundValue>,
    left: i64,
    include_state: bool,
    _resource: std::marker::PhantomData<fn(R)>,
}

impl<R: Resource> FoundSender<R> {
    /// Hands an object on. `false`: no more are wanted.
    pub async fn send(&mut self, found: Found<R>) -> bool {
        if self.left <= 0 {
            return false;
        }
        self.left -= 1;
        let found = FoundValue {
            display_name: found.display_name,
            identity: found.identity.into_value(),
            state: self.include_state.then(|| found.state.into_value()),
        };
        self.sender.send(found).await.is_ok() && self.left > 0
    }
}

/// A found object in plain values.
pub(super) struct FoundValue {
    pub(super) display_name: String,
    pub(super) identity: Value,
    pub(super) state: Option<Value>,
}

/// What the client wants of a list.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    pub(super) include_state: bool,
    pub(super) limit: i64,
}

/// The object-safe twin of [`ListResource`], over plain values.
pub(super) trait AnyListResource: Send + Sync {
    fn schema(&self) -> &Schema;
    fn validate(&self, config: Value) -> Diagnostics;
    fn list<'a>(
        &'a self,
        cx: &'a mut Context,
        config: Value,
        wanted: Wanted,
        sender: mpsc::Sender<FoundValue>,
    ) -> BoxFuture<'a, Result<(), Diagnostics>>;
}

/// A list resource type with its schema, which is built when it is first needed and once.
pub(super) struct Entry<L> {
    list_resource: L,
    schema: OnceLock<Schema>,
}

impl<L: ListResource> Entry<L> {
    pub(super) fn new(list_resource: L) -> Self {
        Self { list_resource, schema: OnceLock::new() }
    }
}

impl<L: ListResource> AnyListResource for Entry<L> {
    fn schema(&self) -> &Schema {
        self.schema.get_or_init(|| self.list_resource.schema())
    }

    fn validate(&self, config: Value) -> Diagnostics {
        self.schema().validate(&config, false)
    }

    fn list<'a>(
        &'a self,
        cx: &'a mut Context,
        config: Value,
        wanted: Wanted,
        sender: mpsc::Sender<FoundValue>,
    ) -> BoxFuture<'a, Result<(), Diagnostics>> {
        let found = FoundSender {
            sender,
            left: wanted.limit,
            include_state: wanted.include_state,
            _resource: std::marker::PhantomData,
        };
        Box::pin(async move { self.list_resource.list(cx, typed(config)?, found).await })
    }
}
