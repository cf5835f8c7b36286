//! Why there are no AWS credentials to log in with.

use std::time::Duration;

/// The longest that looking for credentials may take. External processes and slow metadata services need seconds.
pub(super) const LOOKUP_LIMIT: Duration = Duration::from_secs(60);

/// Why the AWS credentials can't be used.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AwsError {
    /// No source has credentials.
    #[error("no AWS credentials were found ({})", tried.join("; "))]
    NotFound {
        /// The sources that were tried, each with the reason why it has none.
        tried: Vec<String>,
    },

    /// A source is configured but doesn't provide credentials. Sources after it were not tried.
    #[error("the AWS credentials can't be loaded from {source_name}: {problem}")]
    Source {
        /// The source, such as `the container's credentials endpoint`.
        source_name: &'static str,
        /// What the source or the AWS library said.
        problem: String,
    },

    /// The sources took too long to respond.
    #[error("looking for AWS credentials took longer than {}s", LOOKUP_LIMIT.as_secs())]
    TimedOut,

    /// The KMS calls STS only in regions whose names have this form.
    #[error("{region:?} can't be the name of an AWS region")]
    Region {
        /// The configured region.
        region: String,
    },

    /// The call of STS can't be signed.
    #[error("the call of AWS STS can't be signed: {problem}")]
    Signing {
        /// What the AWS library said.
        problem: String,
    },
}
