//! Undo and restore through every door.

use nexus_tests::{Cli, Home, http::Http};
use serde_json::{Value, json};

fn write_as(http: &Http, session: &str, path: &str, content: &str) -> u64 {
    let target = nexus_tests::http::file(path);
    let written = http.request("PUT", &format!("{target}?parents=true"));
    let written = written.header("x-nexus-session", session).body(content);
    written.send().ok();
    http.revision()
}

fn report(cli: &Cli, arguments: &[&str]) -> Value {
    let arguments = [&["--json"], arguments].concat();
    serde_json::from_str(&cli.ok(arguments)).expect("a report is one JSON object")
}

fn effects(report: &Value) -> Vec<(String, String)> {
    let effects = report["effects"].as_array().expect("effects are a list");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let effects = effects.iter();
    effects
        .map(|effect| (text(&effect["kind"]), text(&effect["path"])))
        .collect()
}

fn pair(kind: &str, path: &str) -> (String, String) {
    (kind.to_owned(), path.to_owned())
}

#[test]
fn what_a_run_did_is_undone_and_done_again_through_every_door() {
    let home = Home::new();
    let node = home.start();
    let (http, cli) = (node.http(), node.cli());
    write_as(&http, "before", "/job/a", "one");
    let point = write_as(&http, "before", "/job/b", "one");
    write_as(&http, "run", "/job/a", "two");
    write_as(&http, "run", "/job/new/c", "two");
    cli.ok(["--session", "run", "rm", "/job/b"]);

    let told = report(&cli, &["undo", "--session", "run", "--dry-run"]);
    let expected = [
        pair("restore_content", "/job/a"),
        pair("bring_back", "/job/b"),
        pair("remove", "/job/new"),
        pair("remove", "/job/new/c"),
    ];
    assert_eq!(effects(&told), expected);
    assert_eq!(told["revisions"], json!([]));
    assert_eq!(http.read("/job/a").text(), "two");

    let undone = report(&cli, &["undo", "--session", "run"]);
    assert_eq!(effects(&undone), expected);
    assert_eq!(http.read("/job/a").text(), "one");
    assert_eq!(http.read("/job/b").text(), "one");
    assert_eq!(http.read("/job/new/c").status, 404);

    let by = undone["revisions"][0].as_u64().expect("one commit");
    let redone = http.post("/api/v2/undo", &json!({ "operation": by }));
    assert_eq!(redone.ok().json()["operations"], json!([by]));
    assert_eq!(http.read("/job/a").text(), "two");
    let again = http.post("/api/v2/undo", &json!({ "operation": by }));
    assert_eq!(again.status, 409, "{}", again.text());
    assert_eq!(again.json()["error"]["kind"], "already_exists");

    let body = json!({ "path": "/job", "at": point.to_string(), "dry_run": true });
    let told = http.post("/api/v2/restore", &body).ok().json();
    // What was added goes with all that it holds.
    let expected = &expected[..3];
    assert_eq!(effects(&told), expected);
    let restored = report(&cli, &["restore", "/job", "--to", &point.to_string()]);
    assert_eq!(effects(&restored), expected);
    assert_eq!(http.read("/job/b").text(), "one");
    let log = cli.ok(["log", "-n", "1"]);
    assert!(log.contains("restore"), "{log}");
}

#[test]
fn a_conflict_is_told_and_skipped_or_forced() {
    let home = Home::new();
    let node = home.start();
    let (http, cli) = (node.http(), node.cli());
    write_as(&http, "before", "/a", "one");
    write_as(&http, "run", "/a", "two");
    write_as(&http, "run", "/b", "two");
    let by = write_as(&http, "other", "/a", "three");

    let refused = cli.fails(["undo", "--session", "run"]);
    assert!(
        refused.contains("skip") && refused.contains("/a"),
        "{refused}"
    );
    let refused = cli.run(["undo", "--session", "run"]).stdout;
    let listed = String::from_utf8_lossy(&refused);
    assert!(listed.starts_with("! /a: revision"), "{listed}");
    let told = report(&cli, &["undo", "--session", "run", "--dry-run"]);
    assert_eq!(told["conflicts"][0]["path"], "/a");
    assert_eq!(told["conflicts"][0]["revision"], by);
    let shown = cli.ok(["undo", "--session", "run", "--dry-run"]);
    assert!(shown.contains("! /a: revision"), "{shown}");

    cli.ok(["undo", "--session", "run", "--on-conflict", "skip"]);
    assert_eq!(http.read("/a").text(), "three");
    assert_eq!(http.read("/b").status, 404);
    let body = json!({ "session": "run", "on_conflict": "force" });
    http.post("/api/v2/undo", &body).ok();
    assert_eq!(http.read("/a").text(), "one");
}

#[test]
fn bad_undos_are_refused_with_what_to_do() {
    let home = Home::new();
    let node = home.start();
    let (http, cli) = (node.http(), node.cli());
    write_as(&http, "run", "/a", "one");
    for body in [
        json!({}),
        json!({ "operation": 1, "session": "run" }),
        json!({ "from": 3 }),
        json!({ "session": "run", "since": "2h" }),
        json!({ "operation": 99_999 }),
        json!({ "session": "run", "on_conflict": "maybe" }),
    ] {
        let refused = http.post("/api/v2/undo", &body);
        assert_eq!(refused.status, 400, "{body}: {}", refused.text());
    }
    let nothing = http.post("/api/v2/undo", &json!({ "session": "none" }));
    assert_eq!(nothing.status, 404, "{}", nothing.text());
    let never = json!({ "path": "/none", "at": "latest" });
    assert_eq!(http.post("/api/v2/restore", &never).status, 404);
    cli.fails(["undo"]);
    cli.fails(["undo", "5", "--session", "run"]);
    cli.fails(["restore", "/a"]);
}
