//! The configuration of a client. Nothing here does I/O or reads the environment.
//!
//! The AWS library reads the environment: the `AWS_` variables and the shared config and credentials files,
//! at logins with [`Auth::AwsIam`] only.

use std::{fmt, net::IpAddr, path::PathBuf, time::Duration};

use url::Url;

use super::{
    certificates::CaCertificates,
    custom_headers::CustomHeaders,
    messages,
    proxy::{Proxies, Proxy, ProxyError},
};
use crate::secret::Secret;

/// The configuration of a [`Client`](super::Client), except for the AWS settings that a library reads from
/// the environment.
#[derive(Debug, Clone)]
pub struct Config {
    /// The server.
    pub host: Host,
    /// The auth method.
    pub auth: Auth,
    /// The slug of the sub-organization, sent with every login.
    pub organization_slug: Option<String>,
    /// Certificates to trust in addition to the system's. On Linux, `SSL_CERT_FILE` and `SSL_CERT_DIR`
    /// replace the system's trust store.
    pub ca_certificates: CaCertificates,
    /// Additional headers of every request to the host.
    pub custom_headers: CustomHeaders,
    /// The proxies to use. The proxy settings of macOS and Windows are not read.
    pub proxies: Proxies,
    /// The time limit of one HTTP exchange, from connecting to the last byte of the response.
    pub request_timeout: Duration,
    /// How often a request is repeated after a fault, if that is safe. Waiting for a rate limit isn't a fault.
    pub max_retries: u32,
    /// The maximum total time that one [`Operation`](super::Operation) waits for rate limits.
    pub max_retry_wait: Duration,
    /// The `User-Agent` header.
    pub user_agent: String,
}

impl Config {
    /// The proxy on the way to the server, if there is one.
    ///
    /// # Errors
    /// The proxy must not be used.
    pub(super) fn proxy(&self) -> Result<Option<&Proxy>, ProxyError> {
        if self.host.is_loopback() {
            // All names below localhost, because a proxy must not see plain text that is sent there.
            return Ok(None);
        }
        self.proxies.for_url(&self.host.0)
    }

    /// The proxy on the way to the server and the variable that names it, without its login.
    pub fn proxy_name(&self) -> Option<String> {
        self.proxy().ok().flatten().map(ToString::to_string)
    }
}

/// The address of a KMS, without the `/api` part.
#[derive(Clone, PartialEq, Eq)]
pub struct Host(Url);

impl Host {
    /// Parses an address with or without a trailing `/`, `/api` or `/api/v1`. A path before `/api` is kept, for
    /// installations behind a path of a shared host.
    ///
    /// # Errors
    /// [`HostError`] when it isn't an `http` or `https` URL, or has parts that a server address doesn't have.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        let mut url = Url::parse(text.trim()).map_err(|_| HostError::NotAUrl)?;
        if !matches!(url.scheme(), "http" | "https") {
            // `kms.example.com:8080` is a URL too, of the scheme `kms.example.com`.
            return Err(HostError::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(HostError::Credentials);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(HostError::QueryOrFragment);
        }
        let path = url.path().trim_end_matches('/');
        let path = path.strip_suffix("/api/v1").or_else(|| path.strip_suffix("/api")).unwrap_or(path);
        let path = path.trim_end_matches('/').to_owned();
        url.set_path(&path);
        Ok(Self(url))
    }

    /// Whether tokens would be sent in plain text over a network: `http` to a host other than loopback.
    pub fn is_plain_http_beyond_loopback(&self) -> bool {
        self.is_plain_http() && !self.is_loopback()
    }

    pub(super) fn is_plain_http(&self) -> bool {
        self.0.scheme() == "http"
    }

    pub(super) fn is_loopback(&self) -> bool {
        match self.0.host() {
            Some(url::Host::Domain(name)) => {
                let name = name.trim_end_matches('.');
                name == "localhost" || name.ends_with(".localhost")
            }
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => IpAddr::V6(address).to_canonical().is_loopback(),
            None => false,
        }
    }

    /// The path before `/api`, without a slash at its end.
    pub(super) fn path(&self) -> &str {
        self.0.path().trim_end_matches('/')
    }

    /// The URL of a percent-encoded path that begins with `/`.
    pub(super) fn url(&self, path: &str, query: &[(&'static str, String)]) -> Url {
        let mut url = self.0.clone();
        url.set_path(&format!("{}{path}", self.path()));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// Whether the URL has this host's scheme, host name and port.
    pub(super) fn is_origin_of(&self, url: &Url) -> bool {
        self.0.origin() == url.origin()
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Host({self})")
    }
}

/// Why a text isn't a valid host. It isn't quoted, because it may contain a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// It isn't a URL.
    #[error("{}", messages::host_is_no_url())]
    NotAUrl,
    /// It doesn't begin with `http://` or `https://`.
    #[error("{}", messages::host_has_other_scheme())]
    Scheme,
    /// It contains a user name or a password.
    #[error("{}", messages::host_has_credentials())]
    Credentials,
    /// It has a query or a fragment.
    #[error("{}", messages::host_has_query())]
    QueryOrFragment,
}

/// The auth method.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Auth {
    /// Universal Auth: a client ID and its secret.
    Universal {
        /// The client ID.
        client_id: String,
        /// The client secret.
        client_secret: Secret,
    },
    /// A fixed access token, which can't be renewed.
    Token(Secret),
    /// OIDC Auth: a JWT of an identity provider that the KMS trusts.
    Oidc {
        /// The machine identity's ID.
        identity_id: String,
        /// The JWT.
        jwt: Secret,
    },
    /// Kubernetes Auth: the token of a service account.
    Kubernetes {
        /// The machine identity's ID.
        identity_id: String,
        /// The service account's token.
        service_account_token: ServiceAccountToken,
    },
    /// AWS IAM Auth: a call of AWS STS, signed with credentials from the usual AWS sources.
    AwsIam {
        /// The machine identity's ID.
        identity_id: String,
    },
}

/// The source of a Kubernetes service account token.
#[derive(Debug, Clone)]
pub enum ServiceAccountToken {
    /// The token itself.
    Given(Secret),
    /// A file with the token. It is read at every login, because Kubernetes replaces it about every hour.
    File(PathBuf),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pasted_form_of_a_host_means_the_same_server() {
        for (text, shown) in [
            ("https://kms.example.com", "https://kms.example.com"),
            ("https://kms.example.com/", "https://kms.example.com"),
            ("https://kms.example.com/api", "https://kms.example.com"),
            ("https://kms.example.com/api/", "https://kms.example.com"),
            ("https://kms.example.com/api/v1", "https://kms.example.com"),
            ("https://kms.example.com//api/v1//", "https://kms.example.com"),
            (" https://KMS.example.com:443/api/v1\n", "https://kms.example.com"),
            ("http://localhost:8080/api", "http://localhost:8080"),
            ("https://x.example.com/kms/api/v1/", "https://x.example.com/kms"),
            ("https://x.example.com/rapi", "https://x.example.com/rapi"),
            ("https://x.example.com/api/v2", "https://x.example.com/api/v2"),
        ] {
            let host = Host::parse(text).unwrap();
            assert_eq!(host.to_string(), shown, "{text}");
            let url = host.url("/api/v1/a%2Fb", &[("q", "1 &".to_owned())]);
            assert_eq!(url.as_str(), format!("{shown}/api/v1/a%2Fb?q=1+%26"));
        }
    }

    #[test]
    fn what_is_no_host_is_refused_without_being_repeated() {
        for (text, error) in [
            ("", HostError::NotAUrl),
            ("kms.example.com", HostError::NotAUrl),
            ("https://", HostError::NotAUrl),
            ("kms.example.com:8080", HostError::Scheme),
            ("ftp://kms.example.com", HostError::Scheme),
            ("https://user@kms.example.com", HostError::Credentials),
            ("https://:hunter2@kms.example.com", HostError::Credentials),
            ("https://kms.example.com/?a=b", HostError::QueryOrFragment),
            ("https://kms.example.com/#/login", HostError::QueryOrFragment),
        ] {
            let refused = Host::parse(text).unwrap_err();
            assert_eq!(refused, error, "{text}");
            assert!(!refused.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn plain_http_is_told_apart_from_loopback() {
        for (text, beyond) in [
            ("https://kms.example.com", false),
            ("http://kms.example.com", true),
            ("http://10.0.0.1", true),
            ("http://localhost:3000", false),
            ("http://kms.localhost.", false),
            ("http://localhost.example.com", true),
            ("http://127.8.0.1", false),
            ("http://[::1]:80", false),
            ("http://[::ffff:127.0.0.1]", false),
            ("http://[::2]", true),
        ] {
            assert_eq!(Host::parse(text).unwrap().is_plain_http_beyond_loopback(), beyond, "{text}");
        }
    }

    #[test]
    fn debug_shows_no_secrets() {
        let secret = || Secret::new("hunter2");
        let all = [
            Auth::Universal { client_id: "c".to_owned(), client_secret: secret() },
            Auth::Token(secret()),
            Auth::Oidc { identity_id: "i".to_owned(), jwt: secret() },
            Auth::Kubernetes {
                identity_id: "i".to_owned(),
                service_account_token: ServiceAccountToken::Given(secret()),
            },
        ];
        assert!(!format!("{all:?}").contains("hunter2"));
    }
}
