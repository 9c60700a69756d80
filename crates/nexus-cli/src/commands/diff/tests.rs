use clap::Parser;

use super::*;

#[derive(Parser)]
struct Typed {
    #[command(flatten)]
    diff: Diff,
}

fn operands(typed: &[&str]) -> Result<(String, String, [Option<String>; 2])> {
    let typed = [&["diff"], typed].concat();
    Typed::try_parse_from(typed).unwrap().diff.operands()
}

#[test]
fn points_are_given_with_the_path_or_after_it() {
    let point = |point: &str| Some(point.to_owned());
    for (typed, points) in [
        (&["/a"][..], [None, None]),
        (&["/a", "42"], [point("42"), None]),
        (&["/a@{42}"], [point("42"), None]),
        (&["/a@{42}", "v3"], [point("42"), point("v3")]),
        (&["/a", "v2", "1h ago"], [point("v2"), point("1h ago")]),
    ] {
        let expected = ("/a".to_owned(), "/a".to_owned(), points);
        assert_eq!(operands(typed).unwrap(), expected, "{typed:?}");
    }
    assert!(operands(&["/a@{1}", "2", "3"]).is_err());
}

#[test]
fn two_paths_have_points_of_their_own() {
    let (old, new, points) = operands(&["/a@{42}", "/b"]).unwrap();
    assert_eq!((&*old, &*new), ("/a", "/b"));
    assert_eq!(points, [Some("42".to_owned()), None]);
    let (_, _, points) = operands(&["/a", "/b@{7}"]).unwrap();
    assert_eq!(points, [Some("latest".to_owned()), Some("7".to_owned())]);
    assert!(operands(&["/a", "/b", "7"]).is_err());
}

#[test]
fn words_are_marked_where_there_are_no_colours() {
    let runs = "--- a\n+++ b\n@@ -1 +1 @@\n let \n-x\n+y\n  = 1;\n~\n";
    assert_eq!(
        words::shown(runs, Style::default()),
        "--- a\n+++ b\n@@ -1 +1 @@\nlet [-x-]{+y+} = 1;"
    );
    let colored = words::shown(runs, Style { color: true });
    assert!(
        colored.contains("\x1b[31mx\x1b[0m\x1b[32my\x1b[0m"),
        "{colored}"
    );
    assert_eq!(words::shown("", Style::default()), "");
}
