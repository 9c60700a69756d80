use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::process::Command;

use nexus_fs::At;

use crate::support::{Mounted, errno, local_stores};

#[test]
fn what_is_written_is_read_back() {
    let mounted = Mounted::in_memory();
    let sizes = [0, 1, 4096, 9000, 200_000, 3 << 20];
    for size in sizes {
        let path = mounted.path(&format!("of-{size}"));
        let content: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
        fs::write(&path, &content).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), size as u64);
        assert!(fs::read(&path).unwrap() == content, "{size}");
    }
}

#[test]
fn writes_land_at_their_offsets_and_holes_read_as_zeros() {
    let mounted = Mounted::in_memory();
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true);
    let file = options.open(mounted.path("a")).unwrap();
    file.write_all_at(b"end", 100_000).unwrap();
    file.write_all_at(b"begin", 0).unwrap();
    file.write_all_at(b"over", 3).unwrap();
    let mut expected = vec![0; 100_003];
    expected[..7].copy_from_slice(b"begover");
    expected[100_000..].copy_from_slice(b"end");
    assert!(fs::read(mounted.path("a")).unwrap() == expected);
    drop(file);
    assert!(fs::read(mounted.path("a")).unwrap() == expected);
}

#[test]
fn appends_land_at_the_end_wherever_it_is() {
    let mounted = Mounted::in_memory();
    let path = mounted.path("log");
    let open = || {
        let mut options = OpenOptions::new();
        options.append(true).create(true).open(&path).unwrap()
    };
    let (mut one, mut other) = (open(), open());
    one.write_all(b"1").unwrap();
    other.write_all(b"2").unwrap();
    one.seek(SeekFrom::Start(0)).unwrap();
    one.write_all(b"3").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"123");
}

#[test]
fn files_are_cut_and_extended() {
    let mounted = Mounted::in_memory();
    let path = mounted.path("a");
    fs::write(&path, b"0123456789").unwrap();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(4).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 4);
    file.set_len(6).unwrap();
    drop(file);
    assert_eq!(fs::read(&path).unwrap(), b"0123\0\0");
    // By name, with nothing open.
    truncate(&path, 2);
    assert_eq!(fs::read(&path).unwrap(), b"01");
    File::create(&path).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"");
}

/// The call that takes a name, which `std` does not have.
fn truncate(path: &Path, size: u64) {
    let script = "import os, sys; os.truncate(sys.argv[1], int(sys.argv[2]))";
    let mut python = Command::new("python3");
    let status = python
        .args(["-c", script])
        .arg(path)
        .arg(size.to_string())
        .status();
    assert!(status.unwrap().success());
}

#[test]
fn an_overwritten_file_gets_one_version() {
    let mounted = Mounted::in_memory();
    fs::write(mounted.path("a"), b"one").unwrap();
    let stat = |mounted: &Mounted| {
        let session = mounted.session();
        mounted
            .block_on(session.stat("/a", nexus_fs::At::Latest))
            .unwrap()
    };
    let before = stat(&mounted).version;
    fs::write(mounted.path("a"), b"two").unwrap();
    assert_eq!(stat(&mounted).version, before + 1);
}

#[test]
fn an_unlinked_file_lives_until_it_is_closed() {
    let mounted = Mounted::in_memory();
    let path = mounted.path("a");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path)
        .unwrap();
    file.write_all(b"still here").unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(
        errno(fs::metadata(&path)),
        rustix::io::Errno::NOENT.raw_os_error()
    );
    file.write_all(b", and more").unwrap();
    file.sync_all().unwrap();
    file.set_len(17).unwrap();
    assert_eq!(file.metadata().unwrap().nlink(), 0);
    file.seek(SeekFrom::Start(0)).unwrap();
    let mut content = String::new();
    file.read_to_string(&mut content).unwrap();
    assert_eq!(content, "still here, and m");
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    file.set_permissions(permissions).unwrap();
    assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600);
}

#[test]
fn what_was_synced_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let large = vec![7; 300_000];
    {
        let mounted = Mounted::new(&local_stores(folder.path()));
        let mut file = File::create(mounted.path("small")).unwrap();
        file.write_all(b"kept").unwrap();
        file.sync_all().unwrap();
        fs::create_dir(mounted.path("d")).unwrap();
        let mut file = File::create(mounted.path("d/large")).unwrap();
        file.write_all(&large).unwrap();
        file.sync_data().unwrap();
        // Not closed before the mount goes.
        let open = File::create(mounted.path("open")).unwrap();
        (&open).write_all(b"written").unwrap();
        drop(open);
    }
    let mounted = Mounted::new(&local_stores(folder.path()));
    assert_eq!(fs::read(mounted.path("small")).unwrap(), b"kept");
    assert!(fs::read(mounted.path("d/large")).unwrap() == large);
    assert_eq!(fs::read(mounted.path("open")).unwrap(), b"written");
}

#[test]
fn many_threads_write_files_of_their_own() {
    let mounted = Mounted::in_memory();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let mounted = &mounted;
            scope.spawn(move || {
                for n in 0..40 {
                    let path = mounted.path(&format!("{thread}-{n}"));
                    fs::write(&path, format!("{thread} {n}")).unwrap();
                    assert_eq!(fs::read_to_string(&path).unwrap(), format!("{thread} {n}"));
                }
            });
        }
    });
    assert_eq!(crate::support::names(mounted.root()).len(), 320);
}

#[test]
fn too_large_a_file_is_refused() {
    let mounted = Mounted::in_memory();
    let file = File::create(mounted.path("a")).unwrap();
    let beyond = nexus_fs::CONTENT_BYTES_MAX + 1;
    assert_eq!(
        errno(file.set_len(beyond)),
        rustix::io::Errno::FBIG.raw_os_error()
    );
    assert_eq!(
        errno(file.write_at(b"x", beyond)),
        rustix::io::Errno::FBIG.raw_os_error()
    );
}

/// A shell closes a copy of the descriptor before anything is written: that is no version.
#[test]
fn a_new_file_is_not_cut() {
    let mounted = Mounted::in_memory();
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "echo text > a"])
        .current_dir(mounted.root());
    assert!(shell.status().unwrap().success());
    let session = mounted.session();
    let versions = session.versions("/a", 10, None);
    let versions = mounted.block_on(versions).unwrap();
    let sizes: Vec<_> = versions.iter().map(|version| version.size).collect();
    assert_eq!(sizes, [5, 0]);
}

/// Nor does a shell that overwrites a file make an empty version of it.
#[test]
fn an_overwritten_file_is_never_found_empty() {
    let mounted = Mounted::in_memory();
    fs::write(mounted.path("a"), "before").unwrap();
    let session = mounted.session();
    let stat = || mounted.block_on(session.stat("/a", At::Latest)).unwrap();
    let before = stat().version;
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "echo text > a"])
        .current_dir(mounted.root());
    assert!(shell.status().unwrap().success());
    assert_eq!((stat().version, stat().size), (before + 1, 5));
    drop(File::create(mounted.path("a")).unwrap());
    assert_eq!(fs::read(mounted.path("a")).unwrap(), b"");
    while stat().size > 0 {}
    assert_eq!(stat().version, before + 2);
}
