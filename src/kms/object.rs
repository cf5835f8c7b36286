//! The traits of all kinds of objects in the KMS: their routes, their fields in responses, and how to recognize an
//! object.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{error::Error, redact::Redactor, request::Request};
use crate::secret::Secret;

/// A kind of object, as in responses of the KMS.
pub trait Object: DeserializeOwned + Clone + fmt::Debug + PartialEq + Send + Sync + 'static {
    /// The route of the collection, such as `/api/v1/app-connections/dbt`.
    const COLLECTION: &'static str;
    /// The field of a response that holds one object.
    const ONE: &'static str;
    /// The field of a response that holds a list of objects.
    const MANY: &'static str;
    /// Whether a list without a project returns the objects of the organization and of all its projects.
    const HAS_LIST_OF_ALL: bool;

    /// The place of an object: its name and the scope in which the name is unique.
    type Place: fmt::Debug + Clone + PartialEq + Send + Sync;
    /// An object to create.
    type New: NewObject<Self>;
    /// A change of an object.
    type Patch: ObjectPatch<Self>;
    /// Options for deleting an object.
    type Deletion: fmt::Debug + Clone + Send + Sync;

    /// The ID, a UUID.
    fn id(&self) -> &str;

    /// The ID of its project; `None` if the organization is its scope.
    fn project_id(&self) -> Option<&str>;

    /// When it was created, in RFC 3339.
    fn created_at(&self) -> &str;

    /// When it was last changed, in RFC 3339.
    fn updated_at(&self) -> &str;

    /// Whether it is of this kind. Some routes serve several kinds.
    fn is_of_kind(&self) -> bool;

    /// Whether it has all fields that a single read returns. Some servers omit fields in lists.
    fn is_whole(&self) -> bool;

    /// All its texts, except for the ID and [`message`](Self::message).
    fn texts(&mut self) -> Vec<&mut String>;

    /// The text of another server that it contains, if any.
    fn message(&mut self) -> Option<&mut String> {
        None
    }

    /// Whether it has this name and scope.
    fn is_at(&self, place: &Self::Place) -> bool;

    /// The project of a place.
    fn project_of(place: &Self::Place) -> Option<&str>;

    /// The request for the object at a place.
    ///
    /// # Errors
    /// `Config` when the name can't be part of a URL.
    fn get_by_name(place: &Self::Place) -> Result<Request, Error>;

    /// The request that deletes an object.
    ///
    /// # Errors
    /// `Config` when the ID can't be part of a URL.
    fn delete(id: &str, deletion: Self::Deletion) -> Result<Request, Error>;
}

/// An object to create.
pub trait NewObject<O: Object>: fmt::Debug + Send + Sync {
    /// Whether a create may be repeated after an attempt of unknown fate, if the object isn't found. It may not if each
    /// attempt leaves something behind that the KMS doesn't show.
    const IS_REPEATABLE: bool = true;

    /// The request's body.
    fn body(&self) -> impl Serialize;

    /// The secrets in the body.
    fn secrets(&self) -> Vec<&Secret>;

    /// Its place.
    fn place(&self) -> O::Place;

    /// Whether `found` is equal to the result of this create.
    fn is_shown_by(&self, found: &O) -> bool;
}

/// A change of an object.
pub trait ObjectPatch<O: Object>: fmt::Debug + Send + Sync {
    /// The request's body, which has only the changes.
    fn body(&self) -> impl Serialize;

    /// The secrets in the body.
    fn secrets(&self) -> Vec<&Secret>;

    /// Whether it changes nothing.
    fn is_empty(&self) -> bool;

    /// Whether `seen` has the change. `is_changed_since` is whether `seen` was changed after this was sent.
    fn is_shown_by(&self, seen: &O, is_changed_since: bool) -> bool;

    /// Whether a repetition of the change would be visible in the object.
    fn leaves_a_mark(&self) -> bool;
}

/// Removes secrets from the fields of an object: they end up in states and in messages.
pub(super) fn clean<O: Object>(object: &mut O, redactor: &Redactor) {
    if let Some(message) = object.message() {
        *message = redactor.clean(message);
    }
    object.texts().into_iter().for_each(|text| redactor.hide(text));
}

/// A response with one object.
pub(super) struct One<O>(pub(super) O);

/// A response with a list of objects. Unreadable entries are skipped, so that one of them doesn't make the whole list
/// fail.
pub(super) struct Many<O> {
    pub(super) objects: Vec<O>,
    /// How many entries were skipped.
    pub(super) unreadable: usize,
    /// Whether there are more entries than are decoded. Then none are kept.
    pub(super) is_too_long: bool,
}

/// The maximum number of entries of a list. They take several times as much memory as the response.
pub(super) const MAX_ENTRIES: usize = 10_000;

impl<'de, O: Object> Deserialize<'de> for One<O> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Envelope::<O>::new(O::ONE)).map(One)
    }
}

impl<'de, O: Object> Deserialize<'de> for Many<O> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Envelope::<Entries<O>>::new(O::MANY)).map(|entries| entries.0)
    }
}

/// The list itself. Entries are decoded into their final place, because the list of an organization is large.
struct Entries<O>(Many<O>);

impl<'de, O: Object> Deserialize<'de> for Entries<O> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(EntriesVisitor(PhantomData)).map(Entries)
    }
}

struct EntriesVisitor<O>(PhantomData<O>);

impl<'de, O: Object> Visitor<'de> for EntriesVisitor<O> {
    type Value = Many<O>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Many<O>, A::Error> {
        let mut many = Many { objects: Vec::new(), unreadable: 0, is_too_long: false };
        while let Some(Entry(object)) = entries.next_element()? {
            if many.objects.len() + many.unreadable == MAX_ENTRIES {
                while entries.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(Many { objects: Vec::new(), unreadable: 0, is_too_long: true });
            }
            match object {
                Some(object) => many.objects.push(object),
                None => many.unreadable += 1,
            }
        }
        Ok(many)
    }
}

/// An object around the value of one field.
struct Envelope<T> {
    field: &'static str,
    value: PhantomData<T>,
}

impl<T> Envelope<T> {
    fn new(field: &'static str) -> Self {
        Self { field, value: PhantomData }
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Envelope<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with the field {}", self.field)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut value = None;
        while let Some(field) = map.next_key::<String>()? {
            if field == self.field {
                value = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        value.ok_or_else(|| serde::de::Error::missing_field(self.field))
    }
}

/// An entry of a list; `None` if it is unreadable or of another kind.
struct Entry<O>(Option<O>);

impl<'de, O: Object> Deserialize<'de> for Entry<O> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        let is_usable = |object: &O| object.is_of_kind() && is_id(object.id());
        Ok(Self(serde_json::from_str(raw.get()).ok().filter(is_usable)))
    }
}

/// Whether this can be an ID. Messages show it in commands to copy, so nothing else may be in it.
pub(super) fn is_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Reads a field where null and absent mean the default.
pub(super) fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
