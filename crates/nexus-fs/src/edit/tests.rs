use super::*;
use nexus_kernel::Kind;
use proptest::prelude::{any, prop_assert, prop_assert_eq, prop_assume, proptest};

use super::Strategy::{self, Exact, Fuzzy, Whitespace};

mod diffs;

fn edit(old: &str, new: &str) -> Edit {
    Edit {
        old: old.into(),
        new: new.into(),
        ..Edit::default()
    }
}

fn all(old: &str, new: &str) -> Edit {
    Edit {
        all: true,
        ..edit(old, new)
    }
}

fn near(line: u64, old: &str, new: &str) -> Edit {
    Edit {
        hint_line: Some(line),
        ..edit(old, new)
    }
}

/// The text after the edits, with how each was found and where.
#[track_caller]
fn check(text: &str, edits: &[Edit], expected: &str, found: &[(Strategy, u64, u64, usize)]) {
    let attempt = apply(text, edits, 0.8).unwrap();
    assert_eq!(attempt.problem(), None);
    assert_eq!(attempt.text.as_deref(), Some(expected));
    let matches: Vec<_> = attempt
        .matches
        .iter()
        .map(|m| (m.strategy, m.line_start, m.line_end, m.match_count))
        .collect();
    assert_eq!(matches, found);
}

#[track_caller]
fn check_refused(text: &str, edits: &[Edit], threshold: f64, problem: &str) -> EditMatch {
    let attempt = apply(text, edits, threshold).unwrap();
    assert_eq!(attempt.text, None);
    let stated = attempt.problem().expect("there is a problem");
    assert!(stated.contains(problem), "{stated}");
    attempt.matches.last().unwrap().clone()
}

#[test]
fn an_exact_match_is_replaced() {
    check(
        "a\nb\nc\n",
        &[edit("b", "x")],
        "a\nx\nc\n",
        &[(Exact, 2, 2, 1)],
    );
    check(
        "a\nb\nc\n",
        &[edit("a\nb\n", "")],
        "c\n",
        &[(Exact, 1, 2, 1)],
    );
    check(
        "one two",
        &[edit("two", "2\n2")],
        "one 2\n2",
        &[(Exact, 1, 1, 1)],
    );
    check("  ", &[all(" ", "x")], "xx", &[(Exact, 1, 1, 2)]);
    check("é日", &[edit("日", "本")], "é本", &[(Exact, 1, 1, 1)]);
}

#[test]
fn edits_apply_in_order_each_to_the_result_of_the_one_before() {
    let edits = [edit("a", "b\nb2"), edit("b2", "c"), edit("b\nc", "d")];
    check(
        "a\n",
        &edits,
        "d\n",
        &[(Exact, 1, 1, 1), (Exact, 2, 2, 1), (Exact, 1, 2, 1)],
    );
}

#[test]
fn several_matches_need_a_hint_or_all() {
    let text = "x = 1\ny = 2\nx = 1\nz\nx = 1\n";
    let found = check_refused(text, &[edit("x = 1", "w")], 0.8, "at lines [1, 3, 5]");
    assert_eq!((found.match_count, found.applied), (3, false));
    check(
        text,
        &[all("x = 1", "w")],
        "w\ny = 2\nw\nz\nw\n",
        &[(Exact, 1, 1, 3)],
    );
    check(
        text,
        &[near(4, "x = 1", "w")],
        "x = 1\ny = 2\nw\nz\nx = 1\n",
        &[(Exact, 3, 3, 3)],
    );
    check(
        text,
        &[near(900, "x = 1", "w")],
        "x = 1\ny = 2\nx = 1\nz\nw\n",
        &[(Exact, 5, 5, 3)],
    );
    check(
        text,
        &[near(0, "y = 2", "w")],
        "x = 1\nw\nx = 1\nz\nx = 1\n",
        &[(Exact, 2, 2, 1)],
    );
}

#[test]
fn matches_of_an_edit_do_not_overlap() {
    check("aaaa", &[all("aa", "b")], "bb", &[(Exact, 1, 1, 2)]);
}

#[test]
fn a_text_quoted_with_other_whitespace_is_found() {
    let text = "fn f() {\n    if  x {\n\ty();  \n    }\n}\n";
    let expected = "fn f() {\n    done();\n}\n";
    check(
        text,
        &[edit("if x {\n    y();\n}", "done();")],
        expected,
        &[(Whitespace, 2, 4, 1)],
    );
    check(
        "a = f(b,  c);\n",
        &[edit("f(b, c)", "g()")],
        "a = g();\n",
        &[(Whitespace, 1, 1, 1)],
    );
    check(
        "a\n  b",
        &[edit("a\nb\n", "c\n")],
        "c",
        &[(Whitespace, 1, 2, 1)],
    );
}

#[test]
fn the_replacement_takes_the_indentation_found() {
    let text = "class A:\n    def f(self):\n        return 1\n";
    let edits = [edit(
        "def f(self):\n    return 1\n",
        "def f(self):\n    if x:\n        return 2\n",
    )];
    let expected = "class A:\n    def f(self):\n        if x:\n            return 2\n";
    check(text, &edits, expected, &[(Whitespace, 2, 3, 1)]);

    let outdented = [edit(
        "      f(self):\n        return 1",
        "  g(self):\n        return 2",
    )];
    check(
        "  f(self):\n    return 1\n",
        &outdented,
        "g(self):\n    return 2\n",
        &[(Whitespace, 1, 2, 1)],
    );

    let tabs = [edit("if a:\n    b\n", "if a:\n    if c:\n        b\n")];
    check(
        "\tif a:\n\t\tb\n",
        &tabs,
        "\tif a:\n\t\tif c:\n\t\t\tb\n",
        &[(Whitespace, 1, 2, 1)],
    );

    let first_unindented = [edit("foo(\n        a,\n    )", "foo(\n        b,\n    )")];
    let text = "    foo( \n        a,\n    )\n";
    check(
        text,
        &first_unindented,
        "    foo(\n        b,\n    )\n",
        &[(Whitespace, 1, 3, 1)],
    );
}

#[test]
fn blank_lines_of_a_replacement_stay_blank() {
    let edits = [edit("a\nb", "a\n\nb")];
    check(
        "  a\n  b\n",
        &edits,
        "  a\n\n  b\n",
        &[(Whitespace, 1, 2, 1)],
    );
}

#[test]
fn line_ends_of_the_text_are_kept() {
    let text = "a\r\nb\r\nc\r\n";
    check(
        text,
        &[edit("b", "x")],
        "a\r\nx\r\nc\r\n",
        &[(Exact, 2, 2, 1)],
    );
    check(
        text,
        &[edit("a\nb\n", "x\ny\nz\n")],
        "x\r\ny\r\nz\r\nc\r\n",
        &[(Whitespace, 1, 2, 1)],
    );
    check(
        text,
        &[edit("\nb\n", "\nx\n")],
        "a\r\nx\r\nc\r\n",
        &[(Whitespace, 1, 2, 1)],
    );
    check(
        "a\nb\n",
        &[edit("a\r\nb\r\n", "x\r\ny\r\n")],
        "x\ny\n",
        &[(Whitespace, 1, 2, 1)],
    );
}

#[test]
fn whitespace_alone_is_matched_exactly_only() {
    check_refused("a\tb", &[edit("  ", "x")], 0.0, "matches nothing");
    check(
        "a\n\n\nb",
        &[edit("\n\n\n", "\n")],
        "a\nb",
        &[(Exact, 1, 3, 1)],
    );
}

#[test]
fn something_similar_is_found_above_the_threshold() {
    let text = "fn main() {\n    let total = compute_sum(&items);\n    print(total);\n}\n";
    let quote = edit("let total = compute_sums(items);\nprint(total);", "run();");
    check(
        text,
        std::slice::from_ref(&quote),
        "fn main() {\n    run();\n}\n",
        &[(Fuzzy, 2, 3, 1)],
    );
    let near = check_refused(text, &[quote], 0.99, "most similar are lines 2 to 3");
    assert!(near.similarity > 0.9 && near.strategy == Strategy::None);
    assert!(near.original_text.starts_with("    let total"));
    check_refused(
        text,
        &[edit("something else entirely", "")],
        0.8,
        "matches nothing; read",
    );
}

#[test]
fn a_threshold_of_one_turns_fuzzy_matching_off() {
    check_refused(
        "let a = 12345;\n",
        &[edit("let a = 12346;", "")],
        1.0,
        "matches nothing; read",
    );
}

#[test]
fn of_equally_similar_places_a_hint_chooses() {
    let text = "value_one = 1;\nother\nvalue_two = 1;\nvalue_one = 1;\n";
    check_refused(
        text,
        &[edit("value_onx = 1;", "w")],
        0.9,
        "matches 2 places, at lines [1, 4]",
    );
    let hinted = near(3, "value_onx = 1;", "w");
    let attempt = apply(text, &[hinted], 0.9).unwrap();
    assert_eq!(
        attempt.text.unwrap(),
        "value_one = 1;\nother\nvalue_two = 1;\nw\n"
    );
}

#[test]
fn of_similar_places_the_most_similar_is_taken() {
    let text = "let value_one = 11;\nlet value_two = 12;\n";
    let edits = [all("let value_twoo = 12;", "w")];
    check(
        text,
        &edits,
        "let value_one = 11;\nw\n",
        &[(Fuzzy, 2, 2, 1)],
    );
}

#[test]
fn an_edit_that_fails_leaves_no_text() {
    let attempt = apply(
        "a b",
        &[edit("a", "x"), edit("zzzzzz", "y"), edit("b", "z")],
        0.8,
    )
    .unwrap();
    assert_eq!(attempt.text, None);
    assert_eq!(attempt.matches.len(), 2);
    assert!(attempt.matches[0].applied);
    assert!(
        attempt
            .problem()
            .unwrap()
            .starts_with("edit 1 matches nothing")
    );
}

#[test]
fn malformed_requests_say_why() {
    let refused = |text: &str, edits: &[Edit], threshold| {
        let error = apply(text, edits, threshold).unwrap_err();
        (error.kind(), error.message().to_owned())
    };
    let (kind, why) = refused("a", &[edit("a", "b"), edit("", "b")], 0.8);
    assert!(kind == Kind::InvalidArgument && why.contains("empty"));
    for threshold in [-0.1, 1.1, f64::NAN] {
        assert_eq!(refused("a", &[], threshold).0, Kind::InvalidArgument);
    }
    let many = vec![edit("a", "a"); EDITS_MAX + 1];
    assert_eq!(refused("a", &many, 0.8).0, Kind::LimitExceeded);
    assert_eq!(
        refused(&"a".repeat(TEXT_BYTES_MAX + 1), &[], 0.8).0,
        Kind::LimitExceeded
    );
    let bomb = vec![all("a", &"a".repeat(1_000)); 10];
    assert_eq!(refused("a", &bomb, 0.8).0, Kind::LimitExceeded);
    assert_eq!(
        refused(&"a".repeat(MATCHES_MAX + 1), &[all("a", "b")], 0.8).0,
        Kind::LimitExceeded
    );
    let (kind, why) = refused(
        &"a\n".repeat(TOLERANT_TEXT_BYTES_MAX),
        &[edit("b", "")],
        0.8,
    );
    assert!(kind == Kind::LimitExceeded && why.contains("quote it exactly"));
}

#[test]
fn edits_that_take_too_long_together_are_refused() {
    let text = "0123456789".repeat(100);
    let refused_at = |edit: Edit, units: u64| {
        let edits = vec![edit; 10];
        let error = apply_within(Work::up_to(units), &text, &edits, 0.8).err()?;
        assert_eq!(error.kind(), Kind::LimitExceeded);
        error.fact("edit_index").map(str::to_owned)
    };
    let exact = all("0123", "0123");
    assert_eq!(refused_at(exact.clone(), 10_000), None);
    assert_eq!(refused_at(exact, 3_500).as_deref(), Some("3"));
    assert_eq!(refused_at(edit("8\t9", ""), 32_000).as_deref(), Some("0"));
    assert_eq!(refused_at(edit("8\t9", ""), 33_000).as_deref(), Some("0"));
    assert_eq!(refused_at(edit("8\t9", ""), 99_000), None);
}

#[test]
fn many_places_on_one_long_line_are_fitted_in_linear_time() {
    let text = "x  y ".repeat(200_000);
    let attempt = apply(&text, &[all("x y", "z\n")], 1.0).unwrap();
    assert_eq!(attempt.text.unwrap().len(), 3 * 200_000);
}

#[test]
fn no_edits_change_nothing() {
    check("a", &[], "a", &[]);
    check_refused("", &[edit("a", "b")], 0.0, "matches nothing");
}

const TEXTS: &str = "[ab é\t\r\n.]{0,40}";

proptest! {
    #[test]
    fn an_exact_edit_is_replacen(text in "[ab\n]{0,30}", old in "[ab\n]{1,3}", new in "[abc\n]{0,4}") {
        let count = text.matches(&old).count();
        let one = apply(&text, &[near(1, &old, &new)], 1.0).unwrap();
        let every = apply(&text, &[all(&old, &new)], 1.0).unwrap();
        if count > 0 {
            prop_assert_eq!(one.text, Some(text.replacen(&old, &new, 1)));
            prop_assert_eq!(every.text, Some(text.replace(&old, &new)));
        }
    }

    #[test]
    fn nothing_panics(
        text in TEXTS, old in TEXTS, new in TEXTS, threshold in 0.0..=1.0, every in any::<bool>(),
        hint in proptest::option::of(0_u64..9),
    ) {
        prop_assume!(!old.is_empty());
        let edit = Edit { old, new, hint_line: hint, all: every };
        let attempt = apply(&text, &[edit.clone(), edit], threshold).unwrap();
        prop_assert_eq!(attempt.text.is_none(), attempt.problem().is_some());
    }

    #[test]
    fn other_whitespace_never_matters_to_whether_a_line_is_found(
        words in proptest::collection::vec("[a-c]{1,3}", 1..6), gap in "[ \t]{1,3}", indent in "[ \t]{0,4}",
    ) {
        let text = format!("zz\n{indent}{}\nzz\n", words.join(&gap));
        let attempt = apply(&text, &[edit(&words.join(" "), "new")], 1.0).unwrap();
        prop_assert!(attempt.text.is_some());
    }
}
