//! Locks through the real binaries: what they keep, what survives, what a command does with them.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use nexus_client::{AcquireOptions, Fence, Kind, LockMode, WriteOptions};
use nexus_tests::{Cli, Home, Node};
use serde_json::{Value, json};

const LONG: AcquireOptions = AcquireOptions {
    mode: LockMode::Exclusive,
    ttl: Duration::from_secs(3600),
    wait: Duration::ZERO,
    durability: nexus_client::Durability::Sync,
};

fn shown(cli: &Cli, arguments: &[&str]) -> Value {
    let text = cli.ok([&["--json"], arguments].concat());
    serde_json::from_str(&text).expect("it is JSON")
}

/// An agent's key that may change files.
fn agent(node: &Node<'_>, name: &str) -> String {
    let made = ["keys", "create", name, "--agent", "--rights", "read-write"];
    let made = shown(&node.cli(), &made);
    made["secret"].as_str().expect("it is text").to_owned()
}

/// Runs a shell's commands while holding a lock.
fn run(cli: &Cli, lock: &[&str], script: &str) -> std::process::Output {
    cli.run([&["lock", "run"], lock, &["--", "sh", "-c", script]].concat())
}

/// For a script: the command itself.
fn nexus() -> String {
    nexus_tests::binary("nexus").display().to_string()
}

/// A lease that was granted holds after the node was killed, until its time is over; its holder
/// goes on with it, and nobody else gets in.
#[test]
fn a_lease_outlives_a_node_that_is_killed_between_grant_and_write() {
    let runtime = tokio::runtime::Runtime::new().expect("threads can be started");
    let home = Home::new();
    let node = home.start();
    node.cli().ok_with_input(["write", "/a"], b"one");
    let ada = agent(&node, "ada");
    let (lease, short) = runtime.block_on(async {
        let client = node.client_with(&ada).await;
        let lease = client.acquire_lock("/a", LONG).await.expect("it is free");
        let short = AcquireOptions {
            ttl: Duration::from_millis(1),
            ..LONG
        };
        let short = client
            .acquire_lock("name:short", short)
            .await
            .expect("it is free");
        (lease, short)
    });
    node.kill();
    let node = home.start();
    runtime.block_on(async {
        let (client, other) = (node.client_with(&ada).await, node.client().await);
        let taken = other
            .acquire_lock("/a", LONG)
            .await
            .expect_err("it is held");
        assert_eq!(
            (taken.kind(), taken.fact("holder")),
            (Kind::Conflict, Some("agent:ada"))
        );
        let fenced = client.standing_on(&[lease.fence()]);
        let written = fenced
            .write("/a", "two".into(), WriteOptions::default())
            .await;
        assert!(written.expect("the lease holds").revision.0 > lease.token);
        let late = client.standing_on(&[short.fence()]);
        let late = late
            .write("/a", "three".into(), WriteOptions::default())
            .await;
        assert_eq!(late.expect_err("the lease is over").kind(), Kind::Conflict);
        let next = other
            .acquire_lock("name:short", LONG)
            .await
            .expect("it is free");
        assert!(next.token > short.token);
        let released = client
            .release_lock("/a", lease.token, LONG.durability)
            .await;
        released.expect("it is held");
    });
    assert_eq!(node.cli().ok(["cat", "/a"]), "two");
}

/// The same lock, whichever door it was taken through.
#[test]
fn a_lock_is_one_through_every_door() {
    let runtime = tokio::runtime::Runtime::new().expect("threads can be started");
    let home = Home::new();
    let node = home.start();
    let (cli, http) = (node.cli(), node.http());
    cli.ok_with_input(["write", "/docs/a b.txt", "-p"], b"x");
    let lease = shown(&cli, &["lock", "acquire", "/docs/a b.txt", "--ttl", "1h"]);
    let ask = json!({ "resource": lease["resource"], "ttl_ms": 1000 });
    let refused = http.post("/api/v2/locks", &ask).json();
    assert_eq!(refused["error"]["kind"], "conflict");
    let state = http
        .get("/api/v2/locks/state?resource=/docs/a%20b.txt")
        .json();
    assert_eq!(state, shown(&cli, &["lock", "inspect", "/docs/a b.txt"]));
    assert_eq!(state, shown(&cli, &["lock", "list", "--path", "/docs"]));
    let token = lease["token"].as_u64().expect("it is a number");
    let fence = format!("{token} /docs/a b.txt");
    cli.ok(["--fence", &fence, "write", "/b", "1"]);
    runtime.block_on(async {
        let client = node.client().await;
        let fences = [Fence {
            token,
            resource: "/docs/a b.txt".into(),
        }];
        let write = |content: &'static str| {
            let client = client.standing_on(&fences);
            async move {
                client
                    .write("/b", content.into(), WriteOptions::default())
                    .await
            }
        };
        write("2").await.expect("the lease holds");
        let released = client
            .release_lock("/docs/a b.txt", token, LONG.durability)
            .await;
        released.expect("it is held");
        assert_eq!(
            write("3").await.expect_err("it is released").kind(),
            Kind::Conflict
        );
    });
    assert!(
        cli.fails(["--fence", &fence, "write", "/b", "4"])
            .contains("not held")
    );
    let encoded = format!("{token} /docs/a%20b.txt");
    let put = http
        .request("PUT", "/api/v2/files/b")
        .header("x-nexus-fence", &encoded);
    assert_eq!(put.body("5").send().status, 409);
    assert_eq!(cli.ok(["cat", "/b"]), "2");
}

/// `nexus lock run` holds the lock for as long as its command runs, gives the command its fence,
/// and ends as it does.
#[test]
fn a_command_runs_under_a_lock_and_passes_its_status_on() {
    let home = Home::new();
    let node = home.start();
    let cli = node.cli();
    let inside = format!(
        "{0} write /f -- \"$NEXUS_FENCE\" && {0} lock list >list && exit 7",
        nexus()
    );
    let output = run(&cli, &["name:job"], &inside);
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    let fence = cli.ok(["cat", "/f"]);
    assert!(fence.ends_with(" name:job"), "{fence}");
    let list = std::fs::read_to_string(cli.folder().join("list")).expect("it was written");
    assert!(
        list.contains("name:job") && list.contains("exclusive"),
        "{list}"
    );
    assert_eq!(cli.ok(["lock", "list"]), "");
    assert!(
        cli.fails(["--fence", &fence, "write", "/f", "late"])
            .contains("not held")
    );
    let killed = run(&cli, &["name:job"], "kill -KILL $$");
    assert_eq!(killed.status.code(), Some(137));
    let missing = cli.run(["lock", "run", "name:job", "--", "/there/is/no/such"]);
    assert_eq!(missing.status.code(), Some(3), "{missing:?}");
    assert_eq!(cli.ok(["lock", "list"]), "");
}

/// Locks nest: what is written inside stands on both.
#[test]
fn a_command_under_two_locks_carries_both_fences() {
    let home = Home::new();
    let node = home.start();
    let cli = node.cli();
    let inside = format!(
        "{0} lock run name:b -- sh -c '{0} write /f -- \"$NEXUS_FENCE\"; {0} lock force-unlock name:a; \
         {0} write /f late'",
        nexus()
    );
    let output = run(&cli, &["name:a"], &inside);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    let fences = cli.ok(["cat", "/f"]);
    let names: Vec<_> = fences
        .lines()
        .filter_map(|fence| fence.split(' ').nth(1))
        .collect();
    assert_eq!(names, ["name:a", "name:b"]);
}

/// A lease that is short is extended for as long as its command runs; one that is lost is told.
#[test]
fn a_lease_is_kept_while_its_command_runs_and_its_loss_is_told() {
    let home = Home::new();
    let node = home.start();
    let cli = node.cli();
    let kept = format!(
        "first=\"$({0} lock inspect name:x)\"; \
         while test \"$({0} lock inspect name:x)\" = \"$first\"; do :; done; {0} write /f kept",
        nexus()
    );
    let output = run(&cli, &["name:x", "--ttl", "6s"], &kept);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(cli.ok(["cat", "/f"]), "kept");
    let lost = format!(
        "{0} lock force-unlock name:x; {0} write /f lost; true",
        nexus()
    );
    let output = run(&cli, &["name:x"], &lost);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert_eq!(cli.ok(["cat", "/f"]), "kept");
}

/// Whoever asks the command to end asks what it runs, and the lock is free again.
#[test]
fn a_command_under_a_lock_that_is_asked_to_end_ends_and_lets_go() {
    let home = Home::new();
    let node = home.start();
    let cli = node.cli();
    let script = "echo started; exec sleep 1000";
    let mut command = cli.command(["lock", "run", "name:x", "--", "sh", "-c", script]);
    let running = nexus_tests::Process::start(&mut command);
    running.wait_for_line("that it runs", nexus_tests::WAIT_MAX, |line| {
        (line == "started").then_some(())
    });
    let status = running.terminate();
    assert_eq!(status.code(), Some(143), "{:?}", status.signal());
    assert_eq!(cli.ok(["lock", "list"]), "");
}

#[test]
fn a_command_says_what_is_wrong_with_a_lock_and_ends_with_the_status_for_it() {
    let home = Home::new();
    let node = home.start();
    let cli = node.cli();
    let bad: [(&[&str], i32); 8] = [
        (&["acquire", "name:x", "--ttl", "0s"], 2),
        (&["acquire", "name:x", "--ttl", "365d"], 2),
        (&["acquire", "name:x", "--permits", "0"], 2),
        (&["acquire", "nonsense"], 2),
        (&["acquire", "/missing"], 3),
        (&["extend", "name:x", "1"], 3),
        (&["release", "name:x", "1"], 3),
        (&["inspect", "name:x"], 3),
    ];
    for (arguments, status) in bad {
        let output = cli.run([&["lock"], arguments].concat());
        assert_eq!(
            output.status.code(),
            Some(status),
            "{arguments:?}: {output:?}"
        );
    }
    let fence = cli.ok(["lock", "acquire", "name:x", "--shared"]);
    let token = fence.split(' ').next().expect("a fence begins with it");
    let ada = node.cli_with(&agent(&node, "ada"));
    assert_eq!(
        ada.run(["lock", "acquire", "name:x"]).status.code(),
        Some(4)
    );
    assert_eq!(
        ada.run(["lock", "release", "name:x", token]).status.code(),
        Some(5)
    );
    assert_eq!(
        ada.run(["lock", "force-unlock", "name:x"]).status.code(),
        Some(5)
    );
    cli.ok(["lock", "extend", "name:x", token, "--ttl", "1h"]);
    cli.ok(["lock", "release", "name:x", token]);
}
