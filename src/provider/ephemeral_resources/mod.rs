//! Ephemeral resources.

mod secret;

pub(super) use secret::SecretEphemeral;
