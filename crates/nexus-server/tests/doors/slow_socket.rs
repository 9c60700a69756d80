//! WebSockets whose clients take nothing, over connections in memory that hold little. The clock
//! stands still while anything is to be done, so nobody waits.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use nexus_fs::{RetentionLimits, Session, WriteOptions};
use nexus_server::{App, Limits};
use nexus_service_api::Context;
use nexus_services::authorizer::KeyAuthorizer;
use tokio::io::DuplexStream;
use tokio::time::sleep;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use crate::support::app;

/// Less than a page of many events.
const CONNECTION_BYTES: usize = 4 << 10;

struct Node {
    app: App,
    files: Session,
    secret: String,
}

impl Node {
    /// With as many commits to tell of.
    async fn with_commits(count: usize) -> Self {
        let (app, _, secret) = app(Arc::new(KeyAuthorizer::new("root")), Limits::default()).await;
        let files = app.zone.session(Context::system());
        let node = Self { app, files, secret };
        for number in 0..count {
            node.write(&format!("/{number}")).await;
        }
        node
    }

    async fn write(&self, path: &str) {
        let content = Bytes::from_static(b"x");
        let written = self.files.write(path, content, WriteOptions::default());
        written.await.unwrap();
    }

    /// A socket that is told everything from the beginning on.
    async fn socket(&self) -> WebSocketStream<DuplexStream> {
        let (here, there) = tokio::io::duplex(CONNECTION_BYTES);
        let service = TowerToHyperService::new(nexus_server::router(self.app.clone()));
        let serving = http1::Builder::new().serve_connection(TokioIo::new(there), service);
        tokio::spawn(serving.with_upgrades());
        let url = "ws://node/api/v2/events/ws?after=0";
        let mut request = url.into_client_request().unwrap();
        let bearer = format!("Bearer {}", self.secret).parse().unwrap();
        request.headers_mut().insert("authorization", bearer);
        let made = tokio_tungstenite::client_async(request, here).await;
        made.unwrap().0
    }
}

/// The next page that comes over a socket.
async fn page(socket: &mut WebSocketStream<DuplexStream>) -> Utf8Bytes {
    loop {
        match socket.next().await.unwrap().unwrap() {
            Message::Text(text) => return text,
            Message::Ping(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// How many pages came before the end, and what the node said then, if anything.
async fn end(mut socket: WebSocketStream<DuplexStream>) -> (usize, Option<CloseFrame>) {
    let mut pages = 0;
    loop {
        match socket.next().await {
            Some(Ok(Message::Close(frame))) => return (pages, frame),
            Some(Ok(Message::Text(_))) => pages += 1,
            Some(Ok(_)) => {}
            Some(Err(Error::Protocol(_) | Error::Io(_))) | None => return (pages, None),
            Some(Err(error)) => panic!("{error}"),
        }
    }
}

/// Who takes nothing for half a minute, and then something, is told why it was closed.
#[tokio::test(start_paused = true)]
async fn a_web_socket_that_takes_nothing_is_closed_as_too_slow() {
    let node = Node::with_commits(50).await;
    let socket = node.socket().await;
    sleep(Duration::from_millis(30_500)).await;
    let (pages, frame) = end(socket).await;
    let frame = frame.unwrap();
    assert_eq!((pages, frame.code), (1, CloseCode::Policy));
    assert!(
        frame.reason.contains("not taken for 30 seconds"),
        "{frame:?}"
    );
}

/// Who takes something before that goes on.
#[tokio::test(start_paused = true)]
async fn a_web_socket_that_is_slow_but_takes_something_goes_on() {
    let node = Node::with_commits(50).await;
    let mut socket = node.socket().await;
    sleep(Duration::from_millis(29_500)).await;
    let first = page(&mut socket).await;
    assert!(first.contains("\"/49\""), "{first}");
    node.write("/more").await;
    let more = page(&mut socket).await;
    assert!(more.contains("\"/more\""), "{more}");
}

/// Who does not even take the goodbye is cut off.
#[tokio::test(start_paused = true)]
async fn a_web_socket_that_takes_no_goodbye_is_cut_off() {
    let node = Node::with_commits(50).await;
    let socket = node.socket().await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(end(socket).await, (0, None));
}

/// Who is so slow that retention has passed it is told so, and where it may go on.
#[tokio::test(start_paused = true)]
async fn a_web_socket_that_fell_behind_compaction_is_told_so() {
    let node = Node::with_commits(1_000).await;
    let socket = node.socket().await;
    // It has the first page to take, and the node waits for that.
    sleep(Duration::from_secs(1)).await;
    let an_hour = RetentionLimits {
        max_age: Some(Duration::from_secs(3_600)),
        ..RetentionLimits::default()
    };
    node.files.set_retention("/**", an_hour).await.unwrap();
    let later = node.files.now().plus_nanos(7_200_000_000_000);
    node.files.compact(later, false).await.unwrap();
    node.write("/last").await;
    let (pages, frame) = end(socket).await;
    let frame = frame.unwrap();
    assert!((1..1_000).contains(&pages), "{pages}");
    assert_eq!(frame.code, CloseCode::Policy);
    assert!(frame.reason.starts_with("not_found: "), "{frame:?}");
    assert!(frame.reason.contains("kept no longer"), "{frame:?}");
}
