//! Why there are no AWS credentials to log in with.

use std::time::Duration;

use crate::kms::messages;

/// The longest that looking for credentials may take. External processes and slow metadata services need seconds.
pub(super) const LOOKUP_LIMIT: Duration = Duration::from_secs(60);

/// Why the AWS credentials can't be used.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AwsError {
    /// No source has credentials.
    #[error("{}", messages::no_aws_credentials(tried))]
    NotFound {
        /// The sources that were tried, each with the reason why it has none.
        tried: Vec<String>,
    },

    /// A source is configured but doesn't provide credentials. Sources after it were not tried.
    #[error("{}", messages::failed_aws_source(source_name, problem))]
    Source {
        /// The source, such as `the container's credentials endpoint`.
        source_name: &'static str,
        /// What the source or the AWS library said.
        problem: String,
    },

    /// The sources took too long to respond.
    #[error("{}", messages::aws_lookup_timed_out(LOOKUP_LIMIT))]
    TimedOut,

    /// The KMS calls STS only in regions whose names have this form.
    #[error("{}", messages::invalid_aws_region(region))]
    Region {
        /// The configured region.
        region: String,
    },

    /// The call of STS can't be signed.
    #[error("{}", messages::unsigned_aws_call(problem))]
    Signing {
        /// What the AWS library said.
        problem: String,
    },
}
