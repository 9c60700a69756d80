//! The files of the journal: made, filled, and used again.

use std::io::{self, IoSlice};
use std::sync::Arc;

use nexus_kernel::Timestamp;

use crate::disk::{Access, Disk, DiskFile};
use crate::error::{Failure, Result};
use crate::layout;
use crate::record::{Header, Kind, encode_pair};

/// Most segments kept for being written again. Writing over what is on the disk and in memory
/// already takes a quarter of the time that fresh space takes.
const SPARES_MAX: usize = 8;

/// One file of the journal.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    pub(crate) file: Arc<dyn DiskFile>,
}

/// A segment that nothing is appended to any more.
#[derive(Clone, Debug)]
pub(crate) struct Sealed {
    pub(crate) segment: Arc<Segment>,
    /// How long it is.
    pub(crate) end: u64,
}

/// Makes segments of ascending numbers and takes them back.
#[derive(Debug)]
pub(crate) struct Segments {
    disk: Arc<dyn Disk>,
    bytes: u64,
    next: u64,
    spares: Vec<u64>,
}

impl Segments {
    /// `next` is above every number that was ever used.
    pub(crate) fn new(disk: Arc<dyn Disk>, bytes: u64, next: u64, spares: Vec<u64>) -> Self {
        Self {
            disk,
            bytes,
            next,
            spares,
        }
    }

    /// A segment that continues the one of number and length `previous`, and how long it is so far.
    /// Its name is durable, its first record is so after the next flush.
    ///
    /// # Errors
    ///
    /// Of unknown outcome when there may be such a segment after all: then the previous one must
    /// not grow.
    pub(crate) fn make(&mut self, previous: (u64, u64)) -> Result<(Arc<Segment>, u64)> {
        let number = self.next;
        self.next += 1;
        let path = layout::log(number);
        let file = match self.spares.pop() {
            Some(spare) => self.reuse(spare, &path)?,
            None => self.create(&path)?,
        };
        self.disk.sync_dir(layout::JOURNAL)?;
        match begin(&*file, number, previous) {
            Ok(end) => Ok((Arc::new(Segment { number, file }), end)),
            Err(cause) => Err(self.abandon(&path, cause)),
        }
    }

    /// The first record of a segment could not be written, and may be there all the same.
    fn abandon(&self, path: &str, cause: io::Error) -> Failure {
        let gone = self.disk.remove(path);
        match gone.and_then(|()| self.disk.sync_dir(layout::JOURNAL)) {
            Ok(()) => cause.into(),
            Err(_) => Failure::flush(cause).outcome_unknown(),
        }
    }

    fn reuse(&self, spare: u64, path: &str) -> Result<Arc<dyn DiskFile>> {
        self.disk.rename(&layout::spare(spare), path)?;
        Ok(self.disk.open(path, Access::ReadWrite)?)
    }

    fn create(&self, path: &str) -> Result<Arc<dyn DiskFile>> {
        let file = self.disk.create(path)?;
        if let Err(cause) = file.reserve(self.bytes) {
            self.disk.remove(path)?;
            return Err(cause.into());
        }
        Ok(file)
    }

    /// Takes a segment out of the journal, durably. `idle` says that nobody reads it.
    pub(crate) fn retire(&mut self, number: u64, idle: bool) -> Result<()> {
        let keep = idle && self.spares.len() < SPARES_MAX;
        let log = layout::log(number);
        let gone = if keep {
            self.disk.rename(&log, &layout::spare(number))
        } else {
            self.disk.remove(&log)
        };
        unless_missing(gone)?;
        // A later segment must not go before this one has gone, or a recovery would bring back
        // what this one says and miss what the later one says.
        self.disk.sync_dir(layout::JOURNAL)?;
        if keep {
            self.spares.push(number);
        }
        Ok(())
    }
}

/// What is to be removed may be gone already, if the flush after an earlier attempt failed.
pub(crate) fn unless_missing(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn begin(file: &dyn DiskFile, number: u64, previous: (u64, u64)) -> io::Result<u64> {
    let data = encode_pair(previous.0, previous.1);
    let header = Header {
        kind: Kind::Begin,
        modified: Timestamp::EPOCH,
        key_bytes: 0,
        data_bytes: 16,
        crc: crc32fast::hash(&data),
    };
    let bytes = header.encode(number);
    file.write_at(&mut [IoSlice::new(&bytes), IoSlice::new(&data)], 0)?;
    Ok(header.record_bytes())
}
