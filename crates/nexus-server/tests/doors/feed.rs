//! The change feed over HTTP: pages, server-sent events, lines, and a WebSocket.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use http::StatusCode;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use nexus_service_api::{Context, KeyService, PrincipalKind, Rights};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::support::{Answer, Server};

const EVENTS: &str = "/api/v2/events";

async fn revision(server: &Server) -> u64 {
    let answer = server.get("/api/v2/revision").await.json();
    answer["revision"].as_u64().unwrap()
}

/// One commit that makes these files.
async fn batch(server: &Server, paths: &[&str]) -> u64 {
    let steps: Vec<_> = paths
        .iter()
        .map(|path| json!({ "op": "write", "path": path, "content": "x" }))
        .collect();
    let answer = server
        .post("/api/v2/batch", json!({ "steps": steps }))
        .await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    revision(server).await
}

fn paths(page: &Value) -> Vec<&str> {
    let events = page["events"].as_array().unwrap().iter();
    events
        .map(|event| event["path"].as_str().unwrap())
        .collect()
}

fn kind(answer: &Answer) -> String {
    answer.json()["error"]["kind"].as_str().unwrap().to_owned()
}

/// Reads a body until it holds `text`; all of it so far.
async fn until(body: &mut Incoming, text: &str) -> String {
    let mut read = String::new();
    while !read.contains(text) {
        let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
        read += std::str::from_utf8(&frame).unwrap();
    }
    read
}

/// The events of a stream of server-sent events, as id and path.
fn sent(text: &str) -> Vec<(String, String)> {
    let event = |event: &str| {
        let (id, data) = event.strip_prefix("id: ")?.split_once("\ndata: ")?;
        let data: Value = serde_json::from_str(data).unwrap();
        Some((id.to_owned(), data["path"].as_str()?.to_owned()))
    };
    text.split("\n\n").filter_map(event).collect()
}

#[tokio::test]
async fn an_event_says_what_happened_to_what_and_by_whom() {
    let server = Server::start().await;
    let after = revision(&server).await;
    let request = server
        .request("PUT", "/api/v2/files/a.txt")
        .header("x-nexus-session", "run-7")
        .header("x-nexus-on-behalf-of", "user:ada");
    let written = server.send(request, "hello").await.json();
    let moved = json!({ "from": "/a.txt", "to": "/b.txt" });
    server.post("/api/v2/rename", moved).await;
    let page = server.get(&format!("{EVENTS}?after={after}")).await.json();
    let event = &page["events"][0];
    let expected = json!({
        "type": "file_write", "path": "/a.txt", "zone": "root", "sequence": 0,
        "revision": written["revision"], "etag": written["stat"]["etag"],
        "size": 5, "version": 1, "actor": "user:admin", "on_behalf_of": "user:ada",
        "session": "run-7", "time": written["stat"]["modified"],
    });
    assert_eq!(event, &expected);
    let event = &page["events"][1];
    assert_eq!(event["type"], "file_rename");
    assert_eq!(
        (&event["path"], &event["old_path"]),
        (&json!("/b.txt"), &json!("/a.txt"))
    );
    assert_eq!(page["next"], event["revision"].to_string());
}

#[tokio::test]
async fn a_page_is_waited_for_and_says_where_to_go_on() {
    let server = Server::start().await;
    let now = server.get(EVENTS).await.json();
    assert_eq!(now["events"], json!([]));
    let next = now["next"].as_str().unwrap();
    let url = format!("{EVENTS}?wait=30s&after={next}");
    let (page, _) = tokio::join!(server.get(&url), server.put("/late", "x"));
    let page = page.json();
    assert_eq!(paths(&page), ["/late"]);
    let url = format!(
        "{EVENTS}?wait=20ms&after={}",
        page["next"].as_str().unwrap()
    );
    let nothing = server.get(&url).await.json();
    assert_eq!(
        (&nothing["events"], &nothing["next"]),
        (&json!([]), &page["next"])
    );
}

#[tokio::test]
async fn pages_divide_a_commit_without_loss() {
    let server = Server::start().await;
    let mut next = revision(&server).await.to_string();
    let files = ["/1", "/2", "/3", "/4", "/5"];
    batch(&server, &files).await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        let page = server
            .get(&format!("{EVENTS}?limit=2&after={next}"))
            .await
            .json();
        seen.extend(paths(&page).into_iter().map(str::to_owned));
        next = page["next"].as_str().unwrap().to_owned();
    }
    assert_eq!(seen, files);
    assert!(!next.contains('.'), "the commit is done: {next}");
}

#[tokio::test]
async fn events_are_narrowed_by_path_kind_actor_and_run() {
    let server = Server::start().await;
    let after = revision(&server).await;
    let ada = server
        .key(PrincipalKind::User, "ada", Rights::ReadWrite)
        .await;
    server.post("/api/v2/mkdir", json!({ "path": "/d" })).await;
    server.put("/d/a.txt", "x").await;
    server.put("/d/b.log", "x").await;
    let by_ada = http::Request::builder()
        .method("PUT")
        .uri(format!("{}/api/v2/files/c.txt", server.url))
        .header("authorization", format!("Bearer {ada}"))
        .header("x-nexus-session", "run-1");
    assert_eq!(server.send(by_ada, "x").await.status, StatusCode::OK);
    for (query, expected) in [
        ("pattern=/d/*.txt", vec!["/d/a.txt"]),
        ("pattern=/**/*.txt", vec!["/d/a.txt", "/c.txt"]),
        ("kind=dir_create", vec!["/d"]),
        (
            "kind=dir_create,file_write&pattern=/d{,/*.log}",
            vec!["/d", "/d/b.log"],
        ),
        ("actor=user:ada", vec!["/c.txt"]),
        ("session=run-1", vec!["/c.txt"]),
        ("session=run-2", vec![]),
    ] {
        let page = server
            .get(&format!("{EVENTS}?after={after}&{query}"))
            .await
            .json();
        assert_eq!(paths(&page), expected, "{query}");
    }
}

#[tokio::test]
async fn what_a_feed_cannot_begin_with_is_refused() {
    let server = Server::start().await;
    for (query, status, expected) in [
        ("after=yesterday", 400, "invalid_argument"),
        ("after=-1", 400, "invalid_argument"),
        ("after=1.x", 400, "invalid_argument"),
        ("after=999999", 400, "invalid_argument"),
        ("after=999999.3", 400, "invalid_argument"),
        ("wait=2m", 400, "invalid_argument"),
        ("limit=1000000", 413, "limit_exceeded"),
        ("kind=nonsense", 400, "invalid_argument"),
        ("pattern=[", 400, "invalid_argument"),
        ("cursor=none", 404, "not_found"),
        ("cursor=a%20b", 400, "invalid_argument"),
        ("cursor=c&after=1", 400, "invalid_argument"),
        ("zone=other", 403, "permission_denied"),
        ("what=1", 400, "invalid_argument"),
    ] {
        for accept in [
            "application/json",
            "text/event-stream",
            "application/x-ndjson",
        ] {
            let request = server
                .request("GET", &format!("{EVENTS}?{query}"))
                .header("accept", accept);
            let answer = server.send(request, "").await;
            assert_eq!(answer.status, status, "{query} {accept}");
            assert_eq!(kind(&answer), expected, "{query} {accept}");
        }
    }
    for id in ["yesterday", "-1", "1.2.3"] {
        let request = server.request("GET", EVENTS).header("last-event-id", id);
        assert_eq!(
            server.send(request, "").await.status,
            StatusCode::BAD_REQUEST,
            "{id}"
        );
    }
}

#[tokio::test]
async fn browsers_watch_events_and_go_on_where_they_were() {
    let server = Server::start().await;
    let before = revision(&server).await;
    let made = batch(&server, &["/a", "/b", "/c"]).await;
    let open = |id: String| {
        let request = server
            .request("GET", EVENTS)
            .header("accept", "text/event-stream");
        server.open(request.header("last-event-id", id), "")
    };
    let answer = open(before.to_string()).await;
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let text = until(&mut answer.into_body(), "\"/c\"").await;
    assert!(
        text.starts_with(&format!("retry: 1000\nid: {before}\n\n")),
        "{text}"
    );
    let id = |sequence: u32| format!("{made}.{sequence}");
    let event = |sequence, path: &str| (id(sequence), path.to_owned());
    assert_eq!(
        sent(&text),
        [event(0, "/a"), event(1, "/b"), event(2, "/c")]
    );

    let text = until(open(id(0)).await.body_mut(), "\"/c\"").await;
    assert_eq!(
        sent(&text),
        [event(1, "/b"), event(2, "/c")],
        "in the middle of a commit"
    );

    let mut answer = open(id(2)).await;
    let later = server.put("/d", "x").await.json()["revision"].clone();
    let text = until(answer.body_mut(), "\"/d\"").await;
    assert_eq!(sent(&text), [(format!("{later}.0"), "/d".to_owned())]);
}

#[tokio::test]
async fn lines_come_as_changes_happen_and_the_servers_end_ends_them() {
    let server = Server::start().await;
    let after = revision(&server).await;
    let url = format!("{EVENTS}?pattern=/**/*.txt&after={after}");
    let request = server
        .request("GET", &url)
        .header("accept", "application/x-ndjson");
    let mut body = server.open(request, "").await.into_body();
    server.put("/a.txt", "x").await;
    let line = until(&mut body, "\n").await;
    let event: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(event["path"], "/a.txt");
    let stopped = tokio::time::timeout(Duration::from_secs(10), server.stop());
    let ended = async { while body.frame().await.is_some() {} };
    let (stopped, ()) = tokio::join!(stopped, ended);
    assert!(
        stopped.is_ok(),
        "a watcher must not hold up the server's end"
    );
}

#[tokio::test]
async fn a_stream_ends_with_its_key_and_says_so() {
    let server = Server::start().await;
    let after = revision(&server).await;
    let ada = server
        .key(PrincipalKind::User, "ada", Rights::ReadOnly)
        .await;
    let url = format!("{}{EVENTS}?after={after}", server.url);
    let request = http::Request::builder()
        .uri(url)
        .header("authorization", format!("Bearer {ada}"))
        .header("accept", "text/event-stream");
    let mut body = server.open(request, "").await.into_body();
    server.put("/seen", "x").await;
    until(&mut body, "/seen").await;
    revoke(&server, &ada).await;
    server.put("/unseen", "x").await;
    let rest = until(&mut body, "event: error").await;
    assert!(
        !rest.contains("/unseen") && rest.contains("unauthenticated"),
        "{rest}"
    );
    assert!(body.frame().await.is_none());
}

async fn revoke(server: &Server, secret: &str) {
    let key_id = server
        .keys
        .authenticate(secret)
        .await
        .unwrap()
        .key_id
        .unwrap();
    server
        .keys
        .revoke(&Context::system(), &key_id)
        .await
        .unwrap();
}

async fn socket(server: &Server, query: &str, key: &str) -> WebSocketStream<TcpStream> {
    let address = server.url.strip_prefix("http://").unwrap();
    let url = format!("ws://{address}{EVENTS}/ws{query}");
    let mut request = url.into_client_request().unwrap();
    let bearer = format!("Bearer {key}").parse().unwrap();
    request.headers_mut().insert("authorization", bearer);
    let stream = TcpStream::connect(address).await.unwrap();
    tokio_tungstenite::client_async(request, stream)
        .await
        .unwrap()
        .0
}

/// The next page that comes over a socket.
async fn page(socket: &mut WebSocketStream<TcpStream>) -> Value {
    loop {
        match socket.next().await.unwrap().unwrap() {
            Message::Text(text) => return serde_json::from_str(&text).unwrap(),
            Message::Ping(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn end(mut socket: WebSocketStream<TcpStream>) -> (CloseCode, String) {
    loop {
        if let Message::Close(frame) = socket.next().await.unwrap().unwrap() {
            let frame = frame.unwrap();
            return (frame.code, frame.reason.to_string());
        }
    }
}

#[tokio::test]
async fn a_web_socket_tells_pages_and_goes_on_after_one() {
    let server = Server::start().await;
    let after = revision(&server).await;
    let mut first = socket(
        &server,
        &format!("?after={after}&pattern=/a*"),
        &server.admin,
    )
    .await;
    server.put("/a1", "x").await;
    server.put("/b", "x").await;
    let told = page(&mut first).await;
    assert_eq!(paths(&told), ["/a1"]);
    drop(first);
    server.put("/a2", "x").await;
    let query = format!("?after={}&pattern=/a*", told["next"].as_str().unwrap());
    let mut second = socket(&server, &query, &server.admin).await;
    second.send(Message::Ping("there?".into())).await.unwrap();
    assert_eq!(paths(&page(&mut second).await), ["/a2"]);
}

#[tokio::test]
async fn a_web_socket_is_closed_with_a_reason() {
    let server = Server::start().await;
    let ada = server
        .key(PrincipalKind::User, "ada", Rights::ReadOnly)
        .await;
    let watched = socket(&server, "", &ada).await;
    revoke(&server, &ada).await;
    server.put("/unseen", "x").await;
    let (code, reason) = end(watched).await;
    assert_eq!(code, CloseCode::Policy);
    assert!(reason.starts_with("unauthenticated: "), "{reason}");

    let watched = socket(&server, "", &server.admin).await;
    let ((code, _), ()) = tokio::join!(end(watched), server.stop());
    assert_eq!(code, CloseCode::Away);
}

#[tokio::test]
async fn what_is_no_upgrade_is_refused() {
    let server = Server::start().await;
    let answer = server.get(&format!("{EVENTS}/ws")).await;
    assert_eq!(
        (answer.status, kind(&answer).as_str()),
        (StatusCode::BAD_REQUEST, "invalid_argument")
    );
}

#[tokio::test]
async fn a_cursor_is_kept_for_a_consumer() {
    let server = Server::start().await;
    let made = server
        .post("/api/v2/cursors", json!({ "name": "indexer" }))
        .await
        .json();
    assert_eq!(made["owner"], "user:admin");
    server.put("/a", "x").await;
    let told = server.get(&format!("{EVENTS}?cursor=indexer")).await.json();
    assert_eq!(paths(&told), ["/a"]);
    let until = json!({ "name": "indexer", "position": told["next"] });
    let moved = server.post("/api/v2/cursor/acknowledge", until).await;
    assert_eq!(moved.json()["position"], told["next"]);
    let none = server.get(&format!("{EVENTS}?cursor=indexer")).await.json();
    assert_eq!(none["events"], json!([]));

    let back = json!({ "name": "indexer", "position": made["position"] });
    let refused = server
        .post("/api/v2/cursor/acknowledge", back.clone())
        .await;
    assert_eq!(
        (refused.status, kind(&refused).as_str()),
        (StatusCode::CONFLICT, "conflict")
    );
    server.post("/api/v2/cursor/rewind", back).await;
    let again = server.get(&format!("{EVENTS}?cursor=indexer")).await.json();
    assert_eq!(paths(&again), ["/a"]);

    let listed = server.get("/api/v2/cursors").await.json();
    assert_eq!(listed["cursors"].as_array().unwrap().len(), 1);
    let gone = server
        .send(server.request("DELETE", "/api/v2/cursor?name=indexer"), "")
        .await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    let missing = server.get("/api/v2/cursor?name=indexer").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
}
