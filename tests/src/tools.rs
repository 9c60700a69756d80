//! Where the programs are that the tests start.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where programs find what they call, that are started without our environment.
pub(crate) const SYSTEM_PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// A binary of this workspace, built in the profile that the tests were built in.
#[track_caller]
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the system knows what it runs");
    let profile = test
        .ancestors()
        .nth(2)
        .expect("it lies in target/<profile>/deps");
    let binary = profile.join(name);
    assert!(
        binary.exists(),
        "{} is missing: run `cargo build --workspace --bins` first, or `cargo xtask test`",
        binary.display()
    );
    binary
}

/// A Python that can import `nexus_client`.
#[track_caller]
#[must_use]
pub fn python_with_client() -> PathBuf {
    let python = installed_tools().join("python/bin/python");
    assert!(
        python.exists(),
        "the Python client is missing: run `cargo xtask setup` first"
    );
    python
}

/// `rg`, ours or the system's.
#[track_caller]
#[must_use]
pub fn ripgrep() -> PathBuf {
    let candidates = [installed_tools().join("bin/rg"), PathBuf::from("rg")];
    candidates
        .into_iter()
        .find(|program| starts(program))
        .expect("ripgrep is missing: run `cargo xtask setup` first")
}

/// A program that `cargo xtask setup` installs with cargo.
#[track_caller]
#[must_use]
pub fn suite(name: &str) -> PathBuf {
    let program = installed_tools().join("bin").join(name);
    assert!(
        program.exists(),
        "{name} is missing: run `cargo xtask setup` first"
    );
    program
}

fn installed_tools() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name(".tools")
}

fn starts(program: &Path) -> bool {
    let mut command = Command::new(program);
    command
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
