use nexus_kernel::Kind;
use proptest::prelude::*;

use super::*;

fn refusal(path: &str) -> Kind {
    normalize(path).expect_err("this path is refused").kind()
}

#[test]
fn a_trailing_slash_is_taken_off() {
    for (path, normal) in [("/", "/"), ("/a", "/a"), ("/a/", "/a"), ("/a/b/", "/a/b")] {
        assert_eq!(normalize(path).ok(), Some(normal));
    }
}

#[test]
fn what_is_no_absolute_path_of_plain_names_is_refused() {
    for path in [
        "", "a", "a/b", "//", "///", "/a//b", "/a//", "//a", "/.", "/..", "/a/../b", "/a/./b",
        "/a/..", "/a\0b",
    ] {
        assert_eq!(refusal(path), Kind::InvalidArgument, "{path:?}");
    }
}

#[test]
fn dots_within_a_name_are_part_of_it() {
    for path in ["/...", "/.a", "/a.", "/a..b", "/..a"] {
        assert_eq!(normalize(path).ok(), Some(path));
    }
}

#[test]
fn names_levels_and_paths_have_their_limits() {
    let longest = format!("/{}", "n".repeat(NAME_BYTES_MAX));
    let deepest = "/n".repeat(DEPTH_MAX);
    let fullest = longest.repeat(PATH_BYTES_MAX / longest.len());
    for path in [&longest, &deepest, &fullest] {
        assert_eq!(normalize(path).ok(), Some(path.as_str()));
    }
    for path in [longest + "n", deepest + "/n", fullest + "/"] {
        assert_eq!(refusal(&path), Kind::LimitExceeded);
    }
}

#[test]
fn a_link_is_followed_from_the_directory_it_lies_in() {
    for (dir, target, rest, followed) in [
        ("/a/b", "c", "", "/a/b/c"),
        ("/a/b", "../c", "d/e", "/a/c/d/e"),
        ("/a/b", "/c", "d", "/c/d"),
        ("/a", "../../../etc", "passwd", "/etc/passwd"),
        ("/", ".", "", "/"),
        ("/a", "..", "", "/"),
    ] {
        assert_eq!(
            follow(dir, target, rest).unwrap(),
            followed,
            "{dir} {target} {rest}"
        );
    }
}

/// Paths near enough to well-formed ones that both outcomes are common.
fn path() -> impl Strategy<Value = String> {
    prop_oneof![
        "/?([ab.]{0,3}/){0,4}[ab.]{0,3}/?",
        "(/[^/]{1,5}){0,5}",
        any::<String>()
    ]
}

proptest! {
    #[test]
    fn a_normal_path_is_normal_and_made_of_names(path in path()) {
        if let Ok(normal) = normalize(&path) {
            prop_assert_eq!(normalize(normal).ok(), Some(normal));
            prop_assert!(names(normal).all(|name| check_name(name).is_ok()));
            prop_assert_eq!(names(normal).fold("/".to_owned(), |dir, name| join(&dir, name)), normal);
        }
    }

    #[test]
    fn a_path_is_its_parent_and_its_name(path in path()) {
        let Ok(normal) = normalize(&path) else { return Ok(()) };
        let Some((parent, name)) = split(normal) else {
            prop_assert_eq!(normal, "/");
            return Ok(());
        };
        prop_assert_eq!(normalize(parent).ok(), Some(parent));
        prop_assert_eq!(join(parent, name), normal);
        prop_assert!(is_within(normal, parent) && !is_within(parent, normal));
    }

    #[test]
    fn within_goes_by_names_and_not_by_letters(path in "(/[ab]{1,2}){0,4}", dir in "(/[ab]{1,2}){0,3}") {
        let normal = |path: String| if path.is_empty() { "/".to_owned() } else { path };
        let (path, dir) = (normal(path), normal(dir));
        let begins = names(&path).take(names(&dir).count()).eq(names(&dir));
        prop_assert_eq!(is_within(&path, &dir), begins);
    }

    #[test]
    fn no_link_leads_out_of_the_tree(dir in path(), target in path(), rest in path()) {
        let Ok(dir) = normalize(&dir) else { return Ok(()) };
        if let Ok(followed) = follow(dir, &target, &rest) {
            prop_assert_eq!(normalize(&followed).ok(), Some(followed.as_str()));
        }
    }
}
