//! The world of one life: a KMS, a provider, a configuration and a state. It carries out one step at a time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use kms_emulator::{CONNECTIONS, Credentials, Emulator, LoggedRequest, Options, ROTATIONS};
use tokio::time::Instant;

use crate::{
    Checked, Violation,
    faults::{Call, Failure, Of, tenths_of_a_second},
    leftovers::Leftovers,
    model::{ACCOUNTS, Block, Config, Kept, Place, TOKENS, URLS},
    rotation::{CONNECTION_IDS, FOLDERS, RotationConfig},
    running::Running,
    secrets,
    steps::{Field, RotationField, SLOTS, Step},
    walk::Slot,
    words::Said,
};

/// The create that made an object.
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
    /// The objects that the provider created, by ID.
    pub origins: BTreeMap<String, Origin>,
    /// IDs of objects that others created, and of those that the user removed from the state.
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
    pub leftovers: Leftovers,
    log: String,
}

impl<'r> World<'r> {
    pub async fn new(running: &'r mut Running) -> Self {
        let emulator = Arc::new(Emulator::start(Options::default().without_rate_limits()).await);
        for (number, id) in CONNECTION_IDS.into_iter().enumerate() {
            let credentials = Credentials::new(URLS[0], ACCOUNTS[0], TOKENS[0]);
            let made = emulator.create(&format!("of-rotations-{number}"), None, &credentials);
            emulator.edit(&made, |connection| connection.id = id.to_owned());
        }
        for (project, environment, path) in FOLDERS.into_iter().filter(|(_, _, path)| *path != "/") {
            emulator.make_folder(project, environment, path);
        }
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
            leftovers: Leftovers::default(),
            log: String::new(),
        }
    }

    /// Whether the KMS may still perform earlier requests.
    pub fn is_waiting(&self) -> bool {
        Instant::now() < self.late_until
    }

    pub async fn wait_for_late_writes(&mut self) -> Checked {
        tokio::time::sleep_until(self.late_until).await;
        self.note_new_objects()
    }

    pub async fn take(&mut self, step: &Step) -> Checked {
        self.note_new_objects()?;
        match *step {
            Step::Write { slot, config } => self.slot(slot).config = Some(Block::Connection(config)),
            Step::Set { slot, field } => {
                if let Some(Block::Connection(config)) = &mut self.slot(slot).config {
                    set(config, field);
                }
            }
            Step::WriteRotation { slot, config } => self.slot(slot).config = Some(Block::Rotation(config)),
            Step::SetRotation { slot, field } => {
                if let Some(Block::Rotation(config)) = &mut self.slot(slot).config {
                    set_rotation(config, field);
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
                self.add_fault(call, Of::Connections, (skip, times), failure);
            }
            Step::RotationFault { call, skip, times, failure } => {
                self.add_fault(call, Of::Rotations, (skip, times), failure);
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
        if let (Some(mut a), Some(mut b)) = (self.slots[one].config, self.slots[other].config) {
            std::mem::swap(a.name_mut(), b.name_mut());
            (self.slots[one].config, self.slots[other].config) = (Some(a), Some(b));
        }
    }

    fn add_fault(&mut self, call: Call, of: Of, (skip, times): (u8, u8), failure: Failure) {
        self.emulator.fault(call.target(of, skip, times), failure.played_by(call, &[]));
        self.faults.push((call, failure));
    }

    /// Ends all faults, limits, lags and refusals.
    pub fn calm(&mut self) {
        self.emulator.clear_faults();
        self.faults.clear();
        let mut state = self.emulator.state();
        state.identities.token_uses = None;
        state.options.replica_lag = Duration::ZERO;
        state.options.fails_to_store_rotations = false;
        (state.dbt.refuses_to_create, state.dbt.refuses_to_delete) = (None, None);
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

    /// Records the origin of new objects.
    pub fn note_new_objects(&mut self) -> Checked {
        self.note_leftovers();
        for (id, kept) in self.kms() {
            if self.foreign.contains(&id) || self.origins.contains_key(&id) {
                continue;
            }
            let place = kept.place();
            let sent = self.posts.iter().rev().find(|(_, sent)| *sent == place);
            let Some((run, _)) = sent else {
                return Err(Violation::new(
                    "nowhere",
                    format!("{place:?} was made, but nobody asked for it"),
                ));
            };
            self.origins.insert(id, Origin { run: *run, place });
        }
        Ok(())
    }

    /// The objects of the KMS, the oldest first, and connections before rotations. Without the connections of the rotations.
    pub fn objects(&self) -> Vec<Kept> {
        let state = self.emulator.state();
        let connections =
            state.connections.iter().filter(|connection| !CONNECTION_IDS.contains(&connection.id.as_str()));
        let connections =
            connections.map(|one| Kept::Connection(one.clone(), state.sealer.open(&one.credentials)));
        connections.chain(state.rotations.iter().cloned().map(Kept::Rotation)).collect()
    }

    /// The objects of the KMS, by ID.
    pub fn kms(&self) -> BTreeMap<String, Kept> {
        self.objects().into_iter().map(|kept| (kept.id().to_owned(), kept)).collect()
    }

    pub fn nth(&self, which: u8) -> Option<Kept> {
        let mut objects = self.objects();
        let count = objects.len();
        (count > 0).then(|| objects.swap_remove(usize::from(which) % count))
    }

    /// The requests since the run began that write.
    pub fn writes(&self) -> Vec<LoggedRequest> {
        let mut requests = self.emulator.requests();
        requests.retain(|request| {
            let path = &request.path;
            request.method != "GET" && (path.starts_with(CONNECTIONS) || path.starts_with(ROTATIONS))
        });
        requests
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
        let mut tokens: Vec<String> = self.emulator.state().identities.tokens().map(str::to_owned).collect();
        tokens.extend(self.emulator.service_tokens().into_iter().map(|token| token.token));
        secrets::look(&self.log, "the log")?;
        secrets::look_for_access_tokens(&self.log, &tokens, "the log")?;
        for said in &self.said {
            secrets::look_for_access_tokens(&said.detail, &tokens, "a diagnostic")?;
        }
        for object in self.slots.iter().filter_map(|slot| slot.object.as_ref()) {
            for (bytes, place) in [(&object.private, "private state"), (&object.state.to_msgpack(), "state")]
            {
                let text = String::from_utf8_lossy(bytes);
                secrets::look(&text, place)?;
                secrets::look_for_access_tokens(&text, &tokens, place)?;
            }
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

fn set_rotation(config: &mut RotationConfig, field: RotationField) {
    match field {
        RotationField::Name(name) => config.name = name,
        RotationField::Folder(folder) => config.folder = folder,
        RotationField::Connection(connection) => config.connection = connection,
        RotationField::Description(description) => config.description = description,
        RotationField::Secret(secret) => config.secret = secret,
        RotationField::TokenName(name) => config.token_name = name,
        RotationField::Grants(grants) => config.grants = grants,
        RotationField::Interval(interval) => config.interval = interval,
        RotationField::Time(time) => config.time = time,
        RotationField::Manual(manual) => config.manual = manual,
        RotationField::KeepsTokens(keeps) => config.keeps_tokens = keeps,
        RotationField::KeepsSecret(keeps) => config.keeps_secret = keeps,
        RotationField::Adopt(adopt) => config.adopt = adopt,
        RotationField::CreateBeforeDestroy(first) => config.create_before_destroy = first,
    }
}
