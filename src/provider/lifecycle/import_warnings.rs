//! How many imported objects a run warns of.

/// Terraform looks up the lines of each warning in the configuration, which for a thousand of them takes longer than the
/// import.
const MAX_WARNINGS: usize = 20;

/// The imports of a run so far.
#[derive(Debug, Default)]
pub struct Imports(usize);

/// Whether to warn of an imported object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportWarning {
    /// Show the warning.
    Show,
    /// Show it, and say that it is the last one.
    ShowLast,
    /// Don't show it.
    Hide,
}

impl Imports {
    /// Counts an imported object, and decides whether to warn of it.
    pub fn count(&mut self) -> ImportWarning {
        self.0 += 1;
        match self.0 {
            count if count < MAX_WARNINGS => ImportWarning::Show,
            MAX_WARNINGS => ImportWarning::ShowLast,
            _ => ImportWarning::Hide,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_imports_are_warned_of_up_to_a_limit() {
        let mut imports = Imports::default();
        let warnings: Vec<_> = (0..1000).map(|_| imports.count()).collect();
        let shown = warnings.iter().filter(|warning| **warning == ImportWarning::Show).count();
        assert_eq!(shown, MAX_WARNINGS - 1);
        let last = warnings.iter().position(|warning| *warning == ImportWarning::ShowLast);
        assert_eq!(last, Some(MAX_WARNINGS - 1));
        assert_eq!(warnings.iter().filter(|warning| **warning == ImportWarning::ShowLast).count(), 1);
    }
}
