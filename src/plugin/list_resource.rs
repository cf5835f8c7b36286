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

    /// Checks rules that involve several attributes. Values may be unknown.
    fn validate(&self, _config: &Self::Config, _diagnostics: &mut Diagnostics) {}

    /// Finds objects and sends them one by one.
    ///
    /// # Errors
    /// The objects can't be listed. Those already sent stay valid.
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
    /// Its name for users.
    pub display_name: String,
    /// Its identity.
    pub identity: R::Identity,
    /// Its state, as after an import.
    pub state: R::Model,
}

/// Sends found objects to the client.
pub struct FoundSender<R: Resource> {
    sender: mpsc::Sender<FoundValue>,
    left: i64,
    include_state: bool,
    _resource: PhantomData<fn(R)>,
}

impl<R: Resource> FoundSender<R> {
    /// Sends an object. Returns `false` when the client needs no more.
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

/// A found object in plain values. Its state may contain write-only values.
pub(super) struct FoundValue {
    pub(super) display_name: String,
    pub(super) identity: Value,
    pub(super) state: Option<Value>,
}

/// The client's options for a list.
#[derive(Clone, Copy)]
pub(super) struct ListOptions {
    pub(super) include_state: bool,
    pub(super) limit: i64,
}

/// The object-safe version of [`ListResource`], on plain values.
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
