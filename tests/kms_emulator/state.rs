//! What the server knows, and how connections are kept and shown.

use std::collections::VecDeque;

use serde_json::{Value, json};
use time::{Duration, OffsetDateTime, format_description::FormatItem, macros::format_description};
use tokio::time::Instant;

use super::{
    credentials::{Credentials, Sealed, Sealer},
    dbt_cloud::DbtCloud,
    faults::Faults,
    identities::Identities,
    options::{EmptyFields, Options, Server},
    projects::{Folder, Project},
    random,
    rate_limit::RateLimiter,
    references::SecretImport,
    request_log::RequestLog,
    rotations::Rotation,
    secrets::{StoredSecret, VersionedSecret},
};

const TIMESTAMP: &[FormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

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
    /// The platform has taken its credentials over, so nobody can write them.
    pub platform_managed: bool,
    /// An oddity: fields that are shown instead of the true ones, or a whole value if it is no object.
    pub shown_as: Option<Value>,
}

/// Everything behind the routes.
#[derive(Debug)]
pub struct State {
    pub options: Options,
    pub projects: Vec<Project>,
    pub connections: Vec<AppConnection>,
    /// The folders below the root folders, which every environment has.
    pub folders: Vec<Folder>,
    pub secrets: Vec<StoredSecret>,
    /// In the order of their positions.
    pub secret_imports: Vec<SecretImport>,
    /// The secrets that rotations have made.
    pub versioned_secrets: Vec<VersionedSecret>,
    pub rotations: Vec<Rotation>,
    pub dbt: DbtCloud,
    pub identities: Identities,
    pub limiter: RateLimiter,
    pub faults: Faults,
    pub log: RequestLog,
    pub sealer: Sealer,
    /// What was stored after each of the latest requests, for the replica.
    snapshots: VecDeque<Snapshot>,
}

#[derive(Debug)]
struct Snapshot {
    taken: Instant,
    connections: Vec<AppConnection>,
    rotations: Vec<Rotation>,
    secrets: Vec<VersionedSecret>,
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
        let project = |(id, name): &(String, String)| Project::new(id, name, &org_id);
        Self {
            projects: options.projects.iter().map(project).collect(),
            connections: Vec::new(),
            folders: Vec::new(),
            secrets: Vec::new(),
            secret_imports: Vec::new(),
            versioned_secrets: Vec::new(),
            rotations: Vec::new(),
            dbt: options.dbt.clone(),
            identities,
            limiter,
            faults: Faults::default(),
            log: RequestLog::default(),
            sealer: Sealer::generate(),
            snapshots: VecDeque::new(),
            options,
        }
    }

    /// The server's clock, to the millisecond as it is stored.
    pub fn now(&self) -> OffsetDateTime {
        let now = OffsetDateTime::now_utc() + self.options.clock_ahead;
        now.replace_millisecond(now.millisecond()).unwrap_or(now)
    }

    /// The connections as reads see them, which may be those of a while ago.
    pub fn seen(&self) -> &[AppConnection] {
        if self.options.replica_lag.is_zero() {
            return &self.connections;
        }
        self.replica().map_or(&[], |snapshot| &snapshot.connections)
    }

    /// The rotations as reads see them.
    pub fn seen_rotations(&self) -> &[Rotation] {
        if self.options.replica_lag.is_zero() {
            return &self.rotations;
        }
        self.replica().map_or(&[], |snapshot| &snapshot.rotations)
    }

    /// The secrets of rotations as reads see them.
    pub fn seen_secrets(&self) -> &[VersionedSecret] {
        if self.options.replica_lag.is_zero() {
            return &self.versioned_secrets;
        }
        self.replica().map_or(&[], |snapshot| &snapshot.secrets)
    }

    fn replica(&self) -> Option<&Snapshot> {
        let lag = self.options.replica_lag;
        let old = self.snapshots.iter().rev().find(|snapshot| snapshot.taken.elapsed() >= lag);
        old.or(self.snapshots.front())
    }

    /// Lets the replica have what is stored now, after its lag.
    pub fn replicate(&mut self) {
        let lag = self.options.replica_lag;
        if lag.is_zero() {
            return;
        }
        while self.snapshots.get(1).is_some_and(|snapshot| snapshot.taken.elapsed() >= lag) {
            self.snapshots.pop_front();
        }
        self.snapshots.push_back(Snapshot {
            taken: Instant::now(),
            connections: self.connections.clone(),
            rotations: self.rotations.clone(),
            secrets: self.versioned_secrets.clone(),
        });
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
            platform_managed: false,
            shown_as: None,
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

    /// A time as the server shows it.
    pub fn timestamp(&self, time: OffsetDateTime) -> String {
        time.format(&TIMESTAMP).expect("the format fits every time")
    }

    /// A connection as the server shows it.
    pub fn to_json(&self, connection: &AppConnection, in_list: bool) -> Value {
        let credentials = self.sealer.open(&connection.credentials);
        let platform_managed = match self.options.empty_fields {
            EmptyFields::AsStored => json!(connection.platform_managed),
            EmptyFields::Null | EmptyFields::Absent => {
                if connection.platform_managed {
                    json!(true)
                } else {
                    Value::Null
                }
            }
        };
        let mut shown = json!({
            "id": connection.id,
            "name": connection.name,
            "description": connection.description,
            "version": connection.version,
            "orgId": connection.org_id,
            "createdAt": self.timestamp(connection.created_at),
            "updatedAt": self.timestamp(connection.updated_at),
            "isPlatformManagedCredentials": platform_managed,
            "gatewayId": null,
            "projectId": connection.project_id,
            "credentialsHash": connection.credentials.hash(),
            "app": connection.app,
            "method": "api-token",
            "credentials": {"instanceUrl": credentials.instance_url, "accountId": credentials.account_id},
            // Servers gain fields; clients have to live with ones that they don't know.
            "aFieldOfANewerServer": {"nested": [1, null]},
        });
        if self.options.server == Server::Infisical {
            shown["isAutoRotationEnabled"] = json!(false);
            shown["gatewayPoolId"] = Value::Null;
        }
        if in_list && self.options.projects_in_lists {
            let project =
                self.projects.iter().find(|project| Some(&project.id) == connection.project_id.as_ref());
            shown["project"] = project.map_or(Value::Null, |project| {
                json!({"name": project.name, "id": project.id, "type": project.kind, "slug": project.name})
            });
        }
        if self.options.empty_fields == EmptyFields::Absent
            && let Some(fields) = shown.as_object_mut()
        {
            fields.retain(|_, value| !value.is_null());
        }
        with_oddities(shown, connection.shown_as.as_ref())
    }
}

/// Something as it is shown: with other fields, or as a whole other value.
pub fn with_oddities(mut shown: Value, shown_as: Option<&Value>) -> Value {
    match (shown_as, shown.as_object_mut()) {
        (Some(Value::Object(odd)), Some(fields)) => {
            fields.extend(odd.iter().map(|(name, value)| (name.clone(), value.clone())));
            shown
        }
        (Some(odd), _) => odd.clone(),
        (None, _) => shown,
    }
}
