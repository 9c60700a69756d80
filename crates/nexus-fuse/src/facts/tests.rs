use nexus_fs::{Etag, HashAlgorithm, Version};
use nexus_kernel::{Revision, Timestamp};

use super::{LEFT_OUT, VALUE_BYTES_MAX, VERSIONS_MAX, table};

fn versions(count: u64, author: &str) -> Vec<Version> {
    let version = |version| Version {
        version,
        etag: Etag {
            algorithm: HashAlgorithm::Blake3,
            hash: [7; 32],
        },
        size: 5,
        revision: Revision(version * 2),
        created: Timestamp(0),
        author: author.into(),
        current: version == count,
    };
    (1..=count).rev().map(version).collect()
}

#[test]
fn a_version_is_a_line() {
    let hash = "07".repeat(32);
    let expected = format!(
        "2\t4\t1970-01-01T00:00:00Z\t5\tb3-{hash}\tuser:a\\n\n1\t2\t1970-01-01T00:00:00Z\t5\tb3-{hash}\tuser:a\\n\n"
    );
    assert_eq!(table(&versions(2, "user:a\n")), expected);
}

#[test]
fn what_does_not_fit_is_left_out_and_said_to_be() {
    for (count, author) in [(VERSIONS_MAX, "u"), (300, &*"long".repeat(100))] {
        let table = table(&versions(count as u64, author));
        assert!(table.len() <= VALUE_BYTES_MAX);
        assert!(table.ends_with(LEFT_OUT));
        assert!(table.starts_with(&count.to_string()));
    }
}
