use super::*;
use proptest::prelude::*;

mod naive;

fn pattern(glob: &str, base: &str) -> PathPattern {
    PathPattern::new(glob, base).expect(glob)
}

#[track_caller]
fn check(glob: &str, base: &str, yes: &[&str], no: &[&str]) {
    let pattern = pattern(glob, base);
    for path in yes {
        assert!(
            pattern.matches(path),
            "{glob} in {base} should match {path}"
        );
        assert!(path::is_within(
            path,
            pattern.base_dir().trim_end_matches('/')
        ));
        let mut dir = *path;
        while let Some((parent, _)) = dir.rsplit_once('/') {
            assert!(
                pattern.may_match_below(parent),
                "{glob} should look below {parent:?}"
            );
            dir = parent;
        }
    }
    for path in no {
        assert!(
            !pattern.matches(path),
            "{glob} in {base} should not match {path}"
        );
    }
}

#[test]
fn stars_stay_within_a_component() {
    check(
        "*.rs",
        "/src",
        &["/src/a.rs", "/src/.rs"],
        &["/src/a/b.rs", "/a.rs", "/src/a.rsx"],
    );
    check(
        "/src/*/b",
        "/x",
        &["/src/a/b"],
        &["/src/b", "/src/a/a/b", "/x/src/a/b"],
    );
    check(
        "a?c",
        "/",
        &["/abc", "/aéc", "/a日c"],
        &["/ac", "/abbc", "/a/c"],
    );
}

#[test]
fn two_stars_cross_components() {
    check("**", "/", &["/a", "/a/b/c"], &["/"]);
    check("**/*.rs", "/", &["/a.rs", "/x/y/a.rs"], &["/a.txt"]);
    check("/a/**", "/", &["/a/b", "/a/b/c"], &["/a", "/ab"]);
    check(
        "/a/**/z",
        "/",
        &["/a/z", "/a/b/c/z"],
        &["/az", "/a/zz", "/z"],
    );
    check("a**b", "/", &["/ab", "/axxb"], &["/a/b"]);
    check("**a/b", "/", &["/xa/b", "/a/b"], &["/x/a/b"]);
    check("**/**/a", "/", &["/a", "/x/a"], &["/b"]);
}

#[test]
fn braces_and_classes() {
    check(
        "*.{rs,toml}",
        "/",
        &["/a.rs", "/a.toml"],
        &["/a.", "/a.rs,toml"],
    );
    check("{a/b,c}/d", "/", &["/a/b/d", "/c/d"], &["/a/d", "/b/d"]);
    check("x{,y}", "/", &["/x", "/xy"], &["/y"]);
    check("{**/a,b/**}", "/", &["/a", "/q/a", "/b/c/d"], &["/b"]);
    check("a{b{c,d},e}f", "/", &["/abcf", "/abdf", "/aef"], &["/abf"]);
    check("[a-cx]", "/", &["/b", "/x"], &["/d", "/-"]);
    check("[!a-c]z", "/", &["/dz", "/éz"], &["/az", "/z"]);
    check("p[+-0]q", "/", &["/p.q"], &["/p/q"]);
    check("p[^x]q", "/", &["/p.q"], &["/p/q", "/pxq"]);
    check("[]a]", "/", &["/]", "/a"], &["/b"]);
    check("[a-]", "/", &["/-", "/a"], &["/b"]);
    check("[&&~~]", "/", &["/&", "/~"], &["/a"]);
    check("[é-ü]", "/", &["/ö"], &["/e"]);
    check("a,b", "/", &["/a,b"], &["/a"]);
}

#[test]
fn escapes_are_literal() {
    check(r"\*", "/", &["/*"], &["/a"]);
    check(r"a\{b\}", "/", &["/a{b}"], &["/ab"]);
    check(r"[\]]", "/", &["/]"], &["/a"]);
    check("a.c+(d)", "/", &["/a.c+(d)"], &["/abc+(d)", "/a.cc(d)"]);
}

#[test]
fn the_base_is_literal() {
    check(
        "*",
        "/we[ir]d{a,b}",
        &["/we[ir]d{a,b}/x"],
        &["/weid/x", "/weida/x"],
    );
    check("./a//b/", "/base/", &["/base/a/b"], &["/base/./a/b"]);
    check("*", "/", &["/x"], &["/"]);
}

#[test]
fn a_name_glob_without_a_slash_matches_at_any_depth() {
    let any = PathPattern::for_names("*.py", "/src").unwrap();
    assert!(any.matches("/src/a.py") && any.matches("/src/x/y/a.py"));
    assert!(!any.matches("/a.py"));
    let here = PathPattern::for_names("lib/*.py", "/src").unwrap();
    assert!(here.matches("/src/lib/a.py") && !here.matches("/src/x/lib/a.py"));
}

#[test]
fn a_walk_begins_at_the_longest_literal_prefix() {
    for (glob, base, dir) in [
        ("**/*.rs", "/", "/"),
        ("/a/b/*.rs", "/x", "/a/b"),
        ("c/d/**", "/x", "/x/c/d"),
        ("c/d", "/x", "/x/c"),
        ("a", "/", "/"),
        ("{a,b}/c", "/x", "/x"),
        (r"a\*b/*", "/", "/a*b"),
    ] {
        assert_eq!(pattern(glob, base).base_dir(), dir, "{glob}");
    }
    assert_eq!(
        pattern(r"a/b\*", "/x").literal().as_deref(),
        Some("/x/a/b*")
    );
    assert_eq!(pattern("a/b*", "/x").literal(), None);
}

#[test]
fn directories_that_cannot_hold_a_match_are_pruned() {
    let fixed = pattern("/a/*/c*/x.rs", "/");
    for dir in ["/", "/a", "/a/b", "/a/b/cc"] {
        assert!(fixed.may_match_below(dir), "{dir}");
    }
    for dir in ["/b", "/ab", "/a/b/d", "/a/b/cc/x.rs", "/a/b/cc/x"] {
        assert!(!fixed.may_match_below(dir), "{dir}");
    }
    let deep = pattern("src/**/x", "/p");
    assert!(deep.may_match_below("/p/src/1/2/3"));
    assert!(deep.may_match_below("/") && deep.may_match_below("/p"));
    assert!(!deep.may_match_below("/q") && !deep.may_match_below("/p/lib"));
    assert!(pattern("{a/b,c}/d", "/").may_match_below("/a/b"));
}

#[test]
fn malformed_globs_say_why() {
    for (glob, reason) in [
        ("", "empty"),
        ("/", "empty"),
        ("a/../b", ".. component"),
        ("a[b", "never closed"),
        ("a[", "never closed"),
        ("[]", "never closed"),
        ("{a", "never closed"),
        ("a}", "closes nothing"),
        ("a\\", "escapes nothing"),
        ("[z-a]", "backwards"),
        ("a\0b", "NUL"),
        (
            &format!("{}{}", "{".repeat(400), "}".repeat(400)),
            "too complex",
        ),
    ] {
        let error = PathPattern::new(glob, "/").unwrap_err();
        assert_eq!(error.kind(), nexus_kernel::Kind::InvalidArgument, "{glob}");
        assert!(error.message().contains(reason), "{glob}: {error}");
    }
}

#[test]
fn a_glob_that_is_too_long_is_over_the_limit() {
    let long = "a".repeat(PathPattern::BYTES_MAX + 1);
    let error = PathPattern::new(&long, "/").unwrap_err();
    assert_eq!(error.kind(), nexus_kernel::Kind::LimitExceeded);
}

#[test]
fn the_longest_glob_of_wildcards_compiles() {
    assert!(PathPattern::new(&"?".repeat(PathPattern::BYTES_MAX), "/").is_ok());
    assert!(PathPattern::new(&"*a".repeat(PathPattern::BYTES_MAX / 2), "/").is_ok());
}

proptest! {
    #[test]
    fn no_glob_panics(glob in r"[a-c/*?{},\[\]!\\.é-]{0,16}", path in "(/[a-c.é]{1,3}){1,4}") {
        if let Ok(pattern) = PathPattern::new(&glob, "/a") {
            let matched = pattern.matches(&path);
            let (parent, _) = path.rsplit_once('/').unwrap();
            prop_assert!(!matched || pattern.may_match_below(parent));
            prop_assert!(!matched || path::is_within(&path, pattern.base_dir().trim_end_matches('/')));
        }
    }

    #[test]
    fn an_escaped_name_matches_itself_alone(name in r"[^/\x00]{1,8}", other in r"[^/\x00]{1,8}") {
        prop_assume!(name != "." && name != "..");
        let glob: String = name.chars().flat_map(|c| ['\\', c]).collect();
        let pattern = PathPattern::new(&glob, "/").unwrap();
        let itself = format!("/{name}");
        let another = format!("/{other}");
        prop_assert!(pattern.matches(&itself));
        prop_assert_eq!(pattern.matches(&another), name == other);
    }

    #[test]
    fn a_glob_means_what_its_letters_mean_one_by_one(
        glob in r"([ab]|\*\*?/?|\?|\[!?ab?\]|/|\{[ab]{1,2}\*?,[ab]{1,2}\}){1,6}",
        path in "(/[abc]{1,2}){1,3}",
    ) {
        let glob = glob.trim_start_matches('/');
        let Ok(pattern) = PathPattern::new(glob, "/") else { return Ok(()) };
        prop_assert_eq!(pattern.matches(&path), naive::matches(glob, &path[1..]), "{} {}", glob, path);
    }
}
