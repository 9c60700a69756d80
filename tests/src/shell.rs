//! Programs that work and come to an end.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::process::Process;

/// How long a program may work, on the slowest machine: beyond, it hangs. Less than what the test
/// runner gives a test, so that what the program said is shown.
pub const WORK_MAX: Duration = Duration::from_secs(240);

/// Runs a program to its end, which has to come and to be a good one; what it said.
#[track_caller]
pub fn run(command: &mut Command) -> String {
    Process::start(command).wait_for_success(WORK_MAX)
}

/// Runs a shell script in a directory; what it said. The first command that fails ends it.
#[track_caller]
pub fn sh(directory: &Path, script: &str) -> String {
    let mut shell = Command::new("sh");
    // What git is told by its environment is about the checkout that the tests run in.
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        shell.env_remove(name);
    }
    shell.args(["-euc", script]).current_dir(directory);
    shell.env("GIT_CONFIG_GLOBAL", "/dev/null");
    run(&mut shell)
}
