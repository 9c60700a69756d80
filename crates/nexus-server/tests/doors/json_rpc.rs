//! JSON-RPC: the protocol itself, versions and keys.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::{Value, json};

use crate::support::Server;

pub(crate) fn bytes(data: impl AsRef<[u8]>) -> Value {
    json!({ "__type__": "bytes", "data": STANDARD.encode(data) })
}

#[tokio::test]
async fn the_table_that_dispatches_is_the_one_that_is_listed() {
    let server = Server::start().await;
    let status = server.get("/api/nfs/status").await.json();
    let methods = status["methods"].as_array().unwrap();
    for name in ["read", "write", "list", "list_versions", "admin_create_key"] {
        assert!(methods.contains(&json!(name)), "{name}");
    }
    for method in methods {
        let method = method.as_str().unwrap();
        let error = server.rpc(method, json!({ "path": 7, "paths": 7 })).await;
        assert_ne!(error["error"]["code"], -32601, "{method}");
    }
    let error = server
        .rpc_error("workspace_snapshots", json!({ "agent_id": null }))
        .await;
    assert_eq!(error["code"], -32601);
}

#[tokio::test]
async fn calls_that_are_not_well_formed_get_json_rpcs_codes_and_http_200() {
    let server = Server::start().await;
    for (body, code, id) in [
        (r#"{"jsonrpc":"2.0","#, -32700, json!(null)),
        ("", -32700, json!(null)),
        ("[]", -32600, json!(null)),
        (
            r#"{"jsonrpc":"1.0","id":"a","method":"read"}"#,
            -32600,
            json!("a"),
        ),
        (
            r#"{"jsonrpc":"2.0","id":"a","method":"write"}"#,
            -32600,
            json!("a"),
        ),
        (
            r#"{"jsonrpc":"2.0","id":5,"method":"read","params":[]}"#,
            -32602,
            json!(5),
        ),
        (
            r#"{"jsonrpc":"2.0","id":5,"method":"read"}"#,
            -32602,
            json!(5),
        ),
        (
            r#"{"jsonrpc":"2.0","id":5,"method":"read","params":{"path":9}}"#,
            -32602,
            json!(5),
        ),
    ] {
        let answer = server
            .send(server.request("POST", "/api/nfs/read"), body)
            .await;
        assert_eq!(answer.status, StatusCode::OK, "{body}");
        let envelope = answer.json();
        assert_eq!(
            (&envelope["error"]["code"], &envelope["id"]),
            (&json!(code), &id),
            "{body}"
        );
    }
}

#[tokio::test]
async fn parameters_that_are_null_or_unknown_do_not_matter() {
    let server = Server::start().await;
    let params = json!({
        "path": "/a", "content": "x", "if_match": null, "if_none_match": null, "force": null,
        "metadata": null, "search_mode": "auto",
    });
    assert_eq!(server.rpc_ok("write", params).await["version"], 1);
}

#[tokio::test]
async fn versions_are_listed_read_compared_and_rolled_back() {
    let server = Server::start().await;
    for content in ["one\n", "three\n"] {
        server
            .rpc_ok("write", json!({ "path": "/a.txt", "content": content }))
            .await;
    }
    let versions = server
        .rpc_ok("list_versions", json!({ "path": "/a.txt" }))
        .await;
    let newest = &versions[0];
    assert_eq!(
        (&newest["version"], &newest["size"]),
        (&json!(2), &json!(6))
    );
    assert_eq!(
        (&newest["created_by"], &newest["mime_type"]),
        (&json!("user:admin"), &json!("text/plain"))
    );
    assert_eq!(newest["created_at"]["__type__"], "datetime");
    assert_eq!(
        (
            &newest["parent_version_id"],
            &versions[1]["parent_version_id"]
        ),
        (&json!(1), &json!(null))
    );
    let first = server
        .rpc_ok("get_version", json!({ "path": "/a.txt", "version": 1 }))
        .await;
    assert_eq!(first, bytes("one\n"));
    let both = |mode: Value| json!({ "path": "/a.txt", "v1": 1, "v2": 2, "mode": mode });
    let compared = server.rpc_ok("diff_versions", both(json!(null))).await;
    assert_eq!(
        (&compared["content_changed"], &compared["size_delta"]),
        (&json!(true), &json!(2))
    );
    assert_eq!(compared["content_hash_v2"], newest["content_hash"]);
    let diff = server.rpc_ok("diff_versions", both(json!("content"))).await;
    assert!(diff.as_str().unwrap().contains("-one\n+three"));
    assert_eq!(
        server.rpc_error("diff_versions", both(json!("x"))).await["code"],
        -32602
    );
    assert_eq!(
        server
            .rpc_ok("rollback", json!({ "path": "/a.txt", "version": 1 }))
            .await,
        Value::Null
    );
    assert_eq!(
        server.rpc_ok("read", json!({ "path": "/a.txt" })).await,
        bytes("one\n")
    );
    for (method, params) in [
        ("get_version", json!({ "path": "/a.txt", "version": 9 })),
        (
            "diff_versions",
            json!({ "path": "/a.txt", "v1": 1, "v2": 9 }),
        ),
        ("rollback", json!({ "path": "/a.txt", "version": 9 })),
    ] {
        assert_eq!(
            server.rpc_error(method, params).await["code"],
            -32000,
            "{method}"
        );
    }
}

#[tokio::test]
async fn whoami_names_a_zone_that_the_client_may_send_back() {
    let server = Server::start().await;
    let me = server.get("/api/auth/whoami").await.json();
    assert_eq!(
        (&me["authenticated"], &me["is_admin"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(
        (&me["subject_type"], &me["subject_id"]),
        (&json!("user"), &json!("admin"))
    );
    let zone = me["tenant_id"].as_str().unwrap();
    let call = r#"{"jsonrpc":"2.0","id":"x","method":"exists","params":{"path":"/"}}"#;
    let request = server
        .request("POST", "/api/nfs/exists")
        .header("x-tenant-id", zone);
    assert_eq!(
        server.send(request, call).await.json()["result"],
        json!({ "exists": true })
    );
}
