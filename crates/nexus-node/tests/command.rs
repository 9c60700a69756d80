//! The real binary: what it prints, what it refuses, how it ends.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The default of the setting `shutdown.deadline`.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(10);

fn nexus_node(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nexus-node"));
    command.env_clear().current_dir(folder);
    command
}

/// Runs it to its end.
fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let mut command = nexus_node(folder.path());
    let output = command
        .args(arguments)
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    assert_eq!(
        folder.path().read_dir().unwrap().count(),
        0,
        "it left something behind"
    );
    output
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// It fails, and its complaint contains all of `words`.
fn refused(arguments: &[&str], environment: &[(&str, &str)], words: &[&str]) {
    let output = run(arguments, environment);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    let complaint = text(&output.stderr);
    for word in words {
        assert!(complaint.contains(word), "{word:?} is not in {complaint:?}");
    }
}

/// A node that listens, and what it said on the way.
fn start(folder: &Path, lines: usize) -> (Child, Vec<String>) {
    let mut child = nexus_node(folder)
        .args(["--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .take(lines);
    let said = said.collect::<Result<_, _>>().unwrap();
    (child, said)
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill")
        .args([name, &child.id().to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn the_first_start_says_where_it_listens_and_shows_the_key_once() {
    let folder = tempfile::tempdir().unwrap();
    let (child, said) = start(folder.path(), 10);
    signal(&child, "-TERM");
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(
        said[0].starts_with("listening on http://127.0.0.1:"),
        "{said:?}"
    );
    let key = said[1].strip_prefix("admin key: ").unwrap();
    assert!(key.starts_with("sk-"));
    assert!(
        said.iter()
            .any(|line| line.contains("export NEXUS_API_KEY=sk-"))
    );
    // Standard error is no terminal here, so the log is JSON; the key is not in it.
    let log = text(&output.stderr);
    assert!(!log.contains(key.rsplit_once('-').unwrap().1));
    assert!(log.lines().count() >= 2);
    for line in log.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }

    let (child, said) = start(folder.path(), 1);
    signal(&child, "-INT");
    assert!(child.wait_with_output().unwrap().status.success());
    assert_eq!(said.len(), 1);
}

#[test]
fn a_second_node_on_the_same_data_names_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let (child, _) = start(folder.path(), 1);
    let second = nexus_node(folder.path())
        .args(["--listen", "127.0.0.1:0"])
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(1));
    let complaint = text(&second.stderr);
    assert!(complaint.contains("in use by another node"), "{complaint}");
    assert!(complaint.contains(&child.id().to_string()), "{complaint}");
    signal(&child, "-TERM");
    child.wait_with_output().unwrap();
}

#[test]
fn a_second_signal_stops_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, said) = start(folder.path(), 2);
    let address = said[0].strip_prefix("listening on http://").unwrap();
    let key = said[1].strip_prefix("admin key: ").unwrap();
    // A body that never comes: the node would wait for it until its deadline.
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "PUT /api/v2/files/a HTTP/1.1\r\nhost: node\r\nauthorization: Bearer {key}\r\n\
         content-length: 10\r\nexpect: 100-continue\r\n\r\n"
    )
    .unwrap();
    stream.read_exact(&mut [0]).unwrap();
    let began = Instant::now();
    signal(&child, "-TERM");
    let log = BufReader::new(child.stderr.take().unwrap());
    let mut log = log.lines().map(Result::unwrap);
    assert!(log.any(|line| line.contains("stopping")));
    signal(&child, "-TERM");
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(
        began.elapsed() < SHUTDOWN_DEADLINE,
        "it waited for its deadline"
    );
}

#[test]
fn a_lost_admin_key_can_be_replaced_while_the_node_stands() {
    let folder = tempfile::tempdir().unwrap();
    let (child, _) = start(folder.path(), 1);
    let busy = nexus_node(folder.path()).arg("admin-key").output().unwrap();
    assert_eq!(busy.status.code(), Some(1));
    signal(&child, "-TERM");
    child.wait_with_output().unwrap();
    let made = nexus_node(folder.path()).arg("admin-key").output().unwrap();
    assert!(made.status.success());
    assert!(text(&made.stdout).starts_with("admin key: sk-"));
}

#[test]
fn a_configuration_in_effect_can_be_looked_at() {
    let shown = run(
        &["config", "show", "--listen", "127.0.0.1:7"],
        &[("NEXUS_DATA", "/b")],
    );
    assert!(shown.status.success());
    let shown = text(&shown.stdout);
    assert!(
        shown.contains("from: --listen\nlisten = \"127.0.0.1:7\""),
        "{shown}"
    );
    assert!(shown.contains("from: NEXUS_DATA\ndata = \"/b\""), "{shown}");
    assert!(
        shown.contains("from: default\nmetastore = \"redb:\""),
        "{shown}"
    );

    let json = run(
        &["config", "show", "--json", "--set", "log.level=debug"],
        &[],
    );
    let rows: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    let level = rows
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["name"] == "log.level")
        .unwrap();
    assert_eq!(
        (&level["value"], &level["source"]),
        (&"debug".into(), &"--set".into())
    );
}

#[test]
fn a_configuration_is_checked_without_starting() {
    assert!(run(&["config", "check"], &[]).status.success());
    refused(
        &["config", "check"],
        &[("NEXUS_LISTEN", "here")],
        &["listen", "here", "NEXUS_LISTEN"],
    );
    refused(
        &["config", "check", "--set", "object_store=s3://b"],
        &[],
        &["no such driver yet"],
    );
}

#[test]
fn what_cannot_be_used_is_refused_with_its_name() {
    refused(
        &["--config", "nowhere.toml"],
        &[],
        &["no such configuration file", "nowhere.toml"],
    );
    refused(&[], &[("NEXUS_CONFIG", "nowhere.toml")], &["nowhere.toml"]);
    refused(
        &[],
        &[("NEXUS_LISTN", "x")],
        &["no such setting", "NEXUS_LISTN"],
    );
    refused(&["--set", "listn=x"], &[], &["no such setting", "listn"]);
    refused(&["--set", "listen"], &[], &["equals sign"]);
    refused(&["--log", "loud"], &[], &["log.level", "loud", "--log"]);
    refused(
        &["--listen", "0.0.0.0:0"],
        &[],
        &["--allow-remote", "0.0.0.0:0"],
    );
}

#[test]
fn files_are_private_in_a_folder_that_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("nexus-data");
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, Permissions::from_mode(0o755)).unwrap();
    let (child, _) = start(folder.path(), 10);
    signal(&child, "-TERM");
    assert!(child.wait_with_output().unwrap().status.success());
    let mut folders = vec![data];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().unwrap() {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            let mode = metadata.permissions().mode();
            assert_eq!(mode & 0o077, 0, "{} has {mode:o}", entry.path().display());
            if metadata.is_dir() {
                folders.push(entry.path());
            }
        }
    }
}

/// A node that mounts its zone on `mount`, up to the line that says so.
fn mounting(folder: &Path, arguments: &[&str]) -> Child {
    let mut child = nexus_node(folder)
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut lines = lines.map(Result::unwrap);
    if lines.any(|line| line.starts_with("mounted on ")) {
        return child;
    }
    let output = child.wait_with_output().unwrap();
    let why = text(&output.stderr);
    panic!("not mounted; these tests run as root, with /dev/fuse: {why}");
}

fn ends_well(child: Child, with: &str) {
    signal(&child, with);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

/// Needs root or fusermount3, and /dev/fuse.
#[test]
fn a_zone_is_mounted_with_and_without_the_other_doors() {
    let folder = tempfile::tempdir().unwrap();
    let mount = folder.path().join("mount");
    fs::create_dir(&mount).unwrap();
    let child = mounting(folder.path(), &["mount", "mount"]);
    fs::write(mount.join("a"), "one").unwrap();
    ends_well(child, "-TERM");
    assert!(!mount.join("a").exists());

    let listen = ["--listen", "127.0.0.1:0", "--mount", "mount"];
    let child = mounting(folder.path(), &listen);
    assert_eq!(fs::read(mount.join("a")).unwrap(), b"one");
    fs::write(mount.join("a"), "two").unwrap();
    ends_well(child, "-INT");

    let child = mounting(folder.path(), &["mount", "--read-only", "mount"]);
    assert_eq!(fs::read(mount.join("a")).unwrap(), b"two");
    assert!(fs::write(mount.join("a"), "three").is_err());
    let unmount = Command::new("umount").arg(&mount).status().unwrap();
    assert!(unmount.success());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn whom_a_mount_acts_for_is_a_user_or_an_agent() {
    for (arguments, environment, said) in [
        (&["mount", "--as", "ada", "."][..], &[][..], "from: --as"),
        (
            &["mount", "."],
            &[("NEXUS_MOUNT_AS", "system:x")],
            "from: NEXUS_MOUNT_AS",
        ),
        (
            &["config", "check", "--set", "mount.as=user:a b"],
            &[],
            "from: --set",
        ),
        (&["mount", "--as", "", "."], &[], "value is required"),
    ] {
        let output = run(arguments, environment);
        assert!(!output.status.success());
        assert!(text(&output.stderr).contains(said), "{output:?}");
    }
}

#[test]
fn a_directory_that_cannot_be_mounted_on_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, said) in [
        (["mount", "."], "is not empty"),
        (["mount", "missing"], "cannot be mounted on"),
    ] {
        let output = nexus_node(folder.path()).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains(said), "{output:?}");
    }
}

/// What was synced before the node was killed is there when it is mounted again, where the dead
/// mount still is.
#[test]
fn a_killed_mount_loses_nothing_that_was_synced() {
    let folder = tempfile::tempdir().unwrap();
    let mount = folder.path().join("mount");
    fs::create_dir(&mount).unwrap();
    let content = |n: usize| n.to_string().repeat(n * 100);
    let mut child = mounting(folder.path(), &["mount", "mount"]);
    for n in 0..60 {
        let mut file = fs::File::create(mount.join(n.to_string())).unwrap();
        file.write_all(content(n).as_bytes()).unwrap();
        file.sync_all().unwrap();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(fs::read(mount.join("1")).is_err());

    let child = mounting(folder.path(), &["mount", "mount"]);
    for n in 0..60 {
        let found = fs::read_to_string(mount.join(n.to_string())).unwrap();
        assert!(found == content(n), "{n}");
    }
    ends_well(child, "-TERM");
}
