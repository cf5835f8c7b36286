//! The state that all requests of a client share: configuration, HTTP connections, rate limits, outages and secrets.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::OnceCell;

use super::{
    config::Config, error::Error, http_client::http_client, outage::Outage, rate_limiter::RateLimiter,
    redact::Redactor, request::Request,
};

/// The transport to one server.
pub(super) struct Transport {
    pub(super) config: Config,
    /// Created at the first request: TLS setup reads the system's trust store, and many processes send no request.
    http: OnceCell<reqwest::Client>,
    /// The rate limiter of each route.
    limiters: Mutex<HashMap<String, Arc<RateLimiter>>>,
    pub(super) outage: Outage,
    pub(super) redactor: Redactor,
}

impl Transport {
    pub(super) fn new(config: Config, redactor: Redactor) -> Self {
        config.proxies.secrets().for_each(|secret| redactor.add(secret));
        Self {
            config,
            http: OnceCell::new(),
            limiters: Mutex::default(),
            outage: Outage::default(),
            redactor,
        }
    }

    /// The limiter of the request's route.
    pub(super) fn limiter(&self, request: &Request) -> Arc<RateLimiter> {
        let name = request.name();
        let mut limiters = self.limiters.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(limiters.entry(name.clone()).or_insert_with(|| Arc::new(RateLimiter::new(name))))
    }

    /// The HTTP library's client.
    ///
    /// # Errors
    /// [`Error::Config`] when the configuration is invalid.
    pub(super) async fn http(&self) -> Result<&reqwest::Client, Error> {
        self.http.get_or_try_init(async || http_client(&self.config)).await
    }
}
