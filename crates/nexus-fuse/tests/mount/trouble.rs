//! Stores that are full, fail or do not answer.

use std::fs::{self, File};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use nexus_fs::Stores;
use nexus_fuse::Options;
use nexus_kernel::ObjectStore;
use nexus_testkit::object_store::{Faults, FaultyObjectStore, Layer, Layered};
use rustix::io::Errno;

use crate::support::{Mounted, errno, memory_stores, names};

/// Beyond what lies beside the metadata.
const LARGE: usize = 20_000;

/// A store that can be made to answer no more.
struct Mute {
    inner: Arc<dyn ObjectStore>,
    mute: AtomicBool,
}

#[async_trait]
impl Layer for Mute {
    fn below(&self) -> &Arc<dyn ObjectStore> {
        &self.inner
    }

    async fn before(&self) {
        if self.mute.load(Ordering::Acquire) {
            std::future::pending::<()>().await;
        }
    }
}

#[test]
fn a_store_that_does_not_answer_is_an_error_and_not_a_hang() {
    let stores = memory_stores();
    let mute = Arc::new(Layered(Mute {
        inner: Arc::clone(&stores.objects),
        mute: AtomicBool::new(false),
    }));
    let stores = Stores {
        objects: mute.clone(),
        ..stores
    };
    let mut options = Options::default();
    options.request_deadline = Duration::from_millis(200);
    options.unmount_deadline = Duration::from_secs(1);
    let mounted = Mounted::with(&stores, options);
    fs::write(mounted.path("before"), vec![1; LARGE]).unwrap();
    mute.mute.store(true, Ordering::Release);

    let begin = Instant::now();
    let file = File::create(mounted.path("a")).unwrap();
    (&file).write_all(&vec![2; LARGE]).unwrap();
    assert_eq!(errno(file.sync_all()), Errno::IO.raw_os_error());
    drop(file);
    // The rest goes on.
    assert_eq!(names(mounted.root()), ["a", "before"]);
    fs::write(mounted.path("small"), "kept").unwrap();
    assert_eq!(fs::read(mounted.path("small")).unwrap(), b"kept");
    assert!(begin.elapsed() < Duration::from_secs(10));
    mute.mute.store(false, Ordering::Release);
    assert!(fs::read(mounted.path("before")).unwrap() == vec![1; LARGE]);
}

#[test]
fn a_full_disk_leaves_what_was_there() {
    let stores = memory_stores();
    let faulty = FaultyObjectStore::new(Arc::clone(&stores.objects), 0, Faults::OFF);
    let faulty = Arc::new(faulty);
    let stores = Stores {
        objects: faulty.clone(),
        ..stores
    };
    let mounted = Mounted::new(&stores);
    let path = mounted.path("a");
    fs::write(&path, vec![1; LARGE]).unwrap();
    faulty.set_faults(Faults {
        disk_full: true,
        ..Faults::OFF
    });
    let file = File::create(&path).unwrap();
    (&file).write_all(&vec![2; LARGE]).unwrap();
    assert_eq!(errno(file.sync_all()), Errno::NOSPC.raw_os_error());
    // Still in memory, so nothing is lost once there is room.
    faulty.set_faults(Faults::OFF);
    file.sync_all().unwrap();
    assert!(fs::read(&path).unwrap() == vec![2; LARGE]);

    faulty.set_faults(Faults {
        disk_full: true,
        ..Faults::OFF
    });
    let file = File::create(&path).unwrap();
    (&file).write_all(&vec![3; LARGE]).unwrap();
    drop(file);
    faulty.set_faults(Faults::OFF);
    let session = mounted.session();
    let found = mounted.block_on(session.read("/a", nexus_fs::At::Latest));
    assert!(found.unwrap().bytes == vec![2; LARGE]);
}
