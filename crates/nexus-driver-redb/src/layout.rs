//! Tables, and how a row is written.

use bytes::Bytes;
use nexus_kernel::{KeyRange, Revision, Value};
use redb::{StorageError, TableDefinition};

/// The key space: a value is the revision that wrote it (8 bytes, big-endian), then its
/// bytes.
pub(crate) const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");

/// [`FORMAT_FACT`], [`REVISION_FACT`] and [`RESERVED_FACT`].
pub(crate) const FACTS: TableDefinition<'_, &str, u64> = TableDefinition::new("facts");

/// Transaction ids, by a revision that grows with every row; see `recent`.
pub(crate) const RECENT: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("recent");

/// A restore that has not ended: where it ends, and its note. No row otherwise.
pub(crate) const RESTORE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("restore");

/// Which layout the file has.
pub(crate) const FORMAT_FACT: &str = "format";
/// The newest revision.
pub(crate) const REVISION_FACT: &str = "revision";
/// How far readers may see before the next flush. A store that was not closed goes on after it, for
/// what they saw may be lost.
pub(crate) const RESERVED_FACT: &str = "reserved";

/// The layout of this version.
pub(crate) const FORMAT: u64 = 1;

const REVISION_LEN: usize = 8;

/// Writes a row's value into `row`, replacing what was there.
pub(crate) fn encode(row: &mut Vec<u8>, revision: Revision, bytes: &[u8]) {
    row.clear();
    row.extend_from_slice(&revision.0.to_be_bytes());
    row.extend_from_slice(bytes);
}

/// The revision and the bytes of a row.
///
/// # Errors
///
/// When it is too short to be one.
pub(crate) fn split(row: &[u8]) -> Result<(Revision, &[u8]), StorageError> {
    let (revision, bytes) = row
        .split_first_chunk::<REVISION_LEN>()
        .ok_or_else(|| StorageError::Corrupted("a row without a revision".into()))?;
    Ok((Revision(u64::from_be_bytes(*revision)), bytes))
}

/// A row as the kernel's value.
///
/// # Errors
///
/// As [`split`].
pub(crate) fn decode(row: &[u8]) -> Result<Value, StorageError> {
    let (revision, bytes) = split(row)?;
    Ok(Value {
        bytes: Bytes::copy_from_slice(bytes),
        revision,
    })
}

/// The bounds of a range of rows.
pub(crate) fn bounds(range: &KeyRange) -> std::ops::Range<&[u8]> {
    &range.start[..]..&range.end[..]
}
