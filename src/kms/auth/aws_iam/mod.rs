//! AWS IAM Auth: `POST /auth/aws-auth/login` with a signed call of AWS STS.
//!
//! The login proves an AWS identity without revealing its keys: it contains the headers and the body of a signed
//! `GetCallerIdentity` call. The KMS sends that call to STS, whose response names the signer.
//!
//! ```text
//! error     why there are no credentials
//! sources   where AWS credentials and the region come from
//! signing   the signed call
//! http      the HTTP requests of the AWS libraries
//! ```
//!
//! The AWS libraries log whole requests at trace level, including web identity tokens. So they run without a
//! subscriber, and this module logs instead.

mod error;
mod http;
mod signing;
mod sources;

use std::{pin::Pin, time::SystemTime};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Serialize, Serializer};
use tracing::{instrument::WithSubscriber as _, subscriber::NoSubscriber};

pub use self::error::AwsError;
use crate::{
    kms::{Proxies, Redactor},
    secret::Secret,
};

const METHOD: &str = "AWS IAM Auth";
const ROUTE: &str = "/api/v1/auth/aws-auth/login";

/// The body of the login.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Body<'a> {
    identity_id: &'a str,
    iam_http_request_method: &'static str,
    iam_request_body: String,
    /// Anyone with these headers can log in to a KMS until the signature expires.
    #[serde(serialize_with = "exposed")]
    iam_request_headers: Secret,
    #[serde(skip_serializing_if = "Option::is_none")]
    organization_slug: Option<&'a str>,
}

fn exposed<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}

/// Looks for AWS credentials and prepares the login: the method's name, the route and the body. The redactor learns every
/// secret of the login.
pub(super) async fn login<'a>(
    identity_id: &'a str,
    organization_slug: Option<&'a str>,
    proxies: &Proxies,
    redactor: &Redactor,
) -> Result<(&'static str, &'static str, Body<'a>), AwsError> {
    // Boxed, because the libraries' futures are large, and every request's future would contain them.
    let lookup: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(sources::find(proxies));
    let lookup = tokio::time::timeout(error::LOOKUP_LIMIT, lookup.with_subscriber(NoSubscriber::default()));
    let found = lookup.await.map_err(|_| AwsError::TimedOut)??;
    tracing::debug!(source = found.source_name, region = found.region, "found AWS credentials");
    let call = tracing::subscriber::with_default(NoSubscriber::default(), || {
        signing::get_caller_identity(&found.credentials, &found.region, SystemTime::now())
    })?;
    redactor.add(&Secret::new(found.credentials.secret_access_key()));
    call.secrets().for_each(|secret| redactor.add(secret));
    let headers = call.headers_as_base64();
    redactor.add(&headers);
    let body = Body {
        identity_id,
        iam_http_request_method: call.method,
        iam_request_body: STANDARD.encode(call.body),
        iam_request_headers: headers,
        organization_slug,
    };
    Ok((METHOD, ROUTE, body))
}
