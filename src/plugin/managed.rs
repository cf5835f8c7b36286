//! The code that all managed resources share: the object-safe version of [`Resource`], on plain values.

use std::{any::TypeId, sync::OnceLock};

use super::{
    context::{BoxFuture, Context},
    diagnostics::Diagnostics,
    entry::{Described, Entry},
    messages,
    model::{AttributeType as _, typed},
    path::Path,
    plan,
    private::Private,
    resource::{Create, ImportKey, PlanCreate, PlanUpdate, Read, Replaced, Resource, Stored, Update},
    schema::Schema,
    upgrade::upgrade,
    value::Value,
};

/// An object in plain values, as in a request.
pub(super) struct Object {
    pub(super) state: Value,
    pub(super) private: Private,
    pub(super) identity: Option<Value>,
}

/// A change to plan. A new object has no prior state, and an object to destroy has no configuration.
pub(super) struct Change {
    pub(super) prior: Object,
    pub(super) config: Value,
    pub(super) removes: bool,
    /// The planned private state of an earlier plan of the same change, if Terraform stores it.
    pub(super) planned_private: Private,
}

/// The response to a plan.
pub(super) struct Planned {
    pub(super) state: Value,
    pub(super) private: Private,
    pub(super) identity: Option<Value>,
    pub(super) requires_replace: Vec<Path>,
}

/// A managed resource type with its schemas.
pub(super) trait AnyResource: Described + Send + Sync {
    /// The Rust type, which a list resource refers to.
    fn rust_type(&self) -> TypeId;
    /// The schema of its identity, without attributes if it has no identity.
    fn identity_schema(&self) -> &Schema;
    fn validate(&self, config: Value, write_only_allowed: bool) -> Diagnostics;
    fn upgrade_state(&self, version: i64, json: &[u8]) -> Result<Value, Diagnostics>;
    fn upgrade_identity(&self, version: i64, json: &[u8]) -> Result<Value, Diagnostics>;
    fn plan<'a>(&'a self, cx: &'a mut Context, change: Change)
    -> BoxFuture<'a, Result<Planned, Diagnostics>>;
    /// The plan that follows from the schema alone, for a change that is deferred.
    fn plan_by_schema(&self, change: Change) -> Planned;
    fn read<'a>(&'a self, cx: &'a mut Context, prior: Object) -> BoxFuture<'a, Result<Object, Diagnostics>>;
    fn apply<'a>(
        &'a self,
        cx: &'a mut Context,
        prior: Object,
        planned: Value,
        config: Value,
    ) -> BoxFuture<'a, Result<Object, Diagnostics>>;
    fn import<'a>(
        &'a self,
        cx: &'a mut Context,
        key: ImportKey<Value>,
    ) -> BoxFuture<'a, Result<Object, Diagnostics>>;
}

pub(super) struct Managed<R> {
    entry: Entry<R>,
    identity_schema: OnceLock<Schema>,
}

impl<R: Resource> Managed<R> {
    pub(super) fn new(resource: R) -> Self {
        Self { entry: Entry::new(resource, R::schema), identity_schema: OnceLock::new() }
    }

    fn resource(&self) -> &R {
        self.entry.item()
    }

    /// The object to store. `known` is its previous identity, which must not change.
    fn object(&self, cx: &mut Context, stored: Stored<R::Model>, known: Option<&Value>) -> Object {
        let Stored { mut state, private } = stored;
        if cx.diagnostics.has_errors() {
            // Values that a failed apply left unknown. Terraform would add an error for each of them.
            state = typed(state.clone().into_value().without_unknown()).unwrap_or(state);
        }
        let identity = self.identity(&state);
        let identity = match (known, identity) {
            (Some(known), Some(identity)) => Some(self.same_identity(cx, known, identity)),
            (None, None) if !self.identity_schema().attributes.is_empty() && !cx.diagnostics.has_errors() => {
                cx.diagnostics.push(messages::incomplete_identity());
                None
            }
            (known, identity) => identity.or_else(|| known.cloned()),
        };
        let state = self.entry.schema().without_write_only(state.into_value());
        Object { state, private: private.without_planned(), identity }
    }

    /// The identity of a state, if the type has one and the state determines it.
    fn identity(&self, state: &R::Model) -> Option<Value> {
        let attributes = &self.identity_schema().attributes;
        if attributes.is_empty() {
            return None;
        }
        let identity = self.resource().identity(state).into_value();
        let complete = attributes.iter().all(|attribute| {
            !attribute.is_required() || !identity.attribute_or_null(attribute.name).is_null()
        });
        (complete && identity.is_wholly_known()).then_some(identity)
    }

    /// The identity after a read or an update. A changed identity is an error, and the old one is kept.
    fn same_identity(&self, cx: &mut Context, known: &Value, identity: Value) -> Value {
        let changed = self.identity_schema().attributes.iter().find(|attribute| {
            let (before, now) =
                (known.attribute_or_null(attribute.name), identity.attribute_or_null(attribute.name));
            // An import may omit optional attributes, which are filled in here.
            !before.is_null() && !before.same_as(now, &attribute.value_type())
        });
        let Some(attribute) = changed else { return identity };
        cx.diagnostics.push(messages::changed_identity(attribute.name));
        known.clone()
    }

    async fn plan_create(
        &self,
        cx: &mut Context,
        prior: Object,
        config: Value,
        mut private: Private,
    ) -> Result<Planned, Diagnostics> {
        let planned = plan::created(self.entry.schema(), &config);
        let replaced = match (&prior.identity, prior.private.is_empty()) {
            (None, true) => None,
            (identity, _) => {
                Some(Replaced { identity: identity.clone().map(typed).transpose()?, private: prior.private })
            }
        };
        let config = typed(config)?;
        let create =
            PlanCreate { config: &config, planned: typed(planned)?, private: &mut private, replaced };
        let planned = self.resource().plan_create(cx, create).await?;
        let state = self.entry.schema().without_write_only(planned.into_value());
        // An object has no identity before it exists.
        Ok(Planned { state, private, identity: None, requires_replace: Vec::new() })
    }

    async fn plan_update(
        &self,
        cx: &mut Context,
        prior: Object,
        config: Value,
    ) -> Result<Planned, Diagnostics> {
        let schema = self.entry.schema();
        let Object { state: prior, mut private, identity } = prior;
        let planned = plan::planned(schema, &prior, &config);
        let replaces = !plan::replaced_by(schema, &prior, &planned).is_empty();
        let (typed_prior, config): (R::Model, R::Model) = (typed(prior.clone())?, typed(config)?);
        let planned = if planned == prior { typed_prior.clone() } else { typed(planned)? };
        let config_value = || config.clone().into_value();
        let update = PlanUpdate {
            prior: &typed_prior,
            config: &config,
            planned,
            if_updated: &|| typed(plan::updated(schema, &prior, &config_value())),
            if_kept: &|| typed(plan::kept(schema, &prior, &config_value())),
            replaces,
            private: &mut private,
        };
        let planned = self.resource().plan_update(cx, update).await?;
        let state = schema.without_write_only(planned.into_value());
        let requires_replace = plan::replaced_by(schema, &prior, &state);
        Ok(Planned { state, private, identity, requires_replace })
    }

    async fn plan_destroy(&self, cx: &mut Context, prior: Object) -> Result<Planned, Diagnostics> {
        let stored = Stored { state: typed(prior.state)?, private: prior.private };
        self.resource().plan_destroy(cx, &stored).await?;
        Ok(Planned {
            state: Value::Null,
            private: stored.private,
            identity: prior.identity,
            requires_replace: Vec::new(),
        })
    }
}

impl<R: Resource> Described for Managed<R> {
    fn schema(&self) -> &Schema {
        self.entry.schema()
    }
}

impl<R: Resource> AnyResource for Managed<R> {
    fn rust_type(&self) -> TypeId {
        TypeId::of::<R>()
    }

    fn identity_schema(&self) -> &Schema {
        self.identity_schema.get_or_init(|| self.resource().identity_schema())
    }

    fn validate(&self, config: Value, write_only_allowed: bool) -> Diagnostics {
        let duplicates = plan::duplicates(self.entry.schema(), &config);
        let mut diagnostics = self.entry.validate(config, write_only_allowed, R::validate);
        diagnostics.extend(duplicates);
        diagnostics
    }

    fn upgrade_state(&self, version: i64, json: &[u8]) -> Result<Value, Diagnostics> {
        let schema = self.entry.schema();
        // An older release may have stored attributes that are write-only now.
        let state = schema.without_write_only(upgrade(schema, version, json, "state")?);
        self.resource().stored(&typed(state.clone())?);
        Ok(state)
    }

    fn upgrade_identity(&self, version: i64, json: &[u8]) -> Result<Value, Diagnostics> {
        upgrade(self.identity_schema(), version, json, "identity")
    }

    fn plan<'a>(
        &'a self,
        cx: &'a mut Context,
        change: Change,
    ) -> BoxFuture<'a, Result<Planned, Diagnostics>> {
        Box::pin(async move {
            let Change { prior, config, removes, planned_private } = change;
            match (removes, prior.state.is_null()) {
                (true, _) => self.plan_destroy(cx, prior).await,
                (false, true) => self.plan_create(cx, prior, config, planned_private).await,
                (false, false) => self.plan_update(cx, prior, config).await,
            }
        })
    }

    fn plan_by_schema(&self, change: Change) -> Planned {
        let Change { prior: Object { state: prior, private, identity }, config, removes, .. } = change;
        let schema = self.entry.schema();
        let is_known = matches!(prior, Value::Map(_));
        let state = match (removes, is_known) {
            (true, _) => Value::Null,
            (false, true) => plan::planned(schema, &prior, &config),
            // A new object, or one whose import is deferred.
            (false, false) => plan::created(schema, &config),
        };
        let requires_replace =
            if is_known && !removes { plan::replaced_by(schema, &prior, &state) } else { Vec::new() };
        Planned { state, private, identity: identity.filter(|_| !prior.is_null()), requires_replace }
    }

    fn read<'a>(&'a self, cx: &'a mut Context, prior: Object) -> BoxFuture<'a, Result<Object, Diagnostics>> {
        Box::pin(async move {
            let Object { state, mut private, identity } = prior;
            let imported = private.take_imported();
            let read = Read { prior: Stored { state: typed(state)?, private }, imported };
            let found = self.resource().read(cx, read).await?;
            // The spelling of an imported identity may differ from the server's.
            let known = identity.filter(|_| !imported);
            Ok(found.map_or_else(Object::none, |stored| self.object(cx, stored, known.as_ref())))
        })
    }

    fn apply<'a>(
        &'a self,
        cx: &'a mut Context,
        prior: Object,
        planned: Value,
        config: Value,
    ) -> BoxFuture<'a, Result<Object, Diagnostics>> {
        Box::pin(async move {
            let Object { state, private, identity } = prior;
            if state.is_null() {
                let create = Create { config: typed(config)?, planned: typed(planned)?, private };
                let stored = self.resource().create(cx, create).await?;
                return Ok(self.object(cx, stored, None));
            }
            let prior = Stored { state: typed(state)?, private };
            if planned.is_null() {
                // Terraform sends no identity for a deletion, and drops it unless the response to a failed deletion has
                // it.
                let identity = identity.or_else(|| self.identity(&prior.state));
                let kept = Object {
                    state: prior.state.clone().into_value(),
                    private: prior.private.clone().without_planned(),
                    identity,
                };
                return Ok(match self.resource().delete(cx, prior).await {
                    Ok(()) => Object::none(),
                    Err(failure) => {
                        cx.diagnostics.extend(failure);
                        kept
                    }
                });
            }
            let update = Update { prior, planned: typed(planned)?, config: typed(config)? };
            let stored = self.resource().update(cx, update).await?;
            Ok(self.object(cx, stored, identity.as_ref()))
        })
    }

    fn import<'a>(
        &'a self,
        cx: &'a mut Context,
        key: ImportKey<Value>,
    ) -> BoxFuture<'a, Result<Object, Diagnostics>> {
        Box::pin(async move {
            let (key, given) = match key {
                ImportKey::Id(id) => (ImportKey::Id(id), None),
                ImportKey::Identity(identity) => {
                    let problems = self.identity_schema().validate(&identity, false);
                    if problems.has_errors() {
                        return Err(in_identity(problems));
                    }
                    let key = typed(identity.clone()).map_err(in_identity)?;
                    (ImportKey::Identity(key), Some(identity))
                }
            };
            let Stored { state, mut private } = self.resource().import(cx, key).await?;
            private.mark_imported();
            // The read that follows fills in what is missing.
            let identity = self.identity(&state).or(given);
            let state = self.entry.schema().without_write_only(state.into_value()).without_unknown();
            Ok(Object { state, private, identity })
        })
    }
}

impl Object {
    /// The result for an object that no longer exists.
    fn none() -> Self {
        Self { state: Value::Null, private: Private::default(), identity: None }
    }
}

/// Problems with an identity. It is in an import block, where paths into the resource don't lead.
fn in_identity(problems: Diagnostics) -> Diagnostics {
    let mut diagnostics = Diagnostics::new();
    for problem in problems {
        diagnostics.push(messages::invalid_identity(&problem.detail));
    }
    diagnostics
}
