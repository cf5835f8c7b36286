//! How a rotation replaces its token: because somebody asks for it, or by the clock.

use serde_json::{Value, json};
use time::Duration;

use super::{
    answer::Refusal,
    credentials::Credentials,
    dbt_cloud::NotIssued,
    options::Server,
    rights::{Action, Caller},
    rotation_rules::Parameters,
    rotation_schedule::{next, next_day},
    rotations::{Cause, GeneratedToken, Rotation},
    secrets::NoSuchSecret,
    state::{AppConnection, State},
};

/// The longest message that is kept of a failure.
const LONGEST_MESSAGE: usize = 1024;
/// The tokens that are valid at a time.
const TOKENS: usize = 2;

impl State {
    /// Rotates because somebody asks for it.
    pub fn rotate_now(&mut self, caller: &Caller, id: &str) -> Result<Value, Refusal> {
        self.require_plan("rotate secret rotation secrets", "rotate secret rotation secrets")?;
        let (rotation, connection) = self.permitted(caller, id, Action::RotateSecrets)?;
        if rotation.in_progress {
            return Err(Refusal::bad_request("A rotation is already in progress. Please try again shortly."));
        }
        let (rotation_id, connection) = (rotation.id.clone(), connection.clone());
        self.rotate(&rotation_id, &Cause::Request).map_err(Refusal::internal_because)?;
        let rotated = self.rotations.iter().find(|rotation| rotation.id == rotation_id);
        let rotated = rotated.ok_or_else(Refusal::internal)?;
        Ok(json!({"secretRotation": self.show(rotated, &connection)}))
    }

    /// Rotates as when the time has come, and says whether there is anything to do.
    pub fn rotate_by_clock(&mut self, id: &str) -> bool {
        let due = self.rotations.iter().any(|rotation| rotation.id == id && rotation.auto);
        if due {
            let _ = self.rotate(id, &Cause::Job { manual: false });
        }
        due
    }

    /// Makes a token, after the inactive one was revoked. A failure is recorded, and returned.
    pub(super) fn rotate(&mut self, id: &str, cause: &Cause) -> Result<(), String> {
        let found = self.rotations.iter().find(|rotation| rotation.id == id).cloned();
        let Some(rotation) = found else {
            return Err(self.explained("An unknown error occurred."));
        };
        let job_id = match cause {
            Cause::Request => None,
            Cause::Job { .. } => Some(format!("secret-rotation-v2-rotate-{id}")),
        };
        let manual = *cause != Cause::Job { manual: false };
        let outcome = self.replace_inactive_token(&rotation);
        let now = self.now();
        match outcome {
            Ok((tokens, active)) => {
                let next_at =
                    rotation.auto.then(|| next(now, &rotation.rotate_at, rotation.interval, manual));
                self.write_rotation(id, |rotation| {
                    rotation.tokens = tokens;
                    rotation.active = active;
                    rotation.failed = false;
                    rotation.last_manual = manual;
                    (rotation.last_rotated_at, rotation.last_attempted_at) = (now, now);
                    rotation.next_at = next_at.flatten();
                    rotation.last_message = None;
                    rotation.last_job_id = job_id.or_else(|| rotation.last_job_id.take());
                });
                Ok(())
            }
            Err(reason) => {
                let message = self.explained(&reason);
                self.write_rotation(id, |rotation| {
                    rotation.failed = true;
                    rotation.last_attempted_at = now;
                    rotation.last_message = Some(message.clone());
                    // Also when it doesn't rotate by itself.
                    rotation.next_at = next_day(now, &rotation.rotate_at);
                    rotation.last_job_id = job_id.or_else(|| rotation.last_job_id.take());
                });
                Err(message)
            }
        }
    }

    fn replace_inactive_token(
        &mut self,
        rotation: &Rotation,
    ) -> Result<(Vec<GeneratedToken>, usize), String> {
        let connection = self.connections.iter().find(|connection| connection.id == rotation.connection_id);
        let connection = connection.cloned().ok_or("An unknown error occurred.")?;
        let credentials = self.sealer.open(&connection.credentials);
        let inactive = (rotation.active + 1) % TOKENS;
        if let Some(token) = rotation.tokens.get(inactive) {
            self.dbt.delete_service_token(&credentials, token.id)?;
        }
        let token = self
            .issue(&connection, &rotation.parameters)
            .map_err(|not_issued| not_issued.message().to_owned())?;
        let value = token.value.clone();
        self.write_secret(&rotation.folder, &rotation.secret_name, |version| version.value = value)
            .map_err(|_| NoSuchSecret::MESSAGE.to_owned())?;
        let mut tokens = rotation.tokens.clone();
        match tokens.get_mut(inactive) {
            Some(old) => *old = token,
            None => tokens.push(token),
        }
        Ok((tokens, inactive))
    }

    pub(super) fn issue(
        &mut self,
        connection: &AppConnection,
        parameters: &Parameters,
    ) -> Result<GeneratedToken, NotIssued> {
        let credentials: Credentials = self.sealer.open(&connection.credentials);
        let token =
            self.dbt.create_service_token(&credentials, &parameters.token_name, &parameters.grants)?;
        Ok(token.into())
    }

    /// Changes a stored rotation as any write does: its time moves.
    pub fn write_rotation(&mut self, id: &str, change: impl FnOnce(&mut Rotation)) -> Option<&Rotation> {
        let now = self.now();
        let rotation = self.rotations.iter_mut().find(|rotation| rotation.id == id)?;
        change(rotation);
        rotation.updated_at = now.max(rotation.updated_at + Duration::MILLISECOND);
        Some(rotation)
    }

    /// The server's own words around what went wrong.
    pub(super) fn explained(&self, reason: &str) -> String {
        let vendor = match self.options.server {
            Server::Hanzo => "Hanzo KMS",
            Server::Infisical => "Infisical",
        };
        let message = format!(
            "{vendor} encountered an issue while generating credentials with the configured inputs: {reason}"
        );
        if message.encode_utf16().count() <= LONGEST_MESSAGE {
            return message;
        }
        let units: Vec<_> = message.encode_utf16().take(LONGEST_MESSAGE - 3).collect();
        format!("{}...", String::from_utf16_lossy(&units))
    }
}
