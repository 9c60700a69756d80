//! A point of the past, through every door and in every call that reads.

use http::StatusCode;
use serde_json::{Value, json};

use crate::json_rpc::bytes;
use crate::support::Server;

/// A file that was `old` and is `new`, another that is only there since; and the points that
/// name the state in between.
async fn changed() -> (Server, Vec<String>) {
    let server = Server::start().await;
    server.put("/a", "old").await;
    let revision = server.get("/api/v2/revision").await.json()["revision"]
        .as_u64()
        .unwrap();
    server.put("/a", "new").await;
    server.put("/b", "new").await;
    let points = vec![
        format!("{revision}"),
        format!("r{revision}"),
        format!("op:{revision}"),
        format!("r{}^", revision + 1),
    ];
    (server, points)
}

#[tokio::test]
async fn json_rpc_reads_the_past_with_every_method_that_reads() {
    let (server, points) = changed().await;
    for at in points {
        let calls = [
            ("read", json!({ "path": "/a" }), bytes("old")),
            (
                "read_range",
                json!({ "path": "/a", "start": 1, "end": 3 }),
                bytes("ld"),
            ),
            (
                "read_bulk",
                json!({ "paths": ["/a", "/b"] }),
                json!({ "/a": bytes("old"), "/b": null }),
            ),
            (
                "exists",
                json!({ "path": "/b" }),
                json!({ "exists": false }),
            ),
            (
                "is_directory",
                json!({ "path": "/b" }),
                json!({ "is_directory": false }),
            ),
            ("get_etag", json!({ "path": "/b" }), json!({ "etag": null })),
            (
                "get_metadata",
                json!({ "path": "/b" }),
                json!({ "metadata": null }),
            ),
            (
                "batch_get_content_ids",
                json!({ "paths": ["/b"] }),
                json!({ "/b": null }),
            ),
            (
                "glob",
                json!({ "pattern": "/*" }),
                json!({ "matches": ["/a"] }),
            ),
            (
                "grep",
                json!({ "pattern": "new" }),
                json!({ "results": [] }),
            ),
        ];
        for (method, mut params, expected) in calls {
            params["at"] = json!(at);
            let answer = server.rpc(method, params).await;
            assert_eq!(answer["result"], expected, "{method} at {at}: {answer}");
        }
        let listed = server.rpc("list", json!({ "path": "/", "at": at })).await;
        assert_eq!(listed["result"]["files"], json!(["/a"]), "{at}");
        let stat = server.rpc("stat", json!({ "path": "/a", "at": at })).await;
        assert_eq!(stat["result"]["version"], 1, "{at}");
    }
}

#[tokio::test]
async fn rest_reads_the_past_by_every_name_of_it() {
    let (server, points) = changed().await;
    for at in points {
        let file = server.get(&format!("/api/v2/files/a?at={at}")).await;
        assert_eq!(file.body, "old", "{at}");
        let list = server
            .get(&format!("/api/v2/list?path=/&at={at}"))
            .await
            .json();
        assert_eq!(list["entries"].as_array().map(Vec::len), Some(1), "{at}");
        let gone = server.get(&format!("/api/v2/stat?path=/b&at={at}")).await;
        assert_eq!(gone.status, StatusCode::NOT_FOUND, "{at}");
    }
}

/// A point that there is none of is an error, never an empty answer.
#[tokio::test]
async fn a_point_that_is_none_is_no_empty_past() {
    let (server, _) = changed().await;
    for (at, code) in [
        ("none-of-this-name", -32000),
        ("r99999", -32005),
        ("2y", -32602),
    ] {
        for method in [
            "exists",
            "is_directory",
            "list",
            "get_etag",
            "get_metadata",
            "read",
            "glob",
            "grep",
        ] {
            let params = json!({ "path": "/a", "pattern": "a*", "at": at });
            let answer = server.rpc(method, params).await;
            assert_eq!(answer["result"], Value::Null, "{method} at {at}");
            assert_eq!(answer["error"]["code"], code, "{method} at {at}: {answer}");
        }
    }
}
