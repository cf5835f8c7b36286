//! Data sources.

use super::{
    context::{BoxFuture, Context},
    diagnostics::Diagnostics,
    entry::{Described, Entry},
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

    /// Checks rules that involve several attributes. Values may be unknown.
    fn validate(&self, _config: &Self::Model, _diagnostics: &mut Diagnostics) {}

    /// Reads the data. Configured attributes must be returned unchanged.
    ///
    /// # Errors
    /// The data can't be read or doesn't exist.
    fn read(
        &self,
        cx: &mut Context,
        config: Self::Model,
    ) -> impl Future<Output = Result<Self::Model, Diagnostics>> + Send;
}

/// The object-safe version of [`DataSource`], on plain values.
pub(super) trait AnyDataSource: Described + Send + Sync {
    fn validate(&self, config: Value) -> Diagnostics;
    fn read<'a>(&'a self, cx: &'a mut Context, config: Value) -> BoxFuture<'a, Result<Value, Diagnostics>>;
}

impl<D: DataSource> AnyDataSource for Entry<D> {
    fn validate(&self, config: Value) -> Diagnostics {
        self.validate(config, false, D::validate)
    }

    fn read<'a>(&'a self, cx: &'a mut Context, config: Value) -> BoxFuture<'a, Result<Value, Diagnostics>> {
        Box::pin(async move { self.item().read(cx, typed(config)?).await.map(|state| state.into_value()) })
    }
}
