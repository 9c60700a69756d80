//! The bytes of the journal.
//!
//! ```text
//! 0   4  "NXJ" and the version of this format
//! 4   4  CRC-32 of the rest of the header
//! 8   8  number of the segment; what an earlier use of the file left behind has another
//! 16  8  when it was put, nanoseconds since 1970
//! 24  4  length of the data
//! 28  4  CRC-32 of key and data
//! 32  2  length of the key
//! 34  1  kind
//! 35  1  0
//! 36     key, then data
//! ```
//!
//! Numbers are little-endian. The data is the blob for a put; for a large blob the id of its staged
//! file and its length; for the beginning of a segment the number and the length of the one before.

use std::io;

use nexus_kernel::{ObjectKey, Timestamp};

use crate::disk::DiskFile;
use crate::error::{Failure, Result};

pub(crate) const HEADER_BYTES: usize = 36;
const MAGIC: &[u8; 3] = b"NXJ";
const VERSION: u8 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Begin = 0,
    Put = 1,
    Place = 2,
    Delete = 3,
}

/// A header without what only the segment knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) modified: Timestamp,
    pub(crate) key_bytes: u16,
    pub(crate) data_bytes: u32,
    /// CRC-32 of key and data.
    pub(crate) crc: u32,
}

impl Header {
    /// How many bytes the record takes.
    pub(crate) fn record_bytes(&self) -> u64 {
        HEADER_BYTES as u64 + u64::from(self.key_bytes) + u64::from(self.data_bytes)
    }

    pub(crate) fn encode(&self, segment: u64) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..3].copy_from_slice(MAGIC);
        bytes[3] = VERSION;
        bytes[8..16].copy_from_slice(&segment.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.modified.0.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.data_bytes.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.crc.to_le_bytes());
        bytes[32..34].copy_from_slice(&self.key_bytes.to_le_bytes());
        bytes[34] = self.kind as u8;
        let crc = crc32fast::hash(&bytes[8..]);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// `None` if there is no record of this segment.
    fn decode(bytes: &[u8], segment: u64) -> Option<Self> {
        let bytes: &[u8; HEADER_BYTES] = bytes.try_into().ok()?;
        let ours = bytes.starts_with(MAGIC) && bytes[3] == VERSION;
        let whole = u32_at(bytes, 4) == crc32fast::hash(&bytes[8..]);
        if !ours || !whole || u64_at(bytes, 8) != segment {
            return None;
        }
        Some(Self {
            kind: match bytes[34] {
                0 => Kind::Begin,
                1 => Kind::Put,
                2 => Kind::Place,
                3 => Kind::Delete,
                _ => return None,
            },
            modified: Timestamp(u64_at(bytes, 16).cast_signed()),
            data_bytes: u32_at(bytes, 24),
            crc: u32_at(bytes, 28),
            key_bytes: u16::from_le_bytes([bytes[32], bytes[33]]),
        })
    }
}

/// Two numbers as the data of a `Begin` or `Place` record.
pub(crate) fn encode_pair(first: u64, second: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&first.to_le_bytes());
    bytes[8..].copy_from_slice(&second.to_le_bytes());
    bytes
}

/// One change, as read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Logged {
    pub(crate) key: ObjectKey,
    pub(crate) modified: Timestamp,
    pub(crate) op: Op,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// The blob is in the segment, from byte `at`.
    Put {
        at: u64,
        size: u32,
    },
    /// The blob is the staged file `id`.
    Place {
        id: u64,
        size: u64,
    },
    Delete,
}

/// What a segment holds, up to its first record that is not whole.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Scan {
    /// Number and length of the segment before this one. `None` if this one has no record.
    pub(crate) previous: Option<(u64, u64)>,
    pub(crate) changes: Vec<Logged>,
    /// Where the last whole record ends.
    pub(crate) end: u64,
}

/// Reads segment `number` from its file.
pub(crate) fn scan(file: &dyn DiskFile, number: u64) -> Result<Scan> {
    refuse_other_versions(&file.read_at(0, 4)?)?;
    let mut window = Window::new(file);
    let mut scan = Scan::default();
    while let Some(record) = Record::read(&mut window, scan.end, number)? {
        let begins = record.header.kind == Kind::Begin;
        if begins != (scan.end == 0) {
            break;
        }
        if begins {
            scan.previous = record.pair();
        } else {
            scan.changes.push(record.logged(scan.end)?);
        }
        scan.end += record.header.record_bytes();
    }
    Ok(scan)
}

fn refuse_other_versions(start: &[u8]) -> Result<()> {
    match start.strip_prefix(MAGIC) {
        Some(&[version]) if version != VERSION => Err(Failure::new(
            nexus_kernel::Kind::Unsupported,
            "another version of Nexus wrote this object store; open it with that version",
        )),
        _ => Ok(()),
    }
}

/// A record whose checksums are right.
struct Record {
    header: Header,
    key: Vec<u8>,
    /// The data, if it is a pair.
    data: Vec<u8>,
}

impl Record {
    fn read(window: &mut Window<'_>, at: u64, segment: u64) -> Result<Option<Self>> {
        let Some(header) = Header::decode(window.bytes(at, HEADER_BYTES)?, segment) else {
            return Ok(None);
        };
        let key_bytes = usize::from(header.key_bytes);
        let length = key_bytes + header.data_bytes as usize;
        let body = window.bytes(at + HEADER_BYTES as u64, length)?;
        if body.len() < length || crc32fast::hash(body) != header.crc {
            return Ok(None);
        }
        let (key, data) = body.split_at(key_bytes);
        let pair = matches!(header.kind, Kind::Begin | Kind::Place);
        Ok(Some(Self {
            header,
            key: key.to_vec(),
            data: if pair { data.to_vec() } else { Vec::new() },
        }))
    }

    fn pair(&self) -> Option<(u64, u64)> {
        let whole = self.data.len() == 16;
        whole.then(|| (u64_at(&self.data, 0), u64_at(&self.data, 8)))
    }

    fn logged(&self, at: u64) -> Result<Logged> {
        let op = match (self.header.kind, self.pair()) {
            (Kind::Put, _) => Some(Op::Put {
                at: at + HEADER_BYTES as u64 + u64::from(self.header.key_bytes),
                size: self.header.data_bytes,
            }),
            (Kind::Place, Some((id, size))) => Some(Op::Place { id, size }),
            (Kind::Delete, _) => Some(Op::Delete),
            _ => None,
        };
        let name = String::from_utf8(self.key.clone()).ok();
        let key = name.and_then(|name| ObjectKey::new(name).ok());
        match (key, op) {
            (Some(key), Some(op)) => Ok(Logged {
                key,
                modified: self.header.modified,
                op,
            }),
            _ => Err(Failure::corrupt(format!(
                "the record at byte {at} makes no sense"
            ))),
        }
    }
}

/// Reads forward through a file in large pieces.
struct Window<'a> {
    file: &'a dyn DiskFile,
    start: u64,
    bytes: Vec<u8>,
}

impl<'a> Window<'a> {
    const BYTES: usize = 1 << 20;

    fn new(file: &'a dyn DiskFile) -> Self {
        Self {
            file,
            start: 0,
            bytes: Vec::new(),
        }
    }

    /// Up to `length` bytes from `at`, fewer at the end of the file.
    fn bytes(&mut self, at: u64, length: usize) -> io::Result<&[u8]> {
        let inside = at >= self.start && at + length as u64 <= self.start + self.bytes.len() as u64;
        if !inside {
            self.bytes = self.file.read_at(at, length.max(Self::BYTES))?;
            self.start = at;
        }
        let from = usize::try_from(at - self.start).expect("a window fits in memory");
        let to = self.bytes.len().min(from + length);
        Ok(&self.bytes[from.min(to)..to])
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}
