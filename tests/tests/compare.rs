//! How files and trees differ and where contents come from, through every door.

use std::fs;

use nexus_client::{DiffMode, LineageQuery, TreeDiffQuery, VersionAt};
use nexus_tests::{Cli, Home, Node};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// Imports a folder, works on it, and tells the revision before that.
fn work(home: &Home, node: &Node<'_>) -> u64 {
    let folder = home.folder().join("project");
    fs::create_dir_all(folder.join("src")).expect("as it was asked");
    fs::write(folder.join("README"), "one\ntwo\n").expect("as it was asked");
    fs::write(folder.join("src/main.rs"), "let total = 1;\n").expect("as it was asked");
    fs::write(folder.join("image"), [0xFF, 1, 2]).expect("as it was asked");
    let cli = node.cli();
    cli.ok(["import", folder.to_str().expect("as it was asked"), "/p"]);
    let before = node.http().revision();
    cli.ok(["edit", "/p/README", "--old", "two", "--new", "three"]);
    cli.ok_with_input(["write", "/p/src/main.rs"], b"let sum = 1;\n");
    cli.ok_with_input(["write", "/p/image"], &[0xFF, 9, 2]);
    cli.ok(["mv", "/p/src", "/p/source"]);
    cli.ok(["cp", "nx:/p/README", "nx:/p/COPY"]);
    before
}

fn rest_changes(node: &Node<'_>, query: &str) -> Vec<(String, String)> {
    let answer = node
        .http()
        .get(&format!("/api/v2/diff/tree?{query}"))
        .ok()
        .json();
    let changes = answer["changes"].as_array().expect("as it was asked");
    let text = |value: &Value| value.as_str().expect("as it was asked").to_owned();
    changes
        .iter()
        .map(|change| (text(&change["kind"]), text(&change["path"])))
        .collect()
}

fn json_lines(text: &str) -> Vec<Value> {
    let lines = text.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().expect("as it was asked")
}

#[test]
fn every_door_tells_how_trees_differ() {
    let home = Home::new();
    let node = home.start();
    let before = work(&home, &node);
    let expected = [
        ("added", "/p/COPY"),
        ("modified", "/p/README"),
        ("modified", "/p/image"),
        ("renamed", "/p/source"),
        ("modified", "/p/source/main.rs"),
    ];
    let expected = expected.map(|(kind, path)| (kind.to_owned(), path.to_owned()));
    assert_eq!(
        rest_changes(&node, &format!("path=/p&from={before}")),
        expected
    );
    let from = before.to_string();
    let told = node.cli().ok(["--json", "diff", "/p", &from]);
    let told = json_lines(&told).into_iter().map(|change| {
        let text = |name: &str| change[name].as_str().expect("as it was asked").to_owned();
        (text("kind"), text("path"))
    });
    assert_eq!(told.collect::<Vec<_>>(), expected);
    let query = TreeDiffQuery {
        path: "/p".into(),
        from: nexus_client::At::from(from.as_str()),
        ..TreeDiffQuery::default()
    };
    let runtime = Runtime::new().expect("as it was asked");
    let page = runtime.block_on(async {
        let client = node.client_with(node.key()).await;
        client.diff_tree(query).await.expect("as it was asked")
    });
    let told = page
        .changes
        .iter()
        .map(|c| (c.kind.as_str().to_owned(), c.path.clone()));
    assert_eq!(told.collect::<Vec<_>>(), expected);
    assert_eq!(page.from.0, before);
    let back = rest_changes(
        &node,
        &format!("path=/p&from=latest&to={before}&expand=true"),
    );
    assert_eq!(back[0], ("removed".to_owned(), "/p/COPY".to_owned()));
}

#[test]
fn the_command_line_shows_differences_as_git_does() {
    let home = Home::new();
    let node = home.start();
    let before = work(&home, &node).to_string();
    let cli = node.cli();
    assert_eq!(
        cli.ok(["diff", "/p", &before, "--name-status"]),
        "A\t/p/COPY\nM\t/p/README\nM\t/p/image\nR\t/p/src\t/p/source\nM\t/p/src/main.rs\t/p/source/main.rs\n"
    );
    let stat = cli.ok(["diff", &format!("/p@{{{before}}}"), "--stat"]);
    assert!(stat.contains("/p/README | +1 -1\n"), "{stat}");
    assert!(stat.contains("/p/image | binary, 3 -> 3 bytes\n"), "{stat}");
    assert!(
        stat.ends_with("4 files changed, 4 insertions, 2 deletions\n"),
        "{stat}"
    );
    let patch = cli.ok(["diff", "/p", &before, "--patch"]);
    assert!(
        patch.contains("-two\n+three\n") && patch.contains("Binary files"),
        "{patch}"
    );
    let words = cli.ok(["diff", "/p/source/main.rs", "v1", "--word"]);
    assert!(words.contains("let [-total-]{+sum+} = 1;"), "{words}");
    assert!(
        !patch.contains('\x1b') && !words.contains('\x1b'),
        "colours are for terminals"
    );
    exit_codes(&cli);
}

/// With `--exit-code` a difference is told by the exit status.
fn exit_codes(cli: &Cli) {
    let code = |arguments: &[&str]| cli.run(arguments).status.code();
    assert_eq!(code(&["diff", "/p/README", "--exit-code"]), Some(1));
    assert_eq!(code(&["diff", "/p/README"]), Some(0));
    assert_eq!(code(&["diff", "/p", "latest", "--exit-code"]), Some(0));
    assert_eq!(code(&["diff", "/p"]), Some(2), "since when is to be said");
    assert_eq!(
        code(&["diff", "/p", "v1"]),
        Some(2),
        "a directory has no versions"
    );
    assert_eq!(code(&["diff", "/nowhere", "1"]), Some(3));
}

#[test]
fn files_compare_in_short_and_across_paths() {
    let home = Home::new();
    let node = home.start();
    work(&home, &node);
    let answer = node
        .http()
        .get("/api/v2/diff?path=/p/image&from=v1&mode=summary");
    let answer = answer.ok().json();
    assert_eq!(
        answer["binary"],
        json!({"common_prefix": 1, "common_suffix": 1})
    );
    assert_eq!(
        (&answer["diff"], &answer["differs"]),
        (&json!(""), &json!(true))
    );
    let same = node
        .http()
        .get("/api/v2/diff?path=/p/README&from=latest&to_path=/p/COPY");
    assert_eq!(same.ok().json()["differs"], false);
    let runtime = Runtime::new().expect("as it was asked");
    let diff = runtime.block_on(async {
        let client = node.client_with(node.key()).await;
        let (old, new) = (
            VersionAt::Version(1),
            VersionAt::At(nexus_client::At::latest()),
        );
        let (old, new) = (("/p/README", old), ("/p/COPY", new));
        client
            .diff_files(old, new, DiffMode::Unified)
            .await
            .expect("as it was asked")
    });
    assert_eq!((diff.added, diff.removed), (1, 1));
    for wrong in [
        "diff?path=/p/README&from=v1&mode=upside-down",
        "diff/tree?path=/p&from=99999999",
        "diff/tree?path=/p&from=1&cursor=x",
        "lineage?path=/p/README&direction=sideways",
        "lineage?path=/p/README&cursor=9",
    ] {
        let answer = node.http().get(&format!("/api/v2/{wrong}"));
        assert_eq!(answer.status, 400, "{wrong}: {}", answer.text());
    }
}

#[test]
fn every_door_tells_where_a_file_comes_from() {
    let home = Home::new();
    let node = home.start();
    work(&home, &node);
    let url = format!("file://{}", home.folder().join("project/README").display());
    let kinds = |entries: &Value| -> Vec<String> {
        let entries = entries.as_array().expect("as it was asked").iter();
        entries
            .map(|entry| entry["kind"].as_str().expect("as it was asked").to_owned())
            .collect()
    };
    let rest = node.http().get("/api/v2/lineage?path=/p/COPY").ok().json();
    assert_eq!(kinds(&rest["entries"]), ["copy", "edit", "import"]);
    assert_eq!(rest["entries"][2]["external"], url.as_str());
    let cli = node.cli();
    let told: Value =
        serde_json::from_str(&cli.ok(["--json", "lineage", "/p/COPY"])).expect("as it was asked");
    assert_eq!(kinds(&told["entries"]), kinds(&rest["entries"]));
    let drawn = cli.ok(["lineage", "/p/COPY", "--ancestors"]);
    assert!(drawn.contains("└── copy  /p/README v2"), "{drawn}");
    let down = cli.ok(["lineage", "/p/README", "--descendants"]);
    assert!(down.contains("became\n└── copy  /p/COPY v1"), "{down}");
    let runtime = Runtime::new().expect("as it was asked");
    let page = runtime.block_on(async {
        let client = node.client_with(node.key()).await;
        client
            .lineage("/p/COPY", LineageQuery::default())
            .await
            .expect("as it was asked")
    });
    assert_eq!(page.entries.len(), 3);
    let versions = node
        .http()
        .rpc("list_versions", &json!({"path": "/p/README"}));
    let versions = &versions["result"];
    assert_eq!(versions[0]["source_type"], "edit");
    assert_eq!(versions[0]["parent_version_id"], 1);
    assert_eq!(versions[1]["source_type"], "import");
    assert_eq!(versions[1]["parent_version_id"], Value::Null);
}

/// A write says where its content comes from in a header.
#[test]
fn a_write_over_http_names_its_source() {
    let home = Home::new();
    let node = home.start();
    let write = |source: &str| {
        let request = node.http().request("PUT", "/api/v2/files/a");
        request.header("x-nexus-source", source).body("1").send()
    };
    write("https://example.org/a").ok();
    let told = node.http().get("/api/v2/lineage?path=/a").ok().json();
    assert_eq!(told["entries"][0]["external"], "https://example.org/a");
    assert_eq!(write(&"x".repeat(4_097)).status, 413);
}
