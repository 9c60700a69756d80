//! Decides what each transaction comes to, and what becomes durable when.

mod group;
mod in_memory;
mod restoring;
mod syncing;

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nexus_kernel::Revision;
use parking_lot::{
    MappedRwLockReadGuard, MappedRwLockWriteGuard, RwLockReadGuard, RwLockWriteGuard,
};
use tokio::sync::watch;

use crate::barrier::Barrier;
use crate::batch::{Failure, Reserved};
use crate::committer::syncing::Syncing;
use crate::config::RedbConfig;
use crate::flush::{Flush, Flushed};
use crate::layers::{Below, Shared, View};
use crate::memtable::Memtable;
use crate::open::Progress;
use crate::queue::{Closed, Queue};
use crate::recent::Recent;
use crate::space::Space;
use crate::stats::Counters;

/// How much a caller's thread may have to write besides its own transaction.
const LIGHT_BYTES_MAX: usize = 256 << 10;

/// When a flush is tried again whose barrier failed.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// Whose thread it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// One that others need: it waits for one flush at most, and never for the barrier.
    Caller,
    Thread,
}

/// The only one that changes the store.
pub(crate) struct Committer {
    view: Shared,
    queue: Arc<Queue>,
    barrier: Arc<Barrier>,
    counters: Arc<Counters>,
    newest: watch::Sender<Revision>,
    recent: Recent,
    /// Watched when the store stands on a file.
    space: Option<Space>,
    /// What readers see.
    visible: Revision,
    /// What a power loss leaves.
    durable: Revision,
    /// How far readers may see without a flush.
    reserved: Revision,
    relaxed_delay_max: Duration,
    relaxed_commits_max: u64,
    memtable_bytes_max: usize,
    /// When what is in memory must become durable.
    flush_at: Option<Instant>,
    /// Whether a [`Flush`] is under way.
    flushing: bool,
    syncing: VecDeque<Syncing>,
}

/// What the committer shares with the store around it.
pub(crate) struct Parts {
    pub(crate) view: Shared,
    pub(crate) queue: Arc<Queue>,
    pub(crate) barrier: Arc<Barrier>,
    pub(crate) counters: Arc<Counters>,
}

impl Committer {
    /// Goes on where `progress` says.
    pub(crate) fn new(
        parts: Parts,
        progress: Progress,
        space: Option<Space>,
        config: &RedbConfig,
    ) -> Self {
        let began_at = progress.revision;
        Self {
            view: parts.view,
            queue: parts.queue,
            barrier: parts.barrier,
            counters: parts.counters,
            newest: watch::Sender::new(began_at),
            recent: progress.recent,
            space,
            visible: began_at,
            durable: began_at,
            reserved: began_at,
            relaxed_delay_max: config.relaxed_delay_max,
            relaxed_commits_max: config.relaxed_commits_max,
            memtable_bytes_max: config.memtable_bytes_max,
            flush_at: None,
            flushing: false,
            syncing: VecDeque::new(),
        }
    }

    /// The newest revision readers see; ends when the committer does.
    pub(crate) fn newest(&self) -> watch::Receiver<Revision> {
        self.newest.subscribe()
    }

    /// Commits and answers those who wait, as far as they fit in one group, and relaxed ones
    /// at the head of the queue before it.
    pub(crate) fn serve_waiting(&mut self, place: Place) {
        self.serve_in_memory();
        if self.flushing || (place == Place::Caller && !self.is_light()) {
            return;
        }
        let group = self.queue.take_group();
        if place == Place::Caller && !self.barrier.is_clean() {
            self.queue.put_back(group);
        } else if !group.is_empty() {
            self.serve(group, place);
        }
    }

    /// Seals what is due to become durable.
    pub(crate) fn begin_flush(&mut self) -> Option<Flush> {
        let now = Instant::now();
        if self.flushing || self.flush_at.is_none_or(|at| at > now) {
            return None;
        }
        // Even a commit that changed no row has a revision that must not come again.
        if self.view().sealed().is_none() && self.durable < self.visible {
            self.seal(now);
        }
        let sealed = self.view().sealed().map(|sealed| sealed.newest);
        let has_more = sealed.is_some_and(|newest| newest < self.visible);
        self.flush_at = has_more.then(|| now + self.relaxed_delay_max);
        self.queue.set_flush_at(self.flush_at);
        let view = self.view();
        view.sealed()?;
        let flush = Flush {
            opened: view.opened.clone(),
            below: view.below.clone(),
            barrier: self.barrier.clone(),
            relaxed_commits_max: self.relaxed_commits_max,
            started: now,
        };
        drop(view);
        self.flushing = true;
        Some(flush)
    }

    /// Takes note of what became of a flush. A failure of the file closes the queue.
    pub(crate) fn end_flush(&mut self, flushed: Flushed) {
        self.flushing = false;
        match flushed.base {
            Ok(base) => {
                self.view_mut().below = Arc::new(Below::from(base));
                self.durable = flushed.newest;
                self.reserved = flushed.reserved;
                self.counters.synced(flushed.started.elapsed());
                self.answer_synced();
                self.flush_for_syncing();
            }
            Err(failure) => self.flush_failed(&failure),
        }
    }

    /// Who waits for a later flush is told too: it begins with what failed now.
    fn flush_failed(&mut self, failure: &Failure) {
        self.refuse_syncing(|| failure.answer());
        if failure.may_be_tried_again() {
            self.flush_at = Some(Instant::now() + RETRY_DELAY);
            self.queue.set_flush_at(self.flush_at);
        } else {
            self.queue.close(Closed::AfterFailure);
        }
    }

    /// Makes everything durable and closes the database, unless a write has failed.
    pub(crate) fn finish(mut self) {
        if self.queue.check_closed_gracefully().is_ok() {
            if self.settle().is_err() {
                self.queue.close(Closed::AfterFailure);
            }
            self.view.write().take();
        }
        let queue = Arc::clone(&self.queue);
        self.refuse_syncing(|| queue.why_closed());
    }

    /// Makes everything durable, and lets the next start go on with the very next revision.
    fn settle(&mut self) -> Result<(), Failure> {
        if self.durable == self.visible && self.reserved <= self.visible {
            return Ok(());
        }
        self.barrier.flush().map_err(Failure::Barrier)?;
        self.write(&Memtable::default(), self.visible, Reserved::Nothing)?;
        Ok(())
    }

    /// Whether a flush of what is in memory takes hardly longer than one of nothing.
    fn is_light(&self) -> bool {
        let view = self.view();
        let bytes = view.memtables().map(Memtable::bytes);
        bytes.sum::<usize>() <= LIGHT_BYTES_MAX
    }

    fn view(&self) -> MappedRwLockReadGuard<'_, View> {
        RwLockReadGuard::map(self.view.read(), |view| {
            view.as_ref().expect("only the committer closes the store")
        })
    }

    fn view_mut(&self) -> MappedRwLockWriteGuard<'_, View> {
        RwLockWriteGuard::map(self.view.write(), |view| {
            view.as_mut().expect("only the committer closes the store")
        })
    }
}

/// So that nobody waits for ever for a committer that is no more.
pub(crate) struct ClosesTheQueueInAPanic(pub(crate) Arc<Queue>);

impl Drop for ClosesTheQueueInAPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.close(Closed::AfterFailure);
        }
    }
}
