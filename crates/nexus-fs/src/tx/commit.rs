//! Sending a transaction, and what follows from its answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::future::BoxFuture;
use nexus_kernel::{Commit, Durability, Error, Outcome, Result, Revision, Txn};
use tokio::runtime::Handle;

use super::{Slot, Tx};
use crate::cache::{Changing, MetaCache};
use crate::content::Pinned;
use crate::handles::Removal;
use crate::keys;
use crate::log::{MERGE, RESTORE, UNDO};
use crate::records::{DentryRecord, InodeRecord, unreadable};
use crate::view::View;
use crate::zone::Shared;

impl Tx<'_> {
    /// Commits, if the leases hold that the request stands on; `None` after a lost race.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the commit goes on in the background.
    pub(crate) async fn commit(mut self, durability: Durability) -> Result<Option<Committed>> {
        if !self.unfenced {
            self.check_fences().await?;
        }
        let txn = self.assemble(durability)?;
        let zone = Arc::clone(&self.session.zone);
        if txn.ops.is_empty() {
            let revision = match durability {
                // What it found done may not be durable yet.
                Durability::Sync => zone.metastore.sync().await?,
                Durability::Relaxed => zone.revision().await?,
            };
            return Ok(Some(Committed::new(revision, self.inodes)));
        }
        self.check_size(&txn)?;
        let debug = tracing::enabled!(tracing::Level::DEBUG);
        let guards = if debug { txn.guards.clone() } else { vec![] };
        let view = self.view;
        let (answer, effect) = Sent::new(&zone, txn, self.into_effect()).answer().await;
        match answer? {
            Commit::Applied(revision) => Ok(Some(Committed::new(revision, effect.inodes))),
            Commit::Conflict { guard } => {
                zone.counters.retries.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(guard = ?guards.get(guard), "lost a race, trying again");
                refresh_topology(&view).await?;
                Ok(None)
            }
        }
    }

    fn check_size(&self, txn: &Txn) -> Result<()> {
        let limits = self.zone().metastore.limits();
        let rows = txn.ops.len() + txn.guards.len();
        if rows > limits.txn_items_max {
            let error = self.too_large().with("rows", rows);
            return Err(error.with("rows_max", limits.txn_items_max));
        }
        let bytes = txn.bytes();
        if bytes > limits.txn_bytes_max {
            let error = self.too_large().with("commit_bytes", bytes);
            return Err(error.with("commit_bytes_max", limits.txn_bytes_max));
        }
        Ok(())
    }

    /// What it is that one commit cannot hold, and how to go on.
    pub(super) fn too_large(&self) -> Error {
        Error::limit(match self.operation {
            Some((UNDO, _)) => {
                "this is too much to undo in one commit; undo ranges of the operations, the last first, \
                 or what they did below one path at a time"
            }
            Some((RESTORE, _)) => {
                "this is too much to restore in one commit; restore some of its paths, then the others"
            }
            Some((MERGE, _)) => {
                "this is too much to merge in one commit; merge earlier, while less has changed"
            }
            _ => "this is too much for one commit, which is atomic; do it in parts",
        })
    }

    fn into_effect(self) -> Effect {
        Effect {
            inodes: self.inodes,
            dentries: self.dentries,
            touched: &self.touched | &self.timed,
            moves_directory: self.moves_directory,
            detaches: self.detaches,
            pinned: self.pinned,
            orphans: self.orphans,
            _removals: self.removals,
        }
    }
}

/// Takes note that directories have moved. The caches know it already: what a commit on its
/// way moves is not in them.
async fn refresh_topology(view: &View<'_>) -> Result<()> {
    let found = view.get(keys::TOPOLOGY).await?;
    let found = found.ok_or_else(|| unreadable("topology"))?;
    let topology = &view.zone.topology;
    topology.fetch_max(found.revision.0, Ordering::AcqRel);
    Ok(())
}

/// A transaction on its way. Dropped before the answer, it goes on in the background: the
/// store may apply it all the same, and then the caches must hear of it.
struct Sent {
    zone: Arc<Shared>,
    commit: BoxFuture<'static, Result<Commit>>,
    /// What is to be done with the answer, until it has been.
    todo: Option<(Effect, Changing)>,
}

impl Sent {
    fn new(zone: &Arc<Shared>, txn: Txn, effect: Effect) -> Self {
        let changing = effect.begin(&zone.cache);
        let metastore = Arc::clone(&zone.metastore);
        Self {
            zone: Arc::clone(zone),
            commit: Box::pin(async move { metastore.commit(txn).await }),
            todo: Some((effect, changing)),
        }
    }

    async fn answer(mut self) -> (Result<Commit>, Effect) {
        let answer = self.commit.as_mut().await;
        let (mut effect, changing) = self.todo.take().expect("an answer comes once");
        effect.settle(&self.zone, changing, &answer);
        (answer, effect)
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        let Some((mut effect, changing)) = self.todo.take() else {
            return;
        };
        // Without a runtime the process is about to end, and the caches with it.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let zone = Arc::clone(&self.zone);
        let commit = std::mem::replace(&mut self.commit, Box::pin(std::future::pending()));
        runtime.spawn(async move { effect.settle(&zone, changing, &commit.await) });
    }
}

/// What a transaction does besides changing the store.
struct Effect {
    inodes: BTreeMap<u64, Slot<InodeRecord>>,
    dentries: BTreeMap<(u64, String), Slot<DentryRecord>>,
    touched: BTreeSet<u64>,
    moves_directory: bool,
    detaches: bool,
    /// Holds the collector off until the outcome is known.
    pinned: Vec<Arc<Pinned>>,
    /// Inodes that lose their last name and were open when this was decided.
    orphans: Vec<u64>,
    /// Keep those that are removed from being opened until there is an answer.
    _removals: Vec<Removal>,
}

impl Effect {
    /// Drops from the cache what is about to change.
    fn begin(&self, cache: &MetaCache) -> Changing {
        let mut changing = Changing::default();
        for (parent, name) in changed(&self.dentries) {
            cache.change_dentry(&mut changing, *parent, name);
        }
        for ino in changed(&self.inodes) {
            cache.change_inode(&mut changing, *ino);
        }
        for dir in &self.touched {
            cache.change_time(&mut changing, *dir);
        }
        changing
    }

    fn settle(&mut self, zone: &Arc<Shared>, changing: Changing, answer: &Result<Commit>) {
        match answer {
            Ok(Commit::Applied(revision)) => self.applied(zone, *revision),
            // It may be applied at any time from now on. What it changes stays out of the
            // cache, and what it refers to is not collected, until a restart.
            Err(error) if error.outcome() == Outcome::Unknown => {
                std::mem::forget(std::mem::take(&mut self.pinned));
            }
            _ => zone.cache.unchanged(changing),
        }
        if self.detaches {
            zone.purge.notify_one();
        }
    }

    fn applied(&self, zone: &Arc<Shared>, revision: Revision) {
        zone.counters.commits.fetch_add(1, Ordering::Relaxed);
        for (parent, name) in changed(&self.dentries) {
            let now = self.dentries[&(*parent, name.clone())].now;
            zone.cache.changed_dentry(revision, *parent, name, now);
        }
        for ino in changed(&self.inodes) {
            let now = self.inodes[ino].now.clone();
            zone.cache.changed_inode(revision, *ino, now);
        }
        for dir in &self.touched {
            zone.cache.changed_time(revision, *dir);
        }
        for ino in &self.orphans {
            crate::handles::remove_if_closed(zone, *ino);
        }
        if self.moves_directory {
            zone.topology.fetch_max(revision.0, Ordering::AcqRel);
        }
    }
}

fn changed<K, T: Clone + PartialEq>(slots: &BTreeMap<K, Slot<T>>) -> impl Iterator<Item = &K> {
    let changed = slots.iter().filter(|(_, slot)| slot.is_changed());
    changed.map(|(key, _)| key)
}

/// What a commit left behind.
pub(crate) struct Committed {
    pub revision: Revision,
    inodes: BTreeMap<u64, (InodeRecord, Revision)>,
}

impl Committed {
    fn new(revision: Revision, slots: BTreeMap<u64, Slot<InodeRecord>>) -> Self {
        let inodes = slots.into_iter().filter_map(|(ino, slot)| {
            let unchanged = slot.base.as_ref().filter(|_| !slot.is_changed());
            let since = unchanged.map_or(revision, |(_, since)| *since);
            Some((ino, (slot.now?, since)))
        });
        Self {
            revision,
            inodes: inodes.collect(),
        }
    }

    /// An inode as the commit left it, with the revision that wrote it.
    pub(crate) fn inode(&self, ino: u64) -> Option<&(InodeRecord, Revision)> {
        self.inodes.get(&ino)
    }
}
