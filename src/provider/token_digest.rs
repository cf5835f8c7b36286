//! Telling whether a configured token is the one that was sent last, without keeping the token.

use aws_lc_rs::{hmac, rand};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use crate::secret::Secret;

/// Ends up in every digest, so that it is of use for nothing else.
const PURPOSE: &[u8] = b"terraform-provider-kms api_token\0";

/// Length of the key, in bytes.
const KEY_LENGTH: usize = 16;

/// HMAC-SHA-256 of a token under a random key of its own, which serves as the salt: the key and then the digest, in
/// Base64.
///
/// It stays in private state, which anyone who can read the state file can read. It gives them a way to test guesses,
/// one connection at a time, and nothing else: equal tokens have unequal digests. The KMS stores only tokens that dbt
/// accepts, and dbt makes them of more random bits than can be guessed, so a slow derivation would cost each plan
/// much and an attacker nothing that matters.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenDigest(String);

impl TokenDigest {
    /// The digest of a token under a fresh key. `None` if the system has no random bytes to give.
    pub fn of(token: &Secret) -> Option<Self> {
        let mut key = [0; KEY_LENGTH];
        rand::fill(&mut key).ok()?;
        let digest = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), &message(token));
        Some(Self(STANDARD.encode([key.as_slice(), digest.as_ref()].concat())))
    }

    /// Whether this is the digest of that token.
    pub fn matches(&self, token: &Secret) -> bool {
        let stored = STANDARD.decode(&self.0).unwrap_or_default();
        stored.split_at_checked(KEY_LENGTH).is_some_and(|(key, digest)| {
            hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, key), &message(token), digest).is_ok()
        })
    }
}

fn message(token: &Secret) -> zeroize::Zeroizing<Vec<u8>> {
    zeroize::Zeroizing::new([PURPOSE, token.expose().as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_token_matches_and_equal_tokens_look_different() {
        let token = Secret::new("dbtc_abc");
        let (one, other) = (TokenDigest::of(&token).unwrap(), TokenDigest::of(&token).unwrap());
        assert!(one.matches(&token) && other.matches(&token));
        assert!(!one.matches(&Secret::new("dbtc_abd")));
        assert_ne!(one.0, other.0);
    }

    #[test]
    fn it_survives_storage_and_holds_no_token() {
        let token = Secret::new("dbtc_abc");
        let stored = serde_json::to_string(&TokenDigest::of(&token)).unwrap();
        assert!(!stored.contains("dbtc"));
        let back: TokenDigest = serde_json::from_str(&stored).unwrap();
        assert!(back.matches(&token));
        for broken in ["?", "", "AAAA", "AAAAAAAAAAAAAAAAAAAAAA=="] {
            assert!(!TokenDigest(broken.into()).matches(&token), "{broken}");
        }
    }
}
