//! The credentials of a connection, as the server stores them: encrypted, with a new nonce at every write.
//!
//! `credentialsHash` is a digest of the ciphertext. It therefore changes at each write, of equal credentials too, and
//! can't be computed from the token: the property that the provider's drift detection rests on.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    digest,
};
use serde::{Deserialize, Serialize};

use super::random;

/// dbt credentials in the clear.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    pub instance_url: String,
    pub account_id: String,
    pub api_token: String,
}

impl Credentials {
    pub fn new(instance_url: &str, account_id: &str, api_token: &str) -> Self {
        Self { instance_url: instance_url.into(), account_id: account_id.into(), api_token: api_token.into() }
    }
}

/// Credentials as stored.
#[derive(Clone, Debug)]
pub struct Sealed {
    nonce: [u8; NONCE_LEN],
    ciphertext: Vec<u8>,
}

impl Sealed {
    /// The server's fingerprint of what it stores.
    pub fn hash(&self) -> String {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&self.nonce);
        context.update(&self.ciphertext);
        random::to_hex(context.finish().as_ref())
    }
}

/// The server's encryption key.
#[derive(Debug)]
pub struct Sealer(RandomizedNonceKey);

impl Sealer {
    pub fn generate() -> Self {
        Self(
            RandomizedNonceKey::new(&AES_256_GCM, &random::bytes::<32>())
                .expect("the key has the right length"),
        )
    }

    pub fn seal(&self, credentials: &Credentials) -> Sealed {
        let mut ciphertext = serde_json::to_vec(credentials).expect("three strings are always JSON");
        let nonce = self
            .0
            .seal_in_place_append_tag(Aad::empty(), &mut ciphertext)
            .expect("short texts can be sealed");
        Sealed { nonce: *nonce.as_ref(), ciphertext }
    }

    pub fn open(&self, sealed: &Sealed) -> Credentials {
        let mut text = sealed.ciphertext.clone();
        let nonce = Nonce::assume_unique_for_key(sealed.nonce);
        let text = self.0.open_in_place(nonce, Aad::empty(), &mut text).expect("sealed by this server");
        serde_json::from_slice(text).expect("what was sealed is JSON")
    }
}
