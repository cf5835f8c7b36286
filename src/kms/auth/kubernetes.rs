//! Kubernetes Auth: `POST /auth/kubernetes-auth/login` with the token of a service account.

use std::sync::Arc;

use serde::Serialize;

use super::jwt::JwtBody;
use crate::{
    kms::{config::ServiceAccountToken, error::AuthError},
    secret::Secret,
};

pub(super) const METHOD: &str = "Kubernetes Auth";
pub(super) const ROUTE: &str = "/api/v1/auth/kubernetes-auth/login";

pub(super) fn body<'a>(
    identity_id: &'a str,
    service_account_token: &'a Secret,
    organization_slug: Option<&'a str>,
) -> impl Serialize {
    JwtBody { identity_id, jwt: service_account_token.expose().trim(), organization_slug }
}

/// The current token. A file is read each time, because Kubernetes replaces it.
pub(super) fn current(token: &ServiceAccountToken) -> Result<Secret, AuthError> {
    match token {
        ServiceAccountToken::Given(token) => Ok(token.clone()),
        ServiceAccountToken::File(path) => std::fs::read_to_string(path).map(Secret::new).map_err(|source| {
            AuthError::ServiceAccountToken { path: path.clone(), source: Arc::new(source) }
        }),
    }
}
