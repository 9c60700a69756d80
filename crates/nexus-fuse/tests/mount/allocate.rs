//! `fallocate` on a mount.

use std::fs::{self, File, OpenOptions};
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::support::{Mounted, code};

const LONG: usize = 3 << 20;

fn open(path: &Path) -> File {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap()
}

#[test]
fn a_file_is_made_longer_and_never_shorter() {
    let mounted = Mounted::in_memory();
    let path = mounted.path("a");
    fs::write(&path, "content").unwrap();
    let file = open(&path);
    let plain = FallocateFlags::empty();
    fallocate(&file, plain, 0, 3).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"content");
    fallocate(&file, plain, 4, 6).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"content\0\0\0");
    assert_eq!(file.metadata().unwrap().len(), 10);
    drop(file);
    assert_eq!(fs::read(&path).unwrap(), b"content\0\0\0");
}

#[test]
fn a_range_is_made_zeros() {
    let mounted = Mounted::in_memory();
    let path = mounted.path("a");
    let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    let zeros = FallocateFlags::ZERO_RANGE;
    let keeping = zeros | FallocateFlags::KEEP_SIZE;
    for (mode, end) in [(hole, LONG), (keeping, LONG), (zeros, LONG + 5)] {
        fs::write(&path, vec![7; LONG]).unwrap();
        let file = open(&path);
        fallocate(&file, mode, 10, (LONG - 5) as u64).unwrap();
        let mut expected = vec![0; end];
        expected[..10].fill(7);
        assert!(fs::read(&path).unwrap() == expected, "{mode:?}");
        fallocate(&file, hole, 0, 4).unwrap();
        expected[..4].fill(0);
        drop(file);
        assert!(fs::read(&path).unwrap() == expected, "{mode:?}");
    }
}

#[test]
fn what_cannot_be_done_is_refused() {
    let mounted = Mounted::in_memory();
    let path = mounted.path("a");
    fs::write(&path, "content").unwrap();
    let file = open(&path);
    for mode in [
        FallocateFlags::KEEP_SIZE,
        FallocateFlags::COLLAPSE_RANGE,
        FallocateFlags::INSERT_RANGE,
    ] {
        let refused = code(fallocate(&file, mode, 0, 4096));
        assert_eq!(refused, Errno::OPNOTSUPP.raw_os_error(), "{mode:?}");
    }
    let beyond = fallocate(&file, FallocateFlags::empty(), 1 << 40, 1);
    assert_eq!(code(beyond), Errno::FBIG.raw_os_error());
    assert_eq!(fs::read(&path).unwrap(), b"content");
}
