//! Which crate may depend on which: the arrows point one way.

use super::Finding;
use super::crates::{Dependency, Kind, Package};

const KERNEL: &str = "nexus-kernel";
const SERVICE_API: &str = "nexus-service-api";
const ARCHIVE: &str = "nexus-archive";
const TESTKIT: &str = "nexus-testkit";
const DRIVER: &str = "nexus-driver-";
pub(super) const REFERENCE_DRIVER: &str = "nexus-driver-memory";

/// The crates of this workspace that a crate may build on. `None`: all of them.
fn may_use(package: &str) -> Result<Option<&'static [&'static str]>, Unplaced> {
    Ok(Some(match package {
        "nexus-node" | "nexus-tests" | "nexus-bench" | "xtask" => return Ok(None),
        KERNEL | "nexus-proto" => &[],
        SERVICE_API | ARCHIVE => &[KERNEL],
        "nexus-fs" => &[KERNEL, SERVICE_API, ARCHIVE],
        "nexus-services" => &[KERNEL, SERVICE_API],
        TESTKIT => &[KERNEL, SERVICE_API, "nexus-fs"],
        "nexus-fuse" => &[KERNEL, SERVICE_API, "nexus-fs"],
        "nexus-server" => &[
            KERNEL,
            SERVICE_API,
            ARCHIVE,
            "nexus-fs",
            "nexus-services",
            "nexus-proto",
        ],
        "nexus-client" => &[KERNEL, ARCHIVE, "nexus-proto"],
        "nexus-remote" => &[
            KERNEL,
            SERVICE_API,
            "nexus-fs",
            "nexus-fuse",
            "nexus-client",
        ],
        "nexus-cli" => &[
            KERNEL,
            SERVICE_API,
            ARCHIVE,
            "nexus-proto",
            "nexus-client",
            "nexus-fuse",
            "nexus-remote",
        ],
        name if name.starts_with(DRIVER) => &[KERNEL, SERVICE_API],
        _ => return Err(Unplaced),
    }))
}

/// A crate that the table does not know.
struct Unplaced;

/// Crates whose own tests run on a real driver.
const TESTED_ON_DRIVERS: [&str; 5] = [
    "nexus-fs",
    "nexus-services",
    "nexus-server",
    "nexus-fuse",
    TESTKIT,
];

/// What the kernel's contracts need from outside, and no more.
const KERNEL_LIBRARIES: [&str; 4] = ["async-trait", "bytes", "futures-core", "thiserror"];

/// Dependencies of this package that point the wrong way.
pub(super) fn findings(package: &Package) -> Vec<Finding> {
    let Ok(allowed) = may_use(&package.name) else {
        let message =
            "this crate has no place yet: say in xtask/src/tidy/layers.rs what it may use";
        return vec![Finding::in_file(&package.manifest_path, message)];
    };
    let wrong = |dependency: &&Dependency| !is_allowed(&package.name, allowed, dependency);
    let finding = |dependency: &Dependency| {
        let message = format!(
            "{} may not depend on {}: {}",
            package.name,
            dependency.name,
            reason(&package.name, &dependency.name)
        );
        Finding::in_file(&package.manifest_path, message)
    };
    package
        .dependencies
        .iter()
        .filter(wrong)
        .map(finding)
        .collect()
}

fn is_allowed(package: &str, allowed: Option<&[&str]>, dependency: &Dependency) -> bool {
    let name = dependency.name.as_str();
    if !name.starts_with("nexus-") {
        return package != KERNEL
            || dependency.kind == Kind::Dev
            || KERNEL_LIBRARIES.contains(&name);
    }
    let for_tests = dependency.kind == Kind::Dev && may_test_with(package, name);
    for_tests || allowed.is_none_or(|allowed| allowed.contains(&name))
}

fn may_test_with(package: &str, name: &str) -> bool {
    // A driver's tests compare it with the reference.
    let is_compared = package.starts_with(DRIVER) && name == REFERENCE_DRIVER;
    let stands_on_it = name.starts_with(DRIVER) && TESTED_ON_DRIVERS.contains(&package);
    name == TESTKIT || is_compared || stands_on_it
}

fn reason(package: &str, dependency: &str) -> &'static str {
    if package == KERNEL && !dependency.starts_with("nexus-") {
        "the kernel is contracts only, and whoever implements one compiles all it needs"
    } else if dependency.starts_with(DRIVER) {
        "drivers are picked in nexus-node; above the kernel nobody names one"
    } else if package == "nexus-client" {
        "a client speaks the wire formats and knows nothing of the node's insides"
    } else {
        "the arrows point kernel <- {fs, drivers}, service-api <- {fs, services, drivers}, \
         {fs, services} <- server <- node"
    }
}

#[cfg(test)]
mod tests;
