//! The texts about arguments of data sources and list resources, and about what these find.

use super::lifecycle::quoted;
use crate::{
    plugin::{diagnostics::Diagnostics, path::Path},
    provider::lifecycle::ManagedObject,
};

const CONFLICT: &str = "Conflicting arguments";
const MISSING: &str = "Missing argument";

/// Two arguments of which only one may be set. The error is on the second.
pub fn conflict(first: &str, second: &'static str, diagnostics: &mut Diagnostics) {
    let detail = format!("{first:?} and {second:?} are both set. Remove one of them.");
    diagnostics.error(Some(Path::attribute(second)), CONFLICT, detail);
}

/// Two arguments of which one must be set.
pub fn neither(first: &str, second: &str, diagnostics: &mut Diagnostics) {
    diagnostics.error(None, MISSING, format!("Set {first:?} or {second:?}."));
}

/// A look-up with neither ID nor name.
pub fn missing_key<T: ManagedObject>(diagnostics: &mut Diagnostics) {
    let others: Vec<_> = T::PLACE[1..].iter().map(|name| quoted(name)).collect();
    let detail = format!("Set \"id\", or \"name\" together with {} as needed.", others.join(", "));
    diagnostics.error(None, MISSING, detail);
}

/// A look-up by ID with an argument of a look-up by name.
pub fn only_by_name(name: &str, diagnostics: &mut Diagnostics) {
    let detail =
        format!("{name:?} is only for a look-up by name. Remove it, or set \"name\" instead of \"id\".");
    diagnostics.error(Some(Path::attribute(name)), CONFLICT, detail);
}

/// A look-up by name without an argument that it needs.
pub fn needed_by_name(name: &str, diagnostics: &mut Diagnostics) {
    let detail = format!("A look-up by name needs {name:?} too. Set it, or set \"id\" instead of \"name\".");
    diagnostics.error(Some(Path::attribute(name)), MISSING, detail);
}

/// Some objects of a list could not be read.
pub fn incomplete_list(unreadable: usize, noun: &str, diagnostics: &mut Diagnostics) {
    let detail = format!(
        "The KMS listed {unreadable} {noun}s in a form that this version of the provider can't read. They are left out."
    );
    diagnostics.warning(None, "Incomplete list", detail);
}
