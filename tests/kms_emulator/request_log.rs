//! What was asked of the server. Secrets are fingerprinted in what it shows, and kept only to be searched for.

use std::time::Duration;

use aws_lc_rs::digest;
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;

use super::{
    random,
    routes::{self, Request},
};

const SECRET_FIELDS: [&str; 5] = ["apiToken", "clientSecret", "jwt", "iamRequestHeaders", "accessToken"];

/// One request, fit to be shown.
#[derive(Clone, Debug, Serialize)]
pub struct LoggedRequest {
    /// Counts from 0 since the log was cleared.
    pub number: usize,
    pub method: String,
    pub path: String,
    /// What the path is for, such as `list` or `rotate now`; `None` for paths that no server has.
    pub route: Option<&'static str>,
    pub query: String,
    /// `authorization` holds the fingerprint of what came.
    pub headers: Vec<(String, String)>,
    /// The JSON body, with secrets replaced by their fingerprints. `None` without a body, or with one that isn't JSON.
    pub body: Option<Value>,
    /// `None` when no answer was given.
    pub status: Option<u16>,
    pub duration_ms: u64,
}

impl LoggedRequest {
    /// The top-level fields of the body, sorted.
    pub fn body_keys(&self) -> Vec<String> {
        let fields = self.body.as_ref().and_then(Value::as_object);
        let mut keys: Vec<_> = fields.map(|fields| fields.keys().cloned().collect()).unwrap_or_default();
        keys.sort();
        keys
    }

    pub fn is(&self, method: &str, path: &str) -> bool {
        self.method == method && self.path == path
    }

    pub fn is_write(&self) -> bool {
        !matches!(self.method.as_str(), "GET" | "HEAD")
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A part of a request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    Path,
    Query,
    Header(String),
    Body,
}

/// All requests since the log was cleared.
#[derive(Debug, Default)]
pub struct RequestLog {
    entries: Vec<(Request, LoggedRequest, Instant)>,
    /// Numbers of earlier generations are void: a request may end after the log was cleared.
    generation: usize,
}

/// A request under way.
#[derive(Clone, Copy, Debug)]
pub struct Ticket {
    generation: usize,
    number: usize,
}

impl RequestLog {
    pub fn begin(&mut self, request: &Request) -> Ticket {
        let number = self.entries.len();
        let shown = |(name, value): &(String, String)| {
            let secret = name == "authorization";
            (
                name.clone(),
                if secret { fingerprint(value.trim_start_matches("Bearer ")) } else { value.clone() },
            )
        };
        let mut body = serde_json::from_slice(&request.body).ok();
        body.iter_mut().for_each(hide_secrets);
        let logged = LoggedRequest {
            number,
            method: request.method.clone(),
            path: request.path.clone(),
            route: routes::name(&request.method, &request.path),
            query: request.query.clone(),
            headers: request.headers.iter().map(shown).collect(),
            body,
            status: None,
            duration_ms: 0,
        };
        self.entries.push((request.clone(), logged, Instant::now()));
        Ticket { generation: self.generation, number }
    }

    pub fn end(&mut self, ticket: Ticket, status: Option<u16>) {
        if ticket.generation != self.generation {
            return;
        }
        let (_, logged, began) = &mut self.entries[ticket.number];
        logged.status = status;
        logged.duration_ms = Duration::as_millis(&began.elapsed()) as u64;
    }

    pub fn clear(&mut self) {
        self.generation += 1;
        self.entries.clear();
    }

    pub fn all(&self) -> impl Iterator<Item = &LoggedRequest> {
        self.entries.iter().map(|(_, logged, _)| logged)
    }

    /// Which requests carried a text, and where: as it is, percent-encoded, or escaped in JSON.
    pub fn search(&self, text: &str) -> Vec<(LoggedRequest, Part)> {
        let escaped = Value::from(text).to_string();
        let escaped = escaped.trim_matches('"');
        let decoded =
            |encoded: &str| percent_decode_str(&encoded.replace('+', " ")).decode_utf8_lossy().into_owned();
        let mut found = Vec::new();
        for (request, logged, _) in &self.entries {
            let body = String::from_utf8_lossy(&request.body);
            let mut note = |there: bool, part: Part| {
                if there {
                    found.push((logged.clone(), part));
                }
            };
            note(request.path.contains(text) || decoded(&request.path).contains(text), Part::Path);
            note(request.query.contains(text) || decoded(&request.query).contains(text), Part::Query);
            for (name, value) in &request.headers {
                note(value.contains(text), Part::Header(name.clone()));
            }
            note(body.contains(text) || body.contains(escaped), Part::Body);
        }
        found
    }
}

/// How the log shows a secret: equal secrets look equal, and nothing else is visible.
pub fn fingerprint(secret: &str) -> String {
    let digest = digest::digest(&digest::SHA256, secret.as_bytes());
    format!("sha256:{}", &random::to_hex(digest.as_ref())[..12])
}

fn hide_secrets(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if SECRET_FIELDS.contains(&name.as_str()) => {
                        *text = fingerprint(text)
                    }
                    value => hide_secrets(value),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(hide_secrets),
        _ => {}
    }
}
