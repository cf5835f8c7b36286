//! Finding out whether a configured secret is the one that was sent last, without keeping the secret.

use aws_lc_rs::{constant_time::verify_slices_are_equal, hmac, rand};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use crate::secret::Secret;

/// Ends up in every digest, so that it is of use for nothing else.
const PURPOSE: &[u8] = b"terraform-provider-kms api_token\0";

/// Length of the key, and of as much of the digest as is kept, in bytes.
const LENGTH: usize = 12;

/// The beginning of the HMAC-SHA-256 of a secret under a random key of its own, which serves as the salt: the key and then
/// the digest, in Base64.
///
/// It is in private state, which anyone who can read the state file can read. It gives them a way to test guesses, one
/// object at a time, and nothing else: equal secrets have unequal digests. The KMS stores only tokens that dbt accepts, and
/// dbt makes them of more random bits than can be guessed, so a slow derivation would cost each plan much and an attacker
/// nothing that matters.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretDigest(String);

impl SecretDigest {
    /// The digest of a secret under a fresh key. `None` if the system has no random bytes to give.
    pub fn of(secret: &Secret) -> Option<Self> {
        let mut key = [0; LENGTH];
        rand::fill(&mut key).ok()?;
        Some(Self(STANDARD.encode([key, digest(&key, secret)].concat())))
    }

    /// Whether this is the digest of that secret.
    pub fn matches(&self, secret: &Secret) -> bool {
        let stored = STANDARD.decode(&self.0).unwrap_or_default();
        stored
            .split_first_chunk::<LENGTH>()
            .is_some_and(|(key, kept)| verify_slices_are_equal(&digest(key, secret), kept).is_ok())
    }
}

fn digest(key: &[u8; LENGTH], secret: &Secret) -> [u8; LENGTH] {
    let message = zeroize::Zeroizing::new([PURPOSE, secret.expose().as_bytes()].concat());
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), &message);
    std::array::from_fn(|index| tag.as_ref()[index])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_token_matches_and_equal_tokens_look_different() {
        let secret = Secret::new("dbtc_abc");
        let (one, other) = (SecretDigest::of(&secret).unwrap(), SecretDigest::of(&secret).unwrap());
        assert!(one.matches(&secret) && other.matches(&secret));
        assert!(!one.matches(&Secret::new("dbtc_abd")));
        assert_ne!(one.0, other.0);
    }

    #[test]
    fn it_survives_storage_and_holds_no_token() {
        let secret = Secret::new("dbtc_abc");
        let stored = serde_json::to_string(&SecretDigest::of(&secret)).unwrap();
        // A key and a digest of 12 bytes each, in quotes: no room for a token, in whatever encoding.
        let text: String = serde_json::from_str(&stored).unwrap();
        let bytes = STANDARD.decode(text).unwrap();
        assert_eq!(bytes.len(), 24);
        assert!(!String::from_utf8_lossy(&bytes).contains("dbtc"));
        let back: SecretDigest = serde_json::from_str(&stored).unwrap();
        assert!(back.matches(&secret));
        for broken in ["?", "", "AAAA", "AAAAAAAAAAAAAAAAAAAAAA=="] {
            assert!(!SecretDigest(broken.into()).matches(&secret), "{broken}");
        }
    }
}
