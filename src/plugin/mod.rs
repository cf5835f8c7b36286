//! A runtime for Terraform providers: protocol 6, minor version 11.
//!
//! It implements Terraform's protocol and is independent of the server behind a provider. A provider implements
//! [`provider::Provider`] and one trait for each kind of type it offers: [`resource::Resource`],
//! [`data_source::DataSource`], [`ephemeral::EphemeralResource`], [`list_resource::ListResource`], [`action::Action`],
//! [`function::Function`]. Its executable calls [`cli::run`].
//!
//! - [`model`], [`schema`], [`value`], [`path`], [`diagnostics`] and [`private`] are the data types.
//! - `plan` and `upgrade` do what needs no code of a resource: defaults, unknown values, replacement, state upgrades.
//! - `server` and `wire` implement the protocol; `managed` and `entry` connect it to the traits.
//! - [`cli`], `process`, `handshake`, `listener`, `host_services`, `interrupts` and `log` implement the plugin's
//!   process.
//! - `messages` has all texts for users, and [`text`] makes hidden characters in the texts of others visible.
//!
//! # Hello, world
//!
//! A resource type needs a model, a schema, and methods that create, read and delete an object. This one is complete;
//! `super` is this module.
//!
#![doc = concat!("```ignore\n", include_str!("hello_world.rs"), "```")]

pub mod action;
pub mod cli;
pub mod context;
pub mod data_source;
pub mod diagnostics;
mod entry;
pub mod ephemeral;
mod field;
pub mod function;
mod handshake;
#[cfg(test)]
mod hello_world;
mod host_services;
mod interrupts;
pub mod list_resource;
mod listener;
mod log;
mod managed;
mod messages;
pub mod model;
pub mod path;
mod plan;
pub mod private;
mod process;
mod proto;
pub mod provider;
pub mod resource;
pub mod schema;
mod server;
pub mod text;
mod upgrade;
pub mod value;
mod wire;

/// The items that `model!` refers to. A macro can't use paths relative to its definition, so it expects this module in
/// the root of the crate.
#[doc(hidden)]
pub mod model_macro {
    pub use super::{
        model::{AttributeType, Attributes, Field, Model, attribute_name, description},
        schema::{Attribute, Kind, Nesting},
        value::{CodecError, Value},
    };
}
