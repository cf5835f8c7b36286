//! The emulator is held to the server's rules, because every other test relies on it.
//!
//! Each test names the source that it follows, as path and stored commit in one of the public repositories
//! `hanzoai/kms` (`H`) and `Infisical/infisical` (`I`), below `backend/src/` unless it says otherwise. Much of Hanzo's tree is
//! Infisical's unchanged; then the source named is Infisical's, and both have it. "Probe" is an observation of Fastify
//! 4.29.1, @fastify/rate-limit 9.1.0, zod 3.25, jsonwebtoken 9.0.3 and axios 1, which H `../package.json` asks for, set up
//! as `server/app.ts` does.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is a failed test")]

mod client;

mod bodies;
mod connections;
mod dbt;
mod faults;
mod logins;
mod order;
mod projects;
mod rights;
mod rotating;
mod rotation_bodies;
mod rotation_rights;
mod rotations;
mod secret_references;
mod secrets;
mod tokens;
mod tool;
mod wire;
