//! Which of two route families a server has. Each client determines it once.
//!
//! Newer servers add a route family beside the older one, which is then deprecated and may be removed. The newer one is
//! requested first, and the older one if the server's router doesn't have it. The family that the KMS responded to is
//! remembered.

use std::sync::{Mutex, PoisonError};

use super::request::Request;

/// A family of routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// The newer family.
    Newer,
    /// The older family.
    Older,
}

/// A request on each of the two families.
#[derive(Debug)]
pub(super) struct Either {
    pub(super) newer: Request,
    pub(super) older: Request,
}

impl Either {
    pub(super) fn by(&self, family: Family) -> &Request {
        match family {
            Family::Newer => &self.newer,
            Family::Older => &self.older,
        }
    }
}

impl Family {
    pub(super) fn other(self) -> Self {
        match self {
            Self::Newer => Self::Older,
            Self::Older => Self::Newer,
        }
    }
}

/// The known route family of a server.
#[derive(Debug, Default)]
pub(super) struct KnownFamily {
    known: Mutex<Option<Family>>,
    /// Held by the request that determines it. If that is stopped or dropped, the next one takes over.
    pub(super) turn: tokio::sync::Mutex<()>,
}

impl KnownFamily {
    /// The family that the KMS last responded to.
    pub(super) fn known(&self) -> Option<Family> {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that the KMS responded on this family.
    pub(super) fn learn(&self, family: Family) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(family);
    }
}
