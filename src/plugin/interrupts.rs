//! Interrupts from the terminal, and requests of supervisors to end.
//!
//! Ctrl-C reaches the whole process group. Terraform then asks us to stop in its own way; dying here would lose what was
//! just created. SIGTERM may come to this process alone, so it ends it, but not in the middle of a call.

#[cfg(unix)]
pub(super) use unix::{hold_back, interrupted, terminated};
#[cfg(not(unix))]
pub(super) use windows::{hold_back, interrupted, terminated};

#[cfg(unix)]
mod unix {
    use std::io;

    use nix::sys::signal::{SigSet, Signal};
    use tokio_util::sync::CancellationToken;

    /// Blocks the signals in this thread and in those that it will start, so that they stay pending. That is one call
    /// to the system, where a handler of tokio's makes a registry of all signals and a pair of sockets, at each start.
    pub(in super::super) fn hold_back() -> io::Result<()> {
        Ok(SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM]).thread_block()?)
    }

    /// Cancels `end` when a supervisor asks the process to end.
    pub(in super::super) fn terminated(end: CancellationToken) -> io::Result<()> {
        first_of([Signal::SIGTERM], end)
    }

    /// Cancels `end` at Ctrl-C, or when a supervisor asks the process to end.
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

    /// The default action comes back when nobody listens any more, so these listen to the end of the process.
    pub(in super::super) fn hold_back() -> io::Result<()> {
        std::mem::forget((ctrl_c()?, ctrl_break()?));
        Ok(())
    }

    /// Nobody can ask for that here.
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
