//! Who the log says changed something through a mount.

use std::fs;
use std::process::Command;

use nexus_fs::{LogQuery, Record};

use crate::support::Mounted;

#[track_caller]
fn sh(mounted: &Mounted, script: &str) {
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).current_dir(mounted.root());
    let status = shell.env_remove("NEXUS_SESSION").status().unwrap();
    assert!(status.success(), "{script}");
}

/// The records of what was done to a path, with the program and the session of each.
fn log(mounted: &Mounted, path: &str) -> Vec<Record> {
    let query = LogQuery {
        path_prefix: Some(path.into()),
        ..LogQuery::default()
    };
    let session = mounted.session();
    mounted.block_on(session.log(query)).unwrap().records
}

fn callers(mounted: &Mounted, path: &str) -> Vec<(String, Option<String>)> {
    let records = log(mounted, path).into_iter();
    let caller = |record: Record| (record.program.unwrap(), record.session);
    let mut callers: Vec<_> = records.map(caller).collect();
    callers.dedup();
    callers
}

fn who(program: &str, session: Option<&str>) -> (String, Option<String>) {
    (program.into(), session.map(str::to_owned))
}

#[test]
fn the_log_tells_program_and_session() {
    let mounted = Mounted::in_memory();
    sh(&mounted, "NEXUS_SESSION=run-7 touch f; touch g; true");
    sh(&mounted, "NEXUS_SESSION='bad\nname' touch h; true");
    assert_eq!(callers(&mounted, "/f"), [who("touch", Some("run-7"))]);
    assert_eq!(callers(&mounted, "/g"), [who("touch", None)]);
    assert_eq!(callers(&mounted, "/h"), [who("touch", None)]);
}

/// Each kind of change is recorded for the program that made it.
#[test]
fn every_change_is_on_record() {
    let mounted = Mounted::in_memory();
    let session = "export NEXUS_SESSION=run-8; ";
    let run = |script: &str| sh(&mounted, &(session.to_owned() + script));
    run("mkdir d; cp /etc/hostname d/a; mv d/a d/b; ln d/b d/c; ln -s b d/l; chmod 600 d/b; true");
    run("rm d/c; truncate -s 1 d/b; true");
    let seen = callers(&mounted, "/d");
    let expected = ["mkdir", "cp", "mv", "ln", "chmod", "rm", "truncate"];
    let expected = expected.map(|program| who(program, Some("run-8")));
    assert_eq!(seen, expected);
}

/// What is written is that of the program which wrote, whoever closes it in the end.
#[test]
fn a_write_is_recorded_for_who_opened_the_file() {
    let mounted = Mounted::in_memory();
    fs::write(mounted.path("f"), "").unwrap();
    sh(&mounted, "printf x | NEXUS_SESSION=run-9 tee -a f");
    let records = log(&mounted, "/f");
    let last = records.last().unwrap();
    assert_eq!(last.program.as_deref(), Some("tee"));
    assert_eq!(last.session.as_deref(), Some("run-9"));
}

/// They are still the mount's own changes, of which the kernel needs no telling.
#[test]
fn they_are_the_changes_of_the_mount() {
    let mounted = Mounted::in_memory();
    sh(&mounted, "touch f; true");
    let records = log(&mounted, "/f");
    assert!(
        records
            .iter()
            .all(|record| record.request_id.as_deref() == Some("mount"))
    );
}
