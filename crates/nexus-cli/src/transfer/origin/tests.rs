use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::{of_file, of_member};

#[test]
fn a_file_is_named_by_a_url() {
    let of = |bytes: &[u8]| of_file(Path::new(OsStr::from_bytes(bytes))).unwrap();
    assert_eq!(of(b"/home/me/a b#1.txt"), "file:///home/me/a%20b%231.txt");
    assert_eq!(of(b"/\xC3\xA9\n\xFF"), "file:///%C3%A9%0A%FF");
    assert!(of(b"here").starts_with("file:///"));
    assert_eq!(of_file(Path::new(&"x".repeat(5000))), None);
}

#[test]
fn a_member_is_named_with_its_archive() {
    let member = of_member("file:///a.tar", "b/c d").unwrap();
    assert_eq!(member, "file:///a.tar#b/c%20d");
}
