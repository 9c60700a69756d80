//! The keys of locks.

use bytes::Bytes;
use nexus_kernel::{KeyRange, Revision, STAMP_LEN};

use super::{Key, just_after};

/// The lock on an inode: what the keys of its rows begin with.
pub(crate) fn lock_of_inode(ino: u64) -> Bytes {
    Key::tag(b'k', 9).bytes(b"i").number(ino).done()
}

/// The lock on a free name: what the keys of its rows begin with.
pub(crate) fn lock_of_name(name: &str) -> Bytes {
    let key = Key::tag(b'k', 2 + name.len());
    key.bytes(b"n").text(name).zero().done()
}

/// What a stamp makes into the key of a lease.
pub(crate) fn lock_leases(lock: &[u8]) -> Bytes {
    Key(lock.into()).bytes(b"h").done()
}

/// What a stamp makes into the key of a place in the queue.
pub(crate) fn lock_queue(lock: &[u8]) -> Bytes {
    Key(lock.into()).bytes(b"w").done()
}

/// The row that a commit stamped.
pub(crate) fn stamped(prefix: &[u8], stamp: Revision) -> Bytes {
    Key(prefix.into()).number(stamp.0).done()
}

/// The rows that later commits than `after` stamped.
pub(crate) fn stamped_after(prefix: &[u8], after: Revision) -> KeyRange {
    let mut range = KeyRange::prefix(Bytes::copy_from_slice(prefix));
    range.start = just_after(prefix, after);
    range
}

pub(crate) fn all_locks() -> KeyRange {
    KeyRange::prefix(&b"k"[..])
}

/// Those on files and directories, which come before those on names.
pub(crate) fn locks_of_inodes() -> KeyRange {
    KeyRange::prefix(&b"ki"[..])
}

/// Whose row of a lock this is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LockRow<'k> {
    /// The lock: what the keys of its rows begin with.
    pub lock: &'k [u8],
    pub on: LockOn<'k>,
    /// A lease, not a place in the queue.
    pub is_lease: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum LockOn<'k> {
    Inode(u64),
    Name(&'k str),
}

/// What the key of a lock's row says.
pub(crate) fn parse_lock(key: &[u8]) -> Option<LockRow<'_>> {
    let (rest, _) = key.split_last_chunk::<STAMP_LEN>()?;
    let (tag, lock) = rest.split_last()?;
    let is_lease = match tag {
        b'h' => true,
        b'w' => false,
        _ => return None,
    };
    let on = match lock.split_at_checked(2)? {
        (b"ki", ino) => LockOn::Inode(u64::from_be_bytes(ino.try_into().ok()?)),
        (b"kn", name) => LockOn::Name(std::str::from_utf8(name.strip_suffix(&[0])?).ok()?),
        _ => return None,
    };
    Some(LockRow { lock, on, is_lease })
}

#[cfg(test)]
mod tests;
