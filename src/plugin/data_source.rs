//! Data sources: reading what exists.

use std::sync::OnceLock;

use super::{
    context::{BoxFuture, Context},
    diagnostics::Diagnostics,
    model::{AttributeType as _, Model, typed},
    schema::Schema,
    value::Value,
};

/// A data source type.
pub trait DataSource: Send + Sync + 'static {
    /// Its attributes.
    type Model: Model;

    /// The schema of its attributes.
    fn schema(&self) -> Schema;

    /// Checks what concerns several attributes. Values may be unknown.
    fn validate(&self, _config: &Self::Model, _diagnostics: &mut Diagnostics) {}

    /// Reads. What the configuration sets is to be returned as it is.
    ///
    /// # Errors
    /// It can't be read, or it doesn't exist.
    fn read(
        &self,
        cx: &mut Context,
        config: Self::Model,
    ) -> impl Future<Output = Result<Self::Model, Diagnostics>> + Send;
}

/// The object-safe twin of [`DataSource`], over plain values.
pub(super) trait AnyDataSource: Send + Sync {
    fn schema(&self) -> &Schema;
    fn validate(&self, config: Value) -> Diagnostics;
    fn read<'a>(&'a self, cx: &'a mut Context, config: Value) -> BoxFuture<'a, Result<Value, Diagnostics>>;
}

/// A data source type with its schema, which is built when it is first needed and once.
pub(super) struct Entry<D> {
    data_source: D,
    schema: OnceLock<Schema>,
}

impl<D: DataSource> Entry<D> {
    pub(super) fn new(data_source: D) -> Self {
        Self { data_source, schema: OnceLock::new() }
    }
}

impl<D: DataSource> AnyDataSource for Entry<D> {
    fn schema(&self) -> &Schema {
        self.schema.get_or_init(|| self.data_source.schema())
    }

    fn validate(&self, config: Value) -> Diagnostics {
        let mut diagnostics = self.schema().validate(&config, false);
        match typed(config) {
            Ok(config) => self.data_source.validate(&config, &mut diagnostics),
            Err(error) => diagnostics.extend(error),
        }
        diagnostics
    }

    fn read<'a>(&'a self, cx: &'a mut Context, config: Value) -> BoxFuture<'a, Result<Value, Diagnostics>> {
        Box::pin(
            async move { self.data_source.read(cx, typed(config)?).await.map(|state| state.into_value()) },
        )
    }
}
