//! The one type that holds secret text. Every layer may use it; nothing else may hold a secret.

use std::fmt;

use zeroize::Zeroizing;

/// Secret text, such as an API token or an access token.
///
/// It can't be printed: `Debug` shows a fixed word, and there is no `Display`, no `Serialize` and no `Deref`. The
/// memory is zeroed on drop. [`Secret::expose`] is the only way to the text, and `tests/layers.rs` counts its callers.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text over.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself, for the few places that must send, compare or digest it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_a_fixed_word() {
        assert_eq!(format!("{:?}", Secret::new("dbtu_x")), "(secret)");
    }
}
