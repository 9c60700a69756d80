use super::*;

fn segment(after: u64, until: u64, weight: usize) -> Segment {
    let mut segment = Segment::new(Revision(after), Revision(until), Vec::new());
    segment.weight = weight;
    segment
}

/// A ring of three segments, and then one that pushes the first two out.
#[test]
fn a_ring_answers_for_every_position_between_its_ends() {
    let mut ring = Ring::default();
    ring.restart(Revision(10));
    assert!(matches!(ring.find(Revision(9)), Found::Behind));
    assert!(matches!(ring.find(Revision(10)), Found::AtEnd));
    let third = WEIGHT_MAX / 3;
    for (after, until) in [(10, 15), (15, 16), (16, 30)] {
        ring.push(segment(after, until, third));
    }
    let shown = |ring: &Ring, after| format!("{:?}", ring.find(Revision(after)));
    for (after, found) in [
        (9, "Behind"),
        (10, "Segment((10, 15])"),
        (14, "Segment((10, 15])"),
        (15, "Segment((15, 16])"),
        (16, "Segment((16, 30])"),
        (29, "Segment((16, 30])"),
        (30, "AtEnd"),
        (99, "AtEnd"),
    ] {
        assert_eq!(shown(&ring, after), found, "{after}");
    }
    ring.push(segment(30, 31, 2 * third));
    assert_eq!(shown(&ring, 15), "Behind");
    assert_eq!(shown(&ring, 16), "Segment((16, 30])");
}

/// What is larger than all that may be kept is kept until the next comes.
#[test]
fn the_newest_segment_stays_however_large() {
    let mut ring = Ring::default();
    ring.push(segment(0, 5, WEIGHT_MAX * 2));
    assert!(matches!(ring.find(Revision(0)), Found::Segment(_)));
    ring.push(segment(5, 6, 1));
    assert!(matches!(ring.find(Revision(0)), Found::Behind));
    assert!(matches!(ring.find(Revision(5)), Found::Segment(_)));
}
