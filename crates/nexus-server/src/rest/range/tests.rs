use http::HeaderValue;
use proptest::prelude::*;

use super::*;

fn check(header: &'static str, size: u64, expected: Wanted) {
    let mut headers = HeaderMap::new();
    headers.insert(RANGE, HeaderValue::from_static(header));
    assert_eq!(wanted(&headers, size), expected, "{header} of {size}");
}

#[test]
fn a_range_is_cut_at_the_end_of_the_file() {
    check("bytes=0-3", 10, Wanted::Part(0..4));
    check("bytes=8-100", 10, Wanted::Part(8..10));
    check("bytes=4-", 10, Wanted::Part(4..10));
    check("bytes=0-18446744073709551615", 10, Wanted::Part(0..10));
}

#[test]
fn a_suffix_counts_from_the_end() {
    check("bytes=-3", 10, Wanted::Part(7..10));
    check("bytes=-100", 10, Wanted::Part(0..10));
}

#[test]
fn a_range_beyond_the_end_cannot_be_satisfied() {
    check("bytes=10-", 10, Wanted::Beyond);
    check("bytes=10-12", 10, Wanted::Beyond);
    check("bytes=-0", 10, Wanted::Beyond);
    check("bytes=0-", 0, Wanted::Beyond);
}

#[test]
fn what_is_no_single_range_of_bytes_is_ignored() {
    for header in [
        "bytes=1-2,4-5",
        "lines=1-2",
        "bytes=5-2",
        "bytes=a-b",
        "bytes=",
        "bytes=-",
        "bytes=+1-2",
    ] {
        check(header, 10, Wanted::Whole);
    }
    assert_eq!(wanted(&HeaderMap::new(), 10), Wanted::Whole);
}

proptest! {
    #[test]
    fn a_range_lies_within_the_file_whatever_is_asked_for(text in "(bytes=)?[0-9-]{0,24}", size in any::<u64>()) {
        let mut headers = HeaderMap::new();
        headers.insert(RANGE, HeaderValue::try_from(text).expect("printable"));
        if let Wanted::Part(range) = wanted(&headers, size) {
            prop_assert!(range.start < range.end && range.end <= size);
        }
    }
}
