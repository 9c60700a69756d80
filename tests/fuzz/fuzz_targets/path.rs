//! Paths from outside: what is accepted is normal, and stays below the root.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../../crates/nexus-fs/src/path.rs"]
mod path;

fuzz_target!(|input: (&str, &str, &str)| {
    let (text, target, rest) = input;
    let Ok(normal) = path::normalize(text) else {
        return;
    };
    check(normal);
    assert!(text == normal || text.strip_suffix('/') == Some(normal));
    if let Some((parent, name)) = path::split(normal) {
        assert_eq!(path::join(parent, name), normal);
        assert_eq!(path::normalize(parent).ok(), Some(parent));
        assert!(path::is_within(normal, parent) && !path::is_within(parent, normal));
    }
    if let Ok(followed) = path::follow(normal, target, rest) {
        check(&followed);
    }
});

fn check(normal: &str) {
    assert_eq!(path::normalize(normal).ok(), Some(normal));
    assert!(normal.starts_with('/') && normal.len() <= path::PATH_BYTES_MAX);
    assert!(path::names(normal).all(|name| path::check_name(name).is_ok()));
    assert!(path::names(normal).count() <= path::DEPTH_MAX);
}
