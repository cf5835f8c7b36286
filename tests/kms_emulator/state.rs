//! What the server knows: projects, app connections and secrets, and the operations on them.

use serde_json::{Value, json};
use time::{Duration, OffsetDateTime, format_description::FormatItem, macros::format_description};

use super::{
    answer::Refusal,
    credentials::{Credentials, Sealed, Sealer},
    dbt_cloud::DbtCloud,
    faults::Faults,
    identities::{Action, Caller, Identities},
    options::Options,
    random,
    rate_limit::RateLimiter,
    request_log::RequestLog,
    validation::{CreateBody, UpdateBody},
};

const TIMESTAMP: &[FormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// A project, which can own app connections and secrets.
#[derive(Clone, Debug)]
pub struct Project {
    pub id: String,
    pub name: String,
    pub org_id: String,
}

/// A secret of a project.
#[derive(Clone, Debug)]
pub struct StoredSecret {
    pub workspace_id: String,
    pub environment: String,
    pub path: String,
    pub name: String,
    pub value: String,
    pub metadata: Vec<(String, String)>,
}

/// An app connection.
#[derive(Clone, Debug)]
pub struct AppConnection {
    pub id: String,
    pub name: String,
    pub description: Option<String>,
    pub project_id: Option<String>,
    pub org_id: String,
    /// `dbt`, except for connections of other apps, which share the names.
    pub app: String,
    pub version: u64,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
    pub credentials: Sealed,
    /// A sync or a rotation uses it, so it can't be deleted.
    pub in_use: bool,
}

/// Everything behind the routes.
#[derive(Debug)]
pub struct State {
    pub options: Options,
    pub projects: Vec<Project>,
    pub connections: Vec<AppConnection>,
    pub secrets: Vec<StoredSecret>,
    pub dbt: DbtCloud,
    pub identities: Identities,
    pub limiter: RateLimiter,
    pub faults: Faults,
    pub log: RequestLog,
    pub sealer: Sealer,
}

impl State {
    pub fn new(options: Options) -> Self {
        let mut identities = Identities::new(options.identities.clone(), options.organizations.clone());
        identities.token_ttl = options.access_token_ttl;
        identities.token_uses = options.access_token_uses;
        options.static_tokens.iter().for_each(|token| identities.add_static_token(token));
        let mut limiter = RateLimiter::default();
        limiter.set(options.rate_limits.clone());
        let org_id = options.organizations[0].id.clone();
        let project = |(id, name): &(String, String)| Project {
            id: id.clone(),
            name: name.clone(),
            org_id: org_id.clone(),
        };
        Self {
            projects: options.projects.iter().map(project).collect(),
            connections: Vec::new(),
            secrets: Vec::new(),
            dbt: options.dbt.clone(),
            identities,
            limiter,
            faults: Faults::default(),
            log: RequestLog::default(),
            sealer: Sealer::generate(),
            options,
        }
    }

    /// The server's clock, to the millisecond as it is stored.
    pub fn now(&self) -> OffsetDateTime {
        let now = OffsetDateTime::now_utc() + self.options.clock_ahead;
        now.replace_millisecond(now.millisecond()).unwrap_or(now)
    }

    /// Stores a new connection, whatever the rules say of it.
    pub fn insert(
        &mut self,
        name: &str,
        description: Option<&str>,
        project_id: Option<&str>,
        org_id: &str,
        credentials: &Credentials,
    ) -> &mut AppConnection {
        let now = self.now();
        self.connections.push(AppConnection {
            id: random::uuid(),
            name: name.into(),
            description: description.map(Into::into),
            project_id: project_id.map(Into::into),
            org_id: org_id.into(),
            app: "dbt".into(),
            version: 1,
            created_at: now,
            updated_at: now,
            credentials: self.sealer.seal(credentials),
            in_use: false,
        });
        self.connections.last_mut().expect("just pushed")
    }

    /// Changes a stored connection as any write does: its version and its time move.
    pub fn write(
        &mut self,
        id: &str,
        change: impl FnOnce(&mut AppConnection, &Sealer),
    ) -> Option<&AppConnection> {
        let now = self.now();
        let count = self.options.count_versions;
        let connection = self.connections.iter_mut().find(|connection| connection.id == id)?;
        change(connection, &self.sealer);
        connection.updated_at = now.max(connection.updated_at + Duration::MILLISECOND);
        connection.version += u64::from(count);
        Some(connection)
    }

    pub fn create(&mut self, caller: &Caller, body: CreateBody) -> Result<Value, Refusal> {
        if let Some(project_id) = &body.project_id {
            self.project(caller, project_id).map_err(|refusal| Refusal::bad_request(refusal.message))?;
        }
        caller.may(Action::Create, body.project_id.as_deref())?;
        self.dbt.projects(&body.credentials)?;
        self.check_name_free(caller, &body.name, body.project_id.as_deref(), None)?;
        storable(body.description.as_deref())?;
        let (description, project_id) = (body.description.as_deref(), body.project_id.as_deref());
        let id =
            self.insert(&body.name, description, project_id, &caller.org_id, &body.credentials).id.clone();
        let created = self.find(caller, &id)?;
        Ok(json!({"appConnection": self.to_json(created, false)}))
    }

    pub fn update(&mut self, caller: &Caller, id: &str, body: UpdateBody) -> Result<Value, Refusal> {
        let found = self.find(caller, id)?;
        let (id, project_id) = (found.id.clone(), found.project_id.clone());
        caller.may(Action::Edit, project_id.as_deref())?;
        if let Some(credentials) = &body.credentials {
            self.dbt.projects(credentials)?;
        }
        if let Some(name) = &body.name {
            self.check_name_free(caller, name, project_id.as_deref(), Some(&id))?;
        }
        storable(body.description.as_ref().and_then(Option::as_deref))?;
        self.write(&id, |connection, sealer| {
            if let Some(name) = body.name {
                connection.name = name;
            }
            if let Some(description) = body.description {
                connection.description = description;
            }
            if let Some(credentials) = body.credentials {
                connection.credentials = sealer.seal(&credentials);
            }
        });
        let updated = self.find(caller, &id)?;
        Ok(json!({"appConnection": self.to_json(updated, false)}))
    }

    pub fn delete(&mut self, caller: &Caller, id: &str) -> Result<Value, Refusal> {
        let connection = self.find(caller, id)?.clone();
        caller.may(Action::Delete, connection.project_id.as_deref())?;
        if connection.in_use {
            return Err(Refusal::bad_request(
                "Cannot delete App Connection with existing connections. Remove all existing connections and try again.",
            ));
        }
        self.connections.retain(|other| other.id != connection.id);
        Ok(json!({"appConnection": self.to_json(&connection, false)}))
    }

    pub fn get(&self, caller: &Caller, id: &str) -> Result<Value, Refusal> {
        let connection = self.find(caller, id)?;
        caller.may(Action::Read, connection.project_id.as_deref())?;
        Ok(json!({"appConnection": self.to_json(connection, false)}))
    }

    pub fn get_by_name(
        &self,
        caller: &Caller,
        name: &str,
        project_id: Option<&str>,
    ) -> Result<Value, Refusal> {
        let named = |connection: &&AppConnection| connection.name == name;
        let connection = self
            .in_scope(caller, project_id)
            .find(named)
            .ok_or_else(|| Refusal::not_found(format!("Could not find App Connection with name {name}")))?;
        of_dbt(connection)?;
        caller.may(Action::Read, project_id)?;
        Ok(json!({"appConnection": self.to_json(connection, false)}))
    }

    pub fn list(&self, caller: &Caller, project_id: Option<&str>) -> Result<Value, Refusal> {
        if let Some(project_id) = project_id {
            self.project(caller, project_id)?;
        }
        caller.may(Action::Read, project_id)?;
        let found =
            self.sorted(caller, project_id).into_iter().map(|connection| self.to_json(connection, true));
        Ok(json!({"appConnections": found.collect::<Vec<_>>()}))
    }

    pub fn available(&self, caller: &Caller, project_id: Option<&str>) -> Result<Value, Refusal> {
        if let Some(project_id) = project_id {
            self.project(caller, project_id)?;
        }
        let mut found = self.sorted(caller, project_id);
        found.retain(|connection| caller.may(Action::Connect, connection.project_id.as_deref()).is_ok());
        let found = found.into_iter().map(|connection| {
            json!({
                "app": connection.app,
                "id": connection.id,
                "name": connection.name,
                "projectId": connection.project_id,
                "orgId": connection.org_id,
            })
        });
        Ok(json!({"appConnections": found.collect::<Vec<_>>()}))
    }

    /// The dbt projects that the stored credentials see.
    pub fn dbt_projects(&self, caller: &Caller, id: &str) -> Result<Value, Refusal> {
        let connection = self.find(caller, id)?;
        caller.may(Action::Connect, connection.project_id.as_deref())?;
        let projects = self.dbt.projects(&self.sealer.open(&connection.credentials))?;
        Ok(json!({"projects": projects.iter().map(|project| project.to_json()).collect::<Vec<_>>()}))
    }

    pub fn secret(
        &self,
        caller: &Caller,
        [workspace_id, environment, path, name]: [&str; 4],
    ) -> Result<Value, Refusal> {
        self.project(caller, workspace_id)?;
        caller.may(Action::ReadSecret, Some(workspace_id))?;
        let found = self.secrets.iter().find(|secret| {
            secret.workspace_id == workspace_id
                && secret.environment == environment
                && secret.path.trim_end_matches('/') == path.trim_end_matches('/')
                && secret.name == name
        });
        let secret =
            found.ok_or_else(|| Refusal::not_found(format!("Secret with name '{name}' not found")))?;
        let metadata = secret.metadata.iter().map(|(key, value)| json!({"key": key, "value": value}));
        Ok(json!({"secret": {
            "id": random::uuid(),
            "version": 1,
            "workspace": secret.workspace_id,
            "type": "shared",
            "environment": secret.environment,
            "secretKey": secret.name,
            "secretValue": secret.value,
            "secretComment": "",
            "secretPath": secret.path,
            "secretMetadata": metadata.collect::<Vec<_>>(),
            "tags": [],
        }}))
    }

    /// A connection as the server shows it.
    pub fn to_json(&self, connection: &AppConnection, in_list: bool) -> Value {
        let credentials = self.sealer.open(&connection.credentials);
        let time = |time: OffsetDateTime| time.format(&TIMESTAMP).expect("the format fits every time");
        let mut shown = json!({
            "id": connection.id,
            "name": connection.name,
            "projectId": connection.project_id,
            "description": connection.description,
            "version": connection.version,
            "orgId": connection.org_id,
            "createdAt": time(connection.created_at),
            "updatedAt": time(connection.updated_at),
            "isPlatformManagedCredentials": false,
            "gatewayId": null,
            "credentialsHash": connection.credentials.hash(),
            "app": connection.app,
            "method": "api-token",
            "credentials": {"instanceUrl": credentials.instance_url, "accountId": credentials.account_id},
            // Servers gain fields; clients have to live with ones that they don't know.
            "aFieldOfANewerServer": {"nested": [1, null]},
        });
        if in_list && self.options.projects_in_lists {
            let project =
                self.projects.iter().find(|project| Some(&project.id) == connection.project_id.as_ref());
            shown["project"] = project.map_or(Value::Null, |project| {
                json!({"id": project.id, "name": project.name, "type": "secret-manager", "slug": project.name})
            });
        }
        shown
    }

    fn project(&self, caller: &Caller, id: &str) -> Result<&Project, Refusal> {
        let found = self.projects.iter().find(|project| project.id == id && project.org_id == caller.org_id);
        found.ok_or_else(|| Refusal::not_found(format!("Project with ID '{id}' not found")))
    }

    fn find(&self, caller: &Caller, id: &str) -> Result<&AppConnection, Refusal> {
        let same = |connection: &&AppConnection| {
            connection.id.eq_ignore_ascii_case(id) && connection.org_id == caller.org_id
        };
        let found = self.connections.iter().find(same);
        let found =
            found.ok_or_else(|| Refusal::not_found(format!("Could not find App Connection with ID {id}")))?;
        of_dbt(found)?;
        Ok(found)
    }

    fn in_scope(&self, caller: &Caller, project_id: Option<&str>) -> impl Iterator<Item = &AppConnection> {
        self.connections.iter().filter(move |connection| {
            connection.org_id == caller.org_id && connection.project_id.as_deref() == project_id
        })
    }

    fn sorted(&self, caller: &Caller, project_id: Option<&str>) -> Vec<&AppConnection> {
        let of_dbt = |connection: &&AppConnection| connection.app == "dbt";
        let mut found: Vec<_> = self.in_scope(caller, project_id).filter(of_dbt).collect();
        if self.options.lists_ignore_hyphens {
            found.sort_by_key(|connection| connection.name.replace('-', ""));
        } else {
            found.sort_by(|a, b| a.name.cmp(&b.name));
        }
        found
    }

    /// Names are unique in a scope, across all apps.
    fn check_name_free(
        &self,
        caller: &Caller,
        name: &str,
        project_id: Option<&str>,
        except: Option<&str>,
    ) -> Result<(), Refusal> {
        let taken =
            |connection: &AppConnection| connection.name == name && except != Some(connection.id.as_str());
        if self.in_scope(caller, project_id).any(taken) {
            return Err(Refusal::bad_request(format!(
                "An App Connection with the name \"{name}\" already exists"
            )));
        }
        Ok(())
    }
}

fn of_dbt(connection: &AppConnection) -> Result<(), Refusal> {
    if connection.app == "dbt" {
        return Ok(());
    }
    Err(Refusal::bad_request(format!("App Connection with ID {} is not for App \"dbt\"", connection.id)))
}

/// The server's database can't store U+0000 in a text.
fn storable(text: Option<&str>) -> Result<(), Refusal> {
    if text.is_some_and(|text| text.contains('\0')) {
        return Err(Refusal::new(500, "DatabaseError", "Failed to execute database ops"));
    }
    Ok(())
}
