//! The harness itself, on small programs.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::time::Duration;

use nexus_tests::{Process, WAIT_MAX, python_with_client, ripgrep};

fn shell(script: &str) -> Process {
    Process::start(Command::new("sh").args(["-c", script]))
}

/// A program that runs until it is ended.
const FOR_EVER: &str = "exec tail -f /dev/null";

/// What a panic of `work` says.
fn panic_of(work: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(work)).expect_err("it has to panic");
    *panic.downcast::<String>().expect("it was formatted")
}

fn ready(line: &str) -> Option<String> {
    line.strip_prefix("ready at ").map(str::to_owned)
}

#[test]
fn a_line_is_found_wherever_it_is_printed() {
    for stream in ["1", "2"] {
        let process = shell(&format!(
            "echo first; echo ready at 7 >&{stream}; {FOR_EVER}"
        ));
        assert_eq!(process.wait_for_line("ready", WAIT_MAX, ready), "7");
        process.kill();
    }
}

#[test]
fn a_line_that_was_said_before_is_found_again() {
    let process = shell(&format!("echo ready at 7; echo later; {FOR_EVER}"));
    process.wait_for_line("later", WAIT_MAX, |line| (line == "later").then_some(()));
    assert_eq!(process.wait_for_line("ready", WAIT_MAX, ready), "7");
    assert!(process.log().contains("later"));
}

#[test]
fn a_program_that_ends_without_the_line_shows_what_it_said() {
    let process = shell("echo the disk is full >&2");
    let message = panic_of(|| drop(process.wait_for_line("ready", WAIT_MAX, ready)));
    assert!(message.contains("ended without ready"), "{message}");
    assert!(message.contains("the disk is full"), "{message}");
}

#[test]
fn a_program_that_never_says_the_line_is_given_up() {
    let process = shell(FOR_EVER);
    let wait = Duration::from_millis(20);
    let message = panic_of(|| drop(process.wait_for_line("ready", wait, ready)));
    assert!(message.contains("has not said ready in 20ms"), "{message}");
}

#[test]
fn a_program_that_is_asked_to_end_may_clean_up_first() {
    let process =
        shell("tail -f /dev/null >/dev/null 2>&1 & trap 'kill $!; exit 3' TERM; echo up; wait");
    process.wait_for_line("up", WAIT_MAX, |line| (line == "up").then_some(()));
    assert_eq!(process.terminate().code(), Some(3));
}

#[test]
fn a_program_that_ends_by_itself_is_waited_for() {
    assert_eq!(shell("exit 5").wait_for_end(WAIT_MAX).code(), Some(5));
}

#[test]
fn a_dropped_program_is_gone() {
    let process = shell(FOR_EVER);
    let folder = format!("/proc/{}", process.id());
    assert!(std::path::Path::new(&folder).exists());
    drop(process);
    assert!(!std::path::Path::new(&folder).exists());
}

#[test]
fn the_tools_that_setup_installs_work() {
    let output = Command::new(ripgrep())
        .arg("--version")
        .output()
        .expect("it starts");
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("ripgrep "));
    let python = Command::new(python_with_client())
        .args(["-c", "import nexus_client"])
        .status();
    assert!(python.expect("it starts").success());
}
