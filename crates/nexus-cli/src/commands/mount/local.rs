//! Mounting without a node: `nexus-node mount` opens the data itself.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use nexus_client::Error;

use super::Mount;
use crate::io::io_error;

const NODE: &str = "nexus-node";
/// The zone that the data of a node holds.
const ZONE: &str = "root";

/// Whether a URL leads to this machine.
pub(super) fn is_local(url: &str) -> bool {
    let host = url.split("://").nth(1).unwrap_or(url);
    let hosts = ["127.0.0.1", "localhost", "[::1]"];
    hosts.iter().any(|local| {
        let rest = host.strip_prefix(local);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/']))
    })
}

/// Becomes a process that mounts the data; answers why it cannot. `unreachable` is why there is
/// no node.
pub(super) fn mount(mount: &Mount, on_behalf_of: Option<&str>, unreachable: Error) -> Error {
    if !mount.data.is_dir() {
        return unreachable.with("no data either in", mount.data.display());
    }
    if mount.at.is_some() {
        return unreachable.with(
            "hint",
            "a past state is mounted from a running node; start one with nexus-node",
        );
    }
    if let Some(zone) = mount.zone.as_deref().filter(|zone| *zone != ZONE) {
        return unreachable.with("zone", zone.escape_debug()).with(
            "hint",
            "the data here is of another zone; leave --zone out, or start the node",
        );
    }
    let Some(node) = find() else {
        return Error::unavailable(
            "no node answers, and nexus-node, which mounts its data without one, is neither beside \
             this program nor on the PATH; start a node, or install nexus-node",
        )
        .because(unreachable);
    };
    let mut command = Command::new(&node);
    command.arg("--data").arg(&mount.data).arg("mount");
    if mount.read_only {
        command.arg("--read-only");
    }
    if let Some(principal) = on_behalf_of {
        // In one piece, so that it is never taken for an option.
        command.arg(format!("--as={principal}"));
    }
    let error = command.arg(&mount.directory).exec();
    io_error("nexus-node could not be started", &error).with("file", node.display())
}

/// Beside this program, or on the PATH.
fn find() -> Option<PathBuf> {
    let beside = std::env::current_exe().ok();
    let beside = beside.and_then(|program| Some(program.parent()?.join(NODE)));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join(NODE));
    beside
        .into_iter()
        .chain(on_path)
        .find(|program| program.is_file())
}

#[cfg(test)]
mod tests;
