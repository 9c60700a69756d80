//! Nodes that go away, for a while or for good.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use nexus_tests::{Home, Node, Process, WAIT_MAX};

use super::{EIO, Remote, errno};

/// A program that has files of the mount open; this process has none, since it starts nodes:
/// what it has open, a child closes, and waits for the node.
struct Writer {
    child: Child,
    orders: Option<ChildStdin>,
    said: BufReader<ChildStdout>,
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
    fn start(directory: &Path, program: &str) -> Self {
        let mut python = Command::new("python3");
        python.args(["-c", program]).current_dir(directory);
        python.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = python.spawn().expect("there is a python3");
        let orders = child.stdin.take();
        let said = BufReader::new(child.stdout.take().expect("it is piped"));
        Self {
            child,
            orders,
            said,
        }
    }

    #[track_caller]
    fn wait_until_it_says(&mut self, what: &str) {
        let mut line = String::new();
        self.said.read_line(&mut line).expect("it speaks");
        assert_eq!(line.trim(), what);
    }

    /// Tells it to write, without waiting.
    fn order(&mut self, order: &str) {
        let orders = self.orders.as_mut().expect("it has not ended");
        writeln!(orders, "{order}").expect("it reads");
    }

    /// Lets it do what it was told and end; how often it was done.
    fn finish(mut self) -> usize {
        drop(self.orders.take());
        let done = self.said.lines().count();
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
    let mut writer = Writer::start(mounted.root(), PROGRAM);
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

/// Writes, says so, and finds out at the next order that it is lost.
const LATE: &str = r#"
import errno, os, sys
fd = os.open("file", os.O_RDWR)
os.pwrite(fd, b"mine", 0)
assert os.fstat(fd).st_size == 10
print("sent", flush=True)
sys.stdin.readline()
for operation in [os.fsync, lambda fd: os.pwrite(fd, b"more", 0), os.close]:
    try:
        operation(fd)
        raise SystemExit("it is written over what others wrote")
    except OSError as error:
        assert error.errno == errno.EIO, error
assert open("file", "rb").read() == b"theirs"
with open("file", "r+b") as file:
    file.write(b"THEIR")
print("done", flush=True)
"#;

#[test]
fn what_others_wrote_meanwhile_is_not_written_over() {
    let home = Home::new();
    let node = home.start();
    let (address, http) = (node.address().to_owned(), node.http());
    http.write("/file", "0123456789").ok();
    let mounted = Remote::mount(node.cli());
    let mut writer = Writer::start(mounted.root(), LATE);
    writer.wait_until_it_says("sent");
    node.kill();
    let node = start_again(&home, &address);
    http.write("/file", "theirs").ok();
    writer.order("go on");
    assert_eq!(writer.finish(), 1);
    assert_eq!(http.read("/file").ok().text(), "THEIRs");
    mounted.unmount();
    assert!(node.terminate().success());
}

/// Writes to a file that it has open twice, to and fro.
const TWICE: &str = r#"
import os, sys
one, other = [os.open("file", os.O_CREAT | os.O_RDWR) for _ in range(2)]
os.pwrite(one, b"aaaaaa", 0)
os.pwrite(other, b"bbbb", 1)
os.pwrite(one, b"cc", 2)
assert os.fstat(one).st_size == 6
print("sent", flush=True)
sys.stdin.readline()
os.fsync(other)
os.close(other)
os.pwrite(one, b"d", 5)
os.close(one)
print("done", flush=True)
"#;

#[test]
fn what_is_written_through_two_descriptors_is_sent_again_in_order() {
    let home = Home::new();
    let node = home.start();
    let (address, http) = (node.address().to_owned(), node.http());
    let mounted = Remote::mount(node.cli());
    let mut writer = Writer::start(mounted.root(), TWICE);
    writer.wait_until_it_says("sent");
    node.kill();
    let node = start_again(&home, &address);
    writer.order("go on");
    assert_eq!(writer.finish(), 1);
    assert_eq!(http.read("/file").ok().text(), "abccbd");
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
