//! List resources: finding objects that Terraform doesn't manage yet, for `terraform query`.

use std::{any::TypeId, marker::PhantomData};

use tokio::sync::mpsc;

use super::{
    context::{BoxFuture, Context},
    diagnostics::Diagnostics,
    entry::{Described, Entry},
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

    /// Checks what concerns several attributes. Values may be unknown.
    fn validate(&self, _config: &Self::Config, _diagnostics: &mut Diagnostics) {}

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
    /// What distinguishes it from all others.
    pub identity: R::Identity,
    /// Its state as an import would have it.
    pub state: R::Model,
}

/// Where found objects go.
pub struct FoundSender<R: Resource> {
    sender: mpsc::Sender<FoundValue>,
    left: i64,
    include_state: bool,
    _resource: PhantomData<fn(R)>,
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

/// A found object in plain values. Its state may hold what is write-only.
pub(super) struct FoundValue {
    pub(super) display_name: String,
    pub(super) identity: Value,
    pub(super) state: Option<Value>,
}

/// What the client wants of a list.
#[derive(Clone, Copy)]
pub(super) struct ListOptions {
    pub(super) include_state: bool,
    pub(super) limit: i64,
}

/// The object-safe twin of [`ListResource`], over plain values.
pub(super) trait AnyListResource: Described + Send + Sync {
    /// The Rust type of the managed resources that it finds.
    fn resource_type_id(&self) -> TypeId;
    fn validate(&self, config: Value) -> Diagnostics;
    fn list<'a>(
        &'a self,
        cx: &'a mut Context,
        config: Value,
        options: ListOptions,
        sender: mpsc::Sender<FoundValue>,
    ) -> BoxFuture<'a, Result<(), Diagnostics>>;
}

impl<L: ListResource> AnyListResource for Entry<L> {
    fn resource_type_id(&self) -> TypeId {
        TypeId::of::<L::Resource>()
    }

    fn validate(&self, config: Value) -> Diagnostics {
        self.validate(config, false, L::validate)
    }

    fn list<'a>(
        &'a self,
        cx: &'a mut Context,
        config: Value,
        options: ListOptions,
        sender: mpsc::Sender<FoundValue>,
    ) -> BoxFuture<'a, Result<(), Diagnostics>> {
        let ListOptions { include_state, limit } = options;
        let found = FoundSender { sender, left: limit, include_state, _resource: PhantomData };
        Box::pin(async move { self.item().list(cx, typed(config)?, found).await })
    }
}
