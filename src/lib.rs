//! A Terraform provider for Hanzo KMS.
//!
//! Three layers, each knowing only what lies below it:
//!
//! - [`plugin`]: the Terraform plugin protocol. Knows nothing of the KMS.
//! - [`kms`]: the KMS's HTTP client. Knows nothing of Terraform.
//! - [`provider`]: maps one to the other, one file per Terraform type.
//!
//! [`secret`] is the leaf that all three share: the only type that holds secret text.
//! `tests/layers.rs` holds the sources to these directions.

pub mod kms;
pub mod plugin;
pub mod provider;
pub mod secret;

#[doc(hidden)]
pub use plugin::model_macro;
