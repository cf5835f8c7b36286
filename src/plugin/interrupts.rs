//! Interrupts from the terminal, and requests of supervisors to end.

#[cfg(unix)]
pub(super) use unix::{end_with, ignore};
#[cfg(not(unix))]
pub(super) use windows::{end_with, ignore};

#[cfg(unix)]
mod unix {
    use std::io;

    use nix::sys::signal::{SigSet, Signal};
    use tokio_util::sync::CancellationToken;

    /// Blocks the signals in this thread and in those that it will start, so that they stay pending. That is one call
    /// to the system, where a handler of tokio's makes a registry of all signals and a pair of sockets, at each start.
    fn blocked() -> io::Result<SigSet> {
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGINT);
        signals.add(Signal::SIGTERM);
        signals.thread_block()?;
        Ok(signals)
    }

    /// Ignores them. Ctrl-C reaches the whole process group, and supervisors may signal it as a whole. Terraform then
    /// asks us to stop in its own way; dying here would lose what was just created.
    pub(in super::super) fn ignore() -> io::Result<()> {
        blocked().map(drop)
    }

    /// Cancels `end` at the first of them.
    pub(in super::super) fn end_with(end: CancellationToken) -> io::Result<()> {
        let signals = blocked()?;
        std::thread::Builder::new().spawn(move || {
            let _ = signals.wait();
            end.cancel();
        })?;
        Ok(())
    }
}

#[cfg(not(unix))]
mod windows {
    use std::io;

    use tokio::signal::windows::{ctrl_break, ctrl_c};
    use tokio_util::sync::CancellationToken;

    /// Ignores them. Ctrl-C reaches the whole process group, and supervisors may signal it as a whole. Terraform then
    /// asks us to stop in its own way; dying here would lose what was just created.
    pub(in super::super) fn ignore() -> io::Result<()> {
        // The default action comes back when nobody listens any more, so these listen to the end of the process.
        std::mem::forget((ctrl_c()?, ctrl_break()?));
        Ok(())
    }

    /// Cancels `end` at the first of them.
    pub(in super::super) fn end_with(end: CancellationToken) -> io::Result<()> {
        let mut ctrl_c = ctrl_c()?;
        tokio::spawn(async move {
            ctrl_c.recv().await;
            end.cancel();
        });
        Ok(())
    }
}
