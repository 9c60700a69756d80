//! Acting for somebody else.

use futures::stream;
use http::HeaderValue;
use nexus_proto::v1::write_request::Part;
use nexus_proto::v1::{LogRequest, WriteHeader, WriteRequest};
use nexus_service_api::{PrincipalKind, Rights};
use serde_json::{Value, json};
use tonic::{Code, Request};

use crate::support::{Answer, Server};

const HEADER: &str = "x-nexus-on-behalf-of";

/// Asks with another key, or for somebody else.
fn with(
    mut request: http::request::Builder,
    name: &'static str,
    value: &[u8],
) -> http::request::Builder {
    let headers = request.headers_mut().unwrap();
    headers.insert(name, HeaderValue::from_bytes(value).unwrap());
    request
}

/// Writes a file by JSON-RPC.
async fn rpc_write(server: &Server, request: http::request::Builder) -> Answer {
    let params = json!({ "path": "/a", "content": "x" });
    let body = json!({ "jsonrpc": "2.0", "id": 7, "method": "write", "params": params });
    server.send(request, body.to_string()).await
}

/// Writes a file by gRPC.
async fn grpc_write(server: &Server, name: &str) {
    let header = WriteHeader {
        path: "/a".into(),
        options: None,
    };
    let part = WriteRequest {
        part: Some(Part::Header(header)),
    };
    let mut request = Request::new(stream::iter([part]));
    let metadata = request.metadata_mut();
    metadata.insert(HEADER, name.parse().unwrap());
    server.files().await.write(request).await.unwrap();
}

async fn newest(server: &Server) -> Value {
    let log = server
        .get("/api/v2/log?newest_first=true&limit=1")
        .await
        .json();
    log["records"][0].clone()
}

#[tokio::test]
async fn an_administrators_key_acts_for_others_on_record_through_every_door() {
    let server = Server::start().await;
    let for_whom = |name: &'static str, record: &Value| {
        assert_eq!(record["actor"], "user:admin");
        assert_eq!(record["on_behalf_of"], name);
    };
    let rest = server.request("PUT", "/api/v2/files/a");
    let written = server.send(with(rest, HEADER, b"agent:alice"), "x").await;
    assert!(written.status.is_success());
    for_whom("agent:alice", &newest(&server).await);

    let rpc = server.request("POST", "/api/nfs/write");
    let written = rpc_write(&server, with(rpc, HEADER, b"user:bob")).await;
    assert!(written.json().get("error").is_none());
    for_whom("user:bob", &newest(&server).await);

    grpc_write(&server, "agent:team:7").await;
    for_whom("agent:team:7", &newest(&server).await);

    assert!(server.put("/a", "x").await.status.is_success());
    assert!(newest(&server).await.get("on_behalf_of").is_none());
}

#[tokio::test]
async fn another_key_acts_for_nobody_not_even_for_its_own_principal() {
    let server = Server::start().await;
    for (kind, id, rights) in [
        (PrincipalKind::User, "bob", Rights::ReadOnly),
        (PrincipalKind::Agent, "alice", Rights::ReadWrite),
    ] {
        let bearer = format!("Bearer {}", server.key(kind, id, rights).await);
        let named = |request, name: &str| {
            let request = with(request, "authorization", bearer.as_bytes());
            with(request, HEADER, name.as_bytes())
        };
        for name in ["user:admin", "agent:alice", "user:bob", "nobody", ""] {
            let rest = server.request("GET", "/api/v2/list?path=/");
            let rpc = server.request("POST", "/api/nfs/write");
            for answer in [
                server.send(named(rest, name), "").await,
                rpc_write(&server, named(rpc, name)).await,
            ] {
                assert_eq!(answer.status, 403, "{id} {name}");
                let why = String::from_utf8_lossy(&answer.body);
                assert!(why.contains("only an administrator's key"), "{why}");
            }
        }
        let mut request = Request::new(LogRequest::default());
        let metadata = request.metadata_mut();
        metadata.insert(HEADER, "user:admin".parse().unwrap());
        let secret = bearer.replace("Bearer ", "");
        let refused = server.files_with(secret).await.log(request).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
        assert!(refused.message().contains("only an administrator's key"));
    }
    let log = server.get("/api/v2/log").await.json();
    assert_eq!(log["records"], json!([]));
}

#[tokio::test]
async fn who_is_named_wrongly_is_not_acted_for() {
    let server = Server::start().await;
    let long = format!("user:{}", "x".repeat(124));
    let ask = || server.request("PUT", "/api/v2/files/a");
    for name in [
        b"".as_slice(),
        b"alice",
        b"agent:",
        b"group:staff",
        b"system:system",
        b"user:ada lovelace",
        b"user:a\tb",
        "user:zo\u{eb}".as_bytes(),
        b"user:a\xff",
        long.as_bytes(),
    ] {
        let refused = server.send(with(ask(), HEADER, name), "x").await;
        let shown = String::from_utf8_lossy(name);
        assert_eq!(refused.status, 400, "{shown}");
        let why = String::from_utf8_lossy(&refused.body);
        assert!(why.contains("user:ID or agent:ID"), "{why}");
    }
    let twice = with(ask(), HEADER, b"user:ada").header(HEADER, "user:bob");
    assert_eq!(server.send(twice, "x").await.status, 400);
    assert_eq!(server.get("/api/v2/files/a").await.status, 404);
}
