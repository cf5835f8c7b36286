//! The built provider, spoken to as Terraform does: over its socket, with mutual TLS, in gRPC.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is a failed test")]

mod aws;
mod host;

mod bounds;
mod certificates;
mod fates;
mod gateways;
mod handshake;
mod hostile;
mod http2;
mod logging;
mod proxies;
mod resource;
mod scale;
mod stopping;
#[cfg(unix)]
mod unix;
mod unready;
