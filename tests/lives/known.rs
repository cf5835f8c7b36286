//! What the provider is known to do wrong today. Random sequences keep out of its way, and each entry has its test in
//! [`crate::regressions`], ignored until it passes. An entry goes when its test does.

use crate::faults::{Body, Call, Failure};

/// Weight of runs whose apply sees other tokens than their plan did.
pub const OTHER_TOKENS_AT_APPLY: u32 = 1;

/// Faults after which a life goes wrong.
pub fn fails(call: Call, failure: Failure) -> bool {
    call.is_write() && is_foreign_refusal(failure)
}

/// Whether a single fault of this kind is got over.
pub fn survives(_call: Call, failure: Failure) -> bool {
    let is_too_large = matches!(failure, Failure::Status { body: Body::TooLarge, .. } | Failure::Endless);
    !is_foreign_refusal(failure) && !is_too_large
}

/// A page of something in between with a status that the KMS would refuse with.
fn is_foreign_refusal(failure: Failure) -> bool {
    matches!(failure, Failure::Status { status: 400..=428 | 430..=499, body, .. } if body != Body::Kms)
}
