//! Pure conversions between the generated messages and the types of this layer, which don't depend on the protocol.

pub(super) mod from_proto;
pub(super) mod to_proto;
