//! Actions: operations on request, without state.

use tokio::sync::mpsc;

use super::{
    context::{BoxFuture, Context},
    diagnostics::Diagnostics,
    entry::{Described, Entry},
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

    /// Checks rules that involve several attributes. Values may be unknown.
    fn validate(&self, _config: &Self::Config, _diagnostics: &mut Diagnostics) {}

    /// Checks in the plan whether the action can run. Values may be unknown. An action plans no changes. It
    /// may only be deferred for an unknown provider configuration.
    ///
    /// # Errors
    /// The action can't run.
    fn plan(
        &self,
        _cx: &mut Context,
        _config: Self::Config,
    ) -> impl Future<Output = Result<(), Diagnostics>> + Send {
        std::future::ready(Ok(()))
    }

    /// Runs the action and reports its progress.
    ///
    /// # Errors
    /// The action did not run, or it failed.
    fn invoke(
        &self,
        cx: &mut Context,
        config: Self::Config,
        progress: &Progress,
    ) -> impl Future<Output = Result<(), Diagnostics>> + Send;
}

/// Reports the progress of an action to the user.
pub struct Progress(mpsc::Sender<String>);

impl Progress {
    pub(super) fn new(sender: mpsc::Sender<String>) -> Self {
        Self(sender)
    }

    /// Shows one line to the user.
    pub async fn report(&self, message: impl Into<String>) {
        // The action continues when the client has disconnected.
        let _ = self.0.send(message.into()).await;
    }
}

/// The object-safe version of [`Action`], on plain values.
pub(super) trait AnyAction: Described + Send + Sync {
    fn validate(&self, config: Value) -> Diagnostics;
    fn plan<'a>(&'a self, cx: &'a mut Context, config: Value) -> BoxFuture<'a, Result<(), Diagnostics>>;
    fn invoke<'a>(
        &'a self,
        cx: &'a mut Context,
        config: Value,
        progress: &'a Progress,
    ) -> BoxFuture<'a, Result<(), Diagnostics>>;
}

impl<A: Action> AnyAction for Entry<A> {
    fn validate(&self, config: Value) -> Diagnostics {
        self.validate(config, false, A::validate)
    }

    fn plan<'a>(&'a self, cx: &'a mut Context, config: Value) -> BoxFuture<'a, Result<(), Diagnostics>> {
        Box::pin(async move { self.item().plan(cx, typed(config)?).await })
    }

    fn invoke<'a>(
        &'a self,
        cx: &'a mut Context,
        config: Value,
        progress: &'a Progress,
    ) -> BoxFuture<'a, Result<(), Diagnostics>> {
        Box::pin(async move { self.item().invoke(cx, typed(config)?, progress).await })
    }
}
