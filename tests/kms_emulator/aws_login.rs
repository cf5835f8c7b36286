//! What an AWS IAM login carries: a signed call of AWS STS, which the server sends on.
//!
//! From the server's sources (`identity-aws-auth-service.ts`, `identity-aws-iam-auth-router.ts`, `error-handler.ts` in
//! its `backend/src`): it takes the region out of the `Authorization` header, calls the STS endpoint of that region and
//! no other with the given method, headers and body, and reads the response as JSON. Whatever goes wrong there,
//! refusals of STS included, ends as an internal error without a reason.

use std::collections::BTreeMap;

use aws_lc_rs::{digest, hmac};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};
use time::{Duration, OffsetDateTime, PrimitiveDateTime, macros::format_description};

use super::{answer::Refusal, random::to_hex};

/// STS takes a signature for this long, before and after its time.
const VALIDITY: Duration = Duration::minutes(5);

/// Keys whose signatures STS accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsKeys {
    pub access_key_id: String,
    pub secret_access_key: String,
    /// Temporary keys have one, and don't work without it.
    pub session_token: Option<String>,
}

/// The fields of a login.
#[derive(Clone, Copy, Debug)]
pub struct AwsLogin<'a> {
    pub method: &'a str,
    pub body: &'a str,
    pub headers: &'a str,
}

/// Does with a login what the server and STS do.
///
/// # Errors
/// The server's refusal.
pub fn check(login: AwsLogin<'_>, keys: &[AwsKeys], now: OffsetDateTime) -> Result<(), Refusal> {
    let internal = |_: String| Refusal::internal();
    let headers = headers(login.headers).map_err(internal)?;
    let authorization =
        ["Authorization", "authorization"].iter().find_map(|name| headers.get(*name)?.as_str());
    let region = authorization.and_then(region).filter(|region| is_region(region));
    let region = region.ok_or_else(|| Refusal::bad_request("Invalid AWS region"))?;
    let call = Call::new(login, region, &headers).map_err(internal)?;
    call.sts(keys, now).map_err(internal)
}

fn headers(base64: &str) -> Result<Map<String, Value>, String> {
    let json = STANDARD.decode(base64).map_err(|_| "iamRequestHeaders is not base64")?;
    serde_json::from_slice(&json).map_err(|_| "iamRequestHeaders is not a JSON object".into())
}

fn region(authorization: &str) -> Option<&str> {
    let credential = authorization.split(' ').find(|field| field.starts_with("Credential="))?;
    credential.split('/').nth(2)
}

fn is_region(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=20).contains(&text.len()) && text.bytes().all(legal)
}

/// The call as the server sends it to STS.
struct Call {
    method: String,
    host: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Call {
    fn new(login: AwsLogin<'_>, region: &str, given: &Map<String, Value>) -> Result<Self, String> {
        let body = STANDARD.decode(login.body).map_err(|_| "iamRequestBody is not base64")?;
        let host = format!("sts.{region}.amazonaws.com");
        // What the server's HTTP library adds by itself.
        let mut headers = BTreeMap::from([
            ("accept".to_owned(), "application/json, text/plain, */*".to_owned()),
            ("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()),
            ("host".to_owned(), host.clone()),
        ]);
        for (name, value) in given {
            let value = match value {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                _ => return Err(format!("header {name} is not a text")),
            };
            headers.insert(name.to_lowercase(), value);
        }
        headers.insert("content-length".into(), body.len().to_string());
        Ok(Self { method: login.method.to_uppercase(), host, headers, body })
    }

    /// What STS says to it. A signature over the wrong headers or body is refused here as it would be there.
    fn sts(&self, keys: &[AwsKeys], now: OffsetDateTime) -> Result<(), String> {
        if self.method != "POST" || self.body != b"Action=GetCallerIdentity&Version=2011-06-15" {
            return Err("not a GetCallerIdentity call".into());
        }
        if !self.header("accept")?.contains("application/json") {
            return Err("STS would respond with XML, which the server can't read".into());
        }
        if self.header("host")? != self.host {
            return Err("the Host header is not that of the endpoint".into());
        }
        let authorization = self.header("authorization")?;
        let fields =
            authorization.strip_prefix("AWS4-HMAC-SHA256 ").ok_or("not signed with AWS4-HMAC-SHA256")?;
        let field = |name: &str| {
            let found =
                fields.split(',').find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='));
            found.ok_or(format!("{name} is missing from the authorization"))
        };
        let credential: Vec<_> = field("Credential")?.split('/').collect();
        let [id, date, region, "sts", "aws4_request"] = credential[..] else {
            return Err("the credential scope is not one of STS".into());
        };
        let keys = keys.iter().find(|keys| keys.access_key_id == id).ok_or("unknown access key")?;
        if self.headers.get("x-amz-security-token") != keys.session_token.as_ref() {
            return Err("the session token is not that of the access key".into());
        }
        let time = self.header("x-amz-date")?;
        if !time.starts_with(date) || (instant(time)? - now).abs() > VALIDITY {
            return Err("the signature has expired, or is not of its day".into());
        }
        let signed = field("SignedHeaders")?;
        let names: Vec<_> = signed.split(';').collect();
        if !names.is_sorted() {
            return Err("the names of signed headers are not sorted".into());
        }
        let amz = self.headers.keys().map(String::as_str).filter(|name| name.starts_with("x-amz-"));
        if let Some(name) = amz.chain(["host"]).find(|name| !names.contains(name)) {
            return Err(format!("{name} must be signed"));
        }

        let mut canonical = String::from("POST\n/\n\n");
        for name in &names {
            let value = self.header(name)?;
            canonical += &format!("{name}:{}\n", value.split_whitespace().collect::<Vec<_>>().join(" "));
        }
        canonical += &format!("\n{signed}\n{}", sha256(&self.body));
        let to_sign = format!(
            "AWS4-HMAC-SHA256\n{time}\n{date}/{region}/sts/aws4_request\n{}",
            sha256(canonical.as_bytes())
        );
        let mut key = format!("AWS4{}", keys.secret_access_key).into_bytes();
        for part in [date, region, "sts", "aws4_request"] {
            key = sign(&key, part);
        }
        if to_hex(&sign(&key, &to_sign)) != field("Signature")? {
            return Err("the request signature does not match".into());
        }
        Ok(())
    }

    fn header(&self, name: &str) -> Result<&str, String> {
        self.headers.get(name).map(String::as_str).ok_or(format!("header {name} is missing"))
    }
}

fn instant(text: &str) -> Result<OffsetDateTime, String> {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    let time = PrimitiveDateTime::parse(text, format).map_err(|_| "x-amz-date is not a time")?;
    Ok(time.assume_utc())
}

fn sha256(bytes: &[u8]) -> String {
    to_hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn sign(key: &[u8], text: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
}
