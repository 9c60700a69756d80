//! `lock run`.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use clap::Args;
use nexus_client::{Client, Durability, Error, Kind, Lease, Result};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use super::Wanted;
use crate::app::App;
use crate::exit::Exit;
use crate::io::io_error;
use crate::points;
use crate::report::warn;

/// How often a lease is extended in its time to live.
const EXTENSIONS: u32 = 3;

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  nexus lock run /docs/plan.md -- ./rewrite.sh
  nexus lock run name:deploy --wait 10m -- sh -c 'nexus cp -r ./site nx:/site'
  nexus lock run name:a -- nexus lock run name:b -- ./needs-both.sh

The command is run once the lock is granted. Meanwhile the lease is extended, and when the command
has ended it is released. NEXUS_FENCE tells `nexus` commands within to change files only while it
is held. If it is lost, which a warning says, the command goes on; if it then ends well all the
same, the exit status is that of a conflict.")]
pub(super) struct Run {
    /// What to lock
    resource: String,
    #[command(flatten)]
    wanted: Wanted,
    /// How long to wait while others hold it, up to 1h; first come, first served
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = points::length)]
    wait: Duration,
    /// The command and its arguments
    #[arg(required = true, last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl Run {
    pub(super) async fn run(self, app: &mut App) -> Result<()> {
        let client = app.client().await?;
        let options = self.wanted.options(self.wait);
        let lease = client.acquire_lock(&self.resource, options).await?;
        let ended = self.hold(app, &client, &lease).await;
        let released = client.release_lock(&lease.resource, lease.token, Durability::Sync);
        let released = released.await;
        let status = ended?;
        match released {
            Err(error) if status.success() => Err(lost(&lease, error)),
            Err(error) => {
                warn(&format!("the lock was lost or not released: {error}"));
                app.exit = exit(status);
                Ok(())
            }
            Ok(_) => {
                app.exit = exit(status);
                Ok(())
            }
        }
    }

    /// Runs the command to its end, and keeps the lease meanwhile.
    async fn hold(&self, app: &App, client: &Client, lease: &Lease) -> Result<ExitStatus> {
        let listen =
            |kind| signal(kind).map_err(|error| io_error("signals cannot be received", &error));
        // Whoever presses Ctrl-C interrupts the command too: it decides what comes of that.
        let _interrupts = listen(SignalKind::interrupt())?;
        let mut terminated = listen(SignalKind::terminate())?;
        let mut child = self.start(app, lease)?;
        let mut kept = std::pin::pin!(keep(client, lease, self.wanted.ttl));
        let mut lost = false;
        loop {
            tokio::select! {
                status = child.wait() => {
                    return status.map_err(|error| io_error("the command cannot be waited for", &error));
                }
                error = &mut kept, if !lost => {
                    lost = true;
                    warn(&format!("the lock was lost, and changes with its fence are refused: {error}"));
                }
                _ = terminated.recv() => terminate(&child),
            }
        }
    }

    fn start(&self, app: &App, lease: &Lease) -> Result<Child> {
        let (program, arguments) = self.command.split_first().expect("the parser wants one");
        let own = lease.fence();
        let fences = app.fences().iter().chain([&own]).map(ToString::to_string);
        let fences = fences.collect::<Vec<_>>().join("\n");
        let started = Command::new(program)
            .args(arguments)
            .env("NEXUS_FENCE", fences)
            .spawn();
        started.map_err(|error| {
            io_error("the command cannot be run", &error).with("command", program.display())
        })
    }
}

/// Extends a lease again and again; ends when it is lost, with the reason.
async fn keep(client: &Client, lease: &Lease, ttl: Duration) -> Error {
    loop {
        tokio::time::sleep(ttl / EXTENSIONS).await;
        let extended = client.extend_lock(&lease.resource, lease.token, ttl, Durability::Relaxed);
        match extended.await {
            // The node may be back in time.
            Err(error) if error.kind() != Kind::Unavailable => return error,
            _ => {}
        }
    }
}

/// Why a command that ended well did not do so under the lock.
fn lost(lease: &Lease, error: Error) -> Error {
    match error.kind() {
        Kind::NotFound | Kind::Conflict => Error::conflict(
            "the lock was lost while the command ran; look at what others have done meanwhile",
        )
        .with("resource", &lease.resource)
        .with("token", lease.token),
        _ => error,
    }
}

/// Passes on that it is time to end.
fn terminate(child: &Child) {
    let pid = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended by itself just now.
        let _ = kill_process(pid, Signal::TERM);
    }
}

/// As shells have it: the command's own status, or 128 and the signal that ended it.
fn exit(status: ExitStatus) -> Exit {
    let code = status.code().or_else(|| Some(128 + status.signal()?));
    let code = code.and_then(|code| u8::try_from(code).ok());
    code.map_or(Exit::Failure, Exit::Of)
}
