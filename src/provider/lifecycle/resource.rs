//! The managed resource of a kind of object.

use std::marker::PhantomData;

use super::{
    adoption, create_checks, environment,
    import_warnings::ImportWarning,
    object::{ManagedObject, NewOf, ObjectModel, ObjectOf, PlaceOf},
    planned_objects::{Fate, mark, set_mark},
    secret::{self, Due, SecretAttribute},
};
use crate::{
    kms::{self, ApiErrorKind, CreateError, Existing, ObjectPatch as _, Scope},
    model,
    plugin::{
        context::Context,
        diagnostics::Diagnostics,
        model::{AttributeType as _, Field, Model},
        path::{Path, Step},
        private::Private,
        resource::{Create, ImportKey, PlanCreate, PlanUpdate, Read, Resource, Stored, Update},
        schema::{Schema, required},
        value::Value,
    },
    provider::{
        access::Access,
        messages::{failures, lifecycle as messages},
        redaction, rules,
    },
    secret::Secret,
};

model! {
    /// What distinguishes an object from all others.
    pub struct ObjectIdentity {
        /// ID, a UUID.
        id: String = required().rule(rules::uuid),
    }
}

/// From plan to apply: the ID of the object that a plan updates or replaces.
const PLANNED_ID: &str = "id";
/// From plan to apply: the ID of the object that a create may take over, or nothing.
const ADOPTS: &str = "adopts";
/// From plan to apply: the replacement needs room that the deletion has to make.
const TAKES_PLACE: &str = "takes_place";

/// The resource type of a kind of object.
pub struct ObjectResource<T> {
    access: Access,
    kind: PhantomData<fn(T)>,
}

impl<T: ManagedObject> ObjectResource<T> {
    pub fn new(access: Access) -> Self {
        Self { access, kind: PhantomData }
    }

    /// Notes that a plan keeps, changes or destroys an object.
    ///
    /// # Errors
    /// Another resource manages or adopts it.
    fn plan(&self, state: &T::Model, private: &Private, fate: Fate) -> Result<(), Diagnostics> {
        let id = state.id().text();
        let managed = self.access.managed();
        managed.plan(id).map_err(|adopting| messages::planned_twice::<T>(id, &adopting))?;
        let is_free = match mark(private) {
            Some(mark) => self.access.claim(|planned| planned.claim_object(id, &mark, fate)),
            None => true,
        };
        if is_free { Ok(()) } else { Err(messages::managed_twice::<T>(state)) }
    }

    /// Keeps the arguments of the prior state that the KMS returned with a secret in them, and warns.
    ///
    /// # Errors
    /// The object is imported, and there is no prior value of an argument without which it would be replaced.
    fn without_placeholders(
        &self,
        prior: &T::Model,
        state: &mut T::Model,
        diagnostics: &mut Diagnostics,
    ) -> Result<(), Diagnostics> {
        let mut shown = state.clone().into_value();
        let redacted = redaction::attributes(&shown);
        let (Value::Map(values), false) = (&mut shown, redacted.is_empty()) else { return Ok(()) };
        let prior_values = prior.clone().into_value();
        let is_imported = prior.name().is_null();
        let mut missing = Vec::new();
        for attribute in T::Model::attributes().iter().filter(|attribute| attribute.is_configurable()) {
            let of_attribute = Path::attribute(attribute.name);
            if !redacted.iter().any(|path| path.0.first() == of_attribute.0.first()) {
                continue;
            }
            let kept = prior_values.attribute_or_null(attribute.name);
            let is_kept = !is_imported && redaction::attributes(kept).is_empty();
            if is_kept {
                values.insert(attribute.name.into(), kept.clone());
            } else if attribute.requires_replace {
                missing.push(of_attribute);
            }
        }
        let what = format!("the {} {}", T::NOUN, state.id().text());
        if !missing.is_empty() {
            return Err(failures::secret_in_place(&what, &missing));
        }
        if let Ok(kept) = T::Model::from_value(shown) {
            *state = kept;
        }
        self.warn_of_redaction(&what, redacted, &prior_values, diagnostics);
        Ok(())
    }

    /// Warns of secrets that the KMS returned, except where the configuration itself has one in plain text.
    fn warn_of_redaction(
        &self,
        what: &str,
        mut redacted: Vec<Path>,
        known: &Value,
        diagnostics: &mut Diagnostics,
    ) {
        redacted.retain(|path| match &path.0[..] {
            [Step::Attribute(name)] => {
                !matches!(known.attribute_or_null(name), Value::String(text) if self.access.has_secret(text))
            }
            _ => true,
        });
        if !redacted.is_empty() {
            failures::secret_in_response(what, &redacted, diagnostics);
        }
    }

    /// The same for the result of a change. The state has the planned arguments.
    fn warn_of_redacted_result(&self, object: &ObjectOf<T>, state: &T::Model, diagnostics: &mut Diagnostics) {
        let what = format!("the {} {}", T::NOUN, messages::quoted(state.name().text()));
        let redacted = redaction::attributes(&T::Model::found(object).into_value());
        self.warn_of_redaction(&what, redacted, &state.clone().into_value(), diagnostics);
    }

    fn keep_secret(&self, config: &T::Model) {
        if let Some(secret) = T::SECRET.and_then(|attribute| (attribute.value)(config).known().cloned()) {
            self.access.keep_secret(&secret);
        }
    }

    /// Warns of what a plan does with the secret.
    fn warn_of_secret(
        &self,
        secret: &SecretAttribute<T::Model>,
        prior: &T::Model,
        due: Option<Due>,
        value: &Field<Secret>,
        private: &Private,
        diagnostics: &mut Diagnostics,
    ) {
        if due == Some(Due::FirstTime) {
            match self.access.count_import() {
                ImportWarning::Hide => {}
                shown => messages::sent_once::<T>(
                    prior.name().text(),
                    !(secret.version)(prior).is_null(),
                    shown == ImportWarning::ShowLast,
                    diagnostics,
                ),
            }
        } else if !value.is_null() && secret.is_written_elsewhere(prior, private) {
            messages::written_elsewhere::<T>(prior, due.is_some(), diagnostics);
        }
    }
}

impl<T: ManagedObject> Resource for ObjectResource<T> {
    type Model = T::Model;
    type Identity = ObjectIdentity;

    fn schema(&self) -> Schema {
        let mut attributes = T::Model::attributes();
        for attribute in attributes.iter_mut().filter(|attribute| attribute.requires_replace) {
            attribute.description += &format!(" Changing this replaces the {}.", T::NOUN);
        }
        Schema::new(T::DESCRIPTION, attributes)
    }

    fn identity(&self, state: &T::Model) -> ObjectIdentity {
        ObjectIdentity { id: state.id().clone() }
    }

    fn stored(&self, state: &T::Model) {
        self.access.managed().add(state.id().text());
    }

    fn validate(&self, config: &T::Model, diagnostics: &mut Diagnostics) {
        self.keep_secret(config);
        if let Some(secret) = T::SECRET
            && (secret.value)(config).is_null()
            && (secret.version)(config).known().is_some()
        {
            messages::version_without_secret::<T>(diagnostics);
        }
        T::validate(config, diagnostics);
    }

    async fn plan_create(
        &self,
        cx: &mut Context,
        plan: PlanCreate<'_, Self>,
    ) -> Result<T::Model, Diagnostics> {
        self.keep_secret(plan.config);
        if T::SECRET.is_some_and(|secret| (secret.value)(plan.config).is_null()) {
            return Err(messages::secret_missing_to_create::<T>());
        }
        self.access.ensure_plannable(cx)?;
        // Terraform hands over what an earlier plan of the same change said, from 1.16 on.
        let earlier = plan.private.planned(PLANNED_ID);
        if let Some(replaced) = &plan.replaced {
            plan.private.set_planned(TAKES_PLACE, replaced.private.planned::<bool>(TAKES_PLACE));
        }
        let replaced: Option<String> =
            plan.replaced.and_then(|replaced| replaced.private.planned(PLANNED_ID)).or(earlier);
        plan.private.set_planned(PLANNED_ID, replaced.as_deref());
        T::review(None, &plan.planned, false, &mut cx.diagnostics);
        create_checks::check_create::<T>(&self.access, cx, &plan.planned, replaced.as_deref()).await?;
        let found = adoption::forecast::<T>(&self.access, cx, &plan.planned, replaced.as_deref()).await?;
        // Terraform 1.16 hands over what the first plan found, which counts. Older releases plan again. So does 1.16 where the
        // first plan could not decide.
        let is_decided = plan.private.planned::<String>(ADOPTS).is_some();
        if !is_decided && adoption::is_decidable::<T>(&self.access, &plan.planned) {
            plan.private.set_planned(ADOPTS, Some(found.unwrap_or_default()));
        }
        Ok(plan.planned)
    }

    async fn plan_update(
        &self,
        cx: &mut Context,
        plan: PlanUpdate<'_, T::Model>,
    ) -> Result<T::Model, Diagnostics> {
        let PlanUpdate { prior, config, planned, if_updated, if_kept, replaces, private } = plan;
        self.plan(prior, private, if replaces { Fate::Destroyed } else { Fate::Kept })?;
        create_checks::check_update::<T>(&self.access, cx, prior, &planned, replaces).await?;
        private.set_planned(PLANNED_ID, prior.id().as_str());
        private.set_planned(TAKES_PLACE, T::takes_place(prior, &planned).then_some(true));
        T::review(Some(prior), &planned, replaces, &mut cx.diagnostics);
        if replaces {
            adoption::forecast_replacement::<T>(&self.access, cx, &planned, prior.id().text()).await?;
        }
        let Some(secret) = T::SECRET else {
            if planned != *prior {
                self.access.ensure_plannable(cx)?;
            }
            let is_sent = planned == *prior || !T::patch(prior, &planned, None).is_empty();
            return if is_sent { Ok(planned) } else { if_kept() };
        };
        self.keep_secret(config);
        let value = (secret.value)(config);
        let due = secret.due(prior, &planned, value, private);
        if due.is_some() || planned != *prior {
            self.access.ensure_plannable(cx)?;
        }
        let needs_secret = due.is_some() || secret.is_needed(prior, &planned);
        self.warn_of_secret(&secret, prior, due, value, private, &mut cx.diagnostics);
        secret::note_withheld(private, value);
        if value.is_null() && secret.is_surely_needed(prior, &planned) {
            return Err(messages::secret_missing_to_update::<T>(prior, &planned));
        }
        if due.is_none() && planned == *prior {
            return Ok(planned);
        }
        // Without a version, another secret in the apply than in the plan is sent, so nothing that it changes is known.
        if needs_secret || (secret.version)(&planned).is_null() {
            return if_updated();
        }
        let sends = !T::patch(prior, &planned, None).is_empty();
        let mut next = if sends { if_updated()? } else { if_kept()? };
        *(secret.hash_mut)(&mut next) = (secret.hash)(prior).clone();
        Ok(next)
    }

    async fn plan_destroy(&self, cx: &mut Context, prior: &Stored<T::Model>) -> Result<(), Diagnostics> {
        self.access.ensure_plannable(cx)?;
        T::review_destroy(&prior.state, &mut cx.diagnostics);
        self.plan(&prior.state, &prior.private, Fate::Destroyed)
    }

    async fn create(
        &self,
        cx: &mut Context,
        create: Create<T::Model>,
    ) -> Result<Stored<T::Model>, Diagnostics> {
        let Create { config, mut planned, mut private } = create;
        let operation = self.access.operation(cx)?;
        let secret = configured_secret::<T>(&config)?;
        let place = T::place(&planned);
        let may_take = MayTake {
            replaced: private.planned(PLANNED_ID),
            adopts: private.planned(ADOPTS),
            managed: self.access.managed(),
        };
        let new = T::new_object(&planned, secret.clone());
        let result = create_or_adopt::<T>(&operation, &planned, &place, new, may_take, secret.clone()).await;
        failures::note_waiting(&operation, &mut cx.diagnostics);
        if operation.may_still_create() {
            messages::create_still_open::<T>(planned.name().text(), &mut cx.diagnostics);
        }
        let key = create_checks::place_key::<T>(&place);
        self.access.claim(|claims| match &result {
            Ok(object) => claims.created(key, kms::Object::id(object)),
            Err(_) => claims.create_failed(&key),
        });
        let object = result.map_err(|failure| redacted(failure, secret.as_ref()))?;
        planned.complete(&object);
        self.warn_of_redacted_result(&object, &planned, &mut cx.diagnostics);
        remember::<T>(&mut private, secret.as_ref(), &planned);
        set_mark(&mut private);
        Ok(Stored { state: planned, private })
    }

    async fn read(
        &self,
        cx: &mut Context,
        read: Read<T::Model>,
    ) -> Result<Option<Stored<T::Model>>, Diagnostics> {
        let Stored { state: prior, mut private } = read.prior;
        self.access.managed().add(prior.id().text());
        let operation = self.access.operation(cx)?;
        let (id, scope) = (prior.id().text(), T::scope(&prior));
        let result = operation.read::<ObjectOf<T>>(id, scope).await;
        failures::note_waiting(&operation, &mut cx.diagnostics);
        match result {
            Ok(object) => {
                let mut state = prior.clone();
                state.show(&object);
                // An import by ID has no spelling yet.
                if !prior.name().is_null() {
                    T::keep_spelling(&prior, &mut state);
                }
                self.without_placeholders(&prior, &mut state, &mut cx.diagnostics)?;
                set_mark(&mut private);
                Ok(Some(Stored { state, private }))
            }
            // Nobody has seen it yet, so it isn't gone: it was never there.
            Err(error) if error.is_not_found() && read.imported && scope == Scope::Unknown => {
                Err(messages::no_such_id::<T>(id))
            }
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(messages::failure::<T>("read", id, scope, &error)),
        }
    }

    async fn update(
        &self,
        cx: &mut Context,
        update: Update<T::Model>,
    ) -> Result<Stored<T::Model>, Diagnostics> {
        let Update { prior: Stored { state: prior, mut private }, mut planned, config } = update;
        // All but the secret counts as it was planned: ignore_changes doesn't reach the configuration of an apply.
        let sent = match T::SECRET {
            Some(secret) if !secret::is_withheld(&private) => {
                let value = (secret.value)(&config);
                let is_sent = secret.due(&prior, &planned, value, &private).is_some()
                    || secret.is_needed(&prior, &planned);
                if is_sent { configured_secret::<T>(&config)? } else { None }
            }
            _ => None,
        };
        let patch = T::patch(&prior, &planned, sent.clone());
        if patch.is_empty() {
            // What changed concerns Terraform only.
            planned.keep(&prior);
            return Ok(Stored { state: planned, private });
        }
        let operation = self.access.operation(cx)?;
        let result = operation.update::<ObjectOf<T>>(prior.id().text(), &patch).await;
        failures::note_waiting(&operation, &mut cx.diagnostics);
        let object = match result {
            Ok(object) => object,
            Err(error) => {
                let failure = update_failure::<T>(&operation, &prior, &planned, error).await;
                return Err(redacted(failure, sent.as_ref()));
            }
        };
        planned.complete(&object);
        self.warn_of_redacted_result(&object, &planned, &mut cx.diagnostics);
        remember::<T>(&mut private, sent.as_ref(), &planned);
        if let Some(mark) = mark(&private) {
            self.access.claim(|claims| claims.remarked(prior.id().text(), &mark));
        }
        Ok(Stored { state: planned, private })
    }

    async fn delete(&self, cx: &mut Context, prior: Stored<T::Model>) -> Result<(), Diagnostics> {
        let (id, name) = (prior.state.id().text(), prior.state.name().text());
        if !self.access.managed().claim_for_deletion(id) {
            // Created first, the replacement found the name taken by this very object and took it over.
            messages::kept::<T>(name, id, &mut cx.diagnostics);
            return Ok(());
        }
        // Terraform hands over what was planned of the replacement, if there is one.
        let is_replaced = prior.private.planned::<bool>(TAKES_PLACE).is_some();
        let deletion = T::deletion(&prior.state, is_replaced);
        let operation = self.access.operation(cx)?;
        let result = operation.delete::<ObjectOf<T>>(id, deletion).await;
        failures::note_waiting(&operation, &mut cx.diagnostics);
        let scope = T::scope(&prior.state);
        result.map_err(|error| messages::failure::<T>("delete", &messages::quoted(name), scope, &error))?;
        self.access.managed().remove(id);
        self.access.claim(|claims| claims.deleted(id));
        Ok(())
    }

    async fn import(
        &self,
        cx: &mut Context,
        key: ImportKey<ObjectIdentity>,
    ) -> Result<Stored<T::Model>, Diagnostics> {
        self.access.ensure_plannable(cx)?;
        let text = match key {
            ImportKey::Identity(identity) => return Ok(Stored::new(T::Model::of_id(identity.id))),
            ImportKey::Id(id) if rules::is_uuid(&id) => return Ok(Stored::new(T::Model::of_id(id.into()))),
            ImportKey::Id(text) => text,
        };
        let place = T::parse_place(&text).ok_or_else(|| messages::invalid_import::<T>(&text))?;
        let operation = self.access.operation(cx)?;
        let result = operation.read_by_name::<ObjectOf<T>>(&place).await;
        failures::note_waiting(&operation, &mut cx.diagnostics);
        match result {
            Ok(object) => Ok(Stored::new(T::Model::found(&object))),
            Err(error) if error.is_not_found() => Err(messages::nothing_at::<T>(&place)),
            Err(error) => {
                let task = format!("find the {} {}", T::NOUN, messages::quoted(&text));
                let attributes = messages::attributes::<T>();
                Err(environment::failure::<T>(&operation, &task, &place, &error, attributes).await)
            }
        }
    }
}

/// What the plan of a create said about objects that exist.
struct MayTake {
    /// The object that is being replaced.
    replaced: Option<String>,
    /// The object to adopt.
    adopts: Option<String>,
    /// What other resources have, as far as this run has shown.
    managed: kms::ManagedIds,
}

/// Creates an object. If another one has the name, the plan has found it, and the configuration asks for that, takes it over.
async fn create_or_adopt<T: ManagedObject>(
    operation: &kms::Operation,
    planned: &T::Model,
    place: &PlaceOf<T>,
    new: NewOf<T>,
    may_take: MayTake,
    secret: Option<Secret>,
) -> Result<ObjectOf<T>, Diagnostics> {
    let known = may_take.adopts.as_deref().filter(|id| !id.is_empty());
    let error = match operation.create::<ObjectOf<T>>(&new, known).await {
        Ok(object) => return Ok(object),
        Err(error) => error,
    };
    // Also where the response was lost: what has the name now is taken over, whoever created it.
    let (CreateError::NameTaken { existing: Existing::Visible(existing), .. }
    | CreateError::Unconfirmed { found: Some(existing), .. }) = &error
    else {
        let cause = CreateError::error(&error);
        let task = format!("create the {} {}", T::NOUN, messages::quoted(T::name_of(place)));
        let attributes = messages::attributes::<T>();
        let unknown = environment::unknown::<T>(operation, &task, place, cause, attributes).await;
        return Err(unknown.unwrap_or_else(|| messages::create_failure::<T>(planned, place, error)));
    };
    let id = kms::Object::id(&**existing);
    let taken = |mut diagnostics: Diagnostics| {
        messages::may_be_left_over::<T>(planned, CreateError::error(&error), &mut diagnostics);
        diagnostics
    };
    if may_take.replaced.is_some_and(|replaced| replaced.eq_ignore_ascii_case(id)) {
        return Err(taken(messages::taken_by_the_replaced::<T>(place, id)));
    }
    let is_planned = may_take.adopts.is_some_and(|adopts| adopts.eq_ignore_ascii_case(id));
    if is_planned && adoption::is_wanted::<T>(planned) && T::differences(planned, existing).is_empty() {
        return adoption::adopt::<T>(operation, planned, place, existing, secret).await;
    }
    if may_take.managed.contains(id) {
        return Err(taken(messages::taken_by_another::<T>(place, existing)));
    }
    Err(messages::create_failure::<T>(planned, place, error))
}

/// Why an update failed. If the new name is taken, the object that has it is looked up.
async fn update_failure<T: ManagedObject>(
    operation: &kms::Operation,
    prior: &T::Model,
    planned: &T::Model,
    error: kms::Error,
) -> Diagnostics {
    if error.api_kind() == Some(ApiErrorKind::NameTaken)
        && let place = T::place(planned)
        && let Ok(existing) = operation.get_by_name::<ObjectOf<T>>(&place).await
    {
        return messages::update_failure::<T>(prior, &error, Some((&place, &existing)));
    }
    messages::update_failure::<T>(prior, &error, None)
}

/// The configured secret, which has to be known by now. `None` if objects of this kind have none.
fn configured_secret<T: ManagedObject>(config: &T::Model) -> Result<Option<Secret>, Diagnostics> {
    match T::SECRET {
        Some(secret) => {
            (secret.value)(config).known().cloned().map(Some).ok_or_else(messages::secret_gone::<T>)
        }
        None => Ok(None),
    }
}

fn remember<T: ManagedObject>(private: &mut Private, sent: Option<&Secret>, state: &T::Model) {
    if let (Some(attribute), Some(sent)) = (T::SECRET, sent) {
        attribute.remember(private, sent, state);
    }
}

/// The failure without the secret that was sent. The texts of the KMS are redacted already, but not the values
/// of the objects that it found.
fn redacted(failure: Diagnostics, secret: Option<&Secret>) -> Diagnostics {
    let Some(secret) = secret else { return failure };
    let redactor = kms::Redactor::default();
    redactor.add(secret);
    failure.map_texts(|text| redactor.redact(text))
}
