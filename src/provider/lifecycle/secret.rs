//! When a secret is sent that the KMS never shows.
//!
//! With a version in the configuration, the version decides alone. Without one, a keyed digest of what was sent last is in
//! private state, and the KMS's own fingerprint shows when somebody else wrote the secret. A secret that isn't configured is
//! left alone.

use super::secret_digest::SecretDigest;
use crate::{
    plugin::{model::Field, private::Private},
    secret::Secret,
};

/// Private state: the digest of the secret that was sent last, unless its version decides.
const DIGEST: &str = "digest";
/// Private state: the beginning of the KMS's fingerprint after the secret was last sent.
const SENT_HASH: &str = "hash";
/// From plan to apply: the plan saw no secret. With `ignore_changes`, the apply still sees one.
const WITHHELD: &str = "withheld";

/// How much of the fingerprint is kept, in characters: enough to notice any change.
const HASH_LENGTH: usize = 8;

/// The attributes of a secret.
pub struct SecretAttribute<M: 'static> {
    /// The attribute of the secret itself, which is write-only.
    pub name: &'static str,
    /// The attribute of its version.
    pub version_name: &'static str,
    /// The attributes that can only be changed together with the secret.
    pub sent_with: &'static [SentWith<M>],
    /// The secret itself.
    pub value: fn(&M) -> &Field<Secret>,
    /// Its version.
    pub version: fn(&M) -> &Field<String>,
    /// The KMS's fingerprint of what it stores. It changes at every write of the secret, and at no other time.
    pub hash: fn(&M) -> &Field<String>,
    /// The fingerprint, to change.
    pub hash_mut: fn(&mut M) -> &mut Field<String>,
}

/// An attribute that can only be changed together with a secret.
pub struct SentWith<M: 'static> {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub value: fn(&M) -> &Field<String>,
    /// Whether two values are the same to the KMS.
    pub is_same: fn(&str, &str) -> bool,
}

impl<M> SentWith<M> {
    /// Whether an update changes it, or may do so because the new value isn't known yet.
    pub fn changes(&self, prior: &M, planned: &M) -> bool {
        let (prior, planned) = ((self.value)(prior), (self.value)(planned));
        match (prior.as_str(), planned.as_str()) {
            (Some(prior), Some(planned)) => prior != planned && !(self.is_same)(prior, planned),
            _ => prior != planned,
        }
    }
}

/// Why a secret is sent although nothing changes that needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Terraform never sent one: the object was imported.
    FirstTime,
    /// The configured secret is another one, or may turn out to be.
    Changed,
    /// Its version is another one, or was set or removed.
    VersionChanged,
    /// Somebody else wrote the secret.
    WrittenElsewhere,
}

impl<M> SecretAttribute<M> {
    /// Why the secret is sent with an update from `prior` to `planned`, if it is. `value` is the configured secret.
    pub fn due(&self, prior: &M, planned: &M, value: &Field<Secret>, private: &Private) -> Option<Due> {
        let version = (self.version)(planned);
        let sent_hash: Option<String> = private.get(SENT_HASH);
        if value.is_null() {
            None
        } else if sent_hash.is_none() {
            Some(Due::FirstTime)
        } else if version != (self.version)(prior) {
            Some(Due::VersionChanged)
        } else if !version.is_null() {
            None
        } else if self.is_written_elsewhere(prior, private) {
            Some(Due::WrittenElsewhere)
        } else {
            let digest: Option<SecretDigest> = private.get(DIGEST);
            let is_same = value.known().zip(digest).is_some_and(|(secret, digest)| digest.matches(secret));
            (!is_same).then_some(Due::Changed)
        }
    }

    /// Whether an update can't be made without the secret, although it isn't due. What isn't known yet may still change.
    pub fn is_needed(&self, prior: &M, planned: &M) -> bool {
        self.is_needed_by(prior, planned, |_| true)
    }

    /// Whether an update can't be made without the secret, whatever unknown values turn out to be.
    pub fn is_surely_needed(&self, prior: &M, planned: &M) -> bool {
        self.is_needed_by(prior, planned, |field| !field.is_unknown())
    }

    fn is_needed_by(&self, prior: &M, planned: &M, counts: fn(&Field<String>) -> bool) -> bool {
        let version = (self.version)(planned);
        let is_version_set = !version.is_null() && version != (self.version)(prior) && counts(version);
        let is_changed =
            |attribute: &SentWith<M>| attribute.changes(prior, planned) && counts((attribute.value)(planned));
        is_version_set || self.sent_with.iter().any(is_changed)
    }

    /// Whether somebody else wrote the secret since Terraform last sent it.
    pub fn is_written_elsewhere(&self, prior: &M, private: &Private) -> bool {
        let sent_hash: Option<String> = private.get(SENT_HASH);
        let hash = (self.hash)(prior).as_str();
        sent_hash.zip(hash).is_some_and(|(sent, hash)| sent != beginning(hash))
    }

    /// Remembers what was just sent, to notice later that it should be sent again.
    pub fn remember(&self, private: &mut Private, secret: &Secret, state: &M) {
        private.set(SENT_HASH, (self.hash)(state).as_str().map(beginning));
        let digest = if (self.version)(state).is_null() { SecretDigest::of(secret) } else { None };
        private.set(DIGEST, digest);
    }
}

fn beginning(hash: &str) -> &str {
    hash.get(..HASH_LENGTH).unwrap_or(hash)
}

/// The digest of the secret that was sent last, as it is stored. Its random key is different for each object.
pub fn digest(private: &Private) -> Option<String> {
    private.get(DIGEST)
}

/// Notes in a plan whether it saw a secret.
pub fn note_withheld(private: &mut Private, value: &Field<Secret>) {
    private.set_planned(WITHHELD, value.is_null().then_some(true));
}

/// Whether the plan saw no secret.
pub fn is_withheld(private: &Private) -> bool {
    private.planned::<bool>(WITHHELD).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Thing {
        url: Field<String>,
        secret: Field<Secret>,
        version: Field<String>,
        hash: Field<String>,
    }

    const SECRET: SecretAttribute<Thing> = SecretAttribute {
        name: "secret",
        version_name: "version",
        sent_with: &[SentWith { name: "url", value: |thing| &thing.url, is_same: str::eq_ignore_ascii_case }],
        value: |thing| &thing.secret,
        version: |thing| &thing.version,
        hash: |thing| &thing.hash,
        hash_mut: |thing| &mut thing.hash,
    };

    fn known(text: &str) -> Field<String> {
        Field::Known(text.to_owned())
    }

    fn secret(text: &str) -> Field<Secret> {
        Field::Known(Secret::new(text))
    }

    fn thing(version: &str) -> Thing {
        let version = if version.is_empty() { Field::Null } else { known(version) };
        Thing { url: known("u"), hash: known("0123456789abcdef-and-more"), version, ..Thing::default() }
    }

    /// The private state after `sent` was sent for `thing`.
    fn sent(sent: &str, thing: &Thing) -> Private {
        let mut private = Private::default();
        SECRET.remember(&mut private, &Secret::new(sent), thing);
        private
    }

    #[test]
    fn what_is_sent_follows_from_version_digest_and_fingerprint() {
        let plain = thing("");
        let foreign = Thing { hash: known("fedcba9876543210-and-more"), ..plain.clone() };
        let (one, two) = (thing("1"), thing("2"));
        let nothing = Private::default();
        let (old, new, unknown) = (secret("old"), secret("new"), Field::unknown());
        let cases = [
            ("the same", &plain, &plain, &old, sent("old", &plain), None),
            ("another one", &plain, &plain, &new, sent("old", &plain), Some(Due::Changed)),
            ("one that opens later", &plain, &plain, &unknown, sent("old", &plain), Some(Due::Changed)),
            ("none any more", &plain, &plain, &Field::Null, sent("old", &plain), None),
            ("none ever", &plain, &plain, &Field::Null, nothing.clone(), None),
            ("the first one", &plain, &plain, &old, nothing.clone(), Some(Due::FirstTime)),
            ("the first one, with a version", &one, &one, &old, nothing, Some(Due::FirstTime)),
            ("written elsewhere", &foreign, &foreign, &old, sent("old", &plain), Some(Due::WrittenElsewhere)),
            ("written elsewhere, none any more", &foreign, &foreign, &Field::Null, sent("old", &plain), None),
            ("a version decides alone", &one, &one, &new, sent("old", &one), None),
            ("another version", &one, &two, &old, sent("old", &one), Some(Due::VersionChanged)),
            ("a first version", &plain, &one, &old, sent("old", &plain), Some(Due::VersionChanged)),
            ("no version any more", &one, &plain, &old, sent("old", &one), Some(Due::VersionChanged)),
            ("no version and no secret any more", &one, &plain, &Field::Null, sent("old", &one), None),
        ];
        for (case, prior, planned, value, private, expected) in cases {
            assert_eq!(SECRET.due(prior, planned, value, &private), expected, "{case}");
        }
    }

    #[test]
    fn what_the_kms_takes_only_together_needs_the_secret() {
        let (plain, one, two) = (thing(""), thing("1"), thing("2"));
        let moved = Thing { url: known("other"), ..plain.clone() };
        let respelled = Thing { url: known("U"), ..plain.clone() };
        let cases = [
            (&plain, &plain, false),
            (&plain, &moved, true),
            (&plain, &respelled, false),
            (&one, &two, true),
            (&one, &plain, false),
        ];
        for (prior, planned, expected) in cases {
            assert_eq!(SECRET.is_needed(prior, planned), expected);
            assert_eq!(SECRET.is_surely_needed(prior, planned), expected);
        }
        let later = Thing { url: Field::unknown(), version: Field::unknown(), ..plain.clone() };
        assert!(SECRET.is_needed(&plain, &later) && !SECRET.is_surely_needed(&plain, &later));
    }

    #[test]
    fn private_state_holds_no_secret_and_no_digest_beside_a_version() {
        let plain = String::from_utf8(sent("dbtc_token", &thing("")).to_bytes()).unwrap();
        assert!(plain.contains(DIGEST) && !plain.contains("dbtc"), "{plain}");
        let versioned = String::from_utf8(sent("dbtc_token", &thing("1")).to_bytes()).unwrap();
        assert_eq!(versioned, "{\"hash\":\"01234567\"}");
    }

    #[test]
    fn that_a_plan_saw_no_secret_is_known_in_the_apply() {
        let mut private = Private::default();
        note_withheld(&mut private, &Field::Null);
        assert!(is_withheld(&private));
        note_withheld(&mut private, &secret("x"));
        assert!(!is_withheld(&private) && private.is_empty());
    }
}
