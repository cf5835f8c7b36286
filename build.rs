//! Compiles `proto/`: the server side for the provider, and the client side for the tests that play Terraform.
//! protox reads the files in Rust, so no `protoc` needs to be installed.

use std::{error::Error, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let files = ["proto/tfplugin6.proto", "proto/go_plugin.proto", "proto/grpc_health_v1.proto"];
    let descriptors = protox::compile(files, ["proto"])?;
    let out_dir = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    let client_dir = out_dir.join("client");
    std::fs::create_dir_all(&client_dir)?;

    let builder = tonic_prost_build::configure().build_transport(false);
    builder.clone().build_client(false).out_dir(&out_dir).compile_fds(descriptors.clone())?;
    builder.build_server(false).out_dir(&client_dir).compile_fds(descriptors)?;
    link();
    Ok(())
}

/// Terraform starts the provider several times in each command, and starting is mostly the loader's work. So the unwinder
/// is linked in instead of loaded as one more library. The executable stays one that the system loads at a random address,
/// because it handles secrets.
fn link() {
    let target = |what| std::env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    if (target("OS").as_str(), target("ENV").as_str()) == ("linux", "gnu") {
        println!("cargo::rustc-link-lib=gcc_eh");
    }
}
