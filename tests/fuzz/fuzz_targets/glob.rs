//! Globs: none panics, and a walk that prunes by them misses no match.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nexus_fs::PathPattern;

fuzz_target!(|input: (&str, &str, &str)| {
    let (glob, base, path) = input;
    for pattern in [
        PathPattern::new(glob, base),
        PathPattern::for_names(glob, base),
    ] {
        if let Ok(pattern) = pattern {
            check(&pattern, path);
            if let Some(literal) = pattern.literal() {
                check(&pattern, &literal);
            }
        }
    }
});

fn check(pattern: &PathPattern, path: &str) {
    let matched = pattern.matches(path);
    let below: Vec<bool> = ancestors(path)
        .map(|dir| pattern.may_match_below(dir))
        .collect();
    let is_normal = path.starts_with('/') && path.split('/').skip(1).all(|name| !name.is_empty());
    if matched && is_normal {
        assert!(
            below.iter().all(|may| *may),
            "pruned a directory of a match"
        );
        let base = pattern.base_dir();
        assert!(
            path.starts_with(base.trim_end_matches('/')),
            "matched outside of {base}"
        );
        assert!(pattern.literal().is_none_or(|literal| literal == path));
    }
}

/// The directories above a path, the root as an empty text.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}
