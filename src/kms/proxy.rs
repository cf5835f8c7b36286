//! The proxy for a URL, by the rules of Go's `http.ProxyFromEnvironment`: the programs around this one are
//! written in Go, and one set of variables has to mean the same to all of them. `proxy_table.jsonl` has Go's
//! decisions.
//!
//! Two things are added. `ALL_PROXY`, which Go doesn't know, names the proxy where no other variable does.
//! And `socks4` and `socks4a` are what they say, where Go would speak HTTP.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::{Host, Url};

use super::messages;
use crate::secret::Secret;

/// The proxies that the environment names, and the hosts that are reached without one.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    all: Option<Proxy>,
    exceptions: Vec<Exception>,
    /// Whether the process runs as a CGI program, where a header of a request becomes `HTTP_PROXY`.
    is_cgi: bool,
}

impl Proxies {
    /// Takes the proxies from `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, or the same names in
    /// lower case. A value that can't be parsed is ignored, as Go does, with a warning in the log.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: [&'static str; 2]| {
            let set = |name| variable(name).filter(|value| !value.is_empty()).map(|value| (name, value));
            names.into_iter().find_map(set)
        };
        let proxy = |names| {
            let (name, value) = first(names)?;
            let address = Address::parse(&value);
            if address.is_none() {
                tracing::warn!(variable = name, "ignored, because the value is not the URL of a proxy");
            }
            Some(Proxy { variable: name, address: address? })
        };
        Self {
            http: proxy(["HTTP_PROXY", "http_proxy"]),
            https: proxy(["HTTPS_PROXY", "https_proxy"]),
            all: proxy(["ALL_PROXY", "all_proxy"]),
            exceptions: first(["NO_PROXY", "no_proxy"])
                .map(|(_, text)| exceptions(&text))
                .unwrap_or_default(),
            is_cgi: first(["REQUEST_METHOD", "REQUEST_METHOD"]).is_some(),
        }
    }

    /// The proxy for a URL; `None` without one.
    ///
    /// # Errors
    /// [`ProxyError::Cgi`].
    pub(super) fn for_url(&self, url: &Url) -> Result<Option<&Proxy>, ProxyError> {
        let is_http = url.scheme() == "http";
        let own = if is_http { &self.http } else { &self.https };
        if let (true, true, Some(proxy)) = (is_http, self.is_cgi, own) {
            return Err(ProxyError::Cgi { variable: proxy.variable });
        }
        let proxy = own.as_ref().or(self.all.as_ref());
        Ok(proxy.filter(|_| !self.is_exempt(url)))
    }

    fn is_exempt(&self, url: &Url) -> bool {
        let Some(host) = url.host() else { return false };
        let port = url.port_or_known_default().map(|port| port.to_string()).unwrap_or_default();
        let (name, ip) = match host {
            Host::Domain("localhost") => return true,
            Host::Domain(name) => (name, None),
            Host::Ipv4(ip) => ("", Some(IpAddr::V4(ip))),
            Host::Ipv6(ip) => ("", Some(IpAddr::V6(ip).to_canonical())),
        };
        ip.is_some_and(|ip| ip.is_loopback())
            || self.exceptions.iter().any(|exception| exception.has(name, ip, &port))
    }

    /// The secrets that a proxy's page could repeat: only whole logins, because a password such as `proxy` is
    /// part of many texts.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let proxies = [&self.http, &self.https, &self.all].into_iter().flatten();
        proxies.filter_map(|proxy| proxy.address.login.as_ref().map(|login| &login.whole))
    }
}

/// A proxy and the variable that names it. `Display` leaves out its login.
#[derive(Debug, Clone)]
pub(super) struct Proxy {
    variable: &'static str,
    address: Address,
}

impl Proxy {
    /// The proxy as the HTTP library takes it.
    ///
    /// # Errors
    /// [`ProxyError::Unusable`].
    pub(super) fn for_http_library(&self) -> Result<reqwest::Proxy, ProxyError> {
        let unusable = || ProxyError::Unusable { variable: self.variable };
        let address = self.address.for_connecting().ok_or_else(unusable)?;
        // The HTTP library would go without a proxy that it can't parse.
        address.parse::<http::Uri>().map_err(|_| unusable())?;
        reqwest::Proxy::all(&address).map_err(|_| unusable())
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Address { scheme, host, port, .. } = &self.address;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let port = if port.is_empty() { String::new() } else { format!(":{port}") };
        f.write_str(&messages::proxy(&format!("{scheme}://{host}{port}"), self.variable))
    }
}

/// Why a request can't be sent. The value of the variable isn't quoted, because it may contain a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum ProxyError {
    /// The process is a CGI program, so that whoever sends it a request could choose the proxy.
    #[error("{}", messages::proxy_in_cgi(variable))]
    Cgi { variable: &'static str },
    /// The variable has no host, or one that can't be connected to.
    #[error("{}", messages::unusable_proxy(variable))]
    Unusable { variable: &'static str },
}

/// The URL of a proxy, as far as it matters.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Address {
    scheme: String,
    /// Without brackets; may be empty.
    host: String,
    port: String,
    login: Option<Login>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Login {
    user: String,
    password: Secret,
    /// User name and password with a colon between them.
    whole: Secret,
}

impl Address {
    /// A URL, or a host with or without a port.
    fn parse(text: &str) -> Option<Self> {
        let url = parse_url(text);
        match &url {
            Some(whole) if !whole.scheme.is_empty() && whole.has_host() => url,
            _ => parse_url(&format!("http://{text}")).or(url),
        }
    }

    fn has_host(&self) -> bool {
        !self.host.is_empty() || !self.port.is_empty()
    }

    /// The address in a form that the HTTP library takes, with the login.
    fn for_connecting(&self) -> Option<String> {
        let (scheme, default_port) = match self.scheme.as_str() {
            "http" => ("http", "80"),
            "https" => ("https", "443"),
            // As Go does, both forms leave the name to the proxy.
            "socks5" | "socks5h" => ("socks5h", "1080"),
            "socks4" => ("socks4", "1080"),
            "socks4a" => ("socks4a", "1080"),
            // Go speaks HTTP to any other, and has no port for it.
            _ => ("http", ""),
        };
        let port = if self.port.is_empty() { default_port } else { &self.port };
        let host = match self.host.as_str() {
            _ if !self.has_host() => return None,
            "" => "localhost",
            host => host,
        };
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        // Only in this scheme is a name converted to ASCII.
        let url = Url::parse(&format!("http://{host}:{port}")).ok()?;
        let (host, port) = (url.host_str()?, url.port_or_known_default().filter(|_| !port.is_empty())?);
        let login = self.login.as_ref().map(|login| {
            let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
            format!("{}:{}@", encode(&login.user), encode(login.password.expose()))
        });
        Some(format!("{scheme}://{}{host}:{port}", login.unwrap_or_default()))
    }
}

/// Parses a URL as Go's `url.Parse` does.
fn parse_url(text: &str) -> Option<Address> {
    if text.bytes().any(|byte| byte.is_ascii_control()) {
        return None;
    }
    let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
    decode(fragment)?;
    let (scheme, rest) = split_scheme(text)?;
    let rest = rest.split_once('?').map_or(rest, |(rest, _)| rest);
    let without_host = Address {
        scheme: scheme.to_ascii_lowercase(),
        host: String::new(),
        port: String::new(),
        login: None,
    };
    if !rest.starts_with('/') {
        let is_relative = scheme.is_empty();
        let first = rest.split('/').next().unwrap_or_default();
        if is_relative && first.contains(':') {
            return None;
        }
        return if is_relative { decode(rest).map(|_| without_host) } else { Some(without_host) };
    }
    let authority = rest.strip_prefix("//").filter(|rest| !scheme.is_empty() || !rest.starts_with('/'));
    let Some(authority) = authority else { return decode(rest).map(|_| without_host) };
    let (authority, path) = authority.split_at(authority.find('/').unwrap_or(authority.len()));
    decode(path)?;
    let (login, host) = match authority.rsplit_once('@') {
        Some((login, host)) => (Some(parse_login(login)?), host),
        None => (None, authority),
    };
    let (host, port) = parse_host(host, &without_host.scheme)?;
    Some(Address { host, port, login, ..without_host })
}

/// The scheme, which may be missing, and the rest.
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c));
    let begins_as_one = text.starts_with(|c: char| c.is_ascii_alphabetic());
    match end {
        Some(0) if text.starts_with(':') => None,
        Some(end) if begins_as_one && text[end..].starts_with(':') => Some((&text[..end], &text[end + 1..])),
        _ => Some(("", text)),
    }
}

fn parse_login(text: &str) -> Option<Login> {
    if !text.chars().all(|c| c.is_ascii_alphanumeric() || "-._:~!$&'()*+,;=%@".contains(c)) {
        return None;
    }
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    let (user, password) = (decode(user)?, decode(password)?);
    let whole = Secret::new(format!("{user}:{password}"));
    Some(Login { user, password: Secret::new(password), whole })
}

/// The host without brackets, and the port.
fn parse_host(text: &str, scheme: &str) -> Option<(String, String)> {
    if let Some(bracket) = text.rfind('[') {
        let (literal, port) = text.strip_prefix('[').filter(|_| bracket == 0)?.rsplit_once(']')?;
        let (address, zone) = match literal.split_once("%25") {
            Some((address, zone)) => (address, Some(decode(zone)?)),
            None => (literal, None),
        };
        address.parse::<Ipv6Addr>().ok().filter(|_| zone.as_ref().is_none_or(|zone| !zone.is_empty()))?;
        let zone = zone.map(|zone| format!("%{zone}")).unwrap_or_default();
        return Some((format!("{address}{zone}"), parse_port(port)?));
    }
    let is_strict = matches!(scheme, "http" | "https");
    let colon = if is_strict { text.find(':') } else { text.rfind(':') };
    let (name, port) = text.split_at(colon.unwrap_or(text.len()));
    let port = parse_port(port)?;
    let may_stand =
        |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || "-_.~!$&'()*+,;=:<>\"%".contains(c);
    // Only what isn't ASCII may be encoded, and the percent sign.
    let is_encoded =
        |part: &str| part.starts_with("25") || part.starts_with(|c: char| !('0'..'8').contains(&c));
    if !name.chars().all(may_stand) || !name.split('%').skip(1).all(is_encoded) {
        return None;
    }
    Some((decode(name)?, port))
}

/// A port with the colon before it, if there is one.
fn parse_port(text: &str) -> Option<String> {
    let port = if text.is_empty() { "" } else { text.strip_prefix(':')? };
    port.bytes().all(|byte| byte.is_ascii_digit()).then(|| port.to_owned())
}

/// Decodes percent signs, all of which must encode something.
fn decode(text: &str) -> Option<String> {
    let is_code = |part: &str| part.len() >= 2 && part.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    text.split('%').skip(1).all(is_code).then(|| percent_decode_str(text).decode_utf8_lossy().into_owned())
}

/// An entry of `NO_PROXY`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Exception {
    All,
    Network {
        address: IpAddr,
        prefix: u32,
    },
    /// With an empty port, all ports.
    Address {
        address: IpAddr,
        port: String,
    },
    /// The suffix begins with a dot.
    Domain {
        suffix: String,
        is_also_host: bool,
        port: String,
    },
}

/// Parses `NO_PROXY`. What makes no sense is ignored.
fn exceptions(text: &str) -> Vec<Exception> {
    text.split(',').filter_map(|entry| Exception::parse(&entry.trim().to_lowercase())).collect()
}

impl Exception {
    fn parse(entry: &str) -> Option<Self> {
        if entry == "*" {
            return Some(Exception::All);
        }
        if let Some(network) = parse_network(entry) {
            return Some(network);
        }
        let (host, port) = split_host_port(entry).unwrap_or((entry, ""));
        let port = port.to_owned();
        if let Ok(address) = host.parse::<IpAddr>() {
            return Some(Exception::Address { address: address.to_canonical(), port });
        }
        let host = if host.starts_with("*.") { &host[1..] } else { host };
        let is_also_host = !host.starts_with('.');
        let name = host.strip_prefix('.').unwrap_or(host);
        if host.is_empty() {
            return None;
        }
        Some(Exception::Domain { suffix: format!(".{}", to_ascii(name)), is_also_host, port })
    }

    /// Whether this is about a host: a name, or an address in its shortest form.
    fn has(&self, name: &str, ip: Option<IpAddr>, at_port: &str) -> bool {
        match (self, ip) {
            (Exception::All, _) => true,
            (Exception::Network { address, prefix }, Some(ip)) => is_in_network(ip, *address, *prefix),
            (Exception::Address { address, port }, Some(ip)) => {
                *address == ip && (port.is_empty() || port == at_port)
            }
            (Exception::Domain { suffix, is_also_host, port }, None) => {
                let is_in_domain = name.ends_with(suffix.as_str()) || (*is_also_host && name == &suffix[1..]);
                is_in_domain && (port.is_empty() || port == at_port)
            }
            _ => false,
        }
    }
}

fn parse_network(entry: &str) -> Option<Exception> {
    let (address, prefix) = entry.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let prefix = prefix.bytes().all(|byte| byte.is_ascii_digit()).then(|| prefix.parse::<u32>().ok())??;
    if prefix > bits {
        return None;
    }
    // A network of IPv4 in the form of IPv6, as far as its beginning still says so.
    let (address, prefix) = match address {
        IpAddr::V6(v6) => match Ipv6Addr::from_bits(v6.to_bits() & mask(prefix, 128)).to_ipv4_mapped() {
            Some(v4) => (IpAddr::V4(v4), prefix.saturating_sub(96)),
            None => (address, prefix),
        },
        IpAddr::V4(_) => (address, prefix),
    };
    Some(Exception::Network { address, prefix })
}

fn is_in_network(ip: IpAddr, network: IpAddr, prefix: u32) -> bool {
    let v4 = |ip: Ipv4Addr| u128::from(ip.to_bits());
    let (ip, network, bits) = match (ip, network) {
        (IpAddr::V4(ip), IpAddr::V4(network)) => (v4(ip), v4(network), 32),
        (IpAddr::V6(ip), IpAddr::V6(network)) => (ip.to_bits(), network.to_bits(), 128),
        _ => return false,
    };
    (ip ^ network) & mask(prefix, bits) == 0
}

/// The upper bits of an address of this length.
fn mask(prefix: u32, bits: u32) -> u128 {
    let lower = bits.saturating_sub(prefix);
    u128::MAX.checked_shl(lower).unwrap_or(0)
}

/// Splits `host:port` and `[host]:port`. `None` if there is no port, or another colon than the one before it.
fn split_host_port(text: &str) -> Option<(&str, &str)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            (host, rest.strip_prefix(':').filter(|port| !port.contains(':'))?)
        }
        None => text.rsplit_once(':').filter(|(host, _)| !host.contains(':'))?,
    };
    (!host.contains('[') && !port.contains(['[', ']']) && !host.contains(']')).then_some((host, port))
}

/// An international name in the form that URLs have.
fn to_ascii(name: &str) -> String {
    match Host::parse(name) {
        Ok(Host::Domain(ascii)) if !name.is_ascii() => ascii,
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Proxies {
        let variables: HashMap<_, _> = variables.iter().copied().collect();
        Proxies::from_environment(|name| variables.get(name).map(|value| (*value).to_owned()))
    }

    fn proxy_for(url: &str, variables: &[(&str, &str)]) -> Option<Proxy> {
        proxies(variables).for_url(&Url::parse(url).unwrap()).unwrap().cloned()
    }

    /// Each line has variables, a URL, and what Go 1.26 decides: `direct`, `refused`, or the scheme, host and
    /// port of a proxy, with user name and password if it has them.
    #[test]
    fn every_decision_is_that_of_go() {
        type Line = (HashMap<String, String>, String, String);
        let table = include_str!("proxy_table.jsonl");
        let mut wrong = Vec::new();
        for line in table.lines() {
            let (variables, url, expected): Line = serde_json::from_str(line).unwrap();
            let proxies = Proxies::from_environment(|name| variables.get(name).cloned());
            let decision = match proxies.for_url(&Url::parse(&url).unwrap()) {
                Err(_) => "refused".to_owned(),
                Ok(None) => "direct".to_owned(),
                Ok(Some(Proxy { address: Address { scheme, host, port, login }, .. })) => {
                    let login =
                        login.as_ref().map(|login| format!(" {} {}", login.user, login.password.expose()));
                    format!("{scheme} {host} {port}{}", login.unwrap_or_default())
                }
            };
            if decision != expected {
                wrong.push(format!("{line}: {decision}"));
            }
        }
        assert!(table.lines().count() > 500);
        assert!(wrong.is_empty(), "{} lines:\n{}", wrong.len(), wrong.join("\n"));
    }

    #[test]
    fn all_proxy_is_the_last_choice() {
        let url = "https://kms.example.com";
        let shown = |variables: &[_]| proxy_for(url, variables).map(|proxy| proxy.to_string());
        let all = ("ALL_PROXY", "socks5h://all:1");
        assert_eq!(shown(&[all]).unwrap(), "the proxy socks5h://all:1 (ALL_PROXY)");
        assert_eq!(shown(&[("all_proxy", "all:1")]).unwrap(), "the proxy http://all:1 (all_proxy)");
        assert_eq!(shown(&[all, ("https_proxy", "own:1")]).unwrap(), "the proxy http://own:1 (https_proxy)");
        assert_eq!(shown(&[all, ("HTTP_PROXY", "own:1")]).unwrap(), "the proxy socks5h://all:1 (ALL_PROXY)");
        assert_eq!(shown(&[all, ("NO_PROXY", "*.example.com")]), None);
        assert_eq!(shown(&[("ALL_PROXY", "socks5://all:1\n")]), None);
        // What a header can't set isn't refused.
        let cgi = [all, ("REQUEST_METHOD", "GET")];
        assert!(proxy_for("http://kms.example.com", &cgi).is_some());
    }

    #[test]
    fn the_login_of_a_proxy_is_never_shown() {
        let variables = [("HTTPS_PROXY", "http://us%40er:p%3A%20ss@proxy.test:3128/path")];
        let proxies = proxies(&variables);
        let proxy = proxy_for("https://kms.example.com", &variables).unwrap();
        assert_eq!(proxy.to_string(), "the proxy http://proxy.test:3128 (HTTPS_PROXY)");
        for text in [format!("{proxies:?}"), format!("{proxy:?}")] {
            assert!(!text.contains("ss@") && !text.contains("p: ss"), "{text}");
        }
        let secrets: Vec<_> = proxies.secrets().map(|secret| secret.expose().to_owned()).collect();
        assert_eq!(secrets, ["us@er:p: ss"]);
    }

    #[test]
    fn the_http_library_gets_every_address_in_full() {
        let library = |address| {
            let proxy = proxy_for("https://kms.example.com", &[("HTTPS_PROXY", address)]).unwrap();
            let usable = proxy.for_http_library().is_ok();
            (usable, proxy.address.for_connecting())
        };
        for (address, expected) in [
            ("proxy.test", Some("http://proxy.test:80")),
            ("https://proxy.test", Some("https://proxy.test:443")),
            ("socks5://proxy.test", Some("socks5h://proxy.test:1080")),
            ("socks5h://proxy.test:9", Some("socks5h://proxy.test:9")),
            ("socks4a://proxy.test", Some("socks4a://proxy.test:1080")),
            ("tcp://proxy.test:3128", Some("http://proxy.test:3128")),
            (":3128", Some("http://localhost:3128")),
            ("[2001:db8::9]", Some("http://[2001:db8::9]:80")),
            ("socks5://bücher.example", Some("socks5h://xn--bcher-kva.example:1080")),
            ("us%40er:p%3As@proxy.test:1", Some("http://us%40er:p%3As@proxy.test:1")),
            ("ftp://proxy.test", None),
            ("//proxy.test:3128", None),
            ("http://proxy.test:99999", None),
            ("http://<proxy>:1", None),
            ("http://[fe80::1%25eth0]:1", None),
        ] {
            assert_eq!(library(address), (expected.is_some(), expected.map(str::to_owned)), "{address}");
        }
    }
}
