//! Forks and merges through the real binaries: the same through every door, and still there after
//! the node was killed.

use nexus_client::{MergeOptions, MergeStrategy};
use nexus_tests::{Cli, Home};
use serde_json::{Value, json};

fn shown(cli: &Cli, arguments: &[&str]) -> Value {
    let text = cli.ok([&["--json"], arguments].concat());
    serde_json::from_str(&text).expect("it is JSON")
}

/// A directory is registered, forked, changed on both sides and merged, each through another
/// door; the node is killed in between.
#[test]
fn a_fork_is_made_changed_and_merged_through_every_door() {
    let home = Home::new();
    let node = home.start();
    let (cli, http) = (node.cli(), node.http());
    cli.ok_with_input(["write", "/proj/a.txt", "-p"], b"1\n2\n3\n");
    cli.ok_with_input(["write", "/proj/sub/b.txt", "-p"], b"b\n");
    cli.ok([
        "workspace",
        "register",
        "/proj",
        "--name",
        "site",
        "--tag",
        "web",
    ]);
    let listed = http.get("/api/v2/workspaces").ok().json();
    assert_eq!(
        listed["workspaces"][0],
        shown(&cli, &["workspace", "info", "/proj"])
    );
    let by_rpc = http.rpc("list_workspaces", &json!({}));
    assert_eq!(by_rpc["result"][0]["name"], "site");

    let ask = json!({ "from": "/proj", "to": "/tries/one", "parents": true });
    http.post("/api/v2/forks", &ask).ok();
    cli.ok(["fork", "/proj", "/tries/two"]);
    let forks = http.get("/api/v2/forks?of=/proj").ok().json();
    let forks = forks["forks"].as_array().expect("it is a list").iter();
    let paths: Vec<_> = forks.map(|fork| fork["path"].clone()).collect();
    assert_eq!(paths, [json!("/tries/one"), json!("/tries/two")]);
    cli.ok_with_input(["write", "/tries/one/a.txt"], b"one\n2\n3\n");
    cli.ok_with_input(["write", "/tries/two/a.txt"], b"two\n2\n3\n");
    cli.ok(["mv", "/tries/one/sub", "/tries/one/moved"]);
    node.kill();

    let node = home.start();
    let (cli, http) = (node.cli(), node.http());
    assert_eq!(cli.ok(["cat", "/tries/one/moved/b.txt"]), "b\n");
    assert_eq!(cli.ok(["cat", "/proj/a.txt"]), "1\n2\n3\n");
    let merge = json!({ "fork": "/tries/one" });
    let merged = http.post("/api/v2/merge", &merge).ok().json();
    assert_eq!(merged["applied"], true, "{merged}");
    assert_eq!(cli.ok(["cat", "/proj/a.txt"]), "one\n2\n3\n");
    assert_eq!(cli.ok(["cat", "/proj/moved/b.txt"]), "b\n");

    let refused = cli.run(["--json", "merge", "/tries/two"]);
    assert_eq!(refused.status.code(), Some(4));
    let report: Value = serde_json::from_slice(&refused.stdout).expect("it is JSON");
    assert_eq!(report["conflicts"][0]["path"], "/proj/a.txt");
    assert_eq!(cli.ok(["cat", "/proj/a.txt"]), "one\n2\n3\n");
    let runtime = tokio::runtime::Runtime::new().expect("threads can be started");
    runtime.block_on(async {
        let options = MergeOptions {
            strategy: MergeStrategy::Markers,
            ..MergeOptions::default()
        };
        let merged = node.client().await.merge("/tries/two", options).await;
        assert!(merged.expect("conflicts are marked").applied);
    });
    let marked = cli.ok(["cat", "/proj/a.txt"]);
    assert!(marked.contains("<<<<<<< ours\none\n"), "{marked}");
    assert!(
        marked.contains("=======\ntwo\n>>>>>>> theirs\n2\n"),
        "{marked}"
    );
    let log = http
        .get("/api/v2/log?newest_first=true&limit=1")
        .ok()
        .json();
    assert_eq!(log["records"][0]["operation"], "merge", "{log}");
}

/// What cannot be merged, or registered, says why through the command line.
#[test]
fn a_merge_of_what_is_no_fork_is_refused() {
    let home = Home::new();
    let node = home.start();
    let cli = node.cli();
    cli.ok_with_input(["write", "/a/x", "-p"], b"1");
    cli.ok_with_input(["write", "/b/x", "-p"], b"1");
    cli.ok(["fork", "/a", "/f"]);
    assert!(cli.fails(["merge", "/a"]).contains("no fork"));
    assert!(
        cli.fails(["merge", "/f", "--into", "/b"])
            .contains("nothing in common")
    );
    assert!(cli.fails(["fork", "/a/x", "/g"]).contains("directory"));
    assert!(
        cli.fails(["workspace", "info", "/a"])
            .contains("no workspace")
    );
}
