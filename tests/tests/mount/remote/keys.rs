//! What a key may not do is refused in the mount.

use std::fs;

use nexus_tests::{Home, Node};
use serde_json::{Value, json};

use super::{EACCES, EROFS, Remote, errno};

/// Makes a key; answers its public id and its secret.
fn make_key(node: &Node<'_>, rights: &str, prefix: Option<&str>) -> (String, String) {
    let wanted = json!({ "name": "k", "id": "bob", "rights": rights, "prefix": prefix });
    let made = node.http().post("/api/v2/keys", &wanted).ok().json();
    let text = |value: &Value| value.as_str().expect("it is text").to_owned();
    (text(&made["key"]["key_id"]), text(&made["secret"]))
}

fn mount_with_key(node: &Node<'_>, secret: &str) -> Remote {
    Remote::mount(node.cli_with(secret))
}

#[test]
fn a_key_that_may_not_write_does_not() {
    let home = Home::new();
    let node = home.start();
    node.http().write("/a", "kept").ok();
    let (_, secret) = make_key(&node, "read-only", None);
    let mounted = mount_with_key(&node, &secret);
    assert_eq!(fs::read(mounted.path("a")).expect("it may read"), b"kept");
    assert_eq!(errno(fs::write(mounted.path("a"), "x")), EACCES);
    assert_eq!(errno(fs::write(mounted.path("b"), "x")), EACCES);
    assert_eq!(errno(fs::create_dir(mounted.path("d"))), EACCES);
    assert_eq!(errno(fs::remove_file(mounted.path("a"))), EACCES);
    mounted.unmount();
    assert_eq!(node.http().read("/a").ok().body, b"kept");
}

#[test]
fn a_key_that_is_no_administrators_acts_for_nobody() {
    let home = Home::new();
    let node = home.start();
    let (_, secret) = make_key(&node, "read-write", None);
    let cli = node.cli_with(&secret);
    fs::create_dir(cli.folder().join("empty")).expect("it is writable");
    for arguments in [
        ["mount", "--as", "user:bob", "empty"],
        ["write", "--as", "user:bob", "/a"],
    ] {
        let said = cli.fails(arguments);
        assert!(said.contains("only an administrator's key"), "{said}");
    }
    assert_eq!(node.cli().ok(["log"]), "");
}

#[test]
fn a_key_that_is_bound_to_a_prefix_sees_only_that() {
    let home = Home::new();
    let node = home.start();
    for path in ["/team/own/a", "/team/other/b", "/c"] {
        node.http().write(path, "content").ok();
    }
    let (_, secret) = make_key(&node, "read-write", Some("/team/own"));
    let mounted = mount_with_key(&node, &secret);
    let names = |name: &str| -> Vec<_> {
        let entries = fs::read_dir(mounted.path(name)).expect("it may be listed");
        let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("it is there").file_name();
        entries.map(name).collect()
    };
    assert_eq!(names(""), ["team"]);
    assert_eq!(names("team"), ["own"]);
    assert_eq!(names("team/own"), ["a"]);
    assert_eq!(errno(fs::read(mounted.path("c"))), EACCES);
    assert_eq!(errno(fs::read(mounted.path("team/other/b"))), EACCES);
    assert_eq!(errno(fs::write(mounted.path("team/x"), "x")), EACCES);
    fs::write(mounted.path("team/own/b"), "its own").expect("it may");
    mounted.unmount();
}

#[test]
fn a_key_that_is_revoked_opens_nothing_any_more() {
    let home = Home::new();
    let node = home.start();
    node.http().write("/a", "content").ok();
    let (key_id, secret) = make_key(&node, "read-write", None);
    let mounted = mount_with_key(&node, &secret);
    let open = fs::File::open(mounted.path("a")).expect("it may");
    let revoke = node
        .http()
        .request("DELETE", &format!("/api/v2/keys/{key_id}"));
    revoke.send().ok();
    assert_eq!(errno(fs::read(mounted.path("a"))), EACCES);
    assert_eq!(errno(fs::write(mounted.path("b"), "x")), EACCES);
    assert_eq!(errno(fs::read_dir(mounted.root())), EACCES);
    let mut bytes = [0; 4];
    let read = std::os::unix::fs::FileExt::read_at(&open, &mut bytes, 0);
    assert_eq!(errno(read), EACCES);
    drop(open);
}

#[test]
fn a_past_state_is_mounted_to_be_read() {
    let home = Home::new();
    let node = home.start();
    node.http().write("/d/a", "before").ok();
    let revision = node.http().revision();
    node.http().write("/d/a", "after").ok();
    node.http().write("/d/b", "after").ok();
    let at = revision.to_string();
    let mounted = Remote::mount_with(node.cli(), &["--at", &at]);
    let read = fs::read(mounted.path("d/a")).expect("it was there");
    assert_eq!(read, b"before");
    assert!(!mounted.path("d/b").exists());
    assert_eq!(errno(fs::write(mounted.path("d/c"), "x")), EROFS);
    mounted.unmount();
}
