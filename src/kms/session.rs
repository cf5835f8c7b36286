//! One login shared by all requests.
//!
//! The first request logs in; concurrent ones wait for it. A refused login is remembered and never repeated, because
//! three wrong client secrets lock an identity. A token is renewed shortly before it expires, and when the server
//! refuses it: the first refused request logs in, and the others use its token.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use http::HeaderValue;
use serde::Deserialize;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::{
    api_error::{ApiError, ApiErrorKind},
    attempt::{Authorization, Failure, Tries},
    auth,
    config::Auth,
    error::{AuthError, Error},
    history::History,
    messages,
    run::Run,
    transport::Transport,
};
use crate::secret::Secret;

/// How long before its expiry a token is renewed, or a tenth of its lifetime if that is less.
const SLACK: Duration = Duration::from_secs(60);

/// The pause after a failed early renewal.
const RENEWAL_PAUSE: Duration = Duration::from_secs(10);

/// The maximum number of consecutive logins whose tokens the server refuses.
const MAX_BARREN_LOGINS: u32 = 5;

/// How often one request may renew the token. A token may have a limited number of uses, which other requests may
/// exhaust several times in a row.
const MAX_RENEWALS: u32 = 16;

/// The number of consecutive requests with useless renewals after which a token that works for others isn't renewed
/// soon.
const MAX_VAIN: u32 = 3;

/// How long a new token that works for others is then considered valid.
const FRESH: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LoginResponse {
    access_token: Secret,
    /// Seconds.
    expires_in: Option<u64>,
}

/// An access token for one request.
#[derive(Debug, Clone)]
pub(super) struct AccessToken {
    text: Secret,
    /// 1 for the first token of the process, 2 for the next, and so on.
    generation: u64,
    /// Whether the server refused the previous token although it had not expired.
    follows_refusal: bool,
    uses: Arc<Uses>,
}

/// The use counts of a token.
#[derive(Debug, Default)]
struct Uses {
    /// How often it was issued to a request.
    given: AtomicU32,
    /// How often the server refused it.
    refused: AtomicU32,
    /// How often the server accepted it.
    accepted: AtomicU32,
}

impl AccessToken {
    /// The value of the `Authorization` header, marked as sensitive.
    ///
    /// # Errors
    /// [`AuthError::TokenMalformed`].
    pub(super) fn header(&self) -> Result<HeaderValue, AuthError> {
        // A token pasted or read from a file often ends with a newline.
        header(&self.text).ok_or(AuthError::TokenMalformed)
    }
}

/// The value of the `Authorization` header with a token. `None` if the token is empty, or can't be sent.
fn header(token: &Secret) -> Option<HeaderValue> {
    let token = token.expose().trim();
    let text = Zeroizing::new(format!("Bearer {token}"));
    let mut header = HeaderValue::from_str(&text).ok().filter(|_| !token.is_empty())?;
    header.set_sensitive(true);
    Some(header)
}

/// The login of a process.
pub(super) struct Session {
    transport: Arc<Transport>,
    state: Mutex<State>,
    /// Held by the request that logs in. If that is stopped or dropped, the next one takes over.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    token: Option<Token>,
    generation: u64,
    /// Why no further login is made.
    refused: Option<AuthError>,
    /// Logins since the server last accepted a token.
    barren_logins: u32,
    /// Consecutive requests with useless renewals.
    vain: u32,
    /// The number of uses of a token, as concluded from refusals.
    max_uses: Option<u32>,
    failures: u64,
    last_failure: Option<Error>,
}

/// The current token.
#[derive(Debug)]
struct Token {
    token: AccessToken,
    /// When its login started.
    asked_at: Instant,
    /// When to renew it; `None` if its expiry is unknown.
    renew_at: Option<Instant>,
    expires_at: Option<Instant>,
    is_usable: bool,
    /// Whether the server refused it, although it had not expired.
    is_refused: bool,
}

impl Token {
    fn new(
        text: Secret,
        generation: u64,
        follows_refusal: bool,
        asked_at: Instant,
        life: Option<Duration>,
    ) -> Self {
        let at = |after: Duration| asked_at.checked_add(after);
        Self {
            token: AccessToken { text, generation, follows_refusal, uses: Arc::default() },
            asked_at,
            renew_at: life.and_then(|life| at(life - SLACK.min(life / 10))),
            expires_at: life.and_then(at),
            is_usable: true,
            is_refused: false,
        }
    }

    fn is_expired(&self, now: Instant) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

impl State {
    /// The current token, if a request may use it.
    fn usable(&self, now: Instant) -> Option<AccessToken> {
        let current = self.good(now)?;
        if current.renew_at.is_some_and(|at| at <= now) {
            return None;
        }
        Some(give(current))
    }

    /// The current token, if it is still valid.
    fn expiring(&self, now: Instant) -> Option<AccessToken> {
        self.good(now).map(give)
    }

    fn good(&self, now: Instant) -> Option<&Token> {
        let current = self.token.as_ref()?;
        let is_used_up =
            self.max_uses.is_some_and(|max| current.token.uses.given.load(Ordering::Relaxed) >= max);
        if !current.is_usable || is_used_up || current.is_expired(now) { None } else { Some(current) }
    }

    /// Whether a refused token is the current one and works for other requests, so that it isn't the cause.
    fn serves_others(&self, token: &AccessToken, now: Instant) -> bool {
        self.token.as_ref().is_some_and(|current| {
            let life = current.expires_at.map_or(FRESH, |at| (at - current.asked_at) / 2);
            current.token.generation == token.generation
                && token.uses.accepted.load(Ordering::Relaxed) > 0
                && now < current.asked_at + FRESH.min(life)
        })
    }

    /// Replaces the token. If the server accepted the last one as often as it may be used, the limit is raised for the
    /// next one.
    fn replace(&mut self, new: Token) {
        let last = self.token.replace(new);
        if let (Some(last), Some(max)) = (last, self.max_uses)
            && last.token.uses.accepted.load(Ordering::Relaxed) >= max
        {
            self.max_uses = Some(max.saturating_mul(2));
        }
    }

    /// Records that the server refused a token. One refusal proves nothing. If consecutive tokens are refused, but not
    /// those with a single user, then the number of accepted uses is their limit.
    fn refuse(&mut self, token: &AccessToken, now: Instant) {
        let current = self.token.as_mut().filter(|current| current.token.generation == token.generation);
        let is_expired = current.as_ref().is_some_and(|current| current.is_expired(now));
        if let Some(current) = current {
            current.is_refused = !is_expired;
            current.is_usable = false;
        }
        if token.follows_refusal && !is_expired && self.vain == 0 {
            let refused = token.uses.refused.load(Ordering::Relaxed);
            let not_refused = token.uses.given.load(Ordering::Relaxed).saturating_sub(refused).max(1);
            self.max_uses = Some(self.max_uses.map_or(not_refused, |max| max.min(not_refused)));
        }
    }
}

fn give(current: &Token) -> AccessToken {
    current.token.uses.given.fetch_add(1, Ordering::Relaxed);
    current.token.clone()
}

/// How often a request has renewed its token.
#[derive(Debug, Default)]
pub(super) struct Renewals(u32);

impl Session {
    pub(super) fn new(transport: Arc<Transport>) -> Self {
        Self { transport, state: Mutex::default(), turn: tokio::sync::Mutex::default() }
    }

    /// A token to send. Logs in if there is none.
    ///
    /// # Errors
    /// `Auth` when the login is refused or can't be sent; and all other errors of requests.
    pub(super) async fn token(&self, run: &Run) -> Result<AccessToken, Error> {
        let failures_before = {
            let state = self.state();
            if let Some(token) = state.usable(Instant::now()) {
                return Ok(token);
            }
            state.failures
        };
        let waiting_since = Instant::now();
        let _turn = run.unless_stopped(self.turn.lock()).await?;
        {
            let now = Instant::now();
            let state = self.state();
            if let Some(token) = state.usable(now) {
                return Ok(token);
            }
            if let Some(error) = &state.refused {
                return state.expiring(now).ok_or_else(|| error.clone().into());
            }
            if state.failures != failures_before {
                match &state.last_failure {
                    // The other operation's budget ran out. The time spent waiting for it counts against this one's.
                    Some(Error::RateLimited { .. }) => run.add_waited(waiting_since.elapsed()),
                    Some(error) => return Err(error.clone()),
                    None => {}
                }
            }
        }
        let asked_at = Instant::now();
        let login = self.log_in(run).await;
        let mut state = self.state();
        match login {
            Ok((text, life)) => {
                state.generation += 1;
                state.barren_logins += 1;
                let follows_refusal = state.token.as_ref().is_some_and(|last| last.is_refused);
                let token = Token::new(text, state.generation, follows_refusal, asked_at, life);
                let given = give(&token);
                state.replace(token);
                Ok(given)
            }
            Err(error) => {
                match &error {
                    // Another search for AWS credentials would take long and have the same result.
                    Error::Auth(
                        refused @ (AuthError::LoginRefused { .. }
                        | AuthError::LockedOut { .. }
                        | AuthError::Aws(_)),
                    ) => {
                        state.refused = Some(refused.clone());
                    }
                    // A stop of this operation doesn't concern those that wait.
                    Error::Cancelled => return Err(error),
                    _ => {}
                }
                let now = Instant::now();
                if let Some(token) = state.expiring(now) {
                    if let Some(current) = &mut state.token {
                        current.renew_at = now.checked_add(RENEWAL_PAUSE);
                    }
                    return Ok(token);
                }
                if state.refused.is_none() {
                    state.failures += 1;
                    state.last_failure = Some(error.clone());
                }
                Err(error)
            }
        }
    }

    /// Records that the server accepted a token.
    pub(super) fn accepted(&self, token: &AccessToken, renewals: &Renewals) {
        token.uses.accepted.fetch_add(1, Ordering::Relaxed);
        let mut state = self.state();
        state.barren_logins = 0;
        if renewals.0 > 0 {
            state.vain = 0;
        }
    }

    /// Records that the server refused a token with `response`. The request may be repeated with another one.
    ///
    /// # Errors
    /// Another token isn't available or wouldn't help.
    pub(super) fn refused(
        &self,
        token: &AccessToken,
        renewals: &mut Renewals,
        response: Box<ApiError>,
    ) -> Result<(), AuthError> {
        if let Auth::Token(_) = self.transport.config.auth {
            return Err(AuthError::TokenRefused { source: response });
        }
        let now = Instant::now();
        let mut state = self.state();
        token.uses.refused.fetch_add(1, Ordering::Relaxed);
        // No other request can have exhausted a token that only this one used.
        let was_alone = renewals.0 > 0 && token.uses.given.load(Ordering::Relaxed) == 1;
        let is_vain = was_alone || renewals.0 >= MAX_RENEWALS;
        if is_vain {
            state.vain += 1;
            state.max_uses = None;
        }
        let is_current = state.token.as_ref().is_some_and(|it| it.token.generation == token.generation);
        let is_barren = state.barren_logins >= MAX_BARREN_LOGINS && is_current;
        if is_vain || is_barren || (state.vain >= MAX_VAIN && state.serves_others(token, now)) {
            return Err(AuthError::FreshTokensRefused { source: response });
        }
        state.refuse(token, now);
        renewals.0 += 1;
        Ok(())
    }

    async fn log_in(&self, run: &Run) -> Result<(Secret, Option<Duration>), Error> {
        let Transport { config, redactor, .. } = &*self.transport;
        let slug = config.organization_slug.as_deref();
        let source = auth::source(&config.auth, slug, &config.proxies, redactor);
        let login = match run.unless_stopped(source).await?? {
            auth::Source::Token(token) => return Ok((token.clone(), None)),
            auth::Source::Login(login) => login,
        };
        let mut tries = Tries::begin(&self.transport, run)?;
        let response = self
            .transport
            .attempt::<LoginResponse>(run, &login.request, &mut NoToken, &mut tries, &mut History::default())
            .await;
        match response {
            Ok(received) => {
                let LoginResponse { access_token, expires_in } = received.value;
                redactor.add(&access_token);
                if header(&access_token).is_none() {
                    return Err(login.request.unreadable(messages::no_usable_token()));
                }
                // A lifetime of 0 seconds means that tokens don't expire.
                let life = expires_in.filter(|seconds| *seconds > 0).map(Duration::from_secs);
                Ok((access_token, life))
            }
            Err(Failure::TokenRefused(source)) => {
                Err(AuthError::LoginRefused { method: login.method, source }.into())
            }
            Err(Failure::Final(error)) => Err(match error.api() {
                Some(response) if response.status.is_client_error() => {
                    let (method, source) = (login.method, Box::new(response.clone()));
                    match response.kind {
                        ApiErrorKind::LockedOut => AuthError::LockedOut { method, source }.into(),
                        _ => AuthError::LoginRefused { method, source }.into(),
                    }
                }
                Some(response) if login.is_verified_elsewhere => {
                    AuthError::AwsIdentityUnverified { source: Box::new(response.clone()) }.into()
                }
                _ => error,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A login has no `Authorization` header, because the server would check it and refuse an expired one.
struct NoToken;

impl Authorization for NoToken {
    async fn header(&mut self, _: &Run) -> Result<Option<HeaderValue>, Error> {
        Ok(None)
    }
}
