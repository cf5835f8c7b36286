//! Ctrl-C, and worse, in the middle of an apply.

use std::{
    fs,
    process::Child,
    thread::sleep,
    time::{Duration, Instant},
};

use kms_emulator::{CONNECTIONS, Fault, Target};
use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};

use crate::harness::workspace::{Workspace, address, configuration, connection, under_each_terraform};

const TOKEN: &str = "dbtu_1nt3rruptP2o3i4u5y";

#[test]
fn ctrl_c_lets_the_creation_under_way_finish_and_records_it() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        let kms = &workspace.emulator;
        kms.fault(Target::once("POST", CONNECTIONS), Fault::slow(Duration::from_secs(2), Duration::ZERO));
        let first = connection("first", &[]);
        let second = connection("second", &[("description", "kms_dbt_connection.first.id")]);
        workspace.write("main.tf", &configuration(&[first, second]));

        let run = workspace.start(&["apply", "-json", "-auto-approve"]);
        wait_until("the creation is under way", || {
            kms.requests().iter().any(|request| request.is("POST", CONNECTIONS))
        });
        killpg(Pid::from_raw(run.id().cast_signed()), Signal::SIGINT).unwrap();
        let outcome = workspace.finish(run);
        assert_eq!(outcome.code, Some(1), "{outcome:#?}");
        assert_eq!(workspace.state(&address("first"))["id"], kms.connection("first").id.as_str());
        assert!(workspace.state(&address("second")).is_null(), "nothing new is begun");
        assert_eq!(kms.connections().len(), 1);

        workspace.apply().succeeded();
        workspace.assert_clean();
    });
}

#[test]
fn a_killed_provider_leaves_connections_that_the_next_run_finds() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_token(TOKEN);
        let kms = &workspace.emulator;
        let slow = Fault::slow(Duration::ZERO, Duration::from_secs(30));
        kms.fault(Target::every("POST", CONNECTIONS), slow);
        let labels = ["one", "two"];
        workspace.write("main.tf", &configuration(&labels.map(|label| connection(label, &[]))));
        let run = workspace.start(&["apply", "-json", "-auto-approve"]);
        wait_until("both are made", || kms.connections().len() == 2);
        provider_of(&run).into_iter().for_each(|provider| kill(provider, Signal::SIGKILL).unwrap());
        workspace.finish(run).failed();
        kms.clear_faults();
        assert!(labels.iter().all(|label| workspace.state(&address(label)).is_null()));

        let outcome = workspace.apply().failed();
        assert_eq!(outcome.errors().len(), 2, "{outcome:#?}");
        for label in labels {
            let error = outcome.errors().into_iter().find(|error| error.address == address(label)).unwrap();
            assert!(
                error.says(&["terraform import", &kms.connection(label).id, "adopt_existing"]),
                "{error:#?}"
            );
        }

        let adopting = labels.map(|label| connection(label, &[("adopt_existing", "true")]));
        workspace.write("main.tf", &configuration(&adopting));
        workspace.apply().succeeded();
        assert_eq!(kms.connections().len(), 2);
        workspace.assert_clean();
    });
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(30), "waited too long until {what}");
        sleep(Duration::from_millis(10));
    }
}

/// The provider processes that this Terraform started.
fn provider_of(terraform: &Child) -> Vec<Pid> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().filter_map(Result::ok) {
        let Ok(status) = fs::read_to_string(entry.path().join("status")) else {
            continue;
        };
        let field =
            |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
        // The kernel keeps the first 15 letters of a name.
        if field("Name:") == "terraform-provi" && field("PPid:") == terraform.id().to_string() {
            found.push(Pid::from_raw(field("Pid:").parse().unwrap()));
        }
    }
    assert!(!found.is_empty(), "Terraform {} has no provider", terraform.id());
    found
}
