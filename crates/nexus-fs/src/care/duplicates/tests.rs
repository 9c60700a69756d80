use nexus_kernel::Kind;

use super::*;
use crate::etag::HashAlgorithm;

fn etag(content: &str) -> Etag {
    Etag::of(HashAlgorithm::Blake3, content.as_bytes())
}

#[test]
fn files_are_compared_in_bounded_memory() {
    let path = || "p".repeat(100);
    let mut seen = Seen::new(3 * (FILE_BYTES + 100));
    for content in ["a", "a", "b"] {
        seen.add(etag(content), 1, path()).unwrap();
    }
    let refused = seen.add(etag("c"), 1, path());
    assert_eq!(refused.unwrap_err().kind(), Kind::LimitExceeded);
}

#[test]
fn the_costliest_come_first_and_equals_by_path() {
    let mut seen = Seen::new(usize::MAX);
    for (content, size, path) in [
        ("a", 5, "/z"),
        ("a", 5, "/zz"),
        ("b", 5, "/y"),
        ("b", 5, "/yy"),
        ("c", 3, "/1"),
        ("c", 3, "/2"),
        ("c", 3, "/3"),
        ("d", 100, "/alone"),
    ] {
        seen.add(etag(content), size, path.to_owned()).unwrap();
    }
    let found = seen.costliest(2);
    let found: Vec<_> = found.iter().map(|set| &set.paths[0]).collect();
    assert_eq!(found, ["/1", "/y"]);
}
