//! Ephemeral resources: values for one run, which are never stored.

use super::{
    context::{BoxFuture, Context},
    diagnostics::Diagnostics,
    entry::{Described, Entry},
    model::{AttributeType as _, Model, typed},
    schema::Schema,
    value::Value,
};

/// An ephemeral resource type whose values need neither renewal nor closing.
pub trait EphemeralResource: Send + Sync + 'static {
    /// Its attributes.
    type Model: Model;

    /// The schema of its attributes.
    fn schema(&self) -> Schema;

    /// Checks rules that involve several attributes. Values may be unknown.
    fn validate(&self, _config: &Self::Model, _diagnostics: &mut Diagnostics) {}

    /// Gets the values. Configured attributes must be returned unchanged.
    ///
    /// # Errors
    /// The values can't be obtained.
    fn open(
        &self,
        cx: &mut Context,
        config: Self::Model,
    ) -> impl Future<Output = Result<Self::Model, Diagnostics>> + Send;
}

/// The object-safe version of [`EphemeralResource`], on plain values.
pub(super) trait AnyEphemeralResource: Described + Send + Sync {
    fn validate(&self, config: Value) -> Diagnostics;
    fn open<'a>(&'a self, cx: &'a mut Context, config: Value) -> BoxFuture<'a, Result<Value, Diagnostics>>;
}

impl<E: EphemeralResource> AnyEphemeralResource for Entry<E> {
    fn validate(&self, config: Value) -> Diagnostics {
        self.validate(config, false, E::validate)
    }

    fn open<'a>(&'a self, cx: &'a mut Context, config: Value) -> BoxFuture<'a, Result<Value, Diagnostics>> {
        Box::pin(async move { self.item().open(cx, typed(config)?).await.map(|result| result.into_value()) })
    }
}
