//! Copies between the node and the disk, where somebody else has had a hand in one of the two.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use nexus_cli::archive::{Entry, EntryKind, Writer};
use nexus_client::Timestamp;
use nexus_tests::{Cli, Home, Node};

/// More than travels in a batch.
const LARGE_BYTES: usize = (1 << 20) + 1;

/// The node's symbolic link at `path`.
#[tokio::main(flavor = "current_thread")]
async fn link(node: &Node<'_>, target: &str, path: &str) {
    let durability = nexus_client::Durability::Relaxed;
    let made = node.client().await.symlink(target, path, durability).await;
    made.expect("the name is free");
}

#[track_caller]
fn write(path: &Path, content: &[u8]) {
    fs::create_dir_all(path.parent().expect("it is in a folder")).expect("it can be made");
    fs::write(path, content).expect("it can be written");
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("it is a folder");
    let name = |entry: fs::DirEntry| entry.file_name().into_string().expect("it is text");
    let mut names: Vec<String> = entries
        .map(|entry| name(entry.expect("it is there")))
        .collect();
    names.sort();
    names
}

fn field(cli: &Cli, path: &str, name: &str) -> serde_json::Value {
    let stat = cli.ok(["--json", "stat", path]);
    let stat: serde_json::Value = serde_json::from_str(&stat).expect("it is JSON");
    stat[name].clone()
}

#[test]
fn a_copy_to_the_disk_leads_through_no_link_below_its_top() {
    let home = Home::new();
    let node = home.start();
    let cli = node.cli();
    let outside = cli.folder().join("outside");
    fs::create_dir(&outside).expect("it can be made");
    cli.ok(["mkdir", "/x"]);
    link(&node, outside.to_str().expect("it is text"), "/x/a");
    cli.ok(["cp", "-r", "nx:/x", "back"]);
    let back = cli.folder().join("back");
    assert_eq!(fs::read_link(back.join("a")).expect("a link came"), outside);

    cli.ok(["rm", "/x/a"]);
    cli.ok(["mkdir", "-p", "/x/a/b"]);
    cli.ok_with_input(["write", "/x/a/keys"], b"mine");
    cli.ok_with_input(["write", "/x/a/b/keys"], b"mine");
    cli.ok(["cp", "-r", "nx:/x", "back"]);
    assert_eq!(names(&outside), [""; 0]);
    let a = fs::symlink_metadata(back.join("a")).expect("it is there");
    assert!(a.is_dir());
    assert_eq!(names(&back.join("a")), ["b", "keys"]);
    assert_eq!(names(&back.join("a/b")), ["keys"]);
}

#[test]
fn a_copy_to_the_disk_may_have_a_link_as_its_top() {
    let home = Home::new();
    let node = home.start();
    let cli = node.cli();
    let folder = cli.folder().join("folder");
    fs::create_dir(&folder).expect("it can be made");
    symlink(&folder, cli.folder().join("top")).expect("it can be made");
    cli.ok(["mkdir", "/x"]);
    cli.ok_with_input(["write", "/x/f"], b"f");
    cli.ok(["cp", "-r", "nx:/x", "top"]);
    assert_eq!(names(&folder), ["f"]);
}

#[test]
fn what_lends_rights_to_a_program_stays_on_the_node() {
    let home = Home::new();
    let node = home.start();
    let cli = node.cli();
    write(&cli.folder().join("tree/folder/program"), b"#!/bin/sh\n");
    set_mode(&cli, "tree/folder/program", 0o6755);
    set_mode(&cli, "tree/folder", 0o3775);
    cli.ok(["cp", "-r", "tree", "nx:/tree"]);
    assert_eq!(field(&cli, "/tree/folder/program", "mode"), "6755");
    // The second time finds the content there and sets attributes only.
    for _ in 0..2 {
        cli.ok(["cp", "-r", "nx:/tree", "back"]);
        let mode = |path: &str| {
            let metadata = fs::metadata(cli.folder().join(path)).expect("it came");
            metadata.permissions().mode() & 0o7777
        };
        assert_eq!(mode("back/folder/program"), 0o755);
        assert_eq!(mode("back/folder"), 0o775);
    }
}

fn set_mode(cli: &Cli, path: &str, mode: u32) {
    let path = cli.folder().join(path);
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
}

/// A tree of three files on the disk, and on the node a link for each of its names, out of the
/// place the tree goes to.
fn planted(node: &Node<'_>, cli: &Cli) {
    write(&cli.folder().join("tree/folder/new"), b"new");
    write(&cli.folder().join("tree/file"), b"/elsewhere/file");
    write(&cli.folder().join("tree/large"), &vec![7; LARGE_BYTES]);
    set_mode(cli, "tree/file", 0o600);
    cli.ok(["mkdir", "-p", "/elsewhere/folder"]);
    for name in ["file", "large"] {
        cli.ok_with_input(["write", &format!("/elsewhere/{name}")], b"theirs");
    }
    cli.ok(["mkdir", "/team"]);
    for name in ["folder", "file", "large"] {
        link(
            node,
            &format!("/elsewhere/{name}"),
            &format!("/team/{name}"),
        );
    }
}

#[track_caller]
fn assert_went_where_it_should(cli: &Cli) {
    assert_eq!(cli.ok(["ls", "/elsewhere/folder"]), "");
    for name in ["file", "large"] {
        let path = format!("/elsewhere/{name}");
        assert_eq!(cli.ok(["cat", &path]), "theirs", "{name}");
        assert_eq!(field(cli, &path, "mode"), "0644", "{name}");
        assert_eq!(field(cli, &format!("/team/{name}"), "kind"), "file");
    }
    assert_eq!(field(cli, "/team/folder", "kind"), "directory");
    assert_eq!(cli.ok(["cat", "/team/folder/new"]), "new");
    assert_eq!(cli.ok(["cat", "/team/file"]), "/elsewhere/file");
    assert_eq!(field(cli, "/team/large", "size"), LARGE_BYTES);
}

#[test]
fn a_copy_to_the_node_leads_through_no_link_below_its_top() {
    let home = Home::new();
    let node = home.start();
    let cli = node.cli();
    planted(&node, &cli);
    cli.ok(["cp", "-r", "tree", "nx:/team"]);
    assert_went_where_it_should(&cli);
}

#[test]
fn an_import_leads_through_no_link_below_its_top() {
    let home = Home::new();
    let node = home.start();
    let cli = node.cli();
    planted(&node, &cli);
    cli.ok(["cp", "-r", "tree", "nx:/source"]);
    cli.ok(["export", "/source", "tree.tar"]);
    cli.ok(["import", "tree.tar", "/team"]);
    assert_went_where_it_should(&cli);
}

/// An archive whose hard link names a file that is not in it, by way of a symbolic link that is.
fn archive_that_reaches_out(to: &Path) {
    let file = fs::File::create(to).expect("it can be written");
    let mut writer = Writer::new(file).expect("it can be written");
    let link = |target: &str| EntryKind::Symlink {
        target: target.to_owned(),
    };
    let name = |target: &str| EntryKind::HardLink {
        target: target.to_owned(),
    };
    for (path, kind) in [
        (".", EntryKind::Directory),
        ("a", link("/elsewhere")),
        ("b", name("a/file")),
    ] {
        let entry = Entry {
            path: path.to_owned(),
            kind,
            mode: 0o755,
            uid: 0,
            gid: 0,
            modified: Timestamp(0),
            metadata: Vec::new(),
            tags: Vec::new(),
        };
        writer.entry(&entry).expect("it may follow");
    }
    writer.finish().expect("it can be written");
}

#[test]
fn an_archive_gives_no_name_to_a_file_that_is_not_in_it() {
    let home = Home::new();
    let node = home.start();
    let cli = node.cli();
    cli.ok(["mkdir", "/elsewhere"]);
    cli.ok_with_input(["write", "/elsewhere/file"], b"theirs");
    archive_that_reaches_out(&cli.folder().join("a.tar"));
    // The second time the symbolic link is there for certain.
    for _ in 0..2 {
        cli.fails(["import", "a.tar", "/team"]);
        assert_eq!(field(&cli, "/elsewhere/file", "links"), 1);
    }
}

#[test]
fn a_copy_to_the_node_may_have_a_link_as_its_top() {
    let home = Home::new();
    let node = home.start();
    let cli = node.cli();
    write(&cli.folder().join("tree/file"), b"f");
    cli.ok(["mkdir", "/folder"]);
    link(&node, "/folder", "/top");
    cli.ok(["cp", "-r", "tree", "nx:/top"]);
    assert_eq!(cli.ok(["cat", "/folder/file"]), "f");
}

#[test]
fn what_is_stored_cannot_steer_the_terminal() {
    const ODD: &str = "/x\x1b[2J";
    let home = Home::new();
    let node = home.start();
    let cli = node.cli();
    link(&node, ODD, "/link");
    let key = ["keys", "create", "k", "--rights", "read-only", "--prefix"];
    cli.ok(key.into_iter().chain([ODD]));
    for said in [
        cli.ok(["stat", "/link"]),
        cli.ok(["keys", "list"]),
        cli.fails(["cat", "/link"]),
        cli.fails(["cat", ODD]),
    ] {
        assert!(said.contains("\\u{1b}"), "{said:?}");
        assert!(!said.contains('\x1b'), "{said:?}");
    }
}

#[test]
fn a_diff_for_a_program_is_byte_for_byte() {
    let home = Home::new();
    let node = home.start();
    let cli = node.cli();
    cli.ok_with_input(["write", "/f"], b"one\r\n");
    cli.ok_with_input(["write", "/f"], b"\x1b[2Jtwo\r\n");
    let diff = cli.ok(["diff", "/f"]);
    assert!(diff.ends_with("-one\r\n+\x1b[2Jtwo\r\n"), "{diff:?}");
}
