//! Groups: what must become durable, and what was queued with it, with one flush.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use nexus_kernel::{Commit, Durability, Revision, Txn, TxnId};
use redb::StorageError;

use super::{ClosesTheQueueInAPanic, Committer, Place};
use crate::batch::{Batch, Failure, Reserved};
use crate::evaluate::{Evaluated, Verdict, evaluate};
use crate::layers::{Base, Below, Layers};
use crate::memtable::Memtable;
use crate::queue::{Closed, Request, Waiting};
use crate::recent::Ids;

/// What a group comes to before anybody sees it.
struct Group {
    /// One for each transaction, in order.
    verdicts: Vec<Verdict>,
    changes: Memtable,
    ids: HashMap<TxnId, Revision>,
    newest: Revision,
    must_sync: bool,
    /// Whether a relaxed transaction applied.
    has_relaxed: bool,
    started: Instant,
}

impl Committer {
    /// Commits and answers a group. A failure of the file closes the queue.
    pub(super) fn serve(&mut self, group: Vec<Waiting>, place: Place) {
        let _panics = ClosesTheQueueInAPanic(self.queue.clone());
        match self.commit(&group, place) {
            Ok(verdicts) => self.answer(group, verdicts),
            Err(failure) => {
                if !failure.may_be_tried_again() {
                    self.queue.close(Closed::AfterFailure);
                }
                for waiting in group {
                    waiting.request.refuse(failure.answer());
                }
            }
        }
    }

    /// Makes everything in memory durable, and `changes` on top of it.
    pub(super) fn write(
        &mut self,
        changes: &Memtable,
        newest: Revision,
        reserved: Reserved,
    ) -> Result<(), Failure> {
        let started = Instant::now();
        let fresh = self.recent.take_fresh(newest);
        let base = self.write_under(changes, fresh.as_ref(), newest, &reserved)?;
        let mut view = self.view_mut();
        view.active = Memtable::default();
        view.below = Arc::new(Below::from(base));
        view.revision = newest;
        drop(view);
        if let Reserved::UpTo(revision) = reserved {
            self.reserved = revision;
        }
        self.visible = newest;
        self.durable = newest;
        self.flush_at = None;
        self.queue.set_flush_at(None);
        self.counters.synced(started.elapsed());
        self.answer_synced();
        self.newest.send_replace(newest);
        Ok(())
    }

    fn write_under(
        &self,
        changes: &Memtable,
        fresh: Option<&Ids>,
        newest: Revision,
        reserved: &Reserved,
    ) -> Result<Base, Failure> {
        let view = self.view();
        let sealed = view.sealed();
        let layers = sealed.map(|sealed| &sealed.changes).into_iter();
        let layers: Vec<_> = layers.chain([&view.active, changes]).collect();
        let ids = sealed.and_then(|sealed| sealed.ids.as_ref());
        let ids: Vec<_> = ids.into_iter().chain(fresh).collect();
        let batch = Batch {
            layers: &layers,
            ids: &ids,
            newest,
            reserved,
        };
        batch.write(&view.opened.db)
    }

    fn answer(&self, group: Vec<Waiting>, verdicts: Vec<Verdict>) {
        let mut verdicts = verdicts.into_iter();
        for waiting in group {
            match waiting.request {
                Request::Sync(answer) => drop(answer.send(Ok(self.durable))),
                commit => {
                    let verdict = verdicts.next();
                    commit.answer(verdict.expect("each transaction has a verdict"));
                }
            }
        }
    }

    fn commit(&mut self, waiting: &[Waiting], place: Place) -> Result<Vec<Verdict>, Failure> {
        let before = self.visible;
        let mut group = Group::after(before);
        for waiting in waiting {
            match &waiting.request {
                Request::Sync(_) => group.must_sync = true,
                Request::Commit(txn, _) => self.judge(txn, &mut group).map_err(Failure::before)?,
            }
        }
        let has_changes = group.newest > self.visible;
        if has_changes || (group.must_sync && self.durable < self.visible) {
            // A caller found it clean after this group was complete: what it refers to is there.
            if place == Place::Thread {
                self.barrier.flush().map_err(Failure::Barrier)?;
            }
            self.make_durable(&mut group)?;
        }
        let applied = (group.newest.0 - before.0) as usize;
        self.counters.evaluated(applied, group.rejected());
        Ok(group.verdicts)
    }

    fn make_durable(&mut self, group: &mut Group) -> Result<(), Failure> {
        let is_relaxed_in_use = group.has_relaxed || self.durable < self.visible;
        let reserved = match is_relaxed_in_use {
            true => Reserved::UpTo(Revision(group.newest.0 + self.relaxed_commits_max)),
            false => Reserved::AsBefore,
        };
        for (id, revision) in group.ids.drain() {
            self.recent.remember(id, revision);
        }
        self.write(&group.changes, group.newest, reserved)
    }

    fn judge(&mut self, txn: &Txn, group: &mut Group) -> Result<(), StorageError> {
        let verdict = match self.first_revision(txn, group) {
            Some(first) => Ok(Commit::Applied(first)),
            None => match self.admit(txn, group.started) {
                Err(refused) => Err(refused),
                Ok(()) => self.apply(txn, group)?,
            },
        };
        let applied = matches!(verdict, Ok(Commit::Applied(_)));
        group.must_sync |= applied && txn.durability == Durability::Sync;
        group.verdicts.push(verdict);
        Ok(())
    }

    fn first_revision(&self, txn: &Txn, group: &Group) -> Option<Revision> {
        let id = txn.id?;
        group
            .ids
            .get(&id)
            .copied()
            .or_else(|| self.recent.revision_of(id))
    }

    fn apply(&self, txn: &Txn, group: &mut Group) -> Result<Verdict, StorageError> {
        let revision = group.newest.next();
        let view = self.view();
        let memtables: Vec<_> = [&group.changes]
            .into_iter()
            .chain(view.memtables())
            .collect();
        let before = Layers {
            memtables: &memtables,
            base: &view.below.base,
        };
        match evaluate(txn, revision, before)? {
            Evaluated::Rejected(verdict) => Ok(verdict),
            Evaluated::Applies(changes) => {
                group.changes.absorb(changes);
                group.newest = revision;
                group.has_relaxed |= txn.durability == Durability::Relaxed;
                group.ids.extend(txn.id.map(|id| (id, revision)));
                Ok(Ok(Commit::Applied(revision)))
            }
        }
    }
}

impl Group {
    fn after(newest: Revision) -> Self {
        Self {
            verdicts: Vec::new(),
            changes: Memtable::default(),
            ids: HashMap::new(),
            newest,
            must_sync: false,
            has_relaxed: false,
            started: Instant::now(),
        }
    }

    fn rejected(&self) -> usize {
        let rejected = |verdict: &&Verdict| !matches!(verdict, Ok(Commit::Applied(_)));
        self.verdicts.iter().filter(rejected).count()
    }
}
