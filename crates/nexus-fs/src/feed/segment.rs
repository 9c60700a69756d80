//! Commits that were read and decoded once, and are told to many.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use nexus_kernel::{Error, Freshness, Result, Revision, Scan};
use parking_lot::Mutex;

use crate::keys;
use crate::log::{Record, decode};
use crate::zone::Shared;

/// A segment that has so many commits, or so many stored bytes of them, takes no more.
const RECORDS_MAX: usize = 256;
const BYTES_MAX: usize = 1 << 20;
/// Stored bytes of the segments that all readers who are behind hold, each its own, about; and
/// what each may have however many they are.
const BYTES_OF_ALL_MAX: usize = 256 << 20;
const BYTES_MIN: usize = 16 << 10;
/// What a commit takes in memory, beside what is stored of it.
const RECORD_BYTES: usize = 512;
/// How much larger what is stored becomes when it is decoded and written out by the doors.
const GROWTH: usize = 4;

/// Every commit of the log after one revision and up to another.
pub(super) struct Segment {
    /// Exclusive.
    pub after: Revision,
    /// Inclusive.
    pub until: Revision,
    pub records: Vec<Record>,
    /// About what it takes in memory.
    pub weight: usize,
    /// What doors have made of it: one value for each type.
    derived: Mutex<Vec<Arc<dyn Any + Send + Sync>>>,
}

impl Segment {
    pub(super) fn new(after: Revision, until: Revision, records: Vec<Record>) -> Self {
        Self {
            after,
            until,
            records,
            weight: 0,
            derived: Mutex::default(),
        }
    }

    /// The value that `make` makes of the commits, made once for everybody.
    pub(super) fn derived<T: Send + Sync + 'static>(
        &self,
        make: impl FnOnce(&[Record]) -> T,
    ) -> Arc<T> {
        // Held while it is made: all who wait for the lock want the same.
        let mut derived = self.derived.lock();
        let made = derived.iter().cloned();
        if let Some(found) = made.filter_map(|value| value.downcast().ok()).next() {
            return found;
        }
        let value = Arc::new(make(&self.records));
        derived.push(Arc::clone(&value) as _);
        value
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}, {}]", self.after, self.until)
    }
}

impl Shared {
    /// Refuses to go on where something was collected: asked after reading, it answers for what
    /// was read.
    pub(super) fn check_kept(&self, after: Revision) -> Result<()> {
        let oldest = self.oldest_readable();
        if after >= oldest {
            return Ok(());
        }
        Err(Error::not_found(
            "the changes after this position are kept no longer; read the present state, and go on \
             after the revision that it is of",
        )
        .with("position", after)
        .with("oldest_readable", oldest))
    }

    /// A segment for one reader, who may hold on to it: the smaller the more of them there are.
    pub(super) async fn own_segment(&self, after: Revision, newest: Revision) -> Result<Segment> {
        let share = BYTES_OF_ALL_MAX / self.tail.readers().max(1);
        let bytes_max = share.clamp(BYTES_MIN, BYTES_MAX);
        self.read_segment(after, newest, bytes_max).await
    }

    /// A segment for all readers.
    pub(super) async fn segment(&self, after: Revision, newest: Revision) -> Result<Segment> {
        self.read_segment(after, newest, BYTES_MAX).await
    }

    /// The next commits after `after`; `newest` is a revision that the store has reached, and
    /// where the segment ends if it is not full before.
    ///
    /// # Errors
    ///
    /// `NotFound` when not all of it is kept.
    async fn read_segment(
        &self,
        after: Revision,
        newest: Revision,
        bytes_max: usize,
    ) -> Result<Segment> {
        let mut segment = Segment::new(after, after, Vec::new());
        let mut bytes = 0;
        while segment.records.len() < RECORDS_MAX && bytes < bytes_max {
            let range = keys::log_between(segment.until, newest);
            let room = RECORDS_MAX - segment.records.len();
            let scan = Scan::forward(range, room).bytes_max(bytes_max - bytes);
            let page = self.metastore.scan(scan, Freshness::Linearizable).await?;
            let mut entries = page.entries.into_iter();
            for entry in entries.by_ref() {
                let head = decode(&entry.key, entry.value.bytes)?;
                segment.until = head.record.revision;
                if let Some(whole) = head.whole(&*self.metastore).await? {
                    bytes += whole.bytes;
                    segment.records.push(whole.record);
                }
                // The record goes on in other rows, and others of the page can do so too.
                if bytes >= bytes_max {
                    break;
                }
            }
            if !page.more && entries.len() == 0 {
                segment.until = newest;
                break;
            }
        }
        self.check_kept(after)?;
        segment.weight = segment.records.len() * RECORD_BYTES + bytes * GROWTH;
        Ok(segment)
    }
}
