//! The world of one life: a KMS, a provider, a configuration and a state. It carries out one step at a time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    Checked, Violation,
    faults::{Call, Failure, tenths_of_a_second},
    kms_emulator::{AppConnection, Credentials, Emulator, Options},
    model::{Config, Place},
    running::Running,
    secrets,
    steps::{Field, SLOTS, Step},
    walk::Slot,
    words::Said,
};

/// The create that made a connection.
#[derive(Clone, Debug)]
pub struct Origin {
    pub run: u32,
    pub place: Place,
}

/// The world of one life.
pub struct World<'r> {
    pub emulator: Arc<Emulator>,
    pub running: &'r mut Running,
    pub slots: Vec<Slot>,
    pub said: Vec<Said>,
    /// The connections that the provider created, by ID.
    pub origins: BTreeMap<String, Origin>,
    /// IDs of connections that others created, and of those that the user removed from the state.
    pub foreign: BTreeSet<String>,
    /// The creates that were sent: run and place.
    pub posts: Vec<(u32, Place)>,
    /// The creates under way when the provider was killed: run and place.
    pub cut: Vec<(u32, Place)>,
    pub run: u32,
    /// The faults, in the emulator's order.
    pub faults: Vec<(Call, Failure)>,
    /// Until when the KMS may still perform earlier requests.
    pub late_until: Instant,
    log: String,
}

impl<'r> World<'r> {
    pub async fn new(running: &'r mut Running) -> Self {
        let emulator = Arc::new(Emulator::start(Options::default().without_rate_limits()).await);
        running.take_log();
        Self {
            emulator,
            running,
            slots: vec![Slot::default(); usize::from(SLOTS)],
            said: Vec::new(),
            origins: BTreeMap::new(),
            foreign: BTreeSet::new(),
            posts: Vec::new(),
            cut: Vec::new(),
            run: 0,
            faults: Vec::new(),
            late_until: Instant::now(),
            log: String::new(),
        }
    }

    /// Whether the KMS may still perform earlier requests.
    pub fn is_waiting(&self) -> bool {
        Instant::now() < self.late_until
    }

    pub async fn wait_for_late_writes(&mut self) -> Checked {
        tokio::time::sleep_until(self.late_until).await;
        self.note_new_connections()
    }

    pub async fn take(&mut self, step: &Step) -> Checked {
        self.note_new_connections()?;
        match *step {
            Step::Write { slot, config } => self.slot(slot).config = Some(config),
            Step::Set { slot, field } => {
                if let Some(config) = &mut self.slot(slot).config {
                    set(config, field);
                }
            }
            Step::Remove { slot } => self.slot(slot).config = None,
            Step::Swap { one, other } => self.swap_names(one, other),
            Step::Apply(options) => {
                let report = self.apply(options, false).await?;
                self.check_run(&report)?;
            }
            Step::Destroy(options) => {
                let report = self.apply(options, true).await?;
                self.check_run(&report)?;
            }
            Step::Plan => self.plan_only().await?,
            Step::Refresh => self.refresh_only().await?,
            Step::Import { slot, which, by } => self.import_one(slot, which, by).await?,
            Step::ImportAll { by } => self.import_all(by).await?,
            Step::Forget { slot } => {
                let slot = self.slot(slot);
                let forgotten: Vec<_> =
                    slot.object.take().into_iter().chain(slot.deposed.drain(..)).collect();
                self.foreign.extend(forgotten.iter().map(|object| object.id().to_owned()));
            }
            Step::Outside(edit) => self.edit(edit),
            Step::Fault { call, skip, times, failure } => {
                self.emulator.fault(call.target(skip, times), failure.played_by(call, &[]));
                self.faults.push((call, failure));
            }
            Step::Expire => self.emulator.expire_tokens(),
            Step::Uses(uses) => {
                self.emulator.state().identities.token_uses = (uses > 0).then(|| uses.into());
            }
            Step::Lag(tenths) => self.emulator.state().options.replica_lag = tenths_of_a_second(tenths),
            Step::Restart => self.running.kill(),
        }
        Ok(())
    }

    pub fn slot(&mut self, slot: u8) -> &mut Slot {
        let count = self.slots.len();
        &mut self.slots[usize::from(slot) % count]
    }

    fn swap_names(&mut self, one: u8, other: u8) {
        let (one, other) = (usize::from(one), usize::from(other));
        if let (Some(a), Some(b)) = (self.slots[one].config, self.slots[other].config) {
            self.slots[one].config = Some(Config { name: b.name, ..a });
            self.slots[other].config = Some(Config { name: a.name, ..b });
        }
    }

    /// Ends all faults, limits and lags.
    pub fn calm(&mut self) {
        self.emulator.clear_faults();
        self.faults.clear();
        let mut state = self.emulator.state();
        state.identities.token_uses = None;
        state.options.replica_lag = Duration::ZERO;
        state.connections.iter_mut().for_each(|connection| connection.in_use = false);
    }

    /// The IDs in the state, with the numbers of their resources.
    pub fn managed(&self) -> Vec<(String, u8)> {
        let mut managed = Vec::new();
        for (number, slot) in (0..).zip(&self.slots) {
            let objects = slot.object.iter().chain(&slot.deposed);
            managed.extend(objects.map(|object| (object.id().to_owned(), number)));
        }
        managed
    }

    /// Records the origin of new connections.
    pub fn note_new_connections(&mut self) -> Checked {
        for connection in self.emulator.connections() {
            if self.foreign.contains(&connection.id) || self.origins.contains_key(&connection.id) {
                continue;
            }
            let place = Place::of(&connection);
            let sent = self.posts.iter().rev().find(|(_, sent)| *sent == place);
            let Some((run, _)) = sent else {
                return Err(Violation::new(
                    "nowhere",
                    format!("{place:?} was made, but nobody asked for it"),
                ));
            };
            self.origins.insert(connection.id.clone(), Origin { run: *run, place });
        }
        Ok(())
    }

    /// The connections of the KMS, by ID.
    pub fn kms(&self) -> BTreeMap<String, (AppConnection, Credentials)> {
        let state = self.emulator.state();
        let all = state.connections.iter();
        all.map(|one| (one.id.clone(), (one.clone(), state.sealer.open(&one.credentials)))).collect()
    }

    pub fn nth(&self, which: u8) -> Option<AppConnection> {
        let mut connections = self.emulator.connections();
        let count = connections.len();
        (count > 0).then(|| connections.swap_remove(usize::from(which) % count))
    }

    pub fn take_log(&mut self) {
        for line in self.running.take_log() {
            self.log.push_str(&line);
            self.log.push('\n');
        }
    }

    /// Searches the log, the state and the diagnostics for secrets and panics.
    pub fn check_log(&mut self) -> Checked {
        self.take_log();
        let tokens: Vec<String> = self.emulator.state().identities.tokens().map(str::to_owned).collect();
        secrets::look(&self.log, "the log")?;
        secrets::look_for_access_tokens(&self.log, &tokens, "the log")?;
        for said in &self.said {
            secrets::look_for_access_tokens(&said.detail, &tokens, "a diagnostic")?;
        }
        for object in self.slots.iter().filter_map(|slot| slot.object.as_ref()) {
            secrets::look(&String::from_utf8_lossy(&object.private), "private state")?;
            secrets::look(&String::from_utf8_lossy(&object.state.to_msgpack()), "state")?;
        }
        match self.log.lines().find(|line| line.starts_with("panic: ")) {
            Some(line) => Err(Violation::new("crash", line.to_owned())),
            None => Ok(()),
        }
    }
}

fn set(config: &mut Config, field: Field) {
    match field {
        Field::Name(name) => config.name = name,
        Field::Scope(scope) => config.scope = scope,
        Field::Description(description) => config.description = description,
        Field::Url(url) => config.url = url,
        Field::Account(account) => config.account = account,
        Field::Token(token) => config.token = token,
        Field::Version(version) => config.version = version,
        Field::Adopt(adopt) => config.adopt = adopt,
        Field::CreateBeforeDestroy(first) => config.create_before_destroy = first,
    }
}
