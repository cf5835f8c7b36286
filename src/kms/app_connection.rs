//! What all app connections share, whatever their credentials: the calls, and finding out what became of a create or
//! an update whose answer was lost.

use std::{fmt, time::Duration};

use http::Method;
use serde::{
    Deserialize, Serialize,
    de::{DeserializeOwned, IgnoredAny},
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::time::Instant;

use super::{
    ApiErrorKind, Error, Operation,
    send::{Progress, Received, Request},
};

/// How long to wait before each look for a write whose answer was lost: the server may still be working on it.
const LOOK_AFTER: [Duration; 3] =
    [Duration::from_millis(250), Duration::from_secs(1), Duration::from_secs(3)];

/// How far apart the clocks behind `Date` and behind a connection's timestamps may be: a proxy writes the one, the
/// database perhaps the other. They are assumed to be synchronized. A `Date` is also cut to whole seconds.
const CLOCK_SLACK: Duration = Duration::from_secs(2);

/// The credentials of one kind of app connection.
pub trait Credentials: fmt::Debug + Clone + Send + Sync + 'static {
    /// The app, as routes and answers name it.
    const APP: &'static str;
    /// The method, as requests and answers name it.
    const METHOD: &'static str;
    /// What the KMS tells of the credentials it stores.
    type Stored: DeserializeOwned + fmt::Debug + Clone + PartialEq + Send + Sync + 'static;

    /// The `credentials` object of a request, with the secrets in it.
    fn body(&self) -> impl Serialize;

    /// Whether `stored` is what the KMS tells after storing these.
    fn matches(&self, stored: &Self::Stored) -> bool;
}

/// A connection to create.
#[derive(Debug, Clone)]
pub struct NewConnection<C> {
    /// A slug, unique in its scope.
    pub name: String,
    /// A description, if it shall have one.
    pub description: Option<String>,
    /// The project's ID; without one the organization is the scope.
    pub project_id: Option<String>,
    /// The credentials. The KMS tries them before it stores them.
    pub credentials: C,
}

/// What to change of a connection; `None` leaves a field as it is.
#[derive(Debug, Clone)]
pub struct ConnectionPatch<C> {
    /// The new name.
    pub name: Option<String>,
    /// The new description; `Some(None)` takes it away.
    pub description: Option<Option<String>>,
    /// The new credentials, always whole.
    pub credentials: Option<C>,
}

// Not derived, which would ask for credentials with a default.
impl<C> Default for ConnectionPatch<C> {
    fn default() -> Self {
        Self { name: None, description: None, credentials: None }
    }
}

/// A connection as the KMS tells it. Fields that this client doesn't know are passed over.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = ""))]
pub struct Connection<C: Credentials> {
    /// The ID, a UUID.
    pub id: String,
    /// The name.
    pub name: String,
    /// The description, if it has one.
    #[serde(default)]
    pub description: Option<String>,
    /// The project's ID, unless the organization is the scope.
    #[serde(default)]
    pub project_id: Option<String>,
    /// The server's version number of the connection.
    #[serde(default)]
    pub version: i64,
    /// The organization's ID.
    #[serde(default)]
    pub org_id: String,
    /// When it was created: ISO 8601, UTC, in milliseconds.
    #[serde(default)]
    pub created_at: String,
    /// When it was last changed, in the same form.
    #[serde(default)]
    pub updated_at: String,
    /// Whether the KMS manages the credentials itself.
    #[serde(default)]
    pub is_platform_managed_credentials: bool,
    /// The app; absent in the answers of some servers.
    #[serde(default)]
    pub app: Option<String>,
    /// The method of its credentials.
    #[serde(default)]
    pub method: String,
    /// A fingerprint of the stored credentials: 64 hex digits that change with every write of credentials, equal ones
    /// too, and at no other time.
    #[serde(default)]
    pub credentials_hash: String,
    /// What the KMS tells of the credentials.
    pub credentials: C::Stored,
}

impl<C: Credentials> Connection<C> {
    /// Whether it is a connection of this kind at all.
    fn is_of_app(&self) -> bool {
        self.app.as_deref().is_none_or(|app| app == C::APP)
    }
}

/// Why a create gave no connection that is surely ours.
#[derive(Debug, thiserror::Error)]
pub enum CreateError<C: Credentials> {
    /// The scope has a connection with this name; nothing was created.
    #[error("the name is taken")]
    NameTaken {
        /// What is known of that connection.
        existing: Existing<C>,
        /// What the KMS answered.
        #[source]
        error: Error,
    },
    /// The answer was lost. The connection may exist, but nothing shows that this create made it.
    #[error("it could not be confirmed that the connection was created")]
    Unconfirmed {
        /// The connection that has the name, if there is one and it could be looked up.
        found: Option<Box<Connection<C>>>,
        /// What happened to the answer.
        #[source]
        error: Error,
    },
    /// Nothing was created.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// What is known of the connection that has a name already.
#[derive(Debug)]
pub enum Existing<C: Credentials> {
    /// This is it.
    Shown(Box<Connection<C>>),
    /// It is of another app, or this machine identity may not read it.
    Hidden,
    /// Looking it up failed.
    Unknown(Error),
}

impl<C: Credentials> CreateError<C> {
    /// The error of the request itself.
    pub fn error(&self) -> &Error {
        match self {
            CreateError::NameTaken { error, .. } | CreateError::Unconfirmed { error, .. } => error,
            CreateError::Failed(error) => error,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CreateBody<'a, B> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project_id: Option<&'a str>,
    method: &'static str,
    credentials: B,
}

#[derive(Serialize)]
struct PatchBody<'a, B> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    /// `Some(None)` is written as null.
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<Option<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credentials: Option<B>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = ""))]
struct One<C: Credentials> {
    app_connection: Connection<C>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = ""))]
struct Many<C: Credentials> {
    app_connections: Vec<Connection<C>>,
}

fn collection<C: Credentials>() -> String {
    format!("/api/v1/app-connections/{}", C::APP)
}

fn member<C: Credentials>() -> String {
    format!("/api/v1/app-connections/{}/:id", C::APP)
}

impl Operation {
    /// Creates a connection. The KMS first tries the credentials at the other side, so this takes a while.
    ///
    /// The KMS has no idempotency key, so when the answer is lost the connection is looked up by name and scope. What
    /// is found is taken for ours only if it can't be anything else: equal in all that was sent, and created after
    /// that by the server's own clock. If there is none, the create is sent again.
    ///
    /// # Errors
    /// [`CreateError::NameTaken`] and [`CreateError::Unconfirmed`] as they say; every other error comes as
    /// [`CreateError::Failed`], with `Api` kinds such as
    /// [`CredentialsRefused`](ApiErrorKind::CredentialsRefused), [`Invalid`](ApiErrorKind::Invalid),
    /// [`PermissionDenied`](ApiErrorKind::PermissionDenied) and [`UnknownProject`](ApiErrorKind::UnknownProject).
    ///
    /// # Cancellation
    /// Stopping the operation ends it only while nothing was sent. A create under way runs to its end and, if its
    /// answer is lost, is looked up; it isn't sent again then. Dropping the future may leave a connection behind that
    /// nobody knows of.
    pub async fn create_connection<C: Credentials>(
        &self,
        new: &NewConnection<C>,
    ) -> Result<Connection<C>, CreateError<C>> {
        let body = CreateBody {
            name: &new.name,
            description: new.description.as_deref(),
            project_id: new.project_id.as_deref(),
            method: C::METHOD,
            credentials: new.credentials.body(),
        };
        let request = Request::write(Method::POST, collection::<C>(), &[], &body)?;
        let _writing = self.client.writing();
        // When the first create whose answer was lost went out, and whether one was lost without any answer.
        let mut lost_at = None;
        let mut unanswered = None;
        let mut repeats = 0;
        loop {
            let mut progress = Progress::default();
            let error = match self.one::<C>(&request, &mut progress).await {
                Ok(received) => {
                    self.client.claim(&received.value.id);
                    return Ok(received.value);
                }
                Err(error) => error,
            };
            let name_taken = error.api_kind() == Some(ApiErrorKind::NameTaken);
            if error.may_have_been_performed() {
                lost_at = lost_at.or(progress.sent_at);
                if let Error::Transport { .. } = error {
                    unanswered = Some(error.clone());
                }
            } else if !name_taken {
                // If this create wasn't even sent, an earlier one is still open, although it wasn't there when we looked.
                return Err(match unanswered {
                    Some(lost) if !error.is_refused_write() => {
                        CreateError::Unconfirmed { found: None, error: lost }
                    }
                    _ => CreateError::Failed(error),
                });
            }
            let Some(sent_at) = lost_at else {
                let existing = self.existing(new).await;
                return Err(CreateError::NameTaken { existing, error });
            };
            match self.unstoppable().look_for(new).await {
                Ok(Some(Received { value: found, clock })) => {
                    let earliest = clock.map(|clock| clock.earliest_at(sent_at));
                    // Two creates of one name in this process are alike in all that can be compared.
                    if is_surely_ours(new, &found, earliest) && self.client.claim(&found.id) {
                        return Ok(found);
                    }
                    return Err(CreateError::Unconfirmed { found: Some(Box::new(found)), error });
                }
                Ok(None) if name_taken => {
                    return Err(CreateError::NameTaken { existing: Existing::Hidden, error });
                }
                Ok(None) if self.stop.is_cancelled() || repeats >= self.client.config().max_retries => {
                    return Err(match unanswered {
                        Some(error) => CreateError::Unconfirmed { found: None, error },
                        None => CreateError::Failed(error),
                    });
                }
                Ok(None) => repeats += 1,
                Err(_) => return Err(CreateError::Unconfirmed { found: None, error }),
            }
        }
    }

    /// Reads a connection, from the server and now.
    ///
    /// # Errors
    /// `Api` with [`NotFound`](ApiErrorKind::NotFound) if the KMS itself says that there is none, and with
    /// [`Invalid`](ApiErrorKind::Invalid) if `id` is no UUID; and what every read may end in: `Config`, `Auth`,
    /// `Transport`, `Decode`, `Redirected`, `RateLimited`, `Cancelled`.
    pub async fn get_connection<C: Credentials>(&self, id: &str) -> Result<Connection<C>, Error> {
        Ok(self.get_received(id).await?.value)
    }

    async fn get_received<C: Credentials>(&self, id: &str) -> Result<Received<Connection<C>>, Error> {
        let request = Request::get(member::<C>(), &[id])?;
        let received = self.one::<C>(&request, &mut Progress::default()).await?;
        if !received.value.id.eq_ignore_ascii_case(id) {
            return Err(request.undecodable("it is about another connection"));
        }
        Ok(received)
    }

    /// Reads the connection that has a name in a project, or in the organization.
    ///
    /// # Errors
    /// As [`get_connection`](Self::get_connection).
    pub async fn get_connection_by_name<C: Credentials>(
        &self,
        name: &str,
        project_id: Option<&str>,
    ) -> Result<Connection<C>, Error> {
        Ok(self.get_received_by_name(name, project_id).await?.value)
    }

    async fn get_received_by_name<C: Credentials>(
        &self,
        name: &str,
        project_id: Option<&str>,
    ) -> Result<Received<Connection<C>>, Error> {
        let route = format!("{}/connection-name/:name", collection::<C>());
        let request = Request::get(route, &[name])?.with_query("projectId", project_id);
        let received = self.one::<C>(&request, &mut Progress::default()).await?;
        // Older servers store names in lower case.
        if !received.value.name.eq_ignore_ascii_case(name) {
            return Err(request.undecodable("it is about another connection"));
        }
        Ok(received)
    }

    /// Lists the connections of a project, or of the organization, in the server's order.
    ///
    /// # Errors
    /// `Api` with [`UnknownProject`](ApiErrorKind::UnknownProject) if there is no such project; and what every read
    /// may end in: `Config`, `Auth`, `Transport`, `Decode`, `Redirected`, `RateLimited`, `Cancelled`.
    pub async fn list_connections<C: Credentials>(
        &self,
        project_id: Option<&str>,
    ) -> Result<Vec<Connection<C>>, Error> {
        let request = Request::get(collection::<C>(), &[])?.with_query("projectId", project_id).of_list();
        let many: Many<C> = self.send(&request).await.map_err(|error| match error {
            // A list is never missing; the project is.
            Error::Api(mut error) if error.kind == ApiErrorKind::NotFound => {
                error.kind = ApiErrorKind::UnknownProject;
                Error::Api(error)
            }
            other => other,
        })?;
        if many.app_connections.iter().all(Connection::is_of_app) {
            Ok(many.app_connections)
        } else {
            Err(request.undecodable("it lists connections of another app"))
        }
    }

    /// Changes a connection. `hash_before` is its `credentials_hash` as last read.
    ///
    /// When the answer is lost the connection is read; if it shows the change, that is the result, else the change is
    /// sent again.
    ///
    /// # Errors
    /// As [`create_connection`](Self::create_connection) describes for `Api`, and
    /// [`NotFound`](ApiErrorKind::NotFound) if there is no such connection. `Transport` with
    /// [`Sent::Perhaps`](super::Sent::Perhaps), `Decode` and a server's fault mean that it may have been changed.
    ///
    /// # Cancellation
    /// Stopping the operation ends it only while nothing was sent; a change under way runs to its end and, if its
    /// answer is lost, is looked up. Dropping the future leaves open whether the change was made.
    pub async fn update_connection<C: Credentials>(
        &self,
        id: &str,
        patch: &ConnectionPatch<C>,
        hash_before: &str,
    ) -> Result<Connection<C>, Error> {
        let body = PatchBody {
            name: patch.name.as_deref(),
            description: patch.description.as_ref().map(Option::as_deref),
            credentials: patch.credentials.as_ref().map(Credentials::body),
        };
        let request = Request::write(Method::PATCH, member::<C>(), &[id], &body)?;
        let _writing = self.client.writing();
        // When the first change whose answer was lost went out, and what happened to it.
        let mut lost: Option<(Instant, Error)> = None;
        let mut repeats = 0;
        loop {
            let mut progress = Progress::default();
            let error = match self.one::<C>(&request, &mut progress).await {
                Ok(received) if received.value.id.eq_ignore_ascii_case(id) => return Ok(received.value),
                Ok(_) => request.undecodable("it is about another connection"),
                Err(error) => error,
            };
            let sent_at = match progress.sent_at {
                Some(sent_at) if error.may_have_been_performed() => {
                    lost.get_or_insert_with(|| (sent_at, error.clone())).0
                }
                _ if error.is_refused_write() => return Err(error),
                // This change wasn't even sent, but an earlier one is still open.
                _ => return Err(lost.map_or(error, |(_, lost)| lost)),
            };
            for wait in LOOK_AFTER {
                tokio::time::sleep(wait).await;
                match self.unstoppable().get_received::<C>(id).await {
                    Ok(Received { value: seen, clock }) => {
                        let earliest = clock.map(|clock| clock.earliest_at(sent_at));
                        if shows(patch, hash_before, &seen, earliest) {
                            return Ok(seen);
                        }
                    }
                    Err(gone) if gone.is_not_found() => return Err(gone),
                    Err(_) => return Err(error),
                }
            }
            if self.stop.is_cancelled() || repeats >= self.client.config().max_retries {
                return Err(error);
            }
            repeats += 1;
        }
    }

    /// Deletes a connection. That it is gone already is success too.
    ///
    /// # Errors
    /// `Api` with [`InUse`](ApiErrorKind::InUse) while something uses it, with
    /// [`PermissionDenied`](ApiErrorKind::PermissionDenied) if the identity may not; and `Config`, `Auth`,
    /// `Transport`, `Decode`, `Redirected`, `RateLimited`, `Cancelled`.
    ///
    /// # Cancellation
    /// Stopping the operation ends it only while nothing was sent; a deletion under way runs to its end. Dropping the
    /// future leaves open whether the connection was deleted.
    pub async fn delete_connection<C: Credentials>(&self, id: &str) -> Result<(), Error> {
        let request = Request::delete(member::<C>(), &[id])?;
        let _writing = self.client.writing();
        match self.send::<IgnoredAny>(&request).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Sends a request that one connection answers.
    async fn one<C: Credentials>(
        &self,
        request: &Request,
        progress: &mut Progress,
    ) -> Result<Received<Connection<C>>, Error> {
        let Received { value, clock } = self.send_noting::<One<C>>(request, progress).await?;
        let connection = value.app_connection;
        if connection.is_of_app() {
            Ok(Received { value: connection, clock })
        } else {
            Err(request.undecodable("it is about a connection of another app"))
        }
    }

    /// The connection that has the name of `new` in its scope.
    async fn existing<C: Credentials>(&self, new: &NewConnection<C>) -> Existing<C> {
        match self.get_connection_by_name(&new.name, new.project_id.as_deref()).await {
            Ok(existing) => Existing::Shown(Box::new(existing)),
            Err(error) if error.is_not_found() => Existing::Hidden,
            Err(error) if error.api_kind() == Some(ApiErrorKind::PermissionDenied) => Existing::Hidden,
            Err(error) => Existing::Unknown(error),
        }
    }

    /// Looks several times for a connection whose create may still be going on.
    async fn look_for<C: Credentials>(
        &self,
        new: &NewConnection<C>,
    ) -> Result<Option<Received<Connection<C>>>, Error> {
        for wait in LOOK_AFTER {
            tokio::time::sleep(wait).await;
            match self.get_received_by_name(&new.name, new.project_id.as_deref()).await {
                Ok(found) => return Ok(Some(found)),
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}

/// Whether a connection that has the name can only have been made by our create: it shows all that we sent, and the
/// server stamped it no earlier than `sent_at`, the server's time when we sent. Without that time nothing is sure.
fn is_surely_ours<C: Credentials>(
    new: &NewConnection<C>,
    found: &Connection<C>,
    sent_at: Option<OffsetDateTime>,
) -> bool {
    found.name == new.name
        && found.description == new.description
        && found.project_id == new.project_id
        && found.method == C::METHOD
        && new.credentials.matches(&found.credentials)
        && is_not_before(&found.created_at, sent_at)
}

/// Whether a connection shows a change that was sent when the server's clock said `sent_at`.
fn shows<C: Credentials>(
    patch: &ConnectionPatch<C>,
    hash_before: &str,
    seen: &Connection<C>,
    sent_at: Option<OffsetDateTime>,
) -> bool {
    let name = patch.name.as_ref().is_none_or(|name| *name == seen.name);
    let description = patch.description.as_ref().is_none_or(|description| *description == seen.description);
    // The secret itself can't be read back. That the fingerprint changed after we sent shows that it was written.
    let credentials = patch.credentials.as_ref().is_none_or(|credentials| {
        credentials.matches(&seen.credentials)
            && seen.credentials_hash != hash_before
            && is_not_before(&seen.updated_at, sent_at)
    });
    name && description && credentials
}

/// Whether a timestamp of the server isn't before a moment of its clock.
fn is_not_before(stamp: &str, moment: Option<OffsetDateTime>) -> bool {
    match (OffsetDateTime::parse(stamp, &Rfc3339), moment) {
        (Ok(stamp), Some(moment)) => stamp >= moment - CLOCK_SLACK,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use serde_json::{Value, json};
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::{
        kms::{
            Client, DbtCredentials, Sent,
            test_server::{Clock, Reply, Seen, Server, is_login},
        },
        secret::Secret,
    };

    const ROUTE: &str = "/api/v1/app-connections/dbt";
    const BY_NAME: &str = "/api/v1/app-connections/dbt/connection-name/analytics?projectId=project-1";
    const BY_ID: &str = "/api/v1/app-connections/dbt/id-1";

    fn new() -> NewConnection<DbtCredentials> {
        NewConnection {
            name: "analytics".to_owned(),
            description: Some("Nightly".to_owned()),
            project_id: Some("project-1".to_owned()),
            credentials: credentials(),
        }
    }

    fn credentials() -> DbtCredentials {
        DbtCredentials {
            instance_url: "https://cloud.getdbt.com".to_owned(),
            account_id: "12345".to_owned(),
            api_token: Secret::new("dbtu_1"),
        }
    }

    /// What the server tells of the connection that `new` makes, if it made it at `stamp`.
    fn made(stamp: &str) -> Value {
        json!({
            "id": "id-1", "name": "analytics", "projectId": "project-1", "project": null,
            "description": "Nightly", "version": 1, "orgId": "org-1", "createdAt": stamp, "updatedAt": stamp,
            "isPlatformManagedCredentials": false, "gatewayId": null, "credentialsHash": "aa",
            "app": "dbt", "method": "api-token",
            "credentials": {"instanceUrl": "https://cloud.getdbt.com", "accountId": "12345"},
        })
    }

    fn with(mut connection: Value, pointer: &str, value: Value) -> Value {
        *connection.pointer_mut(pointer).unwrap() = value;
        connection
    }

    fn one(connection: Value) -> Reply {
        Reply::json(200, json!({"appConnection": connection}))
    }

    fn name_taken() -> Reply {
        Reply::error(400, "BadRequest", "An App Connection with the name \"analytics\" already exists")
    }

    async fn create(server: &Server) -> Result<Connection<DbtCredentials>, CreateError<DbtCredentials>> {
        server.operation().create_connection(&new()).await
    }

    /// A server whose answers to creates are `answer` and that shows `found` when asked by name, with the moment of
    /// the first create as its argument.
    async fn losing(
        answer: impl Fn() -> Reply + Send + Sync + 'static,
        found: impl Fn(&str, Clock) -> Reply + Send + Sync + 'static,
    ) -> Server {
        let first = Mutex::new(None);
        Server::start(move |seen, clock| {
            if seen.is("POST", ROUTE) {
                first.lock().unwrap().get_or_insert_with(|| clock.stamp());
                answer()
            } else {
                assert!(seen.is("GET", BY_NAME), "{seen:?}");
                found(first.lock().unwrap().as_ref().unwrap(), clock)
            }
        })
        .await
    }

    #[tokio::test]
    async fn a_create_sends_what_it_is_given_and_nothing_else() {
        let server = Server::start(|_, clock| one(made(&clock.stamp()))).await;
        let connection = create(&server).await.unwrap();
        assert_eq!((connection.id.as_str(), connection.version), ("id-1", 1));
        let whole = server.seen().pop().unwrap();
        assert!(whole.is("POST", ROUTE));
        assert_eq!(whole.header("content-type"), Some("application/json"));
        let credentials = json!(
            {"instanceUrl": "https://cloud.getdbt.com", "accountId": "12345", "apiToken": "dbtu_1"}
        );
        assert_eq!(
            whole.json(),
            json!({"name": "analytics", "description": "Nightly", "projectId": "project-1",
                "method": "api-token", "credentials": credentials})
        );
        let least = NewConnection { description: None, project_id: None, ..new() };
        server.operation().create_connection(&least).await.unwrap();
        let least = server.seen().pop().unwrap().json();
        assert_eq!(least, json!({"name": "analytics", "method": "api-token", "credentials": credentials}));
    }

    #[tokio::test(start_paused = true)]
    async fn lost_post_answer_is_adopted_only_if_ours_mismatch() {
        type Other = fn(&str) -> Value;
        let minute = Duration::from_secs(60);
        let others: [(&str, Other); 7] = [
            ("account", |at| with(made(at), "/credentials/accountId", json!("999"))),
            ("instance", |at| with(made(at), "/credentials/instanceUrl", json!("https://emea.dbt.com"))),
            ("description", |at| with(made(at), "/description", json!(null))),
            ("project", |at| with(made(at), "/projectId", json!("project-2"))),
            ("method", |at| with(made(at), "/method", json!("oauth"))),
            ("name", |at| with(made(at), "/name", json!("Analytics"))),
            ("stamp", |at| with(made(at), "/createdAt", json!("soon"))),
        ];
        for (what, other) in others {
            let server = losing(Reply::close, move |at, _| one(other(at))).await;
            let result = create(&server).await;
            assert!(
                matches!(result, Err(CreateError::Unconfirmed { found: Some(_), .. })),
                "{what}: {result:?}"
            );
            assert_eq!(server.count("POST"), 1, "{what}");
        }
        let server = losing(Reply::close, move |_, clock| one(made(&clock.stamp_ago(minute)))).await;
        let result = create(&server).await;
        assert!(matches!(result, Err(CreateError::Unconfirmed { found: Some(_), .. })), "older: {result:?}");
        // Without the server's clock nobody knows whether it is older.
        let server = losing(Reply::close, |at, _| one(made(at)).with("date", "")).await;
        let result = create(&server).await;
        assert!(
            matches!(result, Err(CreateError::Unconfirmed { found: Some(_), .. })),
            "no date: {result:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn lost_post_answer_is_adopted_if_ours() {
        let losses: [fn() -> Reply; 7] = [
            Reply::close,
            Reply::truncated,
            Reply::never,
            || Reply::html(200),
            || Reply::html(504),
            || Reply::error(500, "InternalServerError", "Something went wrong"),
            || Reply::json(200, json!({"appConnection": {}})),
        ];
        for (number, loss) in losses.into_iter().enumerate() {
            let server = losing(loss, |at, _| one(made(at))).await;
            let connection = create(&server).await.unwrap();
            assert_eq!(connection.id, "id-1", "loss {number}");
            assert_eq!(server.count("POST"), 1, "loss {number}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_create_that_is_still_going_on_is_waited_for() {
        let server = losing(Reply::close, |at, clock| {
            let age = clock.now() - OffsetDateTime::parse(at, &Rfc3339).unwrap();
            if age < Duration::from_secs(3) { Reply::not_found() } else { one(made(&clock.stamp())) }
        })
        .await;
        create(&server).await.unwrap();
        assert_eq!(server.count("POST"), 1);
        assert_eq!(server.count("GET"), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_create_that_did_not_happen_is_sent_again() {
        let server = Server::start(|seen, clock| match (seen.method.as_str(), seen.earlier) {
            ("POST", 0) => Reply::close(),
            ("POST", _) => one(made(&clock.stamp())),
            _ => Reply::not_found(),
        })
        .await;
        create(&server).await.unwrap();
        assert_eq!(server.count("POST"), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_first_try_made_is_judged_by_when_that_was_sent() {
        // The first create is performed only after we looked for it; the second finds the name taken, and we may
        // learn of that or not.
        for second in [name_taken, Reply::close] {
            for (age, ours) in [(Duration::ZERO, true), (Duration::from_secs(60), false)] {
                let first = Mutex::new(None);
                let server = Server::start(move |seen, clock| match (seen.method.as_str(), seen.earlier) {
                    ("POST", 0) => {
                        *first.lock().unwrap() = Some(clock.stamp_ago(age));
                        Reply::close()
                    }
                    ("POST", _) => second(),
                    (_, 0..3) => Reply::not_found(),
                    _ => one(made(first.lock().unwrap().as_ref().unwrap())),
                })
                .await;
                let result = create(&server).await;
                assert_eq!(server.count("POST"), 2);
                match result {
                    Ok(_) => assert!(ours),
                    Err(CreateError::Unconfirmed { found: Some(_), .. }) => assert!(!ours),
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn creates_that_are_lost_again_and_again_come_to_an_end() {
        let server = losing(Reply::close, |_, _| Reply::not_found()).await;
        let result = create(&server).await;
        assert!(matches!(result, Err(CreateError::Unconfirmed { found: None, .. })), "{result:?}");
        assert_eq!(server.count("POST"), 4);
        // The server did answer these, and there was nothing.
        let server = losing(|| Reply::error(500, "Fault", "x"), |_, _| Reply::not_found()).await;
        let result = create(&server).await;
        assert!(matches!(result, Err(CreateError::Failed(Error::Api(_)))), "{result:?}");
        assert_eq!(server.count("POST"), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_create_that_can_not_be_looked_up_is_not_repeated() {
        for refusal in
            [|| Reply::error(403, "PermissionDenied", "You are not allowed to read"), || Reply::html(404)]
        {
            let server = losing(Reply::close, move |_, _| refusal()).await;
            let result = create(&server).await;
            let Err(CreateError::Unconfirmed { found: None, error }) = result else { panic!("{result:?}") };
            assert!(matches!(error, Error::Transport { sent: Sent::Perhaps, .. }));
            assert_eq!(server.count("POST"), 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_taken_name_comes_with_the_connection_that_has_it() {
        let server = losing(name_taken, |_, clock| one(made(&clock.stamp()))).await;
        let result = create(&server).await;
        // However much it looks like ours: the server said that it didn't make it for us.
        assert!(
            matches!(result, Err(CreateError::NameTaken { existing: Existing::Shown(_), .. })),
            "{result:?}"
        );
        let server = losing(name_taken, |_, _| Reply::not_found()).await;
        let result = create(&server).await;
        assert!(
            matches!(result, Err(CreateError::NameTaken { existing: Existing::Hidden, .. })),
            "{result:?}"
        );
        let server = losing(name_taken, |_, _| Reply::error(500, "Fault", "x")).await;
        let result = create(&server).await;
        assert!(
            matches!(result, Err(CreateError::NameTaken { existing: Existing::Unknown(_), .. })),
            "{result:?}"
        );
    }

    /// A server that lets the first `logins` logins in, and is out of order for all further ones.
    async fn failing_login(
        logins: usize,
        script: impl Fn(&Seen, Clock) -> Reply + Send + Sync + 'static,
    ) -> Server {
        Server::start_raw(move |seen, clock| {
            if !is_login(seen) {
                script(seen, clock)
            } else if seen.earlier < logins {
                Reply::json(200, json!({"accessToken": "access", "expiresIn": 2_592_000}))
            } else {
                Reply::error(503, "ServiceUnavailable", "Come back later")
            }
        })
        .await
    }

    fn token_refused() -> Reply {
        Reply::error(403, "TokenError", "Your token has expired")
    }

    #[tokio::test(start_paused = true)]
    async fn a_login_that_fails_makes_no_lost_create() {
        for logins in [0, 1] {
            let server = failing_login(logins, |_, _| token_refused()).await;
            let result = create(&server).await;
            assert!(matches!(result, Err(CreateError::Failed(Error::Api(_)))), "{result:?}");
            assert_eq!((server.count("POST"), server.count("GET")), (logins, 0));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_write_stays_open_if_its_repeat_is_not_sent() {
        let first_lost = |seen: &Seen| if seen.earlier == 0 { Reply::close() } else { token_refused() };
        let server = failing_login(1, move |seen, clock| match seen.method.as_str() {
            "PATCH" => first_lost(seen),
            _ => one(made(&clock.stamp())),
        })
        .await;
        let renamed = ConnectionPatch { name: Some("b".to_owned()), ..patch() };
        let error = update(&server, &renamed).await.unwrap_err();
        assert!(matches!(error, Error::Transport { sent: Sent::Perhaps, .. }), "{error:?}");
        assert_eq!(server.count("PATCH"), 2);

        let server = failing_login(1, move |seen, _| match seen.method.as_str() {
            "POST" => first_lost(seen),
            _ => Reply::not_found(),
        })
        .await;
        let result = create(&server).await;
        let Err(CreateError::Unconfirmed { found: None, error }) = result else { panic!("{result:?}") };
        assert!(matches!(error, Error::Transport { sent: Sent::Perhaps, .. }), "{error:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_create_is_not_looked_up() {
        let refusal = || Reply::error(400, "BadRequest", "Failed to validate credentials: 401");
        let server = losing(refusal, |_, _| Reply::not_found()).await;
        let error = create(&server).await.unwrap_err();
        assert!(matches!(error, CreateError::Failed(_)));
        assert_eq!(error.error().api_kind(), Some(ApiErrorKind::CredentialsRefused));
        assert_eq!((server.count("POST"), server.count("GET")), (1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn after_the_stop_a_lost_create_is_looked_up_but_not_repeated() {
        let fault = || Reply::error(500, "Fault", "x");
        for (loss, there) in [(Reply::close as fn() -> Reply, true), (Reply::close, false), (fault, false)] {
            let stop = CancellationToken::new();
            let stopping = stop.clone();
            let found = move |at: &str, _| if there { one(made(at)) } else { Reply::not_found() };
            let stop_and_lose = move || {
                stopping.cancel();
                loss()
            };
            let server = losing(stop_and_lose, found).await;
            let result = server.client().operation(stop).create_connection(&new()).await;
            match &result {
                Ok(_) => assert!(there),
                // Not `Cancelled`, which would say that nothing was sent.
                Err(error) => assert!(error.error().may_have_been_performed(), "{error:?}"),
            }
            assert_eq!(result.is_ok(), there, "{result:?}");
            assert!(server.count("GET") > 0);
            assert_eq!(server.count("POST"), 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_connection_is_not_given_to_two_creates_of_a_process() {
        let server = Server::start(|seen, clock| match (seen.method.as_str(), seen.earlier) {
            ("POST", 1) => Reply::close(),
            _ => one(made(&clock.stamp())),
        })
        .await;
        let client = server.client();
        client.operation(CancellationToken::new()).create_connection(&new()).await.unwrap();
        let second = client.operation(CancellationToken::new()).create_connection(&new()).await;
        assert!(matches!(second, Err(CreateError::Unconfirmed { found: Some(_), .. })), "{second:?}");
    }

    fn patch() -> ConnectionPatch<DbtCredentials> {
        ConnectionPatch::default()
    }

    async fn update(
        server: &Server,
        patch: &ConnectionPatch<DbtCredentials>,
    ) -> Result<Connection<DbtCredentials>, Error> {
        server.operation().update_connection("id-1", patch, "aa").await
    }

    /// A server that loses the first answer to a change, and then shows the connection as `shown` says.
    async fn losing_update(shown: impl Fn(&Seen, Clock) -> Value + Send + Sync + 'static) -> Server {
        Server::start(move |seen, clock| {
            assert_eq!(seen.target, BY_ID);
            if seen.method == "PATCH" && seen.earlier == 0 { Reply::close() } else { one(shown(seen, clock)) }
        })
        .await
    }

    #[tokio::test]
    async fn an_update_sends_only_what_changes() {
        let server = Server::start(|_, clock| one(made(&clock.stamp()))).await;
        for (patch, sent) in [
            (ConnectionPatch { name: Some("b".to_owned()), ..patch() }, json!({"name": "b"})),
            (ConnectionPatch { description: Some(None), ..patch() }, json!({"description": null})),
            (
                ConnectionPatch { description: Some(Some("d".to_owned())), ..patch() },
                json!({"description": "d"}),
            ),
            (
                ConnectionPatch { credentials: Some(credentials()), ..patch() },
                json!({"credentials": {
                    "instanceUrl": "https://cloud.getdbt.com", "accountId": "12345", "apiToken": "dbtu_1"}}),
            ),
        ] {
            update(&server, &patch).await.unwrap();
            let seen = server.seen().pop().unwrap();
            assert!(seen.is("PATCH", BY_ID));
            assert_eq!(seen.json(), sent);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_update_is_sent_again_unless_the_connection_shows_it() {
        type Shown = fn(Clock) -> Value;
        let renamed = ConnectionPatch { name: Some("b".to_owned()), ..patch() };
        let cleared = ConnectionPatch { description: Some(None), ..patch() };
        let rotated = ConnectionPatch { credentials: Some(credentials()), ..patch() };
        let moved = ConnectionPatch {
            credentials: Some(DbtCredentials { account_id: "7".to_owned(), ..credentials() }),
            ..patch()
        };
        let written: Shown = |clock| with(made(&clock.stamp()), "/credentialsHash", json!("bb"));
        let cases: [(&str, &ConnectionPatch<_>, Shown, bool); 8] = [
            ("name as sent", &renamed, |clock| with(made(&clock.stamp()), "/name", json!("b")), true),
            ("name as before", &renamed, |clock| made(&clock.stamp()), false),
            ("cleared", &cleared, |clock| with(made(&clock.stamp()), "/description", json!(null)), true),
            ("not cleared", &cleared, |clock| made(&clock.stamp()), false),
            ("written", &rotated, written, true),
            ("same hash", &rotated, |clock| made(&clock.stamp()), false),
            (
                "written before",
                &rotated,
                |clock| {
                    let before = clock.stamp_ago(Duration::from_secs(60));
                    with(made(&before), "/credentialsHash", json!("bb"))
                },
                false,
            ),
            ("another account", &moved, written, false),
        ];
        for (case, patch, shown, is_done) in cases {
            let server = losing_update(move |_, clock| shown(clock)).await;
            update(&server, patch).await.unwrap();
            assert_eq!(server.count("PATCH"), if is_done { 1 } else { 2 }, "{case}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_update_of_what_is_gone_says_so() {
        let server =
            Server::start(|seen, _| if seen.method == "PATCH" { Reply::close() } else { Reply::not_found() })
                .await;
        let renamed = ConnectionPatch { name: Some("b".to_owned()), ..patch() };
        assert!(update(&server, &renamed).await.unwrap_err().is_not_found());
    }

    #[tokio::test(start_paused = true)]
    async fn an_update_that_stays_lost_fails_as_perhaps_performed() {
        let server = Server::start(|seen, clock| match seen.method.as_str() {
            "PATCH" => Reply::close(),
            _ => one(made(&clock.stamp())),
        })
        .await;
        let renamed = ConnectionPatch { name: Some("b".to_owned()), ..patch() };
        assert!(update(&server, &renamed).await.unwrap_err().may_have_been_performed());
        assert_eq!(server.count("PATCH"), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_kms_itself_can_say_that_a_connection_is_gone() {
        for (reply, gone) in [
            (Reply::not_found as fn() -> Reply, true),
            (|| Reply::html(404), false),
            (|| Reply::error(404, "Not Found", "Route GET:/x not found"), false),
        ] {
            let server = Server::start(move |_, _| reply()).await;
            let operation = server.operation();
            let read = operation.get_connection::<DbtCredentials>("id-1").await.unwrap_err();
            assert_eq!(read.is_not_found(), gone, "{read:?}");
            let deleted = operation.delete_connection::<DbtCredentials>("id-1").await;
            assert_eq!(deleted.is_ok(), gone, "{deleted:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_deletion_whose_answer_is_lost_is_found_done() {
        let server =
            Server::start(|seen, _| if seen.earlier == 0 { Reply::close() } else { Reply::not_found() })
                .await;
        server.operation().delete_connection::<DbtCredentials>("id-1").await.unwrap();
        assert!(server.seen()[1].is("DELETE", BY_ID));
        assert_eq!(server.count("DELETE"), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_about_something_else_is_refused() {
        for (pointer, value) in [("/id", json!("id-2")), ("/app", json!("github"))] {
            let other = with(made("x"), pointer, value);
            let server = Server::start(move |_, _| one(other.clone())).await;
            let read = server.operation().get_connection::<DbtCredentials>("id-1").await;
            assert!(matches!(read, Err(Error::Decode { .. })), "{pointer}: {read:?}");
        }
        let other = with(made("x"), "/name", json!("b"));
        let server = Server::start(move |_, _| one(other.clone())).await;
        let read = server.operation().get_connection_by_name::<DbtCredentials>("a", None).await;
        assert!(matches!(read, Err(Error::Decode { .. })), "{read:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn absent_and_unknown_fields_do_no_harm() {
        let credentials = json!({"instanceUrl": "u", "accountId": "1", "region": "eu"});
        let sparse =
            json!({"id": "id-1", "name": "a", "credentials": credentials, "new": {"x": [1.5, 1e99]}});
        let server = Server::start(move |_, _| one(sparse.clone())).await;
        let read: Connection<DbtCredentials> = server.operation().get_connection("id-1").await.unwrap();
        assert_eq!((read.description, read.project_id, read.app), (None, None, None));
        assert_eq!(read.credentials.account_id, "1");
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_is_of_a_project_or_of_the_organization() {
        let server = Server::start(|seen, clock| match seen.target.as_str() {
            ROUTE => Reply::json(200, json!({"appConnections": []})),
            "/api/v1/app-connections/dbt?projectId=p%261" => {
                Reply::json(200, json!({"appConnections": [made(&clock.stamp())]}))
            }
            _ => Reply::error(404, "NotFound", "No such thing"),
        })
        .await;
        let list = async |project| server.operation().list_connections::<DbtCredentials>(project).await;
        assert_eq!(list(None).await.unwrap().len(), 0);
        assert_eq!(list(Some("p&1")).await.unwrap().len(), 1);
        let error = list(Some("p2")).await.unwrap_err();
        assert_eq!(error.api_kind(), Some(ApiErrorKind::UnknownProject));
    }

    #[tokio::test(start_paused = true)]
    async fn five_thousand_connections_fit_into_a_list() {
        let server = Server::start(|_, _| {
            let connections =
                vec![with(made("2026-01-01T00:00:00.000Z"), "/description", json!("d".repeat(256))); 5000];
            Reply::json(200, json!({"appConnections": connections}))
        })
        .await;
        let mut config = server.config();
        config.request_timeout = Duration::from_secs(300);
        let operation = Client::new(config).operation(CancellationToken::new());
        assert_eq!(operation.list_connections::<DbtCredentials>(None).await.unwrap().len(), 5000);
    }
}
