//! Disks that are full or damaged, and starts that must not succeed.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use nexus_tests::http::Answer;
use nexus_tests::{Home, Node, Process, Random, WAIT_MAX};

mod damage;
mod full_disk;

/// It ends by itself, with a failure, and says all of `words`.
#[track_caller]
fn refuses_to_start(process: Process, words: &[&str]) {
    process.wait_for_line("what is wrong", WAIT_MAX, |line| {
        let complaint = line.strip_prefix("nexus-node: ")?;
        words
            .iter()
            .all(|word| complaint.contains(word))
            .then_some(())
    });
    assert_eq!(process.wait_for_end(WAIT_MAX).code(), Some(1));
}

/// The refusal has this kind and says all of `words`.
#[track_caller]
fn refused(answer: &Answer, status: u16, kind: &str, words: &[&str]) {
    assert_eq!(answer.status, status, "{}", answer.text());
    let error = &answer.json()["error"];
    assert_eq!(error["kind"], kind, "{error}");
    let message = error["message"].as_str().expect("an error has a message");
    for word in words {
        assert!(message.contains(word), "no {word:?} in {message:?}");
    }
}

#[test]
fn a_data_folder_that_is_in_use_is_left_alone() {
    let home = Home::new();
    let node = home.start();
    node.http().write("/a", "one").ok();
    let holder = node.process().id().to_string();
    refuses_to_start(
        home.launch(&[]),
        &["in use by another node", "--data", &holder],
    );
    assert_eq!(node.http().read("/a").ok().body, b"one");
    node.http().write("/a", "two").ok();
    assert!(node.stop().success());
}

#[test]
fn a_data_folder_of_a_newer_format_is_left_alone() {
    let home = Home::new();
    let node = home.start();
    node.http().write("/a", "one").ok();
    assert!(node.stop().success());
    let format = home.data().join("FORMAT");
    let ours = fs::read(&format).expect("a data folder says its format");
    fs::write(&format, "nexus data folder, format 99\n").expect("the folder is ours");
    refuses_to_start(home.launch(&[]), &["run the version that wrote it", "99"]);
    fs::write(&format, "nonsense\n").expect("the folder is ours");
    refuses_to_start(home.launch(&[]), &["FORMAT", "restore it from a copy"]);
    fs::write(&format, ours).expect("the folder is ours");
    assert_eq!(home.start().http().read("/a").ok().body, b"one");
}

#[test]
fn a_folder_of_somebody_else_is_left_alone() {
    let home = Home::new();
    fs::create_dir(home.data()).expect("the folder is ours");
    fs::write(home.data().join("thesis.tex"), "years of work").expect("the folder is ours");
    refuses_to_start(
        home.launch(&[]),
        &["thesis.tex", "name an empty or a new one"],
    );
    let left: Vec<_> = fs::read_dir(home.data()).expect("it is there").collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let home = Home::new();
    refuses_to_start(home.launch_at(&address, &[]), &[&address, "--listen"]);
    drop(taken);
    home.start();
}

#[test]
fn settings_that_make_no_sense_are_named_with_where_they_came_from() {
    let home = Home::new();
    let file = home.folder().join("nexus.toml");
    let path = file.to_str().expect("it is UTF-8");
    let in_file = |text: &str| {
        fs::write(&file, text).expect("the folder is ours");
        home.launch(&[("NEXUS_CONFIG", path)])
    };
    for (text, words) in [
        ("\0\u{1}garbage", ["nexus.toml", "TOML"]),
        ("listn = 'x'", ["nexus.toml", "listn"]),
        (
            "[memory]\ncontent = 'plenty'",
            ["nexus.toml", "memory.content"],
        ),
        ("metastore = 'oracle:'", ["metastore", "oracle:"]),
    ] {
        refuses_to_start(in_file(text), &words);
    }
    for (name, value) in [
        ("NEXUS_MEMORY_CONTENT", "-1"),
        ("NEXUS_SHUTDOWN_DEADLINE", "soon"),
        ("NEXUS_CONTENT_HASH", "md5"),
        ("NEXUS_OBJECT_STORE", "local"),
        ("NEXUS_LOG_FORMAT", "poem"),
    ] {
        refuses_to_start(home.launch(&[(name, value)]), &[name, value]);
    }
    assert!(!home.data().exists(), "a refused start left data behind");
}
