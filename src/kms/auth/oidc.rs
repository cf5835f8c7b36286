//! OIDC Auth: `POST /auth/oidc-auth/login`.

use serde::Serialize;

use super::jwt::JwtBody;
use crate::secret::Secret;

pub(super) const METHOD: &str = "OIDC Auth";
pub(super) const ROUTE: &str = "/api/v1/auth/oidc-auth/login";

pub(super) fn body<'a>(
    identity_id: &'a str,
    jwt: &'a Secret,
    organization_slug: Option<&'a str>,
) -> impl Serialize {
    JwtBody { identity_id, jwt: jwt.expose().trim(), organization_slug }
}
