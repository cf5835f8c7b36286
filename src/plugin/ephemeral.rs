//! Ephemeral resources: values for the length of one run, stored nowhere.

use std::sync::OnceLock;

use super::{
    context::{BoxFuture, Context},
    diagnostics::Diagnostics,
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

    /// Gets the values. What the configuration sets is to be returned as it is.
    ///
    /// # Errors
    /// They can't be had.
    fn open(
        &self,
        cx: &mut Context,
        config: Self::Model,
    ) -> impl Future<Output = Result<Self::Model, Diagnostics>> + Send;
}

/// The object-safe twin of [`EphemeralResource`], over plain values.
pub(super) trait AnyEphemeralResource: Send + Sync {
    fn schema(&self) -> &Schema;
    fn validate(&self, config: Value) -> Diagnostics;
    fn open<'a>(&'a self, cx: &'a mut Context, config: Value) -> BoxFuture<'a, Result<Value, Diagnostics>>;
}

/// An ephemeral resource type with its schema, which is built when it is first needed and once.
pub(super) struct Entry<E> {
    ephemeral: E,
    schema: OnceLock<Schema>,
}

impl<E: EphemeralResource> Entry<E> {
    pub(super) fn new(ephemeral: E) -> Self {
        Self { ephemeral, schema: OnceLock::new() }
    }
}

impl<E: EphemeralResource> AnyEphemeralResource for Entry<E> {
    fn schema(&self) -> &Schema {
        self.schema.get_or_init(|| self.ephemeral.schema())
    }

    fn validate(&self, config: Value) -> Diagnostics {
        self.schema().validate(&config, false)
    }

    fn open<'a>(&'a self, cx: &'a mut Context, config: Value) -> BoxFuture<'a, Result<Value, Diagnostics>> {
        Box::pin(
            async move { self.ephemeral.open(cx, typed(config)?).await.map(|result| result.into_value()) },
        )
    }
}
