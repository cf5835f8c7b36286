//! How an emulator is set up.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    dbt_cloud::DbtCloud,
    gateway::Gateway,
    identities::{Identity, Organization},
    rate_limit::RateLimits,
};

/// Whose server is emulated. It matters only where the sources of the two differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Server {
    #[default]
    Hanzo,
    Infisical,
}

impl Server {
    /// The server that the environment variable `KMS_TEST_SERVER` names: `hanzo`, the default, or `infisical`.
    ///
    /// # Panics
    /// When it names another.
    pub fn from_environment() -> Self {
        match std::env::var("KMS_TEST_SERVER").as_deref() {
            Err(_) | Ok("" | "hanzo") => Self::Hanzo,
            Ok("infisical") => Self::Infisical,
            Ok(other) => panic!("KMS_TEST_SERVER is {other}, not hanzo or infisical"),
        }
    }
}

/// How fields that a connection may lack are shown when they have no value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EmptyFields {
    /// As the database has them for new connections: `isPlatformManagedCredentials` false, the others null.
    #[default]
    AsStored,
    /// All null, as for rows from before the column existed.
    Null,
    /// Left out.
    Absent,
}

/// What the server has of secret rotations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rotations {
    #[default]
    Licensed,
    /// The routes are there, and the organization's plan allows nothing but deletions.
    Unlicensed,
    /// No route, as in the later states of Hanzo's server.
    Absent,
}

/// Which of two routes to the same thing a server has: one came later, and the earlier one may be gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Routes {
    #[default]
    Both,
    Older,
    Newer,
}

impl Routes {
    pub fn has_older(self) -> bool {
        self != Self::Newer
    }

    pub fn has_newer(self) -> bool {
        self != Self::Older
    }
}

/// How an emulator is set up. The default is the server as it comes: current rules, rate limits on.
#[derive(Clone, Debug)]
pub struct Options {
    pub server: Server,
    /// `None` switches rate limits off.
    pub rate_limits: Option<RateLimits>,
    pub name_rule: NameRule,
    pub identities: Vec<Identity>,
    /// The first is the organization of logins without a slug.
    pub organizations: Vec<Organization>,
    /// Ids and names of the projects of the first organization.
    pub projects: Vec<(String, String)>,
    pub dbt: DbtCloud,
    /// Zero never expires.
    pub access_token_ttl: Duration,
    pub access_token_uses: Option<u64>,
    /// Access tokens that need no login, of the first identity.
    pub static_tokens: Vec<String>,
    /// Fill in `project` in lists, as all servers with connections of projects do.
    pub projects_in_lists: bool,
    pub empty_fields: EmptyFields,
    /// Sort lists as a database does whose collation passes over hyphens.
    pub lists_ignore_hyphens: bool,
    /// Count `version` up at each write, which the server doesn't.
    pub count_versions: bool,
    /// Whether the server knows the right to connect. In one stored tree of Hanzo's it has no name, so nobody has it.
    pub connect_known: bool,
    pub rotations: Rotations,
    /// The database fails where a new rotation is stored, whose token dbt has made by then.
    pub fails_to_store_rotations: bool,
    /// One secret: `/api/v3/secrets/raw/:name` is the older route, `/api/v4/secrets/:name` the newer one.
    pub secret_routes: Routes,
    /// One project: `/api/v2/workspace/:slug` and `/api/v1/workspace/:id` are the older routes, `/api/v1/projects/...` the newer
    /// ones.
    pub project_routes: Routes,
    /// How long a connection may stay open after a response without a further request.
    pub idle_timeout: Duration,
    /// How long a request may take until the server closes the connection without a response, and goes on with the
    /// request. So long may a connection be open before its first request, too.
    pub request_timeout: Duration,
    /// How long a write takes until reads see it, as where the server's database has read replicas. Every operation
    /// begins with such a read.
    pub replica_lag: Duration,
    /// How far the server's clock is ahead of this machine's.
    pub clock_ahead: time::Duration,
    /// A gateway in front, which demands headers of its own.
    pub gateway: Option<Gateway>,
    pub port: u16,
    /// Serve TLS with a certificate of an authority made for the occasion.
    pub tls: bool,
}

impl Default for Options {
    fn default() -> Self {
        let organization = |id: &str, slug: &str| Organization { id: id.into(), slug: slug.into() };
        Self {
            server: Server::from_environment(),
            rate_limits: Some(RateLimits::default()),
            name_rule: NameRule::Current,
            identities: vec![Identity::new(super::IDENTITY_ID, super::CLIENT_ID, super::CLIENT_SECRET)],
            organizations: vec![
                organization(super::ORG_ID, "main"),
                organization("0e4d3c52-93f5-4a0e-8a39-0f3b5e0f7a02", "branch"),
            ],
            projects: vec![
                (super::PROJECT_ID.into(), "analytics".into()),
                (super::OTHER_PROJECT_ID.into(), "platform".into()),
            ],
            dbt: DbtCloud::default(),
            access_token_ttl: Duration::from_secs(30 * 24 * 3600),
            access_token_uses: None,
            static_tokens: vec![super::STATIC_TOKEN.into()],
            projects_in_lists: true,
            empty_fields: EmptyFields::AsStored,
            lists_ignore_hyphens: false,
            count_versions: false,
            connect_known: true,
            rotations: Rotations::Licensed,
            fails_to_store_rotations: false,
            secret_routes: Routes::Both,
            project_routes: Routes::Both,
            idle_timeout: Duration::from_secs(72),
            request_timeout: Duration::from_secs(30),
            replica_lag: Duration::ZERO,
            clock_ahead: time::Duration::ZERO,
            gateway: None,
            port: 0,
            tls: false,
        }
    }
}

impl Options {
    pub fn without_rate_limits(mut self) -> Self {
        self.rate_limits = None;
        self
    }
}

/// Which generation of the name rule the server has, and of what else changed about that time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NameRule {
    /// At most 64 characters; capitals are refused.
    #[default]
    Current,
    /// At most 32 characters; capitals become small letters without a word. A token that is used up is a 400.
    Older,
}
