//! How an emulator is set up.

use std::time::Duration;

use super::{
    dbt_cloud::DbtCloud,
    identities::{Identity, Organization},
    rate_limit::RateLimits,
    validation::NameRule,
};

/// How an emulator is set up. The default is the server as it comes: current rules, rate limits on.
#[derive(Clone, Debug)]
pub struct Options {
    /// `None` switches rate limits off.
    pub rate_limits: Option<RateLimits>,
    pub name_rule: NameRule,
    pub identities: Vec<Identity>,
    /// The first is the organization of logins without a slug.
    pub organizations: Vec<Organization>,
    /// Ids and names of the projects of the first organization.
    pub projects: Vec<(String, String)>,
    pub dbt: DbtCloud,
    pub access_token_ttl: Duration,
    pub access_token_uses: Option<u64>,
    /// Access tokens that need no login, of the first identity.
    pub static_tokens: Vec<String>,
    /// Fill in `project` in lists, as some servers do.
    pub projects_in_lists: bool,
    /// Sort lists as a database does whose collation passes over hyphens.
    pub lists_ignore_hyphens: bool,
    /// Count `version` up at each write.
    pub count_versions: bool,
    /// How far the server's clock is ahead of this machine's.
    pub clock_ahead: time::Duration,
    pub port: u16,
    /// Serve TLS with a certificate of an authority made for the occasion.
    pub tls: bool,
}

impl Default for Options {
    fn default() -> Self {
        let organization = |id: &str, slug: &str| Organization { id: id.into(), slug: slug.into() };
        Self {
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
            projects_in_lists: false,
            lists_ignore_hyphens: false,
            count_versions: true,
            clock_ahead: time::Duration::ZERO,
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
