//! plugin
pub mod proto;
