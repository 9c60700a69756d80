//! A zone as a directory of the system.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::mount::{UnmountFlags, unmount};

use crate::node::{Home, bare};
use crate::process::{Process, WAIT_MAX};
use crate::tools::{SYSTEM_PATH, binary};

/// `nexus-node mount`, and the directory that it serves. Killed when dropped; what a kill leaves
/// of the mount goes with the next mount at the same place, or with its [`Home`].
pub struct Mounted {
    process: Process,
    root: PathBuf,
}

impl Home {
    /// Mounts the zone, beside the data, and waits until it is there.
    #[track_caller]
    #[must_use]
    pub fn mount(&self) -> Mounted {
        self.mount_with(&[])
    }

    /// Mounts the zone with more options of the command.
    #[track_caller]
    #[must_use]
    pub fn mount_with(&self, options: &[&str]) -> Mounted {
        let node = bare(&binary("nexus-node"), self.folder());
        self.wait_for_mount(self.launch_mount(node, options))
    }

    /// Mounts the zone by way of a program that sets something up and then becomes the node.
    #[track_caller]
    #[must_use]
    pub fn mount_through(&self, wrapper: &[&str]) -> Mounted {
        self.wait_for_mount(self.launch_mount_through(wrapper))
    }

    /// The same, and leaves it to the test whether it comes up.
    #[track_caller]
    #[must_use]
    pub fn launch_mount_through(&self, wrapper: &[&str]) -> Process {
        let (program, arguments) = wrapper.split_first().expect("a wrapper is a program");
        let mut command = bare(Path::new(program), self.folder());
        command.args(arguments).arg(binary("nexus-node"));
        command.env("PATH", SYSTEM_PATH);
        self.launch_mount(command, &[])
    }

    #[track_caller]
    fn launch_mount(&self, mut node: Command, options: &[&str]) -> Process {
        let root = self.mount_point();
        match std::fs::create_dir(&root) {
            // Also where a dead mount is, which the node has to take away by itself.
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                panic!("{}: {error}", root.display())
            }
            _ => {}
        }
        node.arg("--data").arg(self.data()).arg("mount");
        Process::start(node.args(options).arg(root))
    }

    #[track_caller]
    fn wait_for_mount(&self, process: Process) -> Mounted {
        process.wait_for_line(
            "that it is mounted (as root, with /dev/fuse)",
            WAIT_MAX,
            |line| line.starts_with("mounted on ").then_some(()),
        );
        Mounted {
            process,
            root: self.mount_point(),
        }
    }

    /// Where the zone is mounted.
    #[must_use]
    pub fn mount_point(&self) -> PathBuf {
        self.folder().join("mount")
    }
}

/// What is left there once everybody is gone.
pub(crate) fn take_away(mount_point: &Path) {
    // An error says that nothing is mounted there.
    let _ = unmount(mount_point, UnmountFlags::DETACH);
}

impl Mounted {
    /// The directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path in it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The process, for what it said and for its id.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Ends the node as a loss of power would. The mount stays, and answers nobody.
    #[track_caller]
    pub fn kill(self) {
        self.process.kill();
    }

    /// Unmounts, and waits until the node has ended well.
    #[track_caller]
    pub fn unmount(self) {
        // Goes through once the last file is closed: a test beside us that has just forked may
        // hold ours for a moment.
        unmount(&self.root, UnmountFlags::DETACH).expect("it is mounted");
        self.process.wait_for_success(WAIT_MAX);
    }
}
