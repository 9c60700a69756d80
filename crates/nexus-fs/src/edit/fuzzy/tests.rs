use super::*;
use crate::edit::work::WORK_MAX;
use proptest::prelude::*;

fn similar(text: &str, quote: &str, threshold: f64) -> Result<Vec<Window>> {
    best(text, quote, threshold, &mut Work::up_to(WORK_MAX))
}

fn levenshtein(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let next = (diagonal + usize::from(x != y))
                .min(row[j] + 1)
                .min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], next);
        }
    }
    row[b.len()]
}

proptest! {
    #[test]
    fn distances_are_levenshtein_distances(quote in "[ab]{1,150}", text in "[ab]{1,150}") {
        let mut work = Work::up_to(WORK_MAX);
        let mut search = Search::new(&text, &quote, &mut work).unwrap();
        let distance = search.distance(0..text.len()).unwrap();
        prop_assert_eq!(distance, levenshtein(quote.as_bytes(), text.as_bytes()));
    }

    #[test]
    fn the_best_end_of_a_line_is_where_the_best_part_ends(quote in "[ab]{1,70}", line in "[ab]{1,20}") {
        let text = format!("{line}\n");
        let mut work = Work::up_to(WORK_MAX);
        let mut search = Search::new(&text, &quote, &mut work).unwrap();
        let end = search.ends().unwrap()[0];
        let line = line.as_bytes();
        let best = (0..line.len())
            .flat_map(|a| (a + 1..=line.len()).map(move |b| &line[a..b]))
            .map(|part| levenshtein(quote.as_bytes(), part))
            .min();
        prop_assert_eq!(Some(end.distance.min(quote.len())), best.map(|best| best.min(quote.len())));
    }

    #[test]
    fn windows_lie_on_characters(quote in "[a-cé日 \n]{1,12}", text in "[a-cé日 \n]{1,40}") {
        let text = format!("{text}\n");
        for window in similar(&text, &quote, 0.5).unwrap() {
            prop_assert!(text.get(window.range).is_some());
        }
    }
}

#[test]
fn of_overlapping_parts_the_best_is_chosen() {
    let windows = similar(
        "alpha beta gamma\nalpha beta gamme\n",
        "alpha beta gamma",
        0.8,
    )
    .unwrap();
    assert_eq!(windows.len(), 2);
    assert_eq!(windows[0].range, 0..16);
    assert_eq!(windows[1].range, 17..33);
}

#[test]
fn what_follows_the_quote_on_its_line_is_left_alone() {
    let text = "let x = fooo(bar);\n";
    let windows = similar(text, "let x = foo(bar)", 0.8).unwrap();
    assert_eq!(&text[windows[0].range.clone()], "let x = fooo(bar)");
}

#[test]
fn an_edge_that_differs_takes_the_whole_line() {
    let text = "one\ntwo three four five\nlast line here, XYZW\nend\n";
    let windows = similar(text, "two three four five\nlast line here, X1", 0.8).unwrap();
    assert_eq!(
        &text[windows[0].range.clone()],
        "two three four five\nlast line here, XYZW"
    );
}

#[test]
fn lines_around_are_not_drawn_in() {
    let text = "end\nXX\nlet value = 1\nlet other = 2\nfin\n";
    let windows = similar(text, "AAAA\nlet value = 1\nlet other = 2", 0.8).unwrap();
    assert_eq!(
        &text[windows[0].range.clone()],
        "XX\nlet value = 1\nlet other = 2"
    );
}

#[test]
fn too_much_work_is_refused() {
    let text = "some line of text\n".repeat(200_000);
    let quote = "another line of words\n".repeat(2_000);
    assert_eq!(
        similar(&text, &quote, 0.8).unwrap_err().kind(),
        nexus_kernel::Kind::LimitExceeded
    );
    let error = similar("x\n".repeat(2_000).as_str(), "yxz", 0.3).unwrap_err();
    assert_eq!(error.kind(), nexus_kernel::Kind::LimitExceeded);
}
