//! What rows an archive may have. It comes from outside, and whatever it has becomes the zone: each
//! row must be one that a zone could have written.

use std::collections::BTreeMap;

use bytes::Bytes;
use nexus_archive::{HashAlgorithm as ArchiveHash, Header};
use nexus_kernel::{Entry, Error, Result, Revision};
use prost::Message;

use crate::content::CONTENT_BYTES_MAX;
use crate::etag::{Etag, HashAlgorithm};
use crate::fork::{MergedRecord, PartRecord, in_part, is_forked};
use crate::lineage::DerivedRecord;
use crate::locks::is_lock_name;
use crate::log::RECORD_ROWS_MAX;
use crate::path::{self, check_name, shown};
use crate::records::{self, DentryRecord, Ended, InodeRecord, LogRecord, ManifestPage, Pin, place};
use crate::snapshots::SnapshotRecord;
use crate::steps::{KEY_BYTES_MAX, VALUE_BYTES_MAX};
use crate::types::{FileKind, Ino};
use crate::zone::FormatRecord;
use crate::{feed, keys, locks, retention, workspaces};

/// Longest name of a setting, a run, a snapshot, a holder.
const TEXT_BYTES_MAX: usize = 1000;

/// Checks the rows of an archive one by one, and that together they have what a zone needs.
pub(super) struct ZoneRows {
    end: Revision,
    hash: HashAlgorithm,
    largest_ino: u64,
    has_root: bool,
    has_format: bool,
    has_topology: bool,
    has_next_ino: bool,
    /// Of records of the log that have been met only in part: how many further rows there are.
    log_rows: BTreeMap<Revision, u32>,
    /// What was last told of a fork as a whole.
    last_fork: Option<PartRecord>,
}

/// Why a row cannot be one of a zone.
type Why = &'static str;

const NO_KIND_OF_FORK: Why = "no kind of fork's row";

impl ZoneRows {
    pub(super) fn new(header: &Header) -> Result<Self> {
        Ok(Self {
            end: header.revision(),
            hash: match ArchiveHash::try_from(header.hash) {
                Ok(ArchiveHash::Blake3) => HashAlgorithm::Blake3,
                Ok(ArchiveHash::Sha256) => HashAlgorithm::Sha256,
                Err(_) => return Err(records::unreadable("hash of the archive")),
            },
            largest_ino: Ino::ROOT.0,
            has_root: false,
            has_format: false,
            has_topology: false,
            has_next_ino: false,
            log_rows: BTreeMap::new(),
            last_fork: None,
        })
    }

    /// # Errors
    ///
    /// `Corrupt` for a row that no zone has, `Unsupported` for one that only a newer one has.
    pub(super) fn check(&mut self, row: &Entry) -> Result<()> {
        let (tag, key) = row.key.split_first().ok_or_else(|| forged(row, "no key"))?;
        let value = &row.value.bytes;
        let checked = match tag {
            b'i' => self.inode(key, value).and_then(|()| self.root(key, value)),
            b'd' => child(key).and_then(|parent| dentry(parent, value)),
            b't' => number(key).and_then(|_| eight_bytes(value)),
            b'h' => self.stamped(key).and_then(|key| {
                let record = ended(value, self.end)?;
                record.map_or(Ok(()), |record| self.inode(key, &record))
            }),
            b'e' => self.stamped(key).and_then(|key| {
                let parent = child(key.strip_suffix(&[0]).ok_or("no end of its name")?)?;
                let record = ended(value, self.end)?;
                record.map_or(Ok(()), |record| dentry(parent, &record))
            }),
            b'l' => self.stamped(key).and_then(|_| self.log(key, value)),
            b'L' => self.stamped(key).and_then(|_| self.log_more(row)),
            b'x' => metadata_of(key).and_then(|()| metadata(value)),
            b'z' => self.stamped(key).and_then(|key| {
                metadata_of(key.strip_suffix(&[0]).ok_or("no end of its key")?)?;
                let was = ended(value, self.end)?;
                was.map_or(Ok(()), |was| metadata(&was))
            }),
            b'm' => key
                .split_last_chunk::<8>()
                .and_then(|(key, _)| key.strip_suffix(&[0]))
                .ok_or("no inode")
                .and_then(metadata_key),
            b'p' => number_then(key).and_then(|(_, name)| child(name).map(drop)),
            b'c' | b'f' => self.etag(key).and_then(|()| count(value)),
            b'n' => self.chunk_list(key, value),
            b'o' => number(key).map(drop),
            b'q' => self.stamped(key).and_then(number).map(drop),
            b's' => text(key),
            b'v' => return self.fact(row, key, value),
            b'j' => self
                .stamped(key)
                .and_then(|key| text(key.strip_suffix(&[0]).ok_or("no end of its name")?)),
            b'g' => text(key).and_then(|()| decode::<SnapshotRecord>(value).map(drop)),
            b'G' => number_then(key).and_then(|(_, rest)| number(rest).map(drop)),
            b'P' => number_then(key).and_then(|(_, holder)| {
                std::str::from_utf8(holder).map_err(|_| "a holder that is not UTF-8")?;
                decode::<Pin>(value).map(drop)
            }),
            b'k' => self
                .stamped(key)
                .and_then(|_| locks::check_row(&row.key, value)),
            b'u' => self.undo_mark(key, value),
            b'b' => feed::check_row(&row.key, value, self.end),
            b'y' => retention::check_row(key, value),
            b'a' => self
                .stamped(key)
                .and_then(number)
                .and_then(|_| decode::<DerivedRecord>(value).map(drop)),
            b'A' => self.stamped(key).and_then(|key| pair(key, value)),
            b'w' => self.fork(key, value),
            _ => return Err(newer(row)),
        };
        checked.map_err(|why| forged(row, why))
    }

    /// # Errors
    ///
    /// `Corrupt` when what every zone has is not there.
    pub(super) fn check_all(&self) -> Result<()> {
        let has_facts = self.has_format && self.has_topology && self.has_next_ino;
        if self.has_root && has_facts && self.log_rows.is_empty() {
            return Ok(());
        }
        Err(Error::corrupt(
            "the archive does not have what every zone has; export the zone again",
        ))
    }

    /// The further rows of a record come before its first, as their keys do.
    fn log_more(&mut self, row: &Entry) -> Result<(), Why> {
        let (number, revision) = keys::parse_log_more(&row.key).ok_or("no number of a row")?;
        let before = self.log_rows.entry(revision).or_default();
        if number != *before + 1 || number as usize >= RECORD_ROWS_MAX {
            return Err("a record of the log whose rows do not follow each other");
        }
        *before = number;
        log_record(&row.value.bytes).map(drop)
    }

    fn log(&mut self, key: &[u8], value: &Bytes) -> Result<(), Why> {
        let record = log_record(value)?;
        let rows = self.log_rows.remove(&Revision(keys::last_number(key)));
        match rows.unwrap_or_default() == record.more_rows {
            true => Ok(()),
            false => Err("a record of the log without all its rows"),
        }
    }

    fn inode(&mut self, key: &[u8], value: &Bytes) -> Result<(), Why> {
        let ino = number(key)?;
        if !(value.is_empty() && is_forked(ino)) {
            inode(value)?;
        }
        self.largest_ino = self.largest_ino.max(in_part(0, ino));
        Ok(())
    }

    fn root(&mut self, key: &[u8], value: &Bytes) -> Result<(), Why> {
        if number(key)? == Ino::ROOT.0 {
            let root: InodeRecord = decode(value)?;
            self.has_root = root.is_dir();
        }
        Ok(())
    }

    /// A key without the revision at its end, which the archive must have.
    fn stamped<'k>(&self, key: &'k [u8]) -> Result<&'k [u8], Why> {
        let (key, stamp) = key.split_last_chunk::<8>().ok_or("no revision")?;
        match u64::from_be_bytes(*stamp) <= self.end.0 {
            true => Ok(key),
            false => Err("a revision that the archive does not have"),
        }
    }

    fn undo_mark(&self, key: &[u8], value: &Bytes) -> Result<(), Why> {
        self.revision(number(key)?)?;
        // Without a value it is the commit of the row that undid it.
        match value.is_empty() {
            true => Ok(()),
            false => self.revision(number(value)?),
        }
    }

    /// A part of a fork: all that is known of it, or which fork it is of, whose own row comes before.
    fn part(&mut self, number: u64, value: &Bytes) -> Result<(), Why> {
        let record: PartRecord = decode(value)?;
        let of = record.of;
        if of == 0 {
            self.revision(record.base)?;
            self.last_fork = Some(record);
        } else if record != PartRecord::further(of) {
            return Err("a part that refers to a fork and tells of one");
        }
        let fork = self.last_fork.as_ref();
        let fork = fork.filter(|fork| of == 0 || of == fork.fork());
        let mut pairs = fork.iter().flat_map(|fork| &fork.pairs);
        match pairs.any(|pair| pair.part == number) {
            true => Ok(()),
            false => Err("a part that is none of its fork"),
        }
    }

    /// What is written of forks and workspaces: three kinds of row have a name.
    fn fork(&mut self, key: &[u8], value: &Bytes) -> Result<(), Why> {
        let (kind, key) = key.split_first().ok_or(NO_KIND_OF_FORK)?;
        match kind {
            b'b' => number_then(key).and_then(|(_, name)| {
                let parent = child(name)?;
                dentry(parent, value)
            }),
            b'r' => number_then(key).and_then(|(_, name)| child(name).map(drop)),
            b'x' | b't' => number(key).map(drop),
            b'm' => {
                let merged: MergedRecord = decode(value)?;
                self.revision(merged.revision)?;
                number_then(key).and_then(|(_, target)| number(target).map(drop))
            }
            b'n' => number(key).and_then(|_| workspaces::check_row(value)),
            b'p' => number(key).and_then(|number| self.part(number, value)),
            _ => Err(NO_KIND_OF_FORK),
        }
    }

    fn revision(&self, revision: u64) -> Result<(), Why> {
        match (1..=self.end.0).contains(&revision) {
            true => Ok(()),
            false => Err("a revision that the archive does not have"),
        }
    }

    fn etag(&self, key: &[u8]) -> Result<(), Why> {
        let etag = Etag::from_bytes(key).map_err(|_| "no hash of a content")?;
        match etag.algorithm == self.hash {
            true => Ok(()),
            false => Err("a hash that is not the zone's"),
        }
    }

    fn chunk_list(&self, key: &[u8], value: &Bytes) -> Result<(), Why> {
        let (etag, _) = key.split_last_chunk::<8>().ok_or("no offset")?;
        self.etag(etag)?;
        let page: ManifestPage = decode(value)?;
        if page.chunks.is_empty() || page.chunks.iter().any(|chunk| chunk.size == 0) {
            return Err("chunks of nothing");
        }
        page.chunks
            .iter()
            .try_for_each(|chunk| self.etag(&chunk.etag))
    }

    fn fact(&mut self, row: &Entry, key: &[u8], value: &Bytes) -> Result<()> {
        let checked = match &*row.key {
            keys::FORMAT => {
                let format: FormatRecord = decode(value).map_err(|why| forged(row, why))?;
                self.has_format = true;
                match format.check()? == self.hash {
                    true => Ok(()),
                    false => Err("another hash than the header says"),
                }
            }
            keys::TOPOLOGY => {
                self.has_topology = true;
                Ok(())
            }
            keys::NEXT_INO => {
                self.has_next_ino = true;
                match number(value) {
                    Ok(next) if next > self.largest_ino => Ok(()),
                    _ => Err("inode numbers that are in use would be given out again"),
                }
            }
            _ => text(key),
        };
        checked.map_err(|why| forged(row, why))
    }
}

fn inode(value: &Bytes) -> Result<(), Why> {
    let record: InodeRecord = decode(value)?;
    let kind = records::kind_of(record.kind).map_err(|_| "no kind of file")?;
    if !record.name.is_empty() {
        name(record.name.as_bytes())?;
    }
    let etag = record.content_etag().map_err(|_| "no hash of a content")?;
    if kind != FileKind::File {
        return Ok(());
    }
    let etag = etag.ok_or("a file without a hash")?;
    match record.place {
        place::INLINE if Etag::of(etag.algorithm, &record.inline) != etag => {
            Err("a content that does not have its hash")
        }
        place::INLINE if record.size != record.inline.len() as u64 => Err("a wrong size"),
        place::INLINE | place::BLOB | place::CHUNKS if record.size <= CONTENT_BYTES_MAX => Ok(()),
        _ => Err("a content in no known place, or beyond any size"),
    }
}

fn dentry(parent: u64, value: &Bytes) -> Result<(), Why> {
    if value.is_empty() && is_forked(parent) {
        return Ok(());
    }
    let record: DentryRecord = decode(value)?;
    records::kind_of(record.kind).map_err(|_| "no kind of file")?;
    match record.ino {
        0 => Err("a name of no inode"),
        _ => Ok(()),
    }
}

fn log_record(value: &Bytes) -> Result<LogRecord, Why> {
    let record: LogRecord = decode(value)?;
    for change in &record.changes {
        let paths = [Some(&change.path), change.old_path.as_ref()];
        if !paths.into_iter().flatten().all(|path| is_place(path)) {
            return Err("a path that no file can have");
        }
    }
    Ok(record)
}

/// Whether a change can be at this path, or of a lock on something that is no file.
fn is_place(path: &str) -> bool {
    is_lock_name(path) || path::names(path).all(|name| check_name(name).is_ok())
}

/// What was until a revision: its record, unless history was collected there.
fn ended(value: &Bytes, end: Revision) -> Result<Option<Bytes>, Why> {
    let ended: Ended = decode(value)?;
    if ended.since > end.0 {
        return Err("a revision that the archive does not have");
    }
    Ok(ended.into_state(end).ok())
}

/// A directory's number, and a name in it: answers the number.
fn child(key: &[u8]) -> Result<u64, Why> {
    let (parent, found) = number_then(key)?;
    name(found)?;
    Ok(parent)
}

/// Two inodes, and nothing to say of them.
fn pair(key: &[u8], value: &Bytes) -> Result<(), Why> {
    let (source, ino) = number_then(key)?;
    match (source, number(ino)?, value.is_empty()) {
        (1.., 1.., true) => Ok(()),
        _ => Err("no two inodes"),
    }
}

fn name(name: &[u8]) -> Result<(), Why> {
    let name = std::str::from_utf8(name).map_err(|_| "a name that is not UTF-8")?;
    check_name(name).map_err(|_| "a name that no file can have")
}

fn metadata_of(key: &[u8]) -> Result<(), Why> {
    let (_, key) = number_then(key)?;
    metadata_key(key)
}

fn metadata_key(key: &[u8]) -> Result<(), Why> {
    if key.len() > KEY_BYTES_MAX || key.contains(&0) {
        return Err("a metadata key that nothing can have");
    }
    text(key)
}

fn metadata(value: &[u8]) -> Result<(), Why> {
    match value.len() <= VALUE_BYTES_MAX {
        true => Ok(()),
        false => Err("metadata beyond any size"),
    }
}

fn text(text: &[u8]) -> Result<(), Why> {
    if text.is_empty() || text.len() > TEXT_BYTES_MAX {
        return Err("a name that is empty or too long");
    }
    std::str::from_utf8(text).map_err(|_| "a name that is not UTF-8")?;
    Ok(())
}

fn number(key: &[u8]) -> Result<u64, Why> {
    let key = key.try_into().map_err(|_| "no number of 8 bytes")?;
    Ok(u64::from_be_bytes(key))
}

fn number_then(key: &[u8]) -> Result<(u64, &[u8]), Why> {
    let (number, rest) = key.split_first_chunk::<8>().ok_or("no number")?;
    Ok((u64::from_be_bytes(*number), rest))
}

fn eight_bytes(value: &[u8]) -> Result<(), Why> {
    number(value).map(drop)
}

fn count(value: &[u8]) -> Result<(), Why> {
    match number(value)? {
        uses if i64::try_from(uses).is_ok() => Ok(()),
        _ => Err("a count below zero"),
    }
}

fn decode<M: Message + Default>(value: &Bytes) -> Result<M, Why> {
    M::decode(value.clone()).map_err(|_| "a record that cannot be read")
}

fn forged(row: &Entry, why: Why) -> Error {
    Error::corrupt("the archive has a row that no zone can have; it is not what an export wrote")
        .with("why", why)
        .with("row", key_shown(row))
}

fn newer(row: &Entry) -> Error {
    Error::unsupported(
        "the archive has rows that this version does not know; use the version that wrote it, or a newer one",
    )
    .with("row", key_shown(row))
}

fn key_shown(row: &Entry) -> String {
    shown(&String::from_utf8_lossy(&row.key))
}

#[cfg(test)]
mod tests;
