//! The body of logins with a JWT.

use serde::Serialize;

/// The body of every login that presents a JWT.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct JwtBody<'a> {
    pub(super) identity_id: &'a str,
    pub(super) jwt: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) organization_slug: Option<&'a str>,
}
