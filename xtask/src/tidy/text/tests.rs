use super::super::tests::{file, messages};
use super::*;

#[track_caller]
fn check(path: &str, text: &str, expected: &[&str]) {
    let found = messages(&findings(&file(path, text)));
    assert_eq!(found.lines().count(), expected.len(), "{found}");
    for (line, expected) in found.lines().zip(expected) {
        assert!(
            line.contains(expected),
            "{line:?} does not say {expected:?}"
        );
    }
}

#[test]
fn a_clean_file_has_no_findings() {
    check(
        "crates/nexus-fs/src/lib.rs",
        "//! Files.\n\nfn walk() {}\n",
        &[],
    );
}

#[test]
fn a_rust_file_may_have_600_lines_and_not_601() {
    check("a.rs", &"x\n".repeat(600), &[]);
    check("a.rs", &"x\n".repeat(601), &["a.rs: 601 lines"]);
    check("a.md", &"x\n".repeat(601), &[]);
}

#[test]
fn a_module_in_mod_rs_is_found() {
    check("crates/a/src/b/mod.rs", "\n", &["tell modules apart"]);
    check("crates/a/src/mode.rs", "\n", &[]);
}

#[test]
fn unfinished_work_is_found_with_its_line() {
    for word in UNFINISHED {
        check(
            "a.rs",
            &format!("fn f() {{\n    {word}\n}}\n"),
            &["a.rs:2: "],
        );
    }
}

#[test]
fn a_path_of_one_machine_is_found_in_any_file() {
    for path in FOREIGN_PATHS {
        check("README.md", &format!("see {path}x\n"), &["README.md:1: "]);
    }
    check("README.md", "see /var/lib/nexus\n", &[]);
}

#[test]
fn trailing_whitespace_and_a_missing_last_line_end_are_found() {
    check("a.md", "a \n", &["a.md:1: trailing"]);
    check("a.md", "a\t\n", &["a.md:1: trailing"]);
    check("a.md", "a", &["the last line has no end"]);
    check("a.md", "", &[]);
}

#[test]
fn a_feature_switch_is_found_outside_of_its_places() {
    let switches = [
        "#[cfg(feature = \"x\")]\n",
        "if cfg!(feature=\"x\") {\n",
        "#[cfg(all(unix, feature = \"x\"))]\n",
    ];
    for switch in switches {
        check(
            "crates/nexus-fs/src/lib.rs",
            switch,
            &["features are switched in"],
        );
        check(
            "crates/nexus-node/src/main.rs",
            switch,
            &["features are switched in"],
        );
        check("crates/nexus-node/src/drivers.rs", switch, &[]);
        check("crates/nexus-node/src/doors.rs", switch, &[]);
        check("crates/nexus-driver-sql/src/driver.rs", switch, &[]);
    }
}

#[test]
fn a_switch_by_platform_is_no_feature_switch() {
    check(
        "crates/nexus-fs/src/lib.rs",
        "#[cfg(target_os = \"linux\")]\n",
        &[],
    );
}
