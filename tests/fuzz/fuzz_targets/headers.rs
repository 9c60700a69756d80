//! `Range`, `If-Match`, `If-None-Match` and `If-Range`.
#![no_main]

use http::header::{IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE};
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use nexus_fs::{Etag, HashAlgorithm, Precondition};

#[path = "../../../crates/nexus-server/src/rest/conditions.rs"]
mod conditions;
#[path = "../../../crates/nexus-server/src/rest/range.rs"]
mod range;

fuzz_target!(|input: (u64, &[u8])| {
    let (size, bytes) = input;
    let Ok(value) = HeaderValue::from_bytes(bytes) else {
        return;
    };
    if let range::Wanted::Part(part) = range::wanted(&with(RANGE, &value), size) {
        assert!(part.start < part.end && part.end <= size);
    }
    let etag = Etag::of(HashAlgorithm::Blake3, bytes);
    for name in [IF_MATCH, IF_NONE_MATCH] {
        if let Ok(Precondition::Etag(etag)) = conditions::precondition(&with(name, &value)) {
            for text in [etag.to_string(), format!("\"{etag}\"")] {
                let again = conditions::if_match(&text).ok();
                assert_eq!(again, Some(Precondition::Etag(etag)));
            }
        }
    }
    let _ = conditions::not_modified(&with(IF_NONE_MATCH, &value), Some(&etag));
    let _ = conditions::range_applies(&with(IF_RANGE, &value), Some(&etag));
});

fn with(name: http::HeaderName, value: &HeaderValue) -> HeaderMap {
    HeaderMap::from_iter([(name, value.clone())])
}
