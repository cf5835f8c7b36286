//! A runtime for Terraform providers: protocol 6, minor version 11.
//!
//! It knows Terraform and nothing of the KMS. A provider implements [`provider::Provider`] and one trait for each kind of
//! type it offers: [`resource::Resource`], [`data_source::DataSource`], [`ephemeral::EphemeralResource`],
//! [`list_resource::ListResource`], [`action::Action`], [`function::Function`].

pub mod action;
pub mod context;
pub mod data_source;
pub mod diagnostics;
pub mod ephemeral;
pub mod function;
mod handshake;
mod interrupts;
pub mod list_resource;
mod listener;
mod log;
pub mod model;
pub mod path;
pub mod private;
mod proto;
pub mod provider;
pub mod resource;
pub mod schema;
mod serve;
mod server;
mod services;
pub mod start;
pub mod value;
mod wire;
