//! Files of past states that the kernel reads by itself.

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};

use async_trait::async_trait;
use fuser::{Filesystem, InitFlags, KernelConfig, Request};
use nexus_driver_local::{LocalConfig, LocalObjectStore};
use nexus_fs::{At, Stores};
use nexus_fuse::{LocalVolume, Mount, Options, Volume};
use nexus_kernel::{Blob, ObjectKey, ObjectStore, Result, Revision};
use nexus_service_api::SystemClock;
use nexus_testkit::object_store::{Layer, Layered};
use parking_lot::Mutex;
use tempfile::TempDir;

use crate::support::{Mounted, memory_stores, run};

/// One blob, and in a file of its own.
const BLOB: usize = 1 << 20;
const OVERLAYFS_MAGIC: i64 = 0x794c_7630;

/// A store on the disk that counts the blobs that are read from it. It can keep its files to
/// itself, or hand out a copy.
struct Observed {
    inner: Arc<dyn ObjectStore>,
    gets: AtomicU64,
    withholds: AtomicBool,
    copy: Mutex<Option<File>>,
}

#[async_trait]
impl Layer for Observed {
    fn below(&self) -> &Arc<dyn ObjectStore> {
        &self.inner
    }

    async fn get(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Blob> {
        self.gets.fetch_add(1, Ordering::Relaxed);
        self.inner.get(key, range).await
    }

    async fn local_file(&self, key: &ObjectKey) -> Result<Option<File>> {
        if self.withholds.load(Ordering::Relaxed) {
            return Ok(None);
        }
        if let Some(copy) = &*self.copy.lock() {
            return Ok(Some(copy.try_clone().unwrap()));
        }
        self.inner.local_file(key).await
    }
}

/// A mounted zone whose file `a` had one content and has another now.
struct Scene {
    mounted: Mounted,
    objects: Arc<Layered<Observed>>,
    then: Revision,
    /// What `a` was then.
    old: PathBuf,
    folder: TempDir,
}

fn content(seed: u8, length: usize) -> Vec<u8> {
    let bytes = (0..length).map(|at| (at / 7 + at / 4096) as u8 ^ seed);
    bytes.collect()
}

impl Scene {
    fn new(length: usize) -> Self {
        Self::with(length, Options::default())
    }

    fn with(length: usize, options: Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = LocalConfig::new(folder.path());
        let disk = LocalObjectStore::open(config, Arc::new(SystemClock)).unwrap();
        let disk = Arc::new(disk);
        let objects = Arc::new(Layered(Observed {
            inner: disk.clone(),
            gets: AtomicU64::new(0),
            withholds: AtomicBool::new(false),
            copy: Mutex::default(),
        }));
        let stores = Stores {
            objects: objects.clone(),
            ..memory_stores()
        };
        let mounted = Mounted::with(&stores, options);
        let path = mounted.path("a");
        fs::write(&path, content(1, length)).unwrap();
        File::open(&path).unwrap().sync_all().unwrap();
        let session = mounted.session();
        let then = mounted.block_on(session.revision()).unwrap();
        fs::write(&path, content(2, length)).unwrap();
        mounted.block_on(disk.checkpoint()).unwrap();
        Self {
            old: mounted.path(&format!(".nexus/at/{then}/a")),
            then,
            mounted,
            objects,
            folder,
        }
    }

    /// How many blobs were read from the store meanwhile.
    fn gets_of(&self, work: impl FnOnce()) -> u64 {
        let before = self.objects.gets.load(Ordering::Relaxed);
        work();
        self.objects.gets.load(Ordering::Relaxed) - before
    }

    fn withhold(&self, withholds: bool) {
        self.objects.withholds.store(withholds, Ordering::Relaxed);
    }
}

/// Asks the kernel what it can, and nothing else.
struct Probe(Sender<bool>);

impl Filesystem for Probe {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        let able = config.capabilities();
        let _ = self.0.send(able.contains(InitFlags::FUSE_PASSTHROUGH));
        Ok(())
    }
}

/// Whether files can be read past a mount here; says why not.
#[expect(clippy::print_stdout, reason = "says what is left out")]
fn is_possible() -> bool {
    let place = tempfile::tempdir().unwrap();
    let (sender, able) = channel();
    let probe = fuser::spawn_mount(Probe(sender), place.path(), &fuser::Config::default());
    let able = able.recv().unwrap();
    drop(probe.unwrap());
    let layered = rustix::fs::statfs(place.path()).unwrap().f_type as i64 == OVERLAYFS_MAGIC;
    if !able {
        println!(
            "left out: this kernel's FUSE has no passthrough (6.9 or newer, CONFIG_FUSE_PASSTHROUGH)"
        );
    }
    if layered {
        println!("left out: temporary files lie on an overlay, which FUSE cannot pass through to");
    }
    able && !layered
}

fn read_from(file: &File, at: usize) -> Vec<u8> {
    let mut bytes = vec![0; BLOB - at];
    file.read_exact_at(&mut bytes, at as u64).unwrap();
    bytes
}

#[test]
fn the_past_is_right_however_many_read_it() {
    let scene = Scene::new(BLOB);
    let (old, new) = (content(1, BLOB), content(2, BLOB));
    let files: Vec<_> = (0..3).map(|_| File::open(&scene.old).unwrap()).collect();
    for file in &files {
        assert!(read_from(file, 0) == old);
    }
    drop(files);
    std::thread::scope(|threads| {
        for at in 0..8 {
            let (path, old) = (&scene.old, &old);
            threads.spawn(move || {
                for round in 0..20 {
                    let at = (at * 100_003 + round * 7_919) % BLOB;
                    assert!(read_from(&File::open(path).unwrap(), at) == old[at..]);
                }
            });
        }
    });
    assert!(fs::read(scene.mounted.path("a")).unwrap() == new);
    assert!(fs::read(&scene.old).unwrap() == old);
}

#[test]
fn the_kernel_reads_a_blob_of_the_past_by_itself() {
    if !is_possible() {
        return;
    }
    let scene = Scene::new(BLOB);
    let old = content(1, BLOB);
    let gets = scene.gets_of(|| {
        let file = File::open(&scene.old).unwrap();
        assert!(read_from(&file, 0) == old);
        // The mount has no pages of it that it could have been read from.
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        assert!(read_from(&file, BLOB / 2) == old[BLOB / 2..]);
    });
    assert_eq!(gets, 0);
}

#[test]
fn a_mounted_past_state_is_read_by_the_kernel_itself() {
    if !is_possible() {
        return;
    }
    let scene = Scene::new(BLOB);
    let present = LocalVolume::new(scene.mounted.session());
    let past = present.as_of(At::Revision(scene.then));
    let past = scene.mounted.block_on(past).unwrap();
    let place = tempfile::tempdir().unwrap();
    let mount = Mount::start(past, place.path(), Options::default());
    let mount = scene.mounted.block_on(mount).unwrap();
    let gets = scene.gets_of(|| {
        for _ in 0..2 {
            assert!(fs::read(place.path().join("a")).unwrap() == content(1, BLOB));
        }
    });
    scene.mounted.block_on(mount.unmount()).unwrap();
    assert_eq!(gets, 0);
}

/// As it refuses a file that is itself on a mount, so it does without rights, and on an overlay.
#[test]
fn a_file_that_the_kernel_refuses_is_read_through_the_mount() {
    let (other, scene) = (Mounted::in_memory(), Scene::new(BLOB));
    let old = content(1, BLOB);
    fs::write(other.path("copy"), &old).unwrap();
    *scene.objects.copy.lock() = Some(File::open(other.path("copy")).unwrap());
    let gets = scene.gets_of(|| {
        for _ in 0..2 {
            assert!(fs::read(&scene.old).unwrap() == old);
        }
    });
    assert_eq!(gets, 1);
}

#[test]
fn a_mapping_of_the_past_has_its_bytes() {
    let scene = Scene::new(BLOB);
    let outside = scene.folder.path().join("expected");
    fs::write(&outside, content(1, BLOB)).unwrap();
    let gets = scene.gets_of(|| assert_eq!(mapped(&scene.old), mapped(&outside)));
    if is_possible() {
        assert_eq!(gets, 0);
    }
}

/// The bytes that a program finds which maps the file, summed up.
fn mapped(path: &Path) -> String {
    let program = "import mmap, sys, hashlib\n\
        file = open(sys.argv[1], 'rb')\n\
        pages = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)\n\
        file.close()\n\
        print(hashlib.sha256(pages).hexdigest())";
    let mut python = std::process::Command::new("python3");
    run(python.args(["-c", program]).arg(path))
}

/// The kernel does not let the two ways mix.
#[test]
fn the_first_decides_how_a_file_is_read() {
    let scene = Scene::new(BLOB);
    let old = content(1, BLOB);
    scene.withhold(true);
    let through = File::open(&scene.old).unwrap();
    scene.withhold(false);
    let gets = scene.gets_of(|| {
        let too = File::open(&scene.old).unwrap();
        assert!(read_from(&too, 0) == old);
        assert!(read_from(&through, 0) == old);
    });
    assert_eq!(gets, 1);
    drop(through);
}

#[test]
fn a_file_that_is_read_past_the_mount_stays_so_while_it_is_open() {
    if !is_possible() {
        return;
    }
    let scene = Scene::new(BLOB);
    let old = content(1, BLOB);
    let past = File::open(&scene.old).unwrap();
    scene.withhold(true);
    let gets = scene.gets_of(|| {
        let too = File::open(&scene.old).unwrap();
        drop(past);
        assert!(read_from(&too, 0) == old);
    });
    assert_eq!(gets, 0);
}

#[test]
fn what_is_open_outlives_its_blob() {
    if !is_possible() {
        return;
    }
    let scene = Scene::new(BLOB);
    let file = File::open(&scene.old).unwrap();
    fs::remove_dir_all(scene.folder.path().join("blobs")).unwrap();
    assert!(read_from(&file, 0) == content(1, BLOB));
}

/// The writes of others are seen in a file that lives.
#[test]
fn the_present_is_read_through_the_mount() {
    let scene = Scene::new(BLOB);
    let path = scene.mounted.path("a");
    let reader = File::open(&path).unwrap();
    assert!(read_from(&reader, 0) == content(2, BLOB));
    fs::write(&path, content(3, BLOB)).unwrap();
    assert!(read_from(&reader, 0) == content(3, BLOB));
}

/// There the kernel refuses to read anything by itself.
#[test]
fn a_mount_with_a_write_cache_reads_the_past_through_itself() {
    let mut options = Options::default();
    options.write_cache = true;
    let scene = Scene::with(BLOB, options);
    let gets = scene.gets_of(|| assert!(fs::read(&scene.old).unwrap() == content(1, BLOB)));
    assert_eq!(gets, 1);
}

#[test]
fn small_files_are_read_through_the_mount() {
    let scene = Scene::new(60 << 10);
    let old = content(1, 60 << 10);
    let gets = scene.gets_of(|| assert!(fs::read(&scene.old).unwrap() == old));
    assert_eq!(gets, 1);
}

#[test]
fn files_of_many_blobs_are_read_through_the_mount() {
    let scene = Scene::new(5 << 20);
    assert!(fs::read(&scene.old).unwrap() == content(1, 5 << 20));
}
