use super::*;

const DIFF: &str = "@@ -1 +1 @@\n-a\n+\x1b[2J\n";

#[test]
fn a_diff_cannot_steer_the_terminal() {
    assert_eq!(Style::default().diff(DIFF), "@@ -1 +1 @@\n-a\n+\\u{1b}[2J");
}

#[test]
fn the_changed_lines_of_a_diff_are_coloured() {
    assert_eq!(
        Style { color: true }.diff(DIFF),
        "\x1b[2m@@ -1 +1 @@\x1b[0m\n\x1b[31m-a\x1b[0m\n\x1b[32m+\\u{1b}[2J\x1b[0m"
    );
}
