//! One login shared by everybody.
//!
//! The first call logs in; those that come meanwhile wait for it. A refused login is remembered and never tried again,
//! because three wrong client secrets lock an identity out. A token is renewed a little before it expires, and when
//! the server refuses it: the first to be refused logs in, the others find its token.

mod kubernetes;
mod oidc;
mod token;
mod universal;

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

pub(super) use self::token::AccessToken;
use super::{ApiError, Auth, AuthError, Error, Operation, send::Request};
use crate::secret::Secret;

/// A token is renewed this long before it expires, or a tenth of its life before if that is less.
const SLACK: Duration = Duration::from_secs(60);

/// After so many logins in a row whose tokens the server refused each time, no more are tried. More than one, because
/// a token may be good for a few uses only, and others may have used it up.
const MAX_BARREN_LOGINS: u32 = 5;

/// The body of every login that presents a JWT.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JwtBody<'a> {
    identity_id: &'a str,
    jwt: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    organization_slug: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LoginAnswer {
    #[serde(deserialize_with = "super::secret_text")]
    access_token: Secret,
    /// Seconds.
    expires_in: Option<u64>,
}

/// The client's login.
#[derive(Debug)]
pub(super) struct Session {
    auth: Auth,
    organization_slug: Option<String>,
    state: Mutex<State>,
    /// Held by the operation that logs in. If it is stopped or dropped, the next in line takes over.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    token: Option<AccessToken>,
    generation: u64,
    /// Why no login is tried any more.
    refused: Option<AuthError>,
    /// Logins since the server last accepted a token.
    barren_logins: u32,
    failures: u64,
    last_failure: Option<Error>,
}

impl State {
    /// The current token, unless it is about to expire or is the one of generation `refused`, or an older one.
    fn usable(&self, refused: Option<u64>) -> Option<AccessToken> {
        let token = self.token.as_ref()?;
        let is_refused = refused.is_some_and(|generation| token.generation <= generation);
        let is_expiring = token.renew_at.is_some_and(|at| at <= Instant::now());
        if is_refused || is_expiring { None } else { Some(token.clone()) }
    }
}

impl Session {
    pub(super) fn new(auth: Auth, organization_slug: Option<String>) -> Self {
        let mut state = State::default();
        if let Auth::Token(text) = &auth {
            state.token = Some(AccessToken { generation: 1, text: text.clone(), renew_at: None });
        }
        Self { auth, organization_slug, state: Mutex::new(state), turn: tokio::sync::Mutex::default() }
    }

    /// A token to send, logging in if there is none.
    pub(super) async fn token(&self, operation: &Operation) -> Result<AccessToken, Error> {
        self.token_after(operation, None).await
    }

    /// Another token than `refused`, which the server answered with `answer`.
    pub(super) async fn renewed(
        &self,
        operation: &Operation,
        refused: &AccessToken,
        answer: Box<ApiError>,
    ) -> Result<AccessToken, Error> {
        if let Auth::Token(_) = self.auth {
            return Err(AuthError::TokenRefused { source: answer }.into());
        }
        {
            let state = self.state();
            if state.usable(Some(refused.generation)).is_none() && state.barren_logins >= MAX_BARREN_LOGINS {
                return Err(AuthError::FreshTokensRefused { source: answer }.into());
            }
        }
        self.token_after(operation, Some(refused.generation)).await
    }

    /// The server accepted a token: it answered a request that carried one.
    pub(super) fn accepted(&self) {
        self.state().barren_logins = 0;
    }

    async fn token_after(&self, operation: &Operation, refused: Option<u64>) -> Result<AccessToken, Error> {
        let failures_before = {
            let state = self.state();
            if let Some(token) = state.usable(refused) {
                return Ok(token);
            }
            state.failures
        };
        let waiting_since = Instant::now();
        let _turn = operation.unless_stopped(self.turn.lock()).await?;
        {
            let state = self.state();
            if let Some(token) = state.usable(refused) {
                return Ok(token);
            }
            if let Some(error) = &state.refused {
                return Err(error.clone().into());
            }
            if state.failures != failures_before {
                match &state.last_failure {
                    // The budget that ran out was another operation's. Ours is less by what we waited with it.
                    Some(Error::RateLimited { .. }) => operation.add_waited(waiting_since.elapsed()),
                    Some(error) => return Err(error.clone()),
                    None => {}
                }
            }
        }
        let login = self.log_in(operation).await;
        let mut state = self.state();
        match login {
            Ok((text, renew_at)) => {
                state.generation += 1;
                state.barren_logins += 1;
                let token = AccessToken { generation: state.generation, text, renew_at };
                state.token = Some(token.clone());
                Ok(token)
            }
            Err(error) => {
                match &error {
                    Error::Auth(refused @ AuthError::LoginRefused { .. }) => {
                        state.refused = Some(refused.clone())
                    }
                    // It says nothing about those who wait behind us.
                    Error::Cancelled => {}
                    _ => {
                        state.failures += 1;
                        state.last_failure = Some(error.clone());
                    }
                }
                Err(error)
            }
        }
    }

    async fn log_in(&self, operation: &Operation) -> Result<(Secret, Option<Instant>), Error> {
        let slug = self.organization_slug.as_deref();
        let (method, request) = match &self.auth {
            Auth::Universal { client_id, client_secret } => {
                let body = universal::body(client_id, client_secret, slug);
                (universal::METHOD, Request::login(universal::ROUTE, &body)?)
            }
            Auth::Oidc { identity_id, jwt } => {
                (oidc::METHOD, Request::login(oidc::ROUTE, &oidc::body(identity_id, jwt, slug))?)
            }
            Auth::Kubernetes { identity_id, service_account_token } => {
                let token = kubernetes::current(service_account_token)?;
                let body = kubernetes::body(identity_id, &token, slug);
                (kubernetes::METHOD, Request::login(kubernetes::ROUTE, &body)?)
            }
            // It is in the state from the beginning; there is nothing to log in with.
            Auth::Token(text) => return Ok((text.clone(), None)),
        };
        // From before the request, so that its way there counts as part of the token's life.
        let asked_at = Instant::now();
        let answer = operation.log_in::<LoginAnswer>(&request).await.map_err(|error| match error {
            Error::Api(answer) if is_refusal(&answer) => {
                Error::Auth(AuthError::LoginRefused { method, source: answer })
            }
            other => other,
        })?;
        let renew_at = answer.expires_in.and_then(|seconds| renew_at(asked_at, seconds));
        Ok((answer.access_token, renew_at))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Any 4xx answer to a login refuses it, save those that ask to come back later.
fn is_refusal(answer: &ApiError) -> bool {
    answer.status.is_client_error() && !matches!(answer.status.as_u16(), 408 | 425 | 429)
}

fn renew_at(asked_at: Instant, expires_in: u64) -> Option<Instant> {
    let life = Duration::from_secs(expires_in);
    asked_at.checked_add(life - SLACK.min(life / 10))
}
