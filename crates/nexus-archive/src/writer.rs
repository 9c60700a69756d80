//! Making an archive.

use bytes::{Bytes, BytesMut};
use nexus_kernel::{Entry, Error, Result};
use prost::Message;

use crate::blob::{BlobName, blob_named_by};
use crate::chain::{self, ChainHash, Kind, check_items, frame};
use crate::messages::{Blob, BlobsBlock, Header, Rows, RowsBlock, Trailer};
use crate::tally::Progress;

/// Makes the blocks of an archive, one after the other: rows in key order, then
/// [`rows_end`](Self::rows_end), then in order the blobs that they name, then
/// [`finish`](Self::finish).
#[derive(Debug)]
pub struct Writer {
    progress: Progress,
}

impl Writer {
    /// Begins an archive; answers its first bytes too.
    ///
    /// # Errors
    ///
    /// `LimitExceeded` for a header beyond any sense.
    pub fn begin(header: &Header) -> Result<(Self, Bytes)> {
        let preamble = chain::preamble();
        let mut writer = Self {
            progress: Progress {
                revision: header.revision(),
                blocks: 0,
                bytes: preamble.len() as u64,
                chain: ChainHash::beginning(),
                rows: 0,
                blobs_named: 0,
                has_all_rows: false,
                blobs: 0,
                blob_bytes: 0,
            },
        };
        let block = writer.block(Kind::Header, header)?;
        let mut first = BytesMut::from(&preamble[..]);
        first.extend_from_slice(&block);
        Ok((writer, first.freeze()))
    }

    /// Goes on with an archive that has all its rows, where a [`Reader`](crate::Reader) stopped.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for one without all its rows: another state of the zone has others.
    pub fn resume(progress: Progress) -> Result<Self> {
        if !progress.has_all_rows || progress.blobs > progress.blobs_named {
            return Err(Error::invalid(
                "only an archive that has all its rows can be gone on with; export anew",
            ));
        }
        Ok(Self { progress })
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// A block of rows, one at least.
    ///
    /// # Errors
    ///
    /// `LimitExceeded` for more than a block takes, `Corrupt` for a row that names a blob and has
    /// no name of one.
    pub fn rows(&mut self, rows: Vec<Entry>) -> Result<Bytes> {
        check_items(rows.len())?;
        for row in &rows {
            let names = blob_named_by(row)?.is_some();
            self.progress.blobs_named += u64::from(names);
        }
        self.progress.rows += rows.len() as u64;
        let rows = rows.into_iter().map(Into::into).collect();
        self.block(Kind::Rows, &RowsBlock { rows })
    }

    /// The block after the last rows.
    ///
    /// # Errors
    ///
    /// None that can happen.
    pub fn rows_end(&mut self) -> Result<Bytes> {
        self.progress.has_all_rows = true;
        let end = Rows {
            rows: self.progress.rows,
            blobs: self.progress.blobs_named,
        };
        self.block(Kind::RowsEnd, &end)
    }

    /// A block of blobs, one at least. Whether they are what their names say is for the caller to
    /// know, and for every reader to check.
    ///
    /// # Errors
    ///
    /// `LimitExceeded` for more than a block takes.
    pub fn blobs(&mut self, blobs: Vec<(BlobName, Bytes)>) -> Result<Bytes> {
        check_items(blobs.len())?;
        let blob = |(name, bytes): (BlobName, Bytes)| Blob {
            name: Bytes::copy_from_slice(name.as_bytes()),
            bytes,
        };
        let blobs: Vec<_> = blobs.into_iter().map(blob).collect();
        self.progress.blobs += blobs.len() as u64;
        let bytes = blobs.iter().map(|blob| blob.bytes.len() as u64);
        self.progress.blob_bytes += bytes.sum::<u64>();
        self.block(Kind::Blobs, &BlobsBlock { blobs })
    }

    /// The last block.
    ///
    /// # Errors
    ///
    /// `Corrupt` when fewer blobs were written than the rows name.
    pub fn finish(mut self) -> Result<Bytes> {
        let Progress {
            rows,
            blobs,
            blob_bytes,
            blobs_named,
            ..
        } = self.progress;
        if blobs != blobs_named {
            return Err(
                Error::corrupt("blobs of the archive are missing; export anew")
                    .with("blobs", blobs)
                    .with("named", blobs_named),
            );
        }
        let trailer = Trailer {
            rows,
            blobs,
            blob_bytes,
        };
        self.block(Kind::Trailer, &trailer)
    }

    fn block(&mut self, kind: Kind, payload: &impl Message) -> Result<Bytes> {
        let (block, chain) = frame(&self.progress.chain, kind, payload)?;
        self.progress.chain = chain;
        self.progress.blocks += 1;
        self.progress.bytes += block.len() as u64;
        Ok(block)
    }
}
