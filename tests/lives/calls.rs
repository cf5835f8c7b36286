//! The RPCs that core makes for one resource, each with core's checks of the response.
//!
//! A failed check is a [`Violation`]. An error diagnostic and a killed provider are normal outcomes: the call returns
//! `None`, and the diagnostics are recorded.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use prost::Message;
use terraform_provider_kms::plugin::value::Value;
use tonic::{Response, Status};

use crate::{
    Checked, Violation,
    core::{ResourceType, kind_of, text},
    host::{Provider, message, proto},
    model::{Action, Place, Sent},
    secrets, tally,
    words::{Said, is_of_a_crash},
};

/// The limit for one RPC. No RPC comes near it, retries, look-ups and time-outs included.
pub const LONGEST_CALL: Duration = Duration::from_secs(90);

const PLAN: &str = "PlanResourceChange";

/// An object as core stores it.
#[derive(Clone, Debug)]
pub struct Object {
    pub state: Value,
    pub private: Vec<u8>,
    pub identity: Option<proto::ResourceIdentityData>,
    pub tainted: bool,
    /// The model's equivalent of what the provider keeps in `private`.
    pub sent: Option<Sent>,
}

impl Object {
    pub fn id(&self) -> &str {
        text(&self.state, "id").unwrap_or_default()
    }
}

/// The signals that a provider process received, and the diagnostics that it returned.
#[derive(Debug, Default)]
pub struct Process {
    pub killed: AtomicBool,
    pub stopping: AtomicBool,
    pub said: Mutex<Vec<Said>>,
    /// The resources whose plans were refused, as they must be, because they have no token.
    pub refused: Mutex<Vec<u8>>,
}

impl Process {
    pub fn is_killed(&self) -> bool {
        self.killed.load(Ordering::SeqCst)
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    pub fn refuse(&self, slot: u8) {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).push(slot);
    }

    pub fn take_refused(&self) -> Vec<u8> {
        std::mem::take(&mut self.refused.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn take_said(&self) -> Vec<Said> {
        std::mem::take(&mut self.said.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The subject of an RPC.
#[derive(Clone, Debug)]
pub struct About {
    pub run: u32,
    pub slot: u8,
    pub action: Action,
    pub place: Place,
}

/// A planned change.
#[derive(Clone, Debug)]
pub struct Planned {
    pub state: Value,
    pub private: Vec<u8>,
    pub identity: Option<proto::ResourceIdentityData>,
    pub replaces: bool,
}

/// The result of an apply.
#[derive(Debug)]
pub struct Applied {
    pub object: Option<Object>,
    pub failed: bool,
    /// The provider was killed before it responded.
    pub cut: bool,
}

/// A connection to a configured provider, to call it for resources of one type.
#[derive(Clone)]
pub struct Calls {
    pub provider: Provider,
    pub kind: &'static ResourceType,
    pub process: Arc<Process>,
}

fn capabilities() -> Option<proto::ClientCapabilities> {
    Some(proto::ClientCapabilities { write_only_attributes_allowed: true, ..Default::default() })
}

impl Calls {
    /// The same connection, for the type of a resource.
    pub fn of(&self, slot: u8) -> Self {
        Self { kind: kind_of(slot), ..self.clone() }
    }

    async fn call<A: Message>(
        &self,
        rpc: &'static str,
        response: impl Future<Output = Result<Response<A>, Status>>,
    ) -> Checked<Option<A>> {
        let began = tokio::time::Instant::now();
        let response = tokio::time::timeout(LONGEST_CALL, response).await;
        tally::time(rpc, began.elapsed());
        match response {
            Err(_) => Err(Violation::new("stuck", format!("{rpc} didn't return within {LONGEST_CALL:?}"))),
            Ok(Ok(response)) => {
                let response = response.into_inner();
                secrets::look(&String::from_utf8_lossy(&response.encode_to_vec()), rpc)?;
                Ok(Some(response))
            }
            Ok(Err(_)) if self.process.is_killed() => Ok(None),
            Ok(Err(status)) => Err(Violation::new("broken call", format!("{rpc}: {status}"))),
        }
    }

    /// Records diagnostics, and returns whether one of them is an error.
    fn hear(&self, about: &About, diagnostics: &[proto::Diagnostic]) -> Checked<bool> {
        let mut failed = false;
        let mut said = self.process.said.lock().unwrap_or_else(PoisonError::into_inner);
        for diagnostic in diagnostics {
            if is_of_a_crash(diagnostic) {
                return Err(Violation::new("crash", diagnostic.detail.clone()));
            }
            if !matches!(diagnostic.severity, 1 | 2) || diagnostic.summary.is_empty() {
                return Err(Violation::new("protocol", format!("a diagnostic of no kind: {diagnostic:?}")));
            }
            failed |= diagnostic.severity == 1;
            said.push(Said {
                run: about.run,
                slot: about.slot,
                action: about.action,
                place: about.place.clone(),
                is_error: diagnostic.severity == 1,
                summary: diagnostic.summary.clone(),
                detail: diagnostic.detail.clone(),
            });
        }
        Ok(failed)
    }

    fn decode(&self, rpc: &str, state: Option<proto::DynamicValue>) -> Checked<Value> {
        let Some(state) = state else { return Ok(Value::Null) };
        if state.msgpack.is_empty() {
            return Ok(Value::Null);
        }
        Value::from_msgpack(&state.msgpack, &self.kind.value_type)
            .map_err(|error| Violation::new("protocol", format!("{rpc} returned a value that is {error}")))
    }

    fn check(&self, rpc: &str, faults: Vec<String>) -> Checked {
        match faults.is_empty() {
            true => Ok(()),
            false => Err(Violation::new("core", format!("{rpc}: {}", faults.join("; ")))),
        }
    }

    fn check_identity(
        &self,
        rpc: &str,
        identity: &Option<proto::ResourceIdentityData>,
        state: &Value,
    ) -> Checked {
        let identity = self
            .kind
            .identity(identity)
            .map_err(|fault| Violation::new("core", format!("{rpc}: {fault}")))?;
        let identity =
            identity.ok_or_else(|| Violation::new("core", format!("{rpc} returned no identity")))?;
        if text(&identity, "id") != text(state, "id") {
            return Err(Violation::new("core", format!("{rpc}: the identity is of another object")));
        }
        Ok(())
    }

    /// Upgrades a stored object, as core does whenever it takes one from the state.
    pub async fn upgrade(&self, about: &About, object: &Object) -> Checked<Option<()>> {
        const RPC: &str = "UpgradeResourceState";
        let request = proto::upgrade_resource_state::Request {
            type_name: self.kind.name.into(),
            version: 0,
            raw_state: Some(proto::RawState { json: self.kind.stored(&object.state), ..Default::default() }),
        };
        let response = self.call(RPC, self.provider.clone().upgrade_resource_state(request)).await?;
        let Some(response) = response else { return Ok(None) };
        if self.hear(about, &response.diagnostics)?
            || self.decode(RPC, response.upgraded_state)? != object.state
        {
            return Err(Violation::new("core", format!("{RPC}: the state came back as another")));
        }
        Ok(Some(()))
    }

    /// Reads an object. `Some(None)` means that it is gone.
    pub async fn read(&self, about: &About, object: &Object) -> Checked<Option<Option<Object>>> {
        const RPC: &str = "ReadResource";
        let request = proto::read_resource::Request {
            type_name: self.kind.name.into(),
            current_state: message(&object.state),
            private: object.private.clone(),
            current_identity: object.identity.clone(),
            client_capabilities: capabilities(),
            ..Default::default()
        };
        let response = self.call(RPC, self.provider.clone().read_resource(request)).await?;
        let Some(response) = response else { return Ok(None) };
        if self.hear(about, &response.diagnostics)? {
            return Ok(None);
        }
        let state = self.decode(RPC, response.new_state)?;
        if state.is_null() {
            return Ok(Some(None));
        }
        self.check(RPC, self.kind.faults_of_state(&state))?;
        self.check_identity(RPC, &response.new_identity, &state)?;
        let (private, identity) = (response.private, response.new_identity);
        Ok(Some(Some(Object { state, private, identity, ..object.clone() })))
    }

    pub async fn validate(&self, about: &About, config: &Value) -> Checked<Option<()>> {
        let request = proto::validate_resource_config::Request {
            type_name: self.kind.name.into(),
            config: message(config),
            client_capabilities: capabilities(),
        };
        let response = self
            .call("ValidateResourceConfig", self.provider.clone().validate_resource_config(request))
            .await?;
        let Some(response) = response else { return Ok(None) };
        if self.hear(about, &response.diagnostics)? {
            return Err(Violation::new(
                "refused",
                format!("a good configuration: {:?}", response.diagnostics),
            ));
        }
        Ok(Some(()))
    }

    /// Plans a create or an update. If it turns out to be a replacement, core plans once more, without a prior state.
    pub async fn plan(
        &self,
        about: &About,
        object: Option<&Object>,
        config: &Value,
        replace: bool,
    ) -> Checked<Option<Planned>> {
        let prior = object.filter(|object| !object.tainted);
        let planned = self.plan_from(about, prior, config, Vec::new()).await?;
        let Some(planned) = planned else { return Ok(None) };
        if object.is_none() || !(planned.replaces || replace || object.is_some_and(|object| object.tainted)) {
            return Ok(Some(planned));
        }
        let leftover = Object {
            state: Value::Null,
            private: planned.private,
            identity: planned.identity,
            tainted: false,
            sent: None,
        };
        let planned = self.plan_from(about, Some(&leftover), config, Vec::new()).await?;
        Ok(planned.map(|planned| Planned { replaces: true, ..planned }))
    }

    /// Plans once more in the apply walk, where a create has no prior object.
    pub async fn plan_again(
        &self,
        about: &About,
        object: Option<&Object>,
        config: &Value,
        handed_over: Vec<u8>,
    ) -> Checked<Option<Planned>> {
        self.plan_from(about, object, config, handed_over).await
    }

    async fn plan_from(
        &self,
        about: &About,
        prior: Option<&Object>,
        config: &Value,
        handed_over: Vec<u8>,
    ) -> Checked<Option<Planned>> {
        let state = prior.map_or(Value::Null, |prior| prior.state.clone());
        let proposed = self.kind.proposed(&state, config);
        let planned = self.send_plan(about, prior, &proposed, config, handed_over).await?;
        let Some((planned, requires_replace)) = planned else { return Ok(None) };
        self.check(PLAN, self.kind.faults_of_plan(&state, config, &planned.state))?;
        if !state.is_null() {
            self.check_identity(PLAN, &planned.identity, &state)?;
        }
        let replaces = !state.is_null() && self.kind.replaced(&state, &planned.state, &requires_replace);
        Ok(Some(Planned { replaces, ..planned }))
    }

    /// Plans a destroy.
    pub async fn plan_destroy(&self, about: &About, object: &Object) -> Checked<Option<Planned>> {
        let planned = self.send_plan(about, Some(object), &Value::Null, &Value::Null, Vec::new()).await?;
        let Some((planned, _)) = planned else { return Ok(None) };
        if !planned.state.is_null() {
            return Err(Violation::new("core", "a planned destroy left something"));
        }
        Ok(Some(planned))
    }

    /// The plan and the paths that require a replacement, neither of them checked.
    async fn send_plan(
        &self,
        about: &About,
        prior: Option<&Object>,
        proposed: &Value,
        config: &Value,
        planned_private: Vec<u8>,
    ) -> Checked<Option<(Planned, Vec<proto::AttributePath>)>> {
        let request = proto::plan_resource_change::Request {
            type_name: self.kind.name.into(),
            prior_state: message(prior.map_or(&Value::Null, |prior| &prior.state)),
            proposed_new_state: message(proposed),
            config: message(config),
            prior_private: prior.map(|prior| prior.private.clone()).unwrap_or_default(),
            prior_identity: prior.and_then(|prior| prior.identity.clone()),
            client_capabilities: capabilities(),
            planned_private,
            ..Default::default()
        };
        let response = self.call(PLAN, self.provider.clone().plan_resource_change(request)).await?;
        let Some(response) = response else { return Ok(None) };
        if self.hear(about, &response.diagnostics)? {
            return Ok(None);
        }
        let state = self.decode(PLAN, response.planned_state)?;
        let (private, identity) = (response.planned_private, response.planned_identity);
        Ok(Some((Planned { state, private, identity, replaces: false }, response.requires_replace)))
    }

    /// Applies a planned change. `sent` is what the provider sends according to the model.
    pub async fn apply(
        &self,
        about: &About,
        prior: Option<&Object>,
        planned: Planned,
        config: &Value,
        sent: impl FnOnce(&Value) -> Option<Sent>,
    ) -> Checked<Applied> {
        const RPC: &str = "ApplyResourceChange";
        let before = prior.map_or(Value::Null, |prior| prior.state.clone());
        let request = proto::apply_resource_change::Request {
            type_name: self.kind.name.into(),
            prior_state: message(&before),
            planned_state: message(&planned.state),
            config: message(config),
            planned_private: planned.private,
            planned_identity: planned.identity,
            ..Default::default()
        };
        let destroys = planned.state.is_null();
        let Some(response) = self.call(RPC, self.provider.clone().apply_resource_change(request)).await?
        else {
            // Core keeps the prior state, but loses the private state and the identity.
            let stripped =
                |prior: &Object| Object { private: Vec::new(), identity: None, sent: None, ..prior.clone() };
            let object = if destroys { prior.cloned() } else { prior.map(stripped) };
            return Ok(Applied { object, failed: true, cut: true });
        };
        let state = self.decode(RPC, response.new_state)?;
        let failed = self.hear(about, &response.diagnostics)?;
        if !state.is_null() {
            self.check(RPC, self.kind.faults_of_state(&state))?;
            self.check_identity(RPC, &response.new_identity, &state)?;
        }
        if failed {
            let creates = before.is_null();
            let object = match state {
                Value::Null => prior.cloned(),
                state => Some(Object {
                    tainted: creates,
                    sent: prior
                        .filter(|prior| prior.private == response.private)
                        .and_then(|prior| prior.sent.clone()),
                    state,
                    private: response.private,
                    identity: response.new_identity,
                }),
            };
            return Ok(Applied { object, failed, cut: false });
        }
        self.check(RPC, self.kind.faults_of_completion(&planned.state, &state))?;
        let object = (!state.is_null()).then(|| Object {
            sent: sent(&state),
            state,
            private: response.private,
            identity: response.new_identity,
            tainted: false,
        });
        Ok(Applied { object, failed, cut: false })
    }

    /// Imports an object, and reads it as core does next.
    pub async fn import(&self, about: &About, id: &str, identity: Option<&Value>) -> Checked<Option<Object>> {
        const RPC: &str = "ImportResourceState";
        let request = proto::import_resource_state::Request {
            type_name: self.kind.name.into(),
            id: id.into(),
            client_capabilities: capabilities(),
            identity: identity
                .map(|identity| proto::ResourceIdentityData { identity_data: message(identity) }),
        };
        let response = self.call(RPC, self.provider.clone().import_resource_state(request)).await?;
        let Some(response) = response else { return Ok(None) };
        if self.hear(about, &response.diagnostics)? {
            return Ok(None);
        }
        let [imported] = &response.imported_resources[..] else {
            return Err(Violation::new("core", format!("{RPC} returned not one object")));
        };
        let state = self.decode(RPC, imported.state.clone())?;
        self.check(RPC, self.kind.faults_of_state(&state))?;
        let object = Object {
            state,
            private: imported.private.clone(),
            identity: imported.identity.clone(),
            tainted: false,
            sent: None,
        };
        let read = self.read(about, &object).await?;
        Ok(read.flatten())
    }
}
