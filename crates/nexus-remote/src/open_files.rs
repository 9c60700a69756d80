//! Which files are open: the leases of their handles, and who has something to send.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use nexus_client::{Inodes, Opened};
use nexus_kernel::Result;
use parking_lot::Mutex;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use crate::file::OpenFile;

/// How often the node is told that handles are in use; it waits for a minute.
const RENEW_EVERY: Duration = Duration::from_secs(10);
/// How long a handle waits to be closed, for others to come with it.
const GATHER_FOR: Duration = Duration::from_millis(5);
/// Most handles named in one call.
const NAMED_MAX: usize = 16_384;

/// Above this in all journals, the fullest is flushed.
const JOURNALS_BYTES_MAX: usize = 256 << 20;
/// What waits longer to be flushed, in a file that stays open, is flushed.
const AGE_MAX: Duration = Duration::from_secs(30);
/// So many such files at a time.
const AGING_MAX: usize = 16;

type Writers = HashMap<u64, Weak<OpenFile>>;

/// The open files of a volume.
pub(crate) struct OpenFiles {
    /// Those that are open for writing, by inode.
    writers: Mutex<Writers>,
    handles: Mutex<HashSet<u64>>,
    /// Made and opened in one call, and not yet asked for.
    made: Mutex<HashMap<u64, Opened>>,
    /// Bytes that the journals of all files hold.
    held: AtomicUsize,
    /// Counts what is written to any file.
    writes: AtomicU64,
    closing: UnboundedSender<u64>,
}

impl OpenFiles {
    /// With tasks that renew and close handles until it is dropped.
    pub(crate) fn start(inodes: Inodes) -> Arc<Self> {
        // At most as many wait to be closed as were open.
        let (closing, closed) = mpsc::unbounded_channel();
        let files = Arc::new(Self {
            writers: Mutex::default(),
            handles: Mutex::default(),
            made: Mutex::default(),
            held: AtomicUsize::new(0),
            writes: AtomicU64::new(0),
            closing,
        });
        tokio::spawn(close(inodes.clone(), closed));
        tokio::spawn(renew(inodes, Arc::downgrade(&files)));
        tokio::spawn(age(Arc::downgrade(&files)));
        files
    }

    pub(crate) fn add_handle(&self, handle: u64) {
        self.handles.lock().insert(handle);
    }

    /// Has a handle closed; nobody waits for it.
    pub(crate) fn close_handle(&self, handle: u64) {
        if self.forget_handle(handle) {
            // An error says that the volume is being dropped; the lease ends by itself.
            let _ = self.closing.send(handle);
        }
    }

    /// The node does not know it any more.
    pub(crate) fn forget_handle(&self, handle: u64) -> bool {
        self.handles.lock().remove(&handle)
    }

    /// Keeps a file that was made and opened, for the call that asks for it.
    pub(crate) fn keep_made(&self, opened: Opened) {
        if let Some(handle) = opened.handle {
            self.add_handle(handle);
            self.made.lock().insert(opened.stat.ino, opened);
        }
    }

    pub(crate) fn take_made(&self, ino: u64) -> Option<Opened> {
        let opened = self.made.lock().remove(&ino)?;
        let known = |handle| self.handles.lock().contains(&handle);
        opened.handle.is_some_and(known).then_some(opened)
    }

    /// The open file of all who write to an inode; made if nobody does.
    pub(crate) fn join(&self, ino: u64, make: impl FnOnce() -> Arc<OpenFile>) -> Arc<OpenFile> {
        let mut writers = self.writers.lock();
        if let Some(file) = writers.get(&ino).and_then(Weak::upgrade) {
            file.users.fetch_add(1, Ordering::Relaxed);
            return file;
        }
        let file = make();
        writers.insert(ino, Arc::downgrade(&file));
        file
    }

    /// Somebody who wrote closes it; says whether that was the last.
    pub(crate) fn leave(&self, file: &OpenFile) -> bool {
        let mut writers = self.writers.lock();
        let is_last = file.users.fetch_sub(1, Ordering::Relaxed) == 1;
        if is_last {
            forget(&mut writers, file);
        }
        is_last
    }

    /// Nobody joins it from now on.
    pub(crate) fn forget_writer(&self, file: &OpenFile) {
        forget(&mut self.writers.lock(), file);
    }

    /// The file, if it is open for writing.
    pub(crate) fn writer(&self, ino: u64) -> Option<Arc<OpenFile>> {
        self.writers.lock().get(&ino).and_then(Weak::upgrade)
    }

    fn all_writers(&self) -> Vec<Arc<OpenFile>> {
        let writers = self.writers.lock();
        writers.values().filter_map(Weak::upgrade).collect()
    }

    /// Flushes the fullest journals until there is room in all of them.
    pub(crate) async fn make_room(&self) -> Result<()> {
        while self.held.load(Ordering::Relaxed) >= JOURNALS_BYTES_MAX {
            let fullest = self
                .all_writers()
                .into_iter()
                .max_by_key(|file| file.held());
            let Some(fullest) = fullest.filter(|file| file.held() > 0) else {
                return Ok(());
            };
            let before = fullest.held();
            let flushed = fullest.flush().await;
            // One that is given up makes room too.
            if fullest.held() >= before {
                flushed?;
            }
        }
        Ok(())
    }

    /// Sends what has gathered for a file, so that the node answers for all of it.
    pub(crate) async fn send(&self, ino: u64) -> Result<()> {
        match self.writer(ino) {
            Some(writer) => writer.send_gathered().await,
            None => Ok(()),
        }
    }

    /// The same, and sees that the node still has what was sent and not flushed.
    pub(crate) async fn settle(&self, ino: u64) -> Result<()> {
        match self.writer(ino) {
            Some(writer) => writer.settle().await,
            None => Ok(()),
        }
    }

    /// Whether the node does not know, or may have lost, what was written to a file.
    pub(crate) fn is_unsettled(&self, ino: u64) -> bool {
        self.writer(ino).is_some_and(|writer| writer.is_written())
    }

    /// Notes that something is written.
    pub(crate) fn count_write(&self) {
        self.writes.fetch_add(1, Ordering::AcqRel);
    }

    /// How often something was written, so that who has read something knows whether it may be
    /// another by now.
    pub(crate) fn writes(&self) -> u64 {
        self.writes.load(Ordering::Acquire)
    }

    /// Counts bytes that a journal holds.
    pub(crate) fn count_held(&self, before: usize, now: usize) {
        self.held.fetch_add(now, Ordering::Relaxed);
        self.held.fetch_sub(before, Ordering::Relaxed);
    }

    /// Closes what was made and opened in one call, and never asked for.
    fn close_made(&self, made_before: &HashSet<u64>) -> HashSet<u64> {
        let mut made = self.made.lock();
        for ino in made_before {
            if let Some(handle) = made.remove(ino).and_then(|opened| opened.handle) {
                self.close_handle(handle);
            }
        }
        made.keys().copied().collect()
    }
}

fn forget(writers: &mut Writers, file: &OpenFile) {
    let is_it = |writer: &Weak<OpenFile>| std::ptr::eq(writer.as_ptr(), file);
    if writers.get(&file.ino()).is_some_and(is_it) {
        writers.remove(&file.ino());
    }
}

/// Flushes what waits for too long.
async fn age(files: Weak<OpenFiles>) {
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        let Some(files) = files.upgrade() else { return };
        let mut due = files.all_writers();
        due.retain(|file| file.is_older_than(AGE_MAX));
        let flush = |file: Arc<OpenFile>| async move {
            if let Err(error) = file.flush().await {
                tracing::warn!(
                    ino = file.ino(),
                    ?error,
                    "what is written to an open file waits"
                );
            }
        };
        stream::iter(due)
            .for_each_concurrent(AGING_MAX, flush)
            .await;
    }
}

/// Tells the node which handles are in use, for as long as there is somebody to use them.
async fn renew(inodes: Inodes, files: Weak<OpenFiles>) {
    let mut made = HashSet::new();
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        let Some(files) = files.upgrade() else { return };
        made = files.close_made(&made);
        let handles: Vec<u64> = files.handles.lock().iter().copied().collect();
        for handles in handles.chunks(NAMED_MAX) {
            let unknown = inodes.keep_alive(handles.to_vec());
            match tokio::time::timeout(RENEW_EVERY, unknown).await {
                Ok(Ok(unknown)) => unknown.iter().for_each(|handle| {
                    files.forget_handle(*handle);
                }),
                failed => tracing::debug!(?failed, "leases could not be renewed"),
            }
        }
    }
}

/// Closes handles, those that come together in one call.
async fn close(inodes: Inodes, mut closed: UnboundedReceiver<u64>) {
    loop {
        let Some(first) = closed.recv().await else {
            return;
        };
        tokio::time::sleep(GATHER_FOR).await;
        let mut handles = vec![first];
        while handles.len() < NAMED_MAX
            && let Ok(handle) = closed.try_recv()
        {
            handles.push(handle);
        }
        let close = inodes.close(handles);
        if let Ok(Err(error)) = tokio::time::timeout(RENEW_EVERY, close).await {
            tracing::debug!(?error, "handles end with their lease");
        }
    }
}
