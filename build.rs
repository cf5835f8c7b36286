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
/// because it handles secrets; its table of addresses to adjust is packed where the C library can read that, which saves
/// 0.5 MiB of memory.
fn link() {
    let target = |what| std::env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    if (target("OS").as_str(), target("ENV").as_str()) != ("linux", "gnu") {
        return;
    }
    println!("cargo::rustc-link-lib=gcc_eh");
    if std::env::var("HOST") == std::env::var("TARGET") && glibc().is_some_and(|version| version >= (2, 36)) {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// The version of this machine's glibc. From 2.36 on it reads packed relocations (its release notes).
fn glibc() -> Option<(u32, u32)> {
    let output = std::process::Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (major, minor) = text.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
