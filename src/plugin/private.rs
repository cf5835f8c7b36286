//! Private state: what a resource remembers besides its attributes. Terraform keeps it and never shows it, but anyone
//! who can read the state file can read it too.

use std::fmt;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value as Json};

/// The key of the runtime's own entry: the object was imported and not yet read.
const IMPORTED: &str = ".imported";

/// A resource's private state: JSON values by key. Bytes that hold something else, such as those of another kind of
/// provider, count as empty. Keys that begin with a dot belong to the runtime.
#[derive(Clone, Default, PartialEq)]
pub struct Private(Map<String, Json>);

impl Private {
    /// Reads what Terraform kept.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(serde_json::from_slice(bytes).unwrap_or_default())
    }

    /// What Terraform is to keep: no bytes at all where there is nothing to remember.
    pub fn to_bytes(&self) -> Vec<u8> {
        if self.0.is_empty() { Vec::new() } else { Json::Object(self.0.clone()).to_string().into_bytes() }
    }

    /// Whether there is nothing to remember.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of a key. A value of another shape counts as none.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        serde_json::from_value(self.0.get(key)?.clone()).ok()
    }

    /// Remembers a value, or forgets it if it is `None`.
    pub fn set<T: Serialize>(&mut self, key: &str, value: Option<T>) {
        match value.and_then(|value| serde_json::to_value(value).ok()) {
            Some(json) => self.0.insert(key.to_owned(), json),
            None => self.0.remove(key),
        };
    }

    /// Remembers until the next read that the object was just imported.
    pub(super) fn mark_imported(&mut self) {
        self.set(IMPORTED, Some(true));
    }

    /// Whether the object was imported and not read since. Forgets it.
    pub(super) fn take_imported(&mut self) -> bool {
        self.0.remove(IMPORTED).is_some()
    }
}

impl fmt::Debug for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_survives_and_foreign_bytes_count_as_nothing() {
        let mut private = Private::default();
        assert_eq!(private.to_bytes(), b"");
        private.set("hash", Some("abc"));
        private.set("gone", Some(1));
        private.set("gone", None::<u8>);
        let back = Private::from_bytes(&private.to_bytes());
        assert_eq!(back.get::<String>("hash").as_deref(), Some("abc"));
        assert_eq!(back.get::<u8>("hash"), None);
        assert_eq!(back.get::<u8>("gone"), None);
        assert_eq!(Private::from_bytes(b"\x00not json"), Private::default());
        assert_eq!(Private::from_bytes(b"[1]"), Private::default());
    }

    #[test]
    fn an_import_is_remembered_until_it_is_asked_for() {
        let mut private = Private::default();
        private.mark_imported();
        let mut private = Private::from_bytes(&private.to_bytes());
        assert!(private.take_imported() && !private.take_imported());
        assert!(private.is_empty());
    }
}
