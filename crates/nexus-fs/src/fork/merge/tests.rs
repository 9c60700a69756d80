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
        assert_eq!(merge_lines(base, ours, theirs), merged);
    }
}

#[test]
fn a_text_is_utf_8_without_nul() {
    assert_eq!(as_text(b"a\xc3\xa9"), Some("a\u{e9}".to_owned()));
    assert_eq!(as_text(b"a\0b"), None);
    assert_eq!(as_text(b"\xff"), None);
}
