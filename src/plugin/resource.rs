//! Managed resources: the trait that a type implements.

use super::{
    context::Context, diagnostics::Diagnostics, messages, model::Model, private::Private, schema::Schema,
};

/// A managed resource type.
///
/// When the runtime calls these methods, it has checked the schema's rules. By itself it plans what follows from the
/// schema: defaults, what becomes unknown, what must be replaced. It keeps write-only values out of all that it returns
/// to Terraform, upgrades what older releases stored, and sees to it that an object keeps its identity.
///
/// Most methods get a [`Context`], which collects warnings and signals when to begin nothing more.
pub trait Resource: Send + Sync + 'static {
    /// Its attributes.
    type Model: Model;
    /// The attributes that distinguish an object from all others. Required ones must be given to import by identity. `()`
    /// for none: then Terraform can neither import by identity nor list the objects.
    type Identity: Model;

    /// The schema of its attributes.
    fn schema(&self) -> Schema;

    /// The schema of its identity. Only one whose shape has changed needs another than this.
    fn identity_schema(&self) -> Schema {
        Self::Identity::schema("")
    }

    /// The identity of an object that exists. It must not change as long as the object exists.
    fn identity(&self, state: &Self::Model) -> Self::Identity;

    /// Checks what concerns several attributes. Values may be unknown.
    fn validate(&self, _config: &Self::Model, _diagnostics: &mut Diagnostics) {}

    /// Plans a new object. By default it has the configured values and the defaults, and all else is unknown; a type that
    /// knows more of it sets it in [`PlanCreate::planned`] and returns that.
    ///
    /// The result must be the same for the same inputs: Terraform plans again before it applies, and what was planned as
    /// known must not change.
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

    /// Plans an update, or that there is nothing to do: the result then equals the prior state. Called for every object
    /// that exists, whether or not its configuration changed, and also before a replacement.
    ///
    /// By default, nothing happens if nothing changed. If anything did, all that the provider sets is unknown unless it is
    /// stable. A type that knows more begins with [`PlanUpdate::planned`] and makes known again what stays. A type that
    /// must update an object although its configuration is the same begins with [`PlanUpdate::if_updated`].
    ///
    /// The result must be the same for the same inputs, as for [`Resource::plan_create`].
    ///
    /// # Errors
    /// This object can't be updated like that.
    fn plan_update(
        &self,
        _cx: &mut Context,
        plan: PlanUpdate<'_, Self::Model>,
    ) -> impl Future<Output = Result<Self::Model, Diagnostics>> + Send {
        std::future::ready(Ok(plan.planned))
    }

    /// Looks at the plan to remove an object. Not called for the removal that is half of a replacement.
    ///
    /// # Errors
    /// This object can't be removed.
    fn plan_destroy(
        &self,
        _cx: &mut Context,
        _prior: &Stored<Self::Model>,
    ) -> impl Future<Output = Result<(), Diagnostics>> + Send {
        std::future::ready(Ok(()))
    }

    /// Creates the object.
    ///
    /// Whatever was created must be returned. To report a problem with it, add an error to [`Context::diagnostics`] and
    /// return the state as far as it got: Terraform keeps it and marks it as tainted.
    ///
    /// # Errors
    /// Nothing was created, or nothing is known of what was created.
    ///
    /// # Cancellation
    /// Runs to its end even when the client goes away. [`Context::stop`] asks it not to begin anything more.
    fn create(
        &self,
        cx: &mut Context,
        create: Create<Self::Model>,
    ) -> impl Future<Output = Result<Stored<Self::Model>, Diagnostics>> + Send;

    /// Reads the object as it is now. `None` if it is gone.
    ///
    /// # Errors
    /// It can't be read. The prior state is kept.
    fn read(
        &self,
        cx: &mut Context,
        read: Read<Self::Model>,
    ) -> impl Future<Output = Result<Option<Stored<Self::Model>>, Diagnostics>> + Send;

    /// Changes the object. A type whose every attribute requires a replacement never gets this call.
    ///
    /// To report a problem after a part of the change was done, add an error to [`Context::diagnostics`] and return the
    /// state as far as it got.
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

    /// Removes the object. Succeeds if it is gone already.
    ///
    /// # Errors
    /// As far as is known, it still exists.
    ///
    /// # Cancellation
    /// As for [`Resource::create`].
    fn delete(
        &self,
        cx: &mut Context,
        prior: Stored<Self::Model>,
    ) -> impl Future<Output = Result<(), Diagnostics>> + Send;

    /// Finds an object that Terraform doesn't manage yet. What is left null here is read right afterwards.
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

/// An object's state and what is remembered of it besides.
#[derive(Clone, Debug)]
pub struct Stored<M> {
    /// The attributes. Write-only ones are null.
    pub state: M,
    /// What else to remember.
    pub private: Private,
}

impl<M> Stored<M> {
    /// A state without anything else to remember.
    pub fn new(state: M) -> Self {
        Self { state, private: Private::default() }
    }
}

/// A new object to plan.
#[derive(Debug)]
pub struct PlanCreate<'a, R: Resource + ?Sized> {
    /// The configuration, with write-only values. Anything in it may be unknown.
    pub config: &'a R::Model,
    /// What follows from the configuration and the schema. The result begins as this.
    pub planned: R::Model,
    /// What the plan hands to [`Resource::create`], where it arrives in [`Create::private`]. Empty at first; when Terraform
    /// 1.16 or later plans again before it applies, it holds what the first plan put there.
    pub private: &'a mut Private,
    /// The object that this one replaces, as far as Terraform reports it: not for a tainted object, and not when it plans
    /// again before it applies.
    pub replaced: Option<Replaced<R::Identity>>,
}

/// An object that is to be replaced.
#[derive(Clone, Debug)]
pub struct Replaced<I> {
    /// Its identity, from Terraform 1.12 on.
    pub identity: Option<I>,
    /// What is remembered of it.
    pub private: Private,
}

/// An update to plan.
#[derive(Debug)]
pub struct PlanUpdate<'a, M> {
    /// The object as it was last read.
    pub prior: &'a M,
    /// The configuration, with write-only values. Anything in it may be unknown.
    pub config: &'a M,
    /// What follows from the configuration and the schema. The result begins as this.
    pub planned: M,
    /// The same as [`PlanUpdate::planned`] if the configuration changed. If not, what the object will be when it is
    /// updated anyway: all that the provider sets is unknown unless it is stable.
    pub if_updated: M,
    /// What the object will be if the change concerns Terraform's state alone: all that the provider sets keeps its value.
    pub if_kept: M,
    /// Whether [`PlanUpdate::planned`] requires a replacement. Then a plan of the new object follows.
    pub replaces: bool,
    /// What is remembered of the object. Changes reach [`Resource::update`], and are lost if there is nothing to do.
    pub private: &'a mut Private,
}

/// An object to create.
#[derive(Debug)]
pub struct Create<M> {
    /// The configuration, with write-only values. All known.
    pub config: M,
    /// What was planned: the configuration, the defaults, and what the plan added. The state to return has the same known
    /// values.
    pub planned: M,
    /// What the plan handed over.
    pub private: Private,
}

/// An object to read.
#[derive(Debug)]
pub struct Read<M> {
    /// The object as it was last read, and what is remembered of it.
    pub prior: Stored<M>,
    /// Whether it was just imported, so that Terraform doesn't manage it yet and has only what the import returned.
    pub imported: bool,
}

/// An object to change.
#[derive(Debug)]
pub struct Update<M> {
    /// The object as it was last read, and what is remembered of it after the plan.
    pub prior: Stored<M>,
    /// What was planned. The state to return has the same known values.
    pub planned: M,
    /// The configuration, with write-only values. All known. `ignore_changes` has no effect on it.
    pub config: M,
}

/// What the user gave to find the object to import.
#[derive(Clone, Debug)]
pub enum ImportKey<I> {
    /// Text, from `terraform import` or an import block's `id`.
    Id(String),
    /// An import block's `identity`. It satisfies the rules of the identity's attributes.
    Identity(I),
}

impl ImportKey<()> {
    /// The text. A type without identity has no other key.
    pub fn into_id(self) -> String {
        match self {
            Self::Id(id) => id,
            Self::Identity(()) => String::new(),
        }
    }
}
