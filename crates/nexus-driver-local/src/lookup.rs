//! Finding a blob: in the overlay, else in its own file.

use std::fs::File;
use std::io;
use std::sync::Arc;

use nexus_kernel::{ObjectKey, ObjectMeta};

use crate::core::Core;
use crate::disk::{Access, DiskFile, Facts};
use crate::error::{Failure, Result};
use crate::layout;
use crate::overlay::Entry;
use crate::segments::Segment;

/// How often a read starts over because the blob moved under it. Each time means that a
/// checkpoint or an overwrite went by in between.
const MOVES_MAX: usize = 1000;

/// Where the bytes of a blob are.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) meta: ObjectMeta,
    pub(crate) source: Source,
}

#[derive(Debug)]
pub(crate) enum Source {
    /// In the journal, from byte `at`. Holding the segment keeps it from being written again.
    Journal { segment: Arc<Segment>, at: u64 },
    /// In a file of its own.
    File(Arc<dyn DiskFile>),
}

impl Core {
    pub(crate) fn open(&self, key: &ObjectKey) -> Result<Opened> {
        for _ in 0..MOVES_MAX {
            let newest = self.overlay.read().get(key).cloned();
            let opened = match newest {
                Some(entry) => self.open_newest(key, entry)?,
                None => self.open_file(key)?,
            };
            if let Some(opened) = opened {
                return Ok(opened);
            }
        }
        Err(missing())
    }

    pub(crate) fn head(&self, key: &ObjectKey) -> Result<ObjectMeta> {
        if let Some(entry) = self.overlay.read().get(key) {
            return entry.meta(key).ok_or_else(missing);
        }
        match self.open_file(key)? {
            Some(opened) => Ok(opened.meta),
            None => Ok(self.open(key)?.meta),
        }
    }

    pub(crate) fn exists(&self, key: &ObjectKey) -> Result<bool> {
        if let Some(entry) = self.overlay.read().get(key) {
            return Ok(entry.is_blob());
        }
        match self.disk.facts(&layout::blob(key)) {
            Ok(_) => Ok(true),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(cause) => Err(cause.into()),
        }
    }

    /// The blob's own file, if it has one by now and the machine's filesystem knows it.
    pub(crate) fn local_file(&self, key: &ObjectKey) -> Result<Option<File>> {
        if !self.is_settled(key) {
            return Ok(None);
        }
        let opened = self.disk.open(&layout::blob(key), Access::Read);
        let Some(file) = unless_missing(opened)? else {
            return Ok(None);
        };
        // As in `open_file`.
        match self.is_settled(key) {
            true => Ok(file.local()?),
            false => Ok(None),
        }
    }

    /// Whether the blob's own file says all there is.
    fn is_settled(&self, key: &ObjectKey) -> bool {
        self.overlay.read().get(key).is_none()
    }

    /// `None` if the blob has moved on in the meantime.
    fn open_newest(&self, key: &ObjectKey, newest: Entry) -> Result<Option<Opened>> {
        let meta = newest.meta(key).ok_or_else(missing)?;
        let source = match newest {
            Entry::Journaled { segment, at, .. } => Source::Journal { segment, at },
            Entry::Staged { id, .. } => match self.open_staged(key, id)? {
                Some(file) => Source::File(file),
                None => return Ok(None),
            },
            Entry::Deleted { .. } => return Err(missing()),
        };
        Ok(Some(Opened { meta, source }))
    }

    fn open_staged(&self, key: &ObjectKey, id: u64) -> Result<Option<Arc<dyn DiskFile>>> {
        match unless_missing(self.disk.open(&layout::staged(id), Access::Read))? {
            // If this still is the newest, a checkpoint has moved it; else a put replaced it.
            None if self.is_newest(key, id) => Ok(unless_missing(
                self.disk.open(&layout::blob(key), Access::Read),
            )?),
            file => Ok(file),
        }
    }

    fn is_newest(&self, key: &ObjectKey, id: u64) -> bool {
        let overlay = self.overlay.read();
        matches!(overlay.get(key), Some(Entry::Staged { id: newest, .. }) if *newest == id)
    }

    /// Opens the file of a blob that the overlay did not know. `None` if it does by now: then a
    /// checkpoint may be at work on this very file.
    fn open_file(&self, key: &ObjectKey) -> Result<Option<Opened>> {
        let file = self.disk.open(&layout::blob(key), Access::Read)?;
        if !self.is_settled(key) {
            return Ok(None);
        }
        let Facts { size, modified } = file.facts()?;
        let meta = ObjectMeta {
            key: key.clone(),
            size,
            modified,
        };
        let source = Source::File(file);
        Ok(Some(Opened { meta, source }))
    }
}

fn unless_missing<T>(opened: io::Result<T>) -> io::Result<Option<T>> {
    match opened {
        Ok(opened) => Ok(Some(opened)),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(cause),
    }
}

fn missing() -> Failure {
    Failure::from(io::Error::from(rustix::io::Errno::NOENT))
}
