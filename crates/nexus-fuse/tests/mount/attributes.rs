use std::fs::{self, File, FileTimes, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use rustix::fs::{CWD, FileType, Mode, XattrFlags};

use crate::support::{Mounted, errno, memory_stores, names};

#[test]
fn modes_owners_and_times_are_kept() {
    let mounted = Mounted::in_memory();
    let path = mounted.path("a");
    fs::write(&path, "a").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o4751)).unwrap();
    chown(&path, Some(12), Some(34)).unwrap();
    let accessed = UNIX_EPOCH + Duration::new(1_000_000_001, 123_456_789);
    let modified = UNIX_EPOCH + Duration::new(1_600_000_002, 987_654_321);
    let times = FileTimes::new()
        .set_accessed(accessed)
        .set_modified(modified);
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.set_times(times).unwrap();
    drop(file);
    let found = fs::metadata(&path).unwrap();
    assert_eq!((found.uid(), found.gid()), (12, 34));
    // A change of owner takes the bit that lends it.
    assert_eq!(found.mode() & 0o7777, 0o751);
    assert_eq!(found.accessed().unwrap(), accessed);
    assert_eq!(found.modified().unwrap(), modified);
}

/// As `cp -p` and archivers do: written, given a time, closed.
#[test]
fn a_time_that_was_set_stays_when_the_file_is_closed() {
    let mounted = Mounted::in_memory();
    let time = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let mut file = File::create(mounted.path("a")).unwrap();
    file.write_all(b"content").unwrap();
    file.set_modified(time).unwrap();
    drop(file);
    let found = fs::metadata(mounted.path("a")).unwrap();
    assert_eq!(found.modified().unwrap(), time);
    assert_eq!(fs::read(mounted.path("a")).unwrap(), b"content");
}

/// git notes the attributes of an open file, and takes it for changed if they move.
#[test]
fn closing_a_file_changes_no_attribute_that_was_seen() {
    let mounted = Mounted::in_memory();
    let mut file = File::create(mounted.path("a")).unwrap();
    file.write_all(b"content").unwrap();
    let open = file.metadata().unwrap();
    drop(file);
    let closed = fs::metadata(mounted.path("a")).unwrap();
    assert_eq!(open.modified().unwrap(), closed.modified().unwrap());
    let changed = |found: &fs::Metadata| (found.ctime(), found.ctime_nsec());
    assert_eq!(changed(&open), changed(&closed));
}

#[test]
fn a_directory_changes_with_its_names() {
    let mounted = Mounted::in_memory();
    let directory = mounted.path("d");
    fs::create_dir(&directory).unwrap();
    let old = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    File::open(&directory).unwrap().set_modified(old).unwrap();
    assert_eq!(fs::metadata(&directory).unwrap().modified().unwrap(), old);
    let before = fs::metadata(&directory).unwrap();
    fs::write(directory.join("f"), "").unwrap();
    let after = fs::metadata(&directory).unwrap();
    assert!(after.modified().unwrap() > old);
    let changed = |found: &fs::Metadata| (found.ctime(), found.ctime_nsec());
    assert!(changed(&after) > changed(&before));
}

#[test]
fn what_is_made_in_a_directory_with_a_set_group_id_gets_its_group() {
    let mounted = Mounted::in_memory();
    let directory = mounted.path("d");
    fs::create_dir(&directory).unwrap();
    chown(&directory, None, Some(77)).unwrap();
    fs::set_permissions(&directory, Permissions::from_mode(0o2775)).unwrap();
    fs::write(directory.join("f"), "").unwrap();
    fs::create_dir(directory.join("inner")).unwrap();
    assert_eq!(fs::metadata(directory.join("f")).unwrap().gid(), 77);
    let inner = fs::metadata(directory.join("inner")).unwrap();
    assert_eq!((inner.gid(), inner.mode() & 0o2000), (77, 0o2000));
}

#[test]
fn a_read_only_mount_refuses_every_change() {
    let stores = memory_stores();
    {
        let mounted = Mounted::new(&stores);
        fs::write(mounted.path("a"), "a").unwrap();
        fs::create_dir(mounted.path("d")).unwrap();
    }
    let mut options = nexus_fuse::Options::default();
    options.read_only = true;
    let mounted = Mounted::with(&stores, options);
    let read_only = rustix::io::Errno::ROFS.raw_os_error();
    assert_eq!(fs::read(mounted.path("a")).unwrap(), b"a");
    let (file, free) = (mounted.path("a"), mounted.path("b"));
    let pipe = || rustix::fs::mknodat(CWD, &free, FileType::Fifo, Mode::RUSR, 0);
    let changes = [
        fs::write(&file, "b"),
        fs::write(&free, "b"),
        OpenOptions::new().append(true).open(&file).map(drop),
        fs::create_dir(&free),
        fs::remove_dir(mounted.path("d")),
        fs::remove_file(&file),
        fs::rename(&file, &free),
        fs::hard_link(&file, &free),
        symlink("a", &free),
        pipe().map_err(Into::into),
        fs::set_permissions(&file, Permissions::from_mode(0o600)),
        chown(&file, Some(1), None),
        lchown(&file, Some(1), None),
        OpenOptions::new().write(true).open(&file).map(drop),
        rustix::fs::setxattr(&file, "user.a", b"a", XattrFlags::empty()).map_err(Into::into),
    ];
    for (n, change) in changes.into_iter().enumerate() {
        assert_eq!(errno(change), read_only, "change {n}");
    }
    assert_eq!(names(mounted.root()), ["a", "d"]);
    assert_eq!(fs::read(&file).unwrap(), b"a");
}

#[test]
fn set_id_bits_go_with_a_new_owner_and_when_another_user_writes() {
    let mounted = Mounted::in_memory();
    let file = mounted.path("program");
    let mode = || fs::metadata(&file).unwrap().mode() & 0o7777;
    let set = || fs::set_permissions(&file, Permissions::from_mode(0o6777)).unwrap();
    fs::write(&file, "one").unwrap();
    set();
    fs::write(&file, "root may").unwrap();
    assert_eq!(mode(), 0o6777);
    for script in ["echo two >> program", "echo three > program"] {
        set();
        let mut shell = Command::new("sh");
        shell
            .args(["-c", script])
            .current_dir(mounted.root())
            .uid(1000)
            .gid(1000);
        assert!(shell.status().unwrap().success(), "{script}");
        assert_eq!(mode(), 0o777, "{script}");
    }
    set();
    chown(&file, Some(1000), None).unwrap();
    assert_eq!(mode(), 0o777);
}
