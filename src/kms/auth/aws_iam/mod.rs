//! AWS IAM Auth: `POST /auth/aws-auth/login` with a signed call of AWS STS.
//!
//! The login proves an AWS identity without giving its keys away: it carries the headers and the body of a signed
//! `GetCallerIdentity` call. The KMS sends that call to STS and reads from the response who signed it.
//!
//! ```text
//! sources   where AWS credentials and the region come from
//! signing   the signed call
//! http      the HTTP requests of the AWS libraries
//! ```
//!
//! The AWS libraries log whole requests at trace level, web identity tokens included. So everything that they do runs
//! without a subscriber, and this module logs for them.

mod http;
mod signing;
mod sources;

use std::{
    pin::Pin,
    time::{Duration, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Serialize, Serializer};
use tracing::{instrument::WithSubscriber as _, subscriber::NoSubscriber};

use crate::{
    kms::{ApiError, AuthError},
    secret::Secret,
};

const METHOD: &str = "AWS IAM Auth";
const ROUTE: &str = "/api/v1/auth/aws-auth/login";

/// The longest that looking for credentials may take. External processes and slow metadata services need seconds.
const LOOKUP_LIMIT: Duration = Duration::from_secs(60);

/// The body of the login.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Body<'a> {
    identity_id: &'a str,
    iam_http_request_method: &'static str,
    iam_request_body: String,
    /// Whoever has these headers can present them to a KMS until the signature expires.
    #[serde(serialize_with = "exposed")]
    iam_request_headers: Secret,
    #[serde(skip_serializing_if = "Option::is_none")]
    organization_slug: Option<&'a str>,
}

fn exposed<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}

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

/// Looks for AWS credentials and prepares the login: the method's name, the route and the body.
pub(super) async fn login<'a>(
    identity_id: &'a str,
    organization_slug: Option<&'a str>,
) -> Result<(&'static str, &'static str, Body<'a>), AuthError> {
    // Boxed, because the libraries' futures are deep and large, and every request has room for this one.
    let lookup: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(sources::find());
    let lookup = tokio::time::timeout(LOOKUP_LIMIT, lookup.with_subscriber(NoSubscriber::default()));
    let found = lookup.await.map_err(|_| AwsError::TimedOut)??;
    tracing::debug!(source = found.source_name, region = found.region, "found AWS credentials");
    let call = tracing::subscriber::with_default(NoSubscriber::default(), || {
        signing::get_caller_identity(&found.credentials, &found.region, SystemTime::now())
    })?;
    let body = Body {
        identity_id,
        iam_http_request_method: call.method,
        iam_request_body: STANDARD.encode(call.body),
        iam_request_headers: call.headers_as_base64(),
        organization_slug,
    };
    Ok((METHOD, ROUTE, body))
}

/// Whether this response to a login may mean that STS refused the signed call: the KMS then reports an internal error
/// and no reason.
pub(super) fn may_be_refused_by_sts(answer: &ApiError) -> bool {
    answer.status == ::http::StatusCode::INTERNAL_SERVER_ERROR && answer.req_id.is_some()
}
