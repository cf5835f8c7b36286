//! The HTTP client of Hanzo KMS, for its app connections.
//!
//! A [`Client`] stands for one server and one login. Everything that a process does through it shares the login, the
//! HTTP connections and the view of the rate limits. Calls are made on an [`Operation`], which carries what belongs to
//! one piece of work of the caller: its cancellation and its budget of waiting.
//!
//! From the bottom up; each file uses only those above it:
//!
//! ```text
//! messages        the texts of all errors
//! config          what a client must know; no I/O
//! api_error       the KMS's own error responses; the only reader of the server's prose
//! fate            what became of a request; the only place that decides it
//! error, history  why a call failed; several tries of one change, taken together
//! request         requests as values
//! retry, rate_limiter, outage, redact    pure decisions: how often, when, whether at all, and what is shown
//! run, managed_ids                       one piece of work of the caller; the objects that the process manages
//! http_client, transport                 what all requests share
//! exchange        one HTTP exchange
//! attempt         the tries of one request
//! auth, session   one login, shared and renewed
//! object, dbt_connection, service_token_rotation   the kinds of objects
//! list_cache                             which list shows which objects
//! route_family, shared_read, project     which routes a server has; projects, each read once for all
//! client          a server and a login; operations
//! send            a request with the session's token, over the routes that the server has
//! read, write     the calls that all kinds of objects share
//! dbt_projects, rotate, secret_value, project_lookup    further calls
//! ```
//!
//! This layer doesn't know its caller. It takes its configuration from it and not from the environment, except for what
//! libraries read by themselves: see [`Config`].

mod api_error;
mod attempt;
mod auth;
mod client;
mod config;
mod dbt_connection;
mod dbt_projects;
mod error;
mod exchange;
mod fate;
mod history;
mod http_client;
mod list_cache;
mod managed_ids;
mod messages;
mod object;
mod outage;
mod project;
mod project_lookup;
mod rate_limiter;
mod read;
mod redact;
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
    client::{Client, Listed, Operation},
    config::{Auth, CaCertificate, Config, Host, HostError, ServiceAccountToken},
    dbt_connection::{
        ConnectionPlace, DbtConnection, DbtConnectionPatch, DbtCredentials, NewDbtConnection,
        StoredDbtCredentials,
    },
    dbt_projects::DbtProject,
    error::{AuthError, Error, RequestError, report},
    fate::{Cause, Effect, Fate, Obstacle, Reason},
    list_cache::Scope,
    managed_ids::{Adoption, ManagedIds},
    object::{NewObject, Object, ObjectPatch},
    project::{Environment, Project, ProjectKey},
    read::{ListScope, ObjectList},
    redact::Redactor,
    secret_value::{SecretQuery, SecretValue},
    service_token_rotation::{
        NewServiceTokenRotation, PermissionGrant, RotationDeletion, RotationPlace, SecretsMapping,
        ServiceTokenRotation, ServiceTokenRotationPatch, TimeOfDay, TokenParameters,
    },
    write::{AdoptError, CreateError, Existing},
};
