//! Relaxed commits: into the active memtable, without the file.

use std::sync::Arc;
use std::time::Instant;

use nexus_kernel::{Commit, Restoring, Revision, Txn, TxnId};
use redb::StorageError;

use super::{ClosesTheQueueInAPanic, Committer};
use crate::batch::Failure;
use crate::evaluate::{Evaluated, Verdict, evaluate};
use crate::layers::{Below, Layers, Sealed};
use crate::memtable::Memtable;
use crate::queue::Closed;
use crate::space::Space;

impl Committer {
    /// Commits a relaxed transaction of about so many bytes; `None` when that takes a flush.
    pub(crate) fn commit_in_memory(&mut self, txn: &Txn, bytes: usize) -> Option<Verdict> {
        let _panics = ClosesTheQueueInAPanic(self.queue.clone());
        match self.try_in_memory(txn, bytes) {
            Ok(verdict) => verdict,
            Err(error) => {
                self.queue.close(Closed::AfterFailure);
                Some(Err(Failure::before(error).answer()))
            }
        }
    }

    /// Commits and answers the relaxed transactions at the head of the queue, and lets those
    /// between them who want everything durable wait for a flush.
    pub(crate) fn serve_in_memory(&mut self) {
        while let Some(waiting) = self.queue.take_unhurried() {
            let Some(txn) = waiting.request.txn() else {
                self.wait_for_flush(waiting);
                continue;
            };
            let Some(verdict) = self.commit_in_memory(txn, waiting.bytes) else {
                return self.queue.put_back(vec![waiting]);
            };
            waiting.request.answer(verdict);
        }
    }

    /// Refuses what the disk may have no room for, and anything in the middle of a restore.
    pub(super) fn admit(&mut self, txn: &Txn, now: Instant) -> nexus_kernel::Result<()> {
        if self.view().restoring.is_some() {
            return Err(Restoring::refusal());
        }
        let Some(space) = &mut self.space else {
            return Ok(());
        };
        space.refresh(now);
        space.admit(txn)
    }

    /// Leaves what was committed so far to a flush.
    pub(super) fn seal(&mut self, now: Instant) {
        let ids = self.recent.take_fresh(self.visible);
        let mut view = self.view_mut();
        let sealed = Sealed {
            changes: std::mem::take(&mut view.active),
            ids,
            newest: self.visible,
        };
        view.below = Arc::new(Below {
            sealed: Some(sealed),
            base: view.below.base.clone(),
        });
        drop(view);
        self.flush_at = Some(now);
        self.queue.set_flush_at(self.flush_at);
    }

    fn try_in_memory(&mut self, txn: &Txn, bytes: usize) -> Result<Option<Verdict>, StorageError> {
        if let Some(first) = txn.id.and_then(|id| self.recent.revision_of(id)) {
            return Ok(Some(Ok(Commit::Applied(first))));
        }
        let now = Instant::now();
        if let Err(refused) = self.admit(txn, now) {
            self.counters.evaluated(0, 1);
            return Ok(Some(Err(refused)));
        }
        if !self.makes_room(bytes, now) {
            return Ok(None);
        }
        let revision = self.visible.next();
        match self.evaluate(txn, revision)? {
            Evaluated::Rejected(verdict) => {
                self.counters.evaluated(0, 1);
                Ok(Some(verdict))
            }
            Evaluated::Applies(changes) => {
                self.publish(changes, revision, txn.id, now);
                Ok(Some(Ok(Commit::Applied(revision))))
            }
        }
    }

    fn evaluate(&self, txn: &Txn, revision: Revision) -> Result<Evaluated, StorageError> {
        let view = self.view();
        let memtables: Vec<_> = view.memtables().collect();
        let base = &view.below.base;
        evaluate(
            txn,
            revision,
            Layers {
                memtables: &memtables,
                base,
            },
        )
    }

    /// Whether so many bytes may stay in memory for a while: the disk has room for them, too.
    /// Seals the active memtable when it is full and the last one is in the file.
    fn makes_room(&mut self, bytes: usize, now: Instant) -> bool {
        if self.visible >= self.reserved || bytes > self.memtable_bytes_max {
            return false;
        }
        let view = self.view();
        let in_memory: u64 = view.memtables().map(Memtable::file_bytes).sum();
        let spare = self.space.as_ref().map_or(u64::MAX, Space::spare);
        let fits = view.active.bytes() + bytes <= self.memtable_bytes_max;
        let may_seal = view.sealed().is_none();
        drop(view);
        if in_memory + bytes as u64 > spare {
            return false;
        }
        if !fits && may_seal {
            self.seal(now);
        }
        fits || may_seal
    }

    fn publish(&mut self, changes: Memtable, revision: Revision, id: Option<TxnId>, now: Instant) {
        let mut view = self.view_mut();
        view.active.absorb(changes);
        view.revision = revision;
        let may_seal = view.sealed().is_none();
        drop(view);
        self.visible = revision;
        if let Some(id) = id {
            self.recent.remember(id, revision);
        }
        self.counters.evaluated(1, 0);
        if self.flush_at.is_none() {
            self.flush_at = Some(now + self.relaxed_delay_max);
            self.queue.set_flush_at(self.flush_at);
        }
        let left = self.reserved.0 - revision.0;
        if may_seal && left <= self.relaxed_commits_max / 2 {
            self.seal(now);
        }
        self.newest.send_replace(revision);
    }
}
