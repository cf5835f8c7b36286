//! The auth methods: what each sends to log in. One file per method; no I/O but reading a token file.

mod jwt;
mod kubernetes;
mod oidc;
mod universal;

use super::{config::Auth, error::Error, redact::Redactor, request::Request};
use crate::secret::Secret;

/// A login to send.
pub(super) struct Login {
    /// The name of the auth method, such as `Universal Auth`.
    pub(super) method: &'static str,
    pub(super) request: Request,
}

/// What a session gets its token from.
pub(super) enum Source<'a> {
    /// The configured access token.
    Token(&'a Secret),
    Login(Login),
}

/// Where the token of a method comes from. Secrets that it takes become known to `redactor`.
///
/// # Errors
/// [`Error::Auth`] when the method's credentials can't be had; [`Error::Config`].
pub(super) fn source<'a>(
    auth: &'a Auth,
    organization_slug: Option<&str>,
    redactor: &Redactor,
) -> Result<Source<'a>, Error> {
    Ok(Source::Login(match auth {
        Auth::Token(token) => {
            redactor.add(token);
            return Ok(Source::Token(token));
        }
        Auth::Universal { client_id, client_secret } => {
            redactor.add(client_secret);
            let body = universal::body(client_id, client_secret, organization_slug);
            Login { method: universal::METHOD, request: Request::login(universal::ROUTE, &body)? }
        }
        Auth::Oidc { identity_id, jwt } => {
            redactor.add(jwt);
            let body = oidc::body(identity_id, jwt, organization_slug);
            Login { method: oidc::METHOD, request: Request::login(oidc::ROUTE, &body)? }
        }
        Auth::Kubernetes { identity_id, service_account_token } => {
            let token = kubernetes::current(service_account_token)?;
            redactor.add(&token);
            let body = kubernetes::body(identity_id, &token, organization_slug);
            Login { method: kubernetes::METHOD, request: Request::login(kubernetes::ROUTE, &body)? }
        }
    }))
}
