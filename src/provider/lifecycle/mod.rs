//! The life of an object of the KMS under Terraform, once for every kind of object.
//!
//! ```text
//! object             what a kind of object declares, and the macro that declares its attributes
//! secret, secret_digest   when a secret is sent that the KMS never shows
//! planned_objects    which resource has which name and object at the end of a run
//! create_checks      what a plan asks the KMS before it creates or renames an object
//! environment        failures because of an environment that doesn't exist
//! adoption           taking over an object that exists
//! resource           plan, create, read, update, delete, import
//! lookup             the data source that looks up one object
//! listing            the data source and the list resource that find many
//! ```
//!
//! The texts are in [`messages`](super::messages).

mod adoption;
mod create_checks;
mod environment;
mod import_warnings;
mod listing;
mod lookup;
mod object;
mod planned_objects;
mod resource;
mod secret;
mod secret_digest;
#[cfg(test)]
mod tests;

pub(super) use self::{
    environment::unknown_in,
    import_warnings::{ImportWarning, Imports},
    listing::{ObjectList, ObjectsDataSource},
    lookup::ObjectDataSource,
    object::{Folder, ManagedObject, ObjectModel, ObjectOf, PlaceOf, object, scope_of},
    planned_objects::PlannedObjects,
    resource::ObjectResource,
    secret::{SecretAttribute, SentWith},
};
