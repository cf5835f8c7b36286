//! Creates, changes and deletes objects, and looks up changes whose fate is unknown.
//!
//! The KMS has no idempotency keys and no version checks, so a change that may have been performed is looked up before
//! it is sent again:
//!
//! | change | the KMS shows | what follows |
//! |---|---|---|
//! | create | the object, which can only be from this create | done |
//! | create | another object with this name | reported as unconfirmed, with that object |
//! | create | nothing | sent again, as often as configured; a page of another server with a 4xx status twice |
//! | change | the change | done |
//! | change | no change | sent again, likewise |
//! | change or deletion | no such object | that is the result |
//! | any | unknown, because the lookup failed | reported as unknown |

use std::time::Duration;

use http::Method;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::time::Instant;

use super::{
    api_error::ApiErrorKind,
    attempt::Received,
    client::{Listed, Operation},
    error::Error,
    fate::{Effect, Fate},
    history::History,
    messages,
    object::{NewObject as _, Object, ObjectPatch as _},
    request::Request,
    retry,
};
use crate::secret::Secret;

/// How long to wait before each lookup of a change of unknown fate. The server may still be performing it.
pub(super) const LOOK_AFTER: [Duration; 3] =
    [Duration::from_millis(250), Duration::from_secs(1), Duration::from_secs(3)];

/// The maximum difference between the clocks of `Date` and of an object's timestamps: a proxy may write the former, and
/// the database the latter. They are assumed to be synchronized. `Date` is also truncated to seconds.
const CLOCK_SLACK: Duration = Duration::from_secs(2);

/// Why a create failed or remains unconfirmed.
#[derive(Debug, thiserror::Error)]
pub enum CreateError<O: Object> {
    /// The scope has an object with this name. Nothing was created.
    #[error("{}", messages::name_taken())]
    NameTaken {
        /// What is known about that object.
        existing: Existing<O>,
        /// The KMS's response.
        #[source]
        error: Error,
    },
    /// An object may exist, but nothing proves that this create was successful.
    #[error("{}", messages::unconfirmed())]
    Unconfirmed {
        /// The object that has the name, if there is one and it could be looked up.
        found: Option<Box<O>>,
        /// The failure of the request.
        #[source]
        error: Error,
    },
    /// Nothing was created.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// Why an object was not adopted.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// Another caller in this process manages it.
    #[error("{}", messages::already_managed())]
    Managed,
    /// The change that adopts it failed.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// The object that already has a name, as far as it is known.
#[derive(Debug)]
pub enum Existing<O: Object> {
    /// The object.
    Visible(Box<O>),
    /// It is of another app.
    OfOtherApp,
    /// The machine identity may not read it.
    NotVisible,
    /// The lookup failed.
    Unknown(Error),
}

impl<O: Object> CreateError<O> {
    /// The error of the request itself.
    pub fn error(&self) -> &Error {
        match self {
            CreateError::NameTaken { error, .. } | CreateError::Unconfirmed { error, .. } => error,
            CreateError::Failed(error) => error,
        }
    }
}

impl Operation {
    /// Creates an object. The KMS tests its credentials first, so this takes a while.
    ///
    /// If the fate of the request is unknown, the object is looked up by name and scope. A found object counts as the
    /// result only if it is equal to the request, was created after the request by the server's own clock, and isn't
    /// already managed. `known` is the ID of an object with this name that existed before: it is never the result. If there is none, the create is sent again. Afterwards
    /// [`may_still_create`](Self::may_still_create) returns whether the KMS may still perform an earlier attempt.
    ///
    /// # Errors
    /// [`CreateError::NameTaken`] and [`CreateError::Unconfirmed`]. Every other error is [`CreateError::Failed`], with
    /// `Api` kinds such as [`CredentialsRefused`](ApiErrorKind::CredentialsRefused),
    /// [`Invalid`](ApiErrorKind::Invalid), [`PermissionDenied`](ApiErrorKind::PermissionDenied) and
    /// [`UnknownProject`](ApiErrorKind::UnknownProject).
    ///
    /// # Cancellation
    /// Stopping the operation ends it only before the request is sent. A create in progress runs to its end. If its
    /// fate is unknown, it is looked up, but not sent again. Dropping the future may leave an unmanaged object behind.
    pub async fn create<O: Object>(&self, new: &O::New, known: Option<&str>) -> Result<O, CreateError<O>> {
        let request = Request::write(Method::POST, O::COLLECTION, &[], &new.body())?;
        self.redact(new.secrets());
        let _writing = self.client.writing();
        let _creating = self.client.managed().creating(key::<O>(&new.place()));
        let mut history = History::default();
        let mut repeats = 0;
        loop {
            let is_created = |object: &O| object.is_at(&new.place());
            let error = match self.one(&request, &mut history, is_created).await {
                Ok(received) => {
                    self.client.managed().add(received.value.id());
                    self.run.set_may_still_create(history.is_open());
                    return Ok(received.value);
                }
                Err(error) => error,
            };
            let is_taken = error.api_kind() == Some(ApiErrorKind::NameTaken);
            let Some(since) = history.unknown_since() else {
                return Err(if is_taken {
                    CreateError::NameTaken { existing: self.existing(new).await, error }
                } else {
                    error.into()
                });
            };
            match self.unstoppable().look_for::<O>(new).await {
                Ok(Some(Received { value: found, clock, .. })) => {
                    let earliest = clock.map(|clock| clock.earliest_at(since));
                    let is_ours = !known.is_some_and(|known| known.eq_ignore_ascii_case(found.id()))
                        && new.is_shown_by(&found)
                        && is_not_before(found.created_at(), earliest);
                    // Two creates of the same name in this process can't be distinguished by comparison.
                    if is_ours && self.client.managed().add(found.id()) {
                        self.run.set_may_still_create(history.is_open_besides_one());
                        return Ok(found);
                    }
                    self.run.set_may_still_create(history.is_open_besides_one());
                    let found = Some(Box::new(found));
                    return Err(CreateError::Unconfirmed { found, error: history.end(error) });
                }
                Ok(None) if is_taken => {
                    return Err(CreateError::NameTaken { existing: Existing::NotVisible, error });
                }
                Ok(None) if O::New::IS_REPEATABLE && self.may_repeat(&error, repeats) => repeats += 1,
                // There is no object, and the KMS has finished with every attempt or refused the last one.
                Ok(None) if !history.is_open() || error.fate() == Fate::Refused => {
                    self.run.set_may_still_create(history.is_open());
                    return Err(history.end(error).into());
                }
                Err(other) if other.api_kind() == Some(ApiErrorKind::OtherApp) => {
                    return Err(CreateError::NameTaken { existing: Existing::OfOtherApp, error });
                }
                Ok(None) | Err(_) => {
                    return Err(CreateError::Unconfirmed { found: None, error: history.end(error) });
                }
            }
        }
    }

    /// Changes an object.
    ///
    /// If the fate of the request is unknown, the object is read. If it shows the change, that is the result; otherwise
    /// the change is sent again.
    ///
    /// # Errors
    /// As [`create`](Self::create) describes for `Api`, and [`NotFound`](ApiErrorKind::NotFound) if there is no such
    /// object. [`Error::may_have_changed_something`] returns whether the object may have been changed nevertheless.
    ///
    /// # Cancellation
    /// Stopping the operation ends it only before the request is sent. A change in progress runs to its end and is
    /// looked up if its fate is unknown. After dropping the future, it is unknown whether the change was performed.
    pub async fn update<O: Listed>(&self, id: &str, patch: &O::Patch) -> Result<O, Error> {
        let request = Request::write(Method::PATCH, format!("{}/:id", O::COLLECTION), &[id], &patch.body())?;
        self.redact(patch.secrets());
        let _forgetting = O::lists(&self.client).forgetting(id);
        let _writing = self.client.writing();
        let mut history = History::default();
        let mut repeats = 0;
        loop {
            let is_changed = |object: &O| object.id().eq_ignore_ascii_case(id);
            let error = match self.one(&request, &mut history, is_changed).await {
                Ok(received) => {
                    let changed = received.value;
                    return Ok(if history.is_open() && patch.leaves_a_mark() {
                        self.unstoppable().settle(changed, patch).await
                    } else {
                        changed
                    });
                }
                Err(error) => error,
            };
            let Some(since) = history.unknown_since() else { return Err(error) };
            if error.fate() == Fate::Refused {
                return Err(error);
            }
            match self.unstoppable().look_at(id, patch, since).await {
                Ok(Some(changed)) => return Ok(changed),
                Ok(None) if self.may_repeat(&error, repeats) => repeats += 1,
                Err(gone) if gone.is_not_found() => return Err(gone),
                Ok(None) | Err(_) => return Err(history.end(error)),
            }
        }
    }

    /// Adopts an object that was found at a place, and changes it if the patch isn't empty.
    ///
    /// # Errors
    /// [`AdoptError::Managed`] if the object is already managed, or may be the result of another create in progress.
    /// All other errors are those of [`update`](Self::update).
    ///
    /// # Cancellation
    /// As [`update`](Self::update).
    pub async fn adopt<O: Listed>(
        &self,
        id: &str,
        place: &O::Place,
        patch: &O::Patch,
    ) -> Result<O, AdoptError> {
        if !self.client.managed().adopt(id, &key::<O>(place)) {
            return Err(AdoptError::Managed);
        }
        let adopted = if patch.is_empty() { self.get(id).await } else { self.update(id, patch).await };
        adopted.map_err(|error| {
            self.client.managed().remove(id);
            AdoptError::Failed(error)
        })
    }

    /// Deletes an object. Succeeds if it doesn't exist.
    ///
    /// # Errors
    /// `Api` with [`InUse`](ApiErrorKind::InUse) while something uses it, and with
    /// [`PermissionDenied`](ApiErrorKind::PermissionDenied) if the identity lacks the permission; and all other errors
    /// of requests.
    ///
    /// # Cancellation
    /// Stopping the operation ends it only before the request is sent; a deletion in progress runs to its end. After
    /// dropping the future, it is unknown whether the object was deleted.
    pub async fn delete<O: Listed>(&self, id: &str, deletion: O::Deletion) -> Result<(), Error> {
        let request = O::delete(id, deletion)?;
        let _forgetting = O::lists(&self.client).forgetting(id);
        let _writing = self.client.writing();
        let mut history = History::default();
        let error = match self.one::<O>(&request, &mut history, |_| true).await {
            Ok(_) => return Ok(()),
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => history.end(error),
        };
        if !error.may_have_changed_something() {
            return Err(error);
        }
        match self.unstoppable().get::<O>(id).await {
            Err(gone) if gone.is_not_found() => Ok(()),
            _ => Err(error),
        }
    }

    /// Adds secrets of a request to the redactor.
    fn redact(&self, secrets: Vec<&Secret>) {
        secrets.into_iter().for_each(|secret| self.client.transport().redactor.add(secret));
    }

    /// Whether to repeat a change that failed with `error` and wasn't found in the lookup.
    fn may_repeat(&self, error: &Error, repeats: u32) -> bool {
        let max_repeats = self.client.transport().config.max_retries;
        match error.reason() {
            Some(reason) if error.fate() != Fate::NotSent => {
                // Its effect was looked up and isn't there, so it may be repeated like a read.
                let repetition = reason.repetition(Effect::Read, false);
                !self.run.is_stopped()
                    && repeats < max_repeats
                    && retry::allows(repetition, repeats, max_repeats)
            }
            _ => false,
        }
    }

    /// The object that has the name of `new` in its scope.
    async fn existing<O: Object>(&self, new: &O::New) -> Existing<O> {
        match self.get_by_name(&new.place()).await {
            Ok(existing) => Existing::Visible(Box::new(existing)),
            Err(error) => match error.api_kind() {
                Some(ApiErrorKind::OtherApp) => Existing::OfOtherApp,
                Some(ApiErrorKind::NotFound | ApiErrorKind::PermissionDenied) => Existing::NotVisible,
                _ => Existing::Unknown(error),
            },
        }
    }

    /// Looks several times for an object whose create may still be in progress.
    async fn look_for<O: Object>(&self, new: &O::New) -> Result<Option<Received<O>>, Error> {
        for wait in LOOK_AFTER {
            tokio::time::sleep(wait).await;
            match self.get_received_by_name(&new.place()).await {
                Ok(found) => return Ok(Some(found)),
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Checks several times whether an object has a change that was first sent at `since`.
    async fn look_at<O: Object>(
        &self,
        id: &str,
        patch: &O::Patch,
        since: Instant,
    ) -> Result<Option<O>, Error> {
        for wait in LOOK_AFTER {
            tokio::time::sleep(wait).await;
            let Received { value: seen, clock, .. } = self.get_received::<O>(id).await?;
            let earliest = clock.map(|clock| clock.earliest_at(since));
            let is_changed_since = is_not_before(seen.updated_at(), earliest);
            if patch.is_shown_by(&seen, is_changed_since) {
                return Ok(Some(seen));
            }
        }
        Ok(None)
    }

    /// The object after a change of which an earlier attempt may still be performed. If that were noticed only later,
    /// it would look like a foreign change.
    async fn settle<O: Object>(&self, changed: O, patch: &O::Patch) -> O {
        let mut latest = changed;
        for wait in LOOK_AFTER {
            tokio::time::sleep(wait).await;
            match self.get::<O>(latest.id()).await {
                Ok(seen) if patch.is_shown_by(&seen, true) => latest = seen,
                _ => break,
            }
        }
        latest
    }
}

/// A key that distinguishes the places of all kinds of objects.
fn key<O: Object>(place: &O::Place) -> String {
    format!("{} {place:?}", O::COLLECTION)
}

/// Whether a timestamp of the server isn't before a moment of its clock. False if that moment is unknown.
fn is_not_before(stamp: &str, moment: Option<OffsetDateTime>) -> bool {
    match (OffsetDateTime::parse(stamp, &Rfc3339), moment) {
        (Ok(stamp), Some(moment)) => stamp >= moment - CLOCK_SLACK,
        _ => false,
    }
}
