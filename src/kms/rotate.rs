//! Rotates a dbt service token on request.

use http::Method;

use super::{
    client::Operation, error::Error, history::History, object::Object as _, request::Request,
    service_token_rotation::ServiceTokenRotation, write::LOOK_AFTER,
};

impl Operation {
    /// Rotates now: the KMS revokes the previous token, creates a new one and stores it. Never repeated, because each
    /// call revokes a token.
    ///
    /// If the fate of the request is unknown, the rotation is read. If it has rotated since the last read, it is the
    /// result.
    ///
    /// # Errors
    /// `Api` with [`RotationFailed`](super::ApiErrorKind::RotationFailed) if dbt refused, with
    /// [`InProgress`](super::ApiErrorKind::InProgress) if a rotation is in progress; and all other errors of requests.
    /// [`Error::may_have_changed_something`] returns whether it may have rotated nevertheless.
    ///
    /// # Cancellation
    /// Stopping the operation ends it only before the request is sent.
    pub async fn rotate_service_token(&self, id: &str) -> Result<ServiceTokenRotation, Error> {
        let route = format!("{}/:id/rotate-secrets", ServiceTokenRotation::COLLECTION);
        let request = Request::write_without_body(Method::POST, route, &[id])?;
        let before = self.get::<ServiceTokenRotation>(id).await?.last_rotated_at;
        let _writing = self.client.writing();
        let mut history = History::default();
        let error = match self.one::<ServiceTokenRotation>(&request, &mut history, |_| true).await {
            Ok(received) => return Ok(received.value),
            Err(error) => error,
        };
        let is_of_kms = error.api().is_some();
        if is_of_kms || history.unknown_since().is_none() {
            return Err(error);
        }
        match self.unstoppable().rotated_after(id, &before).await {
            Some(rotated) => Ok(rotated),
            None => Err(history.end(error)),
        }
    }

    /// The rotation, if its last rotation is later than `before`.
    async fn rotated_after(&self, id: &str, before: &str) -> Option<ServiceTokenRotation> {
        for wait in LOOK_AFTER {
            tokio::time::sleep(wait).await;
            let seen = self.get::<ServiceTokenRotation>(id).await.ok()?;
            if seen.last_rotated_at != before {
                return Some(seen);
            }
        }
        None
    }
}
