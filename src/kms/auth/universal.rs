//! Universal Auth: `POST /auth/universal-auth/login`.

use serde::Serialize;

use crate::secret::Secret;

pub(super) const METHOD: &str = "Universal Auth";
pub(super) const ROUTE: &str = "/api/v1/auth/universal-auth/login";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    client_id: &'a str,
    client_secret: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    organization_slug: Option<&'a str>,
}

pub(super) fn body<'a>(
    client_id: &'a str,
    client_secret: &'a Secret,
    organization_slug: Option<&'a str>,
) -> impl Serialize {
    Body { client_id, client_secret: client_secret.expose(), organization_slug }
}
