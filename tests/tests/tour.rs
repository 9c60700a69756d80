//! The tour of the README does what it says.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nexus_tests::{Process, WAIT_MAX, binary};
use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

/// What a tour that came to its end says last.
const OVER: &str = "the tour is over";

#[test]
fn the_tour_of_the_readme_works() {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let readme = std::fs::read_to_string(checkout.join("README.md")).expect("it can be read");
    let folder = TempDir::with_prefix("nexus-tour-").expect("the temporary folder is writable");
    let mut bash = Command::new("bash");
    bash.args(["-euo", "pipefail", "-x", "-c"])
        .arg(format!("{}\necho {OVER}", code(&readme)))
        .current_dir(checkout)
        .env_clear()
        .env("PATH", path_with_binaries())
        .env("HOME", folder.path())
        .env("TMPDIR", folder.path())
        .process_group(0);
    let process = Process::start(&mut bash);
    let _group = Group(process.id());
    process.wait_for_line("that the tour is over", WAIT_MAX, |line| {
        (line == OVER).then_some(())
    });
}

/// The lines between the marks, without those that fence them.
fn code(readme: &str) -> String {
    let (_, rest) = readme
        .split_once("<!-- tour:begin -->\n```bash\n")
        .expect("it begins");
    let (code, _) = rest
        .split_once("```\n<!-- tour:end -->\n")
        .expect("it ends");
    code.to_owned()
}

fn path_with_binaries() -> std::ffi::OsString {
    let node = binary("nexus-node");
    let ours = node
        .parent()
        .expect("it lies in target/<profile>")
        .to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = [ours].into_iter().chain(std::env::split_paths(&path));
    std::env::join_paths(all).expect("no path has a colon in it")
}

/// The shell and what it started. A tour that stops half way leaves its node running.
struct Group(u32);

impl Drop for Group {
    fn drop(&mut self) {
        let shell = i32::try_from(self.0).ok().and_then(Pid::from_raw);
        // It is gone already where the tour came to its end.
        let _ = kill_process_group(shell.expect("a child has an id"), Signal::KILL);
    }
}
