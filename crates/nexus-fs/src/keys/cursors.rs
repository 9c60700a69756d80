//! The keys of cursors of the change feed.

use bytes::Bytes;
use nexus_kernel::KeyRange;

use super::Key;

/// The row of a principal that has cursors.
pub(crate) fn cursor_owner(owner: &str) -> Bytes {
    Key::tag(b'b', 1 + owner.len()).text(owner).zero().done()
}

pub(crate) fn cursor(owner: &str, name: &str) -> Bytes {
    Key::tag(b'b', 1 + owner.len() + name.len())
        .text(owner)
        .zero()
        .text(name)
        .done()
}

/// The cursors of a principal, after its own row.
pub(crate) fn cursors(owner: &str) -> KeyRange {
    let mut range = KeyRange::prefix(cursor_owner(owner));
    range.start = Key::tag(b'b', 2 + owner.len())
        .text(owner)
        .zero()
        .zero()
        .done();
    range
}

pub(crate) fn all_cursors() -> Bytes {
    Bytes::from_static(b"b")
}

/// The owner and name in the key of a cursor; none for the row of an owner.
pub(crate) fn parse_cursor(key: &[u8]) -> Option<(&str, &str)> {
    let text = std::str::from_utf8(key.get(1..)?).ok()?;
    text.split_once('\0').filter(|(_, name)| !name.is_empty())
}
