//! A provider that uses every feature of the plugin runtime, and nothing else of this package. Its objects are files in a
//! directory. `tests/terraform/kitchen_sink` runs it under the real Terraform.

#![allow(missing_docs, clippy::unwrap_used, reason = "a provider for tests")]

mod around;
mod secret_text;
mod store;
mod thing;

#[path = "../../../../src/plugin/hello_world.rs"]
mod hello_world;

use std::process::ExitCode;

use terraform_provider_kms::{
    model,
    plugin::{
        cli, context, diagnostics,
        diagnostics::Diagnostics,
        model,
        model::Model as _,
        provider::{Provider, Types},
        resource, schema,
        schema::{Schema, computed, optional},
    },
};

use self::{store::Store, thing::Things};

model! {
    /// The provider block.
    pub struct SinkConfig {
        /// Directory that holds the objects. Environment: `SINK_DIRECTORY`.
        directory: String = optional(),
        /// A password that has no effect.
        password: secret_text::SecretText = optional(),
    }
}

model! {
    /// A model with faults.
    pub struct Faulty {
        /// Computed and write-only, which exclude each other.
        token: String = computed().write_only(),
    }
}

struct Sink {
    store: Store,
}

impl Provider for Sink {
    type Config = SinkConfig;

    fn address(&self) -> &'static str {
        "registry.terraform.io/example/sink"
    }

    fn schema(&self) -> Schema {
        SinkConfig::schema("Keeps things in a directory.")
    }

    fn configure(&self, _: &str, config: SinkConfig, _: &mut Diagnostics) {
        if let Some(directory) = config.directory.into_known().or_else(|| environment("SINK_DIRECTORY")) {
            self.store.open(directory);
        }
    }

    fn types(&self) -> Types {
        let store = || self.store.clone();
        let types = Types::new()
            .resource("sink_thing", Things::new(store()))
            .resource("sink_file", hello_world::Files)
            .data_source("sink_thing", around::ThingByName(store()))
            .ephemeral_resource("sink_token", around::Tokens)
            .list_resource("sink_thing", around::ThingList(store()))
            .action("sink_touch", around::Touch(store()))
            .function("join", around::Join)
            .function("total", around::Total)
            .function("swap", around::Swap)
            .function("kind", around::KindOf);
        if environment("SINK_FAULTY").is_some() {
            types.data_source("sink_faulty", around::FaultySource)
        } else {
            types
        }
    }
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn main() -> ExitCode {
    let argument = std::env::args_os().nth(1);
    let provider = Sink { store: Store::default() };
    cli::run(("terraform-provider-sink", "0.0.0"), argument.as_deref(), environment, provider)
}
