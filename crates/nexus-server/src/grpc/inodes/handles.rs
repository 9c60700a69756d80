//! Open files of clients.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use nexus_fs::{Handle, Session};
use nexus_kernel::{Error, Result, Timestamp};
use nexus_service_api::{Clock, Entropy, Principal};
use parking_lot::Mutex;

use super::written::Progress;

#[cfg(test)]
mod tests;

/// A handle that is not heard of for so long is closed.
const LEASE: Duration = Duration::from_secs(60);
/// How often those are looked for.
pub(crate) const SWEEP_EVERY: Duration = Duration::from_secs(10);
/// Handles of one key.
const HANDLES_OF_ONE_MAX: usize = 65_536;
/// Handles of all.
const HANDLES_MAX: usize = 1 << 18;
/// Handles that are flushed at a time when many are closed.
const CLOSING_MAX: usize = 64;

/// Open files of clients, by the numbers that they were given.
pub(crate) struct Handles {
    table: Mutex<Table>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

#[derive(Default)]
struct Table {
    open: HashMap<u64, Entry>,
    /// How many each principal has.
    counts: HashMap<Owner, usize>,
}

/// Who a handle belongs to: a key, by its public id.
type Owner = Option<String>;

struct Entry {
    open: Arc<Open>,
    /// As the credential was when the file was opened. One that was changed or revoked since is
    /// another, and what it opened is opened again, or not.
    owner: Arc<Principal>,
    used: Timestamp,
}

/// An open file.
pub(super) struct Open {
    pub(super) handle: Arc<Handle>,
    pub(super) progress: tokio::sync::Mutex<Progress>,
}

impl Handles {
    pub(crate) fn new(clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self {
            table: Mutex::default(),
            clock,
            entropy,
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.table.lock().open.len()
    }

    /// Keeps a handle for the caller; answers its number, which was never given before and will
    /// not be again, on this node or after it: whoever comes with an old one must not meet
    /// another file.
    pub(super) fn insert(&self, caller: &Session, handle: Arc<Handle>) -> Result<u64> {
        let owner = Arc::clone(&caller.context().principal);
        let used = self.clock.now();
        let open = Arc::new(Open {
            handle,
            progress: Default::default(),
        });
        let mut table = self.table.lock();
        let total = table.open.len();
        let count = table.counts.entry(owner.key_id.clone()).or_default();
        if *count >= HANDLES_OF_ONE_MAX || total >= HANDLES_MAX {
            return Err(
                Error::limit("too many files are open; close some of them").with("limit", *count)
            );
        }
        *count += 1;
        let number = self.entropy.id() as u64;
        table.open.insert(number, Entry { open, owner, used });
        Ok(number)
    }

    /// A handle of the caller's.
    pub(super) fn get(&self, caller: &Session, number: u64) -> Result<Arc<Open>> {
        let now = self.clock.now();
        let mut table = self.table.lock();
        let entry = table.open.get_mut(&number);
        let entry = entry.filter(|entry| entry.belongs_to(caller));
        let entry = entry.ok_or_else(|| unknown(number))?;
        entry.used = now;
        Ok(Arc::clone(&entry.open))
    }

    /// Closes a handle of the caller's, who has flushed it; none that is gone already.
    pub(super) async fn close(&self, caller: &Session, number: u64) -> Result<()> {
        let removed = {
            let mut table = self.table.lock();
            let entry = table.open.get(&number);
            match entry.is_some_and(|entry| entry.belongs_to(caller)) {
                true => table.remove(number),
                false => None,
            }
        };
        match removed.and_then(only) {
            Some(handle) => handle.release().await,
            // With a call still under way, it closes itself afterwards.
            None => Ok(()),
        }
    }

    /// Flushes and closes what nobody has used for so long.
    pub(crate) async fn sweep(&self) {
        let now = self.clock.now();
        let oldest = now.plus_nanos(-(LEASE.as_nanos() as i64));
        self.close_where(|entry| entry.used < oldest).await;
    }

    /// Flushes and closes everything.
    pub(crate) async fn close_all(&self) {
        self.close_where(|_| true).await;
    }

    async fn close_where(&self, ends: impl Fn(&Entry) -> bool) {
        let ended = self.table.lock().take(ends);
        let mut closing = FuturesUnordered::new();
        for open in ended {
            let Some(handle) = only(open) else { continue };
            closing.push(close(handle));
            if closing.len() >= CLOSING_MAX {
                closing.next().await;
            }
        }
        while closing.next().await.is_some() {}
    }
}

async fn close(handle: Handle) {
    let ino = handle.ino();
    if let Err(error) = handle.close().await {
        tracing::error!(%ino, ?error, "what a client wrote to a file and did not flush could not be kept");
    }
}

impl Entry {
    fn belongs_to(&self, caller: &Session) -> bool {
        self.owner == caller.context().principal
    }
}

impl Table {
    fn remove(&mut self, number: u64) -> Option<Arc<Open>> {
        let entry = self.open.remove(&number)?;
        self.count_down(&entry.owner);
        Some(entry.open)
    }

    fn take(&mut self, ends: impl Fn(&Entry) -> bool) -> Vec<Arc<Open>> {
        let ended = self.open.extract_if(|_, entry| ends(entry));
        let ended: Vec<Entry> = ended.map(|(_, entry)| entry).collect();
        ended.iter().for_each(|entry| self.count_down(&entry.owner));
        ended.into_iter().map(|entry| entry.open).collect()
    }

    fn count_down(&mut self, owner: &Principal) {
        if let Some(count) = self.counts.get_mut(&owner.key_id) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&owner.key_id);
            }
        }
    }
}

/// The handle, if no call uses it.
fn only(open: Arc<Open>) -> Option<Handle> {
    Arc::into_inner(Arc::into_inner(open)?.handle)
}

fn unknown(number: u64) -> Error {
    Error::not_found("there is no such open file; open it again").with("handle", number)
}
