//! JSON-RPC: files.

use std::sync::Arc;

use async_trait::async_trait;
use http::StatusCode;
use nexus_kernel::{Error, Result};
use nexus_server::Limits;
use nexus_service_api::{Action, Authorizer, Context, Target};
use nexus_services::authorizer::KeyAuthorizer;
use serde_json::{Value, json};

use crate::json_rpc::bytes;
use crate::support::Server;

async fn write(server: &Server, path: &str, content: &str) -> Value {
    server
        .rpc_ok("write", json!({ "path": path, "content": content }))
        .await
}

#[tokio::test]
async fn a_write_answers_flat_and_under_bytes_written_and_makes_parents() {
    let server = Server::start().await;
    let content: Vec<u8> = (0..=255).collect();
    let written = server
        .rpc_ok(
            "write",
            json!({ "path": "/d/e/a", "content": bytes(&content) }),
        )
        .await;
    assert_eq!(
        (&written["size"], &written["version"]),
        (&json!(256), &json!(1))
    );
    assert_eq!(written["modified_at"]["__type__"], "datetime");
    assert_eq!(written["bytes_written"]["etag"], written["etag"]);
    assert_eq!(
        server.rpc_ok("read", json!({ "path": "/d/e/a" })).await,
        bytes(&content)
    );
    let read = json!({ "path": "/d/e/a", "return_metadata": true });
    let read = server.rpc_ok("read", read).await;
    assert_eq!(
        (&read["content"], &read["etag"]),
        (&bytes(&content), &written["etag"])
    );
    let encoded = json!({ "path": "/b", "content": "aGk=", "encoding": "base64" });
    server.rpc_ok("write", encoded).await;
    assert_eq!(
        server.rpc_ok("read", json!({ "path": "/b" })).await,
        bytes("hi")
    );
}

#[tokio::test]
async fn parts_of_a_file_are_read() {
    let server = Server::start().await;
    write(&server, "/a", "0123456789").await;
    for (method, params, expected) in [
        (
            "read",
            json!({ "path": "/a", "offset": 2, "count": 3 }),
            "234",
        ),
        ("read", json!({ "path": "/a", "offset": 8 }), "89"),
        ("read", json!({ "path": "/a", "count": 2 }), "01"),
        (
            "read_range",
            json!({ "path": "/a", "start": 3, "end": 5 }),
            "34",
        ),
        (
            "read_range",
            json!({ "path": "/a", "start": 8, "end": 99 }),
            "89",
        ),
        (
            "read_range",
            json!({ "path": "/a", "start": 10, "end": 20 }),
            "",
        ),
    ] {
        assert_eq!(
            server.rpc_ok(method, params.clone()).await,
            bytes(expected),
            "{method} {params}"
        );
    }
    let backwards = json!({ "path": "/a", "start": 5, "end": 3 });
    assert_eq!(
        server.rpc_error("read_range", backwards).await["code"],
        -32602
    );
}

#[tokio::test]
async fn a_read_has_an_etag_and_304_for_who_knows_it() {
    let server = Server::start().await;
    write(&server, "/a", "x").await;
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"read","params":{"path":"/a"}}"#;
    let read = server
        .send(server.request("POST", "/api/nfs/read"), call)
        .await;
    let etag = read.header("etag").to_owned();
    assert!(etag.starts_with('"'));
    let again = server
        .request("POST", "/api/nfs/read")
        .header("if-none-match", &etag);
    let again = server.send(again, call).await;
    assert_eq!(
        (again.status, again.header("etag")),
        (StatusCode::NOT_MODIFIED, etag.as_str())
    );
}

#[tokio::test]
async fn errors_have_the_codes_and_data_that_clients_know() {
    let server = Server::start().await;
    write(&server, "/a", "one").await;
    let create = json!({ "path": "/a", "content": "x", "if_none_match": true });
    for (method, params, code, path) in [
        ("read", json!({ "path": "/none" }), -32000, "/none"),
        ("delete", json!({ "path": "/none" }), -32000, "/none"),
        (
            "rename",
            json!({ "old_path": "/none", "new_path": "/b" }),
            -32000,
            "/none",
        ),
        ("write", create, -32001, "/a"),
        ("mkdir", json!({ "path": "/a" }), -32001, "/a"),
        ("read", json!({ "path": "/x/../y" }), -32002, "/x/../y"),
        ("read", json!({ "path": "relative" }), -32002, "relative"),
        ("stat", json!({ "path": "" }), -32002, ""),
    ] {
        let error = server.rpc_error(method, params).await;
        assert_eq!(
            (&error["code"], &error["data"]["path"]),
            (&json!(code), &json!(path)),
            "{method}: {error}"
        );
    }
}

#[tokio::test]
async fn a_stale_etag_is_a_conflict_with_both_etags() {
    let server = Server::start().await;
    let old = write(&server, "/a", "one").await["etag"].clone();
    let new = write(&server, "/a", "two").await["etag"].clone();
    for (method, expected) in [
        ("write", &old),
        ("append", &old),
        ("write", &json!("made-up")),
    ] {
        let params = json!({ "path": "/a", "content": "x", "if_match": expected });
        let error = server.rpc_error(method, params).await;
        assert_eq!(error["code"], -32006);
        assert_eq!(
            error["data"],
            json!({ "path": "/a", "expected_etag": expected, "current_etag": new })
        );
    }
    let forced = json!({ "path": "/a", "content": "x", "if_match": old, "force": true });
    assert_eq!(server.rpc_ok("write", forced).await["version"], 3);
    let missing = json!({ "path": "/none", "content": "x", "if_match": old });
    let error = server.rpc_error("write", missing).await;
    assert!(
        error["data"]["current_etag"]
            .as_str()
            .is_some_and(str::is_empty),
        "{error}"
    );
}

#[tokio::test]
async fn content_is_appended_and_written_in_chunks() {
    let server = Server::start().await;
    let chunks = json!({ "path": "/a", "chunks": bytes("ab") });
    assert_eq!(server.rpc_ok("write_stream", chunks).await["size"], 2);
    let appended = server
        .rpc_ok("append", json!({ "path": "/a", "content": "cd" }))
        .await;
    assert_eq!(
        (&appended["size"], appended.get("bytes_written")),
        (&json!(4), None)
    );
    assert_eq!(
        server.rpc_ok("read", json!({ "path": "/a" })).await,
        bytes("abcd")
    );
}

#[tokio::test]
async fn a_file_is_edited_in_either_form() {
    let server = Server::start().await;
    write(&server, "/a", "one\ntwo\ntwo\n").await;
    let edits = json!([["one", "1"], { "old_str": "two", "new_str": "2", "allow_multiple": true }]);
    let edited = server
        .rpc_ok("edit", json!({ "path": "/a", "edits": edits }))
        .await;
    assert_eq!(
        (&edited["success"], &edited["applied_count"]),
        (&json!(true), &json!(2))
    );
    assert_eq!(edited["matches"][0]["match_type"], "exact");
    assert_eq!(
        server.rpc_ok("read", json!({ "path": "/a" })).await,
        bytes("1\n2\n2\n")
    );
    let nothing = json!({ "path": "/a", "edits": [["absent text", "x"]] });
    let nothing = server.rpc_ok("edit", nothing).await;
    assert_eq!(
        (&nothing["success"], &nothing["version"]),
        (&json!(false), &edited["version"])
    );
}

#[tokio::test]
async fn many_files_are_written_at_once_or_not_at_all() {
    let server = Server::start().await;
    let files = json!([["/d/a", bytes("1")], ["/d/b", "22"]]);
    let written = server
        .rpc_ok("write_batch", json!({ "files": files }))
        .await;
    assert_eq!(
        (&written[0]["size"], &written[1]["size"]),
        (&json!(1), &json!(2))
    );
    let bad = json!([["/d/c", "3"], ["/d//x", "4"]]);
    assert_eq!(
        server
            .rpc_error("write_batch", json!({ "files": bad }))
            .await["code"],
        -32002
    );
    assert_eq!(
        server.rpc_ok("exists", json!({ "path": "/d/c" })).await["exists"],
        false
    );
    let paths = json!({ "paths": ["/d/a", "/none"] });
    let read = server.rpc_ok("read_bulk", paths.clone()).await;
    assert_eq!(read, json!({ "/d/a": bytes("1"), "/none": null }));
    let strict = json!({ "paths": ["/d/a", "/none"], "skip_errors": false });
    assert_eq!(server.rpc_error("read_bulk", strict).await["code"], -32000);
    let ids = server.rpc_ok("batch_get_content_ids", paths).await;
    assert_eq!(
        (&ids["/d/a"], &ids["/none"]),
        (&written[0]["etag"], &json!(null))
    );
    let renames = json!({ "renames": [["/d/a", "/d/z"], ["/none", "/d/y"]] });
    let renamed = server.rpc_ok("rename_bulk", renames).await;
    assert_eq!(
        renamed["/d/a"],
        json!({ "success": true, "new_path": "/d/z" })
    );
    assert_eq!(renamed["/none"]["success"], false);
    let deleted = server
        .rpc_ok("delete_bulk", json!({ "paths": ["/d/z", "/none"] }))
        .await;
    assert_eq!(
        (&deleted["/d/z"]["success"], &deleted["/none"]["success"]),
        (&json!(true), &json!(false))
    );
    assert!(deleted["/none"]["error"].is_string());
}

#[tokio::test]
async fn the_tree_is_made_moved_and_removed() {
    let server = Server::start().await;
    assert_eq!(
        server
            .rpc_ok("mkdir", json!({ "path": "/d/e", "parents": true }))
            .await,
        json!({ "created": true })
    );
    write(&server, "/d/a", "x").await;
    let moved = json!({ "old_path": "/d/a", "new_path": "/new/b" });
    assert_eq!(
        server.rpc_ok("rename", moved).await,
        json!({ "renamed": true })
    );
    let copied = json!({ "src_path": "/new/b", "dst_path": "/new/c" });
    assert_eq!(
        server.rpc_ok("copy", copied).await,
        json!({ "copied": true })
    );
    let onto = json!({ "old_path": "/new/b", "new_path": "/new/c" });
    assert_eq!(server.rpc_error("rename", onto).await["code"], -32001);
    assert_eq!(
        server.rpc_ok("delete", json!({ "path": "/new/b" })).await,
        json!({ "deleted": true })
    );
    let directory = server
        .rpc_ok("is_directory", json!({ "path": "/new" }))
        .await;
    assert_eq!(directory, json!({ "is_directory": true }));
    assert_eq!(
        server.rpc_error("rmdir", json!({ "path": "/new" })).await["code"],
        -32005
    );
    let removed = json!({ "path": "/new", "recursive": true });
    assert_eq!(
        server.rpc_ok("rmdir", removed).await,
        json!({ "removed": true })
    );
    assert_eq!(
        server
            .rpc_ok("is_directory", json!({ "path": "/new" }))
            .await["is_directory"],
        false
    );
    assert_eq!(
        server.rpc_ok("get_available_namespaces", json!({})).await,
        json!({ "namespaces": ["d"] })
    );
}

#[tokio::test]
async fn attributes_are_told_in_three_ways() {
    let server = Server::start().await;
    let written = write(&server, "/a.py", "x = 1\n").await;
    let path = json!({ "path": "/a.py" });
    let stat = server.rpc_ok("stat", path.clone()).await;
    assert_eq!(
        (&stat["size"], &stat["etag"], &stat["is_directory"]),
        (&json!(6), &written["etag"], &json!(false))
    );
    assert!(stat["modified_at"].as_str().unwrap().ends_with("+00:00"));
    assert_eq!(
        server.rpc_ok("get_etag", path.clone()).await["etag"],
        written["etag"]
    );
    let metadata = &server.rpc_ok("get_metadata", path).await["metadata"];
    assert_eq!(
        (&metadata["path"], &metadata["mode"]),
        (&json!("/a.py"), &json!(0o644))
    );
    assert_eq!(metadata["created_at"]["__type__"], "datetime");
    let none = json!({ "path": "/none" });
    assert_eq!(
        server.rpc_ok("get_metadata", none.clone()).await,
        json!({ "metadata": null })
    );
    assert_eq!(
        server.rpc_ok("get_etag", none).await,
        json!({ "etag": null })
    );
}

#[tokio::test]
async fn listings_are_recursive_unless_told_otherwise() {
    let server = Server::start().await;
    write(&server, "/d/a", "1").await;
    write(&server, "/d/sub/b", "22").await;
    let all = server.rpc_ok("list", json!({})).await;
    assert_eq!(all["files"], json!(["/d/a", "/d/sub/b"]));
    assert_eq!(
        (&all["has_more"], &all["total_count"]),
        (&json!(false), &json!(2))
    );
    let flat = json!({ "path": "/d", "recursive": false, "details": true, "prefix": null });
    let files = &server.rpc_ok("list", flat).await["files"];
    assert_eq!(
        (&files[0]["path"], &files[0]["size"]),
        (&json!("/d/a"), &json!(1))
    );
    assert_eq!(
        (&files[1]["path"], &files[1]["is_directory"]),
        (&json!("/d/sub"), &json!(true))
    );
    assert!(files[0]["modified_at"].is_string());
    let prefixed = server.rpc_ok("list", json!({ "prefix": "/d/s" })).await;
    assert_eq!(prefixed["files"], json!(["/d/sub/b"]));
    assert_eq!(
        server.rpc_ok("list", json!({ "path": "/none" })).await["files"],
        json!([])
    );
}

#[tokio::test]
async fn a_listing_pages_and_without_a_limit_is_whole_or_an_error() {
    let server = Server::with_limits(Limits {
        unpaged_entries_max: 3,
        ..Limits::default()
    })
    .await;
    for name in ["a", "b", "c"] {
        write(&server, &format!("/{name}"), "").await;
    }
    let page = server.rpc_ok("list", json!({ "limit": 2 })).await;
    assert_eq!(
        (&page["files"], &page["has_more"]),
        (&json!(["/a", "/b"]), &json!(true))
    );
    let rest = json!({ "limit": 2, "cursor": page["next_cursor"] });
    assert_eq!(server.rpc_ok("list", rest).await["files"], json!(["/c"]));
    assert_eq!(server.rpc_ok("list", json!({})).await["total_count"], 3);
    write(&server, "/d", "").await;
    for (method, params) in [("list", json!({})), ("glob", json!({ "pattern": "*" }))] {
        assert_eq!(
            server.rpc_error(method, params).await["code"],
            -32005,
            "{method}"
        );
    }
}

#[tokio::test]
async fn files_are_found_by_name_newest_first_and_by_content() {
    let server = Server::start().await;
    write(&server, "/src/old.rs", "fn old() {}\n").await;
    write(&server, "/src/deep/new.rs", "// nothing\nFN new() {}\n").await;
    write(&server, "/readme.md", "fn\n").await;
    let found = server.rpc_ok("glob", json!({ "pattern": "**/*.rs" })).await;
    assert_eq!(found["matches"], json!(["/src/deep/new.rs", "/src/old.rs"]));
    let grep =
        json!({ "pattern": "fn", "path": "/src", "ignore_case": true, "file_pattern": "*.rs" });
    let results = &server.rpc_ok("grep", grep).await["results"];
    let expected =
        json!({ "file": "/src/deep/new.rs", "line": 2, "content": "FN new() {}", "match": "FN" });
    assert_eq!(results[0], expected);
    let one = json!({ "pattern": "f", "max_results": 1, "search_mode": "auto" });
    assert_eq!(
        server.rpc_ok("grep", one).await["results"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        server.rpc_error("grep", json!({ "pattern": "(" })).await["code"],
        -32005
    );
}

#[tokio::test]
async fn a_grep_that_finds_too_much_is_an_error() {
    let limits = Limits {
        unpaged_bytes_max: 100,
        ..Limits::default()
    };
    let server = Server::with_limits(limits).await;
    server.put("/a", format!("x{}\n", "y".repeat(40))).await;
    let pattern = json!({ "pattern": "x" });
    let found = server.rpc_ok("grep", pattern.clone()).await;
    assert_eq!(found["results"].as_array().unwrap().len(), 1);
    server.put("/b", format!("x{}\n", "y".repeat(90))).await;
    assert_eq!(server.rpc_error("grep", pattern).await["code"], -32005);
}

/// Keeps its mind to itself about one path.
struct Undecided(KeyAuthorizer);

#[async_trait]
impl Authorizer for Undecided {
    async fn authorize(&self, who: &Context, action: Action, target: Target<'_>) -> Result<()> {
        match target.path {
            "/unknown" => Err(Error::unavailable("nobody knows yet; try again")),
            "/closed" => Err(Error::denied("not for you; ask somebody")),
            _ => self.0.authorize(who, action, target).await,
        }
    }

    async fn visible(&self, who: &Context, targets: &[Target<'_>]) -> Result<Vec<bool>> {
        self.0.visible(who, targets).await
    }

    async fn sees_all_below(&self, who: &Context, target: Target<'_>) -> bool {
        self.0.sees_all_below(who, target).await
    }
}

#[tokio::test]
async fn a_bulk_read_skips_what_is_not_there_and_not_what_fails() {
    let authorizer = Arc::new(Undecided(KeyAuthorizer::new("root")));
    let server = Server::guarded_by(authorizer, Limits::default()).await;
    server.put("/a", "1").await;
    let skipped = json!({ "paths": ["/a", "/none", "/", "/closed"] });
    let read = server.rpc_ok("read_bulk", skipped).await;
    assert_eq!(
        read,
        json!({ "/a": bytes("1"), "/none": null, "/": null, "/closed": null })
    );
    let failing = json!({ "paths": ["/a", "/unknown"] });
    assert_eq!(server.rpc_error("read_bulk", failing).await["code"], -32603);
}
