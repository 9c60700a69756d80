//! Archives that somebody made up, with good hashes.

use bytes::Bytes;
use nexus_archive::{Block, Header, Reader, Writer};
use nexus_fs::Zone;
use nexus_kernel::{Entry, Kind, Revision, Value};
use prost::Message;

use super::{export, noise, write};
use crate::support::{fresh, memory_stores, put};

/// Takes an archive apart and puts it together with other rows.
async fn with_rows(archive: &[u8], change: impl FnOnce(&mut Vec<Entry>)) -> Vec<u8> {
    let mut reader = Reader::begin(archive).await.unwrap();
    let header: Header = reader.header().clone();
    let (mut rows, mut blobs) = (Vec::new(), Vec::new());
    while let Some(block) = reader.next().await.unwrap() {
        match block {
            Block::Rows(more) => rows.extend(more),
            Block::Blobs(more) => blobs.extend(more),
            _ => {}
        }
    }
    change(&mut rows);
    rows.sort_by(|one, other| one.key.cmp(&other.key));
    let (mut writer, first) = Writer::begin(&header).unwrap();
    let mut bytes = first.to_vec();
    bytes.extend(writer.rows(rows).unwrap());
    bytes.extend(writer.rows_end().unwrap());
    bytes.extend(writer.blobs(blobs).unwrap());
    bytes.extend(writer.finish().unwrap());
    bytes
}

fn row(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Entry {
    Entry {
        key: key.into(),
        value: Value {
            bytes: value.into(),
            revision: Revision(1),
        },
    }
}

fn numbered(tag: &[u8], ino: u64, rest: &[u8]) -> Vec<u8> {
    [tag, &ino.to_be_bytes()[..], rest].concat()
}

/// No record.
const GARBAGE: &[u8] = &[0xFF];
/// A name of inode 1.
const DENTRY: &[u8] = &[8, 1];

#[derive(Clone, PartialEq, Message)]
struct LogRow {
    #[prost(message, repeated, tag = "7")]
    changes: Vec<Change>,
    #[prost(uint32, tag = "12")]
    more_rows: u32,
}

#[derive(Clone, PartialEq, Message)]
struct Change {
    #[prost(string, tag = "2")]
    path: String,
}

/// A further row of the first record of the log.
fn further_row(number: u32) -> Entry {
    let key = [b"L", &number.to_be_bytes()[..], &1_u64.to_be_bytes()].concat();
    row(key, LogRow::default().encode_to_vec())
}

fn forged_rows() -> Vec<(&'static str, Entry)> {
    let log = LogRow {
        changes: vec![Change {
            path: "/d/../../etc/passwd".into(),
        }],
        more_rows: 0,
    };
    let cut = LogRow {
        more_rows: 2,
        ..LogRow::default()
    };
    vec![
        (
            "rows of a record are missing",
            row(numbered(b"l", 1, b""), cut.encode_to_vec()),
        ),
        ("a record without its second row", further_row(2)),
        ("more rows than a record has", further_row(16)),
        ("dots", row(numbered(b"d", 1, b".."), DENTRY)),
        ("a dot", row(numbered(b"d", 1, b"."), DENTRY)),
        ("a slash", row(numbered(b"d", 1, b"a/b"), DENTRY)),
        ("a NUL", row(numbered(b"d", 1, b"a\0b"), DENTRY)),
        ("an empty name", row(numbered(b"d", 1, b""), DENTRY)),
        ("a long name", row(numbered(b"d", 1, &[b'a'; 256]), DENTRY)),
        (
            "a name that is not UTF-8",
            row(numbered(b"d", 1, &[0xFF]), DENTRY),
        ),
        ("a name of nothing", row(numbered(b"d", 1, b"x"), &b""[..])),
        (
            "a name of no kind",
            row(numbered(b"d", 1, b"x"), &[8, 1, 16, 9][..]),
        ),
        (
            "an ended name with dots",
            row(numbered(b"e", 1, b"..\0\0\0\0\0\0\0\0\x01"), DENTRY),
        ),
        (
            "a further name with dots",
            row(numbered(b"p", 1, b"\0\0\0\0\0\0\0\x01.."), &b""[..]),
        ),
        (
            "a log with dots",
            row(numbered(b"l", 1, b""), log.encode_to_vec()),
        ),
        (
            "a log of a later revision",
            row(numbered(b"l", 99, b""), &b""[..]),
        ),
        (
            "an unreadable inode",
            row(numbered(b"i", 3, b""), &[0xFF][..]),
        ),
        ("a short inode number", row(&b"i\0\x01"[..], &b""[..])),
        (
            "a file without a hash",
            row(numbered(b"i", 3, b""), &b""[..]),
        ),
        (
            "an inode beyond the counter",
            row(numbered(b"i", (1 << 40) - 1, b""), &[8, 1][..]),
        ),
        ("a short time", row(numbered(b"t", 3, b""), &[1][..])),
        ("a count of nothing", row(&b"c\x01abc"[..], &[0; 8][..])),
        ("metadata of no key", row(numbered(b"x", 1, b""), &b""[..])),
        (
            "an ended value of a later revision",
            row(numbered(b"z", 1, b"k\0\xFF\0\0\0\0\0\0\0"), &b""[..]),
        ),
    ]
}

/// Rows of locks and undone operations.
fn forged_locks() -> Vec<(&'static str, Entry)> {
    let stamp = 1_u64.to_be_bytes();
    let late = 99_000_u64.to_be_bytes();
    let lock = |name: &[u8], stamp: &[u8]| [b"kn", name, b"\0h", stamp].concat();
    // A holder, and a mode.
    let lease: &[u8] = &[10, 3, b'u', b':', b'a', 32, 0];
    let counting = |permits: u8| vec![10, 3, b'u', b':', b'a', 32, 2, 40, permits];
    vec![
        ("an unreadable lease", row(lock(b"x", &stamp), GARBAGE)),
        ("a lease of nobody", row(lock(b"x", &stamp), &b""[..])),
        ("a lease of a later revision", row(lock(b"x", &late), lease)),
        (
            "a lease of no lock",
            row([&b"kz"[..], &stamp].concat(), lease),
        ),
        ("a lock of no name", row(lock(b"", &stamp), lease)),
        ("a lock of an odd name", row(lock(b"a\nb", &stamp), lease)),
        (
            "a lease of no mode",
            row(lock(b"x", &stamp), &[10, 1, b'a', 32, 9][..]),
        ),
        ("a lock for nobody", row(lock(b"x", &stamp), counting(0))),
        ("a mark of no number", row(&b"u\x01"[..], &b""[..])),
        (
            "a mark of a later revision",
            row(numbered(b"u", 99_000, b""), &b""[..]),
        ),
        (
            "a mark of no revision",
            row(numbered(b"u", 0, b""), &b""[..]),
        ),
        ("an unreadable mark", row(numbered(b"u", 1, b""), GARBAGE)),
        (
            "a mark by a later revision",
            row(numbered(b"u", 1, b""), late.to_vec()),
        ),
    ]
}

/// Rows of cursors.
fn forged_cursors() -> Vec<(&'static str, Entry)> {
    vec![
        ("an unreadable cursor", row(&b"bu:a\0c"[..], GARBAGE)),
        ("an unreadable owner", row(&b"bu:a\0"[..], GARBAGE)),
        ("a cursor of nobody", row(&b"b\0c"[..], &b""[..])),
        ("a cursor without an end", row(&b"bu:a"[..], &b""[..])),
        (
            "a cursor that is not UTF-8",
            row(&b"b\xFF\0c"[..], &b""[..]),
        ),
        ("a cursor of an odd name", row(&b"bu:a\0a/b"[..], &b""[..])),
        (
            "a cursor of a later revision",
            row(&b"bu:a\0c"[..], &[8, 0xFF, 0xFF, 0x7F][..]),
        ),
        (
            "more cursors than can be",
            row(&b"bu:a\0"[..], &[8, 0xFF, 0xFF, 0x7F][..]),
        ),
    ]
}

/// Rows of lineage, forks, workspaces and policies.
fn forged_rows_beside_files() -> Vec<(&'static str, Entry)> {
    let number = |n: u64| n.to_be_bytes();
    let [stamp, late] = [1, 99_000].map(number);
    vec![
        (
            "a short descendant",
            row(numbered(b"A", 1, &stamp), &b""[..]),
        ),
        (
            "a descendant of a later revision",
            row(numbered(b"A", 1, &[number(2), late].concat()), &b""[..]),
        ),
        (
            "a descendant of nothing",
            row(numbered(b"A", 0, &[number(2), stamp].concat()), &b""[..]),
        ),
        (
            "a descendant with a value",
            row(numbered(b"A", 1, &[number(2), stamp].concat()), GARBAGE),
        ),
        (
            "no kind of fork's row",
            row(numbered(b"wf", 1, b""), &b""[..]),
        ),
        (
            "an unreadable merge",
            row(numbered(b"wm", 1, &number(2)), GARBAGE),
        ),
        ("an unreadable part", row(numbered(b"wp", 1, b""), GARBAGE)),
        (
            "a part of no fork",
            row(numbered(b"wp", 1, b""), &[8, 1][..]),
        ),
        (
            "a further part of no fork",
            row(numbered(b"wp", 2, b""), &[72, 1][..]),
        ),
        (
            "a further part that tells of a fork",
            row(numbered(b"wp", 2, b""), &[8, 1, 26, 2, 16, 2, 72, 1][..]),
        ),
        (
            "an unreadable workspace",
            row(numbered(b"wn", 1, b""), GARBAGE),
        ),
        ("an unreadable policy", row(&b"y/**"[..], GARBAGE)),
        ("a policy of no pattern", row(&b"yx"[..], &b""[..])),
        ("a policy of no versions", row(&b"y/**"[..], &[16, 0][..])),
    ]
}

/// A row that no zone could have written is refused, and the zone does not come to be.
#[tokio::test]
async fn rows_that_no_zone_can_have_are_refused() {
    let (_zone, files) = fresh().await;
    put(&files, "/d/a", "1").await;
    write(&files, "/b", noise(1, 100_000)).await;
    let archive = export(&files).await;
    let beside = [forged_locks(), forged_cursors(), forged_rows_beside_files()].concat();
    for (what, row) in forged_rows().into_iter().chain(beside) {
        let archive = with_rows(&archive, |rows| {
            rows.retain(|other| other.key != row.key);
            rows.push(row);
        });
        let stores = memory_stores();
        let refused = Zone::import(&stores, &archive.await[..], |_, _| {}).await;
        assert_eq!(refused.unwrap_err().kind(), Kind::Corrupt, "{what}");
        let half = stores.metastore.restoring().await.unwrap();
        assert!(half.is_some_and(|half| half.last_key.is_none()), "{what}");
    }
}

/// A kind of row that this version does not know is refused as such.
#[tokio::test]
async fn rows_of_a_newer_version_are_refused() {
    let (_zone, files) = fresh().await;
    let archive = export(&files).await;
    let newer = with_rows(&archive, |rows| rows.push(row(&b"~new"[..], &b""[..]))).await;
    let refused = Zone::import(&memory_stores(), &newer[..], |_, _| {}).await;
    assert_eq!(refused.unwrap_err().kind(), Kind::Unsupported);
}

/// An archive without what every zone has is refused.
#[tokio::test]
async fn an_archive_that_is_no_zone_is_refused() {
    let (_zone, files) = fresh().await;
    put(&files, "/a", "1").await;
    let archive = export(&files).await;
    let root = numbered(b"i", 1, b"");
    for missing in [&b"vformat"[..], b"vnext-ino", b"vtopology", &root] {
        let without = with_rows(&archive, |rows| rows.retain(|row| row.key != missing)).await;
        let refused = Zone::import(&memory_stores(), &without[..], |_, _| {}).await;
        assert_eq!(refused.unwrap_err().kind(), Kind::Corrupt, "{missing:?}");
    }
    let headless = with_rows(&archive, |rows| rows.push(further_row(1))).await;
    let refused = Zone::import(&memory_stores(), &headless[..], |_, _| {}).await;
    assert_eq!(refused.unwrap_err().kind(), Kind::Corrupt);
}
