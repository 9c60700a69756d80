//! Commits groups, one after another.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nexus_kernel::{Commit, Durability, Error, Revision, Txn};
use parking_lot::RwLock;
use redb::{Database, WriteTransaction};
use tokio::sync::watch;

use crate::apply::{Rows, Verdict};
use crate::config::RedbConfig;
use crate::error;
use crate::layout::{FACTS, RECENT, RESERVED_FACT, REVISION_FACT, ROWS};
use crate::open::{Opened, Progress};
use crate::queue::{Closed, Queue, Request};
use crate::recent::Recent;
use crate::space::Space;
use crate::stats::Counters;

/// The database while it is open, shared by readers and the committer.
pub(crate) type Shared = Arc<RwLock<Option<Opened>>>;

/// The only writer of the database.
pub(crate) struct Committer {
    opened: Shared,
    queue: Arc<Queue>,
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
    /// When what is visible must become durable.
    flush_at: Option<Instant>,
}

/// A group that could not be committed.
struct Failure {
    error: redb::Error,
    /// Whether redb had begun to commit.
    committing: bool,
}

/// What a group came to before it is committed.
struct Evaluated {
    /// One for each transaction, in order.
    verdicts: Vec<Verdict>,
    newest: Revision,
    reserved: Revision,
    must_sync: bool,
}

impl Committer {
    pub(crate) fn new(
        opened: Shared,
        queue: Arc<Queue>,
        counters: Arc<Counters>,
        progress: Progress,
        space: Option<Space>,
        config: &RedbConfig,
    ) -> Self {
        Self {
            opened,
            queue,
            counters,
            newest: watch::Sender::new(progress.revision),
            recent: progress.recent,
            space,
            visible: progress.revision,
            durable: progress.revision,
            reserved: progress.revision,
            relaxed_delay_max: config.relaxed_delay_max,
            relaxed_commits_max: config.relaxed_commits_max,
            flush_at: None,
        }
    }

    /// The newest revision readers see; ends when the committer does.
    pub(crate) fn newest(&self) -> watch::Receiver<Revision> {
        self.newest.subscribe()
    }

    /// Commits and answers those who wait, as far as they fit in one group.
    pub(crate) fn serve_waiting(&mut self) {
        let group = self.queue.take_group();
        if !group.is_empty() {
            self.serve(group, false);
        }
    }

    /// As [`serve_waiting`](Self::serve_waiting), and makes durable what is due.
    pub(crate) fn serve_waiting_and_due(&mut self) {
        let due = self.flush_at.is_some_and(|at| at <= Instant::now());
        let group = self.queue.take_group();
        if due || !group.is_empty() {
            self.serve(group, due);
        }
    }

    /// Makes everything durable and closes the database, unless a write has failed.
    pub(crate) fn finish(mut self) {
        if self.queue.check_closed_gracefully().is_ok() {
            if self.settle().is_err() {
                self.queue.close(Closed::AfterFailure);
            }
            self.opened.write().take();
        }
    }

    /// Makes everything durable, and lets the next start go on with the very next revision.
    fn settle(&mut self) -> Result<(), redb::Error> {
        if self.durable == self.visible && self.reserved <= self.visible {
            return Ok(());
        }
        let opened = self.opened.read();
        let txn = database(&opened).begin_write()?;
        txn.open_table(FACTS)?.remove(RESERVED_FACT)?;
        Ok(txn.commit()?)
    }

    /// Commits and answers a group. A failure closes the queue.
    fn serve(&mut self, group: Vec<Request>, flush: bool) {
        let _panics = ClosesTheQueueInAPanic(self.queue.clone());
        match self.commit(&group, flush) {
            Ok(verdicts) => {
                self.queue.set_flush_at(self.flush_at);
                self.answer(group, verdicts);
            }
            Err(failure) => {
                self.queue.close(Closed::AfterFailure);
                for request in group {
                    request.refuse(failure.answer());
                }
            }
        }
    }

    fn answer(&self, group: Vec<Request>, verdicts: Vec<Verdict>) {
        let mut verdicts = verdicts.into_iter();
        for request in group {
            // Who no longer waits for the answer does not mind.
            match request {
                Request::Commit(_, answer) => {
                    let verdict = verdicts.next().expect("each transaction has a verdict");
                    drop(answer.send(verdict));
                }
                Request::Sync(answer) => drop(answer.send(Ok(self.durable))),
            }
        }
    }

    /// Commits a group with at most one flush.
    fn commit(&mut self, group: &[Request], flush: bool) -> Result<Vec<Verdict>, Failure> {
        let nothing_to_apply = !group
            .iter()
            .any(|request| matches!(request, Request::Commit(..)));
        if nothing_to_apply && self.durable == self.visible {
            self.flush_at = None;
            return Ok(Vec::new());
        }
        let started = Instant::now();
        if let Some(space) = &mut self.space {
            space.refresh(started);
        }
        let opened = self.opened.clone();
        let opened = opened.read();
        let mut txn = database(&opened).begin_write().map_err(Failure::before)?;
        let evaluated = self.evaluate(&txn, group).map_err(Failure::before)?;
        let sync = (evaluated.must_sync || flush) && self.durable < evaluated.newest;
        if evaluated.newest == self.visible && !sync {
            txn.abort().map_err(Failure::before)?;
            return Ok(evaluated.verdicts);
        }
        set_durability(&mut txn, sync);
        txn.commit().map_err(Failure::during)?;
        self.reserved = evaluated.reserved;
        self.committed(evaluated.newest, sync, started);
        Ok(evaluated.verdicts)
    }

    fn committed(&mut self, newest: Revision, sync: bool, started: Instant) {
        self.visible = newest;
        self.counters.committed();
        if sync {
            self.durable = newest;
            self.flush_at = None;
            self.counters.synced(started.elapsed());
        } else {
            self.flush_at
                .get_or_insert(started + self.relaxed_delay_max);
        }
        self.newest.send_replace(newest);
    }

    fn evaluate(
        &mut self,
        txn: &WriteTransaction,
        group: &[Request],
    ) -> Result<Evaluated, redb::Error> {
        let mut evaluated = Evaluated {
            verdicts: Vec::with_capacity(group.len()),
            newest: self.visible,
            reserved: self.reserved,
            must_sync: false,
        };
        let mut rows = Rows::new(txn.open_table(ROWS)?);
        for request in group {
            match request {
                Request::Sync(_) => evaluated.must_sync = true,
                Request::Commit(asked, _) => self.judge(&mut rows, asked, &mut evaluated)?,
            }
        }
        if evaluated.newest > self.visible {
            let mut facts = txn.open_table(FACTS)?;
            facts.insert(REVISION_FACT, evaluated.newest.0)?;
            if !evaluated.must_sync && evaluated.newest > self.reserved {
                evaluated.must_sync = true;
                evaluated.reserved = Revision(evaluated.newest.0 + self.relaxed_commits_max);
                facts.insert(RESERVED_FACT, evaluated.reserved.0)?;
            }
        }
        if self.recent.has_fresh() {
            self.recent.store(&mut txn.open_table(RECENT)?)?;
        }
        let applied = (evaluated.newest.0 - self.visible.0) as usize;
        self.counters.evaluated(applied, evaluated.rejected());
        Ok(evaluated)
    }

    fn judge(
        &mut self,
        rows: &mut Rows<'_>,
        txn: &Txn,
        group: &mut Evaluated,
    ) -> Result<(), redb::Error> {
        let verdict = match txn.id.and_then(|id| self.recent.revision_of(id)) {
            Some(first) => Ok(Commit::Applied(first)),
            None => match self.admit(txn) {
                Ok(()) => rows.commit(txn, group.newest.next())?,
                Err(refused) => Err(refused),
            },
        };
        if let Ok(Commit::Applied(revision)) = verdict {
            group.must_sync |= txn.durability == Durability::Sync;
            if revision > group.newest {
                group.newest = revision;
                if let Some(id) = txn.id {
                    self.recent.remember(id, revision);
                }
            }
        }
        group.verdicts.push(verdict);
        Ok(())
    }

    fn admit(&self, txn: &Txn) -> nexus_kernel::Result<()> {
        self.space.as_ref().map_or(Ok(()), |space| space.admit(txn))
    }
}

impl Evaluated {
    fn rejected(&self) -> usize {
        let rejected = |verdict: &&Verdict| !matches!(verdict, Ok(Commit::Applied(_)));
        self.verdicts.iter().filter(rejected).count()
    }
}

impl Failure {
    fn before(error: impl Into<redb::Error>) -> Self {
        Self {
            error: error.into(),
            committing: false,
        }
    }

    fn during(error: impl Into<redb::Error>) -> Self {
        Self {
            error: error.into(),
            committing: true,
        }
    }

    fn answer(&self) -> Error {
        let answer = error::translate(&self.error);
        if self.committing {
            return answer.outcome_unknown();
        }
        answer
    }
}

fn database(opened: &Option<Opened>) -> &Database {
    let opened = opened.as_ref();
    &opened.expect("only the committer closes the database").db
}

fn set_durability(txn: &mut WriteTransaction, sync: bool) {
    let durability = if sync {
        redb::Durability::Immediate
    } else {
        redb::Durability::None
    };
    txn.set_durability(durability)
        .expect("there are no savepoints and no other processes");
}

/// So that nobody waits for ever for a committer that is no more.
struct ClosesTheQueueInAPanic(Arc<Queue>);

impl Drop for ClosesTheQueueInAPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.close(Closed::AfterFailure);
        }
    }
}
