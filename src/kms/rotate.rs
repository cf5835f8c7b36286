//! Rotating a dbt service token now.

use http::Method;
use tokio::time::Instant;

use super::{
    client::Operation,
    error::Error,
    history::History,
    object::Object as _,
    request::Request,
    service_token_rotation::ServiceTokenRotation,
    write::{LOOK_AFTER, is_not_before},
};

impl Operation {
    /// Rotates now: the KMS revokes the token before the current one, makes a new one and stores it. Never repeated, because
    /// each call revokes a token.
    ///
    /// If the fate of the request is unknown, the rotation is read: one that has rotated since the request was sent is the
    /// result.
    ///
    /// # Errors
    /// `Api` with [`RotationFailed`](super::ApiErrorKind::RotationFailed) if dbt refused, with
    /// [`InProgress`](super::ApiErrorKind::InProgress) if it rotates already; and every other error that a request can end
    /// in. [`Error::may_have_changed_something`] says whether it may have rotated all the same.
    ///
    /// # Cancellation
    /// Stopping the operation ends it only while nothing was sent.
    pub async fn rotate_service_token(&self, id: &str) -> Result<ServiceTokenRotation, Error> {
        let route = format!("{}/:id/rotate-secrets", ServiceTokenRotation::COLLECTION);
        let request = Request::write_without_body(Method::POST, route, &[id])?;
        let _writing = self.client.writing();
        let mut history = History::default();
        let error = match self.one::<ServiceTokenRotation>(&request, &mut history).await {
            Ok(received) => return Ok(received.value),
            Err(error) => error,
        };
        let is_of_kms = error.api().is_some();
        let Some(since) = history.unknown_since().filter(|_| !is_of_kms) else { return Err(error) };
        match self.unstoppable().rotated_since(id, since).await {
            Some(rotated) => Ok(rotated),
            None => Err(history.end(error)),
        }
    }

    /// The rotation, if it has rotated since a moment.
    async fn rotated_since(&self, id: &str, since: Instant) -> Option<ServiceTokenRotation> {
        for wait in LOOK_AFTER {
            tokio::time::sleep(wait).await;
            let seen = self.get_received::<ServiceTokenRotation>(id).await.ok()?;
            let earliest = seen.clock.map(|clock| clock.earliest_at(since));
            if is_not_before(&seen.value.last_rotated_at, earliest) {
                return Some(seen.value);
            }
        }
        None
    }
}
