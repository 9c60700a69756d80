//! Files under their addresses.

use http::StatusCode;

use crate::support::Server;

#[tokio::test]
async fn a_file_is_written_and_read_back_with_its_etag() {
    let server = Server::start().await;
    let written = server.put("/a.txt", "hello").await;
    assert_eq!(written.status, StatusCode::OK);
    let stat = &written.json()["stat"];
    assert_eq!(
        (stat["size"].as_u64(), stat["version"].as_u64()),
        (Some(5), Some(1))
    );
    let read = server.get("/api/v2/files/a.txt").await;
    assert_eq!(
        (read.status, &read.body[..]),
        (StatusCode::OK, &b"hello"[..])
    );
    assert_eq!(read.header("etag"), written.header("etag"));
    assert_eq!(read.header("etag"), format!("{}", stat["etag"]));
    assert_eq!(read.header("content-type"), "text/plain");
    assert_eq!(
        read.header("x-nexus-revision"),
        written.json()["revision"].to_string()
    );
    assert_eq!(read.header("content-security-policy"), "sandbox");
}

#[tokio::test]
async fn a_large_file_streams_both_ways() {
    let server = Server::start().await;
    let content: Vec<u8> = (0..5_000_000_u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    assert_eq!(
        server.put("/big", content.clone()).await.status,
        StatusCode::OK
    );
    let read = server.get("/api/v2/files/big").await;
    assert_eq!(read.header("content-length"), "5000000");
    assert!(read.body == content);
}

#[tokio::test]
async fn an_empty_file_is_a_file() {
    let server = Server::start().await;
    assert_eq!(server.put("/empty", "").await.status, StatusCode::OK);
    let read = server.get("/api/v2/files/empty").await;
    assert_eq!((read.status, read.body.len()), (StatusCode::OK, 0));
    let part = server
        .request("GET", "/api/v2/files/empty")
        .header("range", "bytes=0-");
    assert_eq!(
        server.send(part, "").await.status,
        StatusCode::RANGE_NOT_SATISFIABLE
    );
}

#[tokio::test]
async fn a_range_is_partial_content() {
    let server = Server::start().await;
    server.put("/a", "0123456789").await;
    for (range, body, header) in [
        ("bytes=2-4", "234", "bytes 2-4/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=-2", "89", "bytes 8-9/10"),
        ("bytes=5-500", "56789", "bytes 5-9/10"),
    ] {
        let part = server
            .request("GET", "/api/v2/files/a")
            .header("range", range);
        let part = server.send(part, "").await;
        assert_eq!(part.status, StatusCode::PARTIAL_CONTENT, "{range}");
        assert_eq!(
            (&part.body[..], part.header("content-range")),
            (body.as_bytes(), header)
        );
    }
    let beyond = server
        .request("GET", "/api/v2/files/a")
        .header("range", "bytes=10-");
    let beyond = server.send(beyond, "").await;
    assert_eq!(beyond.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(beyond.header("content-range"), "bytes */10");
}

#[tokio::test]
async fn if_range_of_another_content_reads_the_whole() {
    let server = Server::start().await;
    let etag = server
        .put("/a", "0123456789")
        .await
        .header("etag")
        .to_owned();
    let part = |etag: &str| {
        server
            .request("GET", "/api/v2/files/a")
            .header("range", "bytes=0-1")
            .header("if-range", etag)
    };
    assert_eq!(server.send(part(&etag), "").await.body, "01");
    assert_eq!(server.send(part("\"other\""), "").await.body, "0123456789");
}

#[tokio::test]
async fn who_has_the_content_already_gets_304() {
    let server = Server::start().await;
    let etag = server.put("/a", "hello").await.header("etag").to_owned();
    for (known, status) in [
        (etag.clone(), StatusCode::NOT_MODIFIED),
        (format!("\"x\", W/{etag}"), StatusCode::NOT_MODIFIED),
        ("*".into(), StatusCode::NOT_MODIFIED),
        ("\"x\"".into(), StatusCode::OK),
    ] {
        for method in ["GET", "HEAD"] {
            let read = server
                .request(method, "/api/v2/files/a")
                .header("if-none-match", &known);
            let read = server.send(read, "").await;
            assert_eq!(read.status, status, "{method} {known}");
            assert_eq!(read.header("etag"), etag);
        }
    }
}

#[tokio::test]
async fn a_head_says_what_a_read_would_bring() {
    let server = Server::start().await;
    server.put("/a", "hello").await;
    let head = server
        .send(server.request("HEAD", "/api/v2/files/a"), "")
        .await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
    assert_eq!(head.header("content-length"), "5");
    let missing = server
        .send(server.request("HEAD", "/api/v2/files/b"), "")
        .await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert_eq!(missing.header("x-nexus-error"), "not_found");
}

#[tokio::test]
async fn a_write_on_a_condition_that_does_not_hold_is_412() {
    let server = Server::start().await;
    let old = server.put("/a", "one").await.header("etag").to_owned();
    let put =
        |name: &str, value: &str| server.request("PUT", "/api/v2/files/a").header(name, value);
    let replaced = server.send(put("if-match", &old), "two").await;
    assert_eq!(replaced.status, StatusCode::OK);
    for (name, value) in [
        ("if-match", old.as_str()),
        ("if-match", "\"unknown\""),
        ("if-none-match", "*"),
    ] {
        let refused = server.send(put(name, value), "three").await;
        assert_eq!(
            refused.status,
            StatusCode::PRECONDITION_FAILED,
            "{name}: {value}"
        );
    }
    let stale = server.send(put("if-match", &old), "three").await.json();
    assert_eq!(stale["error"]["kind"], "conflict");
    assert_eq!(stale["error"]["outcome"], "not_applied");
    assert_eq!(
        format!(
            "\"{}\"",
            stale["error"]["context"]["expected_etag"].as_str().unwrap()
        ),
        old
    );
    assert_eq!(server.get("/api/v2/files/a").await.body, "two");
    let absent = server
        .request("PUT", "/api/v2/files/b")
        .header("if-match", "*");
    assert_eq!(
        server.send(absent, "x").await.status,
        StatusCode::PRECONDITION_FAILED
    );
}

#[tokio::test]
async fn a_removal_on_a_condition_that_does_not_hold_is_412() {
    let server = Server::start().await;
    let old = server.put("/a", "one").await.header("etag").to_owned();
    let new = server.put("/a", "two").await.header("etag").to_owned();
    let delete = |name: &str, value: &str| {
        let request = server.request("DELETE", "/api/v2/files/a");
        server.send(request.header(name, value), "")
    };
    for etag in [old.as_str(), "\"unknown\""] {
        let refused = delete("if-match", etag).await;
        assert_eq!(refused.status, StatusCode::PRECONDITION_FAILED, "{etag}");
    }
    let senseless = delete("if-none-match", "*").await;
    assert_eq!(senseless.status, StatusCode::BAD_REQUEST);
    assert_eq!(server.get("/api/v2/files/a").await.body, "two");
    assert_eq!(delete("if-match", &new).await.status, StatusCode::OK);
    server.put("/a", "three").await;
    assert_eq!(delete("if-match", "*").await.status, StatusCode::OK);
}

#[tokio::test]
async fn parents_are_made_when_asked_for() {
    let server = Server::start().await;
    assert_eq!(
        server.put("/x/y/a", "1").await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        server
            .put("/x/y/a?parents=true&durability=relaxed&mode=600", "1")
            .await
            .status,
        StatusCode::OK
    );
    let stat = server.get("/api/v2/stat?path=/x/y/a").await.json();
    assert_eq!(stat["mode"], "0600");
}

#[tokio::test]
async fn bytes_are_appended() {
    let server = Server::start().await;
    for (piece, size) in [("ab", 2), ("cd", 4)] {
        let appended = server
            .send(server.request("POST", "/api/v2/files/log"), piece)
            .await;
        assert_eq!(appended.json()["stat"]["size"], size);
    }
    assert_eq!(server.get("/api/v2/files/log").await.body, "abcd");
}

#[tokio::test]
async fn attributes_change_and_files_go() {
    let server = Server::start().await;
    server.put("/a", "hello").await;
    let set = serde_json::json!({ "mode": "0755", "size": 2, "modified": "2026-01-31T12:00:00Z" });
    let set = server
        .send(server.request("PATCH", "/api/v2/files/a"), set.to_string())
        .await;
    let stat = &set.json()["stat"];
    assert_eq!((&stat["mode"], &stat["size"]), (&"0755".into(), &2.into()));
    assert_eq!(stat["modified"], "2026-01-31T12:00:00Z");
    let removed = server
        .send(server.request("DELETE", "/api/v2/files/a"), "")
        .await;
    assert_eq!(removed.status, StatusCode::OK);
    assert_eq!(
        server.get("/api/v2/files/a").await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn what_was_is_read_by_revision_and_by_version() {
    let server = Server::start().await;
    let first = server.put("/a", "one").await.json()["revision"].clone();
    server.put("/a", "two").await;
    for query in [
        format!("at={first}"),
        format!("at=r{first}"),
        "version=1".into(),
    ] {
        assert_eq!(
            server.get(&format!("/api/v2/files/a?{query}")).await.body,
            "one",
            "{query}"
        );
    }
    assert_eq!(
        server
            .get(&format!("/api/v2/files/a?at=%3E={first}"))
            .await
            .body,
        "two"
    );
}

#[tokio::test]
async fn names_are_percent_encoded_utf_8() {
    let server = Server::start().await;
    assert_eq!(
        server.put("/caf%C3%A9%20%25+x", "1").await.status,
        StatusCode::OK
    );
    let stat = server.get("/api/v2/stat?path=/caf%C3%A9%20%25%2Bx").await;
    assert_eq!(stat.status, StatusCode::OK);
    for path in ["/api/v2/files/caf%E9", "/api/v2/stat?path=/caf%E9"] {
        let refused = server.get(path).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{path}");
        assert_eq!(refused.json()["error"]["kind"], "invalid_argument");
    }
}

#[tokio::test]
async fn paths_that_cannot_be_are_refused() {
    let server = Server::start().await;
    for path in ["/a/../b", "/a//b", "/a%00b", "/%2E%2E/etc"] {
        let refused = server.put(path, "x").await;
        assert_eq!(
            refused.status,
            StatusCode::BAD_REQUEST,
            "{path}: {refused:?}"
        );
    }
    let long = format!("/{}", "x".repeat(256));
    assert_eq!(
        server.put(&long, "x").await.json()["error"]["kind"],
        "limit_exceeded"
    );
}
