//! Snapshots and retention through every door of the real node.

use nexus_client::{At, Kind, NewSnapshot, RestoreOptions, RetentionLimits, SnapshotQuery};
use nexus_tests::{Home, Node};
use serde_json::json;

/// What one door makes every door finds, reads, and keeps in mind over a kill.
#[test]
fn a_snapshot_is_the_same_at_every_door() {
    let home = Home::new();
    let node = home.start();
    let cli = node.cli();
    cli.ok(["write", "-p", "/job/a.txt", "one"]);
    let made = cli.ok([
        "--json", "snapshot", "create", "/job", "first", "-m", "it works", "--tag", "t",
    ]);
    let made: serde_json::Value = serde_json::from_str(&made).expect("it is JSON");
    cli.ok(["write", "/job/a.txt", "two"]);
    let http = node.http();
    assert_eq!(http.get("/api/v2/snapshots/first").ok().json(), made);
    let listed = http.get("/api/v2/snapshots?path=/job&tag=t").ok().json();
    assert_eq!(listed["snapshots"], json!([made]));
    assert_eq!(cli.ok(["cat", "/job/a.txt@{first}"]), "one");
    assert_eq!(
        http.get("/api/v2/files/job/a.txt?at=first").ok().text(),
        "one"
    );
    cli.ok(["snapshot", "pin", "first"]);
    let refused = http.request("DELETE", "/api/v2/snapshots/first").send();
    assert_eq!(refused.status, 409);
    node.kill();

    let node = home.start();
    over_grpc(&node);
    let cli = node.cli();
    assert!(cli.ok(["snapshot", "list"]).contains("first"));
    cli.fails(["snapshot", "delete", "first"]);
    cli.ok(["snapshot", "unpin", "first"]);
    cli.ok(["snapshot", "delete", "first"]);
    assert_eq!(node.http().get("/api/v2/snapshots/first").status, 404);
    assert!(
        cli.fails(["cat", "/job/a.txt@{first}"])
            .contains("snapshot")
    );
}

#[tokio::main(flavor = "current_thread")]
async fn over_grpc(node: &Node<'_>) {
    let client = node.client().await;
    let snapshot = client.snapshot("first").await.expect("it outlives a kill");
    assert!(snapshot.pinned);
    assert_eq!(snapshot.tags, ["t"]);
    let old = client.stat("/job/a.txt", At::from("first")).await;
    assert_eq!(old.expect("it is kept").version, 1);
    let taken = client.create_snapshot(
        "/job",
        NewSnapshot {
            name: Some("first".into()),
            ..NewSnapshot::default()
        },
    );
    assert_eq!(
        taken.await.expect_err("the name is taken").kind(),
        Kind::AlreadyExists
    );
    let mut all = client.snapshots(SnapshotQuery::default());
    let found = futures::StreamExt::next(&mut all)
        .await
        .expect("there is one");
    assert_eq!(found.expect("it is told"), snapshot);
}

/// A policy that one door sets every door shows, and what it lets go every door refuses, saying
/// from when on there is something.
#[test]
fn what_retention_lets_go_is_refused_at_every_door() {
    let home = Home::new();
    let node = home.start();
    let cli = node.cli();
    let large = "x".repeat(20_000);
    cli.ok_with_input(["write", "-p", "/logs/a"], large.as_bytes());
    let first = node.http().revision();
    cli.ok(["write", "/logs/a", "two"]);
    cli.ok(["retention", "set", "/logs/**", "--max-versions", "1"]);
    let http = node.http();
    let listed = http.get("/api/v2/retention").ok().json();
    assert_eq!(listed[0]["pattern"], "/logs/**");
    assert_eq!(listed[0]["max_versions"], 1);
    let would = cli.ok(["--json", "gc", "--dry-run"]);
    let would: serde_json::Value = serde_json::from_str(&would).expect("it is JSON");
    assert_eq!(
        (&would["versions"], &would["bytes"]),
        (&json!(1), &json!(20_000))
    );
    let did = http.post("/api/v2/retention/run", &json!({})).ok().json();
    assert_eq!(did["versions"], 1);
    assert!(cli.ok(["gc"]).contains("1 blob"));

    let refused = http.get(&format!("/api/v2/files/logs/a?at=r{first}"));
    assert_eq!(refused.status, 404);
    assert!(
        refused.text().contains("oldest_readable"),
        "{}",
        refused.text()
    );
    let refused = cli.fails(["cat", &format!("/logs/a@{{r{first}}}")]);
    assert!(refused.contains("oldest_readable"), "{refused}");
    grpc_is_told(&node, first);
    let metrics = http.get("/metrics").ok().text();
    assert!(
        metrics.contains("nexus_collected_rows_total 1"),
        "{metrics}"
    );
    cli.ok(["retention", "remove", "/logs/**"]);
    assert!(
        cli.fails(["retention", "remove", "/logs/**"])
            .contains("policy")
    );
}

#[tokio::main(flavor = "current_thread")]
async fn grpc_is_told(node: &Node<'_>, first: u64) {
    let client = node.client().await;
    let refused = client
        .stat("/logs/a", At::from(format!("r{first}").as_str()))
        .await;
    let refused = refused.expect_err("it was collected");
    assert_eq!(refused.kind(), Kind::NotFound);
    assert!(refused.fact("oldest_readable").is_some(), "{refused:?}");
    let bad = RetentionLimits {
        max_versions: Some(0),
        ..RetentionLimits::default()
    };
    let refused = client
        .set_retention("/**", bad)
        .await
        .expect_err("it is none");
    assert_eq!(refused.kind(), Kind::InvalidArgument);
}

/// What was kept and what was let go, and who said so, is in the log and in the feed like changes of
/// files, with the name of what it was about; an undo of the run leaves it.
#[test]
fn the_log_tells_what_was_kept_and_by_whom() {
    let home = Home::new();
    let node = home.start();
    let cli = node.cli();
    let does = |arguments: &[&str]| {
        let mut command = cli.command(arguments);
        let did = command.env("NEXUS_SESSION", "run-1").status();
        assert!(did.expect("it starts").success(), "{arguments:?}");
    };
    let before = node.http().revision();
    does(&["write", "-p", "/job/a.txt", "one"]);
    does(&["snapshot", "create", "/job", "first"]);
    does(&["snapshot", "pin", "first"]);
    does(&["snapshot", "unpin", "first"]);
    does(&["snapshot", "delete", "first"]);
    does(&["workspace", "register", "/job", "--name", "tests"]);
    does(&["workspace", "unregister", "/job"]);
    does(&["retention", "set", "/job/**", "--max-versions", "3"]);
    does(&["retention", "remove", "/job/**"]);
    does(&["lock", "acquire", "name:deploy", "--ttl", "1h"]);
    does(&["lock", "force-unlock", "name:deploy"]);
    let expected = [
        ("snapshot_create", json!("first")),
        ("snapshot_update", json!("first")),
        ("snapshot_update", json!("first")),
        ("snapshot_delete", json!("first")),
        ("workspace_register", json!("tests")),
        ("workspace_unregister", json!("tests")),
        ("retention_set", json!("/job/**")),
        ("retention_remove", json!("/job/**")),
        ("lock_force", json!(null)),
    ];
    let log = node.http().get("/api/v2/log?session=run-1").ok().json();
    let records = log["records"].as_array().expect("it is a list");
    let records: Vec<_> = records
        .iter()
        .filter(|record| record["changes"][0]["path"] != "/job/a.txt")
        .filter(|record| record["changes"][0]["kind"] != "dir_create")
        .collect();
    assert_eq!(records.len(), expected.len(), "{log}");
    for (record, (kind, subject)) in records.iter().zip(&expected) {
        let change = &record["changes"][0];
        assert_eq!(
            (&change["kind"], &change["subject"]),
            (&json!(kind), subject)
        );
        assert_eq!(record["session"], "run-1");
    }
    assert_eq!(records[8]["changes"][0]["path"], "name:deploy");
    let events = node.http().get(&format!("/api/v2/events?after={before}"));
    let events = events.ok().json();
    let told = events["events"].as_array().expect("it is a list").iter();
    let told = told.filter(|event| event["subject"] == "first").count();
    assert_eq!(told, 4, "{events}");
    let shown = cli.ok(["log", "--kind", "snapshot_create"]);
    assert!(shown.contains("/job  first"), "{shown}");
    let shown = cli.ok(["--json", "log", "--kind", "retention_set"]);
    assert!(shown.contains(r#""subject":"/job/**""#), "{shown}");
    cli.ok(["undo", "--session", "run-1"]);
    cli.fails(["cat", "/job/a.txt"]);
}

/// What was a snapshot's directory becomes it again, as a whole or by paths, also through REST and
/// gRPC, which take the snapshot's name for a point; an undo takes it back.
#[test]
fn a_snapshot_is_restored_whole_and_by_paths() {
    let home = Home::new();
    let node = home.start();
    let cli = node.cli();
    cli.ok(["write", "-p", "/job/src/a", "one"]);
    cli.ok(["write", "/job/b", "one"]);
    cli.ok(["snapshot", "create", "/job", "good"]);
    let spoil = || {
        cli.ok(["write", "/job/src/a", "two"]);
        cli.ok(["write", "/job/b", "two"]);
        cli.ok(["write", "-p", "/job/new", "two"]);
    };
    let read = || ["/job/src/a", "/job/b"].map(|path| cli.ok(["cat", path]));
    spoil();
    let would = cli.ok(["--json", "snapshot", "restore", "good", "--dry-run"]);
    assert_eq!(read(), ["two", "two"]);
    let would: serde_json::Value = serde_json::from_str(&would).expect("it is JSON");
    assert_eq!(would["revisions"], json!([]));
    let did = cli.ok(["--json", "snapshot", "restore", "good", "src"]);
    let did: serde_json::Value = serde_json::from_str(&did).expect("it is JSON");
    assert_eq!(did["effects"][0]["path"], "/job/src/a", "{did}");
    assert_eq!(read(), ["one", "two"]);
    cli.ok(["snapshot", "restore", "good"]);
    assert_eq!(read(), ["one", "one"]);
    cli.fails(["cat", "/job/new"]);
    let by = node.http().revision().to_string();
    cli.ok(["undo", &by]);
    assert_eq!(read(), ["one", "two"]);
    assert_eq!(cli.ok(["cat", "/job/new"]), "two");

    spoil();
    cli.ok(["mv", "/job", "/moved"]);
    let told = cli.ok(["snapshot", "restore", "good"]);
    assert!(told.contains("/moved -> /job"), "{told}");
    assert_eq!(read(), ["one", "one"]);

    spoil();
    let body = json!({ "path": "/job", "at": "good" });
    node.http().post("/api/v2/restore", &body).ok();
    assert_eq!(read(), ["one", "one"]);
    spoil();
    restore_over_grpc(&node);
    assert_eq!(read(), ["one", "one"]);

    assert!(
        cli.fails(["snapshot", "restore", "none"])
            .contains("snapshot")
    );
    let outside = cli.fails(["snapshot", "restore", "good", "/other"]);
    assert!(outside.contains("below"), "{outside}");
    let help = cli.ok(["snapshot", "restore", "--help"]);
    assert!(help.contains("nexus snapshot restore before"), "{help}");
}

#[tokio::main(flavor = "current_thread")]
async fn restore_over_grpc(node: &Node<'_>) {
    let client = node.client().await;
    let options = RestoreOptions::default();
    let restored = client.restore("/job", At::from("good"), options).await;
    assert_eq!(restored.expect("it is one").revisions.len(), 1);
}

/// A node collects as often as it is configured to.
#[test]
fn history_is_collected_as_often_as_it_is_configured() {
    let home = Home::new();
    let node = home.start_with(&[("NEXUS_RETENTION_EVERY", "1s")]);
    let cli = node.cli();
    let before = node.http().revision().to_string();
    cli.ok(["mkdir", "/job"]);
    cli.ok(["snapshot", "create", "/job", "brief", "--expires", "1s"]);
    let mut watch = vec!["watch", "--kind", "snapshot_delete", "--after", &before];
    watch.extend(["--wait", "--timeout", "60s"]);
    let told = cli.ok(watch);
    assert!(told.contains("system:system"), "{told}");
    assert!(told.contains("/job  brief"), "{told}");
}
