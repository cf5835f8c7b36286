//! Managed resources: the trait that a type implements.

use super::{
    context::Context, diagnostics::Diagnostics, messages, model::Model, private::Private, schema::Schema,
};

/// A managed resource type.
///
/// The runtime checks the schema's rules before it calls these methods. It plans what follows from the schema:
/// defaults, unknown values and replacement. It removes write-only values from all responses, upgrades stored states,
/// and checks that an object keeps its identity.
///
/// Most methods get a [`Context`], which collects warnings and signals when to stop.
pub trait Resource: Send + Sync + 'static {
    /// Its attributes.
    type Model: Model;
    /// The attributes of its identity. An import by identity must set the required ones. With `()`, Terraform can
    /// neither import by identity nor list the objects.
    type Identity: Model;

    /// The schema of its attributes.
    fn schema(&self) -> Schema;

    /// The schema of its identity. Override it to add upgrades of the identity.
    fn identity_schema(&self) -> Schema {
        Self::Identity::schema("")
    }

    /// The identity of an object that exists. It must not change as long as the object exists.
    fn identity(&self, state: &Self::Model) -> Self::Identity;

    /// Takes note of an object in Terraform's state. Terraform shows each object that a run concerns, before any other
    /// call for this object. That is also the case with `-refresh=false`, where no read follows.
    fn stored(&self, _state: &Self::Model) {}

    /// Checks rules that involve several attributes. Values may be unknown.
    fn validate(&self, _config: &Self::Model, _diagnostics: &mut Diagnostics) {}

    /// Plans a new object. By default it has the configured values and the defaults, and everything else is unknown. A
    /// type that knows more sets it in [`PlanCreate::planned`] and returns that.
    ///
    /// The result must be deterministic: Terraform plans again before it applies, and known planned values must not
    /// change.
    ///
    /// # Errors
    /// This object can't be created.
    fn plan_create(
        &self,
        _cx: &mut Context,
        plan: PlanCreate<'_, Self>,
    ) -> impl Future<Output = Result<Self::Model, Diagnostics>> + Send {
        std::future::ready(Ok(plan.planned))
    }

    /// Plans an update. The result equals the prior state if nothing changes. Called for every object that exists,
    /// whether or not its configuration changed, and also before a replacement.
    ///
    /// By default, an object whose configuration didn't change isn't updated. Otherwise, computed attributes are
    /// unknown unless they are stable. A type that knows more starts from [`PlanUpdate::planned`] and sets the values
    /// that don't change. A type that must update an object with an unchanged configuration starts from
    /// [`PlanUpdate::if_updated`], which is only worked out when it is called.
    ///
    /// The result must be deterministic, as for [`Resource::plan_create`].
    ///
    /// # Errors
    /// The object can't be updated in this way.
    fn plan_update(
        &self,
        _cx: &mut Context,
        plan: PlanUpdate<'_, Self::Model>,
    ) -> impl Future<Output = Result<Self::Model, Diagnostics>> + Send {
        std::future::ready(Ok(plan.planned))
    }

    /// Plans to destroy an object. Not called for the destroy step of a replacement.
    ///
    /// # Errors
    /// The object can't be destroyed.
    fn plan_destroy(
        &self,
        _cx: &mut Context,
        _prior: &Stored<Self::Model>,
    ) -> impl Future<Output = Result<(), Diagnostics>> + Send {
        std::future::ready(Ok(()))
    }

    /// Creates the object.
    ///
    /// If an object was created, it must be returned. To report a problem with it, add an error to
    /// [`Context::diagnostics`] and return the partial state: Terraform stores it and marks it as tainted.
    ///
    /// # Errors
    /// No object was created, or it is unknown whether one was.
    ///
    /// # Cancellation
    /// Runs to its end even if the client disconnects. [`Context::stop`] signals not to start anything new.
    fn create(
        &self,
        cx: &mut Context,
        create: Create<Self::Model>,
    ) -> impl Future<Output = Result<Stored<Self::Model>, Diagnostics>> + Send;

    /// Reads the object. `None` if it no longer exists.
    ///
    /// # Errors
    /// The object can't be read. The prior state is kept.
    fn read(
        &self,
        cx: &mut Context,
        read: Read<Self::Model>,
    ) -> impl Future<Output = Result<Option<Stored<Self::Model>>, Diagnostics>> + Send;

    /// Updates the object. Not called for types where every attribute requires a replacement.
    ///
    /// To report a failure after a part of the update, add an error to [`Context::diagnostics`] and return the partial
    /// state.
    ///
    /// # Errors
    /// The prior state is kept.
    ///
    /// # Cancellation
    /// As for [`Resource::create`].
    fn update(
        &self,
        _cx: &mut Context,
        _update: Update<Self::Model>,
    ) -> impl Future<Output = Result<Stored<Self::Model>, Diagnostics>> + Send {
        std::future::ready(Err(messages::update_unsupported()))
    }

    /// Deletes the object. Succeeds if it no longer exists.
    ///
    /// # Errors
    /// The object may still exist.
    ///
    /// # Cancellation
    /// As for [`Resource::create`].
    fn delete(
        &self,
        cx: &mut Context,
        prior: Stored<Self::Model>,
    ) -> impl Future<Output = Result<(), Diagnostics>> + Send;

    /// Imports an object. A read follows, which fills in attributes that are null here.
    ///
    /// # Errors
    /// There is no such object.
    fn import(
        &self,
        _cx: &mut Context,
        _key: ImportKey<Self::Identity>,
    ) -> impl Future<Output = Result<Stored<Self::Model>, Diagnostics>> + Send {
        std::future::ready(Err(messages::import_unsupported()))
    }
}

/// An object's state and private state.
#[derive(Clone, Debug)]
pub struct Stored<M> {
    /// The attributes. Write-only ones are null.
    pub state: M,
    /// The private state.
    pub private: Private,
}

impl<M> Stored<M> {
    /// A state without private state.
    pub fn new(state: M) -> Self {
        Self { state, private: Private::default() }
    }
}

/// A new object to plan.
#[derive(Debug)]
pub struct PlanCreate<'a, R: Resource + ?Sized> {
    /// The configuration, with write-only values. Anything in it may be unknown.
    pub config: &'a R::Model,
    /// The plan that follows from the configuration and the schema: the default result.
    pub planned: R::Model,
    /// Private state for [`Resource::create`], which gets it as [`Create::private`]. Empty at first. When Terraform
    /// 1.16 or later plans again before it applies, it has the data of the first plan.
    pub private: &'a mut Private,
    /// The object that this one replaces, if Terraform reports it. It doesn't for a tainted object, nor when it plans
    /// again before it applies.
    pub replaced: Option<Replaced<R::Identity>>,
}

/// An object that is to be replaced.
#[derive(Clone, Debug)]
pub struct Replaced<I> {
    /// Its identity, from Terraform 1.12 on.
    pub identity: Option<I>,
    /// Its private state.
    pub private: Private,
}

/// An update to plan.
pub struct PlanUpdate<'a, M> {
    /// The object as it was last read.
    pub prior: &'a M,
    /// The configuration, with write-only values. Anything in it may be unknown.
    pub config: &'a M,
    /// The plan that follows from the configuration and the schema: the default result.
    pub planned: M,
    /// The planned object if it is updated, whether or not the configuration changed: computed attributes are unknown
    /// unless they are stable.
    pub if_updated: &'a (dyn Fn() -> Result<M, Diagnostics> + Sync),
    /// The planned object if only Terraform's state changes: computed attributes keep their values.
    pub if_kept: &'a (dyn Fn() -> Result<M, Diagnostics> + Sync),
    /// Whether [`PlanUpdate::planned`] requires a replacement. If so, a plan of the new object follows.
    pub replaces: bool,
    /// The private state of the object. Changes reach [`Resource::update`], and are lost if there is no update.
    pub private: &'a mut Private,
}

/// An object to create.
#[derive(Debug)]
pub struct Create<M> {
    /// The configuration, with write-only values. All known.
    pub config: M,
    /// The planned object. The returned state must have the same known values.
    pub planned: M,
    /// The private state that the plan passed on.
    pub private: Private,
}

/// An object to read.
#[derive(Debug)]
pub struct Read<M> {
    /// The object and its private state as of the last read.
    pub prior: Stored<M>,
    /// Whether this is the first read after an import, so that the prior state only has what the import returned.
    pub imported: bool,
}

/// An object to change.
#[derive(Debug)]
pub struct Update<M> {
    /// The object as of the last read, and its private state after the plan.
    pub prior: Stored<M>,
    /// The planned object. The returned state must have the same known values.
    pub planned: M,
    /// The configuration, with write-only values. All known. `ignore_changes` has no effect on it.
    pub config: M,
}

/// The ID or identity of an object to import.
#[derive(Clone, Debug)]
pub enum ImportKey<I> {
    /// The ID from `terraform import` or from an import block's `id`.
    Id(String),
    /// An import block's `identity`. The runtime has checked the rules of its attributes.
    Identity(I),
}

impl ImportKey<()> {
    /// The ID. A type without identity has no other key.
    pub fn into_id(self) -> String {
        match self {
            Self::Id(id) => id,
            Self::Identity(()) => String::new(),
        }
    }
}
