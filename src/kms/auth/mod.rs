//! One login shared by everybody.
//!
//! The first call logs in; those that come meanwhile wait for it. A refused login is remembered and never tried again,
//! because three wrong client secrets lock an identity out. A token is renewed a little before it expires, and when
//! the server refuses it: the first to be refused logs in, the others find its token.

mod aws_iam;
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

pub use self::aws_iam::AwsError;
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
            Auth::AwsIam { identity_id } => {
                let login = operation.unless_stopped(aws_iam::login(identity_id, slug)).await?;
                let (method, route, body) = login?;
                (method, Request::login(route, &body)?)
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
            Error::Api(answer) if self.is_aws_iam() && aws_iam::may_be_refused_by_sts(&answer) => {
                Error::Auth(AuthError::AwsIdentityUnverified { source: answer })
            }
            other => other,
        })?;
        // A life of 0 seconds is how identities are set up whose tokens don't expire.
        let life = answer.expires_in.filter(|seconds| *seconds > 0);
        let renew_at = life.and_then(|seconds| renew_at(asked_at, seconds));
        Ok((answer.access_token, renew_at))
    }

    fn is_aws_iam(&self) -> bool {
        matches!(self.auth, Auth::AwsIam { .. })
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

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    };

    use serde_json::json;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::kms::{
        Client, DbtCredentials, ServiceAccountToken,
        test_server::{Reply, Seen, Server, is_login},
    };

    fn list() -> Reply {
        Reply::json(200, json!({"appConnections": []}))
    }

    async fn call(client: &Client) -> Result<(), Error> {
        let operation = client.operation(CancellationToken::new());
        operation.list_connections::<DbtCredentials>(None).await.map(drop)
    }

    /// Twenty calls at once.
    async fn calls(client: &Client) -> Vec<Result<(), Error>> {
        let calls: Vec<_> = (0..20)
            .map(|_| {
                let client = client.clone();
                tokio::spawn(async move { call(&client).await })
            })
            .collect();
        let mut results = Vec::new();
        for call in calls {
            results.push(call.await.unwrap());
        }
        results
    }

    fn token_error() -> Reply {
        Reply::error(403, "TokenError", "Your token has expired")
    }

    fn login_answer(seen: &Seen, expires_in: u64) -> Reply {
        let token = format!("access-{}", seen.earlier + 1);
        Reply::json(200, json!({"accessToken": token, "expiresIn": expires_in}))
    }

    #[tokio::test(start_paused = true)]
    async fn many_calls_share_one_login_that_carries_no_token() {
        let server = Server::start_raw(|seen, _| {
            if is_login(seen) { login_answer(seen, 900).after(Duration::from_secs(2)) } else { list() }
        })
        .await;
        let mut config = server.config();
        config.organization_slug = Some("sub-1".to_owned());
        let client = Client::new(config);
        assert!(calls(&client).await.iter().all(Result::is_ok));
        assert_eq!(server.logins(), 1);
        assert_eq!(server.count("GET"), 20);
        let seen = server.seen();
        assert_eq!(seen[0].target, "/api/v1/auth/universal-auth/login");
        assert_eq!(seen[0].header("authorization"), None);
        assert_eq!(seen[0].header("user-agent"), Some("tests/1"));
        assert_eq!(
            seen[0].json(),
            json!({"clientId": "client-1", "clientSecret": "client-secret-1", "organizationSlug": "sub-1"})
        );
        assert!(seen[1..].iter().all(|seen| seen.header("authorization") == Some("Bearer access-1")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_login_is_never_tried_again() {
        for status in [400, 401, 403, 404, 422] {
            let server = Server::start_raw(move |_, _| {
                Reply::error(status, "UnauthorizedError", "Invalid credentials").after(Duration::from_secs(1))
            })
            .await;
            let client = server.client();
            let results = calls(&client).await;
            let refused = |result: &Result<(), Error>| {
                matches!(result, Err(Error::Auth(AuthError::LoginRefused { method: "Universal Auth", .. })))
            };
            assert!(results.iter().all(refused), "{status}");
            assert!(refused(&call(&client).await));
            assert_eq!(server.logins(), 1, "{status}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_login_whose_answer_is_lost_is_repeated_a_few_times_for_all() {
        let server = Server::start_raw(|_, _| Reply::close()).await;
        let client = server.client();
        let results = calls(&client).await;
        assert!(results.iter().all(|result| matches!(result, Err(Error::Transport { .. }))));
        assert_eq!(server.logins(), 3);
        // A fault isn't a refusal: the next call tries again.
        assert!(call(&client).await.is_err());
        assert_eq!(server.logins(), 6);
    }

    #[tokio::test(start_paused = true)]
    async fn an_expired_token_is_renewed_once_for_all_and_requests_are_repeated() {
        let expired = Arc::new(AtomicBool::new(false));
        let is_expired = expired.clone();
        let server = Server::start(move |seen, _| {
            let token = seen.header("authorization").unwrap();
            if token == "Bearer access-1" && is_expired.load(Ordering::Relaxed) {
                token_error()
            } else {
                list()
            }
        })
        .await;
        let client = server.client();
        call(&client).await.unwrap();
        expired.store(true, Ordering::Relaxed);
        assert!(calls(&client).await.iter().all(Result::is_ok));
        assert_eq!(server.logins(), 2);
        assert_eq!(server.count("GET"), 1 + 20 + 20);
    }

    #[tokio::test(start_paused = true)]
    async fn a_create_refused_for_its_token_is_sent_again() {
        let server = Server::start(|seen, _| match seen.earlier {
            0 => Reply::error(401, "UnauthorizedError", "Unknown token"),
            _ => Reply::error(422, "ValidationFailure", "enough"),
        })
        .await;
        let credentials = DbtCredentials {
            instance_url: "https://cloud.getdbt.com".to_owned(),
            account_id: "1".to_owned(),
            api_token: Secret::new("dbtu_1"),
        };
        let new = crate::kms::NewConnection {
            name: "a".to_owned(),
            description: None,
            project_id: None,
            credentials,
        };
        server.operation().create_connection(&new).await.unwrap_err();
        let tokens: Vec<_> = server.seen().into_iter().filter(|seen| !is_login(seen)).collect();
        assert_eq!(tokens.len(), 2);
        assert_eq!(tokens[1].header("authorization"), Some("Bearer access-2"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_renewed_before_it_expires() {
        for (life, still_good, renewed) in [(900, 839, 841), (10, 8, 10)] {
            let server = Server::start_raw(
                move |seen, _| {
                    if is_login(seen) { login_answer(seen, life) } else { list() }
                },
            )
            .await;
            let client = server.client();
            call(&client).await.unwrap();
            tokio::time::sleep(Duration::from_secs(still_good)).await;
            call(&client).await.unwrap();
            assert_eq!(server.logins(), 1, "{life}");
            tokio::time::sleep(Duration::from_secs(renewed - still_good)).await;
            call(&client).await.unwrap();
            assert_eq!(server.logins(), 2, "{life}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_of_no_limited_life_are_kept() {
        let server =
            Server::start_raw(|seen, _| if is_login(seen) { login_answer(seen, 0) } else { list() }).await;
        assert!(calls(&server.client()).await.iter().all(Result::is_ok));
        assert_eq!(server.logins(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_good_for_one_use_still_serve() {
        let used = Mutex::new(std::collections::HashSet::new());
        let server = Server::start(move |seen, _| {
            let is_new = used.lock().unwrap().insert(seen.header("authorization").unwrap().to_owned());
            if is_new { list() } else { Reply::error(401, "UnauthorizedError", "Used up") }
        })
        .await;
        assert!(calls(&server.client()).await.iter().all(Result::is_ok));
        assert_eq!(server.logins(), 20);
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_that_are_all_refused_end_in_an_error() {
        let server = Server::start(|_, _| token_error()).await;
        let client = server.client();
        let error = call(&client).await.unwrap_err();
        assert!(matches!(error, Error::Auth(AuthError::FreshTokensRefused { .. })), "{error:?}");
        assert_eq!(server.logins(), 5);
        call(&client).await.unwrap_err();
        assert_eq!(server.logins(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_configured_token_is_sent_as_it_is_and_not_renewed() {
        let server = Server::start(|seen, _| if seen.earlier == 0 { list() } else { token_error() }).await;
        let mut config = server.config();
        config.auth = Auth::Token(Secret::new("st.1\n"));
        let client = Client::new(config);
        call(&client).await.unwrap();
        assert_eq!(server.seen()[0].header("authorization"), Some("Bearer st.1"));
        let error = call(&client).await.unwrap_err();
        assert!(matches!(error, Error::Auth(AuthError::TokenRefused { .. })));
        assert_eq!(error.to_string(), "the configured access token has expired or is malformed");
        assert_eq!(server.logins(), 0);
    }

    #[tokio::test]
    async fn a_token_that_fits_no_header_is_refused_without_being_shown() {
        let server = Server::start(|_, _| list()).await;
        let mut config = server.config();
        config.auth = Auth::Token(Secret::new("st.1\nX-Evil: hunter2"));
        let error = call(&Client::new(config)).await.unwrap_err();
        assert!(matches!(error, Error::Auth(AuthError::TokenMalformed)));
        assert!(!format!("{error:?}").contains("hunter2"));
        assert!(server.seen().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn when_the_one_that_logs_in_is_stopped_the_next_takes_over() {
        let server = Server::start_raw(|seen, _| match (is_login(seen), seen.earlier) {
            (true, 0) => Reply::never(),
            (true, _) => login_answer(seen, 900),
            _ => list(),
        })
        .await;
        let client = server.client();
        let stop = CancellationToken::new();
        let first = client.operation(stop.clone());
        let first = tokio::spawn(async move { first.list_connections::<DbtCredentials>(None).await });
        tokio::time::sleep(Duration::from_secs(1)).await;
        let second = tokio::spawn(async move { call(&client).await });
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(server.logins(), 1);
        stop.cancel();
        assert!(matches!(first.await.unwrap(), Err(Error::Cancelled)));
        second.await.unwrap().unwrap();
        assert_eq!(server.logins(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_follower_can_be_stopped_while_another_logs_in() {
        let server = Server::start_raw(|seen, _| {
            if is_login(seen) { login_answer(seen, 900).after(Duration::from_secs(9)) } else { list() }
        })
        .await;
        let client = server.client();
        let leader = client.clone();
        let leader = tokio::spawn(async move { call(&leader).await });
        tokio::time::sleep(Duration::from_secs(1)).await;
        let stop = CancellationToken::new();
        stop.cancel();
        let stopped = client.operation(stop).list_connections::<DbtCredentials>(None).await;
        assert!(matches!(stopped, Err(Error::Cancelled)));
        leader.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_service_account_token_is_read_anew_at_each_login() {
        let server =
            Server::start_raw(|seen, _| if is_login(seen) { login_answer(seen, 1) } else { list() }).await;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "jwt-1\n").unwrap();
        let mut config = server.config();
        config.auth = Auth::Kubernetes {
            identity_id: "id-1".to_owned(),
            service_account_token: ServiceAccountToken::File(path.clone()),
        };
        let client = Client::new(config);
        call(&client).await.unwrap();
        std::fs::write(&path, "jwt-2\n").unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        call(&client).await.unwrap();
        let logins: Vec<_> = server.seen().into_iter().filter(is_login).collect();
        assert_eq!(logins[0].target, "/api/v1/auth/kubernetes-auth/login");
        assert_eq!(logins[0].json(), json!({"identityId": "id-1", "jwt": "jwt-1"}));
        assert_eq!(logins[1].json()["jwt"], "jwt-2");
        std::fs::remove_file(&path).unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let error = call(&client).await.unwrap_err();
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }

    #[tokio::test]
    async fn oidc_presents_its_jwt() {
        let server = Server::start(|_, _| list()).await;
        let mut config = server.config();
        config.auth = Auth::Oidc { identity_id: "id-1".to_owned(), jwt: Secret::new("jwt-1") };
        call(&Client::new(config)).await.unwrap();
        let login = &server.seen()[0];
        assert_eq!(login.target, "/api/v1/auth/oidc-auth/login");
        assert_eq!(login.json(), json!({"identityId": "id-1", "jwt": "jwt-1"}));
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_limited_login_waits_once_for_all_within_each_budget() {
        let attempts = AtomicUsize::new(0);
        let server = Server::start_raw(move |seen, _| {
            if !is_login(seen) {
                list()
            } else if attempts.fetch_add(1, Ordering::Relaxed) == 0 {
                Reply::error(429, "RateLimitExceeded", "try again in 30 seconds")
            } else {
                login_answer(seen, 900)
            }
        })
        .await;
        let client = server.client();
        let started = Instant::now();
        assert!(calls(&client).await.iter().all(Result::is_ok));
        assert_eq!(server.logins(), 2);
        assert!((30..32).contains(&started.elapsed().as_secs()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_login_that_can_not_wait_long_enough_fails_all_in_the_same_time() {
        let server =
            Server::start_raw(|_, _| Reply::error(429, "RateLimitExceeded", "try again in 40 seconds")).await;
        let mut config = server.config();
        config.max_retry_wait = Duration::from_secs(60);
        let client = Client::new(config);
        let started = Instant::now();
        let results = calls(&client).await;
        assert!(results.iter().all(|result| matches!(result, Err(Error::RateLimited { .. }))));
        assert!(started.elapsed() < Duration::from_secs(65), "{:?}", started.elapsed());
    }
}
