//! Machine identities: who may log in, and what each may do.

use std::time::Duration;

use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::time::Instant;

pub use super::rights::{Action, Caller, Denial, Scope};
use super::{
    answer::Refusal,
    aws_login::{self, AwsKeys, AwsLogin},
    options::Options,
    tokens::Tokens,
    validation,
};

const WRONG_SECRETS_ALLOWED: u32 = 3;
const LOCKED_FOR: Duration = Duration::from_secs(300);
/// Wrong secrets are forgotten when no further one comes for so long.
const WRONG_SECRETS_REMEMBERED_FOR: Duration = Duration::from_secs(30);

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
    /// The projects that it is a member of; `None` for all.
    pub member_of: Option<Vec<String>>,
    wrong_secrets: u32,
    last_wrong_secret: Option<Instant>,
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
            member_of: None,
            wrong_secrets: 0,
            last_wrong_secret: None,
            locked_until: None,
        }
    }

    /// The same identity without one right.
    pub fn without(mut self, action: Action, scope: Scope) -> Self {
        self.denied.push(Denial { action, scope });
        self
    }

    /// The same identity as a member of these projects only, without any right in the organization.
    pub fn only_in(mut self, projects: &[&str]) -> Self {
        self.member_of = Some(projects.iter().map(|&id| id.into()).collect());
        for action in [Action::Read, Action::Create, Action::Edit, Action::Delete, Action::Connect] {
            self.denied.push(Denial { action, scope: Scope::Organization });
        }
        self
    }
}

/// An organization; all but the first are sub-organizations that a login may name by slug.
#[derive(Clone, Debug)]
pub struct Organization {
    pub id: String,
    pub slug: String,
}

/// A way to log in other than with a client secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwtMethod {
    Oidc,
    Kubernetes,
}

/// All identities, with the access tokens issued to them.
#[derive(Debug)]
pub struct Identities {
    pub identities: Vec<Identity>,
    pub organizations: Vec<Organization>,
    pub token_ttl: Duration,
    pub token_uses: Option<u64>,
    tokens: Tokens,
}

impl Identities {
    pub fn new(identities: Vec<Identity>, organizations: Vec<Organization>) -> Self {
        Self {
            identities,
            organizations,
            token_ttl: Duration::from_secs(30 * 24 * 3600),
            token_uses: None,
            tokens: Tokens::default(),
        }
    }

    /// Makes `text` an access token of the first identity that never expires.
    pub fn add_static_token(&mut self, text: &str) {
        self.tokens.add(text, &self.identities[0].id, &self.organizations[0].id);
    }

    /// Every access token there is, for the search for leaks.
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        self.tokens.texts()
    }

    /// Lets every token that was issued by a login expire now.
    pub fn expire_tokens(&mut self) {
        self.tokens.expire();
    }

    /// Revokes every token that was issued by a login.
    pub fn revoke_tokens(&mut self) {
        self.tokens.revoke();
    }

    /// Reads an `Authorization` header. The server does so on every route, logins included.
    ///
    /// # Errors
    /// A refusal of whatever the header holds, unless it is a good token.
    pub fn authenticate(
        &mut self,
        header: Option<&str>,
        options: &Options,
    ) -> Result<Option<Caller>, Refusal> {
        let Some(header) = header.filter(|header| !header.is_empty()) else {
            return Ok(None);
        };
        let (identity_id, org_id) = self.tokens.authenticate(header, options.server, options.name_rule)?;
        let identity = self.identities.iter().find(|identity| identity.id == identity_id);
        let identity = identity.ok_or_else(|| Refusal::unauthorized("No identity access token found"))?;
        Ok(Some(Caller {
            org_id,
            server: options.server,
            connect_known: options.connect_known,
            denied: identity.denied.clone(),
            member_of: identity.member_of.clone(),
        }))
    }

    /// `POST /auth/universal-auth/login`
    pub fn universal_login(&mut self, body: Option<&Value>) -> Result<Value, Refusal> {
        let ([client_id, client_secret], slug) = validation::login(body, ["clientId", "clientSecret"], &[])?;
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
            if identity.last_wrong_secret.is_none_or(|last| now - last >= WRONG_SECRETS_REMEMBERED_FOR) {
                identity.wrong_secrets = 0;
            }
            identity.wrong_secrets += 1;
            identity.last_wrong_secret = Some(now);
            if identity.wrong_secrets >= WRONG_SECRETS_ALLOWED {
                identity.wrong_secrets = 0;
                identity.locked_until = Some(now + LOCKED_FOR);
            }
            return Err(invalid());
        }
        identity.wrong_secrets = 0;
        let identity_id = identity.id.clone();
        self.issue(&identity_id, slug.as_deref(), "name")
    }

    /// `POST /auth/oidc-auth/login` and `POST /auth/kubernetes-auth/login`
    pub fn jwt_login(&mut self, method: JwtMethod, body: Option<&Value>) -> Result<Value, Refusal> {
        let ([identity_id, jwt], slug) = validation::login(body, ["identityId", "jwt"], &[])?;
        let unknown = match method {
            JwtMethod::Oidc => "OIDC auth method not found for identity, did you configure OIDC auth?",
            JwtMethod::Kubernetes => {
                "Kubernetes auth method not found for identity, did you configure Kubernetes auth?"
            }
        };
        let identity = self.identity(&identity_id, unknown)?;
        if !identity.jwts.contains(&jwt) {
            return Err(match method {
                JwtMethod::Oidc if jwt.split('.').count() != 3 => Refusal::unauthorized("Invalid JWT"),
                JwtMethod::Oidc => Refusal::unauthorized("Access denied: invalid signature"),
                JwtMethod::Kubernetes => Refusal::new(
                    401,
                    "KubernetesTokenReviewError",
                    "[invalid bearer token, token lookup failed]",
                ),
            });
        }
        self.issue(&identity_id, slug.as_deref(), "slug")
    }

    /// `POST /auth/aws-auth/login`
    pub fn aws_login(&mut self, body: Option<&Value>) -> Result<Value, Refusal> {
        let names = ["identityId", "iamRequestBody", "iamRequestHeaders", "iamHttpRequestMethod"];
        let ([identity_id, request_body, headers, method], slug) =
            validation::login(body, names, &[("iamHttpRequestMethod", "POST")])?;
        let identity = self
            .identity(&identity_id, "AWS auth method not found for identity, did you configure AWS auth?")?;
        let login = AwsLogin { method: &method, body: &request_body, headers: &headers };
        aws_login::check(login, &identity.aws_keys, OffsetDateTime::now_utc())?;
        self.issue(&identity_id, slug.as_deref(), "slug")
    }

    fn identity(&self, id: &str, unknown: &str) -> Result<&Identity, Refusal> {
        if uuid::Uuid::try_parse(id).is_err() {
            return Err(Refusal::database("Find one"));
        }
        let found = self.identities.iter().find(|identity| identity.id == id);
        found.ok_or_else(|| Refusal::not_found(unknown))
    }

    fn issue(&mut self, identity_id: &str, slug: Option<&str>, called: &str) -> Result<Value, Refusal> {
        let organization = match slug {
            None => &self.organizations[0],
            Some(slug) => {
                self.organizations[1..].iter().find(|organization| organization.slug == slug).ok_or_else(
                    || Refusal::not_found(format!("Sub organization with {called} {slug} not found")),
                )?
            }
        };
        let text = self.tokens.issue(identity_id, &organization.id, self.token_ttl, self.token_uses);
        let seconds = self.token_ttl.as_secs();
        Ok(json!({
            "accessToken": text,
            "expiresIn": seconds,
            "accessTokenMaxTTL": seconds,
            "tokenType": "Bearer",
        }))
    }
}
