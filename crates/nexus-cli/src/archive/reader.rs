//! Reading an archive.

use std::io::{ErrorKind, Read};

use nexus_client::{Error, Result};
use tar::{EntryType, Header};

use super::order::Order;
use super::{
    BLOCK, Entry, EntryKind, RECORD_BYTES, RECORD_ENTRIES, RECORD_TOTAL, RECORD_VERSION,
    RECORDS_BYTES_MAX, Total, VERSION, damaged, header, padding, pax,
};
use crate::etag::EtagHasher;
use crate::io::io_error;

/// Reads an archive from `R`, entry by entry.
pub struct Reader<R> {
    input: R,
    hash: blake3::Hasher,
    order: Order,
    open: Option<OpenFile>,
    entries: u64,
    bytes: u64,
    total: Option<Total>,
}

/// A file whose content has not been read to its end.
struct OpenFile {
    path: String,
    left: u64,
    padding: usize,
    etag: String,
    hasher: EtagHasher,
}

/// Reads a whole archive and checks all of it.
///
/// # Errors
///
/// As the methods of [`Reader`].
pub fn verify(input: impl Read) -> Result<Total> {
    let mut reader = Reader::new(input)?;
    while reader.next_entry()?.is_some() {}
    Ok(reader
        .total
        .expect("the last entry is followed by the total"))
}

impl<R: Read> Reader<R> {
    /// Begins to read.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` if this is not an archive, `Unsupported` if it is a newer one.
    pub fn new(input: R) -> Result<Self> {
        let hash = blake3::Hasher::new();
        let order = Order::default();
        let mut reader = Self {
            input,
            hash,
            order,
            open: None,
            entries: 0,
            bytes: 0,
            total: None,
        };
        reader.check_version()?;
        Ok(reader)
    }

    /// The next entry; none after the last, once the total is right. What was not read of the
    /// content before is checked all the same.
    ///
    /// # Errors
    ///
    /// `Corrupt` for an archive that is damaged or cut short, `InvalidArgument` for an entry
    /// that breaks the rules.
    pub fn next_entry(&mut self) -> Result<Option<Entry>> {
        self.skip_content()?;
        if self.total.is_some() {
            return Ok(None);
        }
        let block = self.block()?;
        let (kind, head) = header::parse(&block)?;
        match kind {
            EntryType::XGlobalHeader => self.trailer(&head).map(|()| None),
            EntryType::XHeader => self.entry(&block, &head).map(Some),
            _ => Err(not_an_archive()),
        }
    }

    /// Fills `buffer` with the next content of the entry; 0 at its end, when its hash is right.
    ///
    /// # Errors
    ///
    /// `Corrupt` for content that is damaged or cut short.
    pub fn read_content(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let Some(open) = &mut self.open else {
            return Ok(0);
        };
        if open.left == 0 {
            return self.close().map(|()| 0);
        }
        let most = usize::try_from(open.left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let count = read_some(&mut self.input, &mut buffer[..most])?;
        if count == 0 {
            return Err(cut_short());
        }
        open.left -= count as u64;
        open.hasher.update(&buffer[..count]);
        self.hash.update(&buffer[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    /// What the archive holds, once its last entry was read.
    #[must_use]
    pub fn total(&self) -> Option<&Total> {
        self.total.as_ref()
    }

    fn check_version(&mut self) -> Result<()> {
        let block = self.block().map_err(|_| not_an_archive())?;
        let (kind, head) = header::parse(&block).map_err(|_| not_an_archive())?;
        if kind != EntryType::XGlobalHeader {
            return Err(not_an_archive());
        }
        self.hash.update(&block);
        let records = self.records(&head)?;
        match pax::parse(&records)?.as_slice() {
            [(RECORD_VERSION, version)] if *version == VERSION.as_bytes() => Ok(()),
            [(RECORD_VERSION, version)] => Err(Error::unsupported(
                "the archive was written by a newer nexus; upgrade this one to import it",
            )
            .with("version", version.escape_ascii())),
            _ => Err(not_an_archive()),
        }
    }

    fn entry(&mut self, block: &[u8; BLOCK], head: &Header) -> Result<Entry> {
        self.hash.update(block);
        let records = self.records(head)?;
        let block = self.block()?;
        self.hash.update(&block);
        let (_, head) = header::parse(&block)?;
        let entry = header::entry(&head, &records)?;
        self.order
            .admit(&entry.path, entry.kind == EntryKind::Directory)?;
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
        Ok(entry)
    }

    /// Compares what was read with what was written. The trailer's own blocks are not hashed.
    fn trailer(&mut self, head: &Header) -> Result<()> {
        let hash = self.hash.finalize().to_hex().to_string();
        let records = self.records(head)?;
        let [
            (RECORD_ENTRIES, entries),
            (RECORD_BYTES, bytes),
            (RECORD_TOTAL, stated),
        ] = pax::parse(&records)?[..]
        else {
            return Err(damaged(
                "the archive's trailer is malformed; copy or export it again",
            ));
        };
        let counted = pax::number(entries)? == self.entries && pax::number(bytes)? == self.bytes;
        if !counted || stated != hash.as_bytes() {
            return Err(damaged(
                "the archive was changed after it was written; export it again",
            ));
        }
        self.expect_end()?;
        self.total = Some(Total {
            entries: self.entries,
            bytes: self.bytes,
            hash,
        });
        Ok(())
    }

    /// Nothing but zeros may follow, and at least two blocks of them.
    fn expect_end(&mut self) -> Result<()> {
        let mut zeros = 0;
        let mut buffer = [0; BLOCK];
        loop {
            match read_some(&mut self.input, &mut buffer)? {
                0 if zeros >= 2 * BLOCK => return Ok(()),
                0 => return Err(cut_short()),
                count if buffer[..count].iter().all(|&b| b == 0) => zeros += count,
                _ => {
                    return Err(damaged(
                        "something follows the end of the archive; cut it off",
                    ));
                }
            }
        }
    }

    fn skip_content(&mut self) -> Result<()> {
        let mut buffer = [0; 16 * 1024];
        while self.read_content(&mut buffer)? > 0 {}
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        let Some(open) = self.open.take() else {
            return Ok(());
        };
        if open.hasher.finish() != open.etag {
            return Err(damaged(
                "a file's content does not match its hash; copy or export it again",
            )
            .with("path", open.path.escape_debug()));
        }
        self.take_padding(open.padding)
    }

    fn records(&mut self, head: &Header) -> Result<Vec<u8>> {
        let size = header::size(head)?;
        let length = usize::try_from(size)
            .ok()
            .filter(|&length| length <= RECORDS_BYTES_MAX);
        let length = length.ok_or_else(|| {
            Error::limit("an entry of the archive has more than 4 MiB of metadata")
                .with("bytes", size)
        })?;
        let mut records = vec![0; length];
        self.fill(&mut records)?;
        self.hash.update(&records);
        self.take_padding(padding(size))?;
        Ok(records)
    }

    fn take_padding(&mut self, length: usize) -> Result<()> {
        let mut zeros = [0; BLOCK];
        self.fill(&mut zeros[..length])?;
        self.hash.update(&zeros[..length]);
        Ok(())
    }

    fn block(&mut self) -> Result<[u8; BLOCK]> {
        let mut block = [0; BLOCK];
        self.fill(&mut block)?;
        Ok(block)
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<()> {
        self.input.read_exact(buffer).map_err(|e| read_error(&e))
    }
}

/// Reads what there is, again if a signal came between.
fn read_some(input: &mut impl Read, buffer: &mut [u8]) -> Result<usize> {
    loop {
        match input.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            read => return read.map_err(|e| read_error(&e)),
        }
    }
}

fn read_error(error: &std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::UnexpectedEof => cut_short(),
        _ => io_error("could not read the archive", error),
    }
}

fn cut_short() -> Error {
    damaged("the archive is cut short; copy or export it again")
}

fn not_an_archive() -> Error {
    Error::invalid(
        "this is not an archive that `nexus export` wrote; unpack it with its own tool and use \
         `nexus cp -r`",
    )
}
