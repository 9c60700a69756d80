//! What is changed past the mount is seen in it, whatever the kernel remembers.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use nexus_fs::{MoveOptions, RemoveOptions, SetAttributes, WriteOptions};
use nexus_fuse::Options;
use nexus_kernel::Durability;
use std::os::unix::fs::MetadataExt;

use crate::support::{Mounted, memory_stores, names};

/// Of itself, the kernel would ask again after an hour.
fn remembering() -> Mounted {
    let mut options = Options::default();
    options.cache_for = Duration::from_secs(3_600);
    Mounted::with(&memory_stores(), options)
}

/// Waits until it is so, and not for ever.
#[track_caller]
fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::yield_now();
    }
}

fn write(mounted: &Mounted, path: &str, content: &'static str) {
    let session = mounted.session();
    let options = WriteOptions::default();
    let written = session.write(path, Bytes::from(content), options);
    mounted.block_on(written).unwrap();
}

fn reads(path: &Path, content: &str) -> bool {
    fs::read_to_string(path).is_ok_and(|found| found == content)
}

#[test]
fn a_file_that_is_made_elsewhere_appears() {
    let mounted = remembering();
    let path = mounted.path("a");
    assert!(!path.exists());
    write(&mounted, "/a", "made elsewhere");
    eventually("it appears", || reads(&path, "made elsewhere"));
    assert_eq!(names(mounted.root()), ["a"]);
}

#[test]
fn a_content_that_is_written_elsewhere_is_read() {
    let mounted = remembering();
    let path = mounted.path("a");
    fs::write(&path, "before").unwrap();
    assert!(reads(&path, "before"));
    write(&mounted, "/a", "afterwards");
    eventually("the content", || reads(&path, "afterwards"));
    assert_eq!(fs::metadata(&path).unwrap().len(), 10);
}

#[test]
fn names_that_move_and_go_elsewhere_move_and_go() {
    let mounted = remembering();
    let session = mounted.session();
    fs::create_dir(mounted.path("d")).unwrap();
    fs::write(mounted.path("d/a"), "a").unwrap();
    let (old, new) = (mounted.path("d/a"), mounted.path("e/a"));
    assert!(old.exists() && !new.exists());
    let moved = session.rename("/d", "/e", MoveOptions::default());
    mounted.block_on(moved).unwrap();
    eventually("the new name", || reads(&new, "a"));
    eventually("the old name", || !old.exists());
    let options = RemoveOptions {
        recursive: true,
        ..RemoveOptions::default()
    };
    mounted.block_on(session.remove("/e", options)).unwrap();
    eventually("the removal", || !new.exists());
    eventually("an empty root", || names(mounted.root()).is_empty());
}

#[test]
fn attributes_that_are_set_elsewhere_are_seen() {
    let mounted = remembering();
    let path = mounted.path("a");
    fs::write(&path, "a").unwrap();
    assert_ne!(fs::metadata(&path).unwrap().mode() & 0o777, 0o400);
    let set = SetAttributes {
        mode: Some(0o400),
        ..SetAttributes::default()
    };
    let session = mounted.session();
    let set = session.set_attributes("/a", set, Durability::Sync);
    mounted.block_on(set).unwrap();
    eventually("the mode", || {
        fs::metadata(&path).unwrap().mode() & 0o777 == 0o400
    });
}
