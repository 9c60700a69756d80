//! What has to agree between the parts of an archive, counted as they pass.

use bytes::Bytes;
use nexus_kernel::{Entry, Error, Result, Revision};

use crate::blob::{BlobName, blob_named_by};
use crate::chain::ChainHash;
use crate::messages::{Rows, Trailer};

/// How far an archive is written or read: enough to go on with writing it after its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The revision that it has.
    pub revision: Revision,
    /// Blocks so far.
    pub blocks: u64,
    /// Bytes so far.
    pub bytes: u64,
    /// The hash over those bytes.
    pub chain: ChainHash,
    /// Rows so far.
    pub rows: u64,
    /// Blobs that the rows so far name.
    pub blobs_named: u64,
    /// Whether these are all rows.
    pub has_all_rows: bool,
    /// Blobs so far.
    pub blobs: u64,
    /// Their bytes.
    pub blob_bytes: u64,
}

/// Checks that rows come in order, and that the blobs are those that the rows name, in that order.
pub(crate) struct Tally {
    pub(crate) last_key: Option<Bytes>,
    last_blob: Option<BlobName>,
    named: blake3::Hasher,
    found: blake3::Hasher,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            last_key: None,
            last_blob: None,
            named: blake3::Hasher::new(),
            found: blake3::Hasher::new(),
        }
    }

    pub(crate) fn row(&mut self, row: &Entry, progress: &mut Progress) -> Result<()> {
        if self.last_key.as_ref().is_some_and(|last| row.key <= *last) {
            return Err(damaged("its rows are not in order"));
        }
        if !(Revision(1)..=progress.revision).contains(&row.value.revision) {
            return Err(damaged(
                "a row is of a revision that the archive does not have",
            ));
        }
        if let Some(blob) = blob_named_by(row)? {
            self.named.update(blob.as_bytes());
            progress.blobs_named += 1;
        }
        self.last_key = Some(row.key.clone());
        progress.rows += 1;
        Ok(())
    }

    pub(crate) fn rows_end(&self, said: &Rows, progress: &mut Progress) -> Result<()> {
        if (said.rows, said.blobs) != (progress.rows, progress.blobs_named) {
            return Err(damaged("it does not have the rows that it says"));
        }
        progress.has_all_rows = true;
        Ok(())
    }

    pub(crate) fn blob(
        &mut self,
        name: BlobName,
        bytes: &[u8],
        progress: &mut Progress,
    ) -> Result<()> {
        if self.last_blob.is_some_and(|last| name <= last) {
            return Err(damaged("its blobs are not in order"));
        }
        if !name.is_of(bytes) {
            return Err(damaged("a blob is not what its name says").with("blob", name));
        }
        self.last_blob = Some(name);
        self.found.update(name.as_bytes());
        progress.blobs += 1;
        progress.blob_bytes += bytes.len() as u64;
        Ok(())
    }

    pub(crate) fn trailer(&self, said: &Trailer, progress: &Progress) -> Result<()> {
        let counted = (progress.rows, progress.blobs, progress.blob_bytes);
        if (said.rows, said.blobs, said.blob_bytes) != counted {
            return Err(damaged("it does not have what its end says"));
        }
        if self.named.finalize() != self.found.finalize() {
            return Err(damaged("its blobs are not those that its rows name"));
        }
        Ok(())
    }
}

/// Says that an archive is not what was written, and why.
pub(crate) fn damaged(why: &'static str) -> Error {
    Error::corrupt("the archive is damaged or was changed; export the zone again").with("why", why)
}
