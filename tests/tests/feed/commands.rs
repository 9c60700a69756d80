//! `nexus watch` and `nexus cursors`.

use nexus_tests::{Cli, Home, Process, WAIT_MAX};
use serde_json::Value;

fn lines(text: &str) -> Vec<Value> {
    let parse = |line: &str| serde_json::from_str(line).expect("each line is JSON");
    text.lines().map(parse).collect()
}

fn paths(events: &[Value]) -> Vec<&str> {
    let paths = events.iter().map(|event| event["path"].as_str());
    paths.map(|path| path.expect("it is text")).collect()
}

/// Starts a watch, and waits until it follows: that it prints what is written to `/ready`.
fn start(cli: &Cli, arguments: &[&str]) -> Process {
    let watch = Process::start(&mut cli.command([&["--json", "watch"], arguments].concat()));
    cli.ok(["write", "/ready", "x"]);
    watch
}

/// A watch for a change of a pattern ends with the first, and one that waits in vain says so.
#[test]
fn a_watch_waits_for_a_change_and_ends() {
    let home = Home::new();
    let node = home.start();
    let cli = node.cli();
    let after = node.http().revision().to_string();
    cli.ok(["write", "/inbox/1", "x", "-p"]);
    cli.ok(["write", "/inbox/2", "x"]);
    let wait = [
        "--json",
        "watch",
        "/inbox/*",
        "--kind",
        "file_write",
        "--wait",
        "--after",
        &after,
    ];
    let events = lines(&cli.ok(wait));
    assert_eq!(paths(&events), ["/inbox/1"]);
    let event = &events[0];
    assert_eq!(
        (&event["type"], &event["zone"]),
        (&"file_write".into(), &"root".into())
    );

    let both = [
        "--json",
        "watch",
        "/inbox/*",
        "/none/*",
        "--exit-after",
        "2",
        "--kind",
        "file_write",
        "--after",
        &after,
    ];
    assert_eq!(paths(&lines(&cli.ok(both))), ["/inbox/1", "/inbox/2"]);
    let text = cli.ok([
        "watch",
        "--actor",
        "user:admin",
        "--exit-after",
        "1",
        "--after",
        &after,
    ]);
    assert!(
        text.contains("dir_create") && text.contains("/inbox/1"),
        "{text}"
    );

    let vain = cli.run(["watch", "/none", "--wait", "--timeout", "200ms"]);
    assert_eq!(vain.status.code(), Some(1), "{vain:?}");
    let enough = cli.run(["watch", "/none", "--timeout", "200ms"]);
    assert_eq!(enough.status.code(), Some(0), "{enough:?}");
    let bad = cli.fails(["watch", "--wait", "--exit-after", "3"]);
    assert!(bad.contains("cannot be used with"), "{bad}");
}

/// A watch that follows prints changes as they come.
#[test]
fn a_watch_prints_changes_as_they_come() {
    let home = Home::new();
    let node = home.start();
    let cli = node.cli();
    let after = node.http().revision().to_string();
    let watch = start(&cli, &["--after", &after, "--exit-after", "3"]);
    watch.wait_for_line("the first change", WAIT_MAX, |line| {
        line.contains("/ready").then_some(())
    });
    cli.ok(["write", "/a", "x"]);
    watch.wait_for_line("the next one", WAIT_MAX, |line| {
        line.contains("\"/a\"").then_some(())
    });
    cli.ok(["mv", "/a", "/b"]);
    let said = watch.wait_for_success(WAIT_MAX);
    assert!(said.contains("\"old_path\":\"/a\""), "{said}");
}

/// A cursor remembers what was printed, and can be listed, moved and deleted.
#[test]
fn a_cursor_remembers_what_was_printed() {
    let home = Home::new();
    let node = home.start();
    let cli = node.cli();
    let begin = node.http().revision().to_string();
    for path in ["/1", "/2", "/3"] {
        cli.ok(["write", path, "x"]);
    }
    let next = |more: &[&str]| {
        let arguments = [
            "--json",
            "watch",
            "--cursor",
            "indexer",
            "--exit-after",
            "2",
            "--timeout",
            "5s",
        ];
        lines(&cli.ok([&arguments, more].concat()))
    };
    assert_eq!(paths(&next(&["--after", &begin])), ["/1", "/2"]);
    cli.ok(["write", "/4", "x"]);
    assert_eq!(paths(&next(&[])), ["/3", "/4"]);
    let listed = lines(&cli.ok(["--json", "cursors", "list"]));
    assert_eq!(listed[0]["name"], "indexer");
    assert_eq!(listed[0]["owner"], "user:admin");

    let behind = cli.fails(["cursors", "ack", "indexer", &begin]);
    assert!(behind.contains("rewind"), "{behind}");
    cli.ok(["cursors", "rewind", "indexer", &format!("r{begin}")]);
    assert_eq!(paths(&next(&[])), ["/1", "/2"]);
    cli.ok(["cursors", "delete", "indexer"]);
    let gone = cli.run(["cursors", "show", "indexer"]);
    assert_eq!(gone.status.code(), Some(3), "{gone:?}");
}
