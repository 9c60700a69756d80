//! Health, metrics, and what is around every request.

use http::StatusCode;
use nexus_proto::v1::RevisionRequest;
use nexus_proto::v1::files_client::FilesClient;
use serde_json::json;
use tonic::Code;

use crate::support::{Bearer, PANIC, Server};

#[tokio::test]
async fn health_and_readiness_need_no_key() {
    let server = Server::start().await;
    let mut health = server.request("GET", "/health");
    health.headers_mut().unwrap().remove("authorization");
    let health = server.send(health, "").await;
    assert_eq!(health.status, StatusCode::OK);
    let health = health.json();
    assert_eq!(
        (&health["status"], &health["has_auth"]),
        (&json!("healthy"), &json!(true))
    );
    assert!(health["service"].is_string() && health["enforce_permissions"].is_boolean());
    assert_eq!(server.get("/ready").await.json()["status"], "ready");
}

#[tokio::test]
async fn metrics_count_requests_by_door_operation_and_outcome() {
    let server = Server::start().await;
    server.put("/a", "x").await;
    server.get("/api/v2/files/b").await;
    server.rpc("read", json!({ "path": "/b" })).await;
    server.rpc("no_such_thing", json!({})).await;
    let metrics = server.get("/metrics").await;
    let text = std::str::from_utf8(&metrics.body).unwrap();
    for line in [
        r#"nexus_requests_total{door="rest",operation="PUT /api/v2/files/{*path}",outcome="ok"} 1"#,
        r#"nexus_requests_total{door="rest",operation="GET /api/v2/files/{*path}",outcome="not_found"} 1"#,
        r#"nexus_requests_total{door="jsonrpc",operation="read",outcome="not_found"} 1"#,
        r#"nexus_requests_total{door="jsonrpc",operation="unknown",outcome="unsupported"} 1"#,
        "nexus_test_bytes 42.0",
        "nexus_commits_total ",
        "nexus_request_latency_seconds_bucket",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

#[tokio::test]
async fn every_answer_has_a_request_id() {
    let server = Server::start().await;
    let fresh = server.get("/health").await;
    assert_eq!(fresh.header("x-request-id").len(), 32);
    let given = server
        .request("GET", "/nothing/here")
        .header("x-request-id", "mine");
    let given = server.send(given, "").await;
    assert_eq!(
        (given.status, given.header("x-request-id")),
        (StatusCode::NOT_FOUND, "mine")
    );
    let long = server
        .request("GET", "/health")
        .header("x-request-id", "x".repeat(129));
    assert_eq!(server.send(long, "").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_handler_that_panics_answers_as_its_door_does_and_the_next_request_is_served() {
    let server = Server::start().await;
    for (method, path, status) in [
        ("GET", "/api/v2/whoami", StatusCode::INTERNAL_SERVER_ERROR),
        ("POST", "/api/nfs/read", StatusCode::OK),
    ] {
        let mut request = server.request(method, path);
        let bearer = format!("Bearer {PANIC}").parse().unwrap();
        request
            .headers_mut()
            .unwrap()
            .insert("authorization", bearer);
        let failed = server.send(request, "").await;
        assert_eq!(failed.status, status);
        assert_eq!(failed.header("x-nexus-error"), "internal");
        let answer = failed.json();
        let (rest, rpc) = (&answer["error"]["kind"], &answer["error"]["code"]);
        assert!(*rest == "internal" || *rpc == -32603, "{answer}");
    }
    let channel = server.channel().await;
    let mut files = FilesClient::with_interceptor(channel, Bearer(PANIC.into()));
    let failed = files.revision(RevisionRequest {}).await.unwrap_err();
    assert_eq!(failed.code(), Code::Internal);
    assert_eq!(server.get("/api/v2/whoami").await.status, StatusCode::OK);
}

#[tokio::test]
async fn addresses_and_methods_that_do_not_exist_say_so() {
    let server = Server::start().await;
    let unknown = server.get("/api/v2/nothing").await;
    assert_eq!(
        (unknown.status, &unknown.json()["error"]["kind"]),
        (StatusCode::NOT_FOUND, &json!("not_found"))
    );
    let wrong = server
        .send(server.request("DELETE", "/api/v2/stat"), "")
        .await;
    assert_eq!(wrong.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn large_json_answers_are_compressed_for_those_who_ask_and_contents_are_not() {
    let server = Server::start().await;
    for i in 0..100 {
        server
            .put(
                &format!("/file-with-a-long-name-{i}?durability=relaxed"),
                "x",
            )
            .await;
    }
    server
        .put("/a.json", format!("\"{}\"", "x".repeat(10_000)))
        .await;
    let ask = |path: &str| {
        server
            .request("GET", path)
            .header("accept-encoding", "gzip")
    };
    let listed = server.send(ask("/api/v2/list?path=/"), "").await;
    assert_eq!(listed.header("content-encoding"), "gzip");
    assert_eq!(listed.body[..2], [0x1f, 0x8b]);
    assert_eq!(
        server
            .get("/api/v2/list?path=/")
            .await
            .header("content-encoding"),
        ""
    );
    let content = server.send(ask("/api/v2/files/a.json"), "").await;
    assert_eq!(
        (content.header("content-encoding"), content.body.len()),
        ("", 10_002)
    );
}
