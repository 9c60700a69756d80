//! What is measured: a folder on the disk, a filesystem in memory behind FUSE, and a zone that
//! is mounted.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
use parking_lot::Mutex;
use rustix::mount::UnmountFlags;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::zone::folder;

/// The three, in the order in which they are measured.
pub(super) struct Subjects {
    // Dropped in this order: what is mounted goes before the folder it is in.
    pub memory: Served,
    pub nexus: Served,
    pub ext4: PathBuf,
    folder: TempDir,
    node: PathBuf,
    running: Running,
}

impl Subjects {
    pub(super) fn start(node: &Path, running: &Running) -> Result<Self> {
        let folder = folder()?;
        let top = folder.path().canonicalize()?;
        for name in ["ext4", "memory", "nexus", "data"] {
            std::fs::create_dir(top.join(name))?;
        }
        let mut memory = Command::new(std::env::current_exe()?);
        memory.arg("--serve-memory").arg(top.join("memory"));
        Ok(Self {
            memory: Served::start(memory, top.join("memory"), running)?,
            nexus: Served::start(mount_command(node, &top), top.join("nexus"), running)?,
            ext4: top.join("ext4"),
            folder,
            node: node.to_owned(),
            running: running.clone(),
        })
    }

    /// A folder on the disk for what is copied from.
    pub(super) fn scratch(&self, name: &str) -> Result<PathBuf> {
        let path = self.folder.path().canonicalize()?.join(name);
        std::fs::create_dir(&path)?;
        Ok(path)
    }

    /// Mounts a new zone in a new process, and forgets the one before.
    pub(super) fn renew(&mut self) -> Result<()> {
        let top = self.folder.path().canonicalize()?;
        self.nexus.stop();
        std::fs::remove_dir_all(top.join("data"))?;
        let command = mount_command(&self.node, &top);
        self.nexus = Served::start(command, top.join("nexus"), &self.running)?;
        eprintln!("  (the node is process {})", self.nexus.pid());
        Ok(())
    }

    pub(super) fn check_goes_on(&self) -> Result<()> {
        self.running.check_goes_on()
    }
}

fn mount_command(node: &Path, top: &Path) -> Command {
    let mut command = Command::new(node);
    command.arg("mount").arg(top.join("nexus"));
    command.arg("--data").arg(top.join("data"));
    command.args(["--log", "error"]);
    command
}

/// A process that serves a mount, unmounted with this value.
pub(super) struct Served {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    directory: PathBuf,
    running: Running,
}

impl Served {
    /// Starts it, and waits until it has mounted.
    fn start(mut command: Command, directory: PathBuf, running: &Running) -> Result<Self> {
        running.check_goes_on()?;
        // A group of its own, so that Ctrl-C is for us to handle, in order.
        let command = command.process_group(0);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command
            .spawn()
            .with_context(|| format!("starting {:?}", command.get_program()))?;
        let mut served = Self {
            input: child.stdin.take(),
            output: BufReader::new(child.stdout.take().context("its output")?),
            directory,
            running: running.clone(),
            child,
        };
        running.add(served.pid(), &served.directory);
        served.wait_until_mounted()?;
        Ok(served)
    }

    fn wait_until_mounted(&mut self) -> Result<()> {
        let mut line = String::new();
        while self.output.read_line(&mut line)? > 0 {
            if line.starts_with("mounted on ") {
                return Ok(());
            }
            line.clear();
        }
        bail!("the process ended before it had mounted; what it said is above");
    }

    pub(super) fn root(&self) -> &Path {
        &self.directory
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Unmounts, and waits for the process to end. Once: the place may be another's by then.
    fn stop(&mut self) {
        // Without input the filesystem in memory ends; the node does at a signal.
        if self.input.take().is_none() {
            return;
        }
        if self.directory.ends_with("nexus") {
            let _ = kill_process(pid(self.pid()), Signal::TERM);
        }
        let _ = self.child.wait();
        self.running.remove(self.child.id());
        detach(&self.directory);
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What runs for the benchmark, so that it can be ended from outside.
#[derive(Clone, Default)]
pub(super) struct Running(Arc<State>);

#[derive(Default)]
struct State {
    mounted: Mutex<Vec<(u32, PathBuf)>>,
    stopped: AtomicBool,
}

impl Running {
    fn add(&self, pid: u32, directory: &Path) {
        self.0.mounted.lock().push((pid, directory.to_owned()));
    }

    fn remove(&self, pid: u32) {
        self.0.mounted.lock().retain(|(mounted, _)| *mounted != pid);
    }

    /// Ends it all: whatever works on a mount then fails, and cleans up after itself.
    pub(super) fn stop(&self) {
        self.0.stopped.store(true, Ordering::Release);
        for (number, directory) in self.0.mounted.lock().iter() {
            detach(directory);
            let _ = kill_process(pid(*number), Signal::KILL);
        }
    }

    pub(super) fn check_goes_on(&self) -> Result<()> {
        if self.0.stopped.load(Ordering::Acquire) {
            bail!("told to stop; everything is unmounted");
        }
        Ok(())
    }
}

fn pid(number: u32) -> Pid {
    let number = i32::try_from(number).ok().and_then(Pid::from_raw);
    number.expect("a child has a number above 0")
}

/// Takes a mount away, if there still is one, whoever uses it.
fn detach(directory: &Path) {
    // An error means that nothing is mounted there, which is what is wanted.
    let _ = rustix::mount::unmount(directory, UnmountFlags::DETACH);
}

/// Why this machine cannot run these measurements, if it cannot.
pub(super) fn check_machine() -> Result<()> {
    File::options()
        .read(true)
        .write(true)
        .open("/dev/fuse")
        .context("/dev/fuse cannot be opened, so nothing can be mounted; load the module (modprobe fuse), or give the container the device (--device /dev/fuse)")?;
    File::options().write(true).open(DROP_CACHES).with_context(|| {
        format!("{DROP_CACHES} cannot be written to, so nothing can be measured that is not cached; run it as root")
    })?;
    Ok(())
}

const DROP_CACHES: &str = "/proc/sys/vm/drop_caches";

/// What of the kernel's caches is to go, of the whole machine.
#[derive(Clone, Copy)]
pub(super) enum Caches {
    Pages = 1,
    Names = 2,
    All = 3,
}

pub(super) fn drop_caches(what: Caches, disk: &Path) -> Result<()> {
    // Only what is clean can go.
    rustix::fs::syncfs(File::open(disk)?)?;
    for _ in 0..2 {
        let mut file = File::options().write(true).open(DROP_CACHES)?;
        writeln!(file, "{}", what as u8)?;
    }
    Ok(())
}

/// Drops the pages of one file, and not those of the files that a filesystem in a process keeps
/// it in.
pub(super) fn drop_pages_of(path: &Path) -> Result<()> {
    let file = File::open(path)?;
    rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed)?;
    Ok(())
}
