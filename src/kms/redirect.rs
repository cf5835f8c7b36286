//! What a redirect that isn't followed means. No I/O.

use http::StatusCode;
use url::Url;

use super::{
    config::Host,
    fate::{Redirect, RedirectKind},
};

/// Segments of the paths of login pages, without dots and underscores at their beginnings.
const LOGIN_SEGMENTS: [&str; 17] = [
    "auth",
    "authenticate",
    "authorize",
    "cdn-cgi",
    "log-in",
    "login",
    "logon",
    "oauth",
    "oauth2",
    "oidc",
    "saml",
    "saml2",
    "sign-in",
    "sign_in",
    "signin",
    "sso",
    "start-sso",
];

/// Whether this is the path of a login page, and not one of the API.
pub(super) fn is_login_page(host: &Host, target: &Url) -> bool {
    let path = target.path().to_ascii_lowercase();
    let is_login = |segment: &str| {
        let segment = segment.trim_start_matches(['.', '_']);
        // `login.html` and `login;id=1`.
        let name = segment.split(['.', ';']).next().unwrap_or_default();
        LOGIN_SEGMENTS.contains(&name)
    };
    let below_host = path.strip_prefix(&host.path().to_ascii_lowercase()).unwrap_or(&path);
    !below_host.starts_with("/api/") && path.split('/').any(is_login)
}

/// The meaning of a redirect of a request for `path`, which was sent to `sent`.
pub(super) fn classify(
    host: &Host,
    path: &str,
    sent: &Url,
    status: StatusCode,
    target: Option<&Url>,
) -> Redirect {
    let Some(target) = target else { return Redirect { to: None, kind: RedirectKind::Unclear } };
    // Another port is another server, except where only the scheme changes.
    let is_same_port = sent.port_or_known_default() == target.port_or_known_default();
    let is_same_host = sent.host() == target.host() && (is_same_port || sent.scheme() != target.scheme());
    let kind = kind(host, path, sent, status, target, is_same_host);
    let mut to = target.origin().ascii_serialization();
    if is_same_host {
        // The query is left out, because it may have tokens. Paths on other hosts show nothing of use.
        to.push_str(target.path());
    }
    Redirect { to: Some(to), kind }
}

fn kind(
    host: &Host,
    path: &str,
    sent: &Url,
    status: StatusCode,
    target: &Url,
    is_same_host: bool,
) -> RedirectKind {
    let is_permanent = matches!(status.as_u16(), 301 | 308);
    let is_web = matches!(target.scheme(), "http" | "https");
    let is_downgrade = sent.scheme() == "https" && target.scheme() == "http";
    let origin = target.origin().ascii_serialization();
    // The target has the path of the request, perhaps below another one.
    let base = target.path().strip_suffix(path).map(|prefix| format!("{origin}{prefix}"));
    let base = base.filter(|base| is_web && !is_downgrade && *base != host.to_string());
    if !is_same_host {
        return match base {
            Some(base) if is_permanent => RedirectKind::Moved { host: base },
            _ => RedirectKind::Login { is_elsewhere: true },
        };
    }
    if let Some(base) = base {
        let is_upgrade = sent.scheme() == "http" && target.scheme() == "https";
        return if is_upgrade {
            RedirectKind::Https { host: base }
        } else {
            RedirectKind::OtherBase { host: base }
        };
    }
    if is_login_page(host, target) {
        return RedirectKind::Login { is_elsewhere: false };
    }
    RedirectKind::Unclear
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "/api/v1/auth/universal-auth/login";

    /// The shown target of a redirect with this status, and its kind.
    fn of(host: &str, status: u16, target: &str) -> (String, RedirectKind) {
        let host = Host::parse(host).unwrap();
        let sent = host.url(PATH, &[]);
        let target = sent.join(target).unwrap();
        let status = StatusCode::from_u16(status).unwrap();
        let redirect = classify(&host, PATH, &sent, status, Some(&target));
        (redirect.to.unwrap(), redirect.kind)
    }

    #[test]
    fn another_host_is_a_login_unless_the_same_path_moved_there_for_good() {
        let host = "https://kms.example.com";
        let elsewhere = RedirectKind::Login { is_elsewhere: true };
        let moved = |host: &str| RedirectKind::Moved { host: host.to_owned() };
        for (status, target, shown, kind) in [
            (302, "https://a.cloudflareaccess.com/cdn-cgi/access/login/x?kid=1", None, elsewhere.clone()),
            (301, "https://login.example.com/", None, elsewhere.clone()),
            (307, "https://new.example.com/api/v1/auth/universal-auth/login", None, elsewhere.clone()),
            (301, "https://new.example.com/api/v1/auth/universal-auth/login", None, moved("")),
            (308, "https://new.example.com/api/v1/auth/universal-auth/login?a=b", None, moved("")),
            (308, "https://new.example.com/kms/api/v1/auth/universal-auth/login", None, moved("/kms")),
            (308, "https://kms.example.com:8443/api/v1/auth/universal-auth/login", None, moved("")),
            (302, "https://kms.example.com:8443/", None, elsewhere.clone()),
            // No advice to give up TLS.
            (308, "http://new.example.com/api/v1/auth/universal-auth/login", None, elsewhere.clone()),
            (302, "ftp://new.example.com/", Some("ftp://new.example.com"), elsewhere.clone()),
        ] {
            let origin = target.split('/').take(3).collect::<Vec<_>>().join("/");
            let (to, found) = of(host, status, target);
            assert_eq!(to, shown.unwrap_or(&origin), "{target}");
            let expected = match kind {
                RedirectKind::Moved { host: path } => moved(&format!("{origin}{path}")),
                kind => kind,
            };
            assert_eq!(found, expected, "{status} {target}");
        }
    }

    #[test]
    fn on_the_same_host_the_path_tells_what_a_redirect_means() {
        let login = RedirectKind::Login { is_elsewhere: false };
        let base = |host: &str| RedirectKind::OtherBase { host: host.to_owned() };
        let https = |host: &str| RedirectKind::Https { host: host.to_owned() };
        let plain = "http://kms.example.com";
        let tls = "https://kms.example.com";
        for (host, target, shown, kind) in [
            (tls, "/login?token=t#f", "https://kms.example.com/login", login.clone()),
            (tls, "/.pomerium/sign_in", "https://kms.example.com/.pomerium/sign_in", login.clone()),
            (tls, "/_oauth", "https://kms.example.com/_oauth", login.clone()),
            (tls, "/Login.aspx", "https://kms.example.com/Login.aspx", login.clone()),
            ("https://x.example.com/kms", "/kms/login", "https://x.example.com/kms/login", login.clone()),
            (plain, "https://kms.example.com/login", "https://kms.example.com/login", login),
            (tls, "/kms/api/v1/auth/universal-auth/login", "", base("https://kms.example.com/kms")),
            ("https://x.example.com/old", "/new/api/v1/auth/universal-auth/login", "", {
                base("https://x.example.com/new")
            }),
            (plain, "https://kms.example.com/api/v1/auth/universal-auth/login", "", https(tls)),
            (plain, "https://kms.example.com/kms/api/v1/auth/universal-auth/login", "", {
                https("https://kms.example.com/kms")
            }),
            // To itself, to another path of the API, to plain HTTP, and to something else.
            (tls, "", "https://kms.example.com/api/v1/auth/universal-auth/login", RedirectKind::Unclear),
            (tls, "/api/v2/login", "https://kms.example.com/api/v2/login", RedirectKind::Unclear),
            (tls, "http://kms.example.com/api/v1/auth/universal-auth/login", "", RedirectKind::Unclear),
            (tls, "/welcome", "https://kms.example.com/welcome", RedirectKind::Unclear),
        ] {
            let (to, found) = of(host, 302, target);
            assert_eq!(found, kind, "{host} {target}");
            if !shown.is_empty() {
                assert_eq!(to, shown, "{target}");
            }
        }
    }

    #[test]
    fn a_redirect_without_target_is_unclear() {
        let host = Host::parse("https://kms.example.com").unwrap();
        let redirect = classify(&host, PATH, &host.url(PATH, &[]), StatusCode::FOUND, None);
        assert_eq!((redirect.to, redirect.kind), (None, RedirectKind::Unclear));
    }
}
