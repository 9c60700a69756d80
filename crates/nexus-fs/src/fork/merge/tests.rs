use super::text::{Merged, as_text, merge_lines};

/// Each case: the text before, ours, theirs, and what comes of it.
#[test]
fn lines_that_one_side_changed_are_taken_and_others_are_marked() {
    let clean = |text: &str| Merged::Clean(text.to_owned());
    let cases = [
        ("a\nb\nc\n", "A\nb\nc\n", "a\nb\nC\n", clean("A\nb\nC\n")),
        ("a\nb\n", "a\nb\n", "a\n", clean("a\n")),
        ("a\n", "a\nx\n", "a\nx\n", clean("a\nx\n")),
        (
            "a\nb\n",
            "a\nours\n",
            "a\ntheirs\n",
            Merged::Marked(
                "a\n<<<<<<< ours\nours\n||||||| original\nb\n=======\ntheirs\n>>>>>>> theirs\n"
                    .to_owned(),
            ),
        ),
    ];
    for (base, ours, theirs, merged) in cases {
        assert_eq!(merge_lines([base, ours, theirs], u64::MAX), Some(merged));
    }
}

/// Long texts that differ in little are merged, and those that differ in much are not even tried.
#[test]
fn texts_that_differ_in_too_much_are_not_merged() {
    const LINES: usize = 2_000;
    const STEPS_MAX: u64 = 100_000;
    let text = |changed: std::ops::Range<usize>, word: &str| -> String {
        let lines = (0..LINES).map(|line| match changed.contains(&line) {
            true => format!("{word} {line}\n"),
            false => format!("{line}\n"),
        });
        lines.collect()
    };
    let base = text(0..0, "");
    // Each changed line is one that goes and one that comes, among the lines of both texts.
    let most = STEPS_MAX as usize / (2 * LINES) / 2;
    let cases = [
        (0..1, LINES - 1..LINES, true),
        (0..most, LINES - most..LINES, true),
        (0..most + 1, LINES - 1..LINES, false),
        (0..1, LINES - most - 1..LINES, false),
        (0..LINES, 0..LINES, false),
    ];
    for (ours, theirs, expected) in cases {
        let (ours, theirs) = (text(ours, "ours"), text(theirs, "theirs"));
        let merged = merge_lines([&base, &ours, &theirs], STEPS_MAX);
        let clean = matches!(merged, Some(Merged::Clean(_)));
        assert_eq!(clean, expected);
        assert_eq!(merged.is_some(), expected);
    }
    // Nothing at all is compared at once.
    assert!(merge_lines(["", "", "x\n"], STEPS_MAX).is_some());
}

#[test]
fn a_text_is_utf_8_without_nul() {
    assert_eq!(as_text(b"a\xc3\xa9"), Some("a\u{e9}".to_owned()));
    assert_eq!(as_text(b"a\0b"), None);
    assert_eq!(as_text(b"\xff"), None);
}
