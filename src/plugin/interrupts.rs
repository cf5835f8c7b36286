//! Signals: Ctrl-C and SIGTERM.
//!
//! Ctrl-C reaches the whole process group. Terraform then stops the provider with a call, and an earlier exit would
//! lose the objects that were just created. SIGTERM may be sent to this process alone, so the process ends, but not in
//! the middle of a call.

#[cfg(unix)]
pub(super) use unix::{hold_back, interrupted, terminated};
#[cfg(not(unix))]
pub(super) use windows::{hold_back, interrupted, terminated};

#[cfg(unix)]
mod unix {
    use std::io;

    use nix::sys::signal::{SigSet, Signal};
    use tokio_util::sync::CancellationToken;

    /// Blocks the signals in this thread and its future child threads, so that they stay pending. This takes one system
    /// call at start, while tokio's handler allocates a registry of all signals and a socket pair.
    pub(in super::super) fn hold_back() -> io::Result<()> {
        Ok(SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM]).thread_block()?)
    }

    /// Cancels `end` at SIGTERM.
    pub(in super::super) fn terminated(end: CancellationToken) -> io::Result<()> {
        first_of([Signal::SIGTERM], end)
    }

    /// Cancels `end` at Ctrl-C or SIGTERM.
    pub(in super::super) fn interrupted(end: CancellationToken) -> io::Result<()> {
        first_of([Signal::SIGINT, Signal::SIGTERM], end)
    }

    fn first_of<const N: usize>(signals: [Signal; N], end: CancellationToken) -> io::Result<()> {
        let signals = SigSet::from_iter(signals);
        std::thread::Builder::new().spawn(move || {
            if signals.wait().is_ok() {
                end.cancel();
            }
        })?;
        Ok(())
    }
}

#[cfg(not(unix))]
mod windows {
    use std::io;

    use tokio::signal::windows::{ctrl_break, ctrl_c};
    use tokio_util::sync::CancellationToken;

    /// The default action returns when nothing listens, so these listen until the process ends.
    pub(in super::super) fn hold_back() -> io::Result<()> {
        std::mem::forget((ctrl_c()?, ctrl_break()?));
        Ok(())
    }

    /// There is no SIGTERM on this system.
    pub(in super::super) fn terminated(_: CancellationToken) -> io::Result<()> {
        Ok(())
    }

    /// Cancels `end` at Ctrl-C.
    pub(in super::super) fn interrupted(end: CancellationToken) -> io::Result<()> {
        let mut ctrl_c = ctrl_c()?;
        tokio::spawn(async move {
            ctrl_c.recv().await;
            end.cancel();
        });
        Ok(())
    }
}
