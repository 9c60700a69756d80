//! Being told to stop.

use nexus_kernel::{Error, Result};
use rustix::process::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGINT (Ctrl-C) and SIGTERM.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// From now on they no longer end the process by themselves.
    pub(crate) fn new() -> Result<Self> {
        let listen = |kind| {
            signal(kind).map_err(|error| {
                Error::unavailable("signals cannot be received; see the cause")
                    .with("cause", &error)
                    .because(error)
            })
        };
        // A file at the size limit of this user then is a failed write, and not the end of the
        // process; nobody needs to hear of the signal itself.
        drop(listen(SignalKind::from_raw(Number::XFSZ.as_raw()))?);
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    /// Waits for either.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
