//! Writing an archive.

use std::io::Write;

use nexus_client::{Error, Result};
use tar::EntryType;

use super::order::Order;
use super::pax::Records;
use super::{
    BLOCK, Entry, EntryKind, RECORD_BYTES, RECORD_ENTRIES, RECORD_TOTAL, RECORD_VERSION, Total,
    VERSION, header, padding,
};
use crate::etag::EtagHasher;
use crate::io::io_error;

/// Writes an archive into `W`, entry by entry.
pub struct Writer<W> {
    out: W,
    hash: blake3::Hasher,
    order: Order,
    open: Option<OpenFile>,
    entries: u64,
    bytes: u64,
}

/// A file whose content is still coming.
struct OpenFile {
    path: String,
    left: u64,
    padding: usize,
    etag: String,
    hasher: EtagHasher,
}

impl<W: Write> Writer<W> {
    /// Begins an archive.
    ///
    /// # Errors
    ///
    /// What `out` says when written to.
    pub fn new(out: W) -> Result<Self> {
        let hash = blake3::Hasher::new();
        let order = Order::default();
        let mut writer = Self {
            out,
            hash,
            order,
            open: None,
            entries: 0,
            bytes: 0,
        };
        let mut records = Records::default();
        records.push(RECORD_VERSION, VERSION);
        writer.put_records(EntryType::XGlobalHeader, records)?;
        Ok(writer)
    }

    /// Begins the next entry. After a file its whole content must follow.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for an entry that breaks the archive's rules, `Corrupt` if the file
    /// before it is not complete.
    pub fn entry(&mut self, entry: &Entry) -> Result<()> {
        self.close()?;
        self.order
            .admit(&entry.path, entry.kind == EntryKind::Directory)?;
        self.put_records(EntryType::XHeader, header::records(entry))?;
        self.put(header::plain(entry).as_bytes())?;
        self.entries += 1;
        if let EntryKind::File { size, etag } = &entry.kind {
            self.open = Some(OpenFile {
                path: entry.path.clone(),
                left: *size,
                padding: padding(*size),
                etag: etag.clone(),
                hasher: EtagHasher::like(etag)?,
            });
        }
        Ok(())
    }

    /// Adds content to the entry.
    ///
    /// # Errors
    ///
    /// `Corrupt` if there is more of it than the entry said.
    pub fn content(&mut self, bytes: &[u8]) -> Result<()> {
        let Some(open) = &mut self.open else {
            return Err(mismatch(""));
        };
        let left = open.left.checked_sub(bytes.len() as u64);
        open.left = left.ok_or_else(|| mismatch(&open.path))?;
        open.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        self.put(bytes)
    }

    /// Ends the archive; gives back what it was written to.
    ///
    /// # Errors
    ///
    /// `Corrupt` if the last file is not complete.
    pub fn finish(mut self) -> Result<(W, Total)> {
        self.close()?;
        let hash = self.hash.finalize().to_hex().to_string();
        let mut records = Records::default();
        records.push(RECORD_ENTRIES, self.entries.to_string());
        records.push(RECORD_BYTES, self.bytes.to_string());
        records.push(RECORD_TOTAL, &hash);
        self.put_records(EntryType::XGlobalHeader, records)?;
        self.put(&[0; 2 * BLOCK])?;
        self.out
            .flush()
            .map_err(|e| io_error("could not write the archive", &e))?;
        Ok((
            self.out,
            Total {
                entries: self.entries,
                bytes: self.bytes,
                hash,
            },
        ))
    }

    fn close(&mut self) -> Result<()> {
        let Some(open) = self.open.take() else {
            return Ok(());
        };
        if open.left != 0 || open.hasher.finish() != open.etag {
            return Err(mismatch(&open.path));
        }
        self.put(&[0; BLOCK][..open.padding])
    }

    fn put_records(&mut self, kind: EntryType, records: Records) -> Result<()> {
        let records = records.into_bytes();
        self.put(header::before_records(kind, records.len()).as_bytes())?;
        self.put(&records)?;
        self.put(&[0; BLOCK][..padding(records.len() as u64)])
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.hash.update(bytes);
        self.out
            .write_all(bytes)
            .map_err(|e| io_error("could not write the archive", &e))
    }
}

fn mismatch(path: &str) -> Error {
    Error::corrupt("the content is not what its etag says; run `nexus verify` on the node")
        .with("path", path.escape_debug())
}
