//! Errors and warnings as Terraform shows them.

use super::path::Path;

/// How grave a diagnostic is. Any error fails the call; warnings never do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The call failed.
    Error,
    /// The call succeeded, and the user should know something.
    Warning,
}

/// One error or warning.
///
/// Terraform prints these texts as they are and redacts nothing: they must never hold the value of a sensitive
/// attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// One line, in the user's terms.
    pub summary: String,
    /// What happened and what to change. Lines that begin with a space are not wrapped.
    pub detail: String,
    /// The attribute to blame, if one is. Terraform shows its line in the configuration.
    pub attribute: Option<Path>,
}

/// The diagnostics of one call, in the order they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// No diagnostics.
    pub fn new() -> Self {
        Self::default()
    }

    /// A single error about the whole.
    pub fn from_error(summary: impl Into<String>, detail: impl Into<String>) -> Self {
        let mut diagnostics = Self::new();
        diagnostics.error(None, summary, detail);
        diagnostics
    }

    /// A single error about one attribute.
    pub fn from_attribute_error(
        attribute: Path,
        summary: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        let mut diagnostics = Self::new();
        diagnostics.error(Some(attribute), summary, detail);
        diagnostics
    }

    /// Adds an error.
    pub fn error(&mut self, attribute: Option<Path>, summary: impl Into<String>, detail: impl Into<String>) {
        self.push(Severity::Error, attribute, summary.into(), detail.into());
    }

    /// Adds a warning.
    pub fn warning(
        &mut self,
        attribute: Option<Path>,
        summary: impl Into<String>,
        detail: impl Into<String>,
    ) {
        self.push(Severity::Warning, attribute, summary.into(), detail.into());
    }

    fn push(&mut self, severity: Severity, attribute: Option<Path>, summary: String, detail: String) {
        self.0.push(Diagnostic { severity, summary, detail, attribute });
    }

    /// Adds all of another call's diagnostics.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Whether any of them is an error.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same with every text changed, for instance to redact what other people's texts in them must not show.
    pub fn map_texts(mut self, change: impl Fn(&str) -> String) -> Self {
        for diagnostic in &mut self.0 {
            diagnostic.summary = change(&diagnostic.summary);
            diagnostic.detail = change(&diagnostic.detail);
        }
        self
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter()
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_can_be_changed() {
        let diagnostics = Diagnostics::from_error("a token", "the token");
        let changed = diagnostics.map_texts(|text| text.replace("token", "(hidden)"));
        assert_eq!(changed, Diagnostics::from_error("a (hidden)", "the (hidden)"));
    }

    #[test]
    fn only_errors_count_as_errors() {
        let mut diagnostics = Diagnostics::new();
        diagnostics.warning(None, "w", "");
        assert!(!diagnostics.has_errors());
        diagnostics.extend(Diagnostics::from_attribute_error(Path::attribute("name"), "e", ""));
        assert!(diagnostics.has_errors());
    }
}
