//! The HTTP client of Hanzo KMS, for its app connections.
//!
//! A [`Client`] has one server and one login. All calls through it share the login, the HTTP connections and the rate
//! limits. Calls are methods of an [`Operation`], which has the cancellation and the wait budget of one task of the
//! caller.
//!
//! From the bottom up; each file uses only those above it:
//!
//! ```text
//! messages        the texts of all errors
//! text            words of others as messages show them
//! certificates    the certificates of servers: which are trusted, and why one is refused
//! custom_headers  headers of the caller for gateways; no I/O
//! proxy           which proxy a URL needs
//! config          the configuration of a client; no I/O
//! api_error       the KMS's error responses; only this file interprets the server's messages
//! fate            whether a request was performed; only this file decides it
//! error, history  the errors of calls; all attempts of one change taken together
//! request         requests as values
//! redirect        what a redirect means; no I/O
//! encodings       texts in the encodings of servers; no I/O
//! retry, rate_limiter, outage, redact    decisions without I/O: repeats, waits, outages, redaction
//! run, managed_ids                       one task of the caller; the objects that the process manages
//! http_client, transport                 the state that all requests share
//! fault           the errors of the HTTP libraries
//! exchange        one HTTP exchange
//! attempt         the attempts of one request
//! auth, session   one login, shared and renewed
//! object, dbt_connection, service_token_rotation   the kinds of objects
//! list_cache                             cached lists of objects
//! route_family, shared_read, project     the routes that a server has; projects, each read once
//! client          a server and a login; operations
//! send            a request with the session's token, on the routes that the server has
//! read, write     the calls that all kinds of objects share
//! dbt_projects, rotate, secret_value, project_lookup    further calls
//! ```
//!
//! This layer is independent of its caller. The caller passes the configuration; only the AWS library reads
//! the environment: see [`Config`].

mod api_error;
mod attempt;
mod auth;
mod certificates;
mod client;
mod config;
mod custom_headers;
mod dbt_connection;
mod dbt_projects;
mod encodings;
mod error;
mod exchange;
mod fate;
mod fault;
mod history;
mod http_client;
mod list_cache;
mod managed_ids;
mod messages;
mod object;
mod outage;
mod project;
mod project_lookup;
mod proxy;
mod rate_limiter;
mod read;
mod redact;
mod redirect;
mod request;
mod retry;
mod rotate;
mod route_family;
mod run;
mod secret_value;
mod send;
mod service_token_rotation;
mod session;
mod shared_read;
mod text;
mod transport;
mod write;

#[cfg(test)]
mod test_server;
#[cfg(test)]
mod tests;

pub use tokio_util::sync::CancellationToken;

pub use self::{
    api_error::{ApiError, ApiErrorKind, Issue},
    auth::AwsError,
    certificates::{BundleError, CaCertificates, CertificateProblem, cipher_suites},
    client::{Client, Listed, Operation},
    config::{Auth, Config, Host, HostError, ServiceAccountToken},
    custom_headers::{CustomHeaders, HeaderProblem, Reservation},
    dbt_connection::{
        ConnectionPlace, DbtConnection, DbtConnectionPatch, DbtCredentials, NewDbtConnection,
        StoredDbtCredentials,
    },
    dbt_projects::DbtProject,
    error::{AuthError, Error, RequestError, report},
    fate::{Cause, Destination, Effect, Fate, Obstacle, Reason, Redirect, RedirectKind},
    list_cache::Scope,
    managed_ids::{Adoption, ManagedIds},
    object::{NewObject, Object, ObjectPatch},
    project::{Environment, Project, ProjectKey},
    proxy::Proxies,
    read::{Forecast, ListScope, ObjectList},
    redact::{PLACEHOLDER, Redactor},
    secret_value::{SecretQuery, SecretValue},
    service_token_rotation::{
        NewServiceTokenRotation, PermissionGrant, RotationDeletion, RotationPlace, SecretsMapping,
        ServiceTokenRotation, ServiceTokenRotationPatch, TimeOfDay, TokenParameters,
    },
    write::{AdoptError, CreateError, Existing},
};
