//! Conditions on files, and files that change while they are read.

use std::sync::{Arc, Mutex, OnceLock};

use async_trait::async_trait;
use http::StatusCode;
use nexus_fs::{WriteOptions, Zone};
use nexus_kernel::Result;
use nexus_server::Limits;
use nexus_service_api::{Action, Authorizer, Context, Target};
use nexus_services::authorizer::KeyAuthorizer;
use serde_json::json;

use crate::support::{Answer, Server};

const PAST: &str = "Thu, 01 Jan 2026 00:00:00 GMT";
const FUTURE: &str = "Wed, 01 Jan 2098 00:00:00 GMT";

/// Sends a request for `/a` with these headers.
async fn ask(server: &Server, method: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut request = server.request(method, "/api/v2/files/a");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    server.send(request, body.to_owned()).await
}

#[tokio::test]
async fn a_condition_that_a_change_does_not_heed_is_refused() {
    let server = Server::start().await;
    let etag = server.put("/a", "one").await.header("etag").to_owned();
    let list = format!("{etag}, \"other\"");
    for (method, name, value, body) in [
        ("PATCH", "if-match", "\"stale\"", r#"{"size":0}"#),
        ("PATCH", "if-none-match", "*", r#"{"size":0}"#),
        ("PATCH", "if-unmodified-since", PAST, r#"{"size":0}"#),
        ("PUT", "if-unmodified-since", PAST, "two"),
        ("POST", "if-unmodified-since", PAST, "two"),
        ("DELETE", "if-unmodified-since", PAST, ""),
        ("PUT", "if-match", &list, "two"),
        ("DELETE", "if-match", &list, ""),
    ] {
        let refused = ask(&server, method, &[(name, value)], body).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{method} {name}");
    }
    let body = json!({ "from": "/a", "to": "/b" }).to_string();
    let rename = server
        .request("POST", "/api/v2/rename")
        .header("if-match", "\"stale\"");
    let refused = server.send(rename, body).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(server.get("/api/v2/files/a").await.body, "one");
}

#[tokio::test]
async fn a_read_on_a_condition_that_does_not_hold_is_412() {
    let server = Server::start().await;
    let etag = server
        .put("/a", "0123456789")
        .await
        .header("etag")
        .to_owned();
    let list = format!("\"other\", {etag}");
    let (ok, failed) = (StatusCode::OK, StatusCode::PRECONDITION_FAILED);
    for (name, value, status) in [
        ("if-match", etag.as_str(), ok),
        ("if-match", &list, ok),
        ("if-match", "*", ok),
        ("if-match", "\"other\"", failed),
        ("if-unmodified-since", FUTURE, ok),
        ("if-unmodified-since", PAST, failed),
        ("if-unmodified-since", "yesterday", ok),
    ] {
        for method in ["GET", "HEAD"] {
            let read = ask(&server, method, &[(name, value)], "").await;
            assert_eq!(read.status, status, "{method} {name}: {value}");
        }
    }
    let both = [("if-match", etag.as_str()), ("if-unmodified-since", PAST)];
    assert_eq!(ask(&server, "GET", &both, "").await.status, ok);
}

#[tokio::test]
async fn conditions_come_before_ranges() {
    let server = Server::start().await;
    let etag = server
        .put("/a", "0123456789")
        .await
        .header("etag")
        .to_owned();
    for range in ["bytes=2-3", "bytes=99-"] {
        for (name, value, status) in [
            ("if-none-match", etag.as_str(), StatusCode::NOT_MODIFIED),
            ("if-match", "\"other\"", StatusCode::PRECONDITION_FAILED),
        ] {
            let read = ask(&server, "GET", &[("range", range), (name, value)], "").await;
            assert_eq!(read.status, status, "{name} {range}");
        }
    }
}

#[tokio::test]
async fn a_head_is_refused_as_a_read_is() {
    let server = Server::start().await;
    server.post("/api/v2/mkdir", json!({ "path": "/a" })).await;
    let range = [("range", "bytes=0-1")];
    for (method, headers) in [("GET", &[][..]), ("GET", &range), ("HEAD", &[])] {
        let refused = ask(&server, method, headers, "").await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{method}");
        assert_eq!(refused.header("x-nexus-error"), "wrong_type");
    }
}

/// Changes `/a` once, right after it was permitted to be opened.
struct Meddler {
    keys: KeyAuthorizer,
    zone: OnceLock<Zone>,
    content: Mutex<Option<&'static str>>,
}

impl Meddler {
    async fn serve() -> (Arc<Self>, Server) {
        let meddler = Arc::new(Self {
            keys: KeyAuthorizer::new("root"),
            zone: OnceLock::new(),
            content: Mutex::default(),
        });
        let server = Server::guarded_by(meddler.clone(), Limits::default()).await;
        assert!(meddler.zone.set(server.zone.clone()).is_ok());
        (meddler, server)
    }

    fn will_write(&self, content: &'static str) {
        *self.content.lock().unwrap() = Some(content);
    }
}

#[async_trait]
impl Authorizer for Meddler {
    async fn authorize(&self, who: &Context, action: Action, target: Target<'_>) -> Result<()> {
        self.keys.authorize(who, action, target).await?;
        let content = match action {
            Action::Read => self.content.lock().unwrap().take(),
            _ => None,
        };
        if let (Some(content), Some(zone)) = (content, self.zone.get()) {
            let files = zone.session(Context::system());
            files
                .write("/a", content.into(), WriteOptions::default())
                .await?;
        }
        Ok(())
    }

    async fn visible(&self, who: &Context, targets: &[Target<'_>]) -> Result<Vec<bool>> {
        self.keys.visible(who, targets).await
    }

    async fn sees_all_below(&self, who: &Context, target: Target<'_>) -> bool {
        self.keys.sees_all_below(who, target).await
    }
}

#[tokio::test]
async fn a_part_is_never_of_another_content_than_if_range_names() {
    let (meddler, server) = Meddler::serve().await;
    let etag = server
        .put("/a", "0123456789")
        .await
        .header("etag")
        .to_owned();
    meddler.will_write("abcdefghij");
    let headers = [("range", "bytes=2-4"), ("if-range", etag.as_str())];
    let read = ask(&server, "GET", &headers, "").await;
    assert_eq!(
        (read.status, &read.body[..]),
        (StatusCode::OK, &b"abcdefghij"[..])
    );
    assert_ne!(read.header("etag"), etag);
}

#[tokio::test]
async fn a_range_of_a_file_that_becomes_shorter_lies_beyond_its_end() {
    let (meddler, server) = Meddler::serve().await;
    server.put("/a", "0123456789").await;
    meddler.will_write("ab");
    let read = ask(&server, "GET", &[("range", "bytes=5-")], "").await;
    assert_eq!(read.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(read.header("content-range"), "bytes */2");
}

#[tokio::test]
async fn a_version_is_read_whole_and_at_no_other_point() {
    let server = Server::start().await;
    server.put("/a", "one").await;
    server.put("/a", "two").await;
    let address = "/api/v2/files/a?version=1";
    assert_eq!(server.get(address).await.body, "one");
    let at = server.get(&format!("{address}&at=latest")).await;
    assert_eq!(at.status, StatusCode::BAD_REQUEST);
    for method in ["GET", "HEAD"] {
        let part = server.request(method, address).header("range", "bytes=0-1");
        let refused = server.send(part, "").await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{method}");
    }
}

#[tokio::test]
async fn an_etag_may_come_with_its_quotes_and_a_stale_one_is_a_conflict() {
    let server = Server::start().await;
    let etag = server.put("/a", "one").await.header("etag").to_owned();
    let edit = |etag: &str| json!({ "path": "/a", "edits": [{ "old": "one", "new": "one" }], "if_match": etag });
    let edited = server.post("/api/v2/edit", edit(&etag)).await;
    assert_eq!(edited.status, StatusCode::OK);
    let stale = server.post("/api/v2/edit", edit("\"other\"")).await;
    assert_eq!(stale.status, StatusCode::CONFLICT);
    let remove =
        |etag: &str| json!({ "steps": [{ "op": "remove", "path": "/a", "if_match": etag }] });
    let stale = server.post("/api/v2/batch", remove("\"other\"")).await;
    assert_eq!(stale.status, StatusCode::CONFLICT);
    let call = json!({ "path": "/a", "if_match": etag });
    assert_eq!(server.rpc_ok("delete", call).await["deleted"], true);
    server.put("/a", "one").await;
    let removed = server.post("/api/v2/batch", remove(&etag)).await;
    assert_eq!(removed.status, StatusCode::OK);
}
