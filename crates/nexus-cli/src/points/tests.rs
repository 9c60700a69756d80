use super::*;

const NOW: Timestamp = Timestamp(1_700_000_000_000_000_000);

#[test]
fn a_point_in_the_past_is_counted_from_now() {
    assert_eq!(
        at("10m ago", NOW).unwrap(),
        At::from("2023-11-14T22:03:20Z")
    );
    assert_eq!(
        at("2 days ago", NOW).unwrap(),
        At::from("2023-11-12T22:13:20Z")
    );
    assert!(at("yesterday ago", NOW).is_err());
}

#[test]
fn other_points_are_left_to_the_node() {
    for text in [
        "latest",
        "42",
        "r42",
        ">=42",
        "2026-01-31T12:00:00Z",
        "nonsense",
    ] {
        assert_eq!(at(text, NOW).unwrap(), At::from(text));
    }
}

#[test]
fn a_side_of_a_diff_is_a_version_or_a_point() {
    assert_eq!(version_at("v3", NOW).unwrap(), VersionAt::Version(3));
    assert_eq!(
        version_at("42", NOW).unwrap(),
        VersionAt::At(At::from("42"))
    );
}

#[test]
fn numbers_may_have_their_letter() {
    assert_eq!(version("3"), Ok(3));
    assert_eq!(version("v3"), Ok(3));
    assert!(version("r3").is_err());
    assert_eq!(revision("r42"), Ok(Revision(42)));
    assert!(revision("-1").is_err());
}

#[test]
fn an_expiry_is_a_time_or_a_length_of_time() {
    assert_eq!(
        moment("1d", NOW).unwrap(),
        NOW.plus_nanos(86_400_000_000_000)
    );
    assert_eq!(moment("2023-11-14T22:13:20Z", NOW).unwrap(), NOW);
    for wrong in ["", "soon", "-1d", "1 month"] {
        assert!(moment(wrong, NOW).is_err(), "{wrong}");
    }
}
