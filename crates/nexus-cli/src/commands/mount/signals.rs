//! Being told to stop.

use nexus_client::Result;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::io::io_error;

/// SIGINT (Ctrl-C) and SIGTERM.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// From now on they no longer end the process by themselves.
    pub(super) fn new() -> Result<Self> {
        let listen =
            |kind| signal(kind).map_err(|error| io_error("signals cannot be received", &error));
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    /// Waits for either.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
