use super::super::tests::messages;
use super::*;

fn said_of(package: &str, dependency: &str, kind: Kind) -> String {
    messages(&findings(&Package {
        name: package.to_owned(),
        manifest_path: "Cargo.toml".to_owned(),
        dependencies: vec![Dependency {
            name: dependency.to_owned(),
            kind,
        }],
    }))
}

#[track_caller]
fn allowed(package: &str, dependency: &str, kind: Kind) {
    assert_eq!(said_of(package, dependency, kind), "");
}

#[track_caller]
fn refused(package: &str, dependency: &str, kind: Kind) {
    let said = said_of(package, dependency, kind);
    assert!(
        said.contains(&format!("{package} may not depend on {dependency}: ")),
        "{said:?}"
    );
}

#[test]
fn the_arrows_of_the_design_are_allowed() {
    for (package, dependency) in [
        ("nexus-fs", "nexus-kernel"),
        ("nexus-driver-redb", "nexus-kernel"),
        ("nexus-service-api", "nexus-kernel"),
        ("nexus-services", "nexus-service-api"),
        ("nexus-server", "nexus-fs"),
        ("nexus-node", "nexus-server"),
        ("nexus-client", "nexus-proto"),
        ("nexus-cli", "nexus-client"),
    ] {
        allowed(package, dependency, Kind::Normal);
        refused(dependency, package, Kind::Normal);
    }
}

#[test]
fn only_the_node_the_tests_and_xtask_use_a_driver() {
    for package in ["nexus-node", "nexus-tests", "xtask"] {
        allowed(package, "nexus-driver-redb", Kind::Normal);
    }
    for package in [
        "nexus-fs",
        "nexus-server",
        "nexus-services",
        "nexus-testkit",
        "nexus-cli",
    ] {
        refused(package, "nexus-driver-redb", Kind::Normal);
        refused(package, "nexus-driver-redb", Kind::Build);
    }
    refused("nexus-driver-redb", "nexus-driver-local", Kind::Normal);
}

#[test]
fn the_tests_of_the_filesystem_and_the_server_may_stand_on_drivers() {
    allowed("nexus-fs", "nexus-driver-memory", Kind::Dev);
    allowed("nexus-server", "nexus-driver-memory", Kind::Dev);
    refused("nexus-kernel", "nexus-driver-memory", Kind::Dev);
    refused("nexus-client", "nexus-driver-memory", Kind::Dev);
}

#[test]
fn a_driver_may_be_compared_with_the_reference_in_its_tests() {
    allowed("nexus-driver-redb", "nexus-driver-memory", Kind::Dev);
    refused("nexus-driver-redb", "nexus-driver-memory", Kind::Normal);
    refused("nexus-driver-redb", "nexus-driver-local", Kind::Dev);
}

#[test]
fn the_testkit_is_for_tests() {
    allowed("nexus-driver-redb", "nexus-testkit", Kind::Dev);
    refused("nexus-driver-redb", "nexus-testkit", Kind::Normal);
}

#[test]
fn the_kernel_takes_its_four_libraries_and_no_others() {
    for library in KERNEL_LIBRARIES {
        allowed("nexus-kernel", library, Kind::Normal);
    }
    for library in ["tokio", "serde"] {
        refused("nexus-kernel", library, Kind::Normal);
        refused("nexus-kernel", library, Kind::Build);
        allowed("nexus-kernel", library, Kind::Dev);
        allowed("nexus-server", library, Kind::Normal);
    }
}

#[test]
fn a_crate_without_a_place_in_the_table_is_found() {
    let said = said_of("nexus-surprise", "nexus-kernel", Kind::Normal);
    assert!(said.contains("this crate has no place yet"), "{said:?}");
}
