use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use super::*;

fn walked(top: &Path) -> Vec<(String, DiskKind)> {
    let mut entries = Vec::new();
    walk(top, &mut |entry| {
        entries.push((entry.relative, entry.kind));
        Next::Go
    })
    .unwrap();
    entries
}

#[test]
fn a_walk_comes_depth_first_and_in_byte_order() {
    let top = tempfile::tempdir().unwrap();
    let path = |name: &str| top.path().join(name);
    fs::create_dir_all(path("b/c")).unwrap();
    for name in ["b/c/1", "b/0", "b-", "Z", "a"] {
        fs::write(path(name), name).unwrap();
    }
    let names: Vec<String> = walked(top.path())
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["", "Z", "a", "b", "b/0", "b/c", "b/c/1", "b-"]);
}

#[test]
fn links_are_told_apart_and_not_followed() {
    let top = tempfile::tempdir().unwrap();
    let path = |name: &str| top.path().join(name);
    fs::write(path("a"), "content").unwrap();
    fs::hard_link(path("a"), path("b")).unwrap();
    symlink("..", path("c")).unwrap();
    let expected = [
        (String::new(), DiskKind::Directory),
        ("a".into(), DiskKind::File),
        ("b".into(), DiskKind::HardLink { first: "a".into() }),
        (
            "c".into(),
            DiskKind::Symlink {
                target: "..".into(),
            },
        ),
    ];
    assert_eq!(walked(top.path()), expected);
}

#[test]
fn what_a_node_has_no_place_for_is_left_out_with_a_reason() {
    let top = tempfile::tempdir().unwrap();
    fs::write(top.path().join(std::ffi::OsStr::from_bytes(b"\xff")), "").unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(top.path().join("s")).unwrap();
    let kinds: Vec<DiskKind> = walked(top.path())
        .into_iter()
        .map(|(_, kind)| kind)
        .skip(1)
        .collect();
    let left_out = DiskKind::LeftOut;
    assert_eq!(
        kinds,
        [
            left_out("it is a socket"),
            left_out("its name is not UTF-8")
        ]
    );
}

#[test]
fn a_walk_of_a_file_is_that_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    assert_eq!(walked(file.path()), [(String::new(), DiskKind::File)]);
}

#[test]
fn a_walk_stops_when_told_to() {
    let top = tempfile::tempdir().unwrap();
    fs::write(top.path().join("a"), "").unwrap();
    let mut seen = 0;
    walk(top.path(), &mut |_| {
        seen += 1;
        Next::Stop
    })
    .unwrap();
    assert_eq!(seen, 1);
}

#[test]
fn content_is_compared_by_its_hash() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "hello").unwrap();
    let etag = |content: &[u8]| format!("b3-{}", blake3::hash(content).to_hex());
    assert!(has_etag(file.path(), &etag(b"hello")).unwrap());
    assert!(!has_etag(file.path(), &etag(b"other")).unwrap());
}
