//! Code generated from `proto/`. Only `wire`, `server`, `process` and `host_services` may use it.
#![allow(missing_docs, dead_code, clippy::all, unreachable_pub)]

/// Terraform's provider protocol.
pub mod tfplugin6 {
    tonic::include_proto!("tfplugin6");
}

/// go-plugin's services around it.
pub mod go_plugin {
    tonic::include_proto!("plugin");
}

/// The gRPC health check.
pub mod health {
    tonic::include_proto!("grpc.health.v1");
}
