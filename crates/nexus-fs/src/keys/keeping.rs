//! Keys of what decides how long history is kept: snapshots, pins and policies.

use bytes::Bytes;
use nexus_kernel::{KeyRange, Revision};

use super::Key;

pub(crate) fn snapshot(name: &str) -> Bytes {
    Key::tag(b'g', name.len()).text(name).done()
}

/// All snapshots, or those with names after `after`.
pub(crate) fn all_snapshots(after: Option<&str>) -> KeyRange {
    let mut range = KeyRange::prefix(snapshot(""));
    if let Some(name) = after {
        range.start = Key::tag(b'g', 1 + name.len()).text(name).zero().done();
    }
    range
}

/// The name in the key of a snapshot.
pub(crate) fn parse_snapshot(key: &[u8]) -> nexus_kernel::Result<&str> {
    let name = key.get(1..).and_then(|name| std::str::from_utf8(name).ok());
    name.ok_or_else(|| crate::records::unreadable("name of a snapshot"))
}

pub(crate) fn numbered_snapshot(directory: u64, number: u64) -> Bytes {
    Key::tag(b'G', 16).number(directory).number(number).done()
}

/// What a stamp makes into the key of the pin of a commit's own revision.
pub(crate) fn own_pin() -> Bytes {
    Bytes::from_static(b"P")
}

/// Holds on to a revision for somebody.
pub(crate) fn pin(revision: Revision, holder: &str) -> Bytes {
    Key::tag(b'P', 8 + holder.len())
        .number(revision.0)
        .text(holder)
        .done()
}

/// The pins from one revision on and before another.
pub(crate) fn pins_between(since: Revision, end: Revision) -> KeyRange {
    KeyRange {
        start: pin(since, ""),
        end: pin(end, ""),
    }
}

/// The revision in the key of a pin.
pub(crate) fn pinned_revision(key: &[u8]) -> Revision {
    let revision = key.get(1..).and_then(|key| key.first_chunk());
    Revision(revision.map_or(0, |revision| u64::from_be_bytes(*revision)))
}

pub(crate) fn pins_of(revision: Revision) -> KeyRange {
    KeyRange::prefix(pin(revision, ""))
}

pub(crate) fn retention(pattern: &str) -> Bytes {
    Key::tag(b'y', pattern.len()).text(pattern).done()
}

pub(crate) fn all_retention() -> KeyRange {
    KeyRange::prefix(&b"y"[..])
}
