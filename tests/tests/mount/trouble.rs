//! Where a zone cannot be mounted, the node says why and what to do, and leaves everything as it
//! is; where its disk is full, programs are told, and nothing of what they had is lost.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

use nexus_tests::{Home, Process, Random, WAIT_MAX};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};

/// It ends by itself, with a failure, and says all of `words`.
#[track_caller]
fn refuses(process: Process, words: &[&str]) {
    let said = process.wait_for_last_words(WAIT_MAX);
    let complaint = said.lines().find(|line| line.starts_with("nexus-node: "));
    let complaint = complaint.unwrap_or_else(|| panic!("no complaint in: {said}"));
    for word in words {
        assert!(complaint.contains(word), "no {word:?} in {complaint:?}");
    }
}

/// Root in name only, as in a container that grants nothing.
#[test]
fn without_rights_it_is_said_what_they_take() {
    let home = Home::new();
    let without_rights = home.launch_mount_through(&["unshare", "--user"]);
    refuses(without_rights, &["root", "fuse3"]);
    home.mount().unmount();
}

#[test]
fn without_the_device_it_is_said_what_brings_it() {
    let home = Home::new();
    let without_device = r#"mount -t tmpfs none /dev && exec "$@""#;
    let wrapper = ["unshare", "--mount", "sh", "-c", without_device, "sh"];
    refuses(
        home.launch_mount_through(&wrapper),
        &["/dev/fuse", "modprobe fuse", "--device /dev/fuse"],
    );
    home.mount().unmount();
}

/// The directory is looked at before the data, so a second mount is told of the first.
#[test]
fn a_place_in_use_is_left_alone() {
    let home = Home::new();
    let mounted = home.mount();
    fs::write(mounted.path("a"), "still served").expect("it is mounted");
    let other = Home::new();
    let there = mounted.root().to_str().expect("it is UTF-8");
    let words = ["directory", "name an empty one"];
    refuses(other.launch(&[("NEXUS_MOUNT_DIRECTORY", there)]), &words);
    let read = fs::read(mounted.path("a")).expect("it is there");
    assert_eq!(read, b"still served");
    fs::remove_file(mounted.path("a")).expect("it is there");
    // Empty, and mounted on all the same.
    let words = ["mounted here already", "unmount it first"];
    refuses(other.launch(&[("NEXUS_MOUNT_DIRECTORY", there)]), &words);
    mounted.unmount();
}

/// A disk in memory over the data of a node, and gone with this.
struct SmallDisk(PathBuf);

const SMALL: &str = "size=192m,mode=755";

impl SmallDisk {
    fn over_the_data_of(home: &Home, options: &str) -> Self {
        let at = home.data();
        fs::create_dir_all(&at).expect("the folder is ours");
        let options = std::ffi::CString::new(options).expect("no zero in it");
        mount(
            "small",
            &at,
            "tmpfs",
            MountFlags::empty(),
            options.as_c_str(),
        )
        .expect("these tests run as root");
        Self(at)
    }

    fn make_read_only(&self) {
        mount_remount(&self.0, MountFlags::RDONLY, "").expect("nobody writes to it");
    }

    fn grow(&self) {
        mount_remount(&self.0, MountFlags::empty(), "size=512m").expect("there is memory");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A test that fails leaves its node behind for a moment.
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

/// Writes on and on, syncing each MiB; the error it ends with.
fn fill(mut file: &File) -> io::Error {
    let mut content = Random::new(1);
    for _ in 0..1 << 10 {
        let piece = content.content(1 << 20);
        if let Err(error) = file.write_all(&piece).and_then(|()| file.sync_all()) {
            return error;
        }
    }
    panic!("a gigabyte fits a small disk");
}

#[test]
fn a_full_disk_is_told_and_takes_nothing_with_it() {
    let home = Home::new();
    let disk = SmallDisk::over_the_data_of(&home, SMALL);
    let mounted = home.mount();
    let kept = Random::new(2).content(3 << 20);
    fs::write(mounted.path("kept"), &kept).expect("there is room");
    fs::write(mounted.path("small"), "small").expect("there is room");
    fs::write(mounted.path("replaced"), "old").expect("there is room");
    let filling = File::create(mounted.path("filling")).expect("there is room");
    filling.sync_all().expect("there is room");

    let error = fill(&filling);
    assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
    drop(filling);
    // A file that is written anew is the old one until what was written of the new one fits.
    let (replaced, new) = (mounted.path("replaced"), Random::new(3).content(100 << 20));
    let error = fs::write(&replaced, &new).expect_err("there is no room");
    assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
    let found = fs::read(&replaced).expect("it is there");
    assert!(
        found == b"old" || new.starts_with(&found),
        "{}",
        found.len()
    );
    let small = fs::read(mounted.path("small")).expect("it is there");
    assert_eq!(small, b"small");
    assert!(fs::read(mounted.path("kept")).expect("it is there") == kept);

    fs::remove_file(mounted.path("filling")).expect("there is room kept for removing");
    let directory = File::open(mounted.root()).expect("it is there");
    directory
        .sync_all()
        .expect("there is room kept for removing");
    drop(directory);
    mounted.kill();

    disk.grow();
    let mounted = home.mount();
    assert!(fs::read(mounted.path("kept")).expect("it is there") == kept);
    assert!(!mounted.path("filling").exists());
    fs::write(mounted.path("new"), Random::new(4).content(20 << 20)).expect("there is room");
    mounted.unmount();
}

#[test]
fn a_store_that_cannot_be_written_to_is_named() {
    let home = Home::new();
    let disk = SmallDisk::over_the_data_of(&home, SMALL);
    let mounted = home.mount();
    fs::write(mounted.path("a"), "a").expect("there is room");
    mounted.unmount();
    disk.make_read_only();
    let process = home.launch(&[]);
    let words = ["check that this user may write to it", "Read-only"];
    refuses(process, &words);
}
