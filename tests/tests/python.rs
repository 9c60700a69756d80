//! The client that exists: the unchanged `nexus-fs-python`, against the real node.

use std::path::Path;
use std::process::Command;

use nexus_tests::{Home, Process, WAIT_MAX, python_with_client};

/// Runs a script of `tests/python` on a node of its own. One that fails shows what it said.
#[track_caller]
fn passes(script: &str) {
    let home = Home::new();
    let node = home.start();
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("python");
    let mut python = Command::new(python_with_client());
    python
        .env("NEXUS_URL", node.url())
        .env("NEXUS_API_KEY", node.key())
        // The checkout stays as it is.
        .arg("-B")
        .arg(scripts.join(script));
    Process::start(&mut python).wait_for_line("that all is well", WAIT_MAX, |line| {
        (line == "all checks passed").then_some(())
    });
}

#[test]
fn files_are_read_written_and_edited() {
    passes("files.py");
}

#[test]
fn directories_are_made_listed_and_searched() {
    passes("tree.py");
}

#[test]
fn versions_are_listed_read_and_brought_back() {
    passes("versions.py");
}

#[test]
fn errors_arrive_as_the_exceptions_of_the_client() {
    passes("errors.py");
}

#[test]
fn keys_are_made_changed_and_revoked() {
    passes("keys.py");
}

#[test]
fn the_asynchronous_client_does_the_same() {
    passes("asynchronous.py");
}

#[test]
fn what_is_not_supported_says_so() {
    passes("unsupported.py");
}

#[test]
fn workspaces_are_registered_and_their_snapshots_restored() {
    passes("workspaces.py");
}
