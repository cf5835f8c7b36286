//! dbt, as the KMS meets it: asked whether credentials are good, and which projects they see, and told to make and revoke
//! service tokens.

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value, json};
use url::Url;

use super::{answer::Refusal, credentials::Credentials, random};

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

/// What a service token may do: a set of permissions, in one dbt project or in all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    pub permission_set: String,
    pub project_id: Option<Number>,
}

impl Grant {
    pub fn to_json(&self) -> Value {
        let mut shown = json!({"permissionSet": self.permission_set});
        if let Some(project_id) = &self.project_id {
            shown["projectId"] = Value::Number(project_id.clone());
        }
        shown
    }
}

/// A service token of an account at dbt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceToken {
    pub id: u64,
    pub host: String,
    pub account_id: String,
    pub name: String,
    pub token: String,
    pub grants: Vec<Grant>,
    pub revoked: bool,
}

/// What dbt answers instead of doing what it is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DbtRefusal {
    pub status: u16,
    /// dbt's own words; without any, those of the KMS's HTTP library take their place.
    #[serde(default)]
    pub reason: String,
}

/// Why there is no new token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotIssued {
    /// An error that the KMS has put into words.
    Explained(String),
    /// An error that it has not expected.
    Unexpected(String),
}

impl NotIssued {
    pub fn message(&self) -> &str {
        let (Self::Explained(message) | Self::Unexpected(message)) = self;
        message
    }
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
    /// The service tokens that were made, the revoked ones included.
    pub service_tokens: Vec<ServiceToken>,
    /// dbt answers every call about an account or its projects like this.
    pub answers: Option<DbtRefusal>,
    /// dbt makes the service tokens that it is asked for, and then answers with this status.
    pub creates_then_answers: Option<u16>,
    /// How often dbt was asked for a service token.
    pub asked_for_tokens: usize,
    /// No service token is made.
    pub refuses_to_create: Option<DbtRefusal>,
    /// No service token is revoked.
    pub refuses_to_delete: Option<DbtRefusal>,
}

impl Default for DbtCloud {
    fn default() -> Self {
        Self {
            accounts: Vec::new(),
            accept_plausible: true,
            revoked: Vec::new(),
            allow_private_hosts: false,
            unreachable: None,
            service_tokens: Vec::new(),
            answers: None,
            creates_then_answers: None,
            asked_for_tokens: 0,
            refuses_to_create: None,
            refuses_to_delete: None,
        }
    }
}

/// Why credentials are no good.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Unusable {
    /// The KMS itself finds no host in the URL, which it shows.
    InvalidUrl(String),
    /// The KMS itself refuses the host.
    PrivateHost,
    /// The name server doesn't know the host, which the KMS asks before it calls dbt.
    UnknownHost,
    /// The connection to the host fails with this text.
    Unreachable(String),
    /// dbt answers with this status, and with this reason in its body.
    Refused(u16, String),
}

impl Unusable {
    /// What the KMS says of a URL that it doesn't call.
    fn of_kms(&self) -> Option<String> {
        match self {
            Self::InvalidUrl(url) => Some(format!("Invalid DBT instance URL: {url}")),
            Self::PrivateHost => Some("Local IPs not allowed as URL".to_owned()),
            _ => None,
        }
    }

    /// Whether the KMS repeats a call that ends like this, where it repeats calls at all.
    fn is_repeated(&self) -> bool {
        match self {
            // The one network error that a repeat can't help.
            Self::Unreachable(reason) => !reason.contains("ENOTFOUND"),
            Self::Refused(status, _) => is_repeated(*status),
            _ => false,
        }
    }
}

fn is_repeated(status: u16) -> bool {
    status == 429 || status >= 500
}

/// The calls for one token: the KMS repeats one that fails up to three times.
const CALLS_FOR_A_TOKEN: usize = 4;

/// The words of an answer that refuses: dbt's, or those of the KMS's HTTP library.
fn words(status: u16, reason: &str) -> String {
    if reason.is_empty() { format!("Request failed with status code {status}") } else { reason.to_owned() }
}

impl DbtCloud {
    /// Checks credentials as the KMS does before it stores them: it asks for the account.
    ///
    /// # Errors
    /// The server's refusal when dbt refuses, or when the host may not be called. It never echoes the token, and of
    /// dbt's response it has the status only.
    pub fn check(&self, credentials: &Credentials) -> Result<(), Refusal> {
        self.look_up(credentials).map(|_| ()).map_err(|unusable| {
            let own_words = unusable.of_kms();
            Refusal::bad_request(own_words.unwrap_or_else(|| match unusable {
                Unusable::Unreachable(reason) => format!("Failed to validate credentials: {reason}"),
                Unusable::Refused(status, _) => {
                    format!("Failed to validate credentials: Request failed with status code {status}")
                }
                _ => "Unable to validate connection - verify credentials".to_owned(),
            }))
        })
    }

    /// The projects that the credentials see.
    ///
    /// # Errors
    /// The server's refusal, which has dbt's own reason here.
    pub fn projects(&self, credentials: &Credentials) -> Result<Vec<DbtProject>, Refusal> {
        self.look_up(credentials).map_err(|unusable| {
            let own_words = unusable.of_kms();
            Refusal::bad_request(own_words.unwrap_or_else(|| match unusable {
                Unusable::Unreachable(reason) => format!("Failed to list projects: {reason}"),
                Unusable::Refused(status, reason) => {
                    format!("Failed to list projects: {}", words(status, &reason))
                }
                _ => "Unable to list projects".to_owned(),
            }))
        })
    }

    /// Makes a service token.
    ///
    /// # Errors
    /// What the KMS says of dbt's refusal, or of a host that may not or can't be called.
    pub fn create_service_token(
        &mut self,
        credentials: &Credentials,
        name: &str,
        grants: &[Grant],
    ) -> Result<ServiceToken, NotIssued> {
        let refused =
            |words: String| Err(NotIssued::Explained(format!("Failed to create service token: {words}")));
        if let Err(unusable) = self.look_up(credentials) {
            if let Some(own_words) = unusable.of_kms() {
                return Err(NotIssued::Explained(own_words));
            }
            self.asked_for_tokens += if unusable.is_repeated() { CALLS_FOR_A_TOKEN } else { 1 };
            return match unusable {
                Unusable::Unreachable(reason) => refused(reason),
                Unusable::Refused(status, reason) => refused(words(status, &reason)),
                _ => {
                    let host = host(credentials).unwrap_or_default();
                    Err(NotIssued::Unexpected(format!("queryA ENOTFOUND {host}")))
                }
            };
        }
        if let Some(refusal) = &self.refuses_to_create {
            self.asked_for_tokens += if is_repeated(refusal.status) { CALLS_FOR_A_TOKEN } else { 1 };
            return refused(words(refusal.status, &refusal.reason));
        }
        if let Some(status) = self.creates_then_answers {
            for _ in 0..if is_repeated(status) { CALLS_FOR_A_TOKEN } else { 1 } {
                self.make_service_token(credentials, name, grants);
            }
            return refused(words(status, ""));
        }
        Ok(self.make_service_token(credentials, name, grants))
    }

    fn make_service_token(
        &mut self,
        credentials: &Credentials,
        name: &str,
        grants: &[Grant],
    ) -> ServiceToken {
        self.asked_for_tokens += 1;
        let token = ServiceToken {
            id: 1001 + self.service_tokens.len() as u64,
            host: host(credentials).unwrap_or_default(),
            account_id: credentials.account_id.clone(),
            name: name.into(),
            token: format!("dbtc_{}", random::hex(20)),
            grants: grants.to_vec(),
            revoked: false,
        };
        self.service_tokens.push(token.clone());
        token
    }

    /// Revokes a service token. One that dbt doesn't show is taken for revoked.
    ///
    /// # Errors
    /// What the KMS says when the credentials are no longer good, or when dbt refuses.
    pub fn delete_service_token(&mut self, credentials: &Credentials, id: u64) -> Result<(), String> {
        if self.look_up(credentials).is_err() {
            return Err("Failed to validate connection credentials. Are you sure your configured DBT app connection credentials are valid?".to_owned());
        }
        let host = host(credentials).unwrap_or_default();
        let shown = self.service_tokens.iter_mut().find(|token| {
            token.id == id
                && !token.revoked
                && token.host == host
                && token.account_id == credentials.account_id
        });
        let Some(token) = shown else {
            return Ok(());
        };
        if let Some(refusal) = &self.refuses_to_delete {
            let words = words(refusal.status, &refusal.reason);
            return Err(format!("Failed to remove service token with tokenId {id}: {words}"));
        }
        token.revoked = true;
        Ok(())
    }

    /// The service tokens that work.
    pub fn live_service_tokens(&self) -> impl Iterator<Item = &ServiceToken> {
        self.service_tokens.iter().filter(|token| !token.revoked && !self.revoked.contains(&token.token))
    }

    fn look_up(&self, credentials: &Credentials) -> Result<Vec<DbtProject>, Unusable> {
        let invalid = || Err(Unusable::Refused(401, "Invalid token.".into()));
        let Some(host) = host(credentials) else {
            return Err(Unusable::InvalidUrl(credentials.instance_url.clone()));
        };
        // The name server is asked for everything but IPv4 addresses, and knows no IPv6 address by name.
        if host.is_empty() || host.starts_with('[') {
            return Err(Unusable::UnknownHost);
        }
        if is_private(&host) && !self.allow_private_hosts {
            return Err(Unusable::PrivateHost);
        }
        if let Some(reason) = &self.unreachable {
            return Err(Unusable::Unreachable(reason.clone()));
        }
        if let Some(refusal) = &self.answers {
            return Err(Unusable::Refused(refusal.status, refusal.reason.clone()));
        }
        let account = &credentials.account_id;
        let token = &credentials.api_token;
        if let Some(known) =
            self.accounts.iter().find(|known| known.host == host && known.account_id == *account)
        {
            let made = self
                .live_service_tokens()
                .any(|live| live.token == *token && live.host == host && live.account_id == *account);
            if made || known.tokens.contains(token) && !self.revoked.contains(token) {
                return Ok(known.projects.clone());
            }
            return invalid();
        }
        let host_known = is_dbt_host(&host) || self.accounts.iter().any(|known| known.host == host);
        if !(host_known || is_private(&host)) {
            return Err(Unusable::UnknownHost);
        }
        let revoked = self.revoked.contains(token)
            || self.service_tokens.iter().any(|made| made.token == *token && made.revoked);
        if !token.starts_with("dbtu_") && !token.starts_with("dbtc_") || revoked {
            return invalid();
        }
        if !self.accept_plausible || !account.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Unusable::Refused(404, "The requested resource was not found.".into()));
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

/// The host that the KMS calls, which is empty where the URL has none. `None` where the KMS can't read the URL: to one
/// without `://`, it adds `https://`, whatever the URL begins with.
fn host(credentials: &Credentials) -> Option<String> {
    let text = &credentials.instance_url;
    let url =
        if text.contains("://") { Url::parse(text) } else { Url::parse(&format!("https://{text}")) }.ok()?;
    let host = url.host_str().unwrap_or_default();
    Some(match Url::parse(&format!("https://{host}")) {
        Ok(called) => called.host_str().unwrap_or_default().to_owned(),
        Err(_) => String::new(),
    })
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
