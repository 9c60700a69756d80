use super::*;

/// A file of a tree made up for a test.
pub(super) fn file(path: &str, text: &str) -> SourceFile {
    SourceFile {
        path: path.to_owned(),
        text: text.to_owned(),
    }
}

/// The messages of some findings, for a test to look into.
pub(super) fn messages(findings: &[Finding]) -> String {
    findings
        .iter()
        .map(|finding| format!("{finding}\n"))
        .collect()
}

#[test]
fn a_finding_names_its_file_and_its_line() {
    assert_eq!(Finding::at("a.rs", 7, "no").to_string(), "a.rs:7: no");
    assert_eq!(Finding::in_file("a.rs", "no").to_string(), "a.rs: no");
}

#[test]
fn a_tree_has_its_files_and_their_folders_and_nothing_else() {
    let tree = Tree {
        files: vec![file("docs/a.md", "")],
    };
    assert!(tree.has("docs/a.md") && tree.has("docs") && tree.has(""));
    assert!(!tree.has("docs/a") && !tree.has("doc"));
}

#[test]
fn the_tree_of_this_checkout_holds_this_file() {
    let tree = Tree::read(&root()).expect("git lists the files");
    assert!(tree.has("xtask/src/tidy/tests.rs"));
    assert!(!tree.has("target"));
}
