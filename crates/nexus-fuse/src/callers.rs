//! Who asks for a change: the program behind a request, by its process id.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};

use crate::filesystem::Core;
use crate::volume::Caller;

/// What names the run of an agent in the environment of its programs.
const SESSION_VARIABLE: &[u8] = b"NEXUS_SESSION=";
/// As in the headers of other doors.
const SESSION_BYTES_MAX: usize = 128;
/// How long a process is taken for the program that it was: its number is used again, and it
/// may become another program.
const KNOWN_FOR: Duration = Duration::from_millis(100);
/// Processes that are known at a time.
const KNOWN_MAX: usize = 1024;
/// How long is waited to learn who asks. The kernel answers at once, unless the process is
/// itself stuck in a request to this mount.
const PATIENCE: Duration = Duration::from_millis(50);
const STATUS_BYTES_MAX: u64 = 4 << 10;
const ENVIRONMENT_BYTES_MAX: u64 = 256 << 10;

/// Who asked a moment ago, with what acts for them.
#[derive(Default)]
pub(crate) struct Callers(Mutex<HashMap<u32, (Instant, Arc<Core>)>>);

impl Callers {
    /// What changes the volume for a process; `core` itself where nothing is known of it.
    pub(crate) async fn acting(&self, core: Arc<Core>, pid: u32) -> Arc<Core> {
        // None that this process could see.
        if pid == 0 {
            return core;
        }
        if let Some(known) = self.known(pid) {
            return known;
        }
        let caller = identify(pid).await;
        let acting = match caller == Caller::default() {
            true => core,
            false => Arc::new(core.acting_for(&caller)),
        };
        self.remember(pid, Arc::clone(&acting));
        acting
    }

    fn known(&self, pid: u32) -> Option<Arc<Core>> {
        let known = self.0.lock();
        let (since, acting) = known.get(&pid)?;
        (since.elapsed() < KNOWN_FOR).then(|| Arc::clone(acting))
    }

    fn remember(&self, pid: u32, acting: Arc<Core>) {
        let mut known = self.0.lock();
        if known.len() >= KNOWN_MAX {
            known.retain(|_, (since, _)| since.elapsed() < KNOWN_FOR);
        }
        if known.len() < KNOWN_MAX {
            known.insert(pid, (Instant::now(), acting));
        }
    }
}

/// On a thread of its own: the environment of a process cannot be read while its memory is
/// being changed, and that may wait for this very mount.
async fn identify(pid: u32) -> Caller {
    let read = spawn_blocking(move || caller(pid));
    match timeout(PATIENCE, read).await {
        Ok(Ok(caller)) => caller,
        failed => {
            tracing::debug!(pid, ?failed, "it is not known which program asks");
            Caller::default()
        }
    }
}

/// What is known of a process, which may have ended, or be somebody's whose environment is not
/// to be read.
fn caller(pid: u32) -> Caller {
    let Ok(status) = read(pid, "status", STATUS_BYTES_MAX) else {
        return Caller::default();
    };
    // A thread has a name of its own.
    let process = thread_group(&status).unwrap_or(pid);
    let program = read(process, "comm", STATUS_BYTES_MAX).ok();
    let program = program.map(|name| String::from_utf8_lossy(&name).trim_end().into());
    let environment = read(process, "environ", ENVIRONMENT_BYTES_MAX);
    let session = environment.ok().and_then(|all| session(&all));
    Caller { session, program }
}

fn thread_group(status: &[u8]) -> Option<u32> {
    let lines = status.split(|byte| *byte == b'\n');
    let group = lines
        .filter_map(|line| line.strip_prefix(b"Tgid:"))
        .next()?;
    std::str::from_utf8(group).ok()?.trim().parse().ok()
}

/// The session that an environment names, if it is one that any door would take.
fn session(environment: &[u8]) -> Option<Arc<str>> {
    let mut variables = environment.split(|byte| *byte == 0);
    let value = variables.find_map(|variable| variable.strip_prefix(SESSION_VARIABLE))?;
    let printable = |byte: &u8| *byte == b'\t' || (b' '..=b'~').contains(byte);
    if value.is_empty() {
        return None;
    }
    if value.len() > SESSION_BYTES_MAX || !value.iter().all(printable) {
        tracing::debug!("NEXUS_SESSION is left out: it holds up to 128 ASCII characters");
        return None;
    }
    std::str::from_utf8(value).ok().map(Arc::from)
}

fn read(pid: u32, file: &str, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(format!("/proc/{pid}/{file}"))?;
    file.take(bytes_max).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
