use proptest::prelude::{any, prop_assert_eq, proptest};

use super::*;

fn query(pattern: &str) -> GrepQuery {
    GrepQuery {
        pattern: pattern.into(),
        ..GrepQuery::default()
    }
}

/// All matches in a text, as `line:column:matched`.
fn found(query: &GrepQuery, text: &str) -> Vec<GrepMatch> {
    let plan = Plan::new(query).unwrap();
    let piece = Piece::whole(
        "/f".into(),
        Bytes::copy_from_slice(text.as_bytes()),
        plan.max_per_file,
    );
    let mut batch = Batch::from([piece]);
    let mut matches = Vec::new();
    while !batch.is_empty() {
        let found = plan.search(batch).unwrap();
        matches.extend(found.matches);
        batch = found.rest;
    }
    matches
}

#[track_caller]
fn check(query: &GrepQuery, text: &str, expected: &[(u64, u64, &str, &str)]) {
    let matches = found(query, text);
    let shown: Vec<_> = matches
        .iter()
        .map(|m| (m.line, m.column, &*m.content, &*m.matched))
        .collect();
    assert_eq!(shown, expected);
}

#[test]
fn a_line_is_found_once_with_its_first_match() {
    check(
        &query("o."),
        "foo\nbar\nboob oo\n",
        &[(1, 2, "foo", "oo"), (3, 2, "boob oo", "oo")],
    );
    check(&query("^b.*r$"), "foo\nbar\nbaz", &[(2, 1, "bar", "bar")]);
    check(&query("z"), "x\nz", &[(2, 1, "z", "z")]);
    check(&query("ü"), "aü\n", &[(1, 2, "aü", "ü")]);
}

#[test]
fn a_pattern_that_matches_nothing_matches_every_line() {
    check(
        &query(""),
        "a\n\nb\n",
        &[(1, 1, "a", ""), (2, 1, "", ""), (3, 1, "b", "")],
    );
    check(&query("^$"), "a\n\nb", &[(2, 1, "", "")]);
    check(&query("x*"), "", &[]);
}

#[test]
fn a_match_does_not_cross_lines_unless_asked() {
    check(&query(r"a\sb"), "a\nb\na b\n", &[(3, 1, "a b", "a b")]);
    check(
        &query("[^x]+"),
        "ab\ncd\n",
        &[(1, 1, "ab", "ab"), (2, 1, "cd", "cd")],
    );
    let across = GrepQuery {
        multi_line: true,
        ..query(r"a\sb")
    };
    check(
        &across,
        "x a\nb y\na b\n",
        &[(1, 3, "x a\nb y", "a\nb"), (3, 1, "a b", "a b")],
    );
    let lines = GrepQuery {
        multi_line: true,
        ..query("b\n")
    };
    check(&lines, "a\nb\nc\n", &[(2, 1, "b", "b\n")]);
}

#[test]
fn a_literal_is_taken_as_it_is() {
    let literal = GrepQuery {
        literal: true,
        ..query("a.b(")
    };
    check(&literal, "axb(\na.b(\n", &[(2, 1, "a.b(", "a.b(")]);
    let caseless = GrepQuery {
        ignore_case: true,
        literal: true,
        ..query("Ä.")
    };
    check(&caseless, "xä.\n", &[(1, 2, "xä.", "ä.")]);
}

#[test]
fn line_ends_are_not_shown() {
    check(
        &query("b"),
        "ab\r\ncb\n",
        &[(1, 2, "ab", "b"), (2, 2, "cb", "b")],
    );
}

#[test]
fn a_byte_order_mark_is_not_part_of_the_first_line() {
    check(
        &query("^a"),
        "\u{feff}ab\na\n",
        &[(1, 1, "ab", "a"), (2, 1, "a", "a")],
    );
}

#[test]
fn context_is_cut_at_the_ends_of_the_file() {
    let query = GrepQuery {
        before: 2,
        after: 1,
        ..query("x")
    };
    let context: Vec<_> = found(&query, "x1\na\nb\nc\nx2\nx3")
        .into_iter()
        .map(|m| (m.before.join(","), m.content, m.after.join(",")))
        .collect();
    let expected = [("", "x1", "a"), ("b,c", "x2", "x3"), ("c,x2", "x3", "")];
    assert_eq!(
        context,
        expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned()))
    );
}

#[test]
fn a_maximum_stops_the_file() {
    let query = GrepQuery {
        max_per_file: Some(2),
        ..query("a")
    };
    assert_eq!(found(&query, &"a\n".repeat(5_000)).len(), 2);
}

#[test]
fn a_search_goes_on_where_it_paused() {
    let text: String = (1..=5_000).map(|i| format!("line {i}\n")).collect();
    let matches = found(&query("line"), &text);
    assert!(
        matches
            .iter()
            .enumerate()
            .all(|(i, m)| m.content == format!("line {}", m.line) && m.line == i as u64 + 1)
    );
    assert_eq!(matches.len(), 5_000);
}

#[test]
fn a_long_line_is_cut_between_characters_and_says_so() {
    let text = format!("a{}z\n", "日".repeat(MATCH_TEXT_BYTES_MAX));
    let matched = found(&query("z"), &text).remove(0);
    assert!(matched.truncated && matched.content.len() <= MATCH_TEXT_BYTES_MAX);
    assert!(matched.content.ends_with('日') && matched.matched == "z");
    assert_eq!(matched.column, text.len() as u64 - 1);
    assert!(!found(&query("a"), "a\n")[0].truncated);
}

#[test]
fn what_is_not_text_is_replaced() {
    let plan = Plan::new(&query("a")).unwrap();
    let bytes = Bytes::from_static(b"\xff a \xe6\n");
    let found = plan
        .search(Batch::from([Piece::whole("/f".into(), bytes, 9)]))
        .unwrap();
    assert_eq!(found.matches[0].content, "\u{fffd} a \u{fffd}");
}

#[test]
fn bad_patterns_say_why() {
    for (pattern, reason) in [
        ("(", "unclosed group"),
        ("a\nb", "multi_line"),
        (r"a\nb", "multi_line"),
        (r"(\w{1000}){1000}", "size limit"),
    ] {
        let error = Plan::new(&query(pattern)).err().expect(reason);
        assert_eq!(error.kind(), nexus_kernel::Kind::InvalidArgument, "{error}");
        assert!(error.to_string().contains(reason), "{error}");
    }
    let long = Plan::new(&query(&"x".repeat(PATTERN_BYTES_MAX + 1)));
    let error = long.err().expect("it is too long");
    assert_eq!(error.kind(), nexus_kernel::Kind::LimitExceeded, "{error}");
    let deep = GrepQuery {
        before: CONTEXT_LINES_MAX + 1,
        ..query("a")
    };
    assert!(Plan::new(&deep).is_err());
}

#[test]
fn a_pattern_that_explodes_elsewhere_takes_linear_time() {
    let text = format!("{}\n", "a".repeat(100_000));
    check(&query("(a*)*(a*)*b"), &text, &[]);
}

proptest! {
    #[test]
    fn lines_are_found_as_by_looking_at_each(text in "[ab\n]{0,60}", multi_line in any::<bool>()) {
        let query = GrepQuery { multi_line, ..query("ab") };
        let expected: Vec<(u64, String)> = text
            .lines()
            .zip(1..)
            .filter(|(line, _)| line.contains("ab"))
            .map(|(line, number)| (number, line.to_owned()))
            .collect();
        let lines: Vec<_> = found(&query, &text).into_iter().map(|m| (m.line, m.content)).collect();
        prop_assert_eq!(lines, expected);
    }
}
