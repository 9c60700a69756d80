use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};

use rustix::fs::{AtFlags, CWD, FileType, Mode, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::support::{Mounted, code, errno, names};

#[test]
fn a_file_takes_the_place_of_another() {
    let mounted = Mounted::in_memory();
    let (a, b) = (mounted.path("a"), mounted.path("b"));
    fs::write(&a, "a").unwrap();
    fs::write(&b, "b").unwrap();
    fs::rename(&a, &b).unwrap();
    assert_eq!(fs::read(&b).unwrap(), b"a");
    assert_eq!(names(mounted.root()), ["b"]);
}

#[test]
fn a_rename_may_ask_for_a_free_name_or_for_an_exchange() {
    let mounted = Mounted::in_memory();
    let (a, b) = (mounted.path("a"), mounted.path("b"));
    fs::write(&a, "a").unwrap();
    fs::create_dir(&b).unwrap();
    fs::write(b.join("c"), "c").unwrap();
    let rename = |flags| renameat_with(CWD, &a, CWD, &b, flags);
    assert_eq!(
        code(rename(RenameFlags::NOREPLACE)),
        Errno::EXIST.raw_os_error()
    );
    rename(RenameFlags::EXCHANGE).unwrap();
    assert_eq!(fs::read(a.join("c")).unwrap(), b"c");
    assert_eq!(fs::read(&b).unwrap(), b"a");
    let free = renameat_with(CWD, &b, CWD, mounted.path("free"), RenameFlags::NOREPLACE);
    free.unwrap();
    assert_eq!(names(mounted.root()), ["a", "free"]);
    let whiteout = renameat_with(CWD, &a, CWD, &b, RenameFlags::WHITEOUT);
    assert_eq!(code(whiteout), Errno::INVAL.raw_os_error());
}

#[test]
fn renames_that_make_no_sense_are_refused() {
    let mounted = Mounted::in_memory();
    let path = |name| mounted.path(name);
    fs::create_dir_all(path("d/inner")).unwrap();
    fs::create_dir(path("empty")).unwrap();
    fs::write(path("f"), "f").unwrap();
    let table = [
        ("d", "d/inner/d", Errno::INVAL),
        ("f", "d", Errno::ISDIR),
        ("d", "f", Errno::NOTDIR),
        ("empty", "d", Errno::NOTEMPTY),
        ("missing", "x", Errno::NOENT),
        ("f", "f/x", Errno::NOTDIR),
    ];
    for (from, to, expected) in table {
        let got = errno(fs::rename(path(from), path(to)));
        assert_eq!(got, expected.raw_os_error(), "{from} -> {to}");
    }
    fs::rename(path("d"), path("empty")).unwrap();
    assert_eq!(names(mounted.root()), ["empty", "f"]);
}

#[test]
fn hard_links_are_one_file() {
    let mounted = Mounted::in_memory();
    let (a, b) = (mounted.path("a"), mounted.path("b"));
    fs::write(&a, "one").unwrap();
    fs::hard_link(&a, &b).unwrap();
    fs::write(&b, "two").unwrap();
    assert_eq!(fs::read(&a).unwrap(), b"two");
    let (one, other) = (fs::metadata(&a).unwrap(), fs::metadata(&b).unwrap());
    assert_eq!((one.ino(), one.nlink()), (other.ino(), 2));
    fs::remove_file(&a).unwrap();
    assert_eq!(fs::metadata(&b).unwrap().nlink(), 1);
    assert_eq!(fs::read(&b).unwrap(), b"two");
}

#[test]
fn symbolic_links_lead_on() {
    let mounted = Mounted::in_memory();
    fs::create_dir(mounted.path("d")).unwrap();
    fs::write(mounted.path("d/f"), "f").unwrap();
    symlink("d", mounted.path("l")).unwrap();
    symlink("nowhere/at all", mounted.path("dangling")).unwrap();
    symlink("round", mounted.path("round")).unwrap();
    assert_eq!(fs::read(mounted.path("l/f")).unwrap(), b"f");
    let dangling = fs::read_link(mounted.path("dangling")).unwrap();
    assert_eq!(dangling.to_str(), Some("nowhere/at all"));
    let at = mounted.path("round");
    assert_eq!(errno(fs::read(at)), Errno::LOOP.raw_os_error());
    assert_eq!(fs::symlink_metadata(mounted.path("l")).unwrap().len(), 1);
}

#[test]
fn names_have_up_to_255_bytes_of_text() {
    let mounted = Mounted::in_memory();
    let longest = "é".repeat(127) + "x";
    fs::write(mounted.path(&longest), "x").unwrap();
    assert_eq!(names(mounted.root()), [longest.as_str()]);
    let longer = mounted.path(&(longest + "y"));
    let too_long = Errno::NAMETOOLONG.raw_os_error();
    assert_eq!(errno(fs::write(&longer, "x")), too_long);
    assert_eq!(errno(fs::metadata(&longer)), too_long);
    assert_eq!(errno(fs::create_dir(&longer)), too_long);
    let bytes = mounted.root().join(OsStr::from_bytes(b"\xff"));
    assert_eq!(errno(File::create(bytes)), Errno::ILSEQ.raw_os_error());
}

#[test]
fn removals_know_files_from_directories() {
    let mounted = Mounted::in_memory();
    fs::create_dir(mounted.path("d")).unwrap();
    fs::write(mounted.path("d/f"), "").unwrap();
    let table = [
        (errno(fs::remove_dir(mounted.path("d"))), Errno::NOTEMPTY),
        (errno(fs::remove_file(mounted.path("d"))), Errno::ISDIR),
        (errno(fs::remove_dir(mounted.path("d/f"))), Errno::NOTDIR),
        (errno(fs::remove_file(mounted.path("x"))), Errno::NOENT),
        (errno(fs::create_dir(mounted.path("d"))), Errno::EXIST),
        (errno(fs::create_dir(mounted.path("d/f/x"))), Errno::NOTDIR),
    ];
    for (got, expected) in table {
        assert_eq!(got, expected.raw_os_error());
    }
    fs::remove_file(mounted.path("d/f")).unwrap();
    fs::remove_dir(mounted.path("d")).unwrap();
    assert!(names(mounted.root()).is_empty());
}

#[test]
fn only_regular_files_are_made() {
    let mounted = Mounted::in_memory();
    let make = |name: &str, kind| {
        let path = mounted.path(name);
        rustix::fs::mknodat(CWD, &path, kind, Mode::from_raw_mode(0o644), 0)
    };
    make("file", FileType::RegularFile).unwrap();
    assert!(fs::metadata(mounted.path("file")).unwrap().is_file());
    assert_eq!(
        code(make("pipe", FileType::Fifo)),
        Errno::PERM.raw_os_error()
    );
    assert_eq!(
        code(make("socket", FileType::Socket)),
        Errno::PERM.raw_os_error()
    );
}

#[test]
fn a_file_that_is_gone_gets_no_new_name() {
    let mounted = Mounted::in_memory();
    let file = File::create(mounted.path("a")).unwrap();
    fs::remove_file(mounted.path("a")).unwrap();
    let linked = rustix::fs::linkat(&file, "", CWD, mounted.path("b"), AtFlags::EMPTY_PATH);
    assert_eq!(code(linked), Errno::NOENT.raw_os_error());
}

/// Whoever works below a directory that is being moved is not led astray.
#[test]
fn names_are_found_while_directories_move() {
    let mounted = Mounted::in_memory();
    fs::create_dir_all(mounted.path("one/deep")).unwrap();
    let deep = File::open(mounted.path("one/deep")).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..100 {
                fs::rename(mounted.path("one"), mounted.path("two")).unwrap();
                fs::rename(mounted.path("two"), mounted.path("one")).unwrap();
            }
        });
        for n in 0..100 {
            let name = format!("{n}");
            let mode = Mode::from_raw_mode(0o755);
            rustix::fs::mkdirat(&deep, &name, mode).unwrap();
        }
    });
    assert_eq!(names(&mounted.path("one/deep")).len(), 100);
}
