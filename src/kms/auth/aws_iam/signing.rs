//! The signed `GetCallerIdentity` call.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::AwsError;
use crate::secret::Secret;

const METHOD: &str = "POST";
const BODY: &str = "Action=GetCallerIdentity&Version=2011-06-15";
const CONTENT_TYPE: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// The KMS refuses longer names of regions.
const LONGEST_REGION: usize = 20;

/// A signed request, to be sent by somebody else.
pub(super) struct SignedCall {
    pub(super) method: &'static str,
    pub(super) body: &'static str,
    /// With the session token, if there is one.
    headers: Vec<(String, Secret)>,
}

impl SignedCall {
    /// The headers as a JSON object, in base64.
    pub(super) fn headers_as_base64(&self) -> Secret {
        let object: Map<String, Value> =
            self.headers.iter().map(|(name, value)| (name.clone(), Value::from(value.expose()))).collect();
        let json = Zeroizing::new(Value::Object(object).to_string());
        Secret::new(STANDARD.encode(json.as_bytes()))
    }
}

/// Signs a call of `GetCallerIdentity` for the regional endpoint of STS, which is where the KMS sends it.
pub(super) fn get_caller_identity(
    credentials: &Credentials,
    region: &str,
    time: SystemTime,
) -> Result<SignedCall, AwsError> {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if region.is_empty() || region.len() > LONGEST_REGION || !region.chars().all(legal) {
        return Err(AwsError::Region { region: region.to_owned() });
    }
    let host = format!("sts.{region}.amazonaws.com");
    let mut headers = vec![
        ("Host".to_owned(), Secret::new(host.as_str())),
        ("Content-Type".to_owned(), Secret::new(CONTENT_TYPE)),
    ];
    let to_sign = [("host", host.as_str()), ("content-type", CONTENT_TYPE)];
    let scope = Scope { region, service: "sts", time };
    let added = signed_headers(credentials, &scope, &format!("https://{host}/"), &to_sign, BODY.as_bytes())?;
    headers.extend(added);
    Ok(SignedCall { method: METHOD, body: BODY, headers })
}

/// What a signature is valid for.
struct Scope<'a> {
    region: &'a str,
    service: &'a str,
    time: SystemTime,
}

/// Signs a POST request by Signature Version 4 and returns the headers to add to it.
fn signed_headers(
    credentials: &Credentials,
    scope: &Scope<'_>,
    url: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Vec<(String, Secret)>, AwsError> {
    let problem = |error: &dyn std::error::Error| AwsError::Signing { problem: error.to_string() };
    let identity = credentials.clone().into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(scope.region)
        .name(scope.service)
        .time(scope.time)
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| problem(&error))?;
    let request = SignableRequest::new(METHOD, url, headers.iter().copied(), SignableBody::Bytes(body))
        .map_err(|error| problem(&error))?;
    let (instructions, _) = sign(request, &params.into()).map_err(|error| problem(&error))?.into_parts();
    // The KMS looks for this header by its exact name.
    let name = |name: &str| if name == "authorization" { "Authorization" } else { name }.to_owned();
    Ok(instructions.headers().map(|(key, value)| (name(key), Secret::new(value))).collect())
}
