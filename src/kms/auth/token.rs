//! Access tokens, and how one is sent.

use http::HeaderValue;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::{kms::AuthError, secret::Secret};

/// An access token and the number of the login that gave it.
#[derive(Debug, Clone)]
pub(in crate::kms) struct AccessToken {
    /// 1 for the first token of the process, 2 for the next, and so on.
    pub(super) generation: u64,
    pub(super) text: Secret,
    /// From when on it isn't used any more; `None` if it isn't known to expire.
    pub(super) renew_at: Option<Instant>,
}

impl AccessToken {
    /// The value of the `Authorization` header, marked so that no library prints it.
    pub(in crate::kms) fn header(&self) -> Result<HeaderValue, AuthError> {
        // A token pasted or read from a file often ends with a newline.
        let text = Zeroizing::new(format!("Bearer {}", self.text.expose().trim()));
        let mut header = HeaderValue::from_str(&text).map_err(|_| AuthError::TokenMalformed)?;
        header.set_sensitive(true);
        Ok(header)
    }
}
