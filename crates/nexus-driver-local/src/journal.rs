//! The order of all changes.
//!
//! One thread takes everything that waits, appends it to the journal in one write, and makes it
//! durable in one flush; so many writers share what each would pay alone. The blobs are readable
//! from the journal at once and become files later, in a [checkpoint](crate::checkpoint). The idea
//! is that of a doublewrite buffer (InnoDB) and of `data=journal` (ext4).

use std::io::IoSlice;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nexus_kernel::{ObjectKey, PutMode};
use tokio::sync::oneshot;

use crate::core::Core;
use crate::error::{Failure, Result};
use crate::layout;
use crate::overlay::Entry;
use crate::queue::{Change, Done, Held, Queue, Request, Taken};
use crate::record::HEADER_BYTES;
use crate::segments::{Sealed, Segment, unless_missing};
use crate::staging::{StagedFile, slices};

mod run;

use run::{Record, Reply, Run};

#[derive(Debug)]
pub(crate) struct Journal {
    core: Arc<Core>,
    active: Arc<Segment>,
    /// How long the active segment is.
    end: u64,
    /// How long it was when it began.
    begin: u64,
    /// Whether nothing may follow in the active segment, because a failed write left something there.
    spoilt: bool,
    /// Set when the journal may hold what was not promised, or not hold what was.
    broken: Option<Failure>,
    /// Whether nothing came for a while.
    idle: bool,
}

impl Journal {
    pub(crate) fn new(core: Arc<Core>, active: Arc<Segment>, end: u64) -> Self {
        Self {
            core,
            active,
            end,
            begin: end,
            spoilt: false,
            broken: None,
            idle: false,
        }
    }

    /// Carries out what the queue brings until it closes.
    pub(crate) fn run(mut self, queue: &Queue) {
        let idle = Duration::from_millis(self.core.config.idle_ms);
        loop {
            let unsettled = self.is_used() || !self.core.is_durable() && self.broken.is_none();
            let patience = (unsettled || !self.idle).then_some(idle);
            match queue.take(patience) {
                Taken::Group(group) => {
                    self.set_idle(false);
                    self.commit(group);
                }
                Taken::Idle => {
                    self.settle_or_warn();
                    self.set_idle(true);
                }
                Taken::Closed => return self.settle_or_warn(),
            }
        }
    }

    fn set_idle(&mut self, idle: bool) {
        if self.idle != idle {
            self.idle = idle;
            self.core.backlog.set_idle(idle);
        }
    }

    /// Carries out changes in their order, with as few writes and flushes as can be.
    pub(crate) fn commit(&mut self, group: Vec<Request>) {
        let mut run = Run::default();
        let mut durable = Vec::new();
        // Given back only when the bytes are gone and what was deleted is seen to be.
        let mut held = Vec::with_capacity(group.len());
        for request in group {
            if request.reply.is_closed() {
                continue;
            }
            held.push(request.held);
            let (change, reply) = (request.change, request.reply);
            match self.plan(&mut run, change, request.durable, &mut durable) {
                Ok(done) => run.answers.push((reply, request.durable, done)),
                Err(failure) => answer(reply, Err(failure)),
            }
        }
        self.append(&mut run, &mut durable);
        if !durable.is_empty() {
            let flushed = self.flush();
            for (reply, done) in durable {
                answer(reply, flushed.clone().map(|()| done));
            }
        }
    }

    /// Turns a change into records at the end of the run.
    fn plan(
        &mut self,
        run: &mut Run,
        change: Change,
        durable: bool,
        flushing: &mut Vec<(Reply, Done)>,
    ) -> Result<Done> {
        if let Some(failure) = &self.broken {
            return Err(failure.clone().not_applied());
        }
        if run.meets(&change) {
            self.append(run, flushing);
        }
        let (records, done) = match change {
            Change::Put {
                key,
                content,
                modified,
                mode,
            } => match self.taken(&key, mode)? {
                Some(taken) => return Ok(taken),
                None => (vec![Record::put(key, content, modified)], Done::Stored),
            },
            Change::Place { key, file, mode } => match self.taken(&key, mode)? {
                Some(taken) => return Ok(taken),
                None if durable => (vec![Record::place(key, file)], Done::Stored),
                None => {
                    run.keys.insert(key.clone());
                    run.unlogged.push((key, file));
                    return Ok(Done::Stored);
                }
            },
            Change::Delete { key, modified } => {
                let existed = self.core.exists(&key)?;
                let record = existed.then(|| Record::delete(key, modified));
                (record.into_iter().collect(), Done::Deleted { existed })
            }
            Change::Log { staged } => (self.log(&staged), Done::Nothing),
            Change::Rotate => {
                self.append(run, flushing);
                self.rotate()?;
                return Ok(Done::Nothing);
            }
        };
        for record in records {
            self.make_room(run, &record, flushing)?;
            run.push(record);
        }
        Ok(done)
    }

    fn taken(&self, key: &ObjectKey, mode: PutMode) -> Result<Option<Done>> {
        if mode == PutMode::Overwrite || !self.core.exists(key)? {
            return Ok(None);
        }
        let overlay = self.core.overlay.read();
        let unlogged = matches!(overlay.get(key), Some(Entry::Staged { segment: None, .. }));
        Ok(Some(Done::Taken { unlogged }))
    }

    fn log(&self, staged: &[u64]) -> Vec<Record> {
        let overlay = self.core.overlay.read();
        let entries = staged.iter().filter_map(|id| overlay.unlogged_entry(*id));
        entries
            .filter_map(|(key, entry)| Record::log(key, entry))
            .collect()
    }

    fn make_room(
        &mut self,
        run: &mut Run,
        record: &Record,
        flushing: &mut Vec<(Reply, Done)>,
    ) -> Result<()> {
        let bytes = record.header.record_bytes();
        if self.spoilt || self.end + run.bytes + bytes > self.core.config.segment_bytes {
            self.append(run, flushing);
            self.rotate()?;
        }
        Ok(())
    }

    /// Writes the run, makes it visible, and answers those who need no flush.
    fn append(&mut self, run: &mut Run, flushing: &mut Vec<(Reply, Done)>) {
        let run = mem::take(run);
        if let Err(failure) = self.write(&run) {
            if self.broken.is_some() {
                // The records may be there after all, and then they name these files.
                run.records.into_iter().for_each(Record::keep_file);
            }
            for (reply, ..) in run.answers {
                answer(reply, Err(failure.clone()));
            }
            return;
        }
        self.show(run.records, run.unlogged);
        for (reply, durable, done) in run.answers {
            if durable {
                flushing.push((reply, done));
            } else {
                answer(reply, Ok(done));
            }
        }
    }

    fn write(&mut self, run: &Run) -> Result<()> {
        if let Some(failure) = &self.broken {
            return Err(failure.clone().not_applied());
        }
        if run.places {
            self.core.disk.sync_dir(layout::STAGED)?;
        }
        if run.records.is_empty() {
            return Ok(());
        }
        let number = self.active.number;
        let headers = run
            .records
            .iter()
            .map(|record| record.header.encode(number));
        let headers: Vec<[u8; HEADER_BYTES]> = headers.collect();
        let mut pieces = Vec::with_capacity(run.records.len() * 3);
        for (header, record) in headers.iter().zip(&run.records) {
            pieces.push(IoSlice::new(header));
            pieces.push(IoSlice::new(record.key.as_str().as_bytes()));
            pieces.extend(slices(&record.content.pieces));
        }
        self.core.unflushed.store(true, Ordering::Release);
        if let Err(cause) = self.active.file.write_at(&mut pieces, self.end) {
            return Err(self.take_back(cause));
        }
        self.core.counters.journal_bytes.add(run.bytes);
        self.core
            .counters
            .journal_records
            .add(run.records.len() as u64);
        Ok(())
    }

    /// Part of a failed write may be in the file. Without its first header it means nothing, as long
    /// as nothing is written before its later records: they may be whole.
    fn take_back(&mut self, cause: std::io::Error) -> Failure {
        self.spoilt = true;
        let nothing = [0; HEADER_BYTES];
        let file = &self.active.file;
        let erased = file.write_at(&mut [IoSlice::new(&nothing)], self.end);
        match erased.and_then(|()| file.sync()) {
            Ok(()) => cause.into(),
            Err(_) => {
                let failure = Failure::flush(cause).outcome_unknown();
                self.broken = Some(failure.clone());
                failure
            }
        }
    }

    /// Makes what was written visible.
    fn show(&mut self, records: Vec<Record>, unlogged: Vec<(ObjectKey, StagedFile)>) {
        let mut replaced = Vec::new();
        let mut overlay = self.core.overlay.write();
        for record in records {
            let at = self.end + record.header.record_bytes() - u64::from(record.header.data_bytes);
            self.end += record.header.record_bytes();
            let (key, entry) = record.entry(&self.active, at);
            replaced.extend(overlay.set(key, entry));
        }
        for (key, file) in unlogged {
            let entry = Entry::Staged {
                id: file.id,
                size: file.size,
                modified: file.modified,
                segment: None,
            };
            file.keep();
            replaced.extend(overlay.set(key, entry));
        }
        drop(overlay);
        for id in replaced {
            if let Err(cause) = unless_missing(self.core.disk.remove(&layout::staged(id))) {
                tracing::warn!(%cause, id, "a replaced file stays until the next start");
            }
        }
    }

    fn flush(&mut self) -> Result<()> {
        if let Some(failure) = &self.broken {
            return Err(failure.clone().outcome_unknown());
        }
        if !self.core.unflushed.load(Ordering::Acquire) {
            return Ok(());
        }
        self.core.counters.journal_flushes.add(1);
        if let Err(cause) = self.active.file.sync() {
            let failure = Failure::flush(cause).outcome_unknown();
            self.broken = Some(failure.clone());
            return Err(failure);
        }
        self.core.unflushed.store(false, Ordering::Release);
        Ok(())
    }

    fn is_used(&self) -> bool {
        self.end > self.begin && self.broken.is_none()
    }

    /// Ends the active segment, if it holds anything, and hands it to the checkpoint.
    pub(crate) fn rotate(&mut self) -> Result<()> {
        if let Some(failure) = &self.broken {
            return Err(failure.clone().not_applied());
        }
        if !self.is_used() && !self.spoilt {
            return Ok(());
        }
        self.core.backlog.wait_for_room()?;
        self.flush()?;
        let (next, begin) = self.next_segment()?;
        let sealed = Sealed {
            segment: mem::replace(&mut self.active, next),
            end: mem::replace(&mut self.end, begin),
        };
        self.core.backlog.push(sealed);
        self.begin = begin;
        self.spoilt = false;
        Ok(())
    }

    fn next_segment(&mut self) -> Result<(Arc<Segment>, u64)> {
        let previous = (self.active.number, self.end);
        let made = self.core.segments.lock().make(previous);
        made.map_err(|failure| {
            if failure.is_unknown() {
                self.broken = Some(failure.clone());
            }
            failure.not_applied()
        })
    }

    /// Makes everything durable and lets it become files.
    pub(crate) fn settle(&mut self) -> Result<()> {
        let staged = self.core.flush_staged()?;
        if !staged.is_empty() {
            let (reply, mut done) = oneshot::channel();
            self.commit(vec![Request {
                change: Change::Log { staged },
                durable: true,
                reply,
                held: Held::default(),
            }]);
            done.try_recv()
                .unwrap_or_else(|_unanswered| Err(Failure::stopped()))?;
        }
        self.rotate()
    }

    fn settle_or_warn(&mut self) {
        if let Err(failure) = self.settle() {
            tracing::warn!(?failure, "the journal stays in use; nothing is lost");
        }
    }
}

/// Whoever asked may have stopped waiting.
fn answer(reply: Reply, done: Result<Done>) {
    drop(reply.send(done));
}
