//! An open file.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use nexus_client::{Finish, Inodes, Opened, READ_AT_BYTES_MAX, Stat};
use nexus_fs::CONTENT_BYTES_MAX;
use nexus_kernel::{Durability, Error, Kind, Result};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::journal::{CALL_BYTES_MAX, Journal, Next, Reopened};
use crate::patience::{Patience, patiently};
use crate::volume::Shared;

/// A journal that holds more is flushed: the node would do the same of itself.
const JOURNAL_BYTES_MAX: usize = 64 << 20;

/// How many of its first bytes come with a file that is opened to be read.
pub(crate) const HEAD_BYTES: u32 = 64 << 10;
/// How long they are taken for what the file begins with: as long as news of others' changes may
/// take.
const HEAD_KEPT_FOR: Duration = Duration::from_millis(50);

/// An open file. All who write to an inode have one in common, so that there is one order of what
/// they write.
pub(crate) struct OpenFile {
    shared: Arc<Shared>,
    inodes: Inodes,
    ino: u64,
    writes: bool,
    /// Its first bytes, for who reads them next.
    head: parking_lot::Mutex<Option<Head>>,
    state: Mutex<State>,
    /// Whether something has gathered; so that nobody has to wait for the state to see it.
    gathered: AtomicBool,
    /// Whether something is not flushed; likewise.
    written: AtomicBool,
    /// Bytes that the journal holds, as they were last counted.
    counted: AtomicUsize,
    /// Since when something is not flushed.
    since: parking_lot::Mutex<Option<Instant>>,
    /// How many have it open, counted by the table of open files.
    pub(crate) users: AtomicUsize,
}

struct State {
    /// None when the node has forgotten it.
    handle: Option<u64>,
    journal: Journal,
    /// Others have changed the file, and the node has lost what was written to it here.
    is_changed: bool,
}

/// The first bytes of a file, as they came with it when it was opened.
struct Head {
    bytes: Bytes,
    /// How much had been written before it was opened.
    writes: u64,
    /// From when on they may be others.
    ends: Instant,
}

/// Something written.
pub(crate) enum Write {
    Put(u64, Bytes),
    Append(Bytes),
    Truncate(u64),
}

impl OpenFile {
    /// A file that the node has just opened.
    pub(crate) fn new(
        shared: Arc<Shared>,
        inodes: Inodes,
        opened: &Opened,
        writes: bool,
    ) -> Arc<Self> {
        let file = Arc::new(Self {
            inodes,
            ino: opened.stat.ino,
            writes,
            state: Mutex::new(State {
                handle: opened.handle,
                is_changed: false,
                journal: Journal::new(opened.stat.size),
            }),
            head: parking_lot::Mutex::default(),
            gathered: AtomicBool::new(false),
            written: AtomicBool::new(false),
            counted: AtomicUsize::new(0),
            since: parking_lot::Mutex::default(),
            users: AtomicUsize::new(1),
            shared,
        });
        if let Some(handle) = opened.handle {
            file.shared.open.add_handle(handle);
        }
        file
    }

    /// Keeps its first bytes, which came with it; `writes` had been counted before they did.
    pub(crate) fn keep_head(&self, bytes: Bytes, writes: u64) {
        let ends = Instant::now() + HEAD_KEPT_FOR;
        *self.head.lock() = Some(Head {
            bytes,
            writes,
            ends,
        });
    }

    /// What was asked for, if it came with the file just now and nothing was written since.
    fn take_head(&self, offset: u64, length: usize) -> Option<Bytes> {
        let Head {
            bytes,
            writes,
            ends,
        } = self.head.lock().take()?;
        if writes != self.shared.open.writes() || Instant::now() >= ends {
            return None;
        }
        let start = usize::try_from(offset).ok()?;
        let end = start.checked_add(length)?;
        let is_whole = bytes.len() < HEAD_BYTES as usize;
        if end > bytes.len() && !is_whole {
            return None;
        }
        Some(bytes.slice(start.min(bytes.len())..end.min(bytes.len())))
    }

    pub(crate) fn ino(&self) -> u64 {
        self.ino
    }

    /// Whether something was written to it and not flushed.
    pub(crate) fn is_written(&self) -> bool {
        self.written.load(Ordering::Acquire)
    }

    /// Bytes that are not flushed.
    pub(crate) fn held(&self) -> usize {
        self.counted.load(Ordering::Acquire)
    }

    /// Whether something was written so long ago and not flushed.
    pub(crate) fn is_older_than(&self, age: Duration) -> bool {
        self.since
            .lock()
            .is_some_and(|since| since.elapsed() >= age)
    }

    /// Sends what has gathered.
    pub(crate) async fn send_gathered(&self) -> Result<()> {
        if !self.gathered.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut state = self.state.lock().await;
        self.send_for_others(&mut state).await
    }

    /// Sends what has gathered, and sees that the node still has what was sent before.
    pub(crate) async fn settle(&self) -> Result<()> {
        if !self.is_written() {
            return Ok(());
        }
        let mut state = self.state.lock().await;
        let known = state.handle.filter(|_| !state.journal.is_unsent());
        if let Some(handle) = known {
            let ask = |_| self.inodes.keep_alive(vec![handle]);
            if !patiently(self.shared.patience, ask).await?.is_empty() {
                self.lost(&mut state);
            }
        }
        self.send_for_others(&mut state).await
    }

    /// Whoever reads goes on with what the node has, should what was written be lost: those who
    /// wrote it are told.
    async fn send_for_others(&self, state: &mut State) -> Result<()> {
        let sent = self.send(state, Finish::Nothing).await;
        if state.is_changed { Ok(()) } else { sent }
    }

    /// Cuts or extends it, as part of what is written.
    pub(crate) async fn resize(&self, size: u64) -> Result<()> {
        self.write(Write::Truncate(size)).await
    }

    pub(crate) async fn write(&self, write: Write) -> Result<()> {
        if !self.writes {
            return Err(Error::denied(
                "this file was opened to read; open it to write",
            ));
        }
        if let Write::Put(offset, bytes) = &write {
            check_size(offset.saturating_add(bytes.len() as u64))?;
        } else if let Write::Truncate(size) = &write {
            check_size(*size)?;
        }
        self.shared.open.make_room().await?;
        let mut state = self.state.lock().await;
        self.check(&state)?;
        self.make_room(&mut state).await?;
        match write {
            Write::Put(offset, bytes) => put(&mut state.journal, offset, bytes),
            Write::Append(mut bytes) => {
                while !bytes.is_empty() {
                    let call = bytes.split_to(bytes.len().min(CALL_BYTES_MAX));
                    state.journal.append(call);
                }
            }
            Write::Truncate(size) => state.journal.truncate(size),
        }
        self.note(&state);
        self.shared.open.count_write();
        Ok(())
    }

    async fn make_room(&self, state: &mut State) -> Result<()> {
        if state.journal.bytes() >= JOURNAL_BYTES_MAX {
            return self.send(state, self.flushes()).await;
        }
        if state.journal.is_full() {
            return self.send(state, Finish::Nothing).await;
        }
        Ok(())
    }

    fn note(&self, state: &State) {
        self.gathered
            .store(state.journal.is_unsent(), Ordering::Release);
        self.written
            .store(!state.journal.is_empty(), Ordering::Release);
        let now = state.journal.bytes();
        let before = self.counted.swap(now, Ordering::AcqRel);
        self.shared.open.count_held(before, now);
        let mut since = self.since.lock();
        *since = (!state.journal.is_empty()).then(|| since.unwrap_or_else(Instant::now));
    }

    fn check(&self, state: &State) -> Result<()> {
        if state.is_changed {
            return Err(changed(self.ino));
        }
        Ok(())
    }

    fn flushes(&self) -> Finish {
        match self.shared.durability {
            Durability::Sync => Finish::Fsync,
            Durability::Relaxed => Finish::Flush,
        }
    }

    pub(crate) async fn flush(&self) -> Result<()> {
        if !self.writes {
            return Ok(());
        }
        let mut state = self.state.lock().await;
        self.check(&state)?;
        if state.journal.is_empty() {
            return Ok(());
        }
        self.send(&mut state, self.flushes()).await
    }

    pub(crate) async fn fsync(&self) -> Result<()> {
        if !self.writes {
            return self.shared.sync().await;
        }
        let mut state = self.state.lock().await;
        self.send(&mut state, Finish::Fsync).await
    }

    /// Sends all there is, and finishes. What fails is as it was, to be tried again.
    async fn send(&self, state: &mut State, finish: Finish) -> Result<()> {
        let mut patience = Patience::new(self.shared.patience);
        let sent = loop {
            let step = self.step(state, finish);
            match patience.once(step).await {
                Ok(true) => break Ok(()),
                Ok(false) => {}
                Err(error) if is_lost(&error) => self.lost(state),
                Err(error) => {
                    if let Err(error) = patience.rest(error).await {
                        break Err(error);
                    }
                }
            }
        };
        self.note(state);
        sent
    }

    /// Makes one call; says whether it was the last.
    async fn step(&self, state: &mut State, finish: Finish) -> Result<bool> {
        let handle = self.handle(state).await?;
        self.check(state)?;
        let State { journal, .. } = state;
        match journal.next() {
            Next::Check(offset, bytes) => {
                let there = self.inodes.read(handle, offset, bytes.len()).await?;
                journal.checked(there == bytes);
                Ok(false)
            }
            Next::Call(sequence, pieces) => {
                let finish = if journal.is_last_call() {
                    finish
                } else {
                    Finish::Nothing
                };
                let written = self.inodes.write(handle, sequence, pieces, finish);
                journal.answered(&written.await?);
                if finish != Finish::Nothing {
                    journal.flushed();
                }
                Ok(!journal.is_unsent())
            }
            Next::Done
                if finish == Finish::Nothing || journal.is_empty() && finish == Finish::Flush =>
            {
                Ok(true)
            }
            Next::Done => {
                let sequence = journal.next_sequence();
                self.inodes.write(handle, sequence, vec![], finish).await?;
                journal.flushed();
                Ok(true)
            }
        }
    }

    /// The number of the open file; opened again if the node has forgotten it.
    async fn handle(&self, state: &mut State) -> Result<u64> {
        if let Some(handle) = state.handle {
            return Ok(handle);
        }
        let opened = self.inodes.open(self.ino, self.writes, 0).await?;
        let handle = opened.handle.ok_or_else(unnumbered)?;
        self.reconcile(state, handle, &opened.stat).await?;
        self.shared.open.add_handle(handle);
        state.handle = Some(handle);
        Ok(handle)
    }

    /// Sees that what is sent once more does not go over what others did since.
    async fn reconcile(&self, state: &mut State, handle: u64, stat: &Stat) -> Result<()> {
        let is_kept = match state.journal.reopened(stat.version, stat.size) {
            Reopened::AsBefore => return Ok(()),
            Reopened::Compare(image) => self.has(handle, image).await?,
            Reopened::Changed => false,
        };
        if is_kept {
            state.journal.kept();
            return Ok(());
        }
        tracing::error!(
            ino = self.ino,
            "the node has lost what was written to a file and not flushed, and others have changed \
             the file since: it is not written once more"
        );
        state.journal = Journal::default();
        state.is_changed = true;
        self.note(state);
        // Who opens it from now on begins with what the node has.
        self.shared.open.forget_writer(self);
        Ok(())
    }

    /// Whether the file has all of these bytes.
    async fn has(&self, handle: u64, image: Vec<(u64, Bytes)>) -> Result<bool> {
        for (offset, bytes) in image {
            if self.inodes.read(handle, offset, bytes.len()).await? != bytes {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn lost(&self, state: &mut State) {
        if let Some(handle) = state.handle.take() {
            self.shared.open.forget_handle(handle);
            tracing::info!(
                ino = self.ino,
                "the node has lost an open file; it is opened again"
            );
            state.journal.lost();
        }
    }

    pub(crate) async fn read(&self, offset: u64, length: usize) -> Result<Bytes> {
        if let Some(bytes) = self.take_head(offset, length) {
            return Ok(bytes);
        }
        self.shared.open.send(self.ino).await?;
        let mut read = BytesMut::new();
        loop {
            let rest = length - read.len();
            let bytes = self.read_once(offset + read.len() as u64, rest).await?;
            let is_end = bytes.len() < rest.min(READ_AT_BYTES_MAX);
            if bytes.len() == length {
                return Ok(bytes);
            }
            read.extend_from_slice(&bytes);
            if is_end || read.len() == length {
                return Ok(read.freeze());
            }
        }
    }

    async fn read_once(&self, offset: u64, length: usize) -> Result<Bytes> {
        let mut patience = Patience::new(self.shared.patience);
        loop {
            let mut handle = None;
            let read = async {
                let number = self.handle(&mut *self.state.lock().await).await?;
                handle = Some(number);
                self.inodes.read(number, offset, length).await
            };
            match patience.once(read).await {
                Err(error) if is_lost(&error) => {
                    let mut state = self.state.lock().await;
                    if state.handle == handle {
                        self.lost(&mut state);
                    }
                    drop(state);
                    // What only lost handles knew of the file comes first.
                    self.shared.open.settle(self.ino).await?;
                }
                Err(error) => patience.rest(error).await?,
                read => return read,
            }
        }
    }

    pub(crate) async fn close(&self) -> Result<()> {
        let flushed = self.flush().await;
        if self.writes && !self.shared.open.leave(self) {
            return flushed;
        }
        let mut state = self.state.lock().await;
        if flushed.is_err() {
            // Nobody is left to try again.
            state.journal = Journal::default();
            self.note(&state);
        }
        if let Some(handle) = state.handle.take() {
            self.shared.open.close_handle(handle);
        }
        flushed
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        self.shared.open.count_held(*self.counted.get_mut(), 0);
    }
}

fn put(journal: &mut Journal, mut offset: u64, mut bytes: Bytes) {
    while !bytes.is_empty() {
        let call = bytes.split_to(bytes.len().min(CALL_BYTES_MAX));
        let length = call.len() as u64;
        journal.put(offset, call);
        offset += length;
    }
}

fn check_size(size: u64) -> Result<()> {
    if size <= CONTENT_BYTES_MAX {
        return Ok(());
    }
    Err(Error::limit("a file has at most 64 GiB").with("size", size))
}

fn changed(ino: u64) -> Error {
    let error = Error::corrupt(
        "the node has lost what was written to the file and not flushed, and others have changed \
         the file since; open it again and write anew",
    );
    error.with("ino", ino)
}

/// Whether the node does not know the open file, as after a restart.
fn is_lost(error: &Error) -> bool {
    error.kind() == Kind::NotFound && error.fact("handle").is_some()
}

pub(crate) fn unnumbered() -> Error {
    Error::unsupported("the node opened a file and gave it no number; upgrade it")
}
