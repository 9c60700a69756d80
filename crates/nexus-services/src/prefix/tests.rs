use nexus_kernel::Kind;

use super::{Place, parse, place};

#[test]
fn a_path_is_placed_by_whole_names() {
    let table = [
        ("/team", "/team", Place::Within),
        ("/team/a", "/team", Place::Within),
        ("/team/a/b", "/team", Place::Within),
        ("/team2", "/team", Place::Outside),
        ("/team2/a", "/team", Place::Outside),
        ("/tea", "/team", Place::Outside),
        ("/t", "/team", Place::Outside),
        ("/", "/team", Place::Above),
        ("/", "/team/a", Place::Above),
        ("/team", "/team/a", Place::Above),
        ("/tea", "/team/a", Place::Outside),
        ("/team/ab", "/team/a", Place::Outside),
        ("/other", "/team/a", Place::Outside),
        ("/anything", "/", Place::Within),
        ("/", "/", Place::Within),
        ("/équipe/ç", "/équipe", Place::Within),
        ("/équip", "/équipe", Place::Outside),
    ];
    for (path, prefix, expected) in table {
        assert_eq!(place(path, prefix), expected, "{path} seen from {prefix}");
    }
}

#[test]
fn a_prefix_is_normalised() {
    assert_eq!(parse("/").unwrap(), None);
    assert_eq!(parse("/team").unwrap().as_deref(), Some("/team"));
    assert_eq!(parse("/team/").unwrap().as_deref(), Some("/team"));
    assert_eq!(
        parse("/team/a b/ç").unwrap().as_deref(),
        Some("/team/a b/ç")
    );
}

#[test]
fn a_malformed_prefix_is_refused() {
    let long_name = format!("/{}", "n".repeat(256));
    let long_path = "/abcdefg".repeat(600);
    for bad in [
        "", "team", "//", "/team//", "/team//a", "/./a", "/team/..", "/../etc", "/a\0b",
        &long_name, &long_path,
    ] {
        assert_eq!(
            parse(bad).unwrap_err().kind(),
            Kind::InvalidArgument,
            "{bad:?}"
        );
    }
}
