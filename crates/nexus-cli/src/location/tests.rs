use super::*;

fn remote(text: &str) -> RemotePath {
    text.parse().unwrap()
}

fn past(text: &str) -> PastPath {
    text.parse().unwrap()
}

#[test]
fn a_remote_path_is_absolute_however_it_is_written() {
    for text in ["/a/b", "a/b", "nx:/a/b", "nx:a/b", "/a/b/"] {
        assert_eq!(remote(text).as_str(), "/a/b", "{text}");
    }
    for text in ["/", "", "nx:", "nx:/"] {
        assert_eq!(remote(text).as_str(), "/", "{text}");
    }
}

#[test]
fn what_a_node_must_refuse_still_reaches_it() {
    assert_eq!(remote("/a//b").as_str(), "/a//b");
    assert_eq!(remote("/../a").as_str(), "/../a");
    assert_eq!(remote("//").as_str(), "/");
}

#[test]
fn a_point_is_what_stands_last_in_braces() {
    for (text, path, point) in [
        ("/a@{r4}", "/a", Some("r4")),
        ("nx:a@{2h ago}", "/a", Some("2h ago")),
        ("@{before}", "/", Some("before")),
        ("/a@{x}@{latest}", "/a@{x}", Some("latest")),
        ("/a@{}", "/a", Some("")),
        ("/a@b", "/a@b", None),
        ("/a@{b}c", "/a@{b}c", None),
        ("/a}", "/a}", None),
    ] {
        let read: PastPath = text.parse().unwrap();
        assert_eq!(read.as_str(), path, "{text}");
        assert_eq!(read.point.as_deref(), point, "{text}");
    }
}

#[test]
fn only_the_mark_makes_a_location_remote() {
    let check = |text: &str, expected| assert_eq!(text.parse::<Location>().unwrap(), expected);
    check(
        "nx:/a",
        Location::Remote {
            path: past("/a"),
            directory: false,
        },
    );
    check(
        "nx:/a/",
        Location::Remote {
            path: past("/a"),
            directory: true,
        },
    );
    check(
        "nx:",
        Location::Remote {
            path: past("/"),
            directory: true,
        },
    );
    check("/a", Location::Local("/a".into()));
    check("./nx:/a", Location::Local("./nx:/a".into()));
}

#[test]
fn the_name_is_the_last_component() {
    assert_eq!(remote("/a/b").name(), Some("b"));
    assert_eq!(remote("/").name(), None);
}

#[test]
fn paths_are_joined_and_taken_apart() {
    assert_eq!(join("/", "a"), "/a");
    assert_eq!(join("/a", "b/c"), "/a/b/c");
    assert_eq!(join("/a", ""), "/a");
    assert_eq!(below("/a/b/c", "/a").unwrap(), "b/c");
    assert_eq!(below("/a", "/").unwrap(), "a");
    assert_eq!(below("/a", "/a").unwrap(), "");
    assert!(below("/ab", "/a").is_err());
}
