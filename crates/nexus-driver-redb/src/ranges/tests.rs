use nexus_testkit::metastore::support::range;

use super::Ranges;

#[test]
fn a_key_is_in_the_set_when_it_is_in_one_of_its_ranges() {
    let mut ranges = Ranges::default();
    for (start, end) in [("c", "e"), ("g", "i"), ("a", "b"), ("d", "d"), ("x", "w")] {
        ranges.insert(&range(start, end));
    }
    let inside = |key: &str| ranges.contains(key.as_bytes());
    assert!(["a", "az", "c", "dzz", "g", "h"].into_iter().all(inside));
    assert!(
        !["", "b", "bz", "e", "f", "i", "w", "x"]
            .into_iter()
            .any(inside)
    );
}

#[test]
fn ranges_that_overlap_or_touch_become_one() {
    let mut ranges = Ranges::default();
    for (start, end) in [("a", "c"), ("e", "g"), ("i", "k"), ("m", "n")] {
        ranges.insert(&range(start, end));
    }
    ranges.insert(&range("c", "j"));
    let joined: Vec<_> = ranges.iter().collect();
    assert_eq!(joined, [range("a", "k"), range("m", "n")]);
    ranges.insert(&range("b", "d"));
    assert_eq!(ranges.iter().collect::<Vec<_>>(), joined);
}
