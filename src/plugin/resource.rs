//! Managed resources: the trait that a type implements, and the parts of the lifecycle that are the same for all.

use std::sync::OnceLock;

use super::{
    context::{BoxFuture, Context},
    diagnostics::Diagnostics,
    model::{AttributeType as _, Model, typed},
    path::Path,
    private::Private,
    schema::Schema,
    value::{CodecError, Value},
};

/// A managed resource type.
///
/// The runtime has already checked the schema's rules when it calls these methods, keeps write-only values out of all
/// that it returns to Terraform, and decides from the schema what must be replaced.
pub trait Resource: Send + Sync + 'static {
    /// Its attributes.
    type Model: Model;
    /// The attributes that tell one object from all others. Required ones must be given to import by identity.
    type Identity: Model;

    /// The schema of its attributes.
    fn schema(&self) -> Schema;

    /// The identity of an object that exists.
    fn identity(&self, state: &Self::Model) -> Self::Identity;

    /// Checks what concerns several attributes. Values may be unknown.
    fn validate(&self, _config: &Self::Model, _diagnostics: &mut Diagnostics) {}

    /// Told of every object that Terraform manages already, when Terraform brings its stored state along. Terraform does
    /// so in a plan; an apply tells only of the objects that it touches.
    fn seen(&self, _state: &Self::Model) {}

    /// What an object will be like after its update. Makes unknown whatever the update may change.
    ///
    /// Called for every object that exists, whether or not its configuration changed: a result that equals the prior
    /// state means that there is nothing to do. It must be the same each time for the same inputs.
    fn plan_update(&self, cx: &mut Context, plan: PlanUpdate<'_, Self::Model>) -> Self::Model;

    /// Makes the object.
    ///
    /// # Errors
    /// Nothing was made, or nothing can be said of what was made.
    ///
    /// # Cancellation
    /// Runs to its end even when the client goes away. [`Context::stop`] asks it not to begin anything more.
    fn create(
        &self,
        cx: &mut Context,
        create: Create<Self::Model>,
    ) -> impl Future<Output = Result<Stored<Self::Model>, Diagnostics>> + Send;

    /// Looks at the object as it is now. `None` if it is gone.
    ///
    /// # Errors
    /// It can't be told; the prior state is kept.
    fn read(
        &self,
        cx: &mut Context,
        prior: Stored<Self::Model>,
    ) -> impl Future<Output = Result<Option<Stored<Self::Model>>, Diagnostics>> + Send;

    /// Changes the object.
    ///
    /// # Errors
    /// The prior state is kept.
    ///
    /// # Cancellation
    /// As for [`Resource::create`].
    fn update(
        &self,
        cx: &mut Context,
        update: Update<Self::Model>,
    ) -> impl Future<Output = Result<Stored<Self::Model>, Diagnostics>> + Send;

    /// Removes the object. Succeeds if it is gone already.
    ///
    /// # Errors
    /// It still exists, for all one knows.
    ///
    /// # Cancellation
    /// As for [`Resource::create`].
    fn delete(
        &self,
        cx: &mut Context,
        prior: Stored<Self::Model>,
    ) -> impl Future<Output = Result<(), Diagnostics>> + Send;

    /// Finds an object that Terraform doesn't manage yet. What is left null is read right afterwards.
    ///
    /// # Errors
    /// There is no such object.
    fn import(
        &self,
        cx: &mut Context,
        key: ImportKey<Self::Identity>,
    ) -> impl Future<Output = Result<Stored<Self::Model>, Diagnostics>> + Send;
}

/// An object's state and what is remembered besides.
#[derive(Clone, Debug)]
pub struct Stored<M> {
    /// The attributes. Write-only ones are null.
    pub state: M,
    /// What else to remember.
    pub private: Private,
}

/// An update to plan.
#[derive(Debug)]
pub struct PlanUpdate<'a, M> {
    /// The object as it was last read.
    pub prior: &'a M,
    /// The configuration, with write-only values. Anything in it may be unknown.
    pub config: &'a M,
    /// The configuration over the prior values of what the provider decides. The result begins as this.
    pub proposed: M,
    /// What is remembered of the object.
    pub private: &'a Private,
}

/// An object to make.
#[derive(Debug)]
pub struct Create<M> {
    /// The configuration, with write-only values. All known.
    pub config: M,
}

/// An object to change.
#[derive(Debug)]
pub struct Update<M> {
    /// The object as it was last read, and what is remembered of it.
    pub prior: Stored<M>,
    /// What the plan promised.
    pub planned: M,
    /// The configuration, with write-only values. All known.
    pub config: M,
}

/// What the user gave to find the object to import.
#[derive(Clone, Debug)]
pub enum ImportKey<I> {
    /// Text, from `terraform import` or an import block's `id`.
    Id(String),
    /// An import block's `identity`.
    Identity(I),
}

/// A plan, as Terraform wants it.
pub(super) struct Planned {
    pub(super) state: Value,
    pub(super) requires_replace: Vec<Path>,
}

/// An object as it is to be stored: null if there is none.
pub(super) struct Reached {
    pub(super) state: Value,
    pub(super) private: Private,
    pub(super) identity: Option<Value>,
}

impl Reached {
    pub(super) fn nothing() -> Self {
        Self { state: Value::Null, private: Private::default(), identity: None }
    }
}

/// The object-safe twin of [`Resource`], over plain values.
pub(super) trait AnyResource: Send + Sync {
    fn schema(&self) -> &Schema;
    fn identity_schema(&self) -> &Schema;
    fn validate(&self, config: Value, write_only_allowed: bool) -> Diagnostics;
    fn upgrade(&self, json: &[u8]) -> Result<Value, CodecError>;
    fn plan(
        &self,
        cx: &mut Context,
        prior: Value,
        proposed: Value,
        config: Value,
        private: &Private,
    ) -> Result<Planned, Diagnostics>;
    fn read<'a>(
        &'a self,
        cx: &'a mut Context,
        prior: Value,
        private: Private,
    ) -> BoxFuture<'a, Result<Reached, Diagnostics>>;
    fn apply<'a>(
        &'a self,
        cx: &'a mut Context,
        prior: Value,
        planned: Value,
        config: Value,
        private: Private,
    ) -> BoxFuture<'a, Result<Reached, Diagnostics>>;
    fn import<'a>(
        &'a self,
        cx: &'a mut Context,
        key: ImportKey<Value>,
    ) -> BoxFuture<'a, Result<Reached, Diagnostics>>;
}

/// A resource type with its schemas, which are built when they are first needed and once.
pub(super) struct Entry<R> {
    resource: R,
    schema: OnceLock<Schema>,
    identity_schema: OnceLock<Schema>,
}

impl<R: Resource> Entry<R> {
    pub(super) fn new(resource: R) -> Self {
        Self { resource, schema: OnceLock::new(), identity_schema: OnceLock::new() }
    }

    fn reached(&self, stored: Stored<R::Model>) -> Reached {
        let identity = self.resource.identity(&stored.state).into_value();
        let state = self.schema().without_write_only(stored.state.into_value());
        Reached { state, private: stored.private, identity: Some(identity) }
    }
}

impl<R: Resource> AnyResource for Entry<R> {
    fn schema(&self) -> &Schema {
        self.schema.get_or_init(|| self.resource.schema())
    }

    fn identity_schema(&self) -> &Schema {
        self.identity_schema.get_or_init(|| R::Identity::schema(""))
    }

    fn validate(&self, config: Value, write_only_allowed: bool) -> Diagnostics {
        let mut diagnostics = self.schema().validate(&config, write_only_allowed);
        match typed(config) {
            Ok(config) => self.resource.validate(&config, &mut diagnostics),
            Err(error) => diagnostics.extend(error),
        }
        diagnostics
    }

    /// Every schema is of version 0 so far, so there is nothing to migrate; core refuses newer states itself.
    fn upgrade(&self, json: &[u8]) -> Result<Value, CodecError> {
        let state = Value::from_stored_json(json, self.schema().value_type())?;
        let model = R::Model::from_value(self.schema().without_write_only(state))?;
        self.resource.seen(&model);
        Ok(model.into_value())
    }

    fn plan(
        &self,
        cx: &mut Context,
        prior: Value,
        proposed: Value,
        config: Value,
        private: &Private,
    ) -> Result<Planned, Diagnostics> {
        if proposed.is_null() {
            return Ok(Planned { state: Value::Null, requires_replace: Vec::new() });
        }
        let schema = self.schema();
        // Core proposes what the configuration says, write-only values included.
        let proposed = schema.without_write_only(proposed);
        if prior.is_null() {
            let state = schema.with_computed_unknown(proposed, &config);
            return Ok(Planned { state, requires_replace: Vec::new() });
        }
        let (prior_model, config) = (typed(prior.clone())?, typed(config)?);
        let plan = PlanUpdate { prior: &prior_model, config: &config, proposed: typed(proposed)?, private };
        let state = schema.without_write_only(self.resource.plan_update(cx, plan).into_value());
        Ok(Planned { requires_replace: schema.replaced_by(&prior, &state), state })
    }

    fn read<'a>(
        &'a self,
        cx: &'a mut Context,
        prior: Value,
        private: Private,
    ) -> BoxFuture<'a, Result<Reached, Diagnostics>> {
        Box::pin(async move {
            let prior = Stored { state: typed(prior)?, private };
            let found = self.resource.read(cx, prior).await?;
            Ok(found.map_or_else(Reached::nothing, |stored| self.reached(stored)))
        })
    }

    fn apply<'a>(
        &'a self,
        cx: &'a mut Context,
        prior: Value,
        planned: Value,
        config: Value,
        private: Private,
    ) -> BoxFuture<'a, Result<Reached, Diagnostics>> {
        Box::pin(async move {
            if prior.is_null() {
                let create = Create { config: typed(config)? };
                return self.resource.create(cx, create).await.map(|stored| self.reached(stored));
            }
            let prior = Stored { state: typed(prior)?, private };
            if planned.is_null() {
                return self.resource.delete(cx, prior).await.map(|()| Reached::nothing());
            }
            let update = Update { prior, planned: typed(planned)?, config: typed(config)? };
            self.resource.update(cx, update).await.map(|stored| self.reached(stored))
        })
    }

    fn import<'a>(
        &'a self,
        cx: &'a mut Context,
        key: ImportKey<Value>,
    ) -> BoxFuture<'a, Result<Reached, Diagnostics>> {
        Box::pin(async move {
            let key = match key {
                ImportKey::Id(id) => ImportKey::Id(id),
                ImportKey::Identity(identity) => ImportKey::Identity(typed(identity)?),
            };
            self.resource.import(cx, key).await.map(|stored| self.reached(stored))
        })
    }
}
