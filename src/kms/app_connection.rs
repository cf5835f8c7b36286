//! What all app connections share, whatever their credentials: the calls, and finding out what became of a create or
//! an update whose answer was lost.

use std::{fmt, time::Duration};

use http::Method;
use serde::{
    Deserialize, Serialize,
    de::{DeserializeOwned, IgnoredAny},
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

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
        /// That connection, if it could be looked up.
        existing: Option<Box<Connection<C>>>,
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
                // If the server answered, that settles it. If this create wasn't even sent, an earlier one is still
                // open, although it wasn't there when we looked.
                return Err(match (error, unanswered) {
                    (error @ Error::Api(_), _) | (error, None) => CreateError::Failed(error),
                    (_, Some(error)) => CreateError::Unconfirmed { found: None, error },
                });
            }
            let Some(sent_at) = lost_at else {
                let existing = self.unstoppable().existing(new).await;
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
                Ok(None) if name_taken => return Err(CreateError::NameTaken { existing: None, error }),
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

    /// Reads a connection.
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
        let mut lost_at = None;
        let mut repeats = 0;
        loop {
            let mut progress = Progress::default();
            let error = match self.one::<C>(&request, &mut progress).await {
                Ok(received) if received.value.id.eq_ignore_ascii_case(id) => return Ok(received.value),
                Ok(_) => request.undecodable("it is about another connection"),
                Err(error) => error,
            };
            if !error.may_have_been_performed() {
                return Err(error);
            }
            lost_at = lost_at.or(progress.sent_at);
            for wait in LOOK_AFTER {
                tokio::time::sleep(wait).await;
                match self.unstoppable().get_received::<C>(id).await {
                    Ok(Received { value: seen, clock }) => {
                        let earliest = clock.zip(lost_at).map(|(clock, at)| clock.earliest_at(at));
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

    /// The connection that has the name of `new` in its scope, if it can be read.
    async fn existing<C: Credentials>(&self, new: &NewConnection<C>) -> Option<Box<Connection<C>>> {
        let existing = self.get_connection_by_name(&new.name, new.project_id.as_deref()).await;
        existing.ok().map(Box::new)
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
