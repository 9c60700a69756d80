use super::*;

fn found(path: &str, line: u64, content: &str, before: &[&str], after: &[&str]) -> GrepMatch {
    let owned = |lines: &[&str]| lines.iter().map(|&line| line.to_owned()).collect();
    GrepMatch {
        path: path.into(),
        line,
        content: content.into(),
        matched: "x".into(),
        column: content.find('x').map_or(1, |at| at as u64 + 1),
        before: owned(before),
        after: owned(after),
        truncated: false,
    }
}

fn check(mut lines: Lines, matches: impl IntoIterator<Item = GrepMatch>, expected: &[&str]) {
    let mut written: Vec<String> = matches
        .into_iter()
        .flat_map(|found| lines.add(found))
        .collect();
    written.extend(lines.finish());
    assert_eq!(written, expected);
}

fn piped(context: bool) -> Lines {
    Lines::new(Style::default(), false, context)
}

#[test]
fn each_line_has_its_place() {
    let matches = [
        found("/a", 3, "x1", &[], &[]),
        found("/b", 1, "ax", &[], &[]),
    ];
    check(piped(false), matches, &["/a:3:x1", "/b:1:ax"]);
}

#[test]
fn contexts_that_overlap_are_shown_once() {
    let matches = [
        found("/a", 2, "x2", &["l1"], &["l3", "l4"]),
        found("/a", 4, "x4", &["x2", "l3"], &["l5"]),
        found("/a", 9, "x9", &["l8"], &[]),
    ];
    let expected = [
        "/a-1-l1", "/a:2:x2", "/a-3-l3", "/a:4:x4", "/a-5-l5", "--", "/a-8-l8", "/a:9:x9",
    ];
    check(piped(true), matches, &expected);
}

#[test]
fn files_are_parted_where_there_is_context() {
    let matches = [
        found("/a", 1, "x", &[], &["l2"]),
        found("/b", 1, "x", &[], &[]),
    ];
    check(piped(true), matches, &["/a:1:x", "/a-2-l2", "--", "/b:1:x"]);
}

#[test]
fn people_see_a_heading_for_each_file_and_the_match_in_colour() {
    let lines = Lines::new(Style { color: true }, true, false);
    let matches = [
        found("/a", 3, "axb", &[], &[]),
        found("/b", 1, "x", &[], &[]),
    ];
    let expected = [
        "\x1b[35m/a\x1b[0m",
        "3:a\x1b[1;31mx\x1b[0mb",
        "",
        "\x1b[35m/b\x1b[0m",
        "1:\x1b[1;31mx\x1b[0m",
    ];
    check(lines, matches, &expected);
}

#[test]
fn a_match_over_several_lines_numbers_each() {
    check(
        piped(false),
        [found("/a", 3, "x\ny", &[], &[])],
        &["/a:3:x", "/a:4:y"],
    );
}
