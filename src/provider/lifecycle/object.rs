//! What a kind of object declares, so that the lifecycle can manage it.

use std::fmt::Debug;

use super::secret::SecretAttribute;
use crate::{
    kms::{Listed, Object, Scope},
    plugin::{
        diagnostics::Diagnostics,
        model::{Field, Model},
        value::Value,
    },
    provider::messages::attribute_map::AttributeMap,
    secret::Secret,
};

/// A kind of object of the KMS that Terraform manages. Only what is its own: its attributes, where it is, what is secret
/// in it, and how it is compared. All else is the lifecycle's.
pub trait ManagedObject: Clone + Debug + Send + Sync + 'static {
    /// Its attributes, declared by `object!`.
    type Model: ObjectModel;

    /// The name of its resource type, such as `kms_dbt_connection`.
    const TYPE: &'static str;
    /// What people call one, such as `dbt connection`.
    const NOUN: &'static str;
    /// The attribute that holds them in the data source that lists them, such as `connections`.
    const MANY: &'static str;
    /// What the resource is for, in Markdown.
    const DESCRIPTION: &'static str;
    /// The attributes that say where it is: its name first, then those that the name is unique in.
    const PLACE: &'static [&'static str];
    /// The text that finds it by name in an import, in words, such as `NAME for a connection of the organization`.
    const IMPORT_FORMS: &'static str;
    /// Which attributes the errors of the KMS belong to. The fields of requests come from the attributes' declarations.
    const ATTRIBUTES: AttributeMap;
    /// The secret that the configuration holds and the KMS never shows, if there is one.
    const SECRET: Option<SecretAttribute<Self::Model>>;

    /// Where it is. The attributes of [`PLACE`](Self::PLACE) are known.
    fn place(model: &Self::Model) -> PlaceOf<Self>;

    /// The name in a place.
    fn name_of(place: &PlaceOf<Self>) -> &str;

    /// What the name is unique in, in words, such as `the organization`.
    fn scope_words(place: &PlaceOf<Self>) -> String;

    /// The folder of secrets that it is in, if objects of this kind are in one.
    fn folder(_place: &PlaceOf<Self>) -> Option<Folder<'_>> {
        None
    }

    /// Reads the text of an import that isn't an ID. `None` if it is no place.
    fn parse_place(text: &str) -> Option<PlaceOf<Self>>;

    /// The scope of one that was read before. Of an import by ID only the ID is known.
    fn scope(state: &Self::Model) -> Scope<'_>;

    /// The object to create.
    fn new_object(planned: &Self::Model, secret: Option<Secret>) -> NewOf<Self>;

    /// The change from one state to another. The secret is sent if it is given.
    fn patch(prior: &Self::Model, planned: &Self::Model, secret: Option<Secret>) -> PatchOf<Self>;

    /// The attributes in which an existing object is another one than the planned, so that it must not be adopted; each
    /// with what the existing one has, such as `account_id (it has "1")`.
    fn differences(planned: &Self::Model, existing: &ObjectOf<Self>) -> Vec<String>;

    /// Keeps the spelling of the prior state where the KMS shows the same in another one.
    fn keep_spelling(_prior: &Self::Model, _state: &mut Self::Model) {}

    /// What else becomes of things when one is deleted. `is_replaced`: another one takes its place, as
    /// [`takes_place`](Self::takes_place) says.
    fn deletion(state: &Self::Model, is_replaced: bool) -> DeletionOf<Self>;

    /// Whether a replacement can only be created once the deletion has made room for it, besides its name.
    fn takes_place(_prior: &Self::Model, _planned: &Self::Model) -> bool {
        false
    }

    /// Warns of what a plan leads to. There is no prior state in the plan of a create.
    fn review(_prior: Option<&Self::Model>, _planned: &Self::Model, _replaces: bool, _: &mut Diagnostics) {}

    /// Warns of what a destroy leads to.
    fn review_destroy(_prior: &Self::Model, _diagnostics: &mut Diagnostics) {}

    /// What a create that failed halfway may have left behind where the KMS doesn't show it, as a sentence.
    fn leftover(_planned: &Self::Model) -> Option<String> {
        None
    }

    /// Checks what concerns several attributes. Values may be unknown.
    fn validate(_config: &Self::Model, _diagnostics: &mut Diagnostics) {}
}

/// Attributes of an object, and how they come from what the KMS shows. Declared by `object!`.
pub trait ObjectModel: Model + Default + PartialEq {
    /// The object as the KMS shows it.
    type Object: Listed;

    /// The attributes that the KMS shows. The others concern Terraform alone, or are secret.
    const SHOWN: &'static [&'static str];
    /// Each attribute with the path of its field in requests, joined by dots. An empty path stands for the attribute's name
    /// in camel case.
    const FIELDS: &'static [(&'static str, &'static str)];

    /// Sets all that the KMS shows.
    fn show(&mut self, object: &Self::Object);

    /// Sets what is unknown and the KMS shows.
    fn complete(&mut self, object: &Self::Object);

    /// Sets what is unknown as the prior state has it.
    fn keep(&mut self, prior: &Self);

    /// Sets what is known in a configuration as it is there.
    fn keep_known(&mut self, config: Self);

    /// A state of which only the ID is known.
    fn of_id(id: Field<String>) -> Self;

    /// The ID.
    fn id(&self) -> &Field<String>;

    /// The name.
    fn name(&self) -> &Field<String>;

    /// Whether to take over an existing object.
    fn adopt_existing(&self) -> &Field<bool>;

    /// When it was last changed, in RFC 3339.
    fn updated_at(&self) -> &Field<String>;

    /// The state of an object that Terraform didn't make.
    fn found(object: &Self::Object) -> Self {
        let mut state = Self::with_defaults();
        state.show(object);
        state
    }

    /// A state with nothing but the defaults: what no configuration has changed yet.
    fn with_defaults() -> Self {
        let defaults = Self::attributes()
            .into_iter()
            .filter_map(|attribute| attribute.default.map(|default| (attribute.name.into(), default)));
        Self::from_value(Value::Map(defaults.collect())).unwrap_or_default()
    }
}

/// A folder of secrets.
#[derive(Clone, Copy, Debug)]
pub struct Folder<'a> {
    /// The project's ID.
    pub project_id: &'a str,
    /// The environment's slug.
    pub environment: &'a str,
    /// The path; `/` is the root, which each environment has.
    pub path: &'a str,
}

/// The scope of a place.
pub fn scope_of<T: ManagedObject>(place: &PlaceOf<T>) -> Scope<'_> {
    ObjectOf::<T>::project_of(place).map_or(Scope::Organization, Scope::Project)
}

/// The object as the KMS shows it.
pub type ObjectOf<T> = <<T as ManagedObject>::Model as ObjectModel>::Object;
/// Where an object is.
pub type PlaceOf<T> = <ObjectOf<T> as Object>::Place;
/// An object to create.
pub type NewOf<T> = <ObjectOf<T> as Object>::New;
/// What else becomes of things when an object is deleted.
pub type DeletionOf<T> = <ObjectOf<T> as Object>::Deletion;
/// A change of an object.
pub type PatchOf<T> = <ObjectOf<T> as Object>::Patch;

/// Declares the attributes of a kind of object: as [`model!`](crate::model) does, each with what the KMS shows for it.
///
/// ```text
/// object! {
///     /// A thing.
///     pub struct Thing shows kms::Thing {
///         /// What it is called.
///         name: String = required() => |thing| thing.name.clone(),
///         /// Where it points.
///         url: String = required() => "target.url" |thing| thing.target.url.clone(),
///         /// Whether to take over a thing that exists.
///         adopt_existing: bool = optional(),
///     }
/// }
/// ```
///
/// Text before the closure is the path of the field in requests, where it isn't the attribute's name in camel case.
macro_rules! object {
    ($(#[$outer:meta])* pub struct $model:ident shows $object:ty {
        $($(#[doc = $doc:expr])+ $name:ident: $type:ty = $attribute:expr
            $(=> $($path:literal)? $(|$it:ident| $shown:expr)?)?,)*
    }) => {
        $crate::model! {
            $(#[$outer])*
            pub struct $model {
                $($(#[doc = $doc])+ $name: $type = $attribute,)*
            }
        }

        impl $crate::provider::lifecycle::ObjectModel for $model {
            type Object = $object;

            const SHOWN: &'static [&'static str] = &[$($($((stringify!($name), stringify!($it)).0,)?)?)*];

            const FIELDS: &'static [(&'static str, &'static str)] =
                &[$((stringify!($name), concat!($($($path)?)?)),)*];

            fn show(&mut self, object: &$object) {
                $($($({
                    let shown = |$it: &$object| $shown;
                    self.$name = $crate::plugin::model::Field::from(shown(object));
                })?)?)*
            }

            fn complete(&mut self, object: &$object) {
                $($($(if self.$name.is_unknown() {
                    let shown = |$it: &$object| $shown;
                    self.$name = $crate::plugin::model::Field::from(shown(object));
                })?)?)*
            }

            fn keep(&mut self, prior: &Self) {
                $(if self.$name.is_unknown() {
                    self.$name = prior.$name.clone();
                })*
            }

            fn keep_known(&mut self, config: Self) {
                $(if config.$name.known().is_some() {
                    self.$name = config.$name;
                })*
            }

            fn of_id(id: $crate::plugin::model::Field<String>) -> Self {
                Self { id, ..<Self as $crate::provider::lifecycle::ObjectModel>::with_defaults() }
            }

            fn id(&self) -> &$crate::plugin::model::Field<String> {
                &self.id
            }

            fn name(&self) -> &$crate::plugin::model::Field<String> {
                &self.name
            }

            fn adopt_existing(&self) -> &$crate::plugin::model::Field<bool> {
                &self.adopt_existing
            }

            fn updated_at(&self) -> &$crate::plugin::model::Field<String> {
                &self.updated_at
            }
        }
    };
}

pub(in crate::provider) use object;
