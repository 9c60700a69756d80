use std::io::{Read, Write};
use std::process::{Command, Stdio};

use super::{SESSION_BYTES_MAX, caller, session};
use crate::volume::Caller;

#[test]
fn a_session_is_what_any_door_would_take() {
    let found = |environment: &[u8]| session(environment).map(|name| name.to_string());
    let longest = "x".repeat(SESSION_BYTES_MAX);
    for (environment, expected) in [
        ("A=1\0NEXUS_SESSION=run-7\0B=2\0".to_owned(), Some("run-7")),
        (format!("NEXUS_SESSION={longest}\0"), Some(&*longest)),
        (format!("NEXUS_SESSION={longest}x\0"), None),
        ("NEXUS_SESSION=\0".into(), None),
        ("NEXUS_SESSION=a\nb\0".into(), None),
        ("NEXUS_SESSION=\u{e4}\0".into(), None),
        ("MY_NEXUS_SESSION=a\0NEXUS_SESSIONS=b\0".into(), None),
        (String::new(), None),
    ] {
        let found = found(environment.as_bytes());
        assert_eq!(found.as_deref(), expected, "{environment:?}");
    }
}

#[test]
fn a_process_is_known_by_its_name_and_environment() {
    let mut process = Command::new("cat");
    process.env("NEXUS_SESSION", "run-7");
    process.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = process.spawn().unwrap();
    // Once it answers it is what it is to be.
    let (mut to, mut from) = (
        process.stdin.take().unwrap(),
        process.stdout.take().unwrap(),
    );
    to.write_all(b"x").unwrap();
    from.read_exact(&mut [0]).unwrap();
    let found = caller(process.id());
    drop(to);
    process.wait().unwrap();
    let expected = Caller {
        session: Some("run-7".into()),
        program: Some("cat".into()),
    };
    assert_eq!(found, expected);
}

#[test]
fn a_thread_goes_by_the_name_of_its_process() {
    let own = caller(std::process::id()).program;
    assert!(own.is_some());
    let named = std::thread::Builder::new().name("other".into());
    let thread = named.spawn(|| {
        let here = std::fs::read_link("/proc/thread-self").unwrap();
        let thread = here.file_name().unwrap().to_str().unwrap();
        caller(thread.parse().unwrap())
    });
    assert_eq!(thread.unwrap().join().unwrap().program, own);
}

#[test]
fn a_process_that_is_gone_is_nobody() {
    let mut process = Command::new("true").spawn().unwrap();
    process.wait().unwrap();
    assert_eq!(caller(process.id()), Caller::default());
}
