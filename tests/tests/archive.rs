//! The archive of a whole zone: from a node, through every door, into another.

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use bytes::Bytes;
use nexus_tests::{Cli, Home, Http, Node, Process, Random, WAIT_MAX, binary};
use serde_json::Value;

/// Bytes that do not compress and differ by seed.
fn noise(seed: u64, len: usize) -> Bytes {
    Random::new(seed).content(len)
}

fn fill(node: &Node<'_>, files: u64) {
    for n in 0..files {
        node.http()
            .write(&format!("/large/{n}"), noise(n, 500_000))
            .ok();
    }
}

/// Runs `nexus-node import-zone` to its end.
fn import(home: &Home, archive: &Path, more: &[&str]) -> Output {
    import_command(home, archive, more)
        .output()
        .expect("the node's binary starts")
}

fn import_command(home: &Home, archive: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(binary("nexus-node"));
    command
        .arg("import-zone")
        .arg(archive)
        .arg("--data")
        .arg(home.data())
        .args(more)
        .env_clear()
        .stdin(Stdio::null());
    command
}

#[track_caller]
fn imported(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).expect("it says JSON")
}

#[track_caller]
fn refused(output: &Output) -> String {
    assert!(!output.status.success(), "it succeeded");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("it says JSON")
}

fn in_folder(cli: &Cli, name: &str) -> std::path::PathBuf {
    cli.folder().join(name)
}

/// What a zone answers about its past, as text.
fn answers(cli: &Cli, revisions: u64) -> Vec<String> {
    let mut answers = vec![
        cli.ok(["log", "--json", "--limit", "1000"]),
        cli.ok(["versions", "/notes.txt", "--json"]),
        cli.ok(["meta", "get", "/notes.txt", "--json"]),
        cli.ok(["find", "--tag", "kept", "--json"]),
    ];
    for revision in 1..=revisions {
        let at = revision.to_string();
        answers.push(cli.ok(["ls", "-R", "-l", "/", "--at", &at, "--json"]));
        let output = cli.run(["cat", "/notes.txt", "--at", &at]);
        answers.push(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    answers
}

#[test]
fn a_zone_moves_to_another_node_with_all_that_it_was() {
    let home = Home::new();
    let node = home.start();
    let cli = node.cli();
    cli.ok(["write", "/notes.txt", "one"]);
    cli.ok(["write", "/notes.txt", "two"]);
    cli.ok(["edit", "/notes.txt", "--old", "two", "--new", "three"]);
    cli.ok(["meta", "set", "/notes.txt", "colour=green"]);
    cli.ok(["tag", "add", "/notes.txt", "kept"]);
    cli.ok(["mkdir", "/d"]);
    cli.ok(["write", "/d/gone.txt", "soon"]);
    cli.ok(["mv", "/d", "/e"]);
    cli.ok(["rm", "/e/gone.txt"]);
    fill(&node, 3);
    let revisions = node.http().revision();
    let before = answers(&cli, revisions);

    let exported = json(&cli.ok(["zone", "export", "zone.nxz", "--json"]));
    assert_eq!(exported["revision"], revisions);
    let checked = json(&cli.ok(["zone", "verify", "zone.nxz", "--json"]));
    assert_eq!(checked["hash"], exported["hash"]);
    let download = node.http().get("/api/v2/zone/archive").ok();
    fs::write(in_folder(&cli, "download.nxz"), &download.body).unwrap();
    let downloaded = json(&cli.ok(["zone", "verify", "download.nxz", "--json"]));
    for same in ["revision", "rows", "blobs", "blob_bytes"] {
        assert_eq!(downloaded[same], exported[same]);
    }

    for archive in ["zone.nxz", "download.nxz"] {
        let other = Home::new();
        let result = import(&other, &in_folder(&cli, archive), &["--json"]);
        assert_eq!(imported(&result)["revision"], revisions);
        let moved = other.start();
        assert_eq!(answers(&moved.cli(), revisions), before);
        moved.cli().ok(["verify"]);
        moved.cli().ok(["write", "/notes.txt", "four"]);
        assert!(moved.http().revision() > revisions);
    }
}

#[test]
fn an_export_goes_on_after_the_node_was_killed() {
    let home = Home::new();
    let node = home.start();
    fill(&node, 30);
    let revision = node.http().revision();
    let reply = node.http().request("GET", "/api/v2/zone/archive").open();
    let mut begun = vec![0; 8_000_000];
    reply.into_body().read_exact(&mut begun).unwrap();
    node.kill();
    let node = home.start();
    node.cli().ok(["write", "/later.txt", "not in the archive"]);
    let cli = node.cli();
    fs::write(in_folder(&cli, "zone.nxz.part"), &begun).unwrap();

    let complaint = cli.fails(["zone", "export", "zone.nxz"]);
    assert!(complaint.contains("--resume"), "{complaint}");
    let exported = json(&cli.ok(["zone", "export", "zone.nxz", "--resume", "--json"]));
    assert!(exported["resumed_after_bytes"].as_u64().unwrap() > 7_000_000);
    assert_eq!(exported["revision"], revision);
    assert!(!in_folder(&cli, "zone.nxz.part").exists());
    let other = Home::new();
    imported(&import(&other, &in_folder(&cli, "zone.nxz"), &["--json"]));
    let moved = other.start();
    moved.cli().ok(["verify"]);
    assert!(moved.http().read("/large/29").ok().body == noise(29, 500_000));
    assert_eq!(moved.http().read("/later.txt").status, 404);
}

#[test]
fn an_import_goes_on_after_it_was_killed() {
    let home = Home::new();
    let node = home.start();
    fill(&node, 20);
    let cli = node.cli();
    cli.ok(["zone", "export", "zone.nxz"]);
    let archive = in_folder(&cli, "zone.nxz");
    let bytes = fs::read(&archive).unwrap();
    // Whoever reads a pipe waits for more, and is killed there.
    let pipe = in_folder(&cli, "pipe");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let other = Home::new();
    let half = Process::start(&mut import_command(&other, &pipe, &[]));
    let mut into = OpenOptions::new().write(true).open(&pipe).unwrap();
    into.write_all(&bytes[..bytes.len() * 2 / 3]).unwrap();
    half.kill();

    let node = other.launch(&[]);
    assert!(!node.wait_for_end(WAIT_MAX).success());
    let result = import(&other, &archive, &["--json"]);
    assert!(imported(&result)["resumed_after_bytes"].as_u64().unwrap() > 0);
    let moved = other.start();
    moved.cli().ok(["verify"]);
    assert!(moved.http().read("/large/19").ok().body == noise(19, 500_000));
}

#[test]
fn half_a_zone_is_not_served_and_says_why() {
    let home = Home::new();
    let node = home.start();
    fill(&node, 3);
    let cli = node.cli();
    cli.ok(["zone", "export", "zone.nxz"]);
    let bytes = fs::read(in_folder(&cli, "zone.nxz")).unwrap();
    let cut = in_folder(&cli, "cut.nxz");
    fs::write(&cut, &bytes[..bytes.len() - 10]).unwrap();
    let output = cli.run(["zone", "verify", "cut.nxz"]);
    assert_eq!(output.status.code(), Some(8));

    let other = Home::new();
    let complaint = refused(&import(&other, &cut, &[]));
    assert!(complaint.contains("cut short"), "{complaint}");
    let half = other.launch(&[]);
    half.wait_for_line("why it does not start", WAIT_MAX, |line| {
        line.contains("a restore into this store was begun")
            .then_some(())
    });
    assert!(!half.wait_for_end(WAIT_MAX).success());

    // Another archive needs to be asked for.
    cli.ok(["write", "/later.txt", "more"]);
    cli.ok(["zone", "export", "later.nxz"]);
    let later = in_folder(&cli, "later.nxz");
    let complaint = refused(&import(&other, &later, &[]));
    assert!(complaint.contains("another archive"), "{complaint}");
    imported(&import(&other, &later, &["--anew", "--json"]));
    let moved = other.start();
    assert_eq!(moved.cli().ok(["cat", "/later.txt"]), "more");
}

#[test]
fn an_archive_is_imported_only_where_nothing_is() {
    let home = Home::new();
    let node = home.start();
    node.cli().ok(["write", "/mine.txt", "kept"]);
    let cli = node.cli();
    cli.ok(["zone", "export", "zone.nxz"]);
    let archive = in_folder(&cli, "zone.nxz");
    let in_use = refused(&import(&home, &archive, &[]));
    assert!(in_use.contains("in use"), "{in_use}");
    node.stop();
    let used = refused(&import(&home, &archive, &["--anew"]));
    assert!(used.contains("only an empty store"), "{used}");
    let other = Home::new();
    let text = in_folder(&cli, "text");
    fs::write(&text, "this is no archive").unwrap();
    let complaint = refused(&import(&other, &text, &[]));
    assert!(complaint.contains("no archive of a zone"), "{complaint}");
    let complaint = refused(&import(&other, &in_folder(&cli, "missing"), &[]));
    assert!(complaint.contains("cannot be read"), "{complaint}");
    let node = home.start();
    assert_eq!(node.cli().ok(["cat", "/mine.txt"]), "kept");
}

#[test]
fn only_an_administrator_may_export() {
    let home = Home::new();
    let node = home.start();
    node.cli().ok(["mkdir", "/team"]);
    let made = |arguments: &[&str]| {
        let create = ["keys", "create", "k", "--json", "--rights"];
        let made = node.cli().ok(create.iter().chain(arguments).copied());
        json(&made)["secret"].as_str().unwrap().to_owned()
    };
    let keys = [
        made(&["read-only"]),
        made(&["read-write"]),
        made(&["read-write", "--prefix", "/team"]),
    ];
    for key in keys {
        let output = node.cli_with(&key).run(["zone", "export", "zone.nxz"]);
        assert_eq!(output.status.code(), Some(5));
        let answer = node.http().with_key(&key).get("/api/v2/zone/archive");
        assert_eq!(answer.status, 403, "{}", answer.text());
    }
    assert_eq!(
        node.http().without_key().get("/api/v2/zone/archive").status,
        401
    );
    assert_eq!(
        node.http().get("/api/v2/zone/archive?secret=true").status,
        400
    );
}

#[test]
fn keys_come_along_only_when_that_is_asked_for() {
    let home = Home::new();
    let node = home.start();
    let cli = node.cli();
    cli.ok(["zone", "export", "without.nxz"]);
    cli.ok(["zone", "export", "with.nxz", "--secrets"]);
    let other = Home::new();
    imported(&import(
        &other,
        &in_folder(&cli, "without.nxz"),
        &["--json"],
    ));
    let moved = other.start();
    assert_ne!(moved.key(), node.key());
    assert_eq!(
        moved
            .http()
            .with_key(node.key())
            .get("/api/v2/whoami")
            .status,
        401
    );

    let other = Home::new();
    imported(&import(&other, &in_folder(&cli, "with.nxz"), &["--json"]));
    let moved = other.launch(&[]);
    let address = moved.wait_for_line("where it listens", WAIT_MAX, |line| {
        line.strip_prefix("listening on http://").map(str::to_owned)
    });
    let answer = Http::new(&address, node.key()).get("/api/v2/whoami");
    assert_eq!(answer.status, 200);
    moved.kill();
}
