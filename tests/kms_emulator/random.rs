//! Random ids, and ids that follow from texts.

use aws_lc_rs::digest;

/// `N` random bytes.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system has randomness");
    bytes
}

/// `count` random bytes in hex, at most 32 of them.
pub fn hex(count: usize) -> String {
    to_hex(&bytes::<32>()[..count])
}

/// A random (version 4) UUID.
pub fn uuid() -> String {
    uuid::Builder::from_random_bytes(bytes()).into_uuid().to_string()
}

/// The same UUID for the same texts.
pub fn derived_uuid(texts: &[&str]) -> String {
    let digest = digest::digest(&digest::SHA256, texts.join("\0").as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.as_ref()[..16]);
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}

pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
