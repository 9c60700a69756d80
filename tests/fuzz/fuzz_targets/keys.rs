//! The table of keys: rows come apart into what they were made of, and lie in the order of it.
#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use nexus_fs::time;
use nexus_kernel::Revision;

#[path = "../../../crates/nexus-fs/src/etag.rs"]
#[expect(dead_code, reason = "the parser itself, which its crate keeps private")]
mod etag;
#[path = "../../../crates/nexus-fs/src/keys.rs"]
#[expect(dead_code, reason = "the parser itself, which its crate keeps private")]
mod keys;
#[path = "../../../crates/nexus-fs/src/records.rs"]
#[expect(dead_code, reason = "the parser itself, which its crate keeps private")]
mod records;
#[path = "../../../crates/nexus-fs/src/types.rs"]
#[expect(dead_code, reason = "the parser itself, which its crate keeps private")]
mod types;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    raw: &'a [u8],
    rows: [Row<'a>; 2],
}

#[derive(Arbitrary, Clone, Copy, Debug)]
struct Row<'a> {
    ino: u64,
    name: &'a str,
    revision: u64,
}

fuzz_target!(|input: Input<'_>| {
    any_bytes(input.raw);
    let [a, b] = input.rows;
    if a.name.contains('\0') || b.name.contains('\0') {
        return;
    }
    comes_apart(a);
    lies_in_order(a, b);
    lies_in_its_range(a, b);
});

fn any_bytes(raw: &[u8]) {
    let _ = keys::parse_dentry_history(raw);
    let _ = keys::parse_extra_name(raw);
    let _ = keys::last_number(raw);
    if let Ok(etag) = keys::parse_references(raw) {
        assert_eq!(keys::references(&etag)[1..], raw[1..]);
    }
}

fn comes_apart(row: Row<'_>) {
    let Row {
        ino,
        name,
        revision,
    } = row;
    let ended = stamped(&keys::dentry_history(ino, name), revision);
    assert_eq!(
        keys::parse_dentry_history(&ended),
        Some((name, Revision(revision)))
    );
    assert_eq!(
        keys::parse_extra_name(&keys::extra_name(revision, ino, name)),
        Some((ino, name))
    );
    assert_eq!(keys::last_number(&keys::inode(ino)), ino);
    assert_eq!(keys::last_number(&keys::metadata_index(name, ino)), ino);
}

fn lies_in_order(a: Row<'_>, b: Row<'_>) {
    let ended = |row: Row<'_>| stamped(&keys::dentry_history(row.ino, row.name), row.revision);
    assert_eq!(
        keys::dentry(a.ino, a.name).cmp(&keys::dentry(b.ino, b.name)),
        (a.ino, a.name).cmp(&(b.ino, b.name))
    );
    assert_eq!(
        ended(a).cmp(&ended(b)),
        (a.ino, a.name, a.revision).cmp(&(b.ino, b.name, b.revision))
    );
    assert_eq!(
        keys::metadata_index(a.name, a.ino).cmp(&keys::metadata_index(b.name, b.ino)),
        (a.name, a.ino).cmp(&(b.name, b.ino))
    );
}

fn lies_in_its_range(a: Row<'_>, b: Row<'_>) {
    let sibling = keys::dentry(a.ino, b.name);
    assert!(keys::dentries(a.ino, None).contains(&sibling));
    assert_eq!(
        keys::dentries(a.ino, Some(a.name)).contains(&sibling),
        b.name > a.name
    );
    assert_eq!(
        keys::dentries(a.ino, None).contains(&keys::dentry(b.ino, b.name)),
        a.ino == b.ino
    );

    let ended = stamped(&keys::dentry_history(a.ino, b.name), b.revision);
    assert!(keys::dentries_history(a.ino, None).contains(&ended));
    assert_eq!(
        keys::dentries_history(a.ino, Some(a.name)).contains(&ended),
        b.name > a.name
    );
    assert_eq!(
        keys::dentry_history_after(a.ino, a.name, Revision(a.revision)).contains(&ended),
        a.name == b.name && b.revision > a.revision
    );

    let record = stamped(&keys::log_prefix(), b.revision);
    assert_eq!(
        keys::log_between(Revision(a.revision), Revision(a.ino)).contains(&record),
        b.revision > a.revision && b.revision <= a.ino
    );
}

/// A stamped key, as the metastore makes it from a prefix and a revision.
fn stamped(prefix: &[u8], revision: u64) -> Vec<u8> {
    [prefix, &revision.to_be_bytes()].concat()
}
