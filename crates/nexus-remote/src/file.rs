//! An open file.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use nexus_client::{Finish, Inodes, Opened, READ_AT_BYTES_MAX};
use nexus_fs::{CONTENT_BYTES_MAX, Ino};
use nexus_fuse::VolumeFile;
use nexus_kernel::{Durability, Error, Kind, Result};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::journal::{CALL_BYTES_MAX, Journal, Next};
use crate::patience::{Patience, patiently};
use crate::volume::Shared;

/// A journal that holds more is flushed: the node would do the same of itself.
const JOURNAL_BYTES_MAX: usize = 64 << 20;
/// So is each that is written to while all of them hold more.
const JOURNALS_BYTES_MAX: usize = 256 << 20;

/// How many of its first bytes come with a file that is opened to be read.
pub(crate) const HEAD_BYTES: u32 = 64 << 10;
/// How long they are taken for what the file begins with: as long as news of others' changes may
/// take.
const HEAD_KEPT_FOR: Duration = Duration::from_millis(50);

/// A file as the kernel has it open. Dropped without being closed, it closes itself.
pub(crate) struct RemoteFile {
    file: Arc<OpenFile>,
    closed: AtomicBool,
}

/// An open file.
pub(crate) struct OpenFile {
    shared: Arc<Shared>,
    inodes: Inodes,
    ino: u64,
    writes: bool,
    /// The file's when it was opened.
    version: u64,
    /// Its first bytes, for who reads them next.
    head: parking_lot::Mutex<Option<Head>>,
    state: Mutex<State>,
    /// Whether something has gathered; so that nobody has to wait for the state to see it.
    gathered: AtomicBool,
    /// Whether something is not flushed; likewise.
    written: AtomicBool,
    /// Bytes that the journal holds, as they were last counted.
    counted: AtomicUsize,
}

struct State {
    /// None when the node has forgotten it.
    handle: Option<u64>,
    journal: Journal,
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
enum Write {
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
            version: opened.stat.version,
            state: Mutex::new(State {
                handle: opened.handle,
                journal: Journal::new(opened.stat.size),
            }),
            head: parking_lot::Mutex::default(),
            gathered: AtomicBool::new(false),
            written: AtomicBool::new(false),
            counted: AtomicUsize::new(0),
            shared,
        });
        if let Some(handle) = opened.handle {
            file.shared.open.add_handle(handle);
        }
        if writes {
            file.shared.open.add_writer(&file);
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

    /// Sends what has gathered.
    pub(crate) async fn send_gathered(&self) -> Result<()> {
        if !self.gathered.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut state = self.state.lock().await;
        self.send(&mut state, Finish::Nothing).await
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
        self.send(&mut state, Finish::Nothing).await
    }

    /// Cuts or extends it, as part of what is written.
    pub(crate) async fn resize(&self, size: u64) -> Result<()> {
        self.write(Write::Truncate(size)).await
    }

    async fn write(&self, write: Write) -> Result<()> {
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
        self.send_those_of_others().await?;
        let mut state = self.state.lock().await;
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

    /// What others have written to the same file goes before what is written now.
    async fn send_those_of_others(&self) -> Result<()> {
        for writer in self.shared.open.writers(self.ino) {
            if !std::ptr::eq(&*writer, self) {
                writer.send_gathered().await?;
            }
        }
        Ok(())
    }

    async fn make_room(&self, state: &mut State) -> Result<()> {
        let held = self.shared.open.count_held(0, 0);
        let journal = &state.journal;
        if journal.bytes() >= JOURNAL_BYTES_MAX
            || held >= JOURNALS_BYTES_MAX && journal.bytes() >= CALL_BYTES_MAX
        {
            return self.send(state, self.flushes()).await;
        }
        if journal.is_full() {
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
    }

    fn flushes(&self) -> Finish {
        match self.shared.durability {
            Durability::Sync => Finish::Fsync,
            Durability::Relaxed => Finish::Flush,
        }
    }

    async fn flush(&self) -> Result<()> {
        if !self.writes {
            return Ok(());
        }
        let mut state = self.state.lock().await;
        if state.journal.is_empty() {
            return Ok(());
        }
        self.send(&mut state, self.flushes()).await
    }

    async fn fsync(&self) -> Result<()> {
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
                let ends = self.inodes.write(handle, sequence, pieces, finish);
                journal.answered(&ends.await?);
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
        self.shared.open.add_handle(handle);
        state.handle = Some(handle);
        Ok(handle)
    }

    fn lost(&self, state: &mut State) {
        if let Some(handle) = state.handle.take() {
            self.shared.open.forget_handle(handle);
            tracing::info!(
                ino = self.ino,
                "the node has lost an open file; it is opened again"
            );
        }
        state.journal.lost();
    }

    async fn read(&self, offset: u64, length: usize) -> Result<Bytes> {
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

    async fn close(&self) -> Result<()> {
        let flushed = self.flush().await;
        self.shared.open.remove_writer(self);
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

impl RemoteFile {
    pub(crate) fn new(file: Arc<OpenFile>) -> Self {
        Self {
            file,
            closed: AtomicBool::new(false),
        }
    }
}

#[async_trait]
impl VolumeFile for RemoteFile {
    fn ino(&self) -> Ino {
        Ino(self.file.ino)
    }

    fn version(&self) -> u64 {
        self.file.version
    }

    async fn read(&self, offset: u64, length: usize) -> Result<Bytes> {
        self.file.read(offset, length).await
    }

    async fn backing(&self) -> Result<Option<File>> {
        Ok(None)
    }

    async fn write(&self, offset: Option<u64>, bytes: Bytes) -> Result<()> {
        let write = match offset {
            Some(offset) => Write::Put(offset, bytes),
            None => Write::Append(bytes),
        };
        self.file.write(write).await
    }

    async fn truncate(&self, size: u64) -> Result<()> {
        self.file.resize(size).await
    }

    async fn flush(&self) -> Result<()> {
        self.file.flush().await
    }

    async fn fsync(&self) -> Result<()> {
        self.file.fsync().await
    }

    async fn close(self: Arc<Self>) -> Result<()> {
        self.closed.store(true, Ordering::Release);
        self.file.close().await
    }
}

impl Drop for RemoteFile {
    fn drop(&mut self) {
        let runtime = tokio::runtime::Handle::try_current();
        if let (false, Ok(runtime)) = (*self.closed.get_mut(), runtime) {
            let file = Arc::clone(&self.file);
            runtime.spawn(async move {
                if let Err(error) = file.close().await {
                    tracing::error!(ino = file.ino, ?error, "what was written could not be kept");
                }
            });
        }
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

/// Whether the node does not know the open file, as after a restart.
fn is_lost(error: &Error) -> bool {
    error.kind() == Kind::NotFound && error.fact("handle").is_some()
}

pub(crate) fn unnumbered() -> Error {
    Error::unsupported("the node opened a file and gave it no number; upgrade it")
}
