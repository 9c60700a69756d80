use super::{DOTS, Positions};

fn told(count: u64) -> Positions {
    let mut positions = Positions::default();
    for n in 1..=count {
        assert_eq!(positions.next_offset(), DOTS + n);
        positions.push(format!("{n}"));
    }
    positions
}

#[test]
fn a_recent_offset_is_known_exactly() {
    let mut positions = told(10_000);
    assert_eq!(positions.go_to(DOTS + 10_000), (Some("10000".into()), 0));
    assert_eq!(positions.go_to(DOTS + 7_000), (Some("7000".into()), 0));
    assert_eq!(positions.next_offset(), DOTS + 7_001);
}

#[test]
fn an_older_offset_is_counted_from_the_mark_before_it() {
    let mut positions = told(10_000);
    assert_eq!(positions.go_to(DOTS + 2_050), (Some("2048".into()), 2));
    assert_eq!(positions.next_offset(), DOTS + 2_049);
    assert_eq!(positions.go_to(DOTS + 5), (None, 5));
}

#[test]
fn the_beginning_is_the_beginning() {
    for offset in 0..=DOTS {
        assert_eq!(told(20).go_to(offset), (None, 0));
    }
}

#[test]
fn an_offset_that_was_never_told_is_the_end() {
    assert_eq!(told(20).go_to(1_000), (Some("20".into()), 0));
}
