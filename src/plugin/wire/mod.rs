//! Pure conversions between the generated messages and the vocabulary of this layer. A change of the protocol ends here.

pub(super) mod from_proto;
pub(super) mod to_proto;
