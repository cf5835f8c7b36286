//! A runtime for Terraform providers: protocol 6, minor version 11.
//!
//! It knows Terraform and nothing of the KMS. A provider implements [`provider::Provider`] and one trait per kind of
//! type ([`resource::Resource`], ...); [`serve`] does the rest.

pub mod diagnostics;
pub mod model;
pub mod path;
mod proto;
pub mod schema;
pub mod value;
