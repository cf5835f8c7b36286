//! Machine identities: who may log in, the access tokens they were given, and what each may do.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::time::Instant;

use super::{
    answer::Refusal,
    aws_login::{self, AwsKeys, AwsLogin},
    random, validation,
};

const WRONG_SECRETS_ALLOWED: u32 = 3;
const LOCKED_FOR: Duration = Duration::from_secs(300);

/// What an identity wants to do with an app connection, or with a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    Read,
    Create,
    Edit,
    Delete,
    Connect,
    ReadSecret,
}

/// Where a right is missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    Everywhere,
    Organization,
    Project(String),
}

/// A right that an identity lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    pub action: Action,
    pub scope: Scope,
}

/// A machine identity with every way to log in.
#[derive(Clone, Debug)]
pub struct Identity {
    pub id: String,
    pub client_id: String,
    pub client_secret: String,
    /// The JWTs accepted for OIDC and Kubernetes logins.
    pub jwts: Vec<String>,
    /// The AWS keys of the principal that may log in: a long-term and a temporary one.
    pub aws_keys: Vec<AwsKeys>,
    pub denied: Vec<Denial>,
    wrong_secrets: u32,
    locked_until: Option<Instant>,
}

impl Identity {
    pub fn new(id: &str, client_id: &str, client_secret: &str) -> Self {
        Self {
            id: id.into(),
            client_id: client_id.into(),
            client_secret: client_secret.into(),
            jwts: vec![super::JWT.into()],
            aws_keys: vec![
                AwsKeys {
                    access_key_id: super::AWS_ACCESS_KEY_ID.into(),
                    secret_access_key: super::AWS_SECRET_ACCESS_KEY.into(),
                    session_token: None,
                },
                AwsKeys {
                    access_key_id: super::AWS_TEMPORARY_ACCESS_KEY_ID.into(),
                    secret_access_key: super::AWS_TEMPORARY_SECRET_ACCESS_KEY.into(),
                    session_token: Some(super::AWS_SESSION_TOKEN.into()),
                },
            ],
            denied: Vec::new(),
            wrong_secrets: 0,
            locked_until: None,
        }
    }

    /// The same identity without one right.
    pub fn without(mut self, action: Action, scope: Scope) -> Self {
        self.denied.push(Denial { action, scope });
        self
    }
}

/// Who makes a request.
#[derive(Clone, Debug)]
pub struct Caller {
    pub org_id: String,
    denied: Vec<Denial>,
}

impl Caller {
    /// # Errors
    /// A 403 when the right is missing; `project_id` is `None` for what belongs to the organization.
    pub fn may(&self, action: Action, project_id: Option<&str>) -> Result<(), Refusal> {
        let covers = |scope: &Scope| match (scope, project_id) {
            (Scope::Everywhere, _) => true,
            (Scope::Organization, project_id) => project_id.is_none(),
            (Scope::Project(denied), Some(project_id)) => denied == project_id,
            (Scope::Project(_), None) => false,
        };
        if !self.denied.iter().any(|denial| denial.action == action && covers(&denial.scope)) {
            return Ok(());
        }
        let (verb, subject) = match action {
            Action::Read => ("read", "app-connections"),
            Action::Create => ("create", "app-connections"),
            Action::Edit => ("edit", "app-connections"),
            Action::Delete => ("delete", "app-connections"),
            Action::Connect => ("connect", "app-connections"),
            Action::ReadSecret => ("readValue", "secrets"),
        };
        Err(Refusal::permission_denied(verb, subject))
    }
}

/// What a request's `Authorization` header turned out to hold.
#[derive(Debug)]
pub enum Presented {
    Nothing,
    UnknownToken,
    Caller(Caller),
}

#[derive(Debug)]
struct AccessToken {
    text: String,
    identity_id: String,
    org_id: String,
    expires: Option<Instant>,
    uses_left: Option<u64>,
}

/// An organization; all but the first are sub-organizations that a login may name by slug.
#[derive(Clone, Debug)]
pub struct Organization {
    pub id: String,
    pub slug: String,
}

/// All identities, with the access tokens issued to them.
#[derive(Debug)]
pub struct Identities {
    pub identities: Vec<Identity>,
    pub organizations: Vec<Organization>,
    pub token_ttl: Duration,
    pub token_uses: Option<u64>,
    tokens: Vec<AccessToken>,
}

impl Identities {
    pub fn new(identities: Vec<Identity>, organizations: Vec<Organization>) -> Self {
        let token_ttl = Duration::from_secs(30 * 24 * 3600);
        Self { identities, organizations, token_ttl, token_uses: None, tokens: Vec::new() }
    }

    /// Makes `text` an access token of the first identity that never expires.
    pub fn add_static_token(&mut self, text: &str) {
        let identity_id = self.identities[0].id.clone();
        let org_id = self.organizations[0].id.clone();
        self.tokens.push(AccessToken {
            text: text.into(),
            identity_id,
            org_id,
            expires: None,
            uses_left: None,
        });
    }

    /// Every access token there is, for the search for leaks.
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        self.tokens.iter().map(|token| token.text.as_str())
    }

    /// Lets every token that was issued by a login expire now.
    pub fn expire_tokens(&mut self) {
        let now = Instant::now();
        self.tokens
            .iter_mut()
            .filter(|token| token.expires.is_some())
            .for_each(|token| token.expires = Some(now));
    }

    /// Reads an `Authorization` header. The server does so on every route, logins included.
    ///
    /// # Errors
    /// A 403 for a token that is expired, used up or malformed.
    pub fn authenticate(&mut self, header: Option<&str>) -> Result<Presented, Refusal> {
        let Some(header) = header else {
            return Ok(Presented::Nothing);
        };
        let text = header.strip_prefix("Bearer ").unwrap_or_default();
        let Some(token) = self.tokens.iter_mut().find(|token| token.text == text) else {
            let parts: Vec<_> = text.split('.').collect();
            let well_formed = parts.len() == 3
                && parts.iter().all(|part| !part.is_empty() && URL_SAFE_NO_PAD.decode(part).is_ok());
            return if well_formed {
                Ok(Presented::UnknownToken)
            } else {
                Err(Refusal::token_error("jwt malformed"))
            };
        };
        if token.expires.is_some_and(|expires| expires <= Instant::now()) {
            return Err(Refusal::token_error("Your token has expired. Please re-authenticate."));
        }
        if let Some(left) = &mut token.uses_left {
            if *left == 0 {
                return Err(Refusal::token_error("Access token number of uses limit reached"));
            }
            *left -= 1;
        }
        let identity = self.identities.iter().find(|identity| identity.id == token.identity_id);
        let denied = identity.map(|identity| identity.denied.clone()).unwrap_or_default();
        Ok(Presented::Caller(Caller { org_id: token.org_id.clone(), denied }))
    }

    /// `POST /auth/universal-auth/login`
    pub fn universal_login(&mut self, body: Option<&Value>) -> Result<Value, Refusal> {
        let [client_id, client_secret] = validation::texts(body, ["clientId", "clientSecret"])?;
        let invalid = || Refusal::unauthorized("Invalid credentials");
        let now = Instant::now();
        let found = self.identities.iter_mut().find(|identity| identity.client_id == client_id);
        let identity = found.ok_or_else(invalid)?;
        if identity.locked_until.is_some_and(|until| now < until) {
            return Err(Refusal::unauthorized(
                "This identity auth method is temporarily locked, please try again later",
            ));
        }
        if identity.client_secret != client_secret {
            identity.wrong_secrets += 1;
            if identity.wrong_secrets >= WRONG_SECRETS_ALLOWED {
                identity.wrong_secrets = 0;
                identity.locked_until = Some(now + LOCKED_FOR);
            }
            return Err(invalid());
        }
        identity.wrong_secrets = 0;
        let identity_id = identity.id.clone();
        self.issue(body, identity_id)
    }

    /// `POST /auth/oidc-auth/login` and `POST /auth/kubernetes-auth/login`
    pub fn jwt_login(&mut self, body: Option<&Value>) -> Result<Value, Refusal> {
        let [identity_id, jwt] = validation::texts(body, ["identityId", "jwt"])?;
        let identity = self.identity(&identity_id)?;
        if !identity.jwts.contains(&jwt) {
            return Err(Refusal::unauthorized("Access denied: the JWT was not accepted"));
        }
        self.issue(body, identity_id)
    }

    /// `POST /auth/aws-auth/login`
    pub fn aws_login(&mut self, body: Option<&Value>) -> Result<Value, Refusal> {
        let [identity_id, request_body, headers] =
            validation::texts(body, ["identityId", "iamRequestBody", "iamRequestHeaders"])?;
        let method =
            validation::optional_text(body, "iamHttpRequestMethod")?.unwrap_or_else(|| "POST".into());
        let found = self.identities.iter().find(|identity| identity.id == identity_id);
        let identity = found.ok_or_else(|| {
            Refusal::not_found("AWS auth method not found for identity, did you configure AWS auth?")
        })?;
        let login = AwsLogin { method: &method, body: &request_body, headers: &headers };
        aws_login::check(login, &identity.aws_keys, OffsetDateTime::now_utc())?;
        self.issue(body, identity_id)
    }

    fn identity(&self, id: &str) -> Result<&Identity, Refusal> {
        let found = self.identities.iter().find(|identity| identity.id == id);
        found.ok_or_else(|| Refusal::unauthorized("Identity not found or auth method not configured"))
    }

    fn issue(&mut self, body: Option<&Value>, identity_id: String) -> Result<Value, Refusal> {
        let organization = match validation::optional_text(body, "organizationSlug")? {
            None => &self.organizations[0],
            Some(slug) => self
                .organizations
                .iter()
                .find(|organization| organization.slug == slug)
                .ok_or_else(|| Refusal::not_found(format!("Organization with slug '{slug}' not found")))?,
        };
        let payload = json!({"identityId": identity_id, "authTokenType": "identityAccessToken"}).to_string();
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let text = format!(
            "{}.{}.{}",
            encode(br#"{"alg":"HS256","typ":"JWT"}"#),
            encode(payload.as_bytes()),
            encode(&random::bytes::<32>())
        );
        let seconds = self.token_ttl.as_secs();
        self.tokens.push(AccessToken {
            text: text.clone(),
            identity_id,
            org_id: organization.id.clone(),
            expires: Some(Instant::now() + self.token_ttl),
            uses_left: self.token_uses,
        });
        Ok(json!({
            "accessToken": text,
            "expiresIn": seconds,
            "accessTokenMaxTTL": seconds,
            "tokenType": "Bearer",
        }))
    }
}
