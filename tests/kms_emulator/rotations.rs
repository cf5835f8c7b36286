//! Rotations of dbt service tokens: the operations, with the server's order of checks.

use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{
    answer::Refusal,
    dbt_cloud::{NotIssued, ServiceToken},
    options::{EmptyFields, Rotations},
    projects::{Folder, SECRET_MANAGER},
    random,
    rights::{Action, Caller, Object},
    rotation_rules::{CreateRotation, Parameters, RotateAt, UpdateRotation, days, storable},
    rotation_schedule::{DueTime, next, next_day},
    secrets::NoSuchSecret,
    state::{AppConnection, State, with_oddities},
};

/// The type of the rotations that this server knows.
pub const DBT_SERVICE_TOKEN: &str = "dbt-service-token";

/// A rotation.
#[derive(Clone, Debug)]
pub struct Rotation {
    pub id: String,
    pub name: String,
    pub description: Option<String>,
    /// `dbt-service-token`, except for rotations of other types, which share the names.
    pub kind: String,
    pub folder: Folder,
    pub connection_id: String,
    pub auto: bool,
    /// Days.
    pub interval: i32,
    pub rotate_at: RotateAt,
    pub parameters: Parameters,
    /// The name of the secret that holds the current token.
    pub secret_name: String,
    /// One token, and two from the first rotation on.
    pub tokens: Vec<GeneratedToken>,
    /// Which of them the secret holds.
    pub active: usize,
    pub failed: bool,
    pub last_attempted_at: OffsetDateTime,
    pub last_rotated_at: OffsetDateTime,
    pub last_job_id: Option<String>,
    pub last_message: Option<String>,
    pub next_at: Option<DueTime>,
    pub last_manual: bool,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
    /// A rotation of it is under way, which holds the lock.
    pub in_progress: bool,
    /// An oddity: fields that are shown instead of the true ones, or a whole value if it is no object.
    pub shown_as: Option<Value>,
}

/// A token as the server keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratedToken {
    pub id: u64,
    pub name: String,
    pub value: String,
}

impl From<ServiceToken> for GeneratedToken {
    fn from(token: ServiceToken) -> Self {
        Self { id: token.id, name: token.name, value: token.token }
    }
}

/// Why a rotation is performed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Somebody asks for it.
    Request,
    /// A job does it: the clock's, or one of an update that has brought the time forward.
    Job { manual: bool },
}

/// What a request for a rotation by its name asks for.
#[derive(Debug)]
pub struct ByName {
    pub name: String,
    pub project_id: String,
    pub environment: String,
    pub path: String,
}

impl State {
    /// The types of rotations that the server has, two of them.
    pub fn rotation_options(&self) -> Value {
        let option = |name: &str, connection: &str, kind: &str, mapping: Value| {
            json!({
                "name": name,
                "connection": connection,
                "type": kind,
                "template": {"secretsMapping": mapping},
            })
        };
        json!({"secretRotationOptions": [
            option(
                "Auth0 Client Secret",
                "auth0",
                "auth0-client-secret",
                json!({"clientId": "AUTH0_CLIENT_ID", "clientSecret": "AUTH0_CLIENT_SECRET"}),
            ),
            option(
                "DBT Service Token",
                "dbt",
                DBT_SERVICE_TOKEN,
                json!({"serviceToken": "DBT_SERVICE_TOKEN"}),
            ),
        ]})
    }

    /// Those of a project, of one type or of all.
    pub fn list_rotations(
        &self,
        caller: &Caller,
        project_id: &str,
        kind: Option<&str>,
    ) -> Result<Value, Refusal> {
        self.require_plan("access secret rotations", "access secret rotations")?;
        let rights = caller.in_project_of_type(project_id, &self.projects, SECRET_MANAGER)?;
        rights.require(Action::ReadRotation, None)?;
        let found = self.seen_rotations().iter().filter(|rotation| {
            rotation.folder.project_id == project_id
                && kind.is_none_or(|kind| rotation.kind == kind)
                && rights.allow_on(Action::ReadRotation, object(rotation))
        });
        let shown = found.filter_map(|rotation| Some(self.show(rotation, self.connection_of(rotation)?)));
        Ok(json!({"secretRotations": shown.collect::<Vec<_>>()}))
    }

    pub fn get_rotation(&self, caller: &Caller, id: &str) -> Result<Value, Refusal> {
        self.require_plan("access secret rotation", "access secret rotations")?;
        let (rotation, connection) = self.permitted(caller, id, Action::ReadRotation)?;
        Ok(json!({"secretRotation": self.show(rotation, connection)}))
    }

    pub fn get_rotation_by_name(&self, caller: &Caller, by: &ByName) -> Result<Value, Refusal> {
        self.require_plan("access secret rotation", "access secret rotations")?;
        let folder = self.rotation_folder(&by.project_id, &by.environment, &by.path)?;
        let found = self
            .seen_rotations()
            .iter()
            .find(|rotation| rotation.folder == folder && rotation.name == by.name)
            .and_then(|rotation| Some((rotation, self.connection_of(rotation)?)));
        let (rotation, connection) = found.ok_or_else(|| {
            let name = &by.name;
            Refusal::not_found(format!("Could not find DBT Service Token Rotation with name \"{name}\""))
        })?;
        caller
            .in_project_of_type(&by.project_id, &self.projects, SECRET_MANAGER)?
            .require_on(Action::ReadRotation, object(rotation))?;
        of_dbt(connection, &rotation.id)?;
        Ok(json!({"secretRotation": self.show(rotation, connection)}))
    }

    /// The tokens themselves.
    pub fn generated_credentials(&self, caller: &Caller, id: &str) -> Result<Value, Refusal> {
        self.require_plan("access secret rotation credentials", "access secret rotations credentials")?;
        let (rotation, _) = self.permitted(caller, id, Action::ReadGeneratedCredentials)?;
        let tokens = rotation
            .tokens
            .iter()
            .map(|token| json!({"serviceToken": token.value, "tokenId": token.id, "tokenName": token.name}));
        Ok(json!({
            "generatedCredentials": tokens.collect::<Vec<_>>(),
            "activeIndex": rotation.active,
            "rotationId": id,
            "type": DBT_SERVICE_TOKEN,
        }))
    }

    pub fn create_rotation(&mut self, caller: &Caller, body: CreateRotation) -> Result<Value, Refusal> {
        self.require_plan("create secret rotation", "create secret rotations")?;
        let rights = caller.in_project_of_type(&body.project_id, &self.projects, SECRET_MANAGER)?;
        self.project_with_bot(&body.project_id)?;
        let wanted = Object {
            connection_id: Some(&body.connection_id),
            environment: Some(&body.environment),
            path: Some(&body.path),
        };
        rights.require_on(Action::CreateRotation, wanted)?;
        let folder = self.rotation_folder(&body.project_id, &body.environment, &body.path)?;
        let connection = self.connect(caller, &body.connection_id)?;
        if let Some(owner) = connection.project_id.as_ref().filter(|owner| **owner != body.project_id) {
            return Err(Refusal::bad_request(format!(
                "You cannot connect project App Connection with ID \"{}\" from project with ID \"{owner}\" to project with ID \"{}\"",
                connection.id, body.project_id
            )));
        }
        let connection = connection.clone();
        let seen = self.seen_rotations();
        if seen.iter().any(|rotation| rotation.folder == folder && rotation.name == body.name) {
            return Err(name_taken(&body.name, &folder));
        }
        self.check_secret_name_free(self.seen_secrets(), &folder, &body.secret_name)?;
        let token = self.issue(&connection, &body.parameters).map_err(|not_issued| {
            Refusal::bad_request(match not_issued {
                NotIssued::Explained(message) => message,
                NotIssued::Unexpected(message) => self.explained(&message),
            })
        })?;
        // The token exists from here on, whatever the database says.
        let id = self.store_rotation(body, folder, token)?;
        let made = self.rotations.iter().find(|rotation| rotation.id == id).ok_or_else(Refusal::internal)?;
        Ok(json!({"secretRotation": self.show(made, &connection)}))
    }

    /// The transaction that ends a creation.
    fn store_rotation(
        &mut self,
        body: CreateRotation,
        folder: Folder,
        token: GeneratedToken,
    ) -> Result<String, Refusal> {
        const FAILS: fn() -> Refusal = || Refusal::database("Create");
        if self.options.fails_to_store_rotations {
            return Err(FAILS());
        }
        self.check_secret_name_free(&self.versioned_secrets, &folder, &body.secret_name)?;
        let interval = days(body.interval).ok_or_else(FAILS)?;
        storable(body.description.as_deref(), Some(&body.parameters), Some(&body.secret_name))
            .ok_or_else(FAILS)?;
        if self.rotations.iter().any(|rotation| rotation.folder == folder && rotation.name == body.name) {
            return Err(name_taken(&body.name, &folder));
        }
        let now = self.now();
        let next_at = match body.auto {
            true => Some(next(now, &body.rotate_at, interval, true).ok_or_else(FAILS)?),
            false => None,
        };
        let id = random::uuid();
        self.make_secret(&folder, &body.secret_name, &token.value, &id);
        self.rotations.push(Rotation {
            id: id.clone(),
            name: body.name,
            description: body.description,
            kind: DBT_SERVICE_TOKEN.into(),
            folder,
            connection_id: body.connection_id,
            auto: body.auto,
            interval,
            rotate_at: body.rotate_at,
            parameters: body.parameters,
            secret_name: body.secret_name,
            tokens: vec![token],
            active: 0,
            failed: false,
            last_attempted_at: now,
            last_rotated_at: now,
            last_job_id: None,
            last_message: None,
            next_at,
            last_manual: true,
            created_at: now,
            updated_at: now,
            in_progress: false,
            shown_as: None,
        });
        Ok(id)
    }

    pub fn update_rotation(
        &mut self,
        caller: &Caller,
        id: &str,
        body: UpdateRotation,
    ) -> Result<Value, Refusal> {
        self.require_plan("update secret rotation", "update secret rotations")?;
        let found = self.find_rotation(id).ok_or_else(|| {
            Refusal::not_found(format!("Could not find DBT Service Token Rotation with ID {id}"))
        })?;
        let (rotation, connection) = (found.0.clone(), found.1.clone());
        caller
            .in_project_of_type(&rotation.folder.project_id, &self.projects, SECRET_MANAGER)?
            .require_on(Action::EditRotation, object(&rotation))?;
        of_dbt(&connection, id)?;
        self.change_rotation(&rotation, body)?;
        let now = self.now();
        // A replica may still have had it.
        let changed = self.rotations.iter().find(|other| other.id == rotation.id);
        let changed = changed.ok_or_else(Refusal::internal)?;
        let answer = json!({"secretRotation": self.show(changed, &connection)});
        if changed.next_at.is_some_and(|next| next.is_over(now)) {
            // A job is queued for a time that is over. What becomes of it is seen in the rotation.
            let _ = self.rotate(&rotation.id, &Cause::Job { manual: true });
        }
        Ok(answer)
    }

    /// The transaction of an update: all of it, or nothing.
    fn change_rotation(&mut self, before: &Rotation, body: UpdateRotation) -> Result<(), Refusal> {
        const FAILS: fn() -> Refusal = || Refusal::database("Update by id");
        let folder = &before.folder;
        let renamed = body.secret_name.as_ref().filter(|name| **name != before.secret_name);
        if let Some(name) = renamed {
            self.check_secret_name_free(&self.versioned_secrets, folder, name)?;
            let old = self
                .versioned_secrets
                .iter()
                .any(|secret| secret.folder == *folder && secret.latest().name == before.secret_name);
            if !old {
                return Err(NoSuchSecret.into());
            }
        }
        let interval = match body.interval {
            Some(interval) => days(interval).ok_or_else(FAILS)?,
            None => before.interval,
        };
        storable(
            body.description.as_ref().and_then(Option::as_deref),
            body.parameters.as_ref(),
            body.secret_name.as_deref(),
        )
        .ok_or_else(FAILS)?;
        let taken = |name: &String| {
            let mut others = self.rotations.iter().filter(|other| other.id != before.id);
            others.any(|other| other.folder == *folder && other.name == *name)
        };
        if let Some(name) = body.name.as_ref().filter(|name| taken(name)) {
            return Err(name_taken(name, folder));
        }
        let now = self.now();
        let (auto, rotate_at) =
            (body.auto.unwrap_or(before.auto), body.rotate_at.unwrap_or(before.rotate_at.clone()));
        let next_at = match (auto, before.failed) {
            (false, _) => None,
            (true, true) => Some(next_day(now, &rotate_at).ok_or_else(FAILS)?),
            (true, false) => Some(
                next(before.last_rotated_at, &rotate_at, interval, before.last_manual).ok_or_else(FAILS)?,
            ),
        };
        if let Some(name) = renamed {
            self.write_secret(folder, &before.secret_name, |version| version.name.clone_from(name))?;
        }
        self.write_rotation(&before.id, |rotation| {
            rotation.name = body.name.unwrap_or_else(|| rotation.name.clone());
            rotation.description = body.description.unwrap_or_else(|| rotation.description.clone());
            rotation.parameters = body.parameters.unwrap_or_else(|| rotation.parameters.clone());
            rotation.secret_name = body.secret_name.unwrap_or_else(|| rotation.secret_name.clone());
            rotation.auto = auto;
            rotation.interval = interval;
            rotation.rotate_at = rotate_at;
            rotation.next_at = next_at;
        });
        Ok(())
    }

    /// The plan is not looked at.
    pub fn delete_rotation(
        &mut self,
        caller: &Caller,
        id: &str,
        delete_secrets: bool,
        revoke: bool,
    ) -> Result<Value, Refusal> {
        let (rotation, connection) = self.permitted(caller, id, Action::DeleteRotation)?;
        let answer = json!({"secretRotation": self.show(rotation, connection)});
        let (rotation, credentials) = (rotation.clone(), self.sealer.open(&connection.credentials));
        if revoke {
            for token in &rotation.tokens {
                self.dbt.delete_service_token(&credentials, token.id).map_err(Refusal::bad_request)?;
            }
        }
        self.forget_rotation(&rotation.id);
        if delete_secrets {
            self.delete_secret(&rotation.folder, &rotation.secret_name);
        }
        Ok(answer)
    }

    /// Deletes a rotation and nothing else. Its secret becomes a plain one.
    pub fn forget_rotation(&mut self, id: &str) {
        self.rotations.retain(|rotation| rotation.id != id);
        for secret in &mut self.versioned_secrets {
            secret.rotation_id = secret.rotation_id.take().filter(|rotation_id| rotation_id != id);
        }
    }

    pub(super) fn require_plan(&self, what: &str, upgrade: &str) -> Result<(), Refusal> {
        if self.options.rotations != Rotations::Unlicensed {
            return Ok(());
        }
        Err(Refusal::bad_request(format!(
            "Failed to {what} due to plan restriction. Upgrade plan to {upgrade}."
        )))
    }

    fn rotation_folder(&self, project_id: &str, environment: &str, path: &str) -> Result<Folder, Refusal> {
        self.folder(project_id, environment, path)?.ok_or_else(|| {
            Refusal::bad_request(format!(
                "Could not find folder with path \"{path}\" in environment \"{environment}\" for project with ID \"{project_id}\""
            ))
        })
    }

    fn find_rotation(&self, id: &str) -> Option<(&Rotation, &AppConnection)> {
        let found = self.seen_rotations().iter().find(|rotation| rotation.id.eq_ignore_ascii_case(id))?;
        Some((found, self.connection_of(found)?))
    }

    /// The connection, which the database joins. Without one, the rotation isn't found either.
    fn connection_of(&self, rotation: &Rotation) -> Option<&AppConnection> {
        self.seen().iter().find(|connection| connection.id == rotation.connection_id)
    }

    /// Looked up by the id alone, for who may do this with it, and only then compared with the type.
    pub(super) fn permitted(
        &self,
        caller: &Caller,
        id: &str,
        action: Action,
    ) -> Result<(&Rotation, &AppConnection), Refusal> {
        let (rotation, connection) = self.find_rotation(id).ok_or_else(|| {
            Refusal::not_found(format!("Could not find DBT Service Token Rotation with ID \"{id}\""))
        })?;
        caller
            .in_project_of_type(&rotation.folder.project_id, &self.projects, SECRET_MANAGER)?
            .require_on(action, object(rotation))?;
        of_dbt(connection, id)?;
        Ok((rotation, connection))
    }

    /// A rotation as the server shows it.
    pub fn show(&self, rotation: &Rotation, connection: &AppConnection) -> Value {
        let time = |time: OffsetDateTime| self.timestamp(time);
        let mut shown = json!({
            "id": rotation.id,
            "name": rotation.name,
            "description": rotation.description,
            "isAutoRotationEnabled": rotation.auto,
            "activeIndex": rotation.active,
            "folderId": rotation.folder.id(),
            "connectionId": rotation.connection_id,
            "createdAt": time(rotation.created_at),
            "updatedAt": time(rotation.updated_at),
            "rotationInterval": rotation.interval,
            "rotationStatus": if rotation.failed { "failed" } else { "success" },
            "lastRotationAttemptedAt": time(rotation.last_attempted_at),
            "lastRotatedAt": time(rotation.last_rotated_at),
            "lastRotationJobId": rotation.last_job_id,
            "nextRotationAt": rotation.next_at.map(DueTime::to_text),
            "isLastRotationManual": rotation.last_manual,
            "connection": {"app": connection.app, "name": connection.name, "id": connection.id},
            "environment": rotation.folder.environment_json(),
            "projectId": rotation.folder.project_id,
            "folder": {"id": rotation.folder.id(), "path": rotation.folder.path},
            "rotateAtUtc": rotation.rotate_at.to_json(),
            "lastRotationMessage": rotation.last_message,
            "type": rotation.kind,
            "parameters": rotation.parameters.to_json(),
            "secretsMapping": {"serviceToken": rotation.secret_name},
            // Servers gain fields; clients have to live with ones that they don't know.
            "aFieldOfANewerServer": {"nested": [1, null]},
        });
        if self.options.empty_fields == EmptyFields::Absent
            && let Some(fields) = shown.as_object_mut()
        {
            fields.retain(|_, value| !value.is_null());
        }
        with_oddities(shown, rotation.shown_as.as_ref())
    }
}

fn object(rotation: &Rotation) -> Object<'_> {
    Object {
        connection_id: Some(&rotation.connection_id),
        environment: Some(&rotation.folder.environment),
        path: Some(&rotation.folder.path),
    }
}

fn of_dbt(connection: &AppConnection, id: &str) -> Result<(), Refusal> {
    if connection.app == "dbt" {
        return Ok(());
    }
    Err(Refusal::bad_request(format!(
        "Secret Rotation with ID \"{id}\" is not configured for DBT Service Token"
    )))
}

fn name_taken(name: &str, folder: &Folder) -> Refusal {
    let path = &folder.path;
    Refusal::bad_request(format!(
        "A Secret Rotation with the name \"{name}\" already exists at the secret path \"{path}\""
    ))
}
