use super::*;

/// Times to wait for are seconds or milliseconds, up to a minute.
#[test]
fn a_wait_is_up_to_a_minute() {
    for (text, millis) in [
        ("0", 0),
        ("30s", 30_000),
        ("7", 7_000),
        ("250ms", 250),
        ("60s", 60_000),
    ] {
        assert_eq!(parse_wait(text).unwrap(), Duration::from_millis(millis));
    }
    for text in ["", "s", "-1s", "61s", "1h", "1.5s", "99999999999999999999s"] {
        assert!(parse_wait(text).is_err(), "{text}");
    }
}
