use proptest::prelude::{prop_assert_eq, proptest};

use super::*;
use crate::search::GrepMatch;

fn plan(before: usize, after: usize) -> Plan {
    let query = GrepQuery {
        pattern: "x".into(),
        before,
        after,
        ..GrepQuery::default()
    };
    Plan::new(&query).unwrap()
}

fn search(plan: &Plan, pieces: impl IntoIterator<Item = Piece>) -> Vec<GrepMatch> {
    plan.search(pieces.into_iter().collect()).unwrap().matches
}

fn cut(plan: &Plan, text: &str, enough: usize, step: usize) -> Vec<Piece> {
    let mut window = Window::new("/f".into(), plan, enough);
    let mut pieces = Vec::new();
    for bytes in text.as_bytes().chunks(step) {
        pieces.extend(window.push(bytes).unwrap());
    }
    pieces.push(window.last());
    pieces
}

proptest! {
    #[test]
    fn a_file_in_pieces_has_the_matches_and_context_of_the_whole(
        text in "[ax\n]{0,80}", before in 0_usize..4, after in 0_usize..4,
        enough in 1_usize..30, step in 1_usize..20,
    ) {
        let plan = plan(before, after);
        let whole = Piece::whole("/f".into(), text.clone().into(), u64::MAX);
        let pieces = cut(&plan, &text, enough, step);
        prop_assert_eq!(search(&plan, pieces), search(&plan, [whole]));
    }
}

#[test]
fn a_byte_order_mark_is_left_out_at_the_start_alone() {
    let query = GrepQuery {
        pattern: "^x".into(),
        ..GrepQuery::default()
    };
    let plan = Plan::new(&query).unwrap();
    let pieces = cut(&plan, "\u{feff}x\n\u{feff}x\nx\n", 1, 5);
    let lines: Vec<u64> = search(&plan, pieces)
        .iter()
        .map(|found| found.line)
        .collect();
    assert_eq!(lines, [1, 3]);
}

#[test]
fn pieces_hold_little_more_than_what_they_search() {
    let text = "a line of text\n".repeat(1_000);
    let pieces = cut(&plan(2, 2), &text, 300, 100);
    assert!(pieces.len() > 30);
    assert!(pieces.iter().all(|piece| piece.bytes.len() < 600));
}

#[test]
fn a_line_without_end_is_refused() {
    let plan = plan(0, 0);
    let mut window = Window::new("/f".into(), &plan, BATCH_BYTES);
    let bytes = vec![b'a'; 16 << 20];
    let error = (0..5)
        .find_map(|_| window.push(&bytes).err())
        .expect("it is too long");
    assert_eq!(error.kind(), nexus_kernel::Kind::LimitExceeded);
    assert_eq!(error.fact("path"), Some("/f"));
}

#[test]
fn files_that_are_held_whole_are_read_a_bounded_number_of_bytes_at_a_time() {
    let mut sizes = [30, 30, 30, 50, 40, 10, 1_000, 100].into_iter().peekable();
    let mut groups = Vec::new();
    while sizes.peek().is_some() {
        groups.push(fitting(&mut sizes, 100, |size| *size));
    }
    let expected = [vec![30, 30, 30], vec![50, 40, 10], vec![1_000], vec![100]];
    assert_eq!(groups, expected);
}
