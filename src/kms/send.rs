//! Sends requests with the session's token, repeats them with a new one if the server refuses it, and selects the route
//! that the server has.

use std::time::Duration;

use http::HeaderValue;
use serde::de::DeserializeOwned;

use super::{
    api_error::ApiError,
    attempt::{Authorization, Failure, Received, Tries},
    client::Operation,
    error::{AuthError, Error},
    fate::Reason,
    history::History,
    request::Request,
    route_family::{Either, Family, KnownFamily},
    run::Run,
    session::{AccessToken, Renewals, Session},
};

/// How long to wait for another request that determines which routes the server has. It may hang, or wait for the rate
/// limit.
const FAMILY_TURN: Duration = Duration::from_secs(1);

/// The session's tokens for the attempts of one request.
struct Bearer<'a> {
    session: &'a Session,
    /// The token of the latest attempt.
    token: Option<AccessToken>,
    renewals: Renewals,
}

impl Authorization for Bearer<'_> {
    async fn header(&mut self, run: &Run) -> Result<Option<HeaderValue>, Error> {
        let token = self.session.token(run).await?;
        let header = token.header()?;
        self.token = Some(token);
        Ok(Some(header))
    }
}

impl Bearer<'_> {
    fn accepted(&self) {
        if let Some(token) = &self.token {
            self.session.accepted(token, &self.renewals);
        }
    }

    fn refused(&mut self, refusal: Box<ApiError>) -> Result<(), AuthError> {
        match self.token.take() {
            Some(token) => self.session.refused(&token, &mut self.renewals, refusal),
            None => Ok(()),
        }
    }
}

impl Operation {
    /// Sends a request, and repeats it if that is safe.
    pub(super) async fn send<T: DeserializeOwned>(&self, request: &Request) -> Result<T, Error> {
        let mut history = History::default();
        match self.send_noting(request, &mut history).await {
            Ok(received) => Ok(received.value),
            Err(error) => Err(history.end(error)),
        }
    }

    /// Sends a read on the route family that the server has.
    pub(super) async fn send_either<T: DeserializeOwned>(
        &self,
        family: &KnownFamily,
        requests: &Either,
    ) -> Result<T, Error> {
        if let Some(known) = family.known() {
            return self.send_beginning_with(known, family, requests).await;
        }
        let turn = tokio::time::timeout(FAMILY_TURN, family.turn.lock());
        let turn = self.run.unless_stopped(turn).await?;
        match family.known() {
            Some(known) => {
                drop(turn);
                self.send_beginning_with(known, family, requests).await
            }
            None => self.send_beginning_with(Family::Newer, family, requests).await,
        }
    }

    async fn send_beginning_with<T: DeserializeOwned>(
        &self,
        first: Family,
        known: &KnownFamily,
        requests: &Either,
    ) -> Result<T, Error> {
        let is_missing = |result: &Result<T, Error>| matches!(result, Err(error) if matches!(error.reason(), Some(Reason::NoRoute)));
        let mut family = first;
        let mut result = self.send(requests.by(family)).await;
        if is_missing(&result) {
            family = first.other();
            result = self.send(requests.by(family)).await;
        }
        let is_of_kms = match &result {
            Ok(_) => true,
            Err(error) => error.reason().is_some_and(Reason::is_of_kms),
        };
        if is_of_kms {
            known.learn(family);
        }
        result
    }

    /// [`send`](Self::send), for a change that is sent several times: `history` collects all attempts, and the error is
    /// that of the last.
    pub(super) async fn send_noting<T: DeserializeOwned>(
        &self,
        request: &Request,
        history: &mut History,
    ) -> Result<Received<T>, Error> {
        let (transport, session) = (self.client.transport(), self.client.session());
        let mut tries = Tries::begin(transport, &self.run)?;
        let mut bearer = Bearer { session, token: None, renewals: Renewals::default() };
        loop {
            match transport.attempt(&self.run, request, &mut bearer, &mut tries, history).await {
                Ok(received) => {
                    bearer.accepted();
                    return Ok(received);
                }
                Err(Failure::Final(error)) => {
                    if error.api().is_some() {
                        bearer.accepted();
                    }
                    return Err(error);
                }
                // A request whose token is refused wasn't performed.
                Err(Failure::TokenRefused(refusal)) => {
                    bearer.refused(refusal)?;
                }
            }
        }
    }
}
