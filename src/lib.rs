//! A Terraform provider for Hanzo KMS.
//!
//! It has three layers:
//!
//! - [`plugin`]: the Terraform plugin protocol. It is independent of the KMS.
//! - [`kms`]: the HTTP client of the KMS. It is independent of Terraform.
//! - [`provider`]: the Terraform types of the KMS, built on the other two. Each kind of object has one folder with its
//!   resource, data sources, list and actions, and all share one lifecycle.
//!
//! All layers use [`secret`], which has the only type for secret text. `tests/layers.rs` checks these dependencies, and that
//! the texts for users are in the `messages` modules.

pub mod kms;
pub mod plugin;
pub mod provider;
pub mod secret;

#[doc(hidden)]
pub use plugin::model_macro;
