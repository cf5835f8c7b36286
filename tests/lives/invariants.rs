//! The invariants that hold after each run and at the end of a life.

use std::collections::BTreeMap;

use kms_emulator::{LoggedRequest, ROTATIONS};

use crate::{
    Checked, Violation,
    calls::Object,
    core::text,
    faults::{Call, Failure},
    leftovers::has_failed,
    model::{Action, Block, Body, Kept, Place, Token, body_is, shown_credentials},
    rotation::{deletion, scope_of},
    runs::{MAX_RETRIES, RunReport},
    walk::{Slot, SlotResult},
    words::Said,
    world::World,
};

fn fail<T>(kind: &'static str, text: String) -> Checked<T> {
    Err(Violation::new(kind, text))
}

impl World<'_> {
    /// After a refresh, the state agrees with the KMS, and no existing object has left it.
    pub fn check_refreshed(&self, before: &[Slot], after: &[Slot]) -> Checked {
        if self.is_waiting() {
            return Ok(());
        }
        let kms = self.kms();
        for (before, after) in before.iter().zip(after) {
            let kept: Vec<&str> = after.object.iter().chain(&after.deposed).map(Object::id).collect();
            for object in before.object.iter().chain(&before.deposed) {
                if !kept.contains(&object.id()) && kms.contains_key(object.id()) {
                    return fail("lost", format!("{} left the state, but the KMS has it", object.id()));
                }
            }
            for object in after.object.iter().chain(&after.deposed) {
                self.check_agreement(object)?;
            }
        }
        Ok(())
    }

    fn check_agreement(&self, object: &Object) -> Checked {
        let kms = self.kms();
        let Some(kept) = kms.get(object.id()) else {
            return fail("ghost", format!("the state has {}, but the KMS doesn't", object.id()));
        };
        let state = self.emulator.state();
        match &kept.disagreements(&object.state, |time| state.timestamp(time))[..] {
            [] => Ok(()),
            found => fail("disagreement", format!("{}: {}", kept.place().name, found.join("; "))),
        }
    }

    pub fn check_nothing_written(&self) -> Checked {
        match &self.writes()[..] {
            [] => Ok(()),
            [write, ..] => {
                fail("stray write", format!("{} {} in a run that changes nothing", write.method, write.path))
            }
        }
    }

    pub fn check_import(
        &self,
        wanted: &Kept,
        imported: Option<&Object>,
        struck: &[(Call, Failure)],
    ) -> Checked {
        match imported {
            Some(object) if object.id() != wanted.id() => {
                fail("import", format!("{} was imported instead of {}", object.id(), wanted.id()))
            }
            Some(object) if !self.is_waiting() => self.check_agreement(object),
            None if wanted.is_of_dbt()
                && struck.is_empty()
                && self.is_undisturbed()
                && !self.is_waiting() =>
            {
                fail(
                    "needless failure",
                    format!("the import of {} failed: {}", wanted.place().name, self.last_errors()),
                )
            }
            _ => Ok(()),
        }
    }

    fn is_undisturbed(&self) -> bool {
        self.emulator.state().identities.token_uses.is_none_or(|uses| uses > 1)
    }

    fn last_errors(&self) -> String {
        let errors = self.said.iter().filter(|said| said.run == self.run && said.is_error);
        errors
            .map(|said| format!("[{}] {}: {}", said.slot, said.summary, said.detail))
            .collect::<Vec<_>>()
            .join(" | ")
    }

    pub fn check_run(&mut self, report: &RunReport) -> Checked {
        self.check_one_owner()?;
        self.check_logins(report)?;
        self.check_writes(report)?;
        self.check_claims(report)?;
        self.check_tokens_made(report)?;
        self.check_leftover_warnings(report)?;
        self.check_taken_names(report)?;
        if self.is_waiting() {
            return Ok(());
        }
        for (number, result) in (0..).zip(&report.results) {
            self.check_warnings(report, number, result)?;
            self.check_result(report, number, result)?;
        }
        self.check_leftovers()?;
        self.check_failures(report)
    }

    /// A plan warns of no name that an object of the state has. In a sequential walk, the object may be shown too late.
    fn check_taken_names(&self, report: &RunReport) -> Checked {
        if !report.options.parallel {
            return Ok(());
        }
        let in_plan = |said: &&Said| said.run == report.run && said.action == Action::Nothing;
        let objects = || report.before.iter().flat_map(|slot| slot.object.iter().chain(&slot.deposed));
        let is_false = |said: &&Said| objects().any(|object| said.names(object.id()));
        let mut warnings = self.said.iter().filter(in_plan).filter(|said| said.warns_of_a_taken_name());
        match warnings.find(is_false) {
            Some(said) => fail("false alarm", said.detail.clone()),
            None => Ok(()),
        }
    }

    /// No object is in the state twice.
    fn check_one_owner(&self) -> Checked {
        let mut owners = BTreeMap::new();
        for (id, slot) in self.managed() {
            if let Some(other) = owners.insert(id.clone(), slot) {
                return fail("two owners", format!("{id} belongs to the resources {other} and {slot}"));
            }
        }
        Ok(())
    }

    /// Each write is planned, and sends exactly the planned change.
    fn check_writes(&self, report: &RunReport) -> Checked {
        let mut counts: BTreeMap<(String, String), (usize, usize)> = BTreeMap::new();
        for write in &report.writes {
            let is_wanted = match write.method.as_str() {
                "POST" => report.results.iter().any(|result| is_wanted_create(result, write)),
                "PATCH" => report.results.iter().any(|result| is_wanted_patch(report, result, write)),
                _ => report.results.iter().zip(&report.before).any(|(result, before)| {
                    let deposed = before.deposed.iter();
                    let going = result
                        .before
                        .iter()
                        .filter(|_| matches!(result.action, Action::Delete | Action::Replace));
                    going
                        .map(|object| (object, makes_room(result, object)))
                        .chain(deposed.map(|object| (object, false)))
                        .any(|(object, makes_room)| is_deletion(write, object, makes_room))
                }),
            };
            let body = write.body.as_ref().map(ToString::to_string).unwrap_or_default();
            if !is_wanted {
                return fail("stray write", format!("{} {} {body}", write.method, write.path));
            }
            // The server refused these without performing them.
            if !matches!(write.status, Some(401 | 403 | 429)) {
                let count = counts.entry((format!("{} {}", write.method, write.path), body)).or_default();
                count.0 += 1;
                count.1 =
                    report.results.iter().filter(|result| is_wanted_create(result, write)).count().max(1);
            }
        }
        let is_quiet = report.struck.is_empty() && report.options.interrupt.is_none();
        let most = if is_quiet { 1 } else { 1 + MAX_RETRIES as usize };
        // Each try to create a rotation makes a token.
        let most_of = |request: &str| if request == format!("POST {ROTATIONS}") { 1 } else { most };
        match counts.into_iter().find(|((request, _), (count, wanted))| *count > most_of(request) * wanted) {
            Some(((request, _), (count, _))) => {
                fail("repeated write", format!("{request} was sent {count} times"))
            }
            None => Ok(()),
        }
    }

    /// Diagnostics that claim that nothing was changed are right.
    fn check_claims(&self, report: &RunReport) -> Checked {
        let kms = self.kms();
        for said in self.said.iter().filter(|said| said.run == report.run && said.says_nothing_changed()) {
            let made =
                self.origins.values().any(|origin| origin.run == said.run && origin.place == said.place);
            let wanted =
                report.before.iter().filter_map(|slot| slot.config).filter(|one| one.place() == said.place);
            if said.action == Action::Create && made && wanted.count() == 1 {
                return fail("untrue", format!("\"{}\", but {:?} was made", said.detail, said.place));
            }
            if is_under_way(report, said.action) {
                return fail("untrue", format!("\"{}\", but the KMS may still perform it", said.detail));
            }
            let before = report.before.get(usize::from(said.slot)).and_then(|slot| slot.object.as_ref());
            let Some(before) = before.filter(|_| matches!(said.action, Action::Update | Action::Delete))
            else {
                continue;
            };
            let written = |all: &BTreeMap<String, Kept>| all.get(before.id()).map(Kept::updated_at);
            if written(&kms) != written(&report.kms_before) {
                return fail("untrue", format!("\"{}\", but {:?} was changed", said.detail, said.place));
            }
        }
        Ok(())
    }

    /// There is a warning about credentials exactly when somebody else wrote them and the configuration has a token, and one
    /// about a rotation exactly when it failed.
    fn check_warnings(&self, report: &RunReport, number: u8, result: &SlotResult) -> Checked {
        let slot = &report.before[usize::from(number)];
        let is_planned = slot.config.is_some() && slot.deposed.is_empty();
        let Some(before) = result.before.as_ref().filter(|_| is_planned) else { return Ok(()) };
        let hash = text(&before.state, "credentials_hash");
        let has_token = slot.config.is_some_and(|block| block.token() != Token::Absent);
        let is_due = has_token && before.sent.as_ref().is_some_and(|sent| Some(sent.hash.as_str()) != hash);
        let said = || self.said.iter().filter(|said| (said.run, said.slot) == (report.run, number));
        if said().any(|said| said.says_credentials_are_foreign()) != is_due {
            return fail(
                "warning",
                format!("resource {number}: the warning about credentials is {is_due} by the model"),
            );
        }
        let has_failed = has_failed(&before.state) && !before.tainted;
        if said().any(|said| said.says_the_rotation_failed()) != has_failed {
            return fail(
                "warning",
                format!(
                    "resource {number}: the warning about a failed rotation is {has_failed} by the model"
                ),
            );
        }
        Ok(())
    }

    fn check_result(&self, report: &RunReport, number: u8, result: &SlotResult) -> Checked {
        let kms = self.kms();
        let managed = self.managed();
        if let Some(before) = &result.before
            && !managed.iter().any(|(id, _)| id == before.id())
            && kms.contains_key(before.id())
        {
            return fail("lost", format!("{} left the state, but the KMS has it", before.id()));
        }
        if result.failed || !result.begun {
            return Ok(());
        }
        let (Some(object), Some(config)) = (&result.slot.object, &result.slot.config) else { return Ok(()) };
        self.check_agreement(object)?;
        if result.action == Action::Nothing {
            return Ok(());
        }
        if let (Some(sent), Kept::Connection(_, stored)) = (&object.sent, &kms[object.id()])
            && Some(sent.hash.as_str()) == text(&object.state, "credentials_hash")
            && stored.api_token != crate::model::TOKENS[usize::from(sent.token)]
        {
            return fail(
                "wrong token",
                format!("the KMS has another token for resource {number} than was sent"),
            );
        }
        if matches!(result.action, Action::Create | Action::Replace) {
            self.check_made(report, number, object, config)?;
        }
        Ok(())
    }

    /// A create results in its own object, or in one that its block asks to adopt.
    fn check_made(&self, report: &RunReport, number: u8, object: &Object, config: &Block) -> Checked {
        let id = object.id();
        if self
            .origins
            .get(id)
            .is_some_and(|origin| origin.run == report.run && origin.place == config.place())
        {
            return Ok(());
        }
        let Some(kept) = report.kms_before.get(id) else {
            return fail("claimed", format!("resource {number} has {id}, which it did not create"));
        };
        if config.adopts() && config.is_alike(kept) {
            return Ok(());
        }
        fail("claimed", format!("resource {number} has {id}, which it must not adopt"))
    }

    /// Every failure has a cause: a taken name, a connection in use, or more faults than the provider has to survive.
    fn check_failures(&self, report: &RunReport) -> Checked {
        // More faults than retries may hit one request. The provider also gives up when two fresh tokens are refused in a
        // row.
        let struck = &report.struck;
        let expired = struck.iter().filter(|(_, failure)| *failure == Failure::TokenExpired).count();
        let survivable = struck.len() <= MAX_RETRIES as usize
            && expired <= 1
            && struck.iter().all(|(call, failure)| failure.is_transient(*call));
        if !survivable || report.options.interrupt.is_some() || !self.is_undisturbed() || report.killed {
            return Ok(());
        }
        let is_refused = !report.refused_adoptions().is_empty()
            || !report.refused_names().is_empty()
            || !report.without_token.is_empty();
        if !report.planned && !is_refused {
            return fail("needless failure", format!("the plan failed: {}", self.last_errors()));
        }
        if report.planned && !report.began_waiting && !report.refused_names().is_empty() {
            return fail("same name", format!("planned for the resources {:?}", report.refused_names()));
        }
        let kms = self.kms();
        let taken = |place: &Place, own: Option<&str>| {
            let is = |(id, kept): (&String, &Kept)| Some(id.as_str()) != own && kept.place() == *place;
            report.kms_before.iter().any(is) || kms.iter().any(is)
        };
        for (number, result) in (0..).zip(&report.results).filter(|(_, result)| result.failed) {
            self.check_advice(report, number, result)?;
            let own = result.before.as_ref().map(Object::id).filter(|_| result.action == Action::Update);
            let is_taken = result.slot.config.is_some_and(|config| {
                let others = report.results.iter().filter_map(|other| other.slot.config);
                taken(&config.place(), own)
                    || others.filter(|other| other.place() == config.place()).count() > 1
            });
            let is_used = result
                .before
                .iter()
                .chain(&result.slot.deposed)
                .any(|object| report.kms_before.get(object.id()).is_some_and(Kept::is_in_use));
            if !is_taken && !is_used && !self.rotation_may_fail(report, result) {
                let action = result.action;
                return fail(
                    "needless failure",
                    format!("{action:?} of resource {number}: {}", self.last_errors()),
                );
            }
        }
        Ok(())
    }

    /// Whether a change of a rotation may fail: because of dbt, of another secret of the name, or because a create of unknown
    /// fate isn't repeated.
    fn rotation_may_fail(&self, report: &RunReport, result: &SlotResult) -> bool {
        let creates = matches!(result.action, Action::Create | Action::Replace);
        let (no_create, no_delete) = report.refuses;
        let mut going = result.before.iter().chain(&result.slot.deposed);
        if no_delete && going.any(|object| self.leftovers.is_of_rotation(object.id())) {
            return true;
        }
        let Some(config) = result.slot.config.as_ref().and_then(Block::rotation) else { return false };
        let in_doubt = |(call, failure): &(Call, Failure)| *call == Call::Create && failure.leaves_doubt();
        if creates && (no_create || report.struck.iter().any(in_doubt)) {
            return true;
        }
        let is_own = result.action == Action::Update || !config.create_before_destroy;
        let own = result.before.as_ref().is_some_and(|object| is_own && config.takes_place_of(object));
        let wanted = (scope_of(&config.folder()), config.secret());
        let others = report.results.iter().filter_map(|other| other.slot.config?.rotation().copied());
        let others = others.filter(|other| (scope_of(&other.folder()), other.secret()) == wanted);
        others.count() > 1
            || !own && (report.secrets_before.contains(&wanted) || self.secrets().contains(&wanted))
    }

    /// No diagnostic advises to import or adopt a connection that another resource manages, or one of another app.
    fn check_advice(&self, report: &RunReport, number: u8, result: &SlotResult) -> Checked {
        let Some(place) = result.slot.config.map(|config| config.place()) else { return Ok(()) };
        let kms = self.kms();
        let Some(holder) = kms.values().find(|kept| kept.place() == place) else { return Ok(()) };
        let is_managed = self.managed().iter().any(|(id, _)| id == holder.id());
        let mut said = self.said.iter().filter(|said| (said.run, said.slot) == (report.run, number));
        let is_wrong = !holder.is_of_dbt() || is_managed;
        match said.find(|said| is_wrong && said.advises_to_take_over()) {
            Some(said) => fail(
                "bad advice",
                format!("resource {number} can't take over {}: {}", holder.id(), said.detail),
            ),
            None => Ok(()),
        }
    }

    /// Requests share logins.
    fn check_logins(&self, report: &RunReport) -> Checked {
        // One for each walk, and a few for tokens that expire in between.
        let most = 10 + report.struck.iter().filter(|(call, _)| *call == Call::Login).count();
        let is_limited = self.emulator.state().identities.token_uses.is_some();
        if !is_limited && report.logins > most {
            return fail("logins", format!("{} logins in one run", report.logins));
        }
        Ok(())
    }

    /// At the end, each object that the provider created is in the state, or a diagnostic named it.
    pub fn check_orphans(&self) -> Checked {
        let managed = self.managed();
        for (id, kept) in self.kms() {
            if self.foreign.contains(&id) || managed.iter().any(|(known, _)| *known == id) {
                continue;
            }
            let Some(origin) = self.origins.get(&id) else { continue };
            let is_warned_of = self.said.iter().any(|said| {
                said.run <= origin.run && said.place == origin.place && said.warns_of_an_earlier_create()
            });
            let is_told = is_warned_of
                || self.said.iter().filter(|said| said.run + 1 >= origin.run).any(|said| {
                    said.names(&id)
                    // A request that was performed late can show in the run after.
                    || ((said.run..=said.run + 1).contains(&origin.run)
                        && said.place == origin.place
                        && said.says_it_may_exist())
                });
            let is_cut = self.cut.contains(&(origin.run, origin.place.clone()));
            if !is_told && !is_cut {
                let run = origin.run;
                return fail(
                    "orphan",
                    format!("{:?} of run {run} is in no state, and no diagnostic named it", kept.place()),
                );
            }
        }
        Ok(())
    }
}

/// Whether the KMS will perform a request for the only change of this kind in a run after the run.
fn is_under_way(report: &RunReport, action: Action) -> bool {
    let call = match action {
        Action::Create => Call::Create,
        Action::Update => Call::Update,
        Action::Delete => Call::Delete,
        Action::Nothing | Action::Replace => return false,
    };
    let is_late = |(struck, failure): &(Call, Failure)| *struck == call && !failure.lateness().is_zero();
    report.results.iter().filter(|result| result.action == action).count() == 1
        && report.struck.iter().any(is_late)
}

/// Whether a replacement needs the place of the object that it replaces.
fn makes_room(result: &SlotResult, object: &Object) -> bool {
    let config = result.slot.config.as_ref().filter(|block| !block.creates_before_destroy());
    let config = config.and_then(Block::rotation).filter(|_| result.action == Action::Replace);
    config.is_some_and(|config| config.takes_place_of(object))
}

fn is_deletion(write: &LoggedRequest, object: &Object, makes_room: bool) -> bool {
    let is_of_rotation = write.path.starts_with(ROTATIONS);
    write.path.ends_with(object.id()) && (!is_of_rotation || write.query == deletion(object, makes_room))
}

fn is_wanted_create(result: &SlotResult, write: &LoggedRequest) -> bool {
    let is_planned = matches!(result.action, Action::Create | Action::Replace);
    let config = match result.slot.config.filter(|_| is_planned) {
        Some(Block::Connection(config)) => config,
        Some(Block::Rotation(config)) => return body_is(write, &config.body()),
        None => return false,
    };
    let mut body = Body::new();
    let place = config.place();
    body.insert("name".into(), place.name.into());
    body.insert("method".into(), "api-token".into());
    body.insert("credentials".into(), shown_credentials(&config));
    body.extend(config.description().map(|description| ("description".into(), description.into())));
    body.extend(place.scope.map(|scope| ("projectId".into(), scope.into())));
    body_is(write, &body)
}

fn is_wanted_patch(report: &RunReport, result: &SlotResult, write: &LoggedRequest) -> bool {
    let Some(config) = result.slot.config else { return false };
    let id = write.path.rsplit('/').next().unwrap_or_default();
    if let Some(before) = result.before.as_ref().filter(|before| before.id() == id) {
        let expected = config.expected_patch(before, config.token());
        if result.action == Action::Update && !expected.is_empty() && body_is(write, &expected) {
            return true;
        }
    }
    if !config.adopts() || !matches!(result.action, Action::Create | Action::Replace) {
        return false;
    }
    let adopted = report.kms_before.get(id);
    let config = match config {
        Block::Connection(config) => config,
        Block::Rotation(config) => {
            let body = write.body.as_ref().and_then(serde_json::Value::as_object);
            return body.is_some_and(|body| config.is_adoption(adopted.and_then(Kept::rotation), body));
        }
    };
    // An adoption sends the credentials, and the description if it differs. An empty one is shown as none.
    let mut body = Body::new();
    body.insert("credentials".into(), shown_credentials(&config));
    let is_plain = body_is(write, &body);
    body.insert("description".into(), config.description().into());
    let there = adopted.and_then(Kept::connection);
    let there = there.map(|there| there.description.as_deref().filter(|text| !text.is_empty()));
    match there {
        Some(there) if there == config.description() => is_plain,
        Some(_) => body_is(write, &body),
        // It was created during the run, by a request whose response was lost.
        None => is_plain || body_is(write, &body),
    }
}
