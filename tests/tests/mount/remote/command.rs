//! `nexus mount` and `nexus umount` themselves.

use std::fs;
use std::os::unix::net::UnixDatagram;

use nexus_tests::{Cli, Home, Process, WAIT_MAX};
use serde_json::Value;
use tempfile::TempDir;

use super::Remote;

#[test]
fn what_cannot_be_mounted_is_said_with_what_to_do() {
    let home = Home::new();
    let node = home.start();
    let cli = node.cli();
    let folder = cli.folder().join("empty");
    fs::create_dir(&folder).expect("it is writable");
    for (arguments, words) in [
        (["--zone", "elsewhere", "empty"], "another zone"),
        (["--as", "ada", "empty"], "user:ID or agent:ID"),
        (["--at", "1000000", "empty"], "revision"),
        (["--read-only", "--", "missing"], "name an empty directory"),
    ] {
        let said = cli.fails(["mount"].iter().chain(&arguments));
        assert!(said.contains(words), "{said}");
    }
    let said = cli.fails(["umount", "empty"]);
    assert!(said.contains("no zone is mounted there"), "{said}");
}

#[test]
fn a_mount_acts_for_somebody_on_record() {
    let home = Home::new();
    let node = home.start();
    let mounted = Remote::mount_with(node.cli(), &["--as", "agent:alice"]);
    fs::write(mounted.path("a"), "written").expect("it is mounted");
    fs::create_dir(mounted.path("d")).expect("it is mounted");
    mounted.unmount();
    let said = node.cli().ok(["--json", "log", "--reverse"]);
    let records: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).expect("a record a line"))
        .collect();
    assert!(!records.is_empty());
    for record in records {
        assert_eq!(record["actor"], "user:admin", "{record}");
        assert_eq!(record["on_behalf_of"], "agent:alice", "{record}");
    }
}

#[test]
fn a_service_manager_is_told_when_it_is_mounted() {
    let home = Home::new();
    let node = home.start();
    let cli = node.cli();
    let socket = cli.folder().join("notify");
    let manager = UnixDatagram::bind(&socket).expect("it is writable");
    let wait = manager.set_read_timeout(Some(WAIT_MAX));
    wait.expect("a time above zero can be set");
    let folder = TempDir::with_prefix("nexus-mount-").expect("it is writable");
    let mut command = cli.command(["mount", "--foreground", "--read-only"]);
    command.arg(folder.path()).env("NOTIFY_SOCKET", &socket);
    let process = Process::start(&mut command);
    let told = || {
        let mut state = [0; 64];
        let length = manager.recv(&mut state).expect("it is told in time");
        String::from_utf8_lossy(&state[..length]).into_owned()
    };
    assert_eq!(told(), "READY=1");
    assert!(process.terminate().success());
    assert_eq!(told(), "STOPPING=1");
}

#[test]
fn a_mount_ends_with_a_signal() {
    let home = Home::new();
    let node = home.start();
    let mut mounted = Remote::mount_with(node.cli(), &["--zone", "root"]);
    fs::write(mounted.path("a"), "written").expect("it is mounted");
    let process = mounted.process.take().expect("it is mounted");
    assert!(process.terminate().success());
    assert!(!mounted.path("a").exists());
    assert_eq!(node.http().read("/a").ok().body, b"written");
}

#[test]
fn a_mount_in_use_is_taken_away_lazily() {
    let home = Home::new();
    let node = home.start();
    let mounted = Remote::mount(node.cli());
    fs::write(mounted.path("a"), "written").expect("it is mounted");
    let file = fs::File::open(mounted.path("a")).expect("it is there");
    let there = mounted.root().as_os_str();
    let said = mounted.cli.fails(["umount".as_ref(), there]);
    assert!(said.contains("--lazy"), "{said}");
    let lazily = ["umount".as_ref(), "--lazy".as_ref(), there];
    mounted.cli.ok(lazily);
    assert!(!mounted.path("a").exists());
    let read = std::io::read_to_string(&file).expect("it is still open");
    assert_eq!(read, "written");
}

#[test]
fn a_mount_goes_to_the_background() {
    let home = Home::new();
    let node = home.start();
    let cli = node.cli();
    let folder = TempDir::with_prefix("nexus-mount-").expect("it is writable");
    let mut command = cli.command(["mount", "--daemon"]);
    // What goes on in the background keeps standard error.
    command
        .arg(folder.path())
        .stderr(std::process::Stdio::null());
    let said = command.output().expect("it starts");
    assert!(said.status.success());
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.starts_with("mounted on "), "{said}");
    fs::write(folder.path().join("a"), "written").expect("it is mounted");
    cli.ok(["umount".as_ref(), folder.path().as_os_str()]);
    super::eventually("it is stored", || node.http().read("/a").body == b"written");
}

#[test]
fn without_a_node_the_data_beside_is_mounted() {
    let home = Home::new();
    let node = home.start();
    let (url, key) = (node.url().to_owned(), node.key().to_owned());
    node.http().write("/a", "content").ok();
    assert!(node.stop().success());
    let cli = Cli::new(&url, &key);
    let folder = TempDir::with_prefix("nexus-mount-").expect("it is writable");
    let mut command = cli.command(["mount", "--as", "agent:alice", "--data"]);
    // As for a client; the node's own settings are others.
    command.env("NEXUS_SESSION", "run-7");
    let process = Process::start(command.arg(home.data()).arg(folder.path()));
    let mounted = |line: &str| line.starts_with("mounted on ").then_some(());
    process.wait_for_line("that it is mounted", WAIT_MAX, mounted);
    let read = fs::read(folder.path().join("a")).expect("it is there");
    assert_eq!(read, b"content");
    fs::write(folder.path().join("b"), "more").expect("it is mounted");
    let link = cli.folder().join("link");
    std::os::unix::fs::symlink(folder.path(), &link).expect("it is writable");
    cli.ok(["umount".as_ref(), link.as_os_str()]);
    process.wait_for_success(WAIT_MAX);
    let mut foreign = cli.command(["mount", "--zone", "elsewhere", "--data"]);
    let refused = foreign.arg(home.data()).arg(folder.path()).output();
    let refused = refused.expect("it starts");
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("another zone"), "{said}");
    let said = cli.fails(["mount".as_ref(), folder.path().as_os_str()]);
    assert!(said.contains("no node answers"), "{said}");
    let node = home.start();
    let said = node.cli().ok(["log", "-n", "1"]);
    assert!(said.contains("system:system  for agent:alice"), "{said}");
}
