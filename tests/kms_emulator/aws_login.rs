//! What AWS would say to the signed call inside an AWS IAM login.
//!
//! The KMS forwards the call to STS, which checks its Signature Version 4. So does this: a signature over the wrong
//! headers or body is refused here as it would be there.

use std::collections::BTreeMap;

use aws_lc_rs::{digest, hmac};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::random::to_hex;

/// Why a login failed.
#[derive(Debug)]
pub enum Refused {
    /// The credential scope names no region, so the KMS doesn't call AWS at all.
    Region,
    /// AWS would refuse the call, for this reason.
    Call(String),
}

impl<T: Into<String>> From<T> for Refused {
    fn from(reason: T) -> Self {
        Self::Call(reason.into())
    }
}

/// Checks the signed `GetCallerIdentity` call against the key of the identity.
///
/// # Errors
/// The reason.
pub fn check(method: &str, body: &str, headers: &str, key_id: &str, secret_key: &str) -> Result<(), Refused> {
    if method != "POST" {
        return Err(format!("iamHttpRequestMethod is {method}, not POST").into());
    }
    let body = STANDARD.decode(body).map_err(|_| "iamRequestBody is not base64")?;
    if body != b"Action=GetCallerIdentity&Version=2011-06-15" {
        return Err("iamRequestBody is not a GetCallerIdentity call".into());
    }
    let headers = STANDARD.decode(headers).map_err(|_| "iamRequestHeaders is not base64")?;
    let headers: BTreeMap<String, Value> =
        serde_json::from_slice(&headers).map_err(|_| "iamRequestHeaders is not a JSON object")?;
    let headers: BTreeMap<String, String> = headers
        .into_iter()
        .map(|(name, value)| match value {
            Value::String(text) => Ok((name.to_lowercase(), text)),
            Value::Number(number) => Ok((name.to_lowercase(), number.to_string())),
            _ => Err(format!("header {name} is not a text")),
        })
        .collect::<Result<_, String>>()?;
    let header = |name: &str| headers.get(name).ok_or(format!("header {name} is missing"));

    let authorization = headers.get("authorization").ok_or(Refused::Region)?;
    let region =
        authorization.split(' ').find_map(|field| field.strip_prefix("Credential=")?.split('/').nth(2));
    if !region.is_some_and(is_region) {
        return Err(Refused::Region);
    }
    let fields = authorization.strip_prefix("AWS4-HMAC-SHA256 ").ok_or("not signed with AWS4-HMAC-SHA256")?;
    let field = |name: &str| {
        let found = fields.split(',').find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='));
        found.ok_or(format!("{name} is missing from the authorization"))
    };
    let credential: Vec<_> = field("Credential")?.split('/').collect();
    let [id, date, region, "sts", "aws4_request"] = credential[..] else {
        return Err("the credential scope is not one of STS".into());
    };
    if id != key_id {
        return Err("unknown access key".into());
    }
    let host = header("host")?;
    if host != "sts.amazonaws.com" && *host != format!("sts.{region}.amazonaws.com") {
        return Err(format!("signed for the host {host}, which is not STS in {region}").into());
    }
    let time = header("x-amz-date")?;
    if !time.starts_with(date) {
        return Err("x-amz-date is not of the day in the credential scope".into());
    }
    let signed = field("SignedHeaders")?;
    let names: Vec<_> = signed.split(';').collect();
    if !names.contains(&"host") || !names.contains(&"x-amz-date") {
        return Err("host and x-amz-date must be signed".into());
    }
    if headers.contains_key("x-amz-security-token") && !names.contains(&"x-amz-security-token") {
        return Err("x-amz-security-token must be signed".into());
    }

    let mut canonical = String::from("POST\n/\n\n");
    for name in &names {
        canonical += &format!("{name}:{}\n", header(name)?.trim());
    }
    canonical += &format!("\n{signed}\n{}", sha256(&body));
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{time}\n{date}/{region}/sts/aws4_request\n{}",
        sha256(canonical.as_bytes())
    );
    let mut key = format!("AWS4{secret_key}").into_bytes();
    for part in [date, region, "sts", "aws4_request"] {
        key = sign(&key, part);
    }
    if to_hex(&sign(&key, &to_sign)) != field("Signature")? {
        return Err("the request signature does not match".into());
    }
    Ok(())
}

fn is_region(text: &str) -> bool {
    (1..=20).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn sha256(bytes: &[u8]) -> String {
    to_hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn sign(key: &[u8], text: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
}
