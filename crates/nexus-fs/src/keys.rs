//! The table of keys: one function per kind of row.
//!
//! A lock is `i` and an ino, or `n`, a free name and 0.
//!
//! Numbers are big-endian, so that byte order is number order. A name or etag that is
//! followed by more ends in a zero byte, which names cannot contain.
//!
//! | tag | key | value |
//! | --- | --- | --- |
//! | `i` | ino | [`InodeRecord`](crate::records::InodeRecord) |
//! | `d` | parent ino, name | [`DentryRecord`](crate::records::DentryRecord) |
//! | `t` | directory ino | when its entries last changed (8 bytes, only grows) |
//! | `h` | ino, end revision | what the inode was until then |
//! | `e` | parent ino, name, 0, end revision | what the name pointed to until then |
//! | `l` | revision | operation record, or its beginning |
//! | `L` | number from 1, revision | how an operation record goes on that is larger than a value |
//! | `k` | lock, `h`, revision | a lease, under its token |
//! | `k` | lock, `w`, revision | a place in the queue for a lease |
//! | `x` | ino, metadata key | custom metadata value |
//! | `z` | ino, metadata key, 0, end revision | what the value was until then |
//! | `m` | metadata key, 0, ino | nothing: finds inodes by metadata key |
//! | `p` | ino, parent ino, name | nothing: the names of an inode beyond its first |
//! | `c` | etag | reference count of a blob (signed counter) |
//! | `f` | etag | reference count of a manifest (signed counter) |
//! | `n` | etag, offset | one page of the chunk list of a large content |
//! | `o` | ino | an inode without a name that some handle still holds |
//! | `q` | directory ino, revision | a detached tree that is still to be cleared: nothing while all of it is there |
//! | `b` | owner, 0 | how many cursors of the change feed a principal has |
//! | `b` | owner, 0, name | a cursor of the change feed |
//! | `u` | revision | that operation is undone, by the commit that wrote the row or that it names |
//! | `s` | name | a setting |
//! | `v` | name | the filesystem's own facts: format, counters |
//! | `j` | session, 0, revision | nothing: finds the operations of a run |
//! | `g` | name | a snapshot |
//! | `G` | directory ino, number | the name of a snapshot of the directory; under 0, the last number given |
//! | `a` | ino, revision | [`DerivedRecord`](crate::lineage::DerivedRecord): what its content of that commit came from |
//! | `A` | source ino, ino, revision | nothing: finds what was derived from an inode |
//! | `y` | pattern | how much history is kept of the paths that match |
//! | `P` | revision, holder | a revision that stays readable, and until when |
//! | `wp` | part | [`PartRecord`](crate::fork::PartRecord): what the inodes of a fork are made from |
//! | `wm` | fork, target directory ino | how far a fork has been merged into a directory |
//! | `wb` | part of an inode, parent ino, name | as in `d`: a name in a directory of another part |
//! | `wx` | ino | nothing: an inode of a fork has rows of its own for its metadata |
//! | `wr` | ino, parent ino, name | nothing: what was a name of an inode beyond its first |
//! | `wn` | directory ino | a registered workspace |
//! | `wt` | directory ino | nothing: rewritten when names in a directory of a fork change |
//!
//! What has gone from a fork has an empty `i` or `d` row, so that what the origin has there does
//! not show.

use bytes::{BufMut, Bytes, BytesMut};
use nexus_kernel::{KeyRange, Revision, STAMP_LEN};

use crate::etag::Etag;

pub(crate) const NEXT_INO: &[u8] = b"vnext-ino";
pub(crate) const FORMAT: &[u8] = b"vformat";
/// Rewritten by every change that moves or detaches a directory, so that a path resolved
/// before it can be told from one resolved after.
pub(crate) const TOPOLOGY: &[u8] = b"vtopology";

/// Rewritten by every change that gives a file a name in a directory of another part, so that a
/// fork that is being made does not miss it. Directories that come void paths besides.
pub(crate) const FILES_CROSSED: &[u8] = b"vfiles-crossed";

/// The oldest readable revision, as 8 bytes; none while all are.
pub(crate) const COMPACTED: &[u8] = b"vcompacted";
/// The next part of an inode number that a fork takes.
pub(crate) const NEXT_PART: &[u8] = b"vnext-part";

/// How far the collection of history has come; rewritten by each step of it, and by each pin of a
/// past revision, and both insist on it.
pub(crate) const COLLECTING: &[u8] = b"vcollecting";

mod cursors;
mod keeping;
mod locks;

pub(crate) use cursors::{all_cursors, cursor, cursor_owner, cursors, parse_cursor};
pub(crate) use keeping::{
    all_retention, all_snapshots, numbered_snapshot, own_pin, parse_snapshot, pin, pinned_revision,
    pins_between, pins_of, retention, snapshot,
};
pub(crate) use locks::{
    LockOn, all_locks, lock_leases, lock_of_inode, lock_of_name, lock_queue, locks_of_inodes,
    parse_lock, stamped, stamped_after,
};

pub(crate) const LOG_TAG: u8 = b'l';
const LOG_MORE_TAG: u8 = b'L';
pub(crate) const MANIFEST_TAG: u8 = b'f';
pub(crate) const PURGE_TAG: u8 = b'q';

struct Key(BytesMut);

impl Key {
    fn tag(tag: u8, capacity: usize) -> Self {
        let mut bytes = BytesMut::with_capacity(1 + capacity);
        bytes.put_u8(tag);
        Self(bytes)
    }

    fn number(mut self, number: u64) -> Self {
        self.0.put_u64(number);
        self
    }

    fn text(mut self, text: &str) -> Self {
        self.0.put_slice(text.as_bytes());
        self
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.put_slice(bytes);
        self
    }

    fn zero(mut self) -> Self {
        self.0.put_u8(0);
        self
    }

    fn done(self) -> Bytes {
        self.0.freeze()
    }
}

pub(crate) fn inode(ino: u64) -> Bytes {
    Key::tag(b'i', 8).number(ino).done()
}

/// All rows.
pub(crate) fn everything() -> KeyRange {
    KeyRange {
        start: Bytes::new(),
        end: Bytes::from_static(&[0xFF]),
    }
}

pub(crate) fn all_inodes() -> KeyRange {
    KeyRange::prefix(&b"i"[..])
}

pub(crate) fn dentry(parent: u64, name: &str) -> Bytes {
    Key::tag(b'd', 8 + name.len())
        .number(parent)
        .text(name)
        .done()
}

/// All names in a directory, or those after `after`.
pub(crate) fn dentries(parent: u64, after: Option<&str>) -> KeyRange {
    let mut range = KeyRange::prefix(Key::tag(b'd', 8).number(parent).done());
    if let Some(name) = after {
        range.start = Key::tag(b'd', 9 + name.len())
            .number(parent)
            .text(name)
            .zero()
            .done();
    }
    range
}

pub(crate) fn all_dentries() -> KeyRange {
    KeyRange::prefix(&b"d"[..])
}

pub(crate) fn directory_time(ino: u64) -> Bytes {
    Key::tag(b't', 8).number(ino).done()
}

/// What a stamp makes into the key of an ended inode state.
pub(crate) fn inode_history(ino: u64) -> Bytes {
    Key::tag(b'h', 8 + STAMP_LEN).number(ino).done()
}

/// The state of an inode that ended then.
pub(crate) fn ended_inode(ino: u64, end: Revision) -> Bytes {
    Key::tag(b'h', 16).number(ino).number(end.0).done()
}

/// The states of an inode that ended after `after`.
pub(crate) fn inode_history_after(ino: u64, after: Revision) -> KeyRange {
    let mut range = KeyRange::prefix(inode_history(ino));
    range.start = just_after(&range.start, after);
    range
}

/// All states of an inode that ended.
pub(crate) fn inode_history_of(ino: u64) -> KeyRange {
    KeyRange::prefix(inode_history(ino))
}

/// The states of an inode that ended before `before`.
pub(crate) fn inode_history_before(ino: u64, before: Revision) -> KeyRange {
    let mut range = KeyRange::prefix(inode_history(ino));
    range.end = Key::tag(b'h', 16).number(ino).number(before.0).done();
    range
}

pub(crate) fn all_inode_history() -> KeyRange {
    KeyRange::prefix(&b"h"[..])
}

pub(crate) fn dentry_history(parent: u64, name: &str) -> Bytes {
    Key::tag(b'e', 9 + name.len() + STAMP_LEN)
        .number(parent)
        .text(name)
        .zero()
        .done()
}

pub(crate) fn dentry_history_after(parent: u64, name: &str, after: Revision) -> KeyRange {
    let mut range = KeyRange::prefix(dentry_history(parent, name));
    range.start = just_after(&range.start, after);
    range
}

/// All ended names of a directory, or those after `after`.
pub(crate) fn dentries_history(parent: u64, after: Option<&str>) -> KeyRange {
    let mut range = KeyRange::prefix(Key::tag(b'e', 8).number(parent).done());
    if let Some(name) = after {
        range.start = Key::tag(b'e', 9 + name.len())
            .number(parent)
            .text(name)
            .bytes(&[1])
            .done();
    }
    range
}

/// The name and end revision in the key of an ended dentry.
pub(crate) fn parse_dentry_history(key: &[u8]) -> Option<(&str, Revision)> {
    let (rest, end) = key.get(9..)?.split_last_chunk::<STAMP_LEN>()?;
    let name = std::str::from_utf8(rest.strip_suffix(&[0])?).ok()?;
    Some((name, Revision(u64::from_be_bytes(*end))))
}

pub(crate) fn log_prefix() -> Bytes {
    Bytes::from_static(b"l")
}

/// The operation record of a commit.
pub(crate) fn log(revision: Revision) -> Bytes {
    Key::tag(LOG_TAG, STAMP_LEN).number(revision.0).done()
}

/// Operation records after one revision and up to another.
pub(crate) fn log_between(after: Revision, until: Revision) -> KeyRange {
    KeyRange {
        start: just_after(&[LOG_TAG], after),
        end: just_after(&[LOG_TAG], until),
    }
}

/// What a stamp makes into the key of a further row of an operation record.
pub(crate) fn log_more(row: u32) -> Bytes {
    let mut key = Key::tag(LOG_MORE_TAG, 4 + STAMP_LEN);
    key.0.put_u32(row);
    key.done()
}

/// A further row of the operation record of a commit.
pub(crate) fn log_more_at(row: u32, revision: Revision) -> Bytes {
    Key(log_more(row).into()).number(revision.0).done()
}

/// The number and the revision in the key of a further row of an operation record.
pub(crate) fn parse_log_more(key: &[u8]) -> Option<(u32, Revision)> {
    let (row, stamp) = key.get(1..)?.split_first_chunk::<4>()?;
    let stamp = u64::from_be_bytes(stamp.try_into().ok()?);
    Some((u32::from_be_bytes(*row), Revision(stamp)))
}

/// What a stamp makes into the key that finds an operation by the run it belongs to.
pub(crate) fn session_log(session: &str) -> Bytes {
    Key::tag(b'j', 1 + session.len() + STAMP_LEN)
        .text(session)
        .zero()
        .done()
}

/// The operations of a run after one revision and up to another.
pub(crate) fn session_log_between(session: &str, after: Revision, until: Revision) -> KeyRange {
    let prefix = session_log(session);
    KeyRange {
        start: just_after(&prefix, after),
        end: just_after(&prefix, until),
    }
}

pub(crate) fn metadata(ino: u64, key: &str) -> Bytes {
    Key::tag(b'x', 8 + key.len()).number(ino).text(key).done()
}

pub(crate) fn all_metadata(ino: u64) -> KeyRange {
    KeyRange::prefix(Key::tag(b'x', 8).number(ino).done())
}

pub(crate) fn metadata_history(ino: u64, key: &str) -> Bytes {
    Key::tag(b'z', 9 + key.len() + STAMP_LEN)
        .number(ino)
        .text(key)
        .zero()
        .done()
}

pub(crate) fn metadata_history_after(ino: u64, key: &str, after: Revision) -> KeyRange {
    let mut range = KeyRange::prefix(metadata_history(ino, key));
    range.start = just_after(&range.start, after);
    range
}

pub(crate) fn all_metadata_history(ino: u64) -> KeyRange {
    KeyRange::prefix(Key::tag(b'z', 8).number(ino).done())
}

pub(crate) fn metadata_index(key: &str, ino: u64) -> Bytes {
    Key::tag(b'm', 9 + key.len())
        .text(key)
        .zero()
        .number(ino)
        .done()
}

/// The inodes that carry a metadata key, or those after `after`.
pub(crate) fn metadata_index_after(key: &str, after: u64) -> KeyRange {
    let mut range = KeyRange::prefix(Key::tag(b'm', 1 + key.len()).text(key).zero().done());
    range.start = metadata_index(key, after.saturating_add(1));
    range
}

pub(crate) fn extra_name(ino: u64, parent: u64, name: &str) -> Bytes {
    Key::tag(b'p', 16 + name.len())
        .number(ino)
        .number(parent)
        .text(name)
        .done()
}

pub(crate) fn extra_names(ino: u64) -> KeyRange {
    KeyRange::prefix(Key::tag(b'p', 8).number(ino).done())
}

/// The parent and name in the key of an extra name.
pub(crate) fn parse_extra_name(key: &[u8]) -> Option<(u64, &str)> {
    let (parent, name) = key.get(9..)?.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*parent), std::str::from_utf8(name).ok()?))
}

pub(crate) fn part(part: u64) -> Bytes {
    Key::tag(b'w', 9).text("p").number(part).done()
}

/// Holds on to what a fork is made from.
pub(crate) fn fork_pin(base: Revision, fork: u64) -> Bytes {
    pin(base, &format!("fork {fork}"))
}

pub(crate) fn all_parts() -> KeyRange {
    KeyRange::prefix(&b"wp"[..])
}

pub(crate) fn workspace(directory: u64) -> Bytes {
    Key::tag(b'w', 9).text("n").number(directory).done()
}

pub(crate) fn all_workspaces() -> KeyRange {
    KeyRange::prefix(&b"wn"[..])
}

pub(crate) fn merged(fork: u64, target: u64) -> Bytes {
    let key = Key::tag(b'w', 17).text("m");
    key.number(fork).number(target).done()
}

/// Into what a fork has been merged.
pub(crate) fn merges_of(fork: u64) -> KeyRange {
    KeyRange::prefix(Key::tag(b'w', 9).text("m").number(fork).done())
}

/// Holds on to the state of a fork that was merged last.
pub(crate) fn merge_pin(merged: Revision, fork: u64, target: u64) -> Bytes {
    pin(merged, &format!("fork {fork} merged into {target}"))
}

/// A name in a directory of another part than the inode's.
pub(crate) fn border(part: u64, parent: u64, name: &str) -> Bytes {
    let key = Key::tag(b'w', 17 + name.len()).text("b");
    key.number(part).number(parent).text(name).done()
}

/// The names that lead into a part from others.
pub(crate) fn borders_into(part: u64) -> KeyRange {
    KeyRange::prefix(Key::tag(b'w', 9).text("b").number(part).done())
}

pub(crate) fn all_borders() -> KeyRange {
    KeyRange::prefix(&b"wb"[..])
}

/// The part of the inode, and the parent, in the key of a name that leads into another part.
pub(crate) fn parse_border(key: &[u8]) -> Option<(u64, u64)> {
    let (part, rest) = key.get(2..)?.split_first_chunk::<8>()?;
    let parent = rest.first_chunk::<8>()?;
    Some((u64::from_be_bytes(*part), u64::from_be_bytes(*parent)))
}

pub(crate) fn own_metadata(ino: u64) -> Bytes {
    Key::tag(b'w', 9).text("x").number(ino).done()
}

pub(crate) fn names_of_fork(directory: u64) -> Bytes {
    Key::tag(b'w', 9).text("t").number(directory).done()
}

pub(crate) fn former_name(ino: u64, parent: u64, name: &str) -> Bytes {
    let key = Key::tag(b'w', 17 + name.len()).text("r");
    key.number(ino).number(parent).text(name).done()
}

pub(crate) fn former_names(ino: u64) -> KeyRange {
    KeyRange::prefix(Key::tag(b'w', 9).text("r").number(ino).done())
}

/// The inode, the parent and the name in the key of a former name.
pub(crate) fn parse_former_name(key: &[u8]) -> Option<(u64, u64, &str)> {
    let (ino, rest) = key.get(2..)?.split_first_chunk::<8>()?;
    let (parent, name) = rest.split_first_chunk::<8>()?;
    let name = std::str::from_utf8(name).ok()?;
    Some((u64::from_be_bytes(*ino), u64::from_be_bytes(*parent), name))
}

/// The reference count of a blob.
pub(crate) fn references(etag: &Etag) -> Bytes {
    etag_key(b'c', etag, 0).done()
}

/// The reference count of a manifest. Not the same row: a content that is one chunk has
/// the etag of its chunk.
pub(crate) fn manifest_references(etag: &Etag) -> Bytes {
    etag_key(MANIFEST_TAG, etag, 0).done()
}

pub(crate) fn all_manifest_references() -> KeyRange {
    KeyRange::prefix(&b"f"[..])
}

/// The etag in the key of a reference count.
pub(crate) fn parse_references(key: &[u8]) -> nexus_kernel::Result<Etag> {
    Etag::from_bytes(key.get(1..).unwrap_or_default())
}

pub(crate) fn all_references() -> KeyRange {
    KeyRange::prefix(&b"c"[..])
}

pub(crate) fn manifest_page(etag: &Etag, offset: u64) -> Bytes {
    etag_key(b'n', etag, 8).number(offset).done()
}

/// All pages of a chunk list.
pub(crate) fn manifest(etag: &Etag) -> KeyRange {
    KeyRange::prefix(etag_key(b'n', etag, 0).done())
}

fn etag_key(tag: u8, etag: &Etag, more: usize) -> Key {
    Key::tag(tag, 33 + more).bytes(&etag.to_bytes())
}

pub(crate) fn orphan(ino: u64) -> Bytes {
    Key::tag(b'o', 8).number(ino).done()
}

pub(crate) fn all_orphans() -> KeyRange {
    KeyRange::prefix(&b"o"[..])
}

/// What a stamp makes into the key of a detached tree.
pub(crate) fn purge_entry(ino: u64) -> Bytes {
    Key::tag(PURGE_TAG, 8 + STAMP_LEN).number(ino).done()
}

/// The entries of one tree in the queue: one, if it is in it.
pub(crate) fn purges_of(ino: u64) -> KeyRange {
    KeyRange::prefix(purge_entry(ino))
}

/// Says that an operation is undone, and by which commit: that of the row, if it names none.
pub(crate) fn undo_mark(revision: Revision) -> Bytes {
    Key::tag(b'u', 8).number(revision.0).done()
}

/// What says of operations that they are undone, from one revision up to another.
pub(crate) fn undo_marks(from: Revision, to: Revision) -> KeyRange {
    KeyRange {
        start: undo_mark(from),
        end: just_after(b"u", to),
    }
}

/// The directory in the key of a detached tree.
pub(crate) fn purged(key: &[u8]) -> u64 {
    let top = key.get(1..).and_then(|key| key.first_chunk());
    top.map_or(0, |top| u64::from_be_bytes(*top))
}

pub(crate) fn purge_queue() -> KeyRange {
    KeyRange::prefix(&b"q"[..])
}

/// What a stamp makes into the key of what an inode was derived from.
pub(crate) fn derivation(ino: u64) -> Bytes {
    Key::tag(b'a', 8 + STAMP_LEN).number(ino).done()
}

/// What an inode was derived from at one revision.
pub(crate) fn derivation_at(ino: u64, at: Revision) -> Bytes {
    Key(derivation(ino).into()).number(at.0).done()
}

/// What an inode was derived from up to a revision.
pub(crate) fn derivations_until(ino: u64, until: Revision) -> KeyRange {
    let start = derivation(ino);
    let end = just_after(&start, until);
    KeyRange { start, end }
}

/// What a stamp makes into the key by which one inode is found from another that it was
/// derived from.
pub(crate) fn descendant(source: u64, ino: u64) -> Bytes {
    Key::tag(b'A', 16 + STAMP_LEN)
        .number(source)
        .number(ino)
        .done()
}

/// Finds what one inode was derived from another at a revision.
pub(crate) fn descendant_at(source: u64, ino: u64, at: Revision) -> Bytes {
    Key(descendant(source, ino).into()).number(at.0).done()
}

/// The derived inode, in the key of what it was derived from.
pub(crate) fn derived_inode(key: &[u8]) -> u64 {
    let ino = key.get(1..).and_then(|key| key.first_chunk());
    ino.map_or(0, |ino| u64::from_be_bytes(*ino))
}

/// What was derived from an inode.
pub(crate) fn descendants(source: u64) -> KeyRange {
    KeyRange::prefix(Key::tag(b'A', 8).number(source).done())
}

/// The derived inode and when, in the key of a descendant.
pub(crate) fn parse_descendant(key: &[u8]) -> Option<(u64, Revision)> {
    let (ino, stamp) = key.get(9..)?.split_first_chunk::<8>()?;
    let stamp = stamp.first_chunk::<STAMP_LEN>()?;
    let stamp = Revision(u64::from_be_bytes(*stamp));
    Some((u64::from_be_bytes(*ino), stamp))
}

pub(crate) fn setting(name: &str) -> Bytes {
    Key::tag(b's', name.len()).text(name).done()
}

pub(crate) fn is_setting(key: &[u8]) -> bool {
    key.first() == Some(&b's')
}

/// The first key after a stamped one, whatever its revision.
fn just_after(prefix: &[u8], stamp: Revision) -> Bytes {
    Key(prefix.into()).number(stamp.0).zero().done()
}

/// The number in the last eight bytes of a key: its ino, offset or stamp.
pub(crate) fn last_number(key: &[u8]) -> u64 {
    key.last_chunk::<8>()
        .map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests;
