use nexus_kernel::Revision;

use super::{Foreign, Span, Standing, Timeline};

/// A row that was `before` and then, at each revision, became a value.
fn row(before: Option<char>, writes: &[(u64, Option<char>)]) -> Timeline<char> {
    Timeline {
        before,
        writes: writes
            .iter()
            .map(|(revision, value)| (Revision(*revision), *value))
            .collect(),
    }
}

/// Undoes from 100 on are about what is a hundred less; 50 to 99 is housekeeping.
fn foreign(revision: Revision) -> Foreign {
    match revision.0 {
        0..50 => Foreign::Change,
        50..100 => Foreign::Unlogged,
        number => Foreign::Return(vec![Revision(number - 100)]),
    }
}

fn standing(row: &Timeline<char>, ours: &[u64]) -> Standing<char> {
    row.standing(|revision| ours.contains(&revision.0), foreign)
}

fn touched(first: u64, before: Option<char>, by: &[u64]) -> Standing<char> {
    Standing::Touched {
        first: Revision(first),
        before,
        by: by.iter().copied().map(Revision).collect(),
    }
}

#[test]
fn a_row_that_nobody_else_wrote_goes_back_to_what_it_was() {
    let row = row(Some('a'), &[(1, Some('b')), (2, None), (3, Some('c'))]);
    assert_eq!(standing(&row, &[1, 2, 3]), touched(1, Some('a'), &[]));
    assert_eq!(standing(&row, &[3]), touched(3, None, &[]));
}

#[test]
fn what_others_wrote_later_stands_on_it() {
    let row = row(None, &[(1, Some('a')), (2, Some('b')), (3, Some('c'))]);
    assert_eq!(standing(&row, &[1]), touched(1, None, &[2, 3]));
    assert_eq!(standing(&row, &[1, 3]), touched(1, None, &[2]));
    assert_eq!(standing(&row, &[2, 3]), touched(2, Some('a'), &[]));
}

#[test]
fn what_was_undone_is_not_there_to_be_undone() {
    let row = row(Some('a'), &[(1, Some('b')), (101, Some('a'))]);
    assert_eq!(standing(&row, &[1]), Standing::Untouched);
}

#[test]
fn an_undo_that_was_undone_leaves_no_trace() {
    let row = row(
        Some('a'),
        &[(1, Some('b')), (101, Some('a')), (201, Some('b'))],
    );
    assert_eq!(standing(&row, &[1]), touched(1, Some('a'), &[]));
}

#[test]
fn an_undo_is_undone_by_what_it_found() {
    let row = row(Some('b'), &[(101, Some('a'))]);
    assert_eq!(standing(&row, &[101]), touched(101, Some('b'), &[]));
}

#[test]
fn an_undo_of_a_later_write_does_not_stand_on_an_earlier_one() {
    let row = row(None, &[(1, Some('a')), (2, Some('b')), (102, Some('a'))]);
    assert_eq!(standing(&row, &[1]), touched(1, None, &[]));
}

/// The value that an undone undo brings back may have been the row's long before.
#[test]
fn an_undone_undo_brings_back_what_it_took_though_the_value_is_older() {
    let writes = [
        (1, Some('b')),
        (2, Some('a')),
        (102, Some('b')),
        (202, Some('a')),
    ];
    let row = row(Some('a'), &writes);
    assert_eq!(standing(&row, &[1]), touched(1, Some('a'), &[2]));
}

#[test]
fn an_undo_by_force_stands_on_what_it_left() {
    let row = row(Some('a'), &[(2, Some('b')), (101, Some('c'))]);
    assert_eq!(standing(&row, &[2]), touched(2, Some('a'), &[101]));
}

#[test]
fn clearing_away_and_bringing_back_leave_no_trace() {
    let row = row(None, &[(1, Some('a')), (50, None), (51, Some('a'))]);
    assert_eq!(standing(&row, &[1]), touched(1, None, &[]));
}

#[test]
fn what_was_cleared_away_is_gone() {
    let row = row(Some('a'), &[(1, Some('b')), (50, None)]);
    assert_eq!(standing(&row, &[1]), touched(1, Some('a'), &[50]));
}

#[test]
fn states_that_meet_are_one_write_and_a_gap_is_two() {
    let span = |since, end: Option<u64>, value| Span {
        since: Revision(since),
        end: end.map(Revision),
        value,
    };
    let spans = [
        span(1, Some(2), 'z'),
        span(2, Some(5), 'a'),
        span(5, Some(6), 'b'),
        span(8, None, 'c'),
    ];
    let expected = [(5, Some('b')), (6, None), (8, Some('c'))];
    assert_eq!(
        Timeline::new(&spans, Revision(5)),
        row(Some('a'), &expected)
    );
    let expected = [(2, Some('a')), (5, Some('b')), (6, None), (8, Some('c'))];
    assert_eq!(
        Timeline::new(&spans, Revision(2)),
        row(Some('z'), &expected)
    );
}

#[test]
fn a_part_that_a_write_left_alone_was_not_written() {
    let span = |since, end: Option<u64>, value| Span {
        since: Revision(since),
        end: end.map(Revision),
        value,
    };
    let spans = [
        span(1, Some(2), (1, 'a')),
        span(2, Some(3), (2, 'a')),
        span(3, None, (2, 'b')),
    ];
    let whole = Timeline::new(&spans, Revision(2));
    let letters = whole.part(|(_, letter)| Some(*letter));
    assert_eq!(letters, row(Some('a'), &[(3, Some('b'))]));
}
