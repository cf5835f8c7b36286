//! Tests of this layer against a scripted server.

mod forecasts;
mod http2;
mod lists;
mod logins;
mod outages;
mod rotations;
mod sending;
mod writes;

use super::{Error, Reason};

fn is_lost(error: &Error) -> bool {
    matches!(error.reason(), Some(Reason::NoResponse { .. }))
}

fn is_unsent(error: &Error) -> bool {
    matches!(error.reason(), Some(Reason::NoConnection { .. }))
}

fn is_unreadable(error: &Error) -> bool {
    matches!(error.reason(), Some(Reason::Unreadable { .. }))
}
