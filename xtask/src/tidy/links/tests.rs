use super::super::tests::{file, messages};
use super::*;

/// What is said of `text` as the file docs/A.md, beside docs/B.md and README.md.
fn said_of(text: &str) -> String {
    let document = file("docs/A.md", text);
    let others = vec![
        file("docs/A.md", text),
        file("docs/B.md", "# B\n\n## What it costs, in `ms`\n"),
        file("README.md", "# Nexus\n"),
    ];
    messages(&findings(&document, &Tree { files: others }))
}

#[test]
fn links_to_files_folders_and_headings_that_exist_are_fine() {
    let links = "[b](B.md) [up](../README.md) [root](..) [here](#top)\n# Top\n[h](B.md#what-it-costs-in-ms)\n";
    assert_eq!(said_of(links), "");
}

#[test]
fn a_link_to_a_missing_file_is_found() {
    let said = said_of("text\n[c](C.md)\n");
    assert!(
        said.contains("docs/A.md:2: the link `C.md` is broken: there is no docs/C.md"),
        "{said}"
    );
}

#[test]
fn a_link_to_a_missing_heading_is_found() {
    let said = said_of("[b](B.md#nothing) [here](#nothing)\n");
    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(
        said.contains("docs/B.md has no heading `nothing`"),
        "{said}"
    );
}

#[test]
fn links_to_elsewhere_and_links_in_code_are_not_followed() {
    assert_eq!(
        said_of("[x](https://example.org/C.md)\n```\n[c](C.md)\n```\n"),
        ""
    );
}
