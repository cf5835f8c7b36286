//! Which release of Terraform and OpenTofu brought what.

use std::fmt;

/// The two programs that run providers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    Terraform,
    OpenTofu,
}

/// A minor release of one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    pub program: Program,
    /// Major and minor.
    pub version: (u64, u64),
}

impl Release {
    /// Reads what a release calls itself, such as `OpenTofu 1.12.6`; `None` if it isn't that.
    pub fn read(text: &str) -> Option<Self> {
        let (program, version) = text.trim().split_once(' ')?;
        let program = match program {
            "Terraform" => Program::Terraform,
            "OpenTofu" => Program::OpenTofu,
            _ => return None,
        };
        let mut numbers = version.split('.').map(|number| number.parse().ok());
        Some(Self { program, version: (numbers.next()??, numbers.next()??) })
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}.{}", self.program, self.version.0, self.version.1)
    }
}

/// Something that isn't in every release of both, or came with the oldest ones that the provider supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Functions of providers.
    Functions,
    /// Ephemeral resources, variables and outputs.
    EphemeralValues,
    /// Write-only attributes.
    WriteOnlyAttributes,
    /// Import by identity, and identities in state.
    Identities,
    /// List resources and `terraform query`.
    Queries,
    /// Actions.
    Actions,
    /// A provider mocked in module tests, also for a module with ephemeral resources.
    MockedEphemerals,
    /// The private state of the plan, in the plan that the apply makes again.
    PlannedPrivate,
    /// The symbol `caller` in an action, for the resource that triggers it.
    Callers,
    /// The identity of what is replaced, in the plan of what replaces it.
    ReplacedIdentities,
    /// Nulls as elements of nested attributes. OpenTofu crashes on them.
    NullElements,
    /// Errors that point to the line of an attribute within another attribute.
    NestedLines,
    /// Generated configuration without what nested attributes compute.
    LeanGeneratedConfiguration,
}

impl Capability {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Functions,
        Self::EphemeralValues,
        Self::WriteOnlyAttributes,
        Self::Identities,
        Self::Queries,
        Self::Actions,
        Self::MockedEphemerals,
        Self::PlannedPrivate,
        Self::Callers,
        Self::ReplacedIdentities,
        Self::NullElements,
        Self::NestedLines,
        Self::LeanGeneratedConfiguration,
    ];

    /// The first release of a program that has it; `None` as long as there is none.
    pub const fn first(self, program: Program) -> Option<(u64, u64)> {
        match (self, program) {
            (Self::Functions, Program::Terraform) => Some((1, 8)),
            (Self::Functions, Program::OpenTofu) => Some((1, 7)),
            (Self::EphemeralValues, Program::Terraform) => Some((1, 10)),
            (Self::WriteOnlyAttributes, Program::Terraform) => Some((1, 11)),
            (
                Self::EphemeralValues | Self::WriteOnlyAttributes | Self::MockedEphemerals,
                Program::OpenTofu,
            ) => Some((1, 11)),
            (Self::MockedEphemerals, Program::Terraform) => None,
            (Self::PlannedPrivate | Self::Callers, Program::Terraform) => Some((1, 16)),
            (Self::Identities, _) | (Self::ReplacedIdentities, Program::Terraform) => Some((1, 12)),
            (Self::Queries | Self::Actions | Self::LeanGeneratedConfiguration, Program::Terraform) => {
                Some((1, 14))
            }
            (Self::NestedLines, Program::Terraform) => Some((1, 15)),
            (Self::NullElements, Program::Terraform) => Some((1, 0)),
            (
                Self::PlannedPrivate
                | Self::Callers
                | Self::ReplacedIdentities
                | Self::NullElements
                | Self::NestedLines
                | Self::LeanGeneratedConfiguration,
                Program::OpenTofu,
            ) => None,
            (Self::Queries | Self::Actions, Program::OpenTofu) => None,
        }
    }

    /// Whether a release has it.
    pub fn is_in(self, release: Release) -> bool {
        self.first(release.program).is_some_and(|first| release.version >= first)
    }
}

#[test]
fn a_release_has_what_came_with_it_or_before() {
    let has = |name| {
        let release = Release::read(name).unwrap();
        Capability::ALL.into_iter().filter(|capability| capability.is_in(release)).collect::<Vec<_>>()
    };
    use Capability::{
        Callers, EphemeralValues, Functions, Identities, MockedEphemerals, NestedLines, NullElements,
        PlannedPrivate, ReplacedIdentities, WriteOnlyAttributes,
    };
    assert_eq!(has("Terraform 1.6.6"), [NullElements]);
    assert_eq!(has("Terraform 1.9.8"), [Functions, NullElements]);
    assert_eq!(has("Terraform 1.10.5"), [Functions, EphemeralValues, NullElements]);
    let of_1_11 = [Functions, EphemeralValues, WriteOnlyAttributes];
    assert_eq!(has("Terraform 1.11.4"), [&of_1_11[..], &[NullElements]].concat());
    let of_1_13 = [Identities, ReplacedIdentities, NullElements];
    assert_eq!(has("Terraform 1.13.5"), [&of_1_11[..], &of_1_13].concat());
    let lacking = |name| {
        let has = has(name);
        Capability::ALL.into_iter().filter(|capability| !has.contains(capability)).collect::<Vec<_>>()
    };
    assert_eq!(lacking("Terraform 1.14.9"), [MockedEphemerals, PlannedPrivate, Callers, NestedLines]);
    assert_eq!(lacking("Terraform 1.16.0-rc2"), [MockedEphemerals]);
    assert_eq!(has("OpenTofu 1.6.6"), []);
    assert_eq!(has("OpenTofu 1.10.0"), [Functions]);
    assert_eq!(has("OpenTofu 1.11.14"), [&of_1_11[..], &[MockedEphemerals]].concat());
    assert_eq!(has("OpenTofu 1.12.6"), [&of_1_11[..], &[Identities, MockedEphemerals]].concat());
    assert_eq!(Release::read("1.12.6"), None);
}
