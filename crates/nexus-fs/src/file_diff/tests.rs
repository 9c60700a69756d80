use bytes::Bytes;

use super::{BinaryDiff, DiffMode, FileDiff};

fn diff(old: impl Into<Bytes>, new: impl Into<Bytes>, mode: DiffMode) -> FileDiff {
    let mut diff = FileDiff {
        old: None,
        new: None,
        differs: true,
        text: String::new(),
        added: 0,
        removed: 0,
        binary: None,
    };
    let names = ["old".to_owned(), "new".to_owned()];
    diff.tell(&[old.into(), new.into()], &names, mode);
    diff
}

#[test]
fn words_that_changed_are_told_apart_from_those_around_them() {
    let old = "let total = count + 1;\nsame\n";
    let new = "let sum = count + 2;\nsame\n";
    let told = diff(old, new, DiffMode::Words);
    let expected = "--- old\n+++ new\n@@ -1,2 +1,2 @@\n let \n-total\n+sum\n  = count + \n-1\n+2\n ;\n~\n same\n~\n";
    assert_eq!(told.text, expected);
    assert_eq!((told.added, told.removed), (1, 1));
}

#[test]
fn words_put_together_again_make_both_texts() {
    let old = "a b\n\nc  d.e\nlast";
    let new = "a x b\nc d.f\n\nlast\n";
    let told = diff(old, new, DiffMode::Words).text;
    for (text, mark) in [(old, '-'), (new, '+')] {
        let mut made = String::new();
        let mut ends = true;
        for line in told.lines().skip(3) {
            match line.chars().next() {
                Some('~') if ends => made.push('\n'),
                Some('~') | None => ends = true,
                Some(of) => {
                    ends = of == ' ' || of == mark || line.len() > 1;
                    if of == ' ' || of == mark {
                        made.push_str(&line[1..]);
                    }
                }
            }
        }
        assert_eq!(made, text, "{told}");
    }
}

#[test]
fn lines_are_counted_also_without_the_difference() {
    let told = diff("a\nb\nc\n", "a\nx\ny\nc\n", DiffMode::Summary);
    assert_eq!((told.text.as_str(), told.added, told.removed), ("", 2, 1));
    assert_eq!(told.binary, None);
}

#[test]
fn of_what_is_not_text_the_place_is_told() {
    let told = diff(
        vec![1, 2, 0xFF, 4, 5],
        vec![1, 2, 3, 3, 5],
        DiffMode::Unified,
    );
    assert_eq!(told.text, "Binary files old and new differ\n");
    let place = BinaryDiff {
        common_prefix: Some(2),
        common_suffix: Some(1),
    };
    assert_eq!(told.binary, Some(place));
    let told = diff(vec![0xFF, 0xFF], vec![0xFF, 0xFF, 0xFF], DiffMode::Summary);
    let place = told.binary.unwrap();
    assert_eq!(
        (place.common_prefix, place.common_suffix),
        (Some(2), Some(0))
    );
}
