//! Zones that are mounted for a test.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use nexus_driver_local::{LocalConfig, LocalObjectStore};
use nexus_driver_memory::{MemoryMetastore, MemoryObjectStore};
use nexus_driver_redb::{RedbConfig, RedbMetastore};
use nexus_fs::{Session, Stores, Zone, ZoneConfig};
use nexus_fuse::{LocalVolume, Mount, Options};
use nexus_service_api::{Context, SystemClock};
use nexus_testkit::authorizer::Open;
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub(crate) fn memory_stores() -> Stores {
    Stores {
        metastore: Arc::new(MemoryMetastore::new()),
        objects: Arc::new(MemoryObjectStore::new(Arc::new(SystemClock))),
    }
}

/// Stores that keep their data in `folder`.
pub(crate) fn local_stores(folder: &Path) -> Stores {
    let objects = LocalConfig::new(folder.join("objects"));
    Stores {
        metastore: RedbMetastore::open(&RedbConfig::new(folder.join("meta.redb"))).unwrap(),
        objects: Arc::new(LocalObjectStore::open(objects, Arc::new(SystemClock)).unwrap()),
    }
}

/// A zone on a directory, with a runtime of its own: the test itself is a program that uses
/// the directory. Unmounted when it goes, also after a failure.
pub(crate) struct Mounted {
    directory: TempDir,
    runtime: Runtime,
    zone: Option<Zone>,
    mount: Option<Mount>,
}

impl Mounted {
    pub(crate) fn new(stores: &Stores) -> Self {
        Self::with(stores, Options::default())
    }

    pub(crate) fn in_memory() -> Self {
        Self::new(&memory_stores())
    }

    pub(crate) fn with(stores: &Stores, options: Options) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let runtime = runtime();
        let zone = runtime.block_on(open(stores));
        let context = Context {
            request_id: Some("mount".into()),
            ..Context::system()
        };
        let session = zone.session(context);
        let mount = runtime.block_on(Mount::start(
            Arc::new(LocalVolume::new(session)),
            directory.path(),
            options,
        ));
        Self {
            directory,
            runtime,
            zone: Some(zone),
            mount: Some(mount.expect("these tests mount: as root, with /dev/fuse")),
        }
    }

    pub(crate) fn root(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The zone past the mount.
    pub(crate) fn session(&self) -> Session {
        let zone = self.zone.as_ref().expect("there until it is dropped");
        zone.session(Context::system())
    }

    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Some(mount) = self.mount.take() {
            let unmounted = self.runtime.block_on(mount.unmount());
            assert!(
                unmounted.is_ok() || std::thread::panicking(),
                "{unmounted:?}"
            );
        }
    }
}

pub(crate) fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().unwrap()
}

pub(crate) async fn open(stores: &Stores) -> Zone {
    let zone = Zone::open(stores.clone(), Arc::new(Open), ZoneConfig::default());
    zone.await.unwrap()
}

/// The number of the error, which must be one.
#[track_caller]
pub(crate) fn errno<T>(result: io::Result<T>) -> i32 {
    let error = result.err().expect("an error");
    error.raw_os_error().unwrap_or_else(|| panic!("{error}"))
}

/// The same for calls that `std` does not have.
#[track_caller]
pub(crate) fn code<T>(result: rustix::io::Result<T>) -> i32 {
    result.err().expect("an error").raw_os_error()
}

/// The names in a directory, sorted.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// What a program prints, which must succeed.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}
