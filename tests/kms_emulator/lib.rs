//! A KMS to test against: the server's API for dbt app connections and for the rotation of dbt service tokens, with its
//! strictness, its limits and, on demand, its bad days.
//!
//! What the true server refuses, this one refuses. Tests start one each ([`Emulator::start`]), look into it and
//! change things behind the provider's back. `cargo run --example kms-emulator` runs one by itself, driven over the
//! paths that [`admin`] describes.
//!
//! From the wire inwards: [`server`] (connections, faults applied), [`routes`] (order of checks), [`validation`] and
//! [`rotation_rules`] (field rules), [`connections`], [`rotations`] and [`token_rotation`], [`secrets`] and [`projects`]
//! (operations), [`rights`], [`state`], [`credentials`] (encryption at rest), [`dbt_cloud`] (what dbt says and does).
//!
//! It is Hanzo's server or, with `KMS_TEST_SERVER=infisical` in the environment, Infisical's. Each behaviour has a test
//! in `tests/kms_emulator_rules` that names the source it follows.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test tool: a panic is a failed test"
)]

pub mod admin;
pub mod answer;
pub mod aws_login;
mod connections;
pub mod credentials;
pub mod dbt_cloud;
pub mod faults;
pub mod gateway;
pub mod identities;
mod issues;
mod javascript;
mod json_body;
pub mod options;
pub mod projects;
mod random;
pub mod rate_limit;
pub mod references;
pub mod request_log;
pub mod rights;
pub mod rotation_rules;
mod rotation_schedule;
pub mod rotations;
pub mod routes;
pub mod secrets;
mod server;
pub mod state;
mod tls;
mod token_rotation;
mod tokens;
pub mod validation;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard},
    thread::JoinHandle,
};

use tokio::{net::TcpListener, sync::oneshot, task::AbortHandle};

pub use self::{
    credentials::Credentials,
    dbt_cloud::{DbtRefusal, Grant, ServiceToken},
    faults::{Fault, Performed, Reply, Target},
    gateway::Gateway,
    options::{EmptyFields, Options, Rotations, Routes, Server},
    projects::{Folder, Project},
    request_log::{LoggedRequest, Part, fingerprint},
    rotation_schedule::DueTime,
    rotations::Rotation,
    secrets::StoredSecret,
    state::{AppConnection, State},
};

pub const ORG_ID: &str = "8a1c39a5-6d0b-4c49-9f0a-51d0a4c7be01";
pub const PROJECT_ID: &str = "3f0c5c1e-9d0f-4d43-8c6e-6a8f7f4f1a01";
pub const OTHER_PROJECT_ID: &str = "3f0c5c1e-9d0f-4d43-8c6e-6a8f7f4f1a02";
pub const IDENTITY_ID: &str = "b7b9a3f2-2c64-4f0d-8e1b-7c3f5d9e6a01";
pub const CLIENT_ID: &str = "emulator-client";
pub const CLIENT_SECRET: &str = "emulator-secret";
pub const STATIC_TOKEN: &str = "emulator-static-token";
/// The JWT that OIDC and Kubernetes logins of the default identity take.
pub const JWT: &str = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJlbXVsYXRvciJ9.c2lnbmF0dXJl";
pub const AWS_ACCESS_KEY_ID: &str = "AKIAEMULATOR00000001";
pub const AWS_SECRET_ACCESS_KEY: &str = "emulator/aws/secret/key";
pub const AWS_TEMPORARY_ACCESS_KEY_ID: &str = "ASIAEMULATOR00000001";
pub const AWS_TEMPORARY_SECRET_ACCESS_KEY: &str = "emulator/aws/temporary/secret/key";
pub const AWS_SESSION_TOKEN: &str = "emulator/aws/session/token/w9x8y7==";

/// Path of the collection of dbt connections, for faults and for assertions on requests.
pub const CONNECTIONS: &str = "/api/v1/app-connections/dbt";
/// Path of the collection of rotations of dbt service tokens.
pub const ROTATIONS: &str = "/api/v2/secret-rotations/dbt-service-token";
pub const LOGIN: &str = "/api/v1/auth/universal-auth/login";
pub const AWS_LOGIN: &str = "/api/v1/auth/aws-auth/login";

/// A running emulator. Dropping it closes its connections and frees its port.
#[derive(Debug)]
pub struct Emulator {
    address: SocketAddr,
    ca_pem: Option<String>,
    state: server::Shared,
    host: Host,
}

#[derive(Debug)]
enum Host {
    Task(AbortHandle),
    Thread(Option<oneshot::Sender<()>>, Option<JoinHandle<()>>),
}

impl Emulator {
    /// Starts one on the caller's tokio runtime, on a free port of the loopback address.
    pub async fn start(options: Options) -> Self {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await.expect("the port is free");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (acceptor, ca_pem) = options.tls.then(tls::acceptor).unzip();
        let state = Arc::new(Mutex::new(State::new(options)));
        let task = tokio::spawn(server::serve(listener, acceptor, Arc::clone(&state)));
        Self { address, ca_pem, state, host: Host::Task(task.abort_handle()) }
    }

    /// Starts one that serves TLS; [`Emulator::ca_pem`] is the authority to trust.
    pub async fn start_tls(options: Options) -> Self {
        Self::start(Options { tls: true, ..options }).await
    }

    /// Starts one on a thread of its own, for tests that block while they wait for a child process.
    pub fn start_on_thread(options: Options) -> Self {
        let (started, starting) = std::sync::mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let emulator = Self::start(options).await;
                let parts = (emulator.address, emulator.ca_pem.clone(), Arc::clone(&emulator.state));
                started.send(parts).expect("the starter waits");
                let _ = stopped.await;
            });
        });
        let (address, ca_pem, state) = starting.recv().expect("the emulator starts");
        Self { address, ca_pem, state, host: Host::Thread(Some(stop), Some(thread)) }
    }

    pub fn url(&self) -> String {
        let scheme = if self.ca_pem.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// The certificate authority's certificate, when it serves TLS.
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    /// Everything the server knows. Don't hold it while a request is under way.
    pub fn state(&self) -> MutexGuard<'_, State> {
        server::lock(&self.state)
    }

    /// All connections, of all scopes.
    pub fn connections(&self) -> Vec<AppConnection> {
        self.state().connections.clone()
    }

    /// The only connection with this name in any scope.
    ///
    /// # Panics
    /// When there is none, or more than one.
    pub fn connection(&self, name: &str) -> AppConnection {
        let mut found = self.connections();
        found.retain(|connection| connection.name == name);
        assert_eq!(found.len(), 1, "connections named {name}");
        found.remove(0)
    }

    /// The credentials that the server stores for a connection.
    pub fn stored_credentials(&self, id: &str) -> Credentials {
        let state = self.state();
        let found = state.connections.iter().find(|connection| connection.id == id);
        state.sealer.open(&found.expect("the connection exists").credentials)
    }

    /// Makes a connection behind the provider's back and returns its id.
    pub fn create(&self, name: &str, project_id: Option<&str>, credentials: &Credentials) -> String {
        self.state().insert(name, None, project_id, ORG_ID, credentials).id.clone()
    }

    /// Changes a connection behind the provider's back.
    pub fn edit(&self, id: &str, change: impl FnOnce(&mut AppConnection)) {
        let mut state = self.state();
        state.write(id, |connection, _| change(connection)).expect("the connection exists");
    }

    /// Writes a connection's credentials behind the provider's back, equal ones too.
    pub fn write_credentials(&self, id: &str, change: impl FnOnce(&mut Credentials)) {
        let mut state = self.state();
        let written = state.write(id, |connection, sealer| {
            let mut credentials = sealer.open(&connection.credentials);
            change(&mut credentials);
            connection.credentials = sealer.seal(&credentials);
        });
        written.expect("the connection exists");
    }

    /// Deletes a connection behind the provider's back.
    pub fn delete(&self, id: &str) {
        self.state().connections.retain(|connection| connection.id != id);
    }

    /// Makes a folder for secrets, and those on the way to it.
    pub fn make_folder(&self, project_id: &str, environment: &str, path: &str) {
        self.state().make_folder(project_id, environment, path);
    }

    /// The current value of a secret.
    pub fn secret_value(
        &self,
        project_id: &str,
        environment: &str,
        path: &str,
        name: &str,
    ) -> Option<String> {
        let folder = Folder::new(project_id, environment, path);
        self.state().secret_value(&folder, name).map(Into::into)
    }

    /// All rotations, of all projects.
    pub fn rotations(&self) -> Vec<Rotation> {
        self.state().rotations.clone()
    }

    /// The only rotation with this name in any folder.
    ///
    /// # Panics
    /// When there is none, or more than one.
    pub fn rotation(&self, name: &str) -> Rotation {
        let mut found = self.rotations();
        found.retain(|rotation| rotation.name == name);
        assert_eq!(found.len(), 1, "rotations named {name}");
        found.remove(0)
    }

    /// Makes a rotation behind the provider's back, with a token at dbt and a secret, and returns its id.
    ///
    /// # Panics
    /// When the server would refuse it.
    pub fn create_rotation(&self, body: &serde_json::Value) -> String {
        self.try_to_create_rotation(body).expect("the server takes it")
    }

    /// As [`create_rotation`](Self::create_rotation), where the server may refuse it.
    pub fn try_to_create_rotation(&self, body: &serde_json::Value) -> Result<String, answer::Refusal> {
        let mut state = self.state();
        let caller = rights::Caller::almighty(&state.options);
        let body = rotation_rules::create(Some(body), state.options.name_rule).expect("a good body");
        let made = state.create_rotation(&caller, body)?;
        Ok(made["secretRotation"]["id"].as_str().expect("it has an id").to_owned())
    }

    /// Changes a rotation behind the provider's back.
    pub fn edit_rotation(&self, id: &str, change: impl FnOnce(&mut Rotation)) {
        self.state().write_rotation(id, change).expect("the rotation exists");
    }

    /// Deletes a rotation behind the provider's back: its secret and its tokens stay.
    pub fn delete_rotation(&self, id: &str) {
        self.state().forget_rotation(id);
    }

    /// Rotates as when the time has come. Says whether the rotation does so at all.
    pub fn rotate_by_clock(&self, id: &str) -> bool {
        self.state().rotate_by_clock(id)
    }

    /// The service tokens that were made at dbt, the revoked ones included.
    pub fn service_tokens(&self) -> Vec<ServiceToken> {
        self.state().dbt.service_tokens.clone()
    }

    /// The service tokens that work at dbt.
    pub fn live_service_tokens(&self) -> Vec<ServiceToken> {
        self.state().dbt.live_service_tokens().cloned().collect()
    }

    /// Makes dbt refuse to create service tokens, or stop refusing.
    pub fn refuse_service_tokens(&self, refusal: Option<DbtRefusal>) {
        self.state().dbt.refuses_to_create = refusal;
    }

    /// Makes dbt refuse a token from now on, for example that of a connection.
    pub fn revoke_at_dbt(&self, token: &str) {
        self.state().dbt.revoked.push(token.into());
    }

    /// Lets a fault strike from now on.
    pub fn fault(&self, target: Target, fault: Fault) {
        self.state().faults.add(target, fault);
    }

    pub fn clear_faults(&self) {
        self.state().faults.clear();
    }

    /// The requests since the log was cleared.
    pub fn requests(&self) -> Vec<LoggedRequest> {
        self.state().log.all().cloned().collect()
    }

    /// The requests that write connections: neither reads nor logins.
    pub fn writes(&self) -> Vec<LoggedRequest> {
        let mut requests = self.requests();
        requests.retain(|request| request.is_write() && request.path.starts_with(CONNECTIONS));
        requests
    }

    /// The requests that write rotations, or rotate.
    pub fn rotation_writes(&self) -> Vec<LoggedRequest> {
        let mut requests = self.requests();
        requests.retain(|request| request.is_write() && request.path.starts_with(ROTATIONS));
        requests
    }

    pub fn clear_requests(&self) {
        self.state().log.clear();
    }

    /// Which requests carried a text, and in which part.
    pub fn requests_containing(&self, text: &str) -> Vec<(LoggedRequest, Part)> {
        self.state().log.search(text)
    }

    /// Expires every access token from a login.
    pub fn expire_tokens(&self) {
        self.state().identities.expire_tokens();
    }

    /// Revokes every access token from a login.
    pub fn revoke_tokens(&self) {
        self.state().identities.revoke_tokens();
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        match &mut self.host {
            Host::Task(task) => task.abort(),
            Host::Thread(stop, thread) => {
                drop(stop.take());
                if let Some(thread) = thread.take() {
                    let _ = thread.join();
                }
            }
        }
    }
}
