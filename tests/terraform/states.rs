//! What Terraform stores of a connection. It writes the whole state after each resource, so an apply of many costs what their
//! bytes cost.

use std::fs;

use crate::harness::{
    capabilities::Capability,
    clients,
    workspace::{Workspace, configuration, connection, under_each_terraform},
};

/// The most bytes of state that one more connection takes, without its identity.
const MOST_BYTES: usize = 1_150;
/// What an identity takes, which Terraform writes beside the attributes.
const IDENTITY_BYTES: usize = 140;

#[test]
fn a_connection_takes_little_room_in_state() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token("dbtu_sm4llSt4teV1b2n3m4");
        let size = |count: &str| {
            let arguments = [("count", count), ("name", "\"orders-${count.index + 10}\"")];
            workspace.write("main.tf", &configuration(&[connection("orders", &arguments)]));
            workspace.apply().succeeded();
            fs::metadata(workspace.path("terraform.tfstate")).unwrap().len() as usize
        };
        let (one, eleven) = (size("1"), size("11"));
        let each = (eleven - one) / 10;
        println!("{each} bytes of state a connection");
        let identity = if clients::has(version, Capability::Identities) { IDENTITY_BYTES } else { 0 };
        assert!(each <= MOST_BYTES + identity, "{each} bytes");
    });
}
