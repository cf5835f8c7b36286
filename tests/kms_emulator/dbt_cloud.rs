//! dbt, as the KMS meets it: asked whether credentials are good, and which projects they see.

use serde_json::{Value, json};
use url::Url;

use super::{answer::Refusal, credentials::Credentials};

/// One project at dbt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DbtProject {
    pub id: u64,
    pub name: String,
}

/// One account at dbt, with the tokens that it accepts.
#[derive(Clone, Debug)]
pub struct DbtAccount {
    pub host: String,
    pub account_id: String,
    pub tokens: Vec<String>,
    pub projects: Vec<DbtProject>,
}

/// What dbt accepts.
#[derive(Clone, Debug)]
pub struct DbtCloud {
    /// Accounts known one by one; for them only the listed tokens are good.
    pub accounts: Vec<DbtAccount>,
    /// For any other account of digits on a dbt host: accept tokens that look like dbt's (`dbtu_`, `dbtc_`).
    pub accept_plausible: bool,
    /// Tokens refused everywhere, as after a revocation.
    pub revoked: Vec<String>,
    /// Let local and private hosts pass, as an operator may.
    pub allow_private_hosts: bool,
}

impl Default for DbtCloud {
    fn default() -> Self {
        Self { accounts: Vec::new(), accept_plausible: true, revoked: Vec::new(), allow_private_hosts: false }
    }
}

impl DbtCloud {
    /// The projects that the credentials see.
    ///
    /// # Errors
    /// The server's answer when dbt refuses, or when the host may not be called. It never echoes the token.
    pub fn projects(&self, credentials: &Credentials) -> Result<Vec<DbtProject>, Refusal> {
        let host =
            Url::parse(&credentials.instance_url).ok().and_then(|url| url.host_str().map(str::to_owned));
        let Some(host) = host else {
            return Err(refused("Invalid URL"));
        };
        if is_private(&host) && !self.allow_private_hosts {
            return Err(Refusal::bad_request("Local IPs not allowed as URL"));
        }
        let account = &credentials.account_id;
        let token = &credentials.api_token;
        if let Some(known) =
            self.accounts.iter().find(|known| known.host == host && known.account_id == *account)
        {
            if known.tokens.contains(token) && !self.revoked.contains(token) {
                return Ok(known.projects.clone());
            }
            return Err(refused("Request failed with status code 401: Invalid token."));
        }
        let host_known = is_dbt_host(&host) || self.accounts.iter().any(|known| known.host == host);
        if !(host_known || is_private(&host)) {
            return Err(refused(&format!("getaddrinfo ENOTFOUND {host}")));
        }
        if !token.starts_with("dbtu_") && !token.starts_with("dbtc_") || self.revoked.contains(token) {
            return Err(refused("Request failed with status code 401: Invalid token."));
        }
        if !self.accept_plausible || !account.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(refused("Request failed with status code 404: The requested account was not found."));
        }
        Ok(vec![
            DbtProject { id: 70_471, name: "Analytics".into() },
            DbtProject { id: 70_472, name: "Marketing".into() },
        ])
    }
}

impl DbtProject {
    pub fn to_json(&self) -> Value {
        json!({
            "id": self.id,
            "name": self.name,
            "description": "",
            "createdAt": "2024-05-02T09:00:00.000000+00:00",
            "updatedAt": "2024-05-02T09:00:00.000000+00:00",
        })
    }
}

fn refused(reason: &str) -> Refusal {
    Refusal::bad_request(format!("Failed to validate credentials: {reason}"))
}

fn is_dbt_host(host: &str) -> bool {
    host == "cloud.getdbt.com" || host.ends_with(".getdbt.com") || host.ends_with(".dbt.com")
}

fn is_private(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse() {
        Ok(std::net::IpAddr::V4(ip)) => {
            ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified()
        }
        Ok(std::net::IpAddr::V6(ip)) => {
            ip.is_loopback() || ip.is_unspecified() || ip.is_unique_local() || ip.is_unicast_link_local()
        }
        Err(_) => {
            host == "localhost" || [".localhost", ".local", ".internal"].iter().any(|end| host.ends_with(end))
        }
    }
}
