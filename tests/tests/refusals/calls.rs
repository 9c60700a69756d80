//! Calls that are not made well.

use nexus_client::{BatchStep, Durability, WriteOptions};
use nexus_tests::http::Http;
use serde_json::json;

use super::*;

/// Bytes that every door takes at most in one message.
const MESSAGE_BYTES_MAX: u64 = 64 << 20;

fn post(http: &Http, target: &str, body: &[u8]) -> Answer {
    let request = http
        .request("POST", target)
        .header("Content-Type", "application/json");
    request.body(body).send()
}

#[test]
fn rest_calls_that_are_malformed_are_refused() {
    let home = Home::new();
    let guarded = Guarded::new(&home);
    let http = guarded.node.http();
    for (target, body, words) in [
        ("/api/v2/mkdir", &b"{"[..], "JSON"),
        ("/api/v2/mkdir", b"", "JSON"),
        ("/api/v2/mkdir", b"[]", ""),
        ("/api/v2/mkdir", b"{\"path\": \"/\xff\"}", ""),
        ("/api/v2/mkdir", b"{\"path\": 7}", "string"),
        ("/api/v2/mkdir", b"{}", "path"),
        ("/api/v2/mkdir", b"{\"path\": \"/a\", \"pth\": 1}", "pth"),
        ("/api/v2/batch", b"{\"steps\": [{\"op\": \"explode\"}]}", "explode"),
        ("/api/v2/batch", b"{\"steps\": [{\"op\": \"mkdir\", \"path\": \"/a\"}, {\"op\": \"mkdir\", \"path\": \"a\"}]}", "begins with /"),
        ("/api/v2/keys", b"{\"name\": \"k\", \"id\": \"x\", \"rights\": \"root\"}", "root"),
    ] {
        let answer = post(&http, target, body);
        let context = format!("{target} {}: {}", String::from_utf8_lossy(body), answer.text());
        assert_eq!(answer.status, 400, "{context}");
        let error = &answer.json()["error"];
        assert_eq!(error["kind"], "invalid_argument", "{context}");
        let message = format!("{} {}", error["message"], error["context"]);
        assert!(message.contains(words), "no {words:?} in {context}");
    }
    for (target, status) in [
        ("/api/v2/stat", 400),
        ("/api/v2/stat?path=/&pth=/", 400),
        ("/api/v2/stat?path=%ff", 400),
        ("/api/v2/files/%ff", 400),
        ("/api/v2/nothing", 404),
        ("/nothing", 404),
    ] {
        let answer = http.get(target);
        assert_eq!(answer.status, status, "{target}: {}", answer.text());
        let message = answer.json()["error"]["message"].as_str().map(str::len);
        assert!(message > Some(10), "{target}: {}", answer.text());
    }
    guarded.assert_as_before();
}

#[test]
fn json_rpc_calls_that_are_malformed_are_refused() {
    let home = Home::new();
    let guarded = Guarded::new(&home);
    let http = guarded.node.http();
    for (body, code, words) in [
        (&b"{"[..], -32700, "JSON"),
        (b"", -32700, "JSON"),
        (b"{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"mkdir\", \"params\": {\"path\": \"/\xff\"}}", -32700, "UTF-8"),
        (b"[]", -32600, "one JSON object"),
        (b"7", -32600, "one JSON object"),
        (b"{\"id\": 1, \"method\": \"mkdir\", \"params\": {}}", -32600, "jsonrpc"),
        (b"{\"jsonrpc\": \"2.0\", \"id\": {}, \"method\": \"mkdir\"}", -32600, "id"),
        (b"{\"jsonrpc\": \"2.0\", \"id\": 1}", -32600, "method"),
        (b"{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"write\"}", -32600, "agree"),
        (b"{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"mkdir\", \"params\": [\"/a\"]}", -32602, "object"),
        (b"{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"mkdir\", \"params\": {}}", -32602, "path"),
        (b"{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"mkdir\", \"params\": {\"path\": 7}}", -32602, "string"),
    ] {
        let answer = post(&http, "/api/nfs/mkdir", body);
        let context = format!("{}: {}", String::from_utf8_lossy(body), answer.text());
        assert_eq!(answer.status, 200, "{context}");
        let error = &answer.json()["error"];
        assert_eq!(error["code"], code, "{context}");
        assert!(error["message"].to_string().contains(words), "no {words:?} in {context}");
    }
    let unknown = http.rpc("frobnicate", &json!({}));
    assert_eq!(unknown["error"]["code"], -32601, "{unknown}");
    guarded.assert_as_before();
}

#[test]
fn requests_that_are_no_http_do_no_harm() {
    let home = Home::new();
    let guarded = Guarded::new(&home);
    let http = guarded.node.http();
    for request in [
        &b"GARBAGE\r\n\r\n"[..],
        b"GET /health HTTP/9.9\r\n\r\n",
        b"PUT /api/v2/files/a HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET /api/v2/files/a\0b HTTP/1.1\r\nHost: x\r\n\r\n",
    ] {
        let answer = http.raw(request);
        assert!((400..=505).contains(&answer.status), "{}", answer.status);
    }
    assert_eq!(http.get("/health").status, 200);
    guarded.assert_as_before();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_over_the_limit_are_refused() {
    let home = Home::new();
    let guarded = Guarded::new(&home);
    let http = guarded.node.http();
    for target in ["/api/v2/batch", "/api/v2/edit"] {
        let request = http
            .request("POST", target)
            .header("Content-Type", "application/json");
        let answer = request.announce(MESSAGE_BYTES_MAX + 1);
        assert_eq!(answer.status, 413, "{target}: {}", answer.text());
        assert_eq!(answer.json()["error"]["kind"], "limit_exceeded");
    }
    let answer = http
        .request("POST", "/api/nfs/write")
        .announce(MESSAGE_BYTES_MAX + 1);
    assert_eq!(answer.json()["error"]["code"], -32005, "{}", answer.text());
    let content = vec![0; usize::try_from(MESSAGE_BYTES_MAX + 1).expect("it is small")];
    let step = BatchStep::Write {
        path: "/large".to_owned(),
        content: content.into(),
        options: WriteOptions::default(),
    };
    let client = guarded.node.client().await;
    let refusal = client
        .batch(vec![step], Durability::Sync)
        .await
        .expect_err("it is too large");
    assert_eq!(
        refusal.kind(),
        nexus_client::Kind::LimitExceeded,
        "{refusal:?}"
    );
    assert_eq!(
        refusal.outcome(),
        nexus_client::Outcome::NotApplied,
        "{refusal:?}"
    );
    guarded.assert_as_before();
}

#[test]
fn a_body_that_breaks_off_changes_nothing() {
    let home = Home::new();
    let guarded = Guarded::new(&home);
    let http = guarded.node.http();
    for (size, announced) in [(10, 20), (3 << 20, 8 << 20)] {
        for path in ["/api/v2/files/new", "/api/v2/files/notes.txt"] {
            http.request("PUT", path)
                .body(vec![1; size])
                .break_off(announced);
        }
    }
    guarded.assert_as_before();
}
