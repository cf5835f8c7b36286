//! The errors of AWS credentials.

use std::time::Duration;

use crate::kms::messages;

/// The time limit for the search for credentials. External processes and slow metadata services take seconds.
pub(super) const LOOKUP_LIMIT: Duration = Duration::from_secs(60);

/// Why the AWS credentials can't be used.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AwsError {
    /// No source has credentials.
    #[error("{}", messages::no_aws_credentials(tried))]
    NotFound {
        /// The sources, each with the reason why it has no credentials.
        tried: Vec<String>,
    },

    /// A source is configured but doesn't provide credentials. Sources after it were not tried.
    #[error("{}", messages::failed_aws_source(source_name, problem))]
    Source {
        /// The source, such as `the container's credentials endpoint`.
        source_name: &'static str,
        /// The message of the source or of the AWS library.
        problem: String,
    },

    /// The sources did not respond in time.
    #[error("{}", messages::aws_lookup_timed_out(LOOKUP_LIMIT))]
    TimedOut,

    /// The region name has a form that the KMS refuses.
    #[error("{}", messages::invalid_aws_region(region))]
    Region {
        /// The configured region.
        region: String,
    },

    /// The call of STS can't be signed.
    #[error("{}", messages::unsigned_aws_call(problem))]
    Signing {
        /// The message of the AWS library.
        problem: String,
    },
}
