//! What the client said about deferral when it configured the provider.

use std::sync::atomic::{AtomicBool, Ordering};

use super::super::{proto::tfplugin6 as proto, wire::from_proto};

/// What the client that configured the provider last can do.
#[derive(Debug, Default)]
pub(super) struct Deferrals {
    allowed: AtomicBool,
    fails: AtomicBool,
}

impl Deferrals {
    /// Takes over what a client says when it configures the provider.
    pub(super) fn configure(&self, terraform_version: &str, capabilities: Option<proto::ClientCapabilities>) {
        let fails = is_unable_to_defer(terraform_version);
        self.fails.store(fails, Ordering::Relaxed);
        self.allowed.store(from_proto::deferral_allowed(capabilities) && !fails, Ordering::Relaxed);
    }

    /// Whether the client defers any call.
    pub(super) fn allowed(&self) -> bool {
        self.allowed.load(Ordering::Relaxed)
    }

    /// Whether the client defers a call with these capabilities.
    pub(super) fn allowed_by(&self, capabilities: Option<proto::ClientCapabilities>) -> bool {
        from_proto::deferral_allowed(capabilities) && !self.fails.load(Ordering::Relaxed)
    }
}

/// OpenTofu before 1.11.4 says that it accepts deferred responses, and turns each into an error
/// (opentofu/opentofu, pull request 3676). The stable releases of Terraform with these numbers don't defer.
fn is_unable_to_defer(version: &str) -> bool {
    matches!(version, "1.11.0" | "1.11.1" | "1.11.2" | "1.11.3")
}
