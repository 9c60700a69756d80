//! Copies between the node and the disk, where somebody else has had a hand in one of the two.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use nexus_tests::{Home, Node};

/// The node's symbolic link at `path`.
#[tokio::main(flavor = "current_thread")]
async fn link(node: &Node<'_>, target: &str, path: &str) {
    let durability = nexus_client::Durability::Relaxed;
    let made = node.client().await.symlink(target, path, durability).await;
    made.expect("the name is free");
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
