//! The invariants about what a rotation has elsewhere: its tokens at dbt, and its secret.

use std::collections::{BTreeMap, BTreeSet};

use kms_emulator::{LoggedRequest, ROTATIONS};
use terraform_provider_kms::plugin::value::Value;

use crate::{
    Checked, Violation,
    core::get,
    model::{Action, Block, Kept, body_is},
    rotation::{TOKEN_NAMES, scope_of},
    runs::RunReport,
    world::World,
};

/// Whose tokens and secrets there are, and which may stay without a rotation.
#[derive(Debug, Default)]
pub struct Leftovers {
    /// The run in which each token was first seen, and whether reads lagged in it.
    made: BTreeMap<u64, (u32, bool)>,
    /// The rotation that each token is or was of.
    tokens: BTreeMap<u64, String>,
    /// The rotation that each secret is or was of, by the secret's ID.
    secrets: BTreeMap<String, String>,
    /// The rotations that were deleted without their tokens, and those without their secret.
    keep_tokens: BTreeSet<String>,
    keep_secret: BTreeSet<String>,
}

impl Leftovers {
    /// Others deleted a rotation and nothing else.
    pub fn keep_all(&mut self, id: &str) {
        self.keep_tokens.insert(id.to_owned());
        self.keep_secret.insert(id.to_owned());
    }

    /// Whether an ID is that of a rotation that was seen.
    pub fn is_of_rotation(&self, id: &str) -> bool {
        self.tokens.values().any(|rotation| rotation == id)
    }

    fn note_deletion(&mut self, write: &LoggedRequest) {
        let id = write.path.rsplit('/').next().unwrap_or_default();
        if write.query.contains("revokeGeneratedCredentials=false") {
            self.keep_tokens.insert(id.to_owned());
        }
        if write.query.contains("deleteSecrets=false") {
            self.keep_secret.insert(id.to_owned());
        }
    }
}

impl World<'_> {
    /// Records whose tokens and secrets there are.
    pub fn note_leftovers(&mut self) {
        for write in self.writes() {
            if write.method == "DELETE" && write.path.starts_with(ROTATIONS) {
                self.leftovers.note_deletion(&write);
            }
        }
        let state = self.emulator.state();
        for token in &state.dbt.service_tokens {
            let lags = !state.options.replica_lag.is_zero();
            self.leftovers.made.entry(token.id).or_insert((self.run, lags));
        }
        for rotation in &state.rotations {
            for token in &rotation.tokens {
                self.leftovers.tokens.insert(token.id, rotation.id.clone());
            }
        }
        for secret in &state.versioned_secrets {
            if let Some(rotation) = &secret.rotation_id {
                self.leftovers.secrets.insert(secret.id.clone(), rotation.clone());
            }
        }
    }

    /// All secrets: scope and name.
    pub fn secrets(&self) -> Vec<(String, String)> {
        let state = self.emulator.state();
        let secrets = state.versioned_secrets.iter();
        secrets.map(|secret| (scope_of(&secret.folder), secret.latest().name.clone())).collect()
    }

    /// Whether no rotation can be created, and none deleted with its tokens.
    pub fn refuses(&self) -> (bool, bool) {
        let state = self.emulator.state();
        let no_create = state.dbt.refuses_to_create.is_some() || state.options.fails_to_store_rotations;
        (no_create, state.dbt.refuses_to_delete.is_some())
    }

    /// The provider reads no token, and rotates nothing.
    pub fn check_no_token_is_read(&self) -> Checked {
        let requests = self.emulator.requests();
        let is_wrong =
            |path: &str| path.ends_with("/generated-credentials") || path.ends_with("/rotate-secrets");
        match requests.iter().find(|request| is_wrong(&request.path)) {
            Some(request) => Err(Violation::new("stray request", request.path.clone())),
            None => Ok(()),
        }
    }

    /// Each live token and each secret is of a rotation that exists, or was left behind by one that was told to, or a
    /// diagnostic said so.
    pub fn check_leftovers(&self) -> Checked {
        let state = self.emulator.state();
        let Leftovers { made, tokens, secrets, keep_tokens, keep_secret } = &self.leftovers;
        let exists = |id: &String| state.rotations.iter().any(|rotation| rotation.id == *id);
        for token in state.dbt.live_service_tokens() {
            let (run, lags) = made.get(&token.id).copied().unwrap_or_default();
            let is_fine = match tokens.get(&token.id) {
                Some(rotation) => exists(rotation) || keep_tokens.contains(rotation),
                None => {
                    // A request that was performed late can show in the run after.
                    let is_told = self.said.iter().any(|said| {
                        (said.run..=said.run + 1).contains(&run) && said.warns_of_a_leftover(&token.name)
                    });
                    // A lagging KMS sees only at the end, when it has the token, that another create has just taken the name.
                    let is_raced =
                        self.said.iter().any(|said| said.run == run && said.says_the_name_is_lost());
                    is_told
                        || lags && is_raced
                        || self.cut.iter().any(|(cut, place)| *cut == run && place.is_in_folder())
                }
            };
            if !is_fine {
                let text =
                    format!("the token {} of run {run} is live at dbt, and no rotation has it", token.id);
                return Err(Violation::new("leftover token", text));
            }
        }
        for secret in &state.versioned_secrets {
            let rotation = secrets.get(&secret.id);
            if !rotation.is_none_or(|rotation| exists(rotation) || keep_secret.contains(rotation)) {
                let text = format!("the secret {} is left, and its rotation is gone", secret.latest().name);
                return Err(Violation::new("leftover secret", text));
            }
        }
        Ok(())
    }

    /// A failed create that may have made a token warns of it.
    pub fn check_leftover_warnings(&self, report: &RunReport) -> Checked {
        for (number, result) in (0..).zip(&report.results).filter(|(_, result)| result.failed) {
            let Some(Block::Rotation(config)) = &result.slot.config else { continue };
            let own = result.before.as_ref().map(|before| before.id());
            let is_made = result.slot.object.as_ref().is_some_and(|object| Some(object.id()) != own);
            let creates = matches!(result.action, Action::Create | Action::Replace) && !is_made;
            let body = config.body();
            let in_doubt = |write: &LoggedRequest| {
                write.method == "POST"
                    && body_is(write, &body)
                    && write.status.is_none_or(|status| !(300..500).contains(&status))
            };
            let is_alone = report.writes.iter().filter(|write| body_is(write, &body)).count() == 1;
            // The create of another resource with the same configuration looks the same.
            let has_twin = (0..).zip(&report.results).any(|(other, result)| {
                let config = result.slot.config.as_ref().and_then(Block::rotation);
                other != number && config.is_some_and(|config| config.body() == body)
            });
            // As long as another one has the name, the KMS refuses the create before it asks dbt for a token.
            let has_name =
                |(id, kept): (&String, &Kept)| kept.place() == config.place() && self.kms().contains_key(id);
            let is_refused = report.kms_before.iter().any(has_name);
            if is_refused
                || !creates
                || !is_alone
                || has_twin
                || !result.cut.is_empty()
                || !report.writes.iter().any(in_doubt)
            {
                continue;
            }
            let mut said = self.said.iter().filter(|said| (said.run, said.slot) == (report.run, number));
            if !said.any(|said| said.warns_of_a_leftover(config.token_name())) {
                let text = format!("resource {number} doesn't warn that it may have left a token");
                return Err(Violation::new("silent", text));
            }
        }
        Ok(())
    }

    /// In a run, each planned create makes at most one token.
    pub fn check_tokens_made(&self, report: &RunReport) -> Checked {
        // A create of an earlier run may make its token in this one.
        if report.began_waiting {
            return Ok(());
        }
        let state = self.emulator.state();
        for name in TOKEN_NAMES {
            let made = state.dbt.service_tokens.iter().filter(|token| {
                token.name == name
                    && self.leftovers.made.get(&token.id).is_some_and(|(run, _)| *run == report.run)
            });
            let wanted = report.results.iter().filter(|result| {
                let config = result.slot.config.as_ref().and_then(Block::rotation);
                matches!(result.action, Action::Create | Action::Replace)
                    && config.is_some_and(|config| config.token_name() == name)
            });
            let (made, wanted) = (made.count(), wanted.count());
            if made > wanted {
                let text = format!("{made} tokens named {name:?} were made for {wanted} creates");
                return Err(Violation::new("repeated create", text));
            }
        }
        Ok(())
    }
}

/// Whether the last rotation failed, according to the state.
pub fn has_failed(state: &Value) -> bool {
    get(state, "status") == &Value::string("failed")
}
