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
    /// No host can be reached, and this is what the KMS's HTTP library says of it.
    pub unreachable: Option<String>,
}

impl Default for DbtCloud {
    fn default() -> Self {
        Self {
            accounts: Vec::new(),
            accept_plausible: true,
            revoked: Vec::new(),
            allow_private_hosts: false,
            unreachable: None,
        }
    }
}

/// Why credentials are no good.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Unusable {
    /// The KMS itself refuses the host.
    PrivateHost,
    /// The name server doesn't know the host, which the KMS asks before it calls dbt.
    UnknownHost,
    /// The connection to the host fails with this text.
    Unreachable(String),
    /// dbt answers with this status, and with this reason in its body.
    Refused(u16, &'static str),
}

impl DbtCloud {
    /// Checks credentials as the KMS does before it stores them: it asks for the account.
    ///
    /// # Errors
    /// The server's refusal when dbt refuses, or when the host may not be called. It never echoes the token, and of
    /// dbt's response it has the status only.
    pub fn check(&self, credentials: &Credentials) -> Result<(), Refusal> {
        self.look_up(credentials).map(|_| ()).map_err(|unusable| {
            Refusal::bad_request(match unusable {
                Unusable::PrivateHost => "Local IPs not allowed as URL".to_owned(),
                Unusable::UnknownHost => "Unable to validate connection - verify credentials".to_owned(),
                Unusable::Unreachable(reason) => format!("Failed to validate credentials: {reason}"),
                Unusable::Refused(status, _) => {
                    format!("Failed to validate credentials: Request failed with status code {status}")
                }
            })
        })
    }

    /// The projects that the credentials see.
    ///
    /// # Errors
    /// The server's refusal, which has dbt's own reason here.
    pub fn projects(&self, credentials: &Credentials) -> Result<Vec<DbtProject>, Refusal> {
        self.look_up(credentials).map_err(|unusable| {
            Refusal::bad_request(match unusable {
                Unusable::PrivateHost => "Local IPs not allowed as URL".to_owned(),
                Unusable::UnknownHost => "Unable to list projects".to_owned(),
                Unusable::Unreachable(reason) => format!("Failed to list projects: {reason}"),
                Unusable::Refused(status, "") => {
                    format!("Failed to list projects: Request failed with status code {status}")
                }
                Unusable::Refused(_, reason) => format!("Failed to list projects: {reason}"),
            })
        })
    }

    fn look_up(&self, credentials: &Credentials) -> Result<Vec<DbtProject>, Unusable> {
        const INVALID: Unusable = Unusable::Refused(401, "Invalid token.");
        const NOT_FOUND: Unusable = Unusable::Refused(404, "The requested resource was not found.");
        let host =
            Url::parse(&credentials.instance_url).ok().and_then(|url| url.host_str().map(str::to_owned));
        let Some(host) = host else {
            return Err(Unusable::UnknownHost);
        };
        // The name server is asked for everything but IPv4 addresses, and knows no IPv6 address by name.
        if host.starts_with('[') {
            return Err(Unusable::UnknownHost);
        }
        if is_private(&host) && !self.allow_private_hosts {
            return Err(Unusable::PrivateHost);
        }
        if let Some(reason) = &self.unreachable {
            return Err(Unusable::Unreachable(reason.clone()));
        }
        let account = &credentials.account_id;
        let token = &credentials.api_token;
        if let Some(known) =
            self.accounts.iter().find(|known| known.host == host && known.account_id == *account)
        {
            if known.tokens.contains(token) && !self.revoked.contains(token) {
                return Ok(known.projects.clone());
            }
            return Err(INVALID);
        }
        let host_known = is_dbt_host(&host) || self.accounts.iter().any(|known| known.host == host);
        if !(host_known || is_private(&host)) {
            return Err(Unusable::UnknownHost);
        }
        if !token.starts_with("dbtu_") && !token.starts_with("dbtc_") || self.revoked.contains(token) {
            return Err(INVALID);
        }
        if !self.accept_plausible || !account.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NOT_FOUND);
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
