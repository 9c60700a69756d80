use super::*;

fn headers(name: &'static str, value: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(name, value.parse().unwrap());
    headers
}

#[test]
fn a_timeout_becomes_a_deadline() {
    for (text, nanos) in [
        ("1H", 3_600_000_000_000),
        ("2M", 120_000_000_000),
        ("3S", 3_000_000_000),
        ("250m", 250_000_000),
        ("7u", 7_000),
        ("99999999n", 99_999_999),
        ("0n", 0),
    ] {
        let deadline = deadline(&headers("grpc-timeout", text), Timestamp(10));
        assert_eq!(deadline.unwrap(), Some(Timestamp(10 + nanos)), "{text}");
    }
    assert_eq!(deadline(&HeaderMap::new(), Timestamp(10)).unwrap(), None);
}

#[test]
fn a_timeout_that_cannot_be_read_is_refused() {
    for text in ["5", "S", "-1S", "+1S", "1.5S", "123456789S", "1s", "1 S"] {
        assert!(
            deadline(&headers("grpc-timeout", text), Timestamp(0)).is_err(),
            "{text}"
        );
    }
}

#[test]
fn the_secret_comes_after_the_scheme_in_any_case() {
    for value in ["Bearer sk-a", "bearer sk-a", "BEARER  sk-a "] {
        assert_eq!(bearer(&headers("authorization", value)).unwrap(), "sk-a");
    }
    for value in ["", "sk-a", "Basic sk-a", "Bearer"] {
        assert!(bearer(&headers("authorization", value)).is_err(), "{value}");
    }
}

#[test]
fn a_header_that_names_something_is_short_and_ascii() {
    let name = |value: &str| {
        named(&headers("x-nexus-session", value), "x-nexus-session").map(|v| v.map(str::to_owned))
    };
    assert_eq!(name("run-7").unwrap().as_deref(), Some("run-7"));
    assert_eq!(name("").unwrap(), None);
    assert!(name(&"x".repeat(129)).is_err());
    assert!(name("caf\u{e9}").is_err());
}
