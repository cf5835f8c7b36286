//! The context of a call into a provider.

use std::pin::Pin;

use tokio_util::sync::CancellationToken;

use super::diagnostics::Diagnostics;

/// A boxed future, for the object-safe versions of the traits.
pub(super) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The context of one call.
#[derive(Debug, Default)]
pub struct Context {
    /// Cancelled when the user asks Terraform to stop. After that, nothing new must be sent; a write in progress must
    /// still be completed and its result returned.
    pub stop: CancellationToken,
    /// Diagnostics that don't end the call, such as warnings.
    pub diagnostics: Diagnostics,
    /// Whether Terraform accepts that this call is deferred: see [`Diagnostics::or_deferred`]. A call that
    /// could do its work without knowing all that it should may prefer to be deferred.
    pub deferral_allowed: bool,
}
