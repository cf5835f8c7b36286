//! A provider process that is restarted after it was killed.

use std::collections::BTreeSet;

use nix::unistd::Pid;

use crate::host::{Host, Provider};

pub struct Running {
    level: &'static str,
    host: Option<Host>,
    log: Vec<String>,
    /// The dbt tokens that the process has received.
    pub tokens: BTreeSet<&'static str>,
}

impl Running {
    /// A process that logs at this level. It starts at first use.
    pub fn new(level: &'static str) -> Self {
        Self { level, host: None, log: Vec::new(), tokens: BTreeSet::new() }
    }

    /// The provider. Starts the process if it isn't running.
    pub async fn provider(&mut self) -> Provider {
        if self.host.is_none() {
            self.host = Some(Host::start_with(&[("TF_LOG", self.level)]).await);
        }
        self.host.as_ref().expect("just started").provider()
    }

    pub fn pid(&self) -> Pid {
        let id = self.host.as_ref().and_then(|host| host.child.id()).expect("it runs");
        Pid::from_raw(id.cast_signed())
    }

    /// Kills the process, if it runs.
    pub fn kill(&mut self) {
        self.tokens.clear();
        if let Some(mut host) = self.host.take() {
            let _ = host.child.start_kill();
            self.log.extend(host.take_log());
        }
    }

    /// The log lines since the last call.
    pub fn take_log(&mut self) -> Vec<String> {
        let mut log = std::mem::take(&mut self.log);
        log.extend(self.host.iter().flat_map(Host::take_log));
        log
    }

    /// Ends the process as Terraform does.
    pub async fn shut_down(&mut self) {
        self.tokens.clear();
        if let Some(host) = self.host.take() {
            let (code, printed, _) = host.shut_down().await;
            assert_eq!((code, printed.as_str()), (Some(0), ""), "the provider's end");
        }
    }
}
