//! Nodes that go away, for a while or for good.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use nexus_tests::{Home, Node, Process, WAIT_MAX};

use super::{EIO, Remote, errno};

/// A program that has files of the mount open; this process has none, since it starts nodes:
/// what it has open, a child closes, and waits for the node.
struct Writer {
    child: Child,
    orders: Option<ChildStdin>,
}

const PROGRAM: &str = r#"
import os, sys
fd = os.open("file", os.O_CREAT | os.O_RDWR)
log = os.open("log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
at = lines = 0
for order in sys.stdin:
    for _ in range(20):
        os.write(fd, bytes([at // 100000 % 251]) * 100000)
        at += 100000
        os.write(log, b"line %d\n" % lines)
        lines += 1
    if order == "sync\n":
        os.fsync(fd)
        os.fsync(log)
    assert os.fstat(fd).st_size == at, os.fstat(fd).st_size
    assert os.pread(fd, 10, at - 10) == bytes([(at // 100000 - 1) % 251]) * 10
    print("done", flush=True)
"#;

impl Writer {
    fn start(directory: &Path) -> Self {
        let mut python = Command::new("python3");
        python.args(["-c", PROGRAM]).current_dir(directory);
        python.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = python.spawn().expect("there is a python3");
        let orders = child.stdin.take();
        Self { child, orders }
    }

    /// Tells it to write, without waiting.
    fn order(&mut self, order: &str) {
        let orders = self.orders.as_mut().expect("it has not ended");
        writeln!(orders, "{order}").expect("it reads");
    }

    /// Lets it do what it was told and end; how often it was done.
    fn finish(mut self) -> usize {
        drop(self.orders.take());
        let said = BufReader::new(self.child.stdout.take().expect("it is piped"));
        let done = said.lines().count();
        let ended = self.child.wait().expect("it can be waited for");
        assert!(ended.success(), "{ended}");
        done
    }
}

/// Starts a node where another was.
fn start_again(home: &Home, address: &str) -> Process {
    let process = home.launch_at(address, &[]);
    let listens = |line: &str| line.trim().starts_with("listening on ").then_some(());
    process.wait_for_line("where it listens", WAIT_MAX, listens);
    process
}

fn written(rounds: usize) -> (Vec<u8>, String) {
    let pieces = 0..20 * rounds;
    let bytes = pieces.clone().flat_map(|i| vec![(i % 251) as u8; 100_000]);
    let lines = pieces.map(|i| format!("line {i}\n"));
    (bytes.collect(), lines.collect())
}

fn check(http: &nexus_tests::Http, rounds: usize) {
    let (bytes, lines) = written(rounds);
    assert!(http.read("/file").ok().body == bytes, "the file is another");
    assert_eq!(http.read("/log").ok().text(), lines);
}

#[test]
fn a_node_that_is_killed_and_comes_back_gets_what_was_written() {
    let home = Home::new();
    let node = home.start();
    let (address, http) = (node.address().to_owned(), node.http());
    let mounted = Remote::mount(node.cli());
    let mut writer = Writer::start(mounted.root());
    writer.order("write");
    node_has(&mounted, "log");
    node.kill();
    let node = start_again(&home, &address);
    writer.order("sync");
    node.kill();
    let node = start_again(&home, &address);
    writer.order("write");
    // Stopped gently, it keeps what it was sent.
    assert!(node.terminate().success());
    let node = start_again(&home, &address);
    writer.order("write");
    assert_eq!(writer.finish(), 4);
    check(&http, 4);
    mounted.unmount();
    assert!(node.terminate().success());
}

/// Waits until the files are made: the rest may be on its way.
fn node_has(mounted: &Remote, name: &str) {
    super::eventually("it is made", || mounted.path(name).exists());
}

#[test]
fn a_node_that_does_not_come_back_is_an_error_and_not_a_hang() {
    let home = Home::new();
    let node: Node<'_> = home.start();
    let mounted = Remote::mount_with(node.cli(), &["--timeout", "2"]);
    fs::write(mounted.path("a"), "content").expect("it is mounted");
    let file = fs::File::create(mounted.path("b")).expect("it is mounted");
    (&file).write_all(b"unsent").expect("it is kept for later");
    node.kill();
    let begin = Instant::now();
    assert_eq!(errno(file.sync_all()), EIO);
    assert_eq!(errno(fs::read_dir(mounted.path("d"))), EIO);
    assert_eq!(errno(fs::write(mounted.path("c"), "x")), EIO);
    assert!(begin.elapsed() < Duration::from_secs(20));
    drop(file);
    // What could not be stored is an error of the mount too; but it ends.
    let there = mounted.root().as_os_str().to_owned();
    mounted.cli.ok(["umount".as_ref(), there.as_os_str()]);
}
