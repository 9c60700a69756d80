use http::{HeaderName, HeaderValue};
use nexus_fs::HashAlgorithm;
use nexus_kernel::Kind;
use proptest::prelude::*;

use super::*;

fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
    let value = |text: &str| HeaderValue::from_bytes(text.as_bytes()).expect("a header");
    let mut headers = HeaderMap::new();
    for (name, text) in pairs {
        headers.append(name, value(text));
    }
    headers
}

fn etag() -> Etag {
    Etag::of(HashAlgorithm::Blake3, b"content")
}

#[test]
fn a_change_takes_one_condition_that_it_can_keep() {
    let quoted = format!("\"{}\"", etag());
    for (pairs, expected) in [
        (&[][..], Precondition::None),
        (&[(IF_MATCH, "*")], Precondition::Exists),
        (&[(IF_NONE_MATCH, " * ")], Precondition::Absent),
        (&[(IF_MATCH, &quoted)], Precondition::Etag(etag())),
    ] {
        assert_eq!(precondition(&headers(pairs)).unwrap(), expected);
    }
    for pairs in [
        &[(IF_NONE_MATCH, quoted.as_str())][..],
        &[(IF_MATCH, "*"), (IF_NONE_MATCH, "*")],
        &[(IF_MATCH, "é")],
        &[(IF_MATCH, "\"a\", \"b\"")],
        &[(IF_MATCH, "\"a\""), (IF_MATCH, "\"b\"")],
        &[(IF_UNMODIFIED_SINCE, "Sat, 21 Nov 2026 10:00:00 GMT")],
    ] {
        let refused = precondition(&headers(pairs)).unwrap_err();
        assert_eq!(refused.kind(), Kind::InvalidArgument);
    }
}

#[test]
fn a_reader_may_know_several_contents() {
    let list = format!("\"other\", W/\"{}\"", etag());
    for (known, same) in [(list.as_str(), true), ("*", true), ("\"other\"", false)] {
        let headers = headers(&[(IF_NONE_MATCH, known)]);
        assert_eq!(not_modified(&headers, Some(&etag())).unwrap(), same);
        assert!(!not_modified(&headers, None).unwrap());
    }
}

proptest! {
    #[test]
    fn an_etag_is_known_again_with_quotes_or_without(content in any::<Vec<u8>>(), sha in any::<bool>()) {
        let algorithm = if sha { HashAlgorithm::Sha256 } else { HashAlgorithm::Blake3 };
        let etag = Etag::of(algorithm, &content);
        for text in [etag.to_string(), format!("\"{etag}\"")] {
            prop_assert_eq!(if_match(&text).ok(), Some(Precondition::Etag(etag)));
            prop_assert!(not_modified(&headers(&[(IF_NONE_MATCH, &text)]), Some(&etag)).unwrap());
            prop_assert!(range_applies(&headers(&[(IF_RANGE, &text)]), Some(&etag)).unwrap());
        }
    }

    #[test]
    fn what_no_content_can_have_is_stale_and_not_malformed(text in "[ -~]{0,80}") {
        let text = text.trim();
        match if_match(text) {
            Ok(Precondition::Exists) => prop_assert_eq!(text, "*"),
            Ok(taken) => prop_assert!(matches!(taken, Precondition::Etag(_))),
            Err(error) if error.kind() == Kind::InvalidArgument => {
                prop_assert!(text.contains('"') && text.contains(','), "more than one");
            }
            Err(error) => prop_assert_eq!(error.kind(), Kind::Conflict),
        }
    }
}
