use proptest::prelude::*;

use super::*;
use crate::etag::HashAlgorithm;

/// Names as `path::check_name` lets them pass, alike enough to be prefixes of one another.
fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[a\u{1}\u{ff}]{1,4}", "[^/\\x00]{1,12}"]
}

/// Numbers, the first and last ones often.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..3_u64,
        any::<u64>(),
        (0..3_u64).prop_map(|less| u64::MAX - less)
    ]
}

/// A stamped key, as the metastore makes it from a prefix and a revision.
fn stamped(prefix: &[u8], revision: u64) -> Bytes {
    [prefix, &revision.to_be_bytes()].concat().into()
}

fn ended_name(parent: u64, name: &str, end: u64) -> Bytes {
    stamped(&dentry_history(parent, name), end)
}

fn ended_inode(ino: u64, end: u64) -> Bytes {
    stamped(&inode_history(ino), end)
}

#[test]
fn nothing_comes_after_the_last_revision() {
    let record = stamped(&log_prefix(), u64::MAX);
    assert!(!log_between(Revision::MAX, Revision::MAX).contains(&record));
    assert!(!inode_history_after(1, Revision::MAX).contains(&ended_inode(1, u64::MAX)));
    let ended = ended_name(1, "a", u64::MAX);
    assert!(!dentry_history_after(1, "a", Revision::MAX).contains(&ended));
}

#[test]
fn every_kind_of_row_has_a_tag_of_its_own() {
    let etag = Etag::of(HashAlgorithm::Blake3, b"");
    let rows = [
        inode(1),
        dentry(1, "a"),
        directory_time(1),
        inode_history(1),
        dentry_history(1, "a"),
        log_prefix(),
        log_more(1),
        metadata(1, "a"),
        metadata_history(1, "a"),
        metadata_index("a", 1),
        extra_name(1, 1, "a"),
        references(&etag),
        manifest_references(&etag),
        manifest_page(&etag, 0),
        orphan(1),
        purge_entry(1),
        setting("a"),
        Bytes::from_static(FORMAT),
    ];
    let tags: std::collections::BTreeSet<u8> = rows.iter().map(|row| row[0]).collect();
    assert_eq!(tags.len(), rows.len());
}

proptest! {
    #[test]
    fn a_key_comes_apart_into_what_it_was_made_of(
        a in number(), b in number(), name in name(), hash in any::<[u8; 32]>(), sha in any::<bool>(),
    ) {
        let (ended, extra) = (ended_name(a, &name, b), extra_name(a, b, &name));
        prop_assert_eq!(parse_dentry_history(&ended), Some((&*name, Revision(b))));
        prop_assert_eq!(parse_extra_name(&extra), Some((b, &*name)));
        prop_assert_eq!(last_number(&inode(a)), a);
        prop_assert_eq!(last_number(&ended_inode(a, b)), b);
        prop_assert_eq!(last_number(&metadata_index(&name, a)), a);
        let algorithm = if sha { HashAlgorithm::Sha256 } else { HashAlgorithm::Blake3 };
        let etag = Etag { algorithm, hash };
        prop_assert_eq!(parse_references(&references(&etag)).ok(), Some(etag));
        prop_assert_eq!(parse_references(&manifest_references(&etag)).ok(), Some(etag));
        prop_assert_eq!(last_number(&manifest_page(&etag, a)), a);
    }

    #[test]
    fn no_bytes_are_too_strange_to_be_taken_apart(key in any::<Vec<u8>>()) {
        let _ = (parse_dentry_history(&key), parse_extra_name(&key), last_number(&key));
        if let Ok(etag) = parse_references(&key) {
            prop_assert_eq!(&references(&etag)[1..], &key[1..]);
        }
    }

    #[test]
    fn keys_lie_in_the_order_of_what_they_are_made_of(
        a in (number(), name(), number()), b in (number(), name(), number()),
    ) {
        prop_assert_eq!(inode(a.0).cmp(&inode(b.0)), a.0.cmp(&b.0));
        prop_assert_eq!(
            ended_inode(a.0, a.2).cmp(&ended_inode(b.0, b.2)),
            (a.0, a.2).cmp(&(b.0, b.2))
        );
        prop_assert_eq!(
            dentry(a.0, &a.1).cmp(&dentry(b.0, &b.1)),
            (a.0, &a.1).cmp(&(b.0, &b.1))
        );
        prop_assert_eq!(
            metadata_index(&a.1, a.0).cmp(&metadata_index(&b.1, b.0)),
            (&a.1, a.0).cmp(&(&b.1, b.0))
        );
        prop_assert_eq!(ended_name(a.0, &a.1, a.2).cmp(&ended_name(b.0, &b.1, b.2)), a.cmp(&b));
    }

    #[test]
    fn a_range_of_names_holds_the_names_that_come_after(
        parent in number(), elsewhere in number(), after in name(), name in name(), end in number(),
    ) {
        let (now, then) = (dentry(parent, &name), ended_name(parent, &name, end));
        prop_assert!(dentries(parent, None).contains(&now));
        prop_assert!(dentries_history(parent, None).contains(&then));
        prop_assert_eq!(dentries(elsewhere, None).contains(&now), elsewhere == parent);
        prop_assert_eq!(dentries_history(elsewhere, None).contains(&then), elsewhere == parent);
        prop_assert_eq!(dentries(parent, Some(&after)).contains(&now), name > after);
        prop_assert_eq!(dentries_history(parent, Some(&after)).contains(&then), name > after);
    }

    #[test]
    fn a_range_of_revisions_holds_the_revisions_between(
        ino in number(), end in number(), after in number(), until in number(), names in (name(), name()),
    ) {
        let record = stamped(&log_prefix(), end);
        prop_assert_eq!(
            log_between(Revision(after), Revision(until)).contains(&record),
            after < end && end <= until
        );
        let ended = ended_inode(ino, end);
        prop_assert_eq!(inode_history_after(ino, Revision(after)).contains(&ended), after < end);
        prop_assert_eq!(inode_history_before(ino, Revision(until)).contains(&ended), end < until);
        let ended = ended_name(ino, &names.0, end);
        prop_assert_eq!(
            dentry_history_after(ino, &names.1, Revision(after)).contains(&ended),
            names.0 == names.1 && after < end
        );
    }

    #[test]
    fn an_index_of_metadata_keys_holds_the_inodes_that_come_after(
        key in name(), other in name(), ino in 0..u64::MAX, after in 0..u64::MAX,
    ) {
        prop_assert_eq!(
            metadata_index_after(&key, after).contains(&metadata_index(&other, ino)),
            key == other && ino > after
        );
    }
}
