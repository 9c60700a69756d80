//! A disk without room.

use std::fs::File;
use std::io::Write;
use std::process::Command;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::json;

use super::*;

/// A disk of 192 MiB over the folder of the node, seen by the node alone and gone with it.
const OVER_A_SMALL_DISK: [&str; 8] = [
    "unshare",
    "--user",
    "--map-root-user",
    "--mount",
    "sh",
    "-c",
    r#"mount -t tmpfs -o size=192m small "$HOME" && exec "$@""#,
    "sh",
];
/// Room that the node keeps free for deleting.
const RESERVE: u64 = 64 << 20;

/// Whether this machine lets a program mount something for itself. Where it does not, the other
/// test of this file is what there is.
fn may_mount() -> bool {
    let mut probe = Command::new("unshare");
    probe.args(["--user", "--map-root-user", "--mount"]);
    probe.args(["mount", "-t", "tmpfs", "probe", "/mnt"]);
    probe.output().is_ok_and(|output| output.status.success())
}

/// A file beside the data that takes up room until it is removed.
struct Ballast(PathBuf);

impl Ballast {
    /// Leaves `left` bytes of room.
    fn new(node: &Node<'_>, home: &Home, left: u64) -> Self {
        let root = format!(
            "/proc/{}/root{}",
            node.process().id(),
            home.folder().display()
        );
        let path = Path::new(&root).join("ballast");
        let disk = rustix::fs::statvfs(root.as_str()).expect("the disk is there");
        let mut size = disk.f_bavail * disk.f_frsize - left;
        let mut file = File::create(&path).expect("there is room");
        while size > 0 {
            let piece = size.min(1 << 20);
            let zeros = vec![0; usize::try_from(piece).expect("it is small")];
            file.write_all(&zeros).expect("there is room");
            size -= piece;
        }
        Self(path)
    }

    fn remove(self) {
        fs::remove_file(self.0).expect("it was made");
    }
}

#[test]
fn a_full_disk_is_told_keeps_what_there_is_and_is_over_once_there_is_room() {
    if !may_mount() {
        return;
    }
    let home = Home::new();
    let node = home.start_through(&OVER_A_SMALL_DISK);
    let http = node.http();
    let kept = Random::new(2).content(3 << 20);
    http.write("/kept", kept.clone()).ok();
    http.write("/spare", "to be removed").ok();
    let before = http.revision();

    let upload = http.request("PUT", "/api/v2/files/too-large");
    let upload = upload.send_stream(1 << 30, Random::new(3));
    refused(
        &upload,
        413,
        "limit_exceeded",
        &["disk is full", "free some space"],
    );
    assert_eq!(
        (http.revision(), http.read("/too-large").status),
        (before, 404)
    );
    node.cli().ok(["gc"]);

    let ballast = Ballast::new(&node, &home, RESERVE / 2);
    for content in [Random::new(4).content(10), Random::new(4).content(50_000)] {
        let write = http.write("/new", content);
        refused(
            &write,
            413,
            "limit_exceeded",
            &["nearly full", "free some space"],
        );
        assert_eq!(write.json()["error"]["outcome"], "not_applied");
    }
    assert_eq!(
        node.cli().run(["write", "/new", "x"]).status.code(),
        Some(6)
    );
    assert_eq!(http.read("/new").status, 404);
    assert_eq!(http.read("/kept").ok().body, kept);
    http.remove("/spare").ok();

    ballast.remove();
    http.write("/new", "there is room").ok();
    http.write("/large", Random::new(5).content(20 << 20)).ok();
    assert!(node.cli().ok(["verify"]).contains("all is well"));
    assert!(node.stop().success());
}

/// The largest file that the process may write from now on.
fn limit_files_to(process: &Process, bytes: u64) {
    let pid = i32::try_from(process.id()).ok().and_then(Pid::from_raw);
    let limit = Rlimit {
        current: Some(bytes),
        maximum: None,
    };
    prlimit(pid, Resource::Fsize, limit).expect("it is our own process");
}

#[test]
fn a_metastore_that_cannot_grow_says_so_and_loses_nothing() {
    // Above the segments of the object store's journal, which have their size from the start.
    const FILE_BYTES_MAX: u64 = 34 << 20;
    let home = Home::new();
    let node = home.start();
    let http = node.http();
    limit_files_to(node.process(), FILE_BYTES_MAX);
    let batch = |number: u64| {
        let text = "x".repeat(8000);
        let write =
            |file| json!({"op": "write", "path": format!("/{number}-{file}"), "content": text});
        let steps: Vec<_> = (0..250).map(write).collect();
        http.post("/api/v2/batch", &json!({ "steps": steps }))
    };
    let mut written = 0;
    let refusal = loop {
        let answer = batch(written);
        if answer.status != 200 {
            break answer;
        }
        written += 1;
        assert!(written < 100, "the limit has no effect");
    };
    refused(
        &refusal,
        413,
        "limit_exceeded",
        &["disk is full", "restart the node"],
    );
    let may_be_there = refusal.json()["error"]["outcome"] == "unknown";
    let next = http.write("/next", "x");
    refused(&next, 503, "unavailable", &["stopped", "restart the node"]);
    node.stop();

    let node = home.start();
    let usage = node.http().get("/api/v2/usage?path=/").ok().json();
    let files = usage["files"].as_u64().expect("it is a number");
    let possible = written..=written + u64::from(may_be_there);
    assert_eq!(files % 250, 0, "half a batch is there");
    assert!(
        possible.contains(&(files / 250)),
        "{files} files after {written} batches"
    );
    assert!(node.cli().ok(["verify"]).contains("all is well"));
    node.http().write("/next", "there is room").ok();
    assert!(node.stop().success());
}

#[test]
fn a_blob_that_cannot_be_written_is_told_and_nothing_else_suffers() {
    let home = Home::new();
    let node = home.start();
    let http = node.http();
    http.write("/kept", "kept").ok();
    // Less than most chunks, which have files of their own; the metastore is smaller still.
    limit_files_to(node.process(), 700 << 10);
    let content = Random::new(6).content(20 << 20);
    refused(
        &http.write("/large", content.clone()),
        413,
        "limit_exceeded",
        &["disk is full"],
    );
    assert_eq!(http.read("/large").status, 404);
    http.write("/small", "small").ok();
    limit_files_to(node.process(), u64::MAX);
    http.write("/large", content.clone()).ok();
    assert_eq!(http.read("/large").ok().body, content);
    assert_eq!(http.read("/kept").ok().body, b"kept");
    assert!(node.cli().ok(["verify"]).contains("all is well"));
    assert!(node.stop().success());
}
