//! Terraform's commands.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use kms_emulator::{CONNECTIONS, Fault, Folder, LOGIN, LoggedRequest, ROTATIONS, Target};
use terraform_provider_kms::plugin::value::{Number, Value};
use tokio::{task::JoinHandle, time::Instant};

use crate::{
    Checked, Violation,
    calls::{About, Calls, Object, Process},
    core::kind_of,
    faults::{Call, Failure, REQUEST_TIMEOUT},
    host::{Provider, message, object, proto, provider_config, told},
    model::{Action, Block, Kept, Place, TOKENS},
    rotation::scope_of,
    steps::{Interrupt, Key, Kind, Run, Tokens},
    tally,
    walk::{Slot, SlotPlan, SlotResult, Walk},
    world::World,
};

/// The provider's `max_retries`.
pub const MAX_RETRIES: i64 = 2;

/// The record of an apply or destroy.
#[derive(Debug)]
pub struct RunReport {
    pub run: u32,
    pub options: Run,
    /// The resources before the run, with the configuration of the run.
    pub before: Vec<Slot>,
    /// The objects of the KMS before the run, by ID.
    pub kms_before: BTreeMap<String, Kept>,
    /// The secrets before the run: scope and name.
    pub secrets_before: Vec<(String, String)>,
    /// Whether dbt refuses to make service tokens, and to revoke them, or the KMS fails to store a rotation.
    pub refuses: (bool, bool),
    /// The resources whose plans had to be refused, because they have no token.
    pub without_token: Vec<u8>,
    /// Whether the KMS might still perform requests of earlier runs when this one began.
    pub began_waiting: bool,
    /// Whether the plan succeeded.
    pub planned: bool,
    pub results: Vec<SlotResult>,
    /// The faults that hit a request.
    pub struck: Vec<(Call, Failure)>,
    pub writes: Vec<LoggedRequest>,
    pub killed: bool,
    pub logins: usize,
}

impl RunReport {
    /// Whether there was nothing to do.
    pub fn is_empty(&self) -> bool {
        let has_nothing_to_do = |result: &SlotResult| result.action == Action::Nothing && !result.failed;
        self.planned
            && self.results.iter().all(has_nothing_to_do)
            && self.before.iter().all(|slot| slot.deposed.is_empty())
    }
}

impl RunReport {
    /// The resources whose adoption the plan has to refuse, because another one manages the object, or is to adopt it too.
    pub fn refused_adoptions(&self) -> Vec<u8> {
        let slots = || (0..).zip(&self.before);
        let is_refused = |(number, slot): &(u8, &Slot)| {
            let Some(config) = slot.config.filter(|config| config.adopts()) else { return false };
            let mut alike = self.kms_before.iter().filter(|(_, kept)| config.is_alike(kept));
            alike.any(|(id, kept)| {
                let has = |object: &Object| object.id() == id;
                let own = slot.object.as_ref().is_some_and(has);
                let other = slots().any(|(other, slot)| {
                    let adopts = |config: Block| config.adopts() && config.is_alike(kept);
                    (other != *number && slot.object.as_ref().is_some_and(has))
                        || slot.deposed.iter().any(has)
                        || (other < *number && slot.config.is_some_and(adopts))
                });
                !own && other
            })
        };
        slots().filter(is_refused).map(|(number, _)| number).collect()
    }
}

impl RunReport {
    /// The resources whose plan has to be refused, because another one has the same name at the end of the run and at least
    /// one of them exists.
    pub fn refused_names(&self) -> Vec<u8> {
        let exists = |slot: &Slot| {
            slot.object.as_ref().is_some_and(|object| self.kms_before.contains_key(object.id()))
        };
        // The plan of an adoption has rules of its own.
        let claims = |slot: &Slot| slot.config.filter(|config| exists(slot) || !config.adopts());
        let slots = || (0..).zip(&self.before);
        let is_refused = |(number, slot): &(u8, &Slot)| {
            let Some(config) = claims(slot) else { return false };
            let is_rotation = config.rotation().is_some();
            slots().any(|(other, another)| {
                let same = claims(another).is_some_and(|another| {
                    another.place() == config.place() && another.rotation().is_some() == is_rotation
                });
                other != *number && same && (exists(slot) || exists(another))
            })
        };
        slots().filter(is_refused).map(|(number, _)| number).collect()
    }
}

impl World<'_> {
    async fn configured(&mut self, process: &Arc<Process>, options: Run) -> Checked<Walk> {
        let mut provider = self.running.provider().await;
        let retries = Value::Number(Number::Int(MAX_RETRIES));
        let timeout = Value::string(format!("{}ms", REQUEST_TIMEOUT.as_millis()));
        let extra =
            [("max_retries", retries), ("request_timeout", timeout), ("max_retry_wait", Value::string("3s"))];
        let request = proto::configure_provider::Request {
            terraform_version: "1.15.5".into(),
            config: message(&provider_config(&self.emulator.url(), &extra)),
            ..Default::default()
        };
        let calls = Calls { provider: provider.clone(), kind: kind_of(0), process: Arc::clone(process) };
        match provider.configure_provider(request).await {
            Ok(response) => {
                let diagnostics = response.into_inner().diagnostics;
                if !diagnostics.is_empty() {
                    return Err(Violation::new(
                        "refused",
                        format!("the provider block: {:?}", told(&diagnostics)),
                    ));
                }
            }
            Err(_) if process.is_killed() => {}
            Err(status) => return Err(Violation::new("broken call", status.to_string())),
        }
        Ok(Walk { calls, run: self.run, options })
    }

    /// `shown` are the dbt tokens that the run gives to the provider before the first write.
    async fn begin_run(&mut self, shown: &[&'static str]) -> Arc<Process> {
        self.run += 1;
        // The replica has everything from before the run.
        self.emulator.state().replicate();
        let lag = self.emulator.state().options.replica_lag;
        tokio::time::sleep(lag).await;
        self.emulator.clear_requests();
        self.let_faults_quote(shown);
        // More time passes between runs than the provider allows clocks to differ.
        self.emulator.state().options.clock_ahead += time::Duration::seconds(5);
        Arc::default()
    }

    /// The tokens of the configuration.
    fn tokens(&self) -> Vec<&'static str> {
        let configs = self.slots.iter().filter_map(|slot| slot.config.as_ref()?.connection());
        configs.filter_map(|config| TOKENS.get(usize::from(config.token)).copied()).collect()
    }

    /// Puts these tokens, and those that the provider has already, into the faults that quote them.
    fn let_faults_quote(&self, shown: &[&'static str]) {
        let tokens: Vec<&str> = self.running.tokens.iter().chain(shown).copied().collect();
        let mut state = self.emulator.state();
        let left: Vec<_> = state.faults.all().iter().map(|(target, _)| target.clone()).collect();
        state.faults.clear();
        for (target, (call, failure)) in left.into_iter().zip(&self.faults) {
            state.faults.add(target, failure.played_by(*call, &tokens));
        }
    }

    /// The faults that hit requests since `left` was taken.
    pub fn struck(&self, left: &[Option<u64>]) -> Vec<(Call, Failure)> {
        let now: Vec<_> = self.emulator.state().faults.all().iter().map(|(target, _)| target.times).collect();
        let mut struck = Vec::new();
        for ((fault, before), after) in self.faults.iter().zip(left).zip(now) {
            let count = before.unwrap_or_default().saturating_sub(after.unwrap_or_default());
            struck.extend((0..count).map(|_| *fault));
        }
        struck
    }

    pub fn faults_left(&self) -> Vec<Option<u64>> {
        self.emulator.state().faults.all().iter().map(|(target, _)| target.times).collect()
    }

    /// `terraform apply` or `terraform destroy`.
    pub async fn apply(&mut self, options: Run, destroy: bool) -> Checked<RunReport> {
        // A destroy has no configuration, and other plans than this see the tokens too late or not at all.
        let shows = !destroy && options.tokens == Tokens::AsConfigured;
        let shown = if shows { self.tokens() } else { Vec::new() };
        let process = self.begin_run(&shown).await;
        let began_waiting = self.is_waiting();
        let left = self.faults_left();
        let (kms_before, secrets_before, refuses) = (self.kms(), self.secrets(), self.refuses());
        let mut before = self.slots.clone();
        if destroy {
            before.iter_mut().for_each(|slot| slot.config = None);
        }
        let provider = self.running.provider().await;
        let watcher = options.interrupt.map(|interrupt| self.watch(interrupt, provider, &process));
        let walked = self.walk(&process, options, &before).await;
        let struck = self.struck(&left);
        if let Some(watcher) = watcher {
            watcher.abort();
            self.emulator.clear_faults();
            self.faults.clear();
            // Requests that were in flight may still be performed.
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        self.end_run(&process, &struck)?;
        let (planned, results) = walked?;
        if planned && options.interrupt.is_none() {
            self.running.tokens.extend(shown);
        }
        for (slot, result) in self.slots.iter_mut().zip(&results) {
            (slot.object, slot.deposed) = (result.slot.object.clone(), result.slot.deposed.clone());
        }
        for result in &results {
            self.cut.extend(result.cut.iter().map(|place| (self.run, place.clone())));
        }
        for (number, result) in (0..).zip(&results).filter(|(_, result)| result.action != Action::Nothing) {
            let (name, outcome) = (kind_of(number).name, if result.failed { "failed" } else { "done" });
            tally::count(format!("{name}: {:?} {outcome}", result.action));
        }
        struck.iter().for_each(|(call, _)| tally::count(format!("{call:?} hit by a fault")));
        tally::count(match options.interrupt {
            None => "run".to_owned(),
            Some(interrupt) => format!("run with {:?}", interrupt.kind),
        });
        for request in self.emulator.requests() {
            let of = |collection| Some(request.path.strip_prefix(collection)?.split('/').nth(1));
            let (what, rest) = match (of(CONNECTIONS), of(ROTATIONS)) {
                (Some(rest), _) => ("connections", rest),
                (_, Some(rest)) => ("rotations", rest),
                _ => continue,
            };
            let kind = match rest {
                None => "of all",
                Some("connection-name" | "rotation-name") => "by name",
                Some(_) => "by ID",
            };
            tally::count(format!("request: {} {what} {kind}", request.method));
        }
        let logins = self.emulator.requests().iter().filter(|request| request.path == LOGIN).count();
        let (run, writes, killed) = (self.run, self.writes(), process.is_killed());
        Ok(RunReport {
            run,
            options,
            before,
            kms_before,
            secrets_before,
            refuses,
            without_token: process.take_refused(),
            began_waiting,
            planned,
            results,
            struck,
            writes,
            killed,
            logins,
        })
    }

    /// Records the diagnostics, the log and the creates of a run.
    fn end_run(&mut self, process: &Process, struck: &[(Call, Failure)]) -> Checked {
        if process.is_killed() {
            self.running.kill();
        }
        self.said.extend(process.take_said());
        let lateness = struck.iter().map(|(_, failure)| failure.lateness()).max().unwrap_or_default();
        self.late_until = self.late_until.max(Instant::now() + lateness);
        for write in self.writes().iter().filter(|write| write.method == "POST") {
            self.posts.extend(post_of(write).map(|place| (self.run, place)));
        }
        self.take_log();
        self.check_no_token_is_read()?;
        self.note_new_objects()
    }

    async fn walk(
        &mut self,
        process: &Arc<Process>,
        options: Run,
        slots: &[Slot],
    ) -> Checked<(bool, Vec<SlotResult>)> {
        let walk = self.configured(process, options).await?;
        let plans = (0..).zip(slots.iter().cloned()).map(|(number, slot)| walk.plan(number, slot));
        let plans: Vec<Option<SlotPlan>> = each(plans, options.parallel).await?;
        let Some(plans) = plans.into_iter().collect::<Option<Vec<_>>>() else {
            return Ok((false, Vec::new()));
        };
        if options.interrupt.is_none() {
            let refreshed: Vec<_> = plans.iter().map(|plan| plan.slot.clone()).collect();
            self.check_refreshed(slots, &refreshed)?;
        }
        if process.is_stopping() || process.is_killed() {
            return Ok((false, Vec::new()));
        }
        // Terraform starts another process for the apply. Here another configuration has the same effect.
        let walk = self.configured(process, options).await?;
        let applies = (0..).zip(plans).map(|(number, plan)| walk.apply(number, plan));
        Ok((true, each(applies, options.parallel).await?))
    }

    /// Stops or kills the provider after a number of requests. The KMS is slow meanwhile, so that requests are in flight.
    fn watch(&self, interrupt: Interrupt, mut provider: Provider, process: &Arc<Process>) -> JoinHandle<()> {
        let time = Duration::from_millis(25);
        self.emulator.fault(Target::default(), Fault::slow(time, time));
        let (process, emulator, pid) = (Arc::clone(process), Arc::clone(&self.emulator), self.running.pid());
        tokio::spawn(async move {
            while emulator.state().log.all().count() <= usize::from(interrupt.after) {
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
            match interrupt.kind {
                Kind::Stop => {
                    process.stopping.store(true, Ordering::SeqCst);
                    let _ = provider.stop_provider(proto::stop_provider::Request {}).await;
                }
                Kind::Kill => {
                    process.killed.store(true, Ordering::SeqCst);
                    let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
                }
            }
        })
    }

    pub async fn plan_only(&mut self) -> Checked {
        let process = self.begin_run(&[]).await;
        let walk = self.configured(&process, Run::default()).await?;
        let slots = self.slots.clone();
        let left = self.faults_left();
        let plans = (0..).zip(slots.iter().cloned()).map(|(number, slot)| walk.plan(number, slot));
        let plans: Vec<Option<SlotPlan>> = each(plans, true).await?;
        let struck = self.struck(&left);
        self.end_run(&process, &struck)?;
        let refreshed: Option<Vec<_>> = plans.into_iter().map(|plan| plan.map(|plan| plan.slot)).collect();
        if let Some(refreshed) = refreshed {
            self.check_refreshed(&slots, &refreshed)?;
        }
        self.check_nothing_written()
    }

    pub async fn refresh_only(&mut self) -> Checked {
        let process = self.begin_run(&[]).await;
        let walk = self.configured(&process, Run::default()).await?;
        let before = self.slots.clone();
        let left = self.faults_left();
        // Only the refresh matters; a plan without blocks needs nothing else.
        let bare = before.iter().map(|slot| Slot { config: None, ..slot.clone() });
        let plans: Vec<Option<SlotPlan>> =
            each((0..).zip(bare).map(|(number, slot)| walk.plan(number, slot)), true).await?;
        let struck = self.struck(&left);
        self.end_run(&process, &struck)?;
        if let Some(plans) = plans.into_iter().collect::<Option<Vec<_>>>() {
            for (slot, plan) in self.slots.iter_mut().zip(plans) {
                (slot.object, slot.deposed) = (plan.slot.object, plan.slot.deposed);
            }
            self.check_refreshed(&before, &self.slots)?;
        }
        self.check_nothing_written()
    }

    pub async fn import_one(&mut self, slot: u8, which: u8, by: Key) -> Checked {
        let Some(kept) = self.nth(which).filter(|kept| kept.is_for(slot)) else { return Ok(()) };
        let is_managed = self.managed().iter().any(|(id, _)| id == kept.id());
        let is_free = self.slot(slot).config.is_some() && self.slot(slot).object.is_none();
        if is_managed || !is_free {
            return Ok(());
        }
        self.import(&[(slot, kept)], by).await
    }

    pub async fn import_all(&mut self, by: Key) -> Checked {
        let managed = self.managed();
        let mut unmanaged = self.objects();
        unmanaged.retain(|one| !managed.iter().any(|(id, _)| id == one.id()));
        let mut pairs = Vec::new();
        for (number, slot) in (0..).zip(&self.slots) {
            let is_free = slot.config.is_some() && slot.object.is_none();
            let found = unmanaged.iter().position(|kept| is_free && kept.is_for(number));
            pairs.extend(found.map(|found| (number, unmanaged.remove(found))));
        }
        self.import(&pairs, by).await
    }

    /// `terraform import`, or several import blocks.
    pub async fn import(&mut self, wanted: &[(u8, Kept)], by: Key) -> Checked {
        let process = self.begin_run(&[]).await;
        let left = self.faults_left();
        let walk = self.configured(&process, Run::default()).await?;
        let imports = wanted.iter().map(|(slot, kept)| import_call(&walk, *slot, kept, by));
        let imported = each(imports, true).await;
        let struck = self.struck(&left);
        self.end_run(&process, &struck)?;
        for ((slot, kept), imported) in wanted.iter().zip(imported?) {
            self.check_import(kept, imported.as_ref(), &struck)?;
            self.slot(*slot).object = imported;
        }
        self.check_nothing_written()
    }
}

async fn import_call(walk: &Walk, slot: u8, kept: &Kept, by: Key) -> Checked<Option<Object>> {
    let (place, calls) = (kept.place(), walk.calls.of(slot));
    let about = About { run: walk.run, slot, action: Action::Nothing, place: place.clone() };
    let identity = object(&calls.kind.identity_type, &[("id", Value::string(kept.id()))]);
    match by {
        Key::Id => calls.import(&about, kept.id(), None).await,
        Key::Identity => calls.import(&about, "", Some(&identity)).await,
        Key::Name => {
            let scope = place.scope.map(|scope| format!("{scope}/")).unwrap_or_default();
            calls.import(&about, &format!("{scope}{}", place.name), None).await
        }
    }
}

/// The place of the object that a request creates.
fn post_of(write: &LoggedRequest) -> Option<Place> {
    let body = write.body.as_ref()?;
    let owned = |field: &str| body.get(field).and_then(serde_json::Value::as_str).map(str::to_owned);
    let mut scope = owned("projectId");
    if let (Some(project), Some(environment), Some(path)) =
        (&scope, owned("environment"), owned("secretPath"))
    {
        scope = Some(scope_of(&Folder::new(project, &environment, &path)));
    }
    Some(Place { name: owned("name")?, scope })
}

/// Awaits all, concurrently or one after the other.
async fn each<T>(
    all: impl Iterator<Item = impl Future<Output = Checked<T>>>,
    at_once: bool,
) -> Checked<Vec<T>> {
    let mut results = Vec::new();
    if at_once {
        for result in futures_util::future::join_all(all).await {
            results.push(result?);
        }
    } else {
        for one in all {
            results.push(one.await?);
        }
    }
    Ok(results)
}
