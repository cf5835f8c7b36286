//! Actions: things to do on request, which leave no state.

use std::sync::OnceLock;

use tokio::sync::mpsc;

use super::{
    context::{BoxFuture, Context},
    diagnostics::Diagnostics,
    model::{Model, typed},
    schema::Schema,
    value::Value,
};

/// An action type.
pub trait Action: Send + Sync + 'static {
    /// The attributes of its `config` block.
    type Config: Model;

    /// The schema of its `config` block.
    fn schema(&self) -> Schema;

    /// Does it, and tells how far it got.
    ///
    /// # Errors
    /// It was not done, or failed.
    fn invoke(
        &self,
        cx: &mut Context,
        config: Self::Config,
        progress: &Progress,
    ) -> impl Future<Output = Result<(), Diagnostics>> + Send;
}

/// Where an action tells the user how far it got.
pub struct Progress(mpsc::Sender<String>);

impl Progress {
    pub(super) fn new(sender: mpsc::Sender<String>) -> Self {
        Self(sender)
    }

    /// Shows one line to the user.
    pub async fn say(&self, message: impl Into<String>) {
        // Nobody listening any more is no reason to stop half-way.
        let _ = self.0.send(message.into()).await;
    }
}

/// The object-safe twin of [`Action`], over plain values.
pub(super) trait AnyAction: Send + Sync {
    fn schema(&self) -> &Schema;
    fn validate(&self, config: Value) -> Diagnostics;
    fn invoke<'a>(
        &'a self,
        cx: &'a mut Context,
        config: Value,
        progress: &'a Progress,
    ) -> BoxFuture<'a, Result<(), Diagnostics>>;
}

/// An action type with its schema, which is built when it is first needed and once.
pub(super) struct Entry<A> {
    action: A,
    schema: OnceLock<Schema>,
}

impl<A: Action> Entry<A> {
    pub(super) fn new(action: A) -> Self {
        Self { action, schema: OnceLock::new() }
    }
}

impl<A: Action> AnyAction for Entry<A> {
    fn schema(&self) -> &Schema {
        self.schema.get_or_init(|| self.action.schema())
    }

    fn validate(&self, config: Value) -> Diagnostics {
        self.schema().validate(&config, false)
    }

    fn invoke<'a>(
        &'a self,
        cx: &'a mut Context,
        config: Value,
        progress: &'a Progress,
    ) -> BoxFuture<'a, Result<(), Diagnostics>> {
        Box::pin(async move { self.action.invoke(cx, typed(config)?, progress).await })
    }
}
