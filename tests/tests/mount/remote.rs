//! The zone of a node elsewhere, mounted by `nexus mount`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use nexus_tests::{Cli, Home, Process, WAIT_MAX};
use rustix::mount::{UnmountFlags, unmount};
use tempfile::TempDir;

mod command;
mod keys;
mod loss;
mod work;

/// `nexus mount`, and the directory it serves. Unmounted when dropped.
struct Remote {
    process: Option<Process>,
    folder: TempDir,
    cli: Cli,
}

impl Remote {
    /// Mounts the zone of the node that the command is pointed at.
    #[track_caller]
    fn mount(cli: Cli) -> Self {
        Self::mount_with(cli, &[])
    }

    #[track_caller]
    fn mount_with(cli: Cli, options: &[&str]) -> Self {
        let folder = TempDir::with_prefix("nexus-mount-").expect("it is writable");
        let mut command = cli.command(["mount"]);
        let process = Process::start(command.args(options).arg(folder.path()));
        let mounted = |line: &str| line.starts_with("mounted on ").then_some(());
        process.wait_for_line("that it is mounted (as root)", WAIT_MAX, mounted);
        Self {
            process: Some(process),
            folder,
            cli,
        }
    }

    fn root(&self) -> &Path {
        self.folder.path()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// Unmounts, and waits until the command has ended well.
    #[track_caller]
    fn unmount(mut self) {
        self.cli.ok(["umount".as_ref(), self.root().as_os_str()]);
        let process = self.process.take().expect("it is mounted");
        process.wait_for_success(WAIT_MAX);
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        if self.process.is_some() {
            // An error says that nothing is mounted there.
            let _ = unmount(self.root(), UnmountFlags::DETACH);
        }
    }
}

/// The number of the error, which must be one.
#[track_caller]
fn errno<T>(result: io::Result<T>) -> i32 {
    let error = result.err().expect("an error");
    error.raw_os_error().unwrap_or_else(|| panic!("{error}"))
}

const EIO: i32 = 5;
const EACCES: i32 = 13;
const EROFS: i32 = 30;

/// Waits until it is so, and not for ever.
#[track_caller]
fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < WAIT_MAX, "{what}");
        std::thread::yield_now();
    }
}

fn reads(path: &Path, content: &str) -> bool {
    fs::read_to_string(path).is_ok_and(|found| found == content)
}

#[test]
fn two_mounts_of_a_node_see_what_the_other_does() {
    let home = Home::new();
    let node = home.start();
    let (one, other) = (Remote::mount(node.cli()), Remote::mount(node.cli()));
    let (here, there) = (one.path("a"), other.path("a"));
    assert!(!there.exists());
    fs::write(&here, "made").expect("it is mounted");
    eventually("it appears", || reads(&there, "made"));
    fs::write(&there, "changed").expect("it is mounted");
    eventually("it changes", || reads(&here, "changed"));
    fs::rename(&here, one.path("b")).expect("it is there");
    eventually("it moves", || !there.exists());
    eventually("it moves", || reads(&other.path("b"), "changed"));
    fs::remove_file(other.path("b")).expect("it is there");
    eventually("it goes", || !one.path("b").exists());
    one.unmount();
    other.unmount();
}
