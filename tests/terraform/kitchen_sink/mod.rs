//! The plugin runtime under the real Terraform, on a provider that isn't the KMS's: the one in `provider/`, which uses
//! everything that the runtime has.

mod workspace;

mod around;
mod identities;
mod nesting;
mod planning;
mod states;
mod validation;
mod write_only;
