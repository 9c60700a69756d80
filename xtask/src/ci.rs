//! What a change has to pass.

use anyhow::Result;

use crate::shell::{Cargo, Steps, succeeds};
use crate::{setup, tidy};

/// Formatting, lints, tidy, bans and tests, the cheap ones first.
pub(crate) fn everything(cargo: Cargo) -> Result<()> {
    let mut steps = Steps::default();
    // `cargo fmt` resolves nothing, so it knows no `--locked`.
    steps.step("fmt", || Cargo { locked: false }.run("fmt --all --check"));
    steps.step("tidy", tidy::check);
    if succeeds("cargo", ["deny", "--version"]) {
        // Its advisory database is a download; licences and bans need none.
        steps.step("deny", || {
            Cargo { locked: false }.run("deny check bans licenses sources")
        });
    }
    steps.step("clippy", || deny_warnings(cargo));
    test_steps(&mut steps, cargo);
    steps.finish()
}

/// Every test of the workspace, and first what they need.
pub(crate) fn test(cargo: Cargo) -> Result<()> {
    let mut steps = Steps::default();
    test_steps(&mut steps, cargo);
    steps.finish()
}

fn test_steps(steps: &mut Steps, cargo: Cargo) {
    steps.step("setup", setup::install);
    // The binaries and the tests in one go: built apart, their dependencies would be resolved
    // with other features and compiled twice.
    steps.step("build", || cargo.run("build --workspace --bins --tests"));
    let mounts = can_mount();
    if !mounts {
        steps.left_out(
            "mount",
            "this machine does not let us mount: it takes root and /dev/fuse",
        );
    }
    if succeeds("cargo", ["nextest", "--version"]) {
        let which = if mounts { "" } else { NO_MOUNTS };
        steps.step("tests", || {
            cargo.run(&format!("nextest run --workspace {which}"))
        });
        steps.step("doctests", || cargo.run("test --workspace --doc --quiet"));
    } else {
        steps.step("tests", || plain_tests(cargo, mounts));
    }
}

/// All but what mounts.
const NO_MOUNTS: &str =
    "-E not(binary(mount)|package(nexus-node)&test(mount)|package(nexus-tests)&test(/^mount::/))";

fn plain_tests(cargo: Cargo, mounts: bool) -> Result<()> {
    let locked = if cargo.locked { &["--locked"][..] } else { &[] };
    let arguments = ["test", "--workspace", "--quiet"];
    // It knows names only, so a few that do not mount are left out too.
    let which = ["--exclude", "nexus-fuse", "--", "--skip", "mount"];
    let which = if mounts { &[][..] } else { &which };
    crate::shell::run("cargo", arguments.iter().chain(locked).chain(which))
}

/// Whether this machine lets us mount: a container may have neither the device nor the right.
pub(crate) fn can_mount() -> bool {
    let device = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/fuse");
    device.is_ok() && succeeds("unshare", ["--mount", "true"])
}

fn deny_warnings(cargo: Cargo) -> Result<()> {
    let locked = if cargo.locked { &["--locked"][..] } else { &[] };
    let arguments = ["clippy", "--workspace", "--all-targets", "--quiet"];
    let lints = ["--", "-D", "warnings"];
    crate::shell::run("cargo", arguments.iter().chain(locked).chain(&lints))
}
