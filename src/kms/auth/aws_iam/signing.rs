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

/// The KMS refuses longer region names.
const LONGEST_REGION: usize = 20;

/// A signed request, which the KMS sends.
pub(super) struct SignedCall {
    pub(super) method: &'static str,
    pub(super) body: &'static str,
    /// Includes the session token, if any.
    headers: Vec<(String, Secret)>,
}

impl SignedCall {
    /// The headers that anyone could use in the name of the identity: the signature and the session token.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let is_secret =
            |name: &str| ["authorization", "x-amz-security-token"].contains(&&*name.to_ascii_lowercase());
        self.headers.iter().filter(move |(name, _)| is_secret(name)).map(|(_, value)| value)
    }

    /// The headers as a JSON object, in base64.
    pub(super) fn headers_as_base64(&self) -> Secret {
        let object: Map<String, Value> =
            self.headers.iter().map(|(name, value)| (name.clone(), Value::from(value.expose()))).collect();
        let json = Zeroizing::new(Value::Object(object).to_string());
        Secret::new(STANDARD.encode(json.as_bytes()))
    }
}

/// Signs a call of `GetCallerIdentity` for the regional endpoint of STS, where the KMS sends it.
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

/// The scope of a signature.
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(unix_seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(unix_seconds)
    }

    fn shown(headers: &[(String, Secret)]) -> Vec<(&str, &str)> {
        headers.iter().map(|(name, value)| (name.as_str(), value.expose())).collect()
    }

    #[test]
    fn the_secrets_of_a_call_are_its_signature_and_the_session_token() {
        let credentials = Credentials::new("AKIA", "key", Some("session-token".into()), None, "test");
        let call = get_caller_identity(&credentials, "eu-central-1", at(1_440_938_160)).unwrap();
        let secrets: Vec<&str> = call.secrets().map(Secret::expose).collect();
        assert_eq!(secrets.len(), 2, "{secrets:?}");
        assert!(secrets.contains(&"session-token"));
        assert!(secrets.iter().any(|secret| secret.starts_with("AWS4-HMAC-SHA256 Credential=AKIA/")));
    }

    /// The keys, the time and the signatures are those of AWS's published test suite for Signature Version 4.
    #[test]
    fn signatures_are_those_of_the_published_examples() {
        const SESSION_TOKEN: &str = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==";
        let scope = Scope { region: "us-east-1", service: "service", time: at(1_440_938_160) };
        let sign = |token: Option<&str>, headers: &[(&str, &str)], body: &[u8]| {
            let credentials = Credentials::new(
                "AKIDEXAMPLE",
                "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                token.map(str::to_owned),
                None,
                "test",
            );
            signed_headers(&credentials, &scope, "https://example.amazonaws.com/", headers, body).unwrap()
        };
        let authorization = |signed: &str, signature: &str| {
            format!(
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
                 SignedHeaders={signed}, Signature={signature}"
            )
        };
        let host = ("host", "example.amazonaws.com");
        let date = ("x-amz-date", "20150830T123600Z");

        let vanilla = authorization(
            "host;x-amz-date",
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
        );
        assert_eq!(shown(&sign(None, &[host], b"")), [date, ("Authorization", &vanilla)]);

        let form = authorization(
            "content-type;host;x-amz-date",
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        );
        let content_type = ("content-type", "application/x-www-form-urlencoded");
        let headers = sign(None, &[content_type, host], b"Param1=value1");
        assert_eq!(shown(&headers), [date, ("Authorization", &form)]);

        let with_token = authorization(
            "host;x-amz-date;x-amz-security-token",
            "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
        );
        assert_eq!(
            shown(&sign(Some(SESSION_TOKEN), &[host], b"")),
            [date, ("Authorization", &with_token), ("x-amz-security-token", SESSION_TOKEN)]
        );
    }

    #[test]
    fn the_call_is_for_the_regional_endpoint_and_signed_as_by_the_aws_sdk() {
        let credentials =
            Credentials::new("AKIAEMULATOR00000001", "emulator/aws/secret/key", None, None, "test");
        let call = get_caller_identity(&credentials, "eu-west-1", at(1_795_297_267)).unwrap();
        assert_eq!((call.method, call.body), ("POST", "Action=GetCallerIdentity&Version=2011-06-15"));
        let headers = STANDARD.decode(call.headers_as_base64().expose()).unwrap();
        assert_eq!(
            serde_json::from_slice::<Value>(&headers).unwrap(),
            serde_json::json!({
                "Host": "sts.eu-west-1.amazonaws.com",
                "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
                "x-amz-date": "20261121T214107Z",
                // Computed with another AWS SDK.
                "Authorization": "AWS4-HMAC-SHA256 \
                    Credential=AKIAEMULATOR00000001/20261121/eu-west-1/sts/aws4_request, \
                    SignedHeaders=content-type;host;x-amz-date, \
                    Signature=5cc4538a498ab2dbd361c4aacc6242948b93f533d6a88102c14fbf99638f4c19",
            })
        );
    }

    #[test]
    fn a_region_is_a_part_of_a_host_name() {
        let credentials = Credentials::new("id", "key", None, None, "test");
        for (region, legal) in [
            ("eu-west-1", true),
            ("us-gov-west-1", true),
            ("", false),
            ("eu-west-1.attacker.example", false),
            ("EU-WEST-1", false),
            ("eu/west", false),
            ("much-too-long-a-region", false),
        ] {
            let call = get_caller_identity(&credentials, region, at(0));
            assert_eq!(call.is_ok(), legal, "{region}");
        }
    }
}
