//! Telling whether a configured token is the one that was sent last, without keeping the token.

use aws_lc_rs::{hmac, rand};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use crate::secret::Secret;

/// Ends up in every digest, so that it is of use for nothing else.
const PURPOSE: &[u8] = b"terraform-provider-kms api_token\0";

/// HMAC-SHA-256 of a token under a random key of its own, which serves as the salt.
///
/// It stays in private state, which anyone who can read the state file can read. It gives them a way to test guesses,
/// one connection at a time, and nothing else: equal tokens have unequal digests. The KMS stores only tokens that dbt
/// accepts, and dbt makes them of more random bits than can be guessed, so a slow derivation would cost each plan
/// much and an attacker nothing that matters.
#[derive(Clone, Serialize, Deserialize)]
pub struct TokenDigest {
    key: String,
    digest: String,
}

impl TokenDigest {
    /// The digest of a token under a fresh key. `None` if the system has no random bytes to give.
    pub fn of(token: &Secret) -> Option<Self> {
        let mut key = [0; 32];
        rand::fill(&mut key).ok()?;
        let digest = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), &message(token));
        Some(Self { key: STANDARD.encode(key), digest: STANDARD.encode(digest) })
    }

    /// Whether this is the digest of that token.
    pub fn matches(&self, token: &Secret) -> bool {
        let (Ok(key), Ok(digest)) = (STANDARD.decode(&self.key), STANDARD.decode(&self.digest)) else {
            return false;
        };
        hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &key), &message(token), &digest).is_ok()
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
        assert_ne!(one.digest, other.digest);
    }

    #[test]
    fn it_survives_storage_and_holds_no_token() {
        let token = Secret::new("dbtc_abc");
        let stored = serde_json::to_string(&TokenDigest::of(&token)).unwrap();
        assert!(!stored.contains("dbtc"));
        let back: TokenDigest = serde_json::from_str(&stored).unwrap();
        assert!(back.matches(&token));
        let broken: TokenDigest = serde_json::from_str(r#"{"key":"?","digest":""}"#).unwrap();
        assert!(!broken.matches(&token));
    }
}
