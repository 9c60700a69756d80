use std::fs::{self, File};
use std::path::Path;

use nexus_fs::{At, WriteOptions};
use rustix::fs::{XattrFlags, getxattr, listxattr, removexattr, setxattr};
use rustix::io::Errno;

use crate::support::{Mounted, code};

#[test]
fn attributes_of_users_are_kept() {
    let mounted = Mounted::in_memory();
    let path = mounted.path("a");
    fs::write(&path, "").unwrap();
    let set = |name: &str, value: &[u8], flags| setxattr(&path, name, value, flags);
    set("user.one", b"1", XattrFlags::empty()).unwrap();
    set("user.empty", b"", XattrFlags::CREATE).unwrap();
    assert_eq!(
        code(set("user.one", b"2", XattrFlags::CREATE)),
        Errno::EXIST.raw_os_error()
    );
    assert_eq!(
        code(set("user.two", b"2", XattrFlags::REPLACE)),
        Errno::NODATA.raw_os_error()
    );
    set("user.one", b"first", XattrFlags::REPLACE).unwrap();
    let mut value = [0; 10];
    assert_eq!(getxattr(&path, "user.one", &mut value[..]).unwrap(), 5);
    assert_eq!(&value[..5], b"first");
    assert_eq!(
        code(getxattr(&path, "user.one", &mut value[..2])),
        Errno::RANGE.raw_os_error()
    );
    let mut list = [0; 100];
    let length = listxattr(&path, &mut list[..]).unwrap();
    assert_eq!(&list[..length], b"user.empty\0user.one\0");
    removexattr(&path, "user.one").unwrap();
    let gone = Errno::NODATA.raw_os_error();
    assert_eq!(code(getxattr(&path, "user.one", &mut value[..])), gone);
    assert_eq!(code(removexattr(&path, "user.one")), gone);
}

#[test]
fn attributes_are_the_metadata_that_other_doors_see() {
    let mounted = Mounted::in_memory();
    let path = mounted.path("a");
    fs::write(&path, "").unwrap();
    setxattr(&path, "user.color", b"red", XattrFlags::empty()).unwrap();
    let session = mounted.session();
    let metadata = mounted
        .block_on(session.metadata("/a", nexus_fs::At::Latest))
        .unwrap();
    assert_eq!(metadata, [("color".to_owned(), "red".into())]);
}

#[test]
fn what_cannot_be_kept_is_not_pretended() {
    let mounted = Mounted::in_memory();
    let path = mounted.path("a");
    File::create(&path).unwrap();
    for name in ["trusted.x", "security.x", "user.tag:x"] {
        let set = setxattr(&path, name, b"1", XattrFlags::empty());
        assert_eq!(code(set), Errno::OPNOTSUPP.raw_os_error(), "{name}");
    }
}

fn value(path: &Path, name: &str) -> Option<String> {
    let mut value = vec![0; 1 << 16];
    let length = getxattr(path, name, &mut value[..]).ok()?;
    value.truncate(length);
    Some(String::from_utf8(value).unwrap())
}

/// What the zone knows of a file can be read, is not listed and cannot be set.
#[test]
fn the_versions_of_a_file_are_told() {
    let mounted = Mounted::in_memory();
    let path = mounted.path("a");
    for content in ["one", "three"] {
        fs::write(&path, content).unwrap();
    }
    let session = mounted.session();
    let stat = mounted.block_on(session.stat("/a", At::Latest)).unwrap();
    let versions = value(&path, "user.nexus.versions").unwrap();
    let newest: Vec<_> = versions.lines().next().unwrap().split('\t').collect();
    let (etag, revision) = (stat.etag.unwrap().to_string(), stat.revision.to_string());
    assert_eq!(newest[0], stat.version.to_string());
    assert_eq!(newest[1], revision);
    assert_eq!(newest[3..], ["5", &*etag, "system:system"]);
    assert_eq!(versions.lines().count() as u64, stat.version);
    let version = value(&path, "user.nexus.version").unwrap();
    assert_eq!(version, stat.version.to_string());
    assert_eq!(value(&path, "user.nexus.etag"), Some(etag));
    assert_eq!(value(&path, "user.nexus.revision"), Some(revision));
    for (path, name) in [
        (&*path, "user.nexus.other"),
        (mounted.root(), "user.nexus.versions"),
        (mounted.root(), "user.nexus.etag"),
    ] {
        assert_eq!(value(path, name), None, "{name}");
    }
    assert!(value(mounted.root(), "user.nexus.revision").is_some());
    assert_eq!(listxattr(&path, &mut [0; 100][..]).unwrap(), 0);
    let refused = Errno::PERM.raw_os_error();
    let set = setxattr(&path, "user.nexus.etag", b"1", XattrFlags::empty());
    assert_eq!(code(set), refused);
    assert_eq!(code(removexattr(&path, "user.nexus.etag")), refused);
}

/// Of a past state they are those of then.
#[test]
fn versions_of_the_past_end_then() {
    let mounted = Mounted::in_memory();
    let path = mounted.path("a");
    fs::write(&path, "one").unwrap();
    let then = value(&path, "user.nexus.versions").unwrap();
    let revision = value(&path, "user.nexus.revision").unwrap();
    fs::write(&path, "two").unwrap();
    let old = mounted.path(&format!(".nexus/at/{revision}/a"));
    assert_eq!(value(&old, "user.nexus.versions"), Some(then));
}

/// No door can set a key that a mount would hide.
#[test]
fn keys_that_name_facts_are_taken() {
    let mounted = Mounted::in_memory();
    let session = mounted.session();
    let options = WriteOptions {
        metadata: vec![("nexus.etag".into(), "1".into())],
        ..WriteOptions::default()
    };
    let written = mounted.block_on(session.write("/a", "".into(), options));
    assert_eq!(
        written.unwrap_err().kind(),
        nexus_kernel::Kind::InvalidArgument
    );
}
