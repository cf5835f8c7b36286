//! What every call into a provider carries along.

use std::pin::Pin;

use tokio_util::sync::CancellationToken;

use super::diagnostics::Diagnostics;

/// A future behind a pointer, as the object-safe twins of the traits return them.
pub(super) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The circumstances of one call.
#[derive(Debug, Default)]
pub struct Context {
    /// Cancelled when the user asks Terraform to stop. What has not been sent then must not be sent any more; a write
    /// under way must still be finished and its result returned.
    pub stop: CancellationToken,
    /// Warnings of a call that may well succeed.
    pub diagnostics: Diagnostics,
}
