//! Access tokens: issued by logins, and read from the `Authorization` header of every request.
//!
//! A token is a JWT with the server's signature, whose claims the server checks first; what it is good for, it looks up
//! in its database then. So a token may fail in two ways, and with two statuses.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    answer::Refusal,
    options::{NameRule, Server},
    random,
};

#[derive(Debug)]
struct AccessToken {
    text: String,
    identity_id: String,
    org_id: String,
    expires: Option<Instant>,
    uses_left: Option<u64>,
    /// Revoked, or deleted when it was found to be used up.
    gone: bool,
}

/// Every access token there is.
#[derive(Debug, Default)]
pub struct Tokens(Vec<AccessToken>);

impl Tokens {
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|token| token.text.as_str())
    }

    /// Makes `text` a token that never expires.
    pub fn add(&mut self, text: &str, identity_id: &str, org_id: &str) {
        self.push(text.into(), identity_id, org_id, None, None);
    }

    /// Issues a token; a lifetime of zero is one without end.
    pub fn issue(&mut self, identity_id: &str, org_id: &str, ttl: Duration, uses: Option<u64>) -> String {
        let payload = json!({"identityId": identity_id, "authTokenType": "identityAccessToken"}).to_string();
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let text = format!(
            "{}.{}.{}",
            encode(br#"{"alg":"HS256","typ":"JWT"}"#),
            encode(payload.as_bytes()),
            encode(&random::bytes::<32>())
        );
        let expires = (!ttl.is_zero()).then(|| Instant::now() + ttl);
        self.push(text.clone(), identity_id, org_id, expires, uses);
        text
    }

    fn push(
        &mut self,
        text: String,
        identity_id: &str,
        org_id: &str,
        expires: Option<Instant>,
        uses_left: Option<u64>,
    ) {
        let (identity_id, org_id) = (identity_id.to_owned(), org_id.to_owned());
        self.0.push(AccessToken { text, identity_id, org_id, expires, uses_left, gone: false });
    }

    /// Lets every token that was issued by a login expire now.
    pub fn expire(&mut self) {
        let now = Instant::now();
        let issued = self.0.iter_mut().filter(|token| token.expires.is_some());
        issued.for_each(|token| token.expires = Some(now));
    }

    /// Revokes every token that was issued by a login.
    pub fn revoke(&mut self) {
        self.0.iter_mut().filter(|token| token.expires.is_some()).for_each(|token| token.gone = true);
    }

    /// Whose token a header holds, as ids of identity and organization.
    ///
    /// # Errors
    /// 403 for a token that is expired or could never be one; 401 for one that was revoked or is used up.
    pub fn authenticate(
        &mut self,
        header: &str,
        server: Server,
        rule: NameRule,
    ) -> Result<(String, String), Refusal> {
        // The server cuts off as many bytes as "Bearer " has, whatever they are.
        let text = header.get(7..).unwrap_or_default();
        let Some(token) = self.0.iter_mut().find(|token| token.text == text) else {
            return Err(no_jwt_of_ours(text, rule));
        };
        if token.expires.is_some_and(|expires| expires <= Instant::now()) {
            return Err(Refusal::token_error("Your token has expired. Please re-authenticate."));
        }
        if token.gone {
            return Err(Refusal::unauthorized(match server {
                Server::Hanzo => "No identity access token found",
                Server::Infisical => "Failed to authorize: token has been revoked",
            }));
        }
        if let Some(left) = &mut token.uses_left {
            if *left == 0 {
                return Err(used_up(token, server, rule));
            }
            *left -= 1;
        }
        Ok((token.identity_id.clone(), token.org_id.clone()))
    }
}

fn used_up(token: &mut AccessToken, server: Server, rule: NameRule) -> Refusal {
    if server == Server::Infisical {
        return Refusal::unauthorized("Failed to authorize: token usage limit reached");
    }
    token.gone = true;
    let message = "Unable to renew because access token number of uses limit reached";
    match rule {
        NameRule::Current => Refusal::unauthorized(message),
        NameRule::Older => Refusal::bad_request(message),
    }
}

/// Why a text is none of the server's tokens.
fn no_jwt_of_ours(text: &str, rule: NameRule) -> Refusal {
    if text.is_empty() {
        return Refusal::token_error("jwt must be provided");
    }
    let parts: Vec<_> = text.split('.').collect();
    let [header, payload, signature] = parts[..] else {
        return Refusal::token_error(match rule {
            NameRule::Current => {
                "The provided access token is malformed. Please use a valid token or generate a new one and try again."
            }
            NameRule::Older => "jwt malformed",
        });
    };
    let decode = |part: &str| -> Option<Value> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok()?).ok()
    };
    match (decode(header), decode(payload)) {
        (None, _) => Refusal::token_error("invalid token"),
        (Some(header), None) if header["typ"] == "JWT" => Refusal::internal(),
        (Some(_), _) if signature.is_empty() => Refusal::token_error("jwt signature is required"),
        (Some(header), _) if header["alg"].as_str().is_none_or(|name| !name.starts_with("HS")) => {
            Refusal::token_error(
                "The access token is signed with an invalid algorithm. Please provide a valid token and try again.",
            )
        }
        _ => Refusal::token_error("invalid signature"),
    }
}
