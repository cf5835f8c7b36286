//! The way to the KMS, and what belongs to one run of Terraform.

use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use super::lifecycle::{ImportWarning, Imports, PlannedObjects};
use crate::{
    kms,
    plugin::{context::Context, diagnostics::Diagnostics},
    provider::messages::settings,
    secret::Secret,
};

/// The way to the KMS, which all types share. It opens when the provider is configured.
#[derive(Clone, Default)]
pub(super) struct Access {
    run: Arc<RwLock<Run>>,
    /// The secrets that this process has seen, in any run.
    redactor: kms::Redactor,
}

/// What belongs to one run of Terraform, which configures the provider at its beginning.
#[derive(Default)]
struct Run {
    state: State,
    /// The objects that resources of this run have, as far as the run has shown.
    managed: kms::ManagedIds,
    planned: Mutex<PlannedObjects>,
    imports: Mutex<Imports>,
}

#[derive(Default)]
pub(super) enum State {
    #[default]
    NotConfigured,
    /// Some attributes of the provider block are known only after apply.
    Waiting(Vec<String>),
    /// There is no login, or one without all its values: with the error of whatever needs the KMS.
    NoCredentials(Diagnostics),
    Ready(kms::Client),
}

impl Access {
    /// Begins a run.
    pub(super) fn begin(&self, state: impl FnOnce(kms::ManagedIds, kms::Redactor) -> State) {
        let managed = kms::ManagedIds::default();
        let run = Run { state: state(managed.clone(), self.redactor.clone()), managed, ..Run::default() };
        *self.run.write().unwrap_or_else(PoisonError::into_inner) = run;
    }

    fn run(&self) -> RwLockReadGuard<'_, Run> {
        self.run.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The objects that resources of this run have.
    pub(super) fn managed(&self) -> kms::ManagedIds {
        self.run().managed.clone()
    }

    /// Runs `claim` on the claims of this run's plans.
    pub(super) fn claim<T>(&self, claim: impl FnOnce(&mut PlannedObjects) -> T) -> T {
        claim(&mut self.run().planned.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps a secret of a configuration out of everything that the KMS says.
    pub(super) fn keep_secret(&self, secret: &Secret) {
        self.redactor.add(secret);
    }

    /// Whether a text contains a secret that this process has seen.
    pub(super) fn has_secret(&self, text: &str) -> bool {
        self.redactor.is_in(text)
    }

    /// Counts an imported object, and decides whether to warn of it.
    pub(super) fn count_import(&self) -> ImportWarning {
        self.run().imports.lock().unwrap_or_else(PoisonError::into_inner).count()
    }

    /// Whether the KMS can be asked: the provider's configuration is known, and has credentials.
    pub(super) fn is_ready(&self) -> bool {
        matches!(self.run().state, State::Ready(_))
    }

    /// Checks before a change is planned that the apply can log in. Where Terraform allows it, a plan waits
    /// for an unknown provider block: once that is known, the plan can ask the KMS.
    ///
    /// # Errors
    /// There are no credentials. Or the provider's configuration isn't known yet, which defers the plan.
    pub(super) fn ensure_plannable(&self, cx: &Context) -> Result<(), Diagnostics> {
        match &self.run().state {
            State::Waiting(unknown) if cx.deferral_allowed => Err(settings::not_known_yet(unknown)),
            State::NoCredentials(error) => Err(error.clone()),
            State::Waiting(_) | State::Ready(_) | State::NotConfigured => Ok(()),
        }
    }

    /// Begins an operation at the KMS, which ends early when Terraform asks to stop.
    ///
    /// # Errors
    /// There are no credentials. Or the provider's configuration isn't known yet, which defers the call where
    /// Terraform allows it.
    pub(super) fn operation(&self, cx: &Context) -> Result<kms::Operation, Diagnostics> {
        match &self.run().state {
            State::Ready(client) => Ok(client.operation(cx.stop.clone())),
            State::Waiting(unknown) => Err(settings::not_known_yet(unknown)),
            State::NoCredentials(error) => Err(error.clone()),
            State::NotConfigured => Err(settings::not_configured()),
        }
    }
}
