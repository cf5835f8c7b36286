//! Errors and warnings as Terraform shows them.

use super::path::Path;

/// The severity of a diagnostic. Any error fails the call; warnings never do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The call failed.
    Error,
    /// The call may succeed, but the user should know about something.
    Warning,
}

/// Why a call can't do its work before something else is known or exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deferral {
    /// The configuration of the resource has unknown values.
    ResourceConfigUnknown,
    /// The provider block has unknown values.
    ProviderConfigUnknown,
    /// Something that the resource needs doesn't exist yet.
    AbsentPrerequisite,
}

/// One error or warning.
///
/// Terraform prints these texts unchanged and redacts nothing, so they must never contain the value of a sensitive
/// attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// One line, in the user's terms.
    pub summary: String,
    /// What happened, and what the user can do. Terraform doesn't wrap lines that begin with a space.
    pub detail: String,
    /// The attribute that caused it, if any. Terraform shows its line in the configuration.
    pub attribute: Option<Path>,
    /// Why Terraform can make the call later instead, if it can: see [`Diagnostics::or_deferred`].
    pub deferral: Option<Deferral>,
}

impl Diagnostic {
    /// An error.
    pub fn error(attribute: Option<Path>, summary: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Severity::Error, attribute, summary.into(), detail.into())
    }

    /// A warning.
    pub fn warning(attribute: Option<Path>, summary: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Severity::Warning, attribute, summary.into(), detail.into())
    }

    fn new(severity: Severity, attribute: Option<Path>, summary: String, detail: String) -> Self {
        Self { severity, summary, detail, attribute, deferral: None }
    }
}

/// The diagnostics of one call, in the order in which they were added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// No diagnostics.
    pub fn new() -> Self {
        Self::default()
    }

    /// A single error that isn't about one attribute.
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
        self.push(Diagnostic::error(attribute, summary, detail));
    }

    /// Adds a warning.
    pub fn warning(
        &mut self,
        attribute: Option<Path>,
        summary: impl Into<String>,
        detail: impl Into<String>,
    ) {
        self.push(Diagnostic::warning(attribute, summary, detail));
    }

    /// Adds a diagnostic.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    /// Adds all diagnostics of another collection.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Whether there is an error among them.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same diagnostics, for a failure that passes once something is known or exists. If a call returns
    /// nothing else as its error, and Terraform allows it, the call is deferred: Terraform shows no error,
    /// and makes the call again in its next run. The runtime fills in the response. Where Terraform doesn't
    /// allow it, and in calls that can't be deferred, users see the errors. For a whole provider, return such
    /// an error from the one function by which all types reach its server.
    #[must_use]
    pub fn or_deferred(mut self, deferral: Deferral) -> Self {
        for diagnostic in &mut self.0 {
            diagnostic.deferral = Some(deferral);
        }
        self
    }

    /// Why a call that failed with these diagnostics can be deferred, unless one of them says that it can't.
    pub(super) fn deferral(&self) -> Option<Deferral> {
        let mut deferrals = self.0.iter().map(|diagnostic| diagnostic.deferral);
        let first = deferrals.next()??;
        deferrals.all(|deferral| deferral.is_some()).then_some(first)
    }

    /// The same diagnostics with every text changed, for instance to redact secrets in texts that a server returned.
    pub fn map_texts(mut self, change: impl Fn(&str) -> String) -> Self {
        for diagnostic in &mut self.0 {
            diagnostic.summary = change(&diagnostic.summary);
            diagnostic.detail = change(&diagnostic.detail);
        }
        self
    }

    /// All diagnostics, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter()
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
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
    fn a_failure_is_deferrable_only_as_a_whole() {
        let deferrable = || Diagnostics::from_error("later", "").or_deferred(Deferral::ProviderConfigUnknown);
        assert_eq!(Diagnostics::new().deferral(), None);
        assert_eq!(deferrable().deferral(), Some(Deferral::ProviderConfigUnknown));
        let mut both = deferrable();
        both.extend(deferrable());
        assert_eq!(both.deferral(), Some(Deferral::ProviderConfigUnknown));
        both.error(None, "wrong", "");
        assert_eq!(both.deferral(), None);
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
