//! What the scenarios run with: clients, scratch directories, plans and diagnostics as clients report them, and the search for
//! secrets.

pub mod capabilities;
pub mod cli;
pub mod clients;
pub mod diagnostics;
pub mod events;
pub mod leaks;
pub mod plans;
pub mod releases;
pub mod workspace;

mod tests;
