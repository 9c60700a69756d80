//! Rows of history, and the markers that take their place.

use bytes::Bytes;
use nexus_kernel::{Entry, Op, Result, Revision};

use crate::keys;
use crate::records::{self, Ended, InodeRecord};

/// A row of the history of one thing: a state that ended, or the marker of a span of states that
/// were collected.
pub(super) struct Row {
    pub key: Bytes,
    pub since: Revision,
    pub end: Revision,
    /// Of a state of an inode; of a marker, that of the newest state it covers.
    pub version: u64,
    pub is_marker: bool,
    /// What the state was, if it was an inode's; of a marker, where the newest state was.
    pub record: Option<InodeRecord>,
}

impl Row {
    /// A row of the history of an inode.
    pub(super) fn of_inode(entry: Entry) -> Result<Self> {
        let ended: Ended = records::decode(entry.value.bytes)?;
        let mut row = Self::blank(entry.key, &ended);
        let record: InodeRecord = records::decode(ended.into_known())?;
        if !row.is_marker {
            row.version = record.version;
        }
        row.record = Some(record);
        Ok(row)
    }

    /// A row of the history of something that has no versions.
    pub(super) fn plain(entry: Entry) -> Result<Self> {
        let ended: Ended = records::decode(entry.value.bytes)?;
        Ok(Self::blank(entry.key, &ended))
    }

    fn blank(key: Bytes, ended: &Ended) -> Self {
        Self {
            end: Revision(keys::last_number(&key)),
            key,
            since: Revision(ended.since),
            version: ended.collected().unwrap_or_default(),
            is_marker: ended.collected().is_some(),
            record: None,
        }
    }

    /// The key without the revision in it: whose history this is.
    pub(super) fn thing(&self) -> &[u8] {
        &self.key[..self.key.len().saturating_sub(8)]
    }

    /// The inode that this is about.
    pub(super) fn ino(&self) -> u64 {
        let ino = self.key.get(1..9).and_then(|key| key.first_chunk());
        ino.map_or(0, |ino| u64::from_be_bytes(*ino))
    }
}

/// A span of states that are gone, to be told by one marker under the key of the last.
struct Span {
    since: Revision,
    end: Revision,
    key: Bytes,
    version: u64,
    place: Bytes,
    changed: bool,
}

impl Span {
    fn close(self, ops: &mut Vec<Op>) {
        if !self.changed {
            return;
        }
        let marker = Ended::marker(self.since, self.version, self.place);
        ops.push(Op::Put(self.key, records::encode(&marker)));
    }
}

/// Removes those rows of one thing, in order, that go. Up to the floor they just go, markers too;
/// above it one marker takes the place of each run of them.
pub(super) fn remove(rows: &[Row], goes: &[bool], floor: Revision, ops: &mut Vec<Op>) {
    let mut span: Option<Span> = None;
    for (row, goes) in rows.iter().zip(goes) {
        let gone = *goes || row.is_marker;
        if gone && row.end <= floor {
            ops.push(Op::Delete(row.key.clone()));
            continue;
        }
        let goes_on = span.as_ref().is_some_and(|span| span.end == row.since);
        let before = if gone && goes_on { span.take() } else { None };
        if let Some(closed) = span.take() {
            closed.close(ops);
        }
        if let Some(before) = &before {
            ops.push(Op::Delete(before.key.clone()));
        }
        span = gone.then(|| Span {
            since: before.as_ref().map_or(row.since, |before| before.since),
            end: row.end,
            key: row.key.clone(),
            version: row.version,
            place: row.record.as_ref().map(place).unwrap_or_default(),
            changed: *goes || before.is_some(),
        });
    }
    if let Some(span) = span {
        span.close(ops);
    }
}

/// Where a state was: policies still go by it when it is gone.
fn place(record: &InodeRecord) -> Bytes {
    records::encode(&InodeRecord {
        kind: record.kind,
        parent: record.parent,
        name: record.name.clone(),
        ..InodeRecord::default()
    })
}
