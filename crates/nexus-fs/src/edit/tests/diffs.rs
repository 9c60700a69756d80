use crate::edit::unified_diff;
use proptest::prelude::*;

fn diff(old: &str, new: &str) -> String {
    unified_diff(old, new, "a", "b")
}

#[test]
fn a_diff_reads_as_diff_u_prints_it() {
    let old = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";
    let new = "1\n2\n3\n4\nfive\n6\n7\n8\n9\n";
    let expected = "--- a\n+++ b\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n";
    assert_eq!(diff(old, new), expected);
}

#[test]
fn equal_texts_have_no_diff() {
    assert_eq!(diff("a\n", "a\n"), "");
    assert_eq!(diff("", ""), "");
}

#[test]
fn a_missing_last_line_end_is_marked() {
    let expected = "--- a\n+++ b\n@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n";
    assert_eq!(diff("a", "a\n"), expected);
    assert_eq!(diff("", "x\n"), "--- a\n+++ b\n@@ -0,0 +1 @@\n+x\n");
}

#[test]
fn line_ends_are_shown_as_they_are() {
    assert!(diff("a\r\nb\n", "a\nb\n").contains("-a\r\n+a\n"));
}

#[test]
fn a_name_cannot_pass_for_a_line_of_the_diff() {
    let diff = unified_diff("a\n", "b\n", "x\n+++ y", "z");
    assert!(diff.starts_with("--- x\\n+++ y\n+++ z\n"));
}

#[test]
fn large_texts_without_a_common_line_are_replaced_whole() {
    let old: String = (0..100_000).map(|i| format!("{}\n", i % 2)).collect();
    let new: String = (0..100_000).map(|i| format!("{}\n", 2 + i % 2)).collect();
    let diff = diff(&old, &new);
    assert!(diff.starts_with("--- a\n+++ b\n@@ -1,100000 +1,100000 @@\n-0\n"));
}

#[test]
fn scattered_changes_in_a_large_text_are_found_one_by_one() {
    let line = |i: usize, mark| {
        if i % 1_000 == 500 {
            format!("{mark}{i}\n")
        } else {
            format!("{i}\n")
        }
    };
    let old: String = (0..50_000).map(|i| line(i, 'x')).collect();
    let new: String = (0..50_000).map(|i| line(i, 'y')).collect();
    assert_eq!(diff(&old, &new).matches("@@ -").count(), 50);
}

/// What `patch` does.
fn patched(old: &str, diff: &str) -> String {
    let mut source = old.split_inclusive('\n').peekable();
    let mut result: Vec<String> = Vec::new();
    let mut taken = 0;
    let lines: Vec<&str> = diff.split_inclusive('\n').skip(2).collect();
    for (i, line) in lines.iter().enumerate() {
        let cut = lines.get(i + 1).is_some_and(|next| next.starts_with('\\'));
        let text = if cut {
            &line[1..line.len() - 1]
        } else {
            &line[1..]
        };
        match line.as_bytes()[0] {
            b'@' => {
                let numbers = line.split(['-', ',', ' ']).nth(2).unwrap();
                let start: usize = numbers.parse().unwrap();
                let single = !line.split(' ').nth(1).unwrap().contains(",0");
                while taken + usize::from(single) < start {
                    result.push(source.next().unwrap().to_owned());
                    taken += 1;
                }
            }
            b'+' => result.push(text.to_owned()),
            b' ' | b'-' => {
                let line_there = source.next().unwrap();
                assert_eq!(line_there, text);
                taken += 1;
                if line.starts_with(' ') {
                    result.push(text.to_owned());
                }
            }
            _ => {}
        }
    }
    result.extend(source.map(str::to_owned));
    result.concat()
}

proptest! {
    #[test]
    fn applying_a_diff_gives_the_new_text(old in "([a-f]\n){0,30}[a-f]?", new in "([a-f]\n){0,30}[a-f]?") {
        prop_assert_eq!(patched(&old, &diff(&old, &new)), new);
    }

    #[test]
    fn applying_a_diff_of_mostly_unique_lines_gives_the_new_text(
        lines in proptest::collection::vec(0_u16..400, 0..60),
        cut in 0_usize..60, paste in 0_usize..60, len in 0_usize..10,
    ) {
        let text = |lines: &[u16]| lines.iter().map(|i| format!("{i}\n")).collect::<String>();
        let mut changed = lines.clone();
        let end = (cut + len).min(lines.len());
        let moved: Vec<u16> = changed.drain(cut.min(end)..end).collect();
        let at = paste.min(changed.len());
        changed.splice(at..at, moved);
        let (old, new) = (text(&lines), text(&changed));
        prop_assert_eq!(patched(&old, &diff(&old, &new)), new);
    }
}
