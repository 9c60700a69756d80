//! REST beside the content of files.

use http::StatusCode;
use serde_json::json;

use crate::support::Server;

#[tokio::test]
async fn a_tree_is_made_listed_moved_and_measured() {
    let server = Server::start().await;
    assert_eq!(
        server
            .post("/api/v2/mkdir", json!({ "path": "/d/e", "parents": true }))
            .await
            .status,
        StatusCode::OK
    );
    server.put("/d/e/a", "hello").await;
    server
        .post("/api/v2/copy", json!({ "from": "/d/e/a", "to": "/d/b" }))
        .await;
    server
        .post("/api/v2/rename", json!({ "from": "/d/e", "to": "/d/f" }))
        .await;
    server
        .post(
            "/api/v2/symlink",
            json!({ "target": "b", "path": "/d/link" }),
        )
        .await;
    server
        .post(
            "/api/v2/hard-link",
            json!({ "existing": "/d/b", "path": "/d/c" }),
        )
        .await;
    let list = server
        .get("/api/v2/list?path=/d&recursive=true")
        .await
        .json();
    let paths: Vec<_> = list["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["path"].as_str().unwrap())
        .collect();
    assert_eq!(paths, ["/d/b", "/d/c", "/d/f", "/d/f/a", "/d/link"]);
    let usage = server.get("/api/v2/usage?path=/d").await.json();
    assert_eq!(
        usage,
        json!({ "files": 3, "directories": 2, "symlinks": 1, "bytes": 15 })
    );
    let link = server
        .get("/api/v2/stat?path=/d/link&no_follow=true")
        .await
        .json();
    assert_eq!(
        (&link["kind"], &link["target"]),
        (&json!("symlink"), &json!("b"))
    );
}

#[tokio::test]
async fn listings_page_with_a_cursor() {
    let server = Server::start().await;
    for name in ["a", "b", "c"] {
        server.put(&format!("/{name}"), "").await;
    }
    let first = server
        .get("/api/v2/list?path=/&limit=2&details=true")
        .await
        .json();
    assert_eq!(first["entries"].as_array().unwrap().len(), 2);
    assert_eq!(first["entries"][0]["stat"]["kind"], "file");
    let next = first["next"].as_str().unwrap();
    let rest = server
        .get(&format!("/api/v2/list?path=/&limit=2&cursor={next}"))
        .await
        .json();
    assert_eq!(rest["entries"].as_array().unwrap().len(), 1);
    assert!(rest.get("next").is_none());
    assert_eq!(
        server.get("/api/v2/list?path=/&limit=10001").await.status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
}

#[tokio::test]
async fn a_batch_applies_as_a_whole_or_not_at_all() {
    let server = Server::start().await;
    let steps = json!([
        { "op": "mkdir", "path": "/d" },
        { "op": "write", "path": "/d/a", "content": "text" },
        { "op": "write", "path": "/d/b", "content": { "base64": "/w==" }, "if_none_match": "*" },
        { "op": "rename", "from": "/d/a", "to": "/d/c" },
    ]);
    let done = server
        .post("/api/v2/batch", json!({ "steps": steps }))
        .await;
    assert_eq!(done.status, StatusCode::OK, "{done:?}");
    assert_eq!(done.json()["changes"].as_array().unwrap().len(), 4);
    assert_eq!(server.get("/api/v2/files/d/b").await.body, &b"\xff"[..]);
    let steps = json!([
        { "op": "remove", "path": "/d/b" },
        { "op": "remove", "path": "/d/nothing" },
    ]);
    let failed = server
        .post("/api/v2/batch", json!({ "steps": steps }))
        .await;
    assert_eq!(failed.status, StatusCode::NOT_FOUND);
    assert_eq!(server.get("/api/v2/files/d/b").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_text_is_edited() {
    let server = Server::start().await;
    server.put("/a", "one\ntwo\n").await;
    let edits = json!([{ "old": "two", "new": "2" }]);
    let preview = json!({ "path": "/a", "edits": edits, "preview": true });
    let previewed = server.post("/api/v2/edit", preview).await.json();
    assert!(previewed["diff"].as_str().unwrap().contains("+2"));
    assert_eq!(server.get("/api/v2/files/a").await.body, "one\ntwo\n");
    let edited = server
        .post("/api/v2/edit", json!({ "path": "/a", "edits": edits }))
        .await
        .json();
    assert_eq!(
        (&edited["applied"], &edited["matches"][0]["strategy"]),
        (&json!(true), &json!("exact"))
    );
    assert_eq!(server.get("/api/v2/files/a").await.body, "one\n2\n");
}

#[tokio::test]
async fn searches_stream_a_line_for_each_find() {
    let server = Server::start().await;
    server
        .put("/src/a.rs?parents=true", "fn main() {}\n// TODO\n")
        .await;
    server.put("/src/b.txt", "todo\n").await;
    let found = server.get("/api/v2/glob?pattern=**/*.rs").await;
    assert_eq!(found.header("content-type"), "application/x-ndjson");
    assert_eq!(found.lines()[0]["path"], "/src/a.rs");
    let found = server
        .get("/api/v2/grep?pattern=todo&ignore_case=true&path=/src")
        .await
        .lines();
    assert_eq!(found.len(), 2);
    assert_eq!(
        (&found[0]["line"], &found[0]["matched"]),
        (&json!(2), &json!("TODO"))
    );
    let none = server.get("/api/v2/grep?pattern=nothing").await;
    assert_eq!((none.status, none.body.len()), (StatusCode::OK, 0));
    let bad = server.get("/api/v2/grep?pattern=(").await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn metadata_and_tags_are_set_and_found() {
    let server = Server::start().await;
    server.put("/a", "x").await;
    let set = json!({ "path": "/a", "set": { "k": "v", "raw": { "base64": "/w==" } } });
    assert_eq!(
        server.post("/api/v2/metadata", set).await.status,
        StatusCode::OK
    );
    let metadata = server.get("/api/v2/metadata?path=/a").await.json();
    assert_eq!(
        metadata["metadata"],
        json!({ "k": "v", "raw": { "base64": "/w==" } })
    );
    server
        .post("/api/v2/tags", json!({ "path": "/a", "add": ["t", "u"] }))
        .await;
    server
        .post("/api/v2/tags", json!({ "path": "/a", "remove": ["u"] }))
        .await;
    assert_eq!(
        server.get("/api/v2/tags?path=/a").await.json(),
        json!({ "tags": ["t"] })
    );
    for query in ["tag=t", "key=k", "key=k&value=v"] {
        let found = server.get(&format!("/api/v2/find?{query}")).await.json();
        assert_eq!(found["entries"][0]["path"], "/a", "{query}");
    }
    assert_eq!(
        server.get("/api/v2/find").await.status,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn history_is_listed_compared_and_rolled_back() {
    let server = Server::start().await;
    server.put("/a", "one\n").await;
    server.put("/a", "two\n").await;
    let versions = server.get("/api/v2/versions?path=/a").await.json();
    assert_eq!(
        (&versions[0]["version"], &versions[0]["current"]),
        (&json!(2), &json!(true))
    );
    let diff = server
        .get("/api/v2/diff?path=/a&from=v1&to=v2")
        .await
        .json();
    assert!(diff["diff"].as_str().unwrap().contains("-one\n+two"));
    let rolled = server
        .post("/api/v2/rollback", json!({ "path": "/a", "version": 1 }))
        .await
        .json();
    assert_eq!(rolled["stat"]["version"], 3);
    assert_eq!(server.get("/api/v2/files/a").await.body, "one\n");
    let log = server
        .get("/api/v2/log?path_prefix=/a&kind=file_write&newest_first=true")
        .await
        .json();
    assert_eq!(log["records"].as_array().unwrap().len(), 3);
    assert_eq!(log["records"][0]["actor"], "user:admin");
    assert_eq!(
        server.get("/api/v2/log?kind=nonsense").await.status,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn the_zone_is_cared_for() {
    let server = Server::start().await;
    server.put("/a", "x".repeat(100_000)).await;
    server.put("/b", "x".repeat(100_000)).await;
    let sets = server
        .get("/api/v2/duplicates?path=/&min_bytes=1")
        .await
        .json();
    assert_eq!(sets[0]["paths"], json!(["/a", "/b"]));
    let steps = server.post("/api/v2/verify", json!({})).await.lines();
    let last = steps.last().unwrap();
    assert_eq!((&last["done"], last.get("problem")), (&json!(true), None));
    let report = server
        .post("/api/v2/gc?dry_run=true", json!({}))
        .await
        .json();
    assert_eq!(report["dry_run"], true);
    assert_eq!(
        server.post("/api/v2/sync", json!({})).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_refused_with_what_is_wrong() {
    let server = Server::start().await;
    for body in [
        "",
        "{",
        "[]",
        r#"["/a"]"#,
        r#"{"path":7}"#,
        r#"{"path":"/a","parent":true}"#,
        "{\"path\":\"\u{1}\"}",
    ] {
        let refused = server
            .send(server.request("POST", "/api/v2/mkdir"), body)
            .await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(refused.json()["error"]["kind"], "invalid_argument");
    }
    let refused = server
        .send(
            server.request("POST", "/api/v2/mkdir"),
            &b"{\"path\":\"/\xff\"}"[..],
        )
        .await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    for query in ["", "path=/a&at=2y", "path=/a&unknown=1"] {
        let refused = server.get(&format!("/api/v2/stat?{query}")).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{query}");
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let limits = nexus_server::Limits {
        message_bytes_max: 1_000,
        ..Default::default()
    };
    let server = Server::with_limits(limits).await;
    let content = "x".repeat(2_000);
    let steps = json!([{ "op": "write", "path": "/a", "content": content }]);
    let refused = server
        .post("/api/v2/batch", json!({ "steps": steps }))
        .await;
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(refused.json()["error"]["kind"], "limit_exceeded");
    assert_eq!(
        server.put("/a", content).await.status,
        StatusCode::OK,
        "a content streams"
    );
}

#[tokio::test]
async fn the_description_names_every_address() {
    let server = Server::start().await;
    let api = server.get("/api/v2/openapi.json").await.json();
    let paths = api["paths"].as_object().unwrap();
    for path in [
        "/api/v2/files/{path}",
        "/api/v2/stat",
        "/api/v2/batch",
        "/api/v2/keys/{key_id}",
    ] {
        assert!(paths.contains_key(path), "{path}");
    }
    assert!(paths["/api/v2/files/{path}"]["put"]["requestBody"].is_object());
    assert!(api["components"]["schemas"]["Stat"]["properties"]["etag"].is_object());
    assert_eq!(
        api["components"]["securitySchemes"]["key"]["scheme"],
        "bearer"
    );
}
