use nexus_kernel::{Kind, Value};

use super::*;

/// The tags in the table at the head of `keys`, and of rows of forks the letter after it.
fn tags() -> Vec<Vec<u8>> {
    let table = include_str!("../../keys.rs");
    let row = |line: &str| {
        let (tag, _) = line.strip_prefix("//! | `")?.split_once('`')?;
        Some(tag.as_bytes().to_vec())
    };
    table.lines().filter_map(row).collect()
}

/// Whoever adds a kind of row says here what it looks like: a zone that has it could be exported
/// and not imported.
#[test]
fn every_kind_of_row_that_there_is_can_be_imported() {
    let header = Header {
        revision_number: 1,
        hash: ArchiveHash::Blake3.into(),
        ..Header::default()
    };
    assert!(tags().len() > 15);
    assert!(tags().contains(&b"wm".to_vec()));
    for tag in tags() {
        let row = Entry {
            key: tag.clone().into(),
            value: Value {
                bytes: Bytes::new(),
                revision: Revision(1),
            },
        };
        let checked = ZoneRows::new(&header).unwrap().check(&row);
        let is_unknown = checked.is_err_and(|error| {
            error.kind() == Kind::Unsupported || error.fact("why") == Some(NO_KIND_OF_FORK)
        });
        let tag = String::from_utf8_lossy(&tag);
        assert!(!is_unknown, "rows.rs does not know the tag {tag}");
    }
}
