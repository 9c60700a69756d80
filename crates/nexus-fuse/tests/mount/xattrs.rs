use std::fs::{self, File};

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
