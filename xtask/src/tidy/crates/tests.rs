use super::super::tests::{file, messages};
use super::*;

fn package(name: &str, manifest_path: &str) -> Package {
    Package {
        name: name.to_owned(),
        manifest_path: manifest_path.to_owned(),
        dependencies: Vec::new(),
    }
}

fn tree_with_manifest(path: &str, text: &str) -> Tree {
    Tree {
        files: vec![file(path, text)],
    }
}

const LINTS: &str = "[lints]\nworkspace = true\n";

#[test]
fn a_package_in_the_folder_of_its_name_is_fine() {
    for (name, path) in [
        ("nexus-fs", "crates/nexus-fs/Cargo.toml"),
        ("xtask", "xtask/Cargo.toml"),
        ("nexus-tests", "tests/Cargo.toml"),
    ] {
        let found = findings(&package(name, path), &tree_with_manifest(path, LINTS));
        assert_eq!(messages(&found), "");
    }
}

#[test]
fn a_package_in_a_folder_of_another_name_is_found() {
    let path = "crates/files/Cargo.toml";
    let found = messages(&findings(
        &package("nexus-fs", path),
        &tree_with_manifest(path, LINTS),
    ));
    assert!(
        found.contains("belongs in crates/nexus-fs/Cargo.toml"),
        "{found}"
    );
}

#[test]
fn a_package_without_the_lints_of_the_workspace_is_found() {
    let path = "crates/nexus-fs/Cargo.toml";
    for manifest in ["", "[lints]\n", "[lints]\nworkspace = false\n"] {
        let tree = tree_with_manifest(path, manifest);
        let found = messages(&findings(&package("nexus-fs", path), &tree));
        assert!(found.contains("add `[lints]`"), "{manifest:?}: {found:?}");
    }
}

#[test]
fn a_driver_that_lacks_one_of_its_files_is_found() {
    let path = "crates/nexus-driver-x/Cargo.toml";
    let mut tree = tree_with_manifest(path, LINTS);
    for name in ["lib.rs", "config.rs", "driver.rs", "tests.rs"] {
        tree.files
            .push(file(&format!("crates/nexus-driver-x/src/{name}"), ""));
    }
    let found = messages(&findings(&package("nexus-driver-x", path), &tree));
    assert_eq!(found.lines().count(), 1, "{found}");
    assert!(
        found.contains("crates/nexus-driver-x/src/error.rs is missing"),
        "{found}"
    );
}

#[test]
fn what_cargo_says_of_a_dependency_is_understood() {
    let kinds: Vec<Dependency> = serde_json::from_str(
        r#"[{"name":"a","kind":null},{"name":"b","kind":"dev"},{"name":"c","kind":"build"}]"#,
    )
    .expect("three kinds");
    assert!(
        kinds
            .iter()
            .map(|one| one.kind)
            .eq([Kind::Normal, Kind::Dev, Kind::Build])
    );
    assert!(serde_json::from_str::<Dependency>(r#"{"name":"a","kind":"odd"}"#).is_err());
}

#[test]
fn this_package_is_in_this_workspace() {
    let packages = workspace_packages().expect("cargo metadata works here");
    let xtask = packages
        .iter()
        .find(|package| package.name == "xtask")
        .expect("it is a member");
    assert_eq!(xtask.manifest_path, "xtask/Cargo.toml");
    assert!(
        xtask
            .dependencies
            .iter()
            .any(|dependency| dependency.name == "clap")
    );
}
