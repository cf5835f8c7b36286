//! Private state: data that a resource stores beside its attributes. Terraform never shows it, but it is part of the
//! state file.

use std::fmt;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value as Json};

/// The runtime's own key, set until an imported object is first read.
const IMPORTED: &str = ".imported";

/// The key of the data that a plan passes to the apply.
const PLANNED: &str = ".planned";

/// A resource's private state: JSON values by key. Bytes in another format, such as those of another provider, count as
/// empty. Keys that begin with a dot are reserved for the runtime.
#[derive(Clone, Default, PartialEq)]
pub struct Private(Map<String, Json>);

impl Private {
    /// Decodes stored private state.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(serde_json::from_slice(bytes).unwrap_or_default())
    }

    /// Encodes private state for storage: no bytes if it is empty.
    pub fn to_bytes(&self) -> Vec<u8> {
        if self.0.is_empty() { Vec::new() } else { serde_json::to_vec(&self.0).unwrap_or_default() }
    }

    /// Whether it has no values.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of a key. A value of another type counts as missing.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        serde_json::from_value(self.0.get(key)?.clone()).ok()
    }

    /// Sets a value, or removes it if it is `None`.
    pub fn set<T: Serialize>(&mut self, key: &str, value: Option<T>) {
        match value.and_then(|value| serde_json::to_value(value).ok()) {
            Some(json) => self.0.insert(key.to_owned(), json),
            None => self.0.remove(key),
        };
    }

    /// The value that the plan passed under a key, for [`Resource::create`] and [`Resource::update`], and for the plan
    /// of a replacement.
    ///
    /// [`Resource::create`]: super::resource::Resource::create
    /// [`Resource::update`]: super::resource::Resource::update
    pub fn planned<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        serde_json::from_value(self.0.get(PLANNED)?.get(key)?.clone()).ok()
    }

    /// Passes a value from the plan to the apply. It isn't stored after that. `None` removes it.
    pub fn set_planned<T: Serialize>(&mut self, key: &str, value: Option<T>) {
        let mut planned: Map<String, Json> = self.get(PLANNED).unwrap_or_default();
        match value.and_then(|value| serde_json::to_value(value).ok()) {
            Some(json) => planned.insert(key.to_owned(), json),
            None => planned.remove(key),
        };
        self.set(PLANNED, (!planned.is_empty()).then_some(planned));
    }

    /// The private state to store after an apply.
    pub(super) fn without_planned(mut self) -> Self {
        self.0.remove(PLANNED);
        self
    }

    /// The bytes to store after a failed apply, given the planned ones.
    pub(super) fn kept_bytes(bytes: &[u8]) -> Vec<u8> {
        let private = Self::from_bytes(bytes);
        // Bytes in another format are kept unchanged.
        if private.0.contains_key(PLANNED) { private.without_planned().to_bytes() } else { bytes.to_vec() }
    }

    /// Marks the object as imported until its next read.
    pub(super) fn mark_imported(&mut self) {
        self.set(IMPORTED, Some(true));
    }

    /// Whether the object was imported and not read since. Removes the mark.
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
    fn what_a_plan_hands_over_ends_with_the_apply() {
        let mut private = Private::default();
        private.set("kept", Some(1));
        private.set_planned("id", Some("a"));
        private.set_planned("other", None::<u8>);
        let private = Private::from_bytes(&private.to_bytes());
        assert_eq!(
            (private.planned::<String>("id"), private.get::<String>("id")),
            (Some("a".to_owned()), None)
        );
        let stored = private.without_planned();
        assert_eq!((stored.planned::<String>("id"), stored.get::<u8>("kept")), (None, Some(1)));
        let mut private = stored;
        assert_eq!(Private::kept_bytes(b"\x00"), b"\x00");
        private.set_planned("id", Some("a"));
        private.set_planned("id", None::<String>);
        assert_eq!(private.to_bytes(), b"{\"kept\":1}");
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
