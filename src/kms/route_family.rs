//! Which of two families of routes to the same things a server has. Learned once for each client, and remembered.
//!
//! Servers get a newer family beside an older one, which is then deprecated and may go. The newer one is asked for first.
//! If the server's router has no such route, the older one is. What the KMS itself has responded to is kept.

use std::sync::{Mutex, PoisonError};

use super::request::Request;

/// A family of routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// The one that came later.
    Newer,
    /// The one from before.
    Older,
}

/// The requests for one thing, over each of two families.
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

/// What is known of a server's families for one kind of thing.
#[derive(Debug, Default)]
pub(super) struct KnownFamily {
    known: Mutex<Option<Family>>,
    /// Held by the request that finds out. If it is stopped or dropped, the next in line takes over.
    pub(super) turn: tokio::sync::Mutex<()>,
}

impl KnownFamily {
    /// The family that the KMS last responded to.
    pub(super) fn known(&self) -> Option<Family> {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The KMS has responded to a request over this family.
    pub(super) fn learn(&self, family: Family) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(family);
    }
}
