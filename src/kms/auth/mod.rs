//! The auth methods and their login requests, with one file or folder per method. Credentials are looked up at each
//! login.

mod aws_iam;
mod jwt;
mod kubernetes;
mod oidc;
mod universal;

use serde::Serialize;

pub use self::aws_iam::AwsError;
use super::{
    config::Auth,
    error::{AuthError, Error},
    proxy::Proxies,
    redact::Redactor,
    request::Request,
};
use crate::secret::Secret;

/// A login to send.
pub(super) struct Login {
    /// The name of the auth method, such as `Universal Auth`.
    pub(super) method: &'static str,
    pub(super) request: Request,
    /// Whether another service verifies the login. The KMS then reports a refusal as an internal error.
    pub(super) is_verified_elsewhere: bool,
}

impl Login {
    fn new(method: &'static str, route: &'static str, body: &impl Serialize) -> Result<Self, Error> {
        Ok(Self { method, request: Request::login(route, body)?, is_verified_elsewhere: false })
    }
}

/// Where a session gets its token.
pub(super) enum Source<'a> {
    /// The configured access token.
    Token(&'a Secret),
    Login(Login),
}

/// The token source of an auth method. Its secrets are added to `redactor`.
///
/// # Errors
/// [`Error::Auth`] when the method's credentials are unavailable; [`Error::Config`].
pub(super) async fn source<'a>(
    auth: &'a Auth,
    organization_slug: Option<&str>,
    proxies: &Proxies,
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
            Login::new(universal::METHOD, universal::ROUTE, &body)?
        }
        Auth::Oidc { identity_id, jwt } => {
            redactor.add(jwt);
            let body = oidc::body(identity_id, jwt, organization_slug);
            Login::new(oidc::METHOD, oidc::ROUTE, &body)?
        }
        Auth::Kubernetes { identity_id, service_account_token } => {
            let token = kubernetes::current(service_account_token)?;
            redactor.add(&token);
            let body = kubernetes::body(identity_id, &token, organization_slug);
            Login::new(kubernetes::METHOD, kubernetes::ROUTE, &body)?
        }
        Auth::AwsIam { identity_id } => {
            let login = aws_iam::login(identity_id, organization_slug, proxies, redactor).await;
            let (method, route, body) = login.map_err(AuthError::from)?;
            Login { is_verified_elsewhere: true, ..Login::new(method, route, &body)? }
        }
    }))
}
