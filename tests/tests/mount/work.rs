//! Real programs do their work on a mount as they do on a disk: version control, builds, package
//! managers, databases, and tools that copy trees.

use std::fs;
use std::path::PathBuf;

use nexus_tests::{Home, Mounted, sh};
use tempfile::TempDir;

mod builds;
mod copies;
mod git;
mod sharing;

/// A mount, and a folder on the disk beside it.
struct Workplace {
    mounted: Mounted,
    disk: TempDir,
    /// Last, since what is mounted is in it.
    home: Home,
}

impl Workplace {
    #[track_caller]
    fn new() -> Self {
        let home = Home::new();
        Self {
            mounted: home.mount(),
            disk: TempDir::with_prefix("nexus-disk-").expect("it is writable"),
            home,
        }
    }

    /// Runs a script on the mount.
    #[track_caller]
    fn on_mount(&self, script: &str) -> String {
        sh(self.mounted.root(), &self.with_places(script))
    }

    /// Runs a script on the disk.
    #[track_caller]
    fn on_disk(&self, script: &str) -> String {
        sh(self.disk.path(), &self.with_places(script))
    }

    /// Scripts call the places by `$MOUNT` and `$DISK`.
    fn with_places(&self, script: &str) -> String {
        let (mount, disk) = (self.mounted.root().display(), self.disk.path().display());
        format!("MOUNT='{mount}'\nDISK='{disk}'\n{script}")
    }

    fn disk(&self, name: &str) -> PathBuf {
        self.disk.path().join(name)
    }

    #[track_caller]
    fn write_to_disk(&self, name: &str, text: &str) {
        let path = self.disk(name);
        let folder = path.parent().expect("it is below the folder");
        fs::create_dir_all(folder).expect("the folder is ours");
        fs::write(path, text).expect("the folder is ours");
    }

    /// The same, after the node has ended and come again.
    #[track_caller]
    fn remounted(self) -> Self {
        self.mounted.unmount();
        let mounted = self.home.mount();
        Self { mounted, ..self }
    }

    #[track_caller]
    fn end(self) {
        self.mounted.unmount();
    }
}
