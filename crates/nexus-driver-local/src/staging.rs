//! Blobs too large for the journal, on their way into a file of their own.

use std::io::IoSlice;
use std::sync::Arc;

use bytes::Bytes;
use nexus_kernel::Timestamp;

use crate::core::Core;
use crate::disk::DiskFile;
use crate::error::Result;
use crate::layout;
use crate::queue::Content;

/// A finished file that is not a blob yet, and is removed if it does not become one.
#[derive(Debug)]
pub(crate) struct StagedFile {
    core: Arc<Core>,
    pub(crate) id: u64,
    pub(crate) size: u64,
    pub(crate) modified: Timestamp,
    keep: bool,
}

impl StagedFile {
    /// A blob is, or may be, made of it.
    pub(crate) fn keep(mut self) {
        self.keep = true;
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        if !self.keep
            && let Err(cause) = self.core.disk.remove(&layout::staged(self.id))
        {
            tracing::warn!(%cause, id = self.id, "a staged file stays until the next start");
        }
    }
}

/// Writes a staged file. All of this blocks.
#[derive(Debug)]
pub(crate) struct Stager {
    staged: StagedFile,
    file: Arc<dyn DiskFile>,
}

impl Stager {
    /// A new file for a blob that was put at `modified`.
    pub(crate) fn create(core: Arc<Core>, modified: Timestamp) -> Result<Self> {
        let id = core.next_id();
        let file = core.disk.create(&layout::staged(id))?;
        let staged = StagedFile {
            core,
            id,
            size: 0,
            modified,
            keep: false,
        };
        Ok(Self { staged, file })
    }

    pub(crate) fn write(&mut self, content: &Content) -> Result<()> {
        let mut pieces: Vec<IoSlice<'_>> = slices(&content.pieces).collect();
        self.file.write_at(&mut pieces, self.staged.size)?;
        self.staged.size += content.size as u64;
        Ok(())
    }

    /// Makes the contents durable, if asked.
    pub(crate) fn finish(self, durable: bool) -> Result<StagedFile> {
        if durable {
            self.file.sync()?;
        }
        Ok(self.staged)
    }
}

pub(crate) fn slices(pieces: &[Bytes]) -> impl Iterator<Item = IoSlice<'_>> {
    pieces.iter().map(|piece| IoSlice::new(piece))
}
