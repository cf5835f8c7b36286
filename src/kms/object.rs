//! What the kinds of objects of the KMS have in common: how they are named in routes and responses, and what it takes to
//! recognize one.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{error::Error, request::Request};
use crate::secret::Secret;

/// A kind of object of the KMS, as the KMS shows it.
pub trait Object: DeserializeOwned + Clone + fmt::Debug + PartialEq + Send + Sync + 'static {
    /// The route of the collection, such as `/api/v1/app-connections/dbt`.
    const COLLECTION: &'static str;
    /// The field of a response that holds one object.
    const ONE: &'static str;
    /// The field of a response that holds a list of objects.
    const MANY: &'static str;
    /// Whether a list without a project shows the objects of the whole organization, its projects included.
    const HAS_LIST_OF_ALL: bool;

    /// Where an object is: its name and what the name is unique in.
    type Place: fmt::Debug + Clone + PartialEq + Send + Sync;
    /// An object to create.
    type New: NewObject<Self>;
    /// A change of an object.
    type Patch: ObjectPatch<Self>;
    /// What else becomes of things when an object is deleted.
    type Deletion: fmt::Debug + Clone + Send + Sync;

    /// The ID, a UUID.
    fn id(&self) -> &str;

    /// The ID of the project, unless the organization is the scope.
    fn project_id(&self) -> Option<&str>;

    /// When it was created, in RFC 3339.
    fn created_at(&self) -> &str;

    /// When it was last changed, in RFC 3339.
    fn updated_at(&self) -> &str;

    /// Whether it is of this kind at all. Some routes serve several kinds.
    fn is_of_kind(&self) -> bool;

    /// Whether it shows all that a read of it alone would. Some servers leave fields out of lists.
    fn is_whole(&self) -> bool;

    /// Whether it has the name and the scope.
    fn is_at(&self, place: &Self::Place) -> bool;

    /// The project that a place is in.
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
    /// Whether a create may be sent again after a try of unknown fate, when the KMS shows nothing of it. Not where each try
    /// leaves something behind that the KMS doesn't show.
    const IS_REPEATABLE: bool = true;

    /// The request's body.
    fn body(&self) -> impl Serialize;

    /// The secrets in the body.
    fn secrets(&self) -> Vec<&Secret>;

    /// Where it will be.
    fn place(&self) -> O::Place;

    /// Whether `found` is what the KMS shows after creating this.
    fn is_shown_by(&self, found: &O) -> bool;
}

/// A change of an object.
pub trait ObjectPatch<O: Object>: fmt::Debug + Send + Sync {
    /// The request's body, with what changes and nothing else.
    fn body(&self) -> impl Serialize;

    /// The secrets in the body.
    fn secrets(&self) -> Vec<&Secret>;

    /// Whether it changes nothing.
    fn is_empty(&self) -> bool;

    /// Whether `seen` shows the change. `is_changed_since` says whether `seen` was changed after this was sent.
    fn is_shown_by(&self, seen: &O, is_changed_since: bool) -> bool;

    /// Whether performing the change a second time shows in the object.
    fn leaves_a_mark(&self) -> bool;
}

/// A response that holds one object.
pub(super) struct One<O>(pub(super) O);

/// A response that holds a list of objects. An entry that can't be read is left out: one odd entry must not make the
/// whole list unreadable.
pub(super) struct Many<O> {
    pub(super) objects: Vec<O>,
    /// How many entries were left out.
    pub(super) unreadable: usize,
}

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

/// The list itself. Its entries go right to where they stay: a list of the whole organization is large.
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
        let mut many = Many { objects: Vec::new(), unreadable: 0 };
        while let Some(Entry(object)) = entries.next_element()? {
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

/// An entry of a list, if it can be read and is of the kind.
struct Entry<O>(Option<O>);

impl<'de, O: Object> Deserialize<'de> for Entry<O> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        Ok(Self(serde_json::from_str(raw.get()).ok().filter(O::is_of_kind)))
    }
}

/// Reads a field that may be null like one that is absent.
pub(super) fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
